/* y[i] = sum of x[0 .. i] along an axis, or of x[i ..] in reverse; dx is the same of dy the other
 * way round. Kernel: src/cpu/cumsum.c. */
#include "ops/rule.h"

static bp_status infer(const bp_view *in, bp_view *out, const void *params, char *why)
{
    const bpi_cumsum_params *p = params;
    if (p->axis < 0 || p->axis >= in[0].shape.ndim)
        return bpi_why(why, BP_ERR_SHAPE, "axis %d of %s", p->axis,
                       bpi_shape_str(&in[0].shape).s);
    return bpi_infer_like(in, out, params, why);
}

static bp_status gradient(bp_grad_call *c)
{
    const bpi_cumsum_params *p = c->params;
    c->dx[0] = bp_cumsum(c->dout[0], p->axis, !p->reverse);
    return BP_OK;
}

const bp_op bpi_op_cumsum = {
    .def = {.name = "cumsum", .n_in = 1, .n_out = 1, .params_bytes = sizeof(bpi_cumsum_params),
            .infer = infer, .gradient = gradient},
    .id = BPI_OP_cumsum,
};

bp_tensor *bp_cumsum(bp_tensor *x, int32_t axis, int32_t reverse)
{
    const bpi_cumsum_params p = {bpi_axis_of(x, axis), reverse != 0};
    return bpi_apply1(&bpi_op_cumsum, x, &p);
}
