/* y = a scale where g > 0 or g is NaN, else 0; da = gate(dy, g), g has no gradient: it is the
 * derivative of ReLU, constant almost everywhere. Kernel: src/cpu/gate.c. */
#include "ops/rule.h"

static bp_status infer(const bp_view *in, bp_view *out, const void *params, char *why)
{
    (void)params;
    if (in[0].dtype != in[1].dtype || !bpi_is_real(in[0].dtype))
        return bpi_why(why, BP_ERR_DTYPE, "a is %s and g is %s: equal and real dtypes are wanted",
                       bp_dtype_name(in[0].dtype), bp_dtype_name(in[1].dtype));
    if (!bpi_same_shape(&in[0].shape, &in[1].shape))
        return bpi_why(why, BP_ERR_SHAPE, "a %s and g %s differ", bpi_shape_str(&in[0].shape).s,
                       bpi_shape_str(&in[1].shape).s);
    bpi_view_packed(&out[0], in[0].dtype, in[0].shape);
    return BP_OK;
}

static bp_status gradient(bp_grad_call *c)
{
    if (c->need[0])
        c->dx[0] = bpi_apply2(&bpi_op_gate, c->dout[0], c->in[1], c->params);
    return BP_OK;
}

const bp_op bpi_op_gate = {
    .def = {.name = "gate", .n_in = 2, .n_out = 1, .params_bytes = sizeof(bpi_scale_params),
            .saves_in = 2, .infer = infer, .gradient = gradient},
    .id = BPI_OP_gate,
};

bp_tensor *bp_gate(bp_tensor *a, bp_tensor *g)
{
    bpi_scale_params p = {1};
    return bpi_apply2(&bpi_op_gate, a, g, &p);
}
