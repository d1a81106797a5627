/* The normaliser of n columns: its numbers on the device and on the host, and rows that go through
 * it. What they are: normalize.c, decorrelate.c. */
#include <string.h>

#include "nn/nn.h"

bp_status bpi_normalizer_create(bp_context *ctx, int64_t n, bpi_normalizer *to)
{
    *to = (bpi_normalizer){.n = n};
    to->shift = bp_tensor_create(ctx, BP_F64, BP_SHAPE(n));
    to->scale = bp_tensor_create(ctx, BP_F64, BP_SHAPE(n));
    to->host = bpi_host_alloc(ctx, 2 * (size_t)n * sizeof *to->host);
    if (!to->shift || !to->scale)
        return BP_ERR_NOMEM;
    if (!to->host)
        return bpi_fail(ctx, BP_ERR_NOMEM, "model_create: out of memory");
    for (int64_t j = 0; j < n; j++)
        to->host[n + j] = 1;
    return bpi_normalizer_set(to, to->host, NULL);
}

void bpi_normalizer_free(bp_context *ctx, bpi_normalizer *of)
{
    bp_free(of->shift);
    bp_free(of->scale);
    bp_free(of->room);
    bpi_host_free(ctx, of->host, 2 * (size_t)of->n * sizeof *of->host);
}

bp_status bpi_normalizer_set(bpi_normalizer *of, const double *both, const float *matrix)
{
    size_t bytes = (size_t)of->n * sizeof *both, all = (size_t)(of->n * of->n) * sizeof *matrix;
    if (matrix && !of->room)
        of->room = bp_tensor_create(bp_context_of(of->shift), BP_F32, BP_SHAPE(of->n, of->n));
    if (matrix && !of->room)
        return BP_ERR_NOMEM;
    if (matrix)
        BPI_TRY(bp_write(of->room, matrix, all));
    BPI_TRY(bp_write(of->shift, both, bytes));
    BPI_TRY(bp_write(of->scale, both + of->n, bytes));
    memmove(of->host, both, 2 * bytes);
    of->matrix = matrix ? of->room : NULL;
    of->digest = bpi_hashed(bpi_hashed(BPI_HASH_BEGIN, both, 2 * bytes), matrix, matrix ? all : 0);
    return BP_OK;
}

/* Frees x, which was read. */
static bp_tensor *turned(const bpi_normalizer *n, bp_tensor *x)
{
    if (!n->matrix)
        return x;
    bp_tensor *y = bp_matmul(x, n->matrix);
    bp_free(x);
    return y;
}

bp_tensor *bpi_normal_rows(const bpi_normalizer *n, bp_tensor *table, bp_tensor *index)
{
    bp_shape is = bp_shape_of(table);
    if (is.ndim == 2 || is.ndim == 0)
        return turned(n, bp_gather_normalized(table, index, n->shift, n->scale, BP_F32));
    bp_tensor *flat = bp_reshape(table, BP_SHAPE(is.dim[0], n->n));
    bp_tensor *y = bp_gather_normalized(flat, index, n->shift, n->scale, BP_F32);
    bp_free(flat);
    return turned(n, y);
}
