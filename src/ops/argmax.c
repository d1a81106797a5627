/* The place of the largest or smallest element along an axis, i32, the first of equals; no
 * gradient. Kernel: src/cpu/argmax.c. */
#include "ops/rule.h"

static bp_status infer(const bp_view *in, bp_view *out, const void *params, char *why)
{
    const bpi_sum_params *p = params;
    if (p->axes == 0 || p->axes >> in[0].shape.ndim)
        return bpi_why(why, BP_ERR_SHAPE, "no such axis of %s", bpi_shape_str(&in[0].shape).s);
    BPI_TRY(bpi_infer_reduced(in, p->axes, BP_I32, out, why));
    BPI_TRY(bpi_not_empty(in, p->axes, why));
    for (int i = 0; i < in[0].shape.ndim; i++)
        if (p->axes >> i & 1 && in[0].shape.dim[i] > INT32_MAX)
            return bpi_why(why, BP_ERR_SHAPE, "x %s: an i32 counts no further than 2^31 - 1",
                           bpi_shape_str(&in[0].shape).s);
    return BP_OK;
}

#define ARG(op)                                                                        \
    const bp_op bpi_op_##op = {                                                        \
        .def = {.name = #op, .n_in = 1, .n_out = 1, .params_bytes = sizeof(bpi_sum_params), \
                .infer = infer},                                                       \
        .id = BPI_OP_##op,                                                             \
    };                                                                                 \
    bp_tensor *bp_##op(bp_tensor *x, int32_t axis)                                     \
    {                                                                                  \
        axis = bpi_axis_of(x, axis);                                                   \
        const bpi_sum_params p = {axis >= 0 && axis < BP_MAX_DIMS ? 1u << axis : 0};   \
        return bpi_apply1(&bpi_op_##op, bpi_real(x), &p);                              \
    }
ARG(argmax)
ARG(argmin)
