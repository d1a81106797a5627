/* y[i, j] = -s / N where j = labels[i], else 0: the adjoint of nll_loss, which is its gradient in
 * turn. Kernel: src/cpu/nll_spread.c. */
#include "ops/rule.h"

typedef struct spread_params {
    int64_t classes;
} spread_params;

static bp_status infer(const bp_view *in, bp_view *out, const void *params, char *why)
{
    int64_t classes = ((const spread_params *)params)->classes;
    if (!bpi_is_real(in[0].dtype) || in[1].dtype != BP_I32)
        return bpi_why(why, BP_ERR_DTYPE, "s is %s and labels %s: real and i32 are wanted",
                       bp_dtype_name(in[0].dtype), bp_dtype_name(in[1].dtype));
    if (in[0].shape.ndim != 0 || in[1].shape.ndim != 1 || in[1].shape.dim[0] < 1 || classes < 1)
        return bpi_why(why, BP_ERR_SHAPE, "s %s, labels %s, %lld classes: [] and [N] are wanted",
                       bpi_shape_str(&in[0].shape).s, bpi_shape_str(&in[1].shape).s,
                       (long long)classes);
    bpi_view_packed(&out[0], in[0].dtype, BP_SHAPE(in[1].shape.dim[0], classes));
    return BP_OK;
}

static bp_status gradient(bp_grad_call *c)
{
    if (c->need[0])
        c->dx[0] = bp_nll_loss(c->dout[0], c->in[1]);
    return BP_OK;
}

const bp_op bpi_op_nll_spread = {
    .def = {.name = "nll_spread", .n_in = 2, .n_out = 1, .params_bytes = sizeof(spread_params),
            .saves_in = 2, .infer = infer, .gradient = gradient},
    .id = BPI_OP_nll_spread,
};

bp_tensor *bp_nll_spread(bp_tensor *s, bp_tensor *labels, int64_t classes)
{
    spread_params p = {classes};
    return bpi_apply2(&bpi_op_nll_spread, s, labels, &p);
}
