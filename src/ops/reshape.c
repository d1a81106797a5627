/* The same elements in another shape: a view of packed memory; dx = reshape(dy). What is not
 * packed is copied first, which the tape sees. No kernel. */
#include "ops/rule.h"

static bp_status infer(const bp_view *in, bp_view *out, const void *params, char *why)
{
    const bp_shape *shape = params;
    if (!bpi_shape_valid(shape) || bp_shape_count(*shape) != bp_shape_count(in[0].shape))
        return bpi_why(why, BP_ERR_SHAPE, "%s to %s: the counts differ",
                       bpi_shape_str(&in[0].shape).s, bpi_shape_str(shape).s);
    out[0] = in[0];
    bpi_view_packed(&out[0], in[0].dtype, *shape);
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
    if (x && bpi_at(x)->storage && !bpi_is_packed(bpi_view_of(x)))
        x = bp_cast(x, bpi_view_of(x)->dtype);
    return bpi_apply1(&bpi_op_reshape, x, &shape);
}
