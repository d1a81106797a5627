/* Sets made of rows of another: chosen on the host, gathered on the device. Each way of choosing
 * marks the rows of the second set; both keep the old order. */
#include <math.h>

#include "core/view.h"
#include "data/set.h"
#include "door/philox.h"

/* --- rows by number ---------------------------------------------------------------------- */

static bp_status gather_columns(const bp_data *d, const char *who, bp_tensor *index, bp_data *part)
{
    bp_status st = bp_scope_begin(d->ctx, BP_NO_GRAD);
    if (st != BP_OK)
        return st;
    for (int64_t i = 0; i < d->n_columns && st == BP_OK; i++) {
        bp_tensor *values = bp_keep(bp_gather(d->column[i].values, index));
        st = values ? bpi_data_join(part, who, &d->column[i], values) : BP_ERR_NOMEM;
    }
    bp_status end = bp_scope_end(d->ctx);
    return end != BP_OK ? end : st;
}

/* Rows of d, each a number of one, as a set of their own. */
static bp_status subset(const bp_data *d, const char *who, const int32_t *row, int64_t n,
                        bp_data **out)
{
    bp_context *ctx = d->ctx;
    bp_data *part;
    if (bpi_data_is_source(d))
        return bpi_fail(ctx, BP_ERR_STATE, "%s: a source has no rows of its own", who);
    BPI_TRY(bpi_data_like(d, who, n, &part));
    bp_tensor *index = bp_tensor_create(ctx, BP_I32, BP_SHAPE(n));
    bp_status st = index ? bp_write(index, row, (size_t)n * sizeof *row) : BP_ERR_NOMEM;
    if (st == BP_OK)
        st = gather_columns(d, who, index, part);
    bp_free(index);
    if (st == BP_OK)
        *out = part;
    else
        bp_data_free(part);
    return st;
}

static bp_status rows_at(const bp_data *d, const int32_t *row, int64_t n, bp_data **part)
{
    BPI_TRY(bpi_given(d->ctx, row, "data_rows_at: rows"));
    BPI_TRY(bpi_given(d->ctx, part, "data_rows_at: part"));
    for (int64_t i = 0; i < n; i++)
        if (row[i] < 0 || row[i] >= bp_data_rows(d))
            return bpi_fail(d->ctx, BP_ERR_RANGE, "data_rows_at: rows[%lld] is %d of %lld rows",
                            (long long)i, (int)row[i], (long long)bp_data_rows(d));
    return subset(d, "data_rows_at", row, n, part);
}

bp_status bp_data_rows_at(const bp_data *d, const int32_t *rows, int64_t n, bp_data **part)
{
    if (part)
        *part = NULL;
    BPI_LEADS(d, "data_rows_at: data");
    BPI_INSIDE(d->ctx, rows_at(d, rows, n, part));
}

/* --- choosing ---------------------------------------------------------------------------- */

/* How rows are chosen, and host memory for it. */
typedef struct choice {
    const bp_data *d;
    const char *who;
    double fraction;
    uint64_t seed;
    const char *column;   /* of groups */
    int64_t fold, folds;
    int64_t rows, classes;
    int32_t *label, *row; /* [rows]: a class or a group; room for row numbers */
    int64_t *count;       /* [2, classes] */
    unsigned char *second; /* [rows] */
} choice;

static bpi_stream stream_of(const choice *c)
{
    return (bpi_stream){c->seed, 0, bpi_purpose_site(BPI_PURPOSE_SPLIT, 0)};
}

/* The class of each row; 0 where the targets are no classes. */
static bp_status read_classes(choice *c)
{
    const bp_data *d = c->d;
    if (bp_data_targets(d) != BP_TARGETS_CLASSES)
        return BP_OK;
    BPI_TRY(bp_read(bp_data_labels((bp_data *)d), c->label, (size_t)c->rows * sizeof *c->label));
    for (int64_t i = 0; i < c->rows; i++) /* a program may have written to them */
        if (c->label[i] < 0 || c->label[i] >= d->classes)
            return bpi_fail(d->ctx, BP_ERR_RANGE, "%s: label %lld is %d of %d classes", c->who,
                            (long long)i, (int)c->label[i], (int)d->classes);
    return BP_OK;
}

/* Selection sampling (Knuth, The Art of Computer Programming, volume 2, 3.4.2, algorithm S), class
 * by class in one pass over the rows. */
static bp_status choose_by_class(choice *c)
{
    BPI_TRY(read_classes(c));
    int64_t *left = c->count, *wanted = left + c->classes;
    for (int64_t i = 0; i < c->rows; i++)
        left[c->label[i]]++;
    for (int64_t k = 0; k < c->classes; k++)
        wanted[k] = (int64_t)floor(c->fraction * (double)left[k] + 0.5);
    bpi_stream stream = stream_of(c);
    for (int64_t i = 0; i < c->rows; i++) {
        int32_t k = c->label[i];
        c->second[i] = bpi_random_below(&stream, (uint64_t)i, (uint32_t)left[k]) < wanted[k];
        left[k]--;
        wanted[k] -= c->second[i];
    }
    return BP_OK;
}

