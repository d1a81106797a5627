/* y = x - ln sum_j e^x_j along the last axis; other axes are swapped there and back.
 * dx = dy - e^y sum_j dy_j. Kernels: src/cpu/log_softmax.c. */
#include "ops/rule.h"

static bp_status infer(const bp_view *in, bp_view *out, const void *params, char *why)
{
    int n = in[0].shape.ndim;
    if (n < 1 || in[0].shape.dim[n - 1] < 1)
        return bpi_why(why, BP_ERR_SHAPE, "x %s has nothing along the axis",
                       bpi_shape_str(&in[0].shape).s);
    return bpi_infer_like(in, out, params, why);
}

static bp_status gradient(bp_grad_call *c)
{
    bp_tensor *dy = c->dout[0], *y = c->out[0];
    if (bpi_creates_graph(c)) {
        bp_tensor *total = bp_sum_axes(dy, BP_AXIS(c->in_shape[0].ndim - 1), 1);
        c->dx[0] = bp_add(dy, bp_scale(bp_mul(bp_exp(y), total), -1));
    } else {
        c->dx[0] = bpi_fresh_packed(c->ctx, bpi_view_of(y)->dtype, bpi_view_of(y)->shape,
                                    BPI_OWNER_SCOPE);
        bp_tensor *in[2] = {dy, y};
        if (c->dx[0])
            BPI_TRY(bpi_dispatch(c->ctx, BPI_OP_log_softmax, BPI_BACKWARD, in, 2, c->dx, 1, NULL,
                                 0));
    }
    return BP_OK;
}

const bp_op bpi_op_log_softmax = {
    .def = {.name = "log_softmax", .n_in = 1, .n_out = 1, .saves_out = 1, .infer = infer,
            .gradient = gradient},
    .id = BPI_OP_log_softmax,
};

bp_tensor *bp_log_softmax(bp_tensor *x, int32_t axis)
{
    int32_t last = bp_shape_of(x).ndim - 1;
    if (axis == last || last < 0)
        return bpi_apply1(&bpi_op_log_softmax, x, NULL);
    return bp_transpose(bpi_apply1(&bpi_op_log_softmax, bp_transpose(x, axis, last), NULL), axis,
                        last);
}
