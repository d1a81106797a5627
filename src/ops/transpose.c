/* A view with two axes swapped; dx = transpose(dy). No kernel. */
#include "ops/rule.h"

typedef struct transpose_params {
    int32_t a, b;
} transpose_params;

static bp_status infer(const bp_view *in, bp_view *out, const void *params, char *why)
{
    const transpose_params *p = params;
    if (p->a < 0 || p->b < 0)
        return bpi_why(why, BP_ERR_SHAPE, "x %s has no such axes",
                       bpi_shape_str(&in[0].shape).s);
    out[0] = in[0];
    out[0].shape.dim[p->a] = in[0].shape.dim[p->b];
    out[0].shape.dim[p->b] = in[0].shape.dim[p->a];
    out[0].stride[p->a] = in[0].stride[p->b];
    out[0].stride[p->b] = in[0].stride[p->a];
    return BP_OK;
}

static bp_status gradient(bp_grad_call *c)
{
    c->dx[0] = bpi_apply1(&bpi_op_transpose, c->dout[0], c->params);
    return BP_OK;
}

const bp_op bpi_op_transpose = {
    .def = {.name = "transpose", .n_in = 1, .n_out = 1, .params_bytes = sizeof(transpose_params),
            .infer = infer, .gradient = gradient},
    .id = BPI_OP_transpose,
    .flags = BPI_OP_IS_VIEW,
};

bp_tensor *bp_transpose(bp_tensor *x, int32_t a, int32_t b)
{
    int32_t ndim = bp_shape_of(x).ndim;
    transpose_params p = {bpi_axis(a, ndim), bpi_axis(b, ndim)};
    return bpi_apply1(&bpi_op_transpose, x, &p);
}