static bp_status choose_last(choice *c)
{
    int64_t n = (int64_t)floor(c->fraction * (double)c->rows + 0.5);
    for (int64_t i = c->rows - n; i < c->rows; i++)
        c->second[i] = 1;
    return BP_OK;
}

static void shuffle(int32_t *a, int64_t n, const bpi_stream *stream, uint64_t from)
{
    for (int64_t i = n - 1; i > 0; i--) {
        int64_t k = bpi_random_below(stream, from + (uint64_t)i, (uint32_t)(i + 1));
        int32_t moved = a[i];
        a[i] = a[k];
        a[k] = moved;
    }
}

/* Classes one after the other, each shuffled, are dealt out to the folds. */
static bp_status choose_fold(choice *c)
{
    BPI_TRY(read_classes(c));
    int64_t *begin = c->count, at = 0;
    for (int64_t i = 0; i < c->rows; i++)
        begin[c->label[i]]++;
    for (int64_t k = 0; k < c->classes; k++) {
        int64_t n = begin[k];
        begin[k] = at;
        at += n;
    }
    for (int64_t i = 0; i < c->rows; i++)
        c->row[begin[c->label[i]]++] = (int32_t)i;
    bpi_stream stream = stream_of(c);
    for (int64_t k = 0, first = 0; k < c->classes; first = begin[k++])
        shuffle(c->row + first, begin[k] - first, &stream, (uint64_t)first);
    for (int64_t i = 0; i < c->rows; i++)
        c->second[c->row[i]] = i % c->folds == c->fold;
    return BP_OK;
}

/* --- groups ------------------------------------------------------------------------------ */

static bp_status read_groups(choice *c)
{
    bp_context *ctx = c->d->ctx;
    const bpi_column *g = bpi_data_find(c->d, c->column);
    if (!g)
        return bpi_fail(ctx, BP_ERR_ARG, "%s: there is no column \"%s\"", c->who, c->column);
    if ((g->dtype != BP_I32 && g->dtype != BP_U8) || g->count != 1)
        return bpi_fail(ctx, BP_ERR_DTYPE, "%s: column \"%s\" of %s %s: an i32 or u8 a row is "
                        "wanted", c->who, c->column, bp_dtype_name(g->dtype),
                        bpi_shape_str(&g->row).s);
    BPI_TRY(bp_read(g->values, c->label, (size_t)c->rows * bp_dtype_bytes(g->dtype)));
    const unsigned char *bytes = (const unsigned char *)c->label;
    for (int64_t i = g->dtype == BP_U8 ? c->rows : 0; i-- > 0;) /* from behind: in place */
        c->label[i] = bytes[i];
    return BP_OK;
}

/* Row numbers by their group: Shell's sort. */
static void sort_rows(const int32_t *group, int32_t *row, int64_t n)
{
    int64_t gap = 1;
    while (gap < n / 3)
        gap = 3 * gap + 1;
    for (; gap > 0; gap /= 3)
        for (int64_t i = gap; i < n; i++) {
            int32_t moved = row[i];
            int64_t k = i;
            for (; k >= gap && group[row[k - gap]] > group[moved]; k -= gap)
                row[k] = row[k - gap];
            row[k] = moved;
        }
}

/* Groups in an order that is drawn go to the second set, where they fit into its share. */
static bp_status choose_groups(choice *c)
{
    BPI_TRY(read_groups(c));
    size_t bytes = (size_t)c->rows * sizeof(int32_t);
    int32_t *begin = bpi_host_alloc(c->d->ctx, bytes), *row = c->row; /* of a group, in row[] */
    if (!begin)
        return bpi_fail(c->d->ctx, BP_ERR_NOMEM, "%s: no memory for the groups", c->who);
    int64_t groups = 0, left = (int64_t)floor(c->fraction * (double)c->rows + 0.5);
    for (int64_t i = 0; i < c->rows; i++)
        row[i] = (int32_t)i;
    sort_rows(c->label, row, c->rows);
    for (int64_t i = 0; i < c->rows; i++)
        if (i == 0 || c->label[row[i]] != c->label[row[i - 1]])
            begin[groups++] = (int32_t)i;
    bpi_stream stream = stream_of(c);
    shuffle(begin, groups, &stream, 0);
    for (int64_t k = 0; k < groups; k++) {
        int64_t first = begin[k], end = first + 1;
        while (end < c->rows && c->label[row[end]] == c->label[row[first]])
            end++;
        if (end - first <= left) {
            left -= end - first;
            for (int64_t i = first; i < end; i++)
                c->second[row[i]] = 1;
        }
    }
    bpi_host_free(c->d->ctx, begin, bytes);
    return BP_OK;
}

/* --- two sets ---------------------------------------------------------------------------- */

