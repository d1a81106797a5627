/* y = a / b elementwise with broadcasting; da = dy / b, db = -dy y / b, each summed over what was
 * broadcast. Kernel: src/cpu/div.c. */
#include "ops/rule.h"

static bp_status infer(const bp_view *in, bp_view *out, const void *params, char *why)
{
    (void)params;
    return bpi_infer_broadcast(in, out, why, false);
}

static bp_status gradient(bp_grad_call *c)
{
    bp_tensor *da = bp_div(c->dout[0], c->in[1]);
    if (c->need[0])
        c->dx[0] = bpi_sum_to(da, &c->in_shape[0]);
    if (c->need[1])
        c->dx[1] = bpi_sum_to(bp_scale(bp_mul(da, c->out[0]), -1), &c->in_shape[1]);
    return BP_OK;
}

const bp_op bpi_op_div = {
    .def = {.name = "div", .n_in = 2, .n_out = 1, .saves_in = 2, .saves_out = 1, .infer = infer,
            .gradient = gradient},
    .id = BPI_OP_div,
};

bp_tensor *bp_div(bp_tensor *a, bp_tensor *b)
{
    return bpi_apply2(&bpi_op_div, a, b, NULL);
}
