/* y = sum (x - mean)^2 / (n - correction) over a set of axes, or its root, the standard deviation;
 * dx = dy 2 (x - mean) / (n - correction), or dy (x - mean) / (y (n - correction)), 0 where y is.
 * Kernel: src/cpu/variance.c. */
#include "ops/rule.h"

static bp_status infer(const bp_view *in, bp_view *out, const void *params, char *why)
{
    const bpi_variance_params *p = params;
    if (p->correction != 0 && p->correction != 1)
        return bpi_why(why, BP_ERR_ARG, "correction is %d: 0 or 1 is wanted", p->correction);
    BPI_TRY(bpi_infer_reduced(in, p->axes, in[0].dtype, out, why));
    out[1] = out[0];
    return BP_OK;
}

/* x - its mean: the kernel's, or one that can be differentiated. That is rounded, which far from 0
 * would show in the sum of dx: what is left of it is taken off as well, where it is a number. */
static bp_tensor *centred(bp_grad_call *c, uint32_t axes, bp_shape kept)
{
    bp_tensor *x = c->in[0];
    bp_tensor *mean = bpi_creates_graph(c) ? bp_mean_axes(x, axes, 1) : bp_reshape(c->out[1], kept);
    bp_tensor *apart = bp_sub(x, mean), *rest = bp_mean_axes(apart, axes, 1);
    return bp_sub(apart, bp_where(bp_equal(rest, rest), rest, bp_full_like(rest, 0)));
}

static bp_status gradient(bp_grad_call *c)
{
    const bpi_variance_params *p = c->params;
    double left = -p->correction, n = 1;
    for (int i = 0; i < c->in_shape[0].ndim; i++)
        n *= p->axes >> i & 1 ? (double)c->in_shape[0].dim[i] : 1;
    left += n;
    const bp_shape kept = bpi_keep_sizes(c->in_shape[0], p->axes);
    bp_tensor *dy = bp_reshape(bp_scale(c->dout[0], (p->root ? 1 : 2) / left), kept);
    bp_tensor *apart = centred(c, p->axes, kept);
    c->dx[0] = p->root ? bpi_root_slope(dy, apart, bp_reshape(c->out[0], kept)) : bp_mul(apart, dy);
    return BP_OK;
}

#define RULE(op_name) \
    {.def = {.name = op_name, .n_in = 1, .n_out = 2, .params_bytes = sizeof(bpi_variance_params), \
             .saves_in = 1, .saves_out = 3, .infer = infer, .gradient = gradient},                \
     .id = BPI_OP_variance, .none = op_name ": input 0 is NULL"}
const bp_op bpi_op_variance = RULE("variance");
static const bp_op standard_deviation = RULE("std");

bp_tensor *bp_variance_axes(bp_tensor *x, uint32_t axes, int32_t correction, int32_t keep)
{
    const bpi_variance_params p = {axes, correction, 0};
    return bpi_keep_axes(bpi_apply1(&bpi_op_variance, x, &p), x, axes, keep);
}

bp_tensor *bp_variance(bp_tensor *x, int32_t correction)
{
    return bp_variance_axes(x, bpi_all_axes(x), correction, 0);
}

bp_tensor *bp_std_axes(bp_tensor *x, uint32_t axes, int32_t correction, int32_t keep)
{
    const bpi_variance_params p = {axes, correction, 1};
    return bpi_keep_axes(bpi_apply1(&standard_deviation, x, &p), x, axes, keep);
}

bp_tensor *bp_std(bp_tensor *x, int32_t correction)
{
    return bp_std_axes(x, bpi_all_axes(x), correction, 0);
}
