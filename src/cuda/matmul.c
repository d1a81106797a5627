/* matmul: c = a b. Forward: a [M, K], b [K, N] -> c [M, N]; a and b may be transposed views.
 * Backward is two of the same. The product itself: lt.c. The rule: src/ops/matmul.c. */
#include "cuda/inside.h"

/* The pitch of a view in BPI_MATRIX, and whether its memory is that of the transposed matrix; an
 * axis of size 1 may have any stride. */
static int32_t pitch_of(const bp_view *v, int64_t *pitch)
{
    int32_t transposed = v->stride[1] != 1 && v->shape.dim[1] > 1;
    int64_t width = v->shape.dim[transposed ? 0 : 1];
    *pitch = v->stride[transposed ? 1 : 0];
    if (*pitch < width) /* of the only row */
        *pitch = width;
    return transposed;
}

static bp_status forward(bp_exec *ex, const bp_view *in, const bp_view *out, const void *params)
{
    (void)params;
    bpi_product p = {.dtype = out->dtype, .m = out->shape.dim[0], .n = out->shape.dim[1],
                     .k = in[0].shape.dim[1], .a = in[0].data, .b = in[1].data, .c = out->data,
                     .c_pitch = out->stride[0], .alpha = 1};
    p.a_transposed = pitch_of(&in[0], &p.a_pitch);
    p.b_transposed = pitch_of(&in[1], &p.b_pitch);
    return bpi_lt_product(ex, &p);
}

const bpi_op_kernels bpi_cuda_matmul_f32 = {
    .slot[BPI_FORWARD] = {.fn = forward, .layout = BPI_MATRIX}};
const bpi_op_kernels bpi_cuda_matmul_f64 = {
    .slot[BPI_FORWARD] = {.fn = forward, .layout = BPI_MATRIX}};
