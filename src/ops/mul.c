/* y = a b elementwise with broadcasting; da = dy b, db = dy a, each summed over what was
 * broadcast. Kernel: src/cpu/mul.c. */
#include "ops/rule.h"

static bp_status infer(const bp_view *in, bp_view *out, const void *params, char *why)
{
    (void)params;
    return bpi_infer_broadcast(in, out, why, false);
}

static bp_status gradient(bp_grad_call *c)
{
    for (int i = 0; i < 2; i++)
        if (c->need[i])
            c->dx[i] = bpi_sum_to(bp_mul(c->dout[0], c->in[1 - i]), &c->in_shape[i]);
    return BP_OK;
}

const bp_op bpi_op_mul = {
    .def = {.name = "mul", .n_in = 2, .n_out = 1, .saves_in = 3, .infer = infer,
            .gradient = gradient},
    .id = BPI_OP_mul,
};

bp_tensor *bp_mul(bp_tensor *a, bp_tensor *b)
{
    return bpi_apply2(&bpi_op_mul, a, b, NULL);
}
