/* Data sets: samples and labels in device memory, checked once, when they come in; and the split of
 * one set in two, drawn on the host and gathered on the device. Readers: idx.c, digits.c. */
#include <math.h>

#include "core/error.h"
#include "core/handle.h"
#include "core/memory.h"
#include "core/view.h"
#include "data/data.h"
#include "door/philox.h"

struct bp_data {
    bp_context *ctx;
    bpi_late late;
    int64_t rows, cols;
    int32_t classes;
    bool images;
    bp_tensor *samples, *labels; /* [rows, cols], i32 [rows] */
};

static bp_status check(bp_context *ctx, bp_dtype dtype, const void *x, const int32_t *labels,
                       int64_t rows, int64_t cols, int32_t classes)
{
    BPI_TRY(bpi_given(ctx, x, "data_create: x"));
    BPI_TRY(bpi_given(ctx, labels, "data_create: labels"));
    if (dtype != BP_U8 && dtype != BP_F32)
        return bpi_fail(ctx, BP_ERR_DTYPE, "data_create: samples of %s; u8 or f32 are wanted",
                        bp_dtype_name(dtype));
    if (rows < 1 || cols < 1 || classes < 1)
        return bpi_fail(ctx, BP_ERR_SHAPE,
                        "data_create: %lld rows, %lld columns, %d classes: each must be 1 or more",
                        (long long)rows, (long long)cols, (int)classes);
    if (rows > INT32_MAX || cols > INT32_MAX)
        return bpi_fail(ctx, BP_ERR_SHAPE,
                        "data_create: %lld rows of %lld columns: the set is too large; at most %d "
                        "of each", (long long)rows, (long long)cols, INT32_MAX);
    int64_t count = rows * cols;
    for (int64_t i = 0; i < rows; i++)
        if (labels[i] < 0 || labels[i] >= classes)
            return bpi_fail(ctx, BP_ERR_RANGE,
                            "data_create: label %d of row %lld is not in 0 .. %d", (int)labels[i],
                            (long long)i, (int)classes - 1);
    for (int64_t i = 0; dtype == BP_F32 && i < count; i++)
        if (!isfinite(((const float *)x)[i]))
            return bpi_fail(ctx, BP_ERR_RANGE,
                            "data_create: row %lld, column %lld is %g; finite numbers are wanted",
                            (long long)(i / cols), (long long)(i % cols),
                            (double)((const float *)x)[i]);
    return BP_OK;
}

static bp_status create(bp_context *ctx, bp_dtype dtype, const void *x, const int32_t *labels,
                        int64_t rows, int64_t cols, int32_t classes, bp_data **out)
{
    BPI_TRY(bpi_given(ctx, out, "data_create: data"));
    BPI_TRY(check(ctx, dtype, x, labels, rows, cols, classes));
    bp_data *d = bpi_object_alloc(ctx, sizeof *d);
    if (!d)
        return bpi_fail(ctx, BP_ERR_NOMEM, "data_create: out of memory");
    *d = (bp_data){.ctx = ctx, .rows = rows, .cols = cols, .classes = classes};
    d->samples = bp_tensor_create(ctx, dtype, BP_SHAPE(rows, cols));
    d->labels = bp_tensor_create(ctx, BP_I32, BP_SHAPE(rows));
    bpi_lend(d->samples);
    bpi_lend(d->labels);
    bp_status st = d->samples && d->labels ? BP_OK : BP_ERR_NOMEM;
    if (st == BP_OK)
        st = bp_write(d->samples, x, (size_t)rows * (size_t)cols * bp_dtype_bytes(dtype));
    if (st == BP_OK)
        st = bp_write(d->labels, labels, (size_t)rows * sizeof *labels);
    if (st == BP_OK)
        *out = d;
    else
        bp_data_free(d);
    return st;
}

bp_status bp_data_create(bp_context *ctx, bp_dtype dtype, const void *x, const int32_t *labels,
                         int64_t rows, int64_t cols, int32_t classes, bp_data **data)
{
    if (data)
        *data = NULL;
    BPI_INSIDE(ctx, create(ctx, dtype, x, labels, rows, cols, classes, data));
}

static void free_late(bpi_late *late)
{
    bp_data_free((bp_data *)((char *)late - offsetof(bp_data, late)));
}

void bp_data_free(bp_data *d)
{
    if (!d || !bpi_enter_to_free(d->ctx, &d->late, free_late))
        return;
    bp_context *ctx = d->ctx;
    bpi_kill(d->samples);
    bpi_kill(d->labels);
    bpi_object_free(ctx, d, sizeof *d);
    bpi_leave(ctx);
}

int64_t bp_data_rows(const bp_data *d)
{
    return d ? d->rows : 0;
}

int64_t bp_data_cols(const bp_data *d)
{
    return d ? d->cols : 0;
}

