/* y = ln x; dx = dy / x. Kernel: src/cpu/log.c. */
#include "ops/rule.h"

static bp_status gradient(bp_grad_call *c)
{
    c->dx[0] = bp_div(c->dout[0], c->in[0]);
    return BP_OK;
}

const bp_op bpi_op_log = {
    .def = {.name = "log", .n_in = 1, .n_out = 1, .saves_in = 1, .infer = bpi_infer_like,
            .gradient = gradient},
    .id = BPI_OP_log,
};

bp_tensor *bp_log(bp_tensor *x)
{
    return bpi_apply1(&bpi_op_log, x, NULL);
}