static bp_status make_sets(choice *c, bp_status (*choose)(choice *), bp_data **first,
                           bp_data **second)
{
    int64_t n = 0, at = 0;
    if (!c->label || !c->row || !c->count || !c->second)
        return bpi_fail(c->d->ctx, BP_ERR_NOMEM, "%s: no memory for %lld rows", c->who,
                        (long long)c->rows);
    BPI_TRY(choose(c));
    for (int64_t i = 0; i < c->rows; i++)
        if (!c->second[i])
            c->row[n++] = (int32_t)i;
    for (int64_t i = 0; i < c->rows; i++)
        if (c->second[i])
            c->row[n + at++] = (int32_t)i;
    if (n == 0 || at == 0)
        return bpi_fail(c->d->ctx, BP_ERR_ARG, "%s: %g of %lld rows%s leaves one set empty",
                        c->who, c->fraction, (long long)c->rows,
                        bp_data_classes(c->d) ? ", of each class by itself," : "");
    BPI_TRY(subset(c->d, c->who, c->row, n, first));
    bp_status st = subset(c->d, c->who, c->row + n, at, second);
    if (st != BP_OK) {
        bp_data_free(*first);
        *first = NULL;
    }
    return st;
}

static bp_status split(choice c, bp_status (*choose)(choice *), bp_data **first, bp_data **second)
{
    bp_context *ctx = c.d->ctx;
    if (!first || !second)
        return bpi_fail(ctx, BP_ERR_ARG, "%s: %s is NULL", c.who,
                        c.folds ? !first ? "train" : "test" : !first ? "first" : "second");
    if (bpi_data_is_ring(c.d) || bpi_data_is_source(c.d))
        return bpi_fail(ctx, BP_ERR_STATE, "%s: the rows of this set come and go", c.who);
    if (!(c.fraction > 0 && c.fraction < 1))
        return bpi_fail(ctx, BP_ERR_ARG, "%s: the fraction %g is not in (0, 1)", c.who, c.fraction);
    c.rows = bp_data_rows(c.d);
    c.classes = c.d->classes ? c.d->classes : 1;
    size_t row_bytes = (size_t)c.rows * sizeof(int32_t);
    size_t class_bytes = 2 * (size_t)c.classes * sizeof(int64_t);
    c.label = bpi_host_alloc(ctx, row_bytes);
    c.row = bpi_host_alloc(ctx, row_bytes);
    c.count = bpi_host_alloc(ctx, class_bytes);
    c.second = bpi_host_alloc(ctx, (size_t)c.rows);
    bp_status st = make_sets(&c, choose, first, second);
    bpi_host_free(ctx, c.second, (size_t)c.rows);
    bpi_host_free(ctx, c.count, class_bytes);
    bpi_host_free(ctx, c.row, row_bytes);
    bpi_host_free(ctx, c.label, row_bytes);
    return st;
}

static void clear(bp_data **first, bp_data **second)
{
    if (first)
        *first = NULL;
    if (second)
        *second = NULL;
}

bp_status bp_data_split(const bp_data *d, double fraction, uint64_t seed, bp_data **first,
                        bp_data **second)
{
    choice c = {.d = d, .who = "data_split", .fraction = fraction, .seed = seed};
    clear(first, second);
    BPI_LEADS(d, "data_split: data");
    BPI_INSIDE(d->ctx, split(c, choose_by_class, first, second));
}

bp_status bp_data_split_order(const bp_data *d, double fraction, bp_data **first, bp_data **second)
{
    choice c = {.d = d, .who = "data_split_order", .fraction = fraction};
    clear(first, second);
    BPI_LEADS(d, "data_split_order: data");
    BPI_INSIDE(d->ctx, split(c, choose_last, first, second));
}

static bp_status split_groups(choice c, bp_data **first, bp_data **second)
{
    BPI_TRY(bpi_given(c.d->ctx, c.column, "data_split_groups: column"));
    return split(c, choose_groups, first, second);
}

bp_status bp_data_split_groups(const bp_data *d, const char *column, double fraction,
                               uint64_t seed, bp_data **first, bp_data **second)
{
    choice c = {.d = d, .who = "data_split_groups", .fraction = fraction, .seed = seed,
                .column = column};
    clear(first, second);
    BPI_LEADS(d, "data_split_groups: data");
    BPI_INSIDE(d->ctx, split_groups(c, first, second));
}

static bp_status fold(choice c, bp_data **train, bp_data **test)
{
    int64_t rows = bp_data_rows(c.d);
    if (c.folds < 2 || c.folds > rows || c.fold < 0 || c.fold >= c.folds)
        return bpi_fail(c.d->ctx, BP_ERR_ARG, "data_fold: fold %lld of %lld, of %lld rows: 0 to "
                        "folds - 1 of 2 or more are wanted, and a row for each",
                        (long long)c.fold, (long long)c.folds, (long long)rows);
    c.fraction = 1 / (double)c.folds;
    return split(c, choose_fold, train, test);
}

bp_status bp_data_fold(const bp_data *d, int32_t folds, int32_t number, uint64_t seed,
                       bp_data **train, bp_data **test)
{
    choice c = {.d = d, .who = "data_fold", .seed = seed, .fold = number, .folds = folds};
    clear(train, test);
    BPI_LEADS(d, "data_fold: data");
    BPI_INSIDE(d->ctx, fold(c, train, test));
}
