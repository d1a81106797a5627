/* The same values in fresh packed memory, in the same dtype or converted to another; dx is cast
 * back from a real one. Public as bp_cast; bp_reshape of what is not packed uses it. Kernel:
 * src/cpu/copy.c. */
#include "ops/rule.h"

typedef struct cast_params {
    bp_dtype dtype;
} cast_params;

static bp_status infer(const bp_view *in, bp_view *out, const void *params, char *why)
{
    bp_dtype to = ((const cast_params *)params)->dtype;
    if (to < BP_F32 || to > BP_I32)
        return bpi_why(why, BP_ERR_DTYPE, "dtype %d: one of f32, f64, u8 and i32 is wanted",
                       (int)to);
    bpi_view_packed(&out[0], to, in[0].shape);
    return BP_OK;
}

static bp_status gradient(bp_grad_call *c)
{
    c->dx[0] = bp_cast(c->dout[0], bpi_inside(c)->node->in_dtype[0]);
    return BP_OK;
}

const bp_op bpi_op_copy = {
    .def = {.name = "cast", .n_in = 1, .n_out = 1, .params_bytes = sizeof(cast_params),
            .infer = infer, .gradient = gradient},
    .id = BPI_OP_copy,
    .none = "cast: input 0 is NULL",
};

bp_tensor *bp_cast(bp_tensor *x, bp_dtype dtype)
{
    cast_params p = {dtype};
    return bpi_apply1(&bpi_op_copy, x, &p);
}
