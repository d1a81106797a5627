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

/* The axes before the matrices. */
static bpi_loop batch_of(const bp_view *a, const bp_view *b, const bp_view *c)
{
    bpi_loop batch = {.operands = 3};
    for (int32_t i = c->shape.ndim - 3; i >= 0; i--) {
        int64_t stride[] = {bpi_broadcast_stride(a, c, i), bpi_broadcast_stride(b, c, i),
                            c->stride[i]};
        if (c->shape.dim[i] != 1)
            bpi_loop_axis(&batch, c->shape.dim[i], stride);
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
    bpi_loop batch = batch_of(&in[0], &in[1], out);
    /* one B, and matrices of A whose rows follow on each other: they are the rows of one */
    if (batch.axes > 0 && batch.stride[1][0] == 0 && batch.stride[0][0] == g.m * g.a_row &&
        batch.stride[2][0] == g.m * g.c_row) {
        g.m *= batch.size[0];
        batch.size[0] = 1;
    }
    return BPI_CPU(gemm_each)(ex, &g, &batch);
}

BPI_CPU_OP(matmul) = {.slot[BPI_FORWARD] = {.fn = forward, .layout = BPI_MATRICES,
                                             .job_bytes = sizeof(bpi_gemm_plan)}};
