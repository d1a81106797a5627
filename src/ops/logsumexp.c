/* y = ln sum e^x over a set of axes; dx = dy e^(x - y). Kernel: src/cpu/logsumexp.c. */
#include "ops/rule.h"

static bp_status infer(const bp_view *in, bp_view *out, const void *params, char *why)
{
    const bpi_sum_params *p = params;
    return bpi_infer_reduced(in, p->axes, in[0].dtype, out, why);
}

static bp_status gradient(bp_grad_call *c)
{
    const uint32_t axes = ((const bpi_sum_params *)c->params)->axes;
    bp_shape shape = bpi_keep_sizes(c->in_shape[0], axes);
    bp_tensor *y = bp_reshape(c->out[0], shape), *dy = bp_reshape(c->dout[0], shape);
    c->dx[0] = bp_mul(bp_exp(bp_sub(c->in[0], y)), dy);
    return BP_OK;
}

const bp_op bpi_op_logsumexp = {
    .def = {.name = "logsumexp", .n_in = 1, .n_out = 1, .params_bytes = sizeof(bpi_sum_params),
            .saves_in = 1, .saves_out = 1, .infer = infer, .gradient = gradient},
    .id = BPI_OP_logsumexp,
};

bp_tensor *bp_logsumexp_axes(bp_tensor *x, uint32_t axes, int32_t keep)
{
    const bpi_sum_params p = {axes};
    return bpi_keep_axes(bpi_apply1(&bpi_op_logsumexp, x, &p), x, axes, keep);
}

bp_tensor *bp_logsumexp(bp_tensor *x)
{
    return bp_logsumexp_axes(x, bpi_all_axes(x), 0);
}
