/* y = factor x; dx = factor dy. Kernel: src/cpu/scale.c. */
#include "ops/rule.h"

static bp_status gradient(bp_grad_call *c)
{
    c->dx[0] = bpi_apply1(&bpi_op_scale, c->dout[0], c->params);
    return BP_OK;
}

#define RULE(op_name) \
    {.def = {.name = op_name, .n_in = 1, .n_out = 1, .params_bytes = sizeof(bpi_scale_params), \
             .infer = bpi_infer_like, .gradient = gradient},                                   \
     .id = BPI_OP_scale, .none = op_name ": input 0 is NULL"}
const bp_op bpi_op_scale = RULE("scale");
static const bp_op neg = RULE("neg");

bp_tensor *bp_neg(bp_tensor *x)
{
    return bpi_apply1(&neg, x, &(bpi_scale_params){-1});
}

bp_tensor *bp_scale(bp_tensor *x, double factor)
{
    bpi_scale_params p = {factor};
    return bpi_apply1(&bpi_op_scale, x, &p);
}
