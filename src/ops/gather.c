/* y[i] = table[index[i]] by rows; dtable = scatter_rows(dy, index). Kernel: src/cpu/gather.c. */
#include "ops/rule.h"

static bp_status infer(const bp_view *in, bp_view *out, const void *params, char *why)
{
    (void)params;
    if (in[1].dtype != BP_I32 || in[1].shape.ndim != 1 || in[0].shape.ndim < 1)
        return bpi_why(why, in[1].dtype != BP_I32 ? BP_ERR_DTYPE : BP_ERR_SHAPE,
                       "table %s, index %s %s: [R,...] and i32 [B] are wanted",
                       bpi_shape_str(&in[0].shape).s, bp_dtype_name(in[1].dtype),
                       bpi_shape_str(&in[1].shape).s);
    bp_shape shape = in[0].shape;
    shape.dim[0] = in[1].shape.dim[0];
    bpi_view_rows(&out[0], in[0].dtype, shape);
    return BP_OK;
}

static bp_status gradient(bp_grad_call *c)
{
    if (c->need[0])
        c->dx[0] = bp_scatter_rows(c->dout[0], c->in[1], c->in_shape[0].dim[0]);
    return BP_OK;
}

const bp_op bpi_op_gather = {
    .def = {.name = "gather", .n_in = 2, .n_out = 1, .saves_in = 2, .infer = infer,
            .gradient = gradient},
    .id = BPI_OP_gather,
};

bp_tensor *bp_gather(bp_tensor *table, bp_tensor *index)
{
    return bpi_apply2(&bpi_op_gather, table, index, NULL);
}
