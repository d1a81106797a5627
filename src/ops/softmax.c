/* y = e^x / sum_j e^x_j and y = x - ln sum_j e^x_j along an axis. dx = y (dy - sum_j dy_j y_j) and
 * dx = dy - e^y sum_j dy_j. Kernels: src/cpu/softmax.c, src/cpu/log_softmax.c. */
#include "ops/rule.h"

static bp_status infer(const bp_view *in, bp_view *out, const void *params, char *why)
{
    const int32_t axis = ((const bpi_softmax_params *)params)->axis;
    if (axis < 0 || axis >= in[0].shape.ndim)
        return bpi_why(why, BP_ERR_SHAPE, "x %s has no axis %d", bpi_shape_str(&in[0].shape).s,
                       axis);
    if (in[0].shape.dim[axis] < 1)
        return bpi_why(why, BP_ERR_SHAPE, "x %s has nothing along axis %d",
                       bpi_shape_str(&in[0].shape).s, axis);
    return bpi_infer_like(in, out, params, why);
}

static bp_tensor *sums(bp_grad_call *c, bp_tensor *x)
{
    return bp_sum_axes(x, BP_AXIS(((const bpi_softmax_params *)c->params)->axis), 1);
}

static bp_status fused(bp_grad_call *c, bpi_op_id op)
{
    bp_tensor *in[2] = {c->dout[0], c->out[0]};
    const bp_view *y = bpi_view_of(in[1]);
    c->dx[0] = bpi_fresh_packed(c->ctx, y->dtype, y->shape, BPI_OWNER_SCOPE);
    return c->dx[0] ? bpi_dispatch(c->ctx, op, BPI_BACKWARD, in, 2, c->dx, 1, c->params,
                                   sizeof(bpi_softmax_params))
                    : c->ctx->pending;
}

static bp_status softmax_gradient(bp_grad_call *c)
{
    if (!bpi_creates_graph(c))
        return fused(c, BPI_OP_softmax);
    bp_tensor *y = c->out[0], *dy_y = bp_mul(c->dout[0], y);
    c->dx[0] = bp_sub(dy_y, bp_mul(y, sums(c, dy_y)));
    return BP_OK;
}

static bp_status log_softmax_gradient(bp_grad_call *c)
{
    if (!bpi_creates_graph(c))
        return fused(c, BPI_OP_log_softmax);
    bp_tensor *dy = c->dout[0];
    c->dx[0] = bp_sub(dy, bp_mul(bp_exp(c->out[0]), sums(c, dy)));
    return BP_OK;
}

const bp_op bpi_op_softmax = {
    .def = {.name = "softmax", .n_in = 1, .n_out = 1,
            .params_bytes = sizeof(bpi_softmax_params), .saves_out = 1, .infer = infer,
            .gradient = softmax_gradient},
    .id = BPI_OP_softmax,
};

const bp_op bpi_op_log_softmax = {
    .def = {.name = "log_softmax", .n_in = 1, .n_out = 1,
            .params_bytes = sizeof(bpi_softmax_params), .saves_out = 1, .infer = infer,
            .gradient = log_softmax_gradient},
    .id = BPI_OP_log_softmax,
};

/* Where neighbours along the axis are neighbours in memory, it becomes the last. */
static bp_tensor *along(const bp_op *op, bp_tensor *x, int32_t axis)
{
    const int32_t last = bp_shape_of(x).ndim - 1;
    axis = bpi_axis_of(x, axis);
    bpi_softmax_params p = {axis};
    if (axis < 0 || axis >= last || bpi_view_of(x)->stride[axis] != 1)
        return bpi_apply1(op, x, &p);
    p.axis = last;
    return bp_transpose(bpi_apply1(op, bp_transpose(x, axis, last), &p), axis, last);
}

bp_tensor *bp_softmax(bp_tensor *x, int32_t axis)
{
    return along(&bpi_op_softmax, x, axis);
}

bp_tensor *bp_log_softmax(bp_tensor *x, int32_t axis)
{
    return along(&bpi_op_log_softmax, x, axis);
}
