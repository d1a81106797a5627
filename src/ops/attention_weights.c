/* y = softmax(x) along the last axis, 0 beyond the diagonal if causal and where all is -Inf.
 * dx = y (dy - sum_j dy_j y_j). Kernel: src/cpu/attention_weights.c. */
#include "ops/rule.h"

static bp_status infer(const bp_view *in, bp_view *out, const void *params, char *why)
{
    const bpi_attention_params *p = params;
    if (p->causal & ~BP_CAUSAL)
        return bpi_why(why, BP_ERR_ARG, "flags 0x%x: 0 or BP_CAUSAL is wanted",
                       (unsigned)p->causal);
    if (in[0].shape.ndim < 2)
        return bpi_why(why, BP_ERR_SHAPE, "scores %s: [..,T,S] is wanted",
                       bpi_shape_str(&in[0].shape).s);
    return bpi_infer_like(in, out, params, why);
}

static bp_status gradient(bp_grad_call *c)
{
    bp_tensor *dy = c->dout[0], *y = c->out[0];
    bp_tensor *sum = bp_sum_axes(bp_mul(dy, y), BP_AXIS(c->in_shape[0].ndim - 1), 1);
    c->dx[0] = bp_mul(y, bp_add(dy, bp_scale(sum, -1)));
    return BP_OK;
}

const bp_op bpi_op_attention_weights = {
    .def = {.name = "attention_weights", .n_in = 1, .n_out = 1,
            .params_bytes = sizeof(bpi_attention_params), .saves_out = 1, .infer = infer,
            .gradient = gradient},
    .id = BPI_OP_attention_weights,
};

bp_tensor *bp_attention_weights(bp_tensor *scores, uint32_t flags)
{
    bpi_attention_params p = {.causal = (int32_t)flags};
    return bpi_apply1(&bpi_op_attention_weights, scores, &p);
}