int32_t bp_data_classes(const bp_data *d)
{
    return d ? d->classes : 0;
}

bool bpi_data_images(const bp_data *d)
{
    return d->images;
}

void bpi_data_set_images(bp_data *d)
{
    if (d)
        d->images = true;
}

bp_tensor *bp_data_samples(bp_data *d)
{
    return d ? d->samples : NULL;
}

bp_tensor *bp_data_labels(bp_data *d)
{
    return d ? d->labels : NULL;
}

/* --- the split --------------------------------------------------------------------------- */

/* Rows of d, by number, as a set of their own. */
static bp_status subset(const bp_data *d, const int32_t *row, int64_t n, bp_data **out)
{
    bp_context *ctx = d->ctx;
    bp_data *part = bpi_object_alloc(ctx, sizeof *part);
    if (!part)
        return bpi_fail(ctx, BP_ERR_NOMEM, "data_split: out of memory");
    *part = (bp_data){.ctx = ctx, .rows = n, .cols = d->cols, .classes = d->classes,
                      .images = d->images};
    bp_tensor *index = bp_tensor_create(ctx, BP_I32, BP_SHAPE(n));
    bp_status st = index ? bp_write(index, row, (size_t)n * sizeof *row) : BP_ERR_NOMEM;
    if (st == BP_OK && (st = bp_scope_begin(ctx, BP_NO_GRAD)) == BP_OK) {
        part->samples = bp_keep(bp_gather(d->samples, index));
        part->labels = bp_keep(bp_gather(d->labels, index));
        bpi_lend(part->samples);
        bpi_lend(part->labels);
        bp_status end = bp_scope_end(ctx);
        st = part->samples && part->labels ? end : end ? end : BP_ERR_NOMEM;
    }
    bp_free(index);
    if (st == BP_OK)
        *out = part;
    else
        bp_data_free(part);
    return st;
}

/* Host memory of a split: the labels, the rows of the first set and then those of the second, and
 * for each class the rows not seen yet, then those of them that go to the second set. */
typedef struct split {
    int32_t *label, *row;
    int64_t *left, *wanted;
    int64_t n_first;
} split;

/* Selection sampling (Knuth, The Art of Computer Programming, volume 2, 3.4.2, algorithm S), class
 * by class in one pass over the rows. */
static void divide(const bp_data *d, double fraction, uint64_t seed, split *s)
{
    for (int64_t i = 0; i < d->rows; i++)
        s->left[s->label[i]]++;
    s->n_first = d->rows;
    for (int32_t c = 0; c < d->classes; c++)
        s->n_first -= s->wanted[c] = (int64_t)floor(fraction * (double)s->left[c] + 0.5);
    bpi_stream stream = {seed, 0, bpi_purpose_site(BPI_PURPOSE_SPLIT, 0)};
    int64_t at[2] = {0, s->n_first};
    for (int64_t i = 0; i < d->rows; i++) {
        int32_t c = s->label[i];
        bool second = bpi_random_below(&stream, (uint64_t)i, (uint32_t)s->left[c]) < s->wanted[c];
        s->left[c]--;
        s->wanted[c] -= second;
        s->row[at[second]++] = (int32_t)i;
    }
}

static bp_status two_sets(const bp_data *d, double fraction, uint64_t seed, split *s,
                          bp_data **first, bp_data **second)
{
    if (!s->label || !s->row || !s->left)
        return bpi_fail(d->ctx, BP_ERR_NOMEM, "data_split: no memory for %lld rows",
                        (long long)d->rows);
    BPI_TRY(bp_read(d->labels, s->label, (size_t)d->rows * sizeof *s->label));
    for (int64_t i = 0; i < d->rows; i++) /* a program may have written to them */
        if (s->label[i] < 0 || s->label[i] >= d->classes)
            return bpi_fail(d->ctx, BP_ERR_RANGE, "data_split: label %lld is %d of %d classes",
                            (long long)i, (int)s->label[i], (int)d->classes);
    divide(d, fraction, seed, s);
    if (s->n_first == 0 || s->n_first == d->rows)
        return bpi_fail(d->ctx, BP_ERR_ARG, "data_split: %g of %lld rows leaves one set empty",
                        fraction, (long long)d->rows);
    BPI_TRY(subset(d, s->row, s->n_first, first));
    bp_status st = subset(d, s->row + s->n_first, d->rows - s->n_first, second);
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
    size_t row_bytes = (size_t)d->rows * sizeof(int32_t);
    size_t class_bytes = 2 * (size_t)d->classes * sizeof(int64_t);
    split s = {bpi_host_alloc(ctx, row_bytes), bpi_host_alloc(ctx, row_bytes),
               bpi_host_alloc(ctx, class_bytes), NULL, 0};
    s.wanted = s.left ? s.left + d->classes : NULL;
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
