/* y = e^x / sum_j e^x_j and y = x - ln sum_j e^x_j along the last axis; other axes are swapped there
 * and back. dx = y (dy - sum_j dy_j y_j); dx = dy - e^y sum_j dy_j. Kernels: src/cpu/softmax.c,
 * src/cpu/log_softmax.c. */
#include "ops/rule.h"

static bp_status infer(const bp_view *in, bp_view *out, const void *params, char *why)
{
    int n = in[0].shape.ndim;
    if (n < 1 || in[0].shape.dim[n - 1] < 1)
        return bpi_why(why, BP_ERR_SHAPE, "x %s has nothing along the axis",
                       bpi_shape_str(&in[0].shape).s);
    return bpi_infer_like(in, out, params, why);
}

static bp_tensor *row_sums(bp_tensor *x)
{
    return bp_sum_axes(x, BP_AXIS(bp_shape_of(x).ndim - 1), 1);
}

static bp_status fused(bp_grad_call *c, bpi_op_id op)
{
    bp_tensor *in[2] = {c->dout[0], c->out[0]};
    const bp_view *y = bpi_view_of(in[1]);
    c->dx[0] = bpi_fresh_packed(c->ctx, y->dtype, y->shape, BPI_OWNER_SCOPE);
    return c->dx[0] ? bpi_dispatch(c->ctx, op, BPI_BACKWARD, in, 2, c->dx, 1, NULL, 0)
                    : c->ctx->pending;
}

static bp_status softmax_gradient(bp_grad_call *c)
{
    if (!bpi_creates_graph(c))
        return fused(c, BPI_OP_softmax);
    bp_tensor *y = c->out[0], *dy_y = bp_mul(c->dout[0], y);
    c->dx[0] = bp_sub(dy_y, bp_mul(y, row_sums(dy_y)));
    return BP_OK;
}

static bp_status log_softmax_gradient(bp_grad_call *c)
{
    if (!bpi_creates_graph(c))
        return fused(c, BPI_OP_log_softmax);
    bp_tensor *dy = c->dout[0];
    c->dx[0] = bp_sub(dy, bp_mul(bp_exp(c->out[0]), row_sums(dy)));
    return BP_OK;
}

const bp_op bpi_op_softmax = {
    .def = {.name = "softmax", .n_in = 1, .n_out = 1, .saves_out = 1, .infer = infer,
            .gradient = softmax_gradient},
    .id = BPI_OP_softmax,
};

const bp_op bpi_op_log_softmax = {
    .def = {.name = "log_softmax", .n_in = 1, .n_out = 1, .saves_out = 1, .infer = infer,
            .gradient = log_softmax_gradient},
    .id = BPI_OP_log_softmax,
};

static bp_tensor *along(const bp_op *op, bp_tensor *x, int32_t axis)
{
    int32_t last = bp_shape_of(x).ndim - 1;
    if (axis == last || last < 0)
        return bpi_apply1(op, x, NULL);
    return bp_transpose(bpi_apply1(op, bp_transpose(x, axis, last), NULL), axis, last);
}

bp_tensor *bp_softmax(bp_tensor *x, int32_t axis)
{
    return along(&bpi_op_softmax, x, axis);
}

bp_tensor *bp_log_softmax(bp_tensor *x, int32_t axis)
{
    return along(&bpi_op_log_softmax, x, axis);
}
