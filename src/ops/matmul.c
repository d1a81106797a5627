/* C = A B; dA = dC B^T, dB = A^T dC, read through transposed views. Kernel: src/cpu/matmul.c. */
#include "ops/rule.h"

static bp_status infer(const bp_view *in, bp_view *out, const void *params, char *why)
{
    (void)params;
    const bp_shape *a = &in[0].shape, *b = &in[1].shape;
    if (in[0].dtype != in[1].dtype || !bpi_is_real(in[0].dtype))
        return bpi_why(why, BP_ERR_DTYPE, "a is %s and b is %s: equal and real dtypes are wanted",
                       bp_dtype_name(in[0].dtype), bp_dtype_name(in[1].dtype));
    if (a->ndim != 2 || b->ndim != 2)
        return bpi_why(why, BP_ERR_SHAPE, "a %s and b %s: two matrices are wanted",
                       bpi_shape_str(a).s, bpi_shape_str(b).s);
    if (a->dim[1] != b->dim[0])
        return bpi_why(why, BP_ERR_SHAPE, "a %s and b %s: inner sizes %lld and %lld differ",
                       bpi_shape_str(a).s, bpi_shape_str(b).s, (long long)a->dim[1],
                       (long long)b->dim[0]);
    bpi_view_rows(&out[0], in[0].dtype, BP_SHAPE(a->dim[0], b->dim[1]));
    return BP_OK;
}

static bp_status gradient(bp_grad_call *c)
{
    if (c->need[0])
        c->dx[0] = bp_matmul(c->dout[0], bp_transpose(c->in[1], 0, 1));
    if (c->need[1])
        c->dx[1] = bp_matmul(bp_transpose(c->in[0], 0, 1), c->dout[0]);
    return BP_OK;
}

const bp_op bpi_op_matmul = {
    .def = {.name = "matmul", .n_in = 2, .n_out = 1, .saves_in = 3, .infer = infer,
            .gradient = gradient},
    .id = BPI_OP_matmul,
};

bp_tensor *bp_matmul(bp_tensor *a, bp_tensor *b)
{
    return bpi_apply2(&bpi_op_matmul, a, b, NULL);
}
