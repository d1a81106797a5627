/* The same elements in another shape: a view where strides can say it; dx = reshape(dy). What
 * cannot be seen so is copied first, which the tape sees. No kernel. */
#include "ops/rule.h"

static bp_status infer(const bp_view *in, bp_view *out, const void *params, char *why)
{
    const bp_shape *shape = params;
    if (!bpi_shape_valid(shape) || bp_shape_count(*shape) != bp_shape_count(in[0].shape))
        return bpi_why(why, BP_ERR_SHAPE, "%s to %s: the counts differ",
                       bpi_shape_str(&in[0].shape).s, bpi_shape_str(shape).s);
    bpi_view_reshaped(&in[0], shape, &out[0]);
    return BP_OK;
}

static bp_status gradient(bp_grad_call *c)
{
    c->dx[0] = bp_reshape(c->dout[0], c->in_shape[0]);
    return BP_OK;
}

const bp_op bpi_op_reshape = {
    .def = {.name = "reshape", .n_in = 1, .n_out = 1, .params_bytes = sizeof(bp_shape),
            .infer = infer, .gradient = gradient},
    .id = BPI_OP_reshape,
    .flags = BPI_OP_IS_VIEW,
};

bp_tensor *bp_reshape(bp_tensor *x, bp_shape shape)
{
    bp_view seen;
    bp_context *ctx = BPI_BEGIN("reshape", &x, 1);
    if (!ctx)
        return NULL;
    if (bpi_shape_valid(&shape) && !bpi_view_reshaped(bpi_view_of(x), &shape, &seen))
        x = bp_cast(x, bpi_view_of(x)->dtype);
    x = bpi_apply1(&bpi_op_reshape, x, &shape);
    bpi_leave(ctx);
    return x;
}
