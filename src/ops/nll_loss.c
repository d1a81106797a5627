/* loss = -1/N sum_i logp[i, labels[i]]; linear in logp, its adjoint is nll_spread.
 * Kernel: src/cpu/nll_loss.c. */
#include "ops/rule.h"

bp_status bpi_infer_nll(const bp_view *in, char *why)
{
    if (!bpi_is_real(in[0].dtype) || in[1].dtype != BP_I32)
        return bpi_why(why, BP_ERR_DTYPE, "x is %s and labels %s: real and i32 are wanted",
                       bp_dtype_name(in[0].dtype), bp_dtype_name(in[1].dtype));
    if (in[0].shape.ndim != 2 || in[1].shape.ndim != 1 ||
        in[0].shape.dim[0] != in[1].shape.dim[0] || in[0].shape.dim[0] < 1 ||
        in[0].shape.dim[1] < 1)
        return bpi_why(why, BP_ERR_SHAPE, "x %s and labels %s: [N,C] and [N] are wanted, N, C >= 1",
                       bpi_shape_str(&in[0].shape).s, bpi_shape_str(&in[1].shape).s);
    return BP_OK;
}

static bp_status infer(const bp_view *in, bp_view *out, const void *params, char *why)
{
    (void)params;
    bpi_view_packed(&out[0], in[0].dtype, BP_SCALAR);
    return bpi_infer_nll(in, why);
}

static bp_status gradient(bp_grad_call *c)
{
    if (c->need[0])
        c->dx[0] = bp_nll_spread(c->dout[0], c->in[1], c->in_shape[0].dim[1]);
    return BP_OK;
}

const bp_op bpi_op_nll_loss = {
    .def = {.name = "nll_loss", .n_in = 2, .n_out = 1, .saves_in = 2, .infer = infer,
            .gradient = gradient},
    .id = BPI_OP_nll_loss,
};

bp_tensor *bp_nll_loss(bp_tensor *logp, bp_tensor *labels)
{
    return bpi_apply2(&bpi_op_nll_loss, logp, labels, NULL);
}
