/* y = max(x, 0); dx = gate(dy, y), for y > 0 exactly where x > 0. Kernel: src/cpu/relu.c. */
#include "ops/rule.h"

static bp_status gradient(bp_grad_call *c)
{
    c->dx[0] = bp_gate(c->dout[0], c->out[0]);
    return BP_OK;
}

const bp_op bpi_op_relu = {
    .def = {.name = "relu", .n_in = 1, .n_out = 1, .saves_out = 1, .infer = bpi_infer_like,
            .gradient = gradient},
    .id = BPI_OP_relu,
};

bp_tensor *bp_relu(bp_tensor *x)
{
    return bpi_apply1(&bpi_op_relu, x, NULL);
}
