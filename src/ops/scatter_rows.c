/* y[r] = sum of the rows x[i] with index[i] = r; dx = gather(dy, index).
 * Kernel: src/cpu/scatter_rows.c. */
#include "ops/rule.h"

typedef struct scatter_params {
    int64_t rows;
} scatter_params;

static bp_status infer(const bp_view *in, bp_view *out, const void *params, char *why)
{
    int64_t rows = ((const scatter_params *)params)->rows;
    if (!bpi_is_real(in[0].dtype) || in[1].dtype != BP_I32)
        return bpi_why(why, BP_ERR_DTYPE, "x is %s and index %s: real and i32 are wanted",
                       bp_dtype_name(in[0].dtype), bp_dtype_name(in[1].dtype));
    if (in[0].shape.ndim < 1 || in[1].shape.ndim != 1 ||
        in[0].shape.dim[0] != in[1].shape.dim[0] || rows < 0)
        return bpi_why(why, BP_ERR_SHAPE, "x %s, index %s, %lld rows: [B,...], [B] are wanted",
                       bpi_shape_str(&in[0].shape).s, bpi_shape_str(&in[1].shape).s,
                       (long long)rows);
    bp_shape shape = in[0].shape;
    shape.dim[0] = rows;
    bpi_view_packed(&out[0], in[0].dtype, shape);
    return BP_OK;
}

static bp_status gradient(bp_grad_call *c)
{
    if (c->need[0])
        c->dx[0] = bp_gather(c->dout[0], c->in[1]);
    return BP_OK;
}

const bp_op bpi_op_scatter_rows = {
    .def = {.name = "scatter_rows", .n_in = 2, .n_out = 1, .params_bytes = sizeof(scatter_params),
            .saves_in = 2, .infer = infer, .gradient = gradient},
    .id = BPI_OP_scatter_rows,
};

bp_tensor *bp_scatter_rows(bp_tensor *x, bp_tensor *index, int64_t rows)
{
    scatter_params p = {rows};
    return bpi_apply2(&bpi_op_scatter_rows, x, index, &p);
}
