/* Sum over a set of axes; dx = dy, expanded. Kernel: src/cpu/sum.c. */
#include "ops/rule.h"

static bp_status infer(const bp_view *in, bp_view *out, const void *params, char *why)
{
    uint32_t axes = ((const bpi_sum_params *)params)->axes;
    if (!bpi_is_real(in[0].dtype))
        return bpi_why(why, BP_ERR_DTYPE, "x is %s, not f32 or f64", bp_dtype_name(in[0].dtype));
    if (axes >> in[0].shape.ndim)
        return bpi_why(why, BP_ERR_SHAPE, "axes 0x%x of %s", (unsigned)axes,
                       bpi_shape_str(&in[0].shape).s);
    bp_shape kept = {0};
    for (int i = 0; i < in[0].shape.ndim; i++)
        if (!(axes >> i & 1))
            kept.dim[kept.ndim++] = in[0].shape.dim[i];
    bpi_view_packed(&out[0], in[0].dtype, kept);
    return BP_OK;
}

static bp_shape keep_sizes(bp_shape shape, uint32_t axes)
{
    for (int i = 0; i < shape.ndim; i++)
        if (axes >> i & 1)
            shape.dim[i] = 1;
    return shape;
}

static bp_status gradient(bp_grad_call *c)
{
    uint32_t axes = ((const bpi_sum_params *)c->params)->axes;
    bp_tensor *dy = bp_reshape(c->dout[0], keep_sizes(c->in_shape[0], axes));
    c->dx[0] = bp_expand(dy, c->in_shape[0]);
    return BP_OK;
}

const bp_op bpi_op_sum = {
    .def = {.name = "sum", .n_in = 1, .n_out = 1, .params_bytes = sizeof(bpi_sum_params),
            .infer = infer, .gradient = gradient},
    .id = BPI_OP_sum,
};

bp_tensor *bp_sum_axes(bp_tensor *x, uint32_t axes, int32_t keep)
{
    bpi_sum_params p = {axes};
    bp_tensor *y = bpi_apply1(&bpi_op_sum, x, &p);
    return y && keep ? bp_reshape(y, keep_sizes(bp_shape_of(x), axes)) : y;
}

bp_tensor *bp_sum(bp_tensor *x)
{
    return bp_sum_axes(x, (1u << bp_shape_of(x).ndim) - 1, 0);
}

bp_tensor *bpi_sum_to(bp_tensor *x, const bp_shape *shape)
{
    if (!x || bpi_same_shape(&bpi_view_of(x)->shape, shape))
        return x;
    int extra = bpi_view_of(x)->shape.ndim - shape->ndim;
    uint32_t axes = 0;
    for (int i = 0; i < bpi_view_of(x)->shape.ndim; i++)
        if (i < extra || (shape->dim[i - extra] == 1 && bpi_view_of(x)->shape.dim[i] != 1))
            axes |= 1u << i;
    return bp_reshape(bp_sum_axes(x, axes, 0), *shape);
}
