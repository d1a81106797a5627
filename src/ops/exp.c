/* y = e^x; dx = dy y. Kernel: src/cpu/exp.c. */
#include "ops/rule.h"

static bp_status gradient(bp_grad_call *c)
{
    c->dx[0] = bp_mul(c->dout[0], c->out[0]);
    return BP_OK;
}

const bp_op bpi_op_exp = {
    .def = {.name = "exp", .n_in = 1, .n_out = 1, .saves_out = 1, .infer = bpi_infer_like,
            .gradient = gradient},
    .id = BPI_OP_exp,
};

bp_tensor *bp_exp(bp_tensor *x)
{
    return bpi_apply1(&bpi_op_exp, x, NULL);
}
