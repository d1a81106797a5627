/* y = a + b with broadcasting; da = dy, db = dy, each summed over what was broadcast.
 * Kernel: src/cpu/add.c. */
#include "ops/rule.h"

static bp_status infer(const bp_view *in, bp_view *out, const void *params, char *why)
{
    (void)params;
    return bpi_infer_broadcast(in, out, why, true);
}

static bp_status gradient(bp_grad_call *c)
{
    for (int i = 0; i < 2; i++)
        if (c->need[i])
            c->dx[i] = bpi_sum_to(c->dout[0], &c->in_shape[i]);
    return BP_OK;
}

const bp_op bpi_op_add = {
    .def = {.name = "add", .n_in = 2, .n_out = 1, .infer = infer, .gradient = gradient},
    .id = BPI_OP_add,
};

bp_tensor *bp_add(bp_tensor *a, bp_tensor *b)
{
    return bpi_apply2(&bpi_op_add, a, b, NULL);
}
