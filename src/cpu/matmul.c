/* matmul: c = a b. Forward: a [M, K], b [K, N] -> c [M, N]; a and b may be transposed views.
 * Backward is two of the same. The product itself: gemm.c. The rule: src/ops/matmul.c. */
#include "cpu/gemm.h"

/* The strides of a view in BPI_MATRIX; an axis of size 1 may have any. */
static void strides(const bp_view *v, int64_t *row, int64_t *col)
{
    int transposed = v->stride[1] != 1 && v->shape.dim[1] > 1;
    *row = transposed ? 1 : v->stride[0];
    *col = transposed ? v->stride[1] : 1;
}

static bp_status forward(bp_exec *ex, const bp_view *in, const bp_view *out, const void *params)
{
    (void)params;
    bpi_gemm g = {.m = out->shape.dim[0], .n = out->shape.dim[1], .k = in[0].shape.dim[1],
                  .a = in[0].data, .b = in[1].data, .c = out->data, .c_row = out->stride[0]};
    strides(&in[0], &g.a_row, &g.a_col);
    strides(&in[1], &g.b_row, &g.b_col);
    return BPI_CPU(gemm)(ex, &g);
}

BPI_CPU_OP(matmul) = {.slot[BPI_FORWARD] = {.fn = forward, .layout = BPI_MATRIX}};
