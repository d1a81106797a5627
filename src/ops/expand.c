/* A view that repeats axes of size 1 by a stride of 0; dx = dy summed over them. No kernel. */
#include "ops/rule.h"

static bp_status infer(const bp_view *in, bp_view *out, const void *params, char *why)
{
    const bp_shape *shape = params;
    bp_shape both;
    if (!bpi_shape_valid(shape) || !bpi_broadcast(&in[0].shape, shape, &both) ||
        !bpi_same_shape(&both, shape))
        return bpi_why(why, BP_ERR_SHAPE, "%s does not expand to %s",
                       bpi_shape_str(&in[0].shape).s, bpi_shape_str(shape).s);
    out[0] = in[0];
    out[0].shape = *shape;
    for (int i = shape->ndim - 1, j = in[0].shape.ndim - 1; i >= 0; i--, j--)
        out[0].stride[i] = j < 0 || in[0].shape.dim[j] != shape->dim[i] ? 0 : in[0].stride[j];
    return BP_OK;
}

static bp_status gradient(bp_grad_call *c)
{
    c->dx[0] = bpi_sum_to(c->dout[0], &c->in_shape[0]);
    return BP_OK;
}

const bp_op bpi_op_expand = {
    .def = {.name = "expand", .n_in = 1, .n_out = 1, .params_bytes = sizeof(bp_shape),
            .infer = infer, .gradient = gradient},
    .id = BPI_OP_expand,
    .flags = BPI_OP_IS_VIEW,
};

bp_tensor *bp_expand(bp_tensor *x, bp_shape shape)
{
    return bpi_apply1(&bpi_op_expand, x, &shape);
}
