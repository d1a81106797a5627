/* Sets made of rows of another: chosen on the host, gathered on the device. */
#include <math.h>

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

/* --- the split --------------------------------------------------------------------------- */

/* Host memory of a split: the labels, the rows of the first set and then those of the second, and
 * for each class the rows not seen yet, then those of them that go to the second set. */
typedef struct split {
    int32_t *label, *row;
    int64_t *left, *wanted;
    int64_t rows, classes, n_first;
} split;

/* Selection sampling (Knuth, The Art of Computer Programming, volume 2, 3.4.2, algorithm S), class
 * by class in one pass over the rows. */
static void divide(split *s, double fraction, uint64_t seed)
{
    for (int64_t i = 0; i < s->rows; i++)
        s->left[s->label[i]]++;
    s->n_first = s->rows;
    for (int64_t c = 0; c < s->classes; c++)
        s->n_first -= s->wanted[c] = (int64_t)floor(fraction * (double)s->left[c] + 0.5);
    bpi_stream stream = {seed, 0, bpi_purpose_site(BPI_PURPOSE_SPLIT, 0)};
    int64_t at[2] = {0, s->n_first};
    for (int64_t i = 0; i < s->rows; i++) {
        int32_t c = s->label[i];
        bool second = bpi_random_below(&stream, (uint64_t)i, (uint32_t)s->left[c]) < s->wanted[c];
        s->left[c]--;
        s->wanted[c] -= second;
        s->row[at[second]++] = (int32_t)i;
    }
}

/* The class of each row; 0 where the targets are no classes. */
static bp_status read_labels(const bp_data *d, const char *who, int32_t *label)
{
    if (bp_data_targets(d) != BP_TARGETS_CLASSES)
        return BP_OK;
    int64_t rows = bp_data_rows(d);
    BPI_TRY(bp_read(bp_data_labels((bp_data *)d), label, (size_t)rows * sizeof *label));
    for (int64_t i = 0; i < rows; i++) /* a program may have written to them */
        if (label[i] < 0 || label[i] >= d->classes)
            return bpi_fail(d->ctx, BP_ERR_RANGE, "%s: label %lld is %d of %d classes", who,
                            (long long)i, (int)label[i], (int)d->classes);
    return BP_OK;
}

static bp_status two_sets(const bp_data *d, double fraction, uint64_t seed, split *s,
                          bp_data **first, bp_data **second)
{
    const char *who = "data_split";
    if (!s->label || !s->row || !s->left)
        return bpi_fail(d->ctx, BP_ERR_NOMEM, "%s: no memory for %lld rows", who,
                        (long long)s->rows);
    BPI_TRY(read_labels(d, who, s->label));
    divide(s, fraction, seed);
    if (s->n_first == 0 || s->n_first == s->rows)
        return bpi_fail(d->ctx, BP_ERR_ARG, "%s: %g of %lld rows leaves one set empty", who,
                        fraction, (long long)s->rows);
    BPI_TRY(subset(d, who, s->row, s->n_first, first));
    bp_status st = subset(d, who, s->row + s->n_first, s->rows - s->n_first, second);
    if (st != BP_OK) {
        bp_data_free(*first);
        *first = NULL;
    }
    return st;
}

static bp_status split_set(const bp_data *d, double fraction, uint64_t seed, bp_data **first,
                           bp_data **second)
{
    bp_context *ctx = d->ctx;
    BPI_TRY(bpi_given(ctx, first, "data_split: first"));
    BPI_TRY(bpi_given(ctx, second, "data_split: second"));
    if (!(fraction > 0 && fraction < 1))
        return bpi_fail(ctx, BP_ERR_ARG, "data_split: the fraction %g is not in (0, 1)", fraction);
    split s = {.rows = bp_data_rows(d), .classes = d->classes ? d->classes : 1};
    size_t row_bytes = (size_t)s.rows * sizeof(int32_t);
    size_t class_bytes = 2 * (size_t)s.classes * sizeof(int64_t);
    s.label = bpi_host_alloc(ctx, row_bytes);
    s.row = bpi_host_alloc(ctx, row_bytes);
    s.left = bpi_host_alloc(ctx, class_bytes);
    s.wanted = s.left ? s.left + s.classes : NULL;
    bp_status st = two_sets(d, fraction, seed, &s, first, second);
    bpi_host_free(ctx, s.left, class_bytes);
    bpi_host_free(ctx, s.row, row_bytes);
    bpi_host_free(ctx, s.label, row_bytes);
    return st;
}

bp_status bp_data_split(const bp_data *d, double fraction, uint64_t seed, bp_data **first,
                        bp_data **second)
{
    if (first)
        *first = NULL;
    if (second)
        *second = NULL;
    BPI_LEADS(d, "data_split: data");
    BPI_INSIDE(d->ctx, split_set(d, fraction, seed, first, second));
}
