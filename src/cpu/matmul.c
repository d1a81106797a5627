/* matmul: c = a b. Forward: a [.., M, K], b [.., K, N] -> c [.., M, N]; the matrices of a and b may
 * be transposed views, and the axes before them broadcast. Backward is two of the same. The product
 * itself: gemm.c. The rule: src/ops/matmul.c. */
#include "cpu/gemm.h"

/* The strides of the matrices of a view in BPI_MATRICES; an axis of size 1 may have any. */
static void strides(const bp_view *v, int64_t *row, int64_t *col)
{
    const int64_t *dim = v->shape.dim + v->shape.ndim - 2;
    const int64_t *stride = v->stride + v->shape.ndim - 2;
    int transposed = stride[1] != 1 && dim[1] > 1;
    *row = transposed ? 1 : stride[0];
    *col = transposed ? stride[1] : 1;
    if (dim[1] == 1 && stride[0] == 1) /* a column runs along its rows: dot tiles may take it */
        *col = at_least(dim[0], 2);
}

/* The stride of v along axis i, counted from the innermost of those before the matrices. */
static int64_t batch_stride(const bp_view *v, int32_t i)
{
    int32_t axis = v->shape.ndim - 3 - i;
    return axis < 0 || v->shape.dim[axis] == 1 ? 0 : v->stride[axis];
}

/* The axes before the matrices; of those that lie behind each other in all three, one. */
static bpi_gemm_batch batch_of(const bp_view *a, const bp_view *b, const bp_view *c)
{
    bpi_gemm_batch batch = {0};
    for (int32_t i = 0; i < c->shape.ndim - 2; i++) {
        int64_t size = c->shape.dim[c->shape.ndim - 3 - i];
        int64_t stride[3] = {batch_stride(a, i), batch_stride(b, i), batch_stride(c, i)};
        int32_t top = batch.axes - 1;
        int behind = top >= 0;
        for (int x = 0; x < 3 && behind; x++)
            behind = stride[x] == batch.stride[x][top] * batch.size[top];
        if (size == 1)
            continue;
        if (behind) {
            batch.size[top] *= size;
            continue;
        }
        for (int x = 0; x < 3; x++)
            batch.stride[x][batch.axes] = stride[x];
        batch.size[batch.axes++] = size;
    }
    return batch;
}

static bp_status forward(bp_exec *ex, const bp_view *in, const bp_view *out, const void *params)
{
    (void)params;
    const int32_t n = out->shape.ndim;
    bpi_gemm g = {.m = out->shape.dim[n - 2], .n = out->shape.dim[n - 1],
                  .k = in[0].shape.dim[in[0].shape.ndim - 1], .a = in[0].data, .b = in[1].data,
                  .c = out->data, .c_row = out->stride[n - 2]};
    strides(&in[0], &g.a_row, &g.a_col);
    strides(&in[1], &g.b_row, &g.b_col);
    if (n == 2)
        return BPI_CPU(gemm)(ex, &g);
    bpi_gemm_batch batch = batch_of(&in[0], &in[1], out);
    /* one B, and matrices of A whose rows follow on each other: they are the rows of one */
    if (batch.axes > 0 && batch.stride[1][0] == 0 && batch.stride[0][0] == g.m * g.a_row &&
        batch.stride[2][0] == g.m * g.c_row) {
        g.m *= batch.size[0];
        batch.size[0] = 1;
    }
    return BPI_CPU(gemm_each)(ex, &g, &batch);
}

BPI_CPU_OP(matmul) = {.slot[BPI_FORWARD] = {.fn = forward, .layout = BPI_MATRICES}};
