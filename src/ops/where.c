/* y = a where c is not 0 (NaN is not), else b, with broadcasting; da = dy there, db = dy elsewhere,
 * each summed over what was broadcast; c has no gradient. Kernel: src/cpu/where.c. */
#include "ops/rule.h"

static bp_status infer(const bp_view *in, bp_view *out, const void *params, char *why)
{
    bp_shape ab, shape;
    (void)params;
    for (int i = 1; i < 3; i++)
        if (in[i].dtype != in[0].dtype || !(bpi_is_real(in[0].dtype) || in[0].dtype == BP_I32))
            return bpi_why(why, BP_ERR_DTYPE,
                           "c is %s, a is %s and b is %s: one dtype is wanted, real or i32",
                           bp_dtype_name(in[0].dtype), bp_dtype_name(in[1].dtype),
                           bp_dtype_name(in[2].dtype));
    if (!bpi_broadcast(&in[1].shape, &in[2].shape, &ab) ||
        !bpi_broadcast(&in[0].shape, &ab, &shape))
        return bpi_why(why, BP_ERR_SHAPE, "c %s, a %s and b %s do not broadcast",
                       bpi_shape_str(&in[0].shape).s, bpi_shape_str(&in[1].shape).s,
                       bpi_shape_str(&in[2].shape).s);
    bpi_view_packed(&out[0], in[0].dtype, shape);
    return BP_OK;
}

static bp_status gradient(bp_grad_call *c)
{
    bp_tensor *dy = c->dout[0], *none = bp_logical_not(c->in[0]);
    for (int i = 1; i < 3; i++)
        if (c->need[i]) {
            bp_tensor *taken = i == 1 ? bp_logical_not(none) : none;
            bp_tensor *mask = bp_expand(taken, bp_shape_of(dy));
            c->dx[i] = bpi_sum_to(bp_gate(dy, mask), &c->in_shape[i]);
        }
    return BP_OK;
}

const bp_op bpi_op_where = {
    .def = {.name = "where", .n_in = 3, .n_out = 1, .saves_in = 1, .infer = infer,
            .gradient = gradient},
    .id = BPI_OP_where,
};

bp_tensor *bp_where(bp_tensor *c, bp_tensor *a, bp_tensor *b)
{
    bp_tensor *in[3] = {c, a, b};
    return bpi_apply(&bpi_op_where, in, NULL, NULL);
}
