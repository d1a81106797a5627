/* The data as a whole, and how the other files read them: in blocks, or as an even sample. */
#include <stdlib.h>
#include <string.h>

#include "inside.h"

typedef struct block {
    bp_tensor *column;
    int64_t first, n, cols;
    double *x;
} block;

static bp_status read_block(bp_context *ctx, void *user)
{
    block *b = user;
    (void)ctx;
    return bp_read_f64(bp_slice(b->column, 0, b->first, b->first + b->n, 1), b->x, b->n * b->cols);
}

bp_status doctor_each(bp_data *data, const char *column, doctor_rows_fn each, void *user)
{
    enum { NUMBERS = 1 << 17 }; /* a megabyte */
    int64_t rows = bp_data_rows(data);
    block b = {.column = bp_data_column(data, column)};
    if (!b.column || rows < 1)
        return b.column ? BP_OK : BP_ERR_ARG;
    bp_context *ctx = bp_context_of(b.column);
    b.cols = bp_shape_count(bp_shape_of(b.column)) / rows;
    int64_t most = b.cols < NUMBERS ? NUMBERS / b.cols : 1;
    bp_status st = BP_OK;
    if (!(b.x = malloc((size_t)(most * b.cols) * sizeof *b.x)))
        return BP_ERR_NOMEM;
    for (; b.first < rows && st == BP_OK; b.first += b.n) {
        b.n = rows - b.first < most ? rows - b.first : most;
        st = bp_run(ctx, BP_NO_GRAD, read_block, &b);
        if (st == BP_OK)
            each(user, b.first, b.n, b.cols, b.x);
    }
    free(b.x);
    return st;
}

bp_status doctor_sample(const bp_data *data, int64_t width, bp_data **part)
{
    enum { NUMBERS = 1 << 22, ROWS = 1024, LEAST = 2 };
    int32_t index[ROWS];
    int64_t rows = bp_data_rows(data), most = NUMBERS / width;
    most = most > ROWS ? ROWS : most < LEAST ? LEAST : most;
    most = most < rows ? most : rows;
    for (int64_t i = 0; i < most; i++)
        index[i] = (int32_t)(i * rows / most);
    return bp_data_rows_at(data, index, most, part);
}

bp_status doctor_data(const doctor_case *c, findings *to)
{
    int64_t rows = bp_data_rows(c->train), cols = bp_data_cols(c->train);
    if (rows < 1 || cols < 1) {
        doctor_add(to, DOCTOR_ERROR, "no-samples", "--data", "there are no rows of samples");
        return BP_OK;
    }
    if (rows < cols)
        doctor_add(to, DOCTOR_WARNING, "few-rows", "--weight-decay",
                   "%lld rows of %lld columns: fewer rows than columns can be learned by heart; "
                   "hold the weights down, or leave columns out", (long long)rows,
                   (long long)cols);
    TRY(doctor_columns(c, to));
    if (bp_data_targets(c->train) == BP_TARGETS_NONE)
        return BP_OK;
    TRY(doctor_targets(c, to));
    return doctor_copies(c, to);
}
