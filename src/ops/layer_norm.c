/* y = (x - mean) / sqrt(variance + eps) gain + bias along the last axis: layer_norm; the same
 * without bias and mean: rms_norm; without gain and bias: standardize. One kernel,
 * src/cpu/layer_norm.c, which keeps the statistics of each row as aux. */
#include <math.h>

#include "ops/rule.h"

static bp_status infer(const bp_view *in, bp_view *out, const void *params, char *why)
{
    const bpi_layer_norm_params *p = params;
    const int32_t last = in[0].shape.ndim - 1;
    if (!(p->eps >= 0 && p->eps < INFINITY))
        return bpi_why(why, BP_ERR_ARG, "eps %g is not a number from 0 on", p->eps);
    for (int i = 1; i <= p->gain + p->bias; i++) {
        const char *name = i == 1 ? "gain" : "bias";
        if (in[i].dtype != in[0].dtype)
            return bpi_why(why, BP_ERR_DTYPE, "x is %s and %s is %s: equal dtypes are wanted",
                           bp_dtype_name(in[0].dtype), name, bp_dtype_name(in[i].dtype));
        if (last < 0 || in[i].shape.ndim != 1 || in[i].shape.dim[0] != in[0].shape.dim[last])
            return bpi_why(why, BP_ERR_SHAPE, "x %s and %s %s: the last sizes of x are wanted",
                           bpi_shape_str(&in[0].shape).s, name, bpi_shape_str(&in[i].shape).s);
    }
    if (p->axes < 1 || p->axes > last + 1)
        return bpi_why(why, BP_ERR_SHAPE, "x %s has no last %d axes", bpi_shape_str(&in[0].shape).s,
                       p->axes);
    if (in[0].shape.dim[last] < 1)
        return bpi_why(why, BP_ERR_SHAPE, "x %s has nothing along the axis",
                       bpi_shape_str(&in[0].shape).s);
    return bpi_infer_like(in, out, params, why);
}

bp_tensor *bpi_standardized(bp_tensor *x, int32_t axis, double eps, bp_tensor **mean,
                            bp_tensor **variance)
{
    const double share = 1 / (double)bp_shape_of(x).dim[axis];
    if (mean) {
        *mean = bp_scale(bp_sum_axes(x, BP_AXIS(axis), 1), share);
        x = bp_sub(x, *mean);
    }
    *variance = bp_scale(bp_sum_axes(bp_mul(x, x), BP_AXIS(axis), 1), share);
    return bp_div(x, bp_sqrt(bp_shift(*variance, eps)));
}

static bp_status compose(bp_context *ctx, bp_tensor *const *in, const void *params,
                         bp_tensor **out)
{
    const bpi_layer_norm_params *p = params;
    bp_tensor *mean, *variance;
    bp_tensor *y = bpi_standardized(in[0], bp_shape_of(in[0]).ndim - 1, p->eps,
                                    p->centred ? &mean : NULL, &variance);
    if (p->gain)
        y = bp_mul(y, in[1]);
    if (p->bias)
        y = bp_add(y, in[2]);
    out[0] = y;
    return y ? BP_OK : ctx->pending;
}

static bp_status gradient(bp_grad_call *c)
{
    const bpi_layer_norm_params *p = c->params;
    bp_dtype dtype = bpi_view_of(c->dout[0])->dtype;
    for (int i = 0; i < c->n_in; i++)
        if (c->need[i] && !(c->dx[i] = bpi_fresh_packed(c->ctx, dtype, c->in_shape[i],
                                                        BPI_OWNER_SCOPE)))
            return c->ctx->pending;
    bp_tensor *in[4] = {c->dout[0], c->in[0], p->gain ? c->in[1] : NULL, bpi_inside(c)->aux};
    return bpi_dispatch(c->ctx, BPI_OP_layer_norm, BPI_BACKWARD, in, 4, c->dx, 3, p, sizeof *p);
}

#define NORM(op_name, inputs, saved)                                                              \
    static const bp_op op_name = {                                                                \
        .def = {.name = #op_name, .n_in = inputs, .n_out = 1,                                     \
                .params_bytes = sizeof(bpi_layer_norm_params), .saves_in = saved, .infer = infer, \
                .gradient = gradient},                                                            \
        .id = BPI_OP_layer_norm,                                                                  \
        .none = #op_name ": input 0 is NULL",                                                     \
        .compose = compose,                                                                       \
    }
NORM(standardize, 1, 1);
NORM(rms_norm, 2, 3);

const bp_op bpi_op_layer_norm = {
    .def = {.name = "layer_norm", .n_in = 3, .n_out = 1,
            .params_bytes = sizeof(bpi_layer_norm_params), .saves_in = 3, .infer = infer,
            .gradient = gradient},
    .id = BPI_OP_layer_norm,
    .compose = compose,
};

/* The last `axes` axes as one, if x has so many. */
static bp_tensor *joined(bp_tensor *x, int32_t axes)
{
    bp_shape s = bp_shape_of(x);
    if (axes <= 1 || axes > s.ndim)
        return x;
    for (int32_t i = 1; i < axes; i++)
        s.dim[s.ndim - axes] *= s.dim[s.ndim - axes + i];
    s.ndim -= axes - 1;
    return bp_reshape(x, s);
}

/* Whether the sizes of gain, or bias, are the last ones of x; a rule tells what is wanted. */
static bool fits(const bp_shape *x, bp_tensor *gain)
{
    bp_shape g = bp_shape_of(gain);
    bool equal = !gain || g.ndim <= x->ndim;
    for (int32_t i = 0; equal && i < g.ndim; i++)
        equal = g.dim[i] == x->dim[x->ndim - g.ndim + i];
    return equal;
}

/* op over the last p.axes axes of in[0]. */
static bp_tensor *apply(const bp_op *op, bp_tensor *x, bp_tensor *gain, bp_tensor *bias,
                        bpi_layer_norm_params p)
{
    bp_shape shape = bp_shape_of(x);
    if (p.axes <= 1 || p.axes > shape.ndim || !fits(&shape, gain) || !fits(&shape, bias))
        return bpi_apply(op, (bp_tensor *[]){x, gain, bias}, &p, NULL);
    bp_tensor *in[] = {joined(x, p.axes), joined(gain, p.axes), joined(bias, p.axes)};
    p.axes = 1;
    return bp_reshape(bpi_apply(op, in, &p, NULL), shape);
}

bp_tensor *bp_standardize(bp_tensor *x, int32_t axes, double eps)
{
    return apply(&standardize, x, NULL, NULL,
                 (bpi_layer_norm_params){.eps = eps, .axes = axes, .centred = 1});
}

bp_tensor *bp_rms_norm(bp_tensor *x, bp_tensor *gain, double eps)
{
    return apply(&rms_norm, x, gain, NULL,
                 (bpi_layer_norm_params){.eps = eps, .axes = bp_shape_of(gain).ndim, .gain = 1});
}

bp_tensor *bp_layer_norm(bp_tensor *x, bp_tensor *gain, bp_tensor *bias, double eps)
{
    return apply(&bpi_op_layer_norm, x, gain, bias,
                 (bpi_layer_norm_params){.eps = eps, .axes = bp_shape_of(gain).ndim, .centred = 1,
                                         .gain = 1, .bias = 1});
}
