/* y[i, j] = (table[index[i], j] - shift[j]) scale[j]: a batch from a data set that stays as it
 * came, u8 say. Fused; its gradients are those of the composition. Kernel:
 * src/cpu/gather_normalized.c. */
#include "ops/rule.h"

static bp_status infer(const bp_view *in, bp_view *out, const void *params, char *why)
{
    (void)params;
    bp_dtype type = in[2].dtype;
    if (!bpi_is_real(type) || in[3].dtype != type || in[1].dtype != BP_I32 ||
        (in[0].dtype != BP_U8 && in[0].dtype != type))
        return bpi_why(why, BP_ERR_DTYPE,
                       "table %s, index %s, shift %s, scale %s: u8 or T, i32, T, T, T real",
                       bp_dtype_name(in[0].dtype), bp_dtype_name(in[1].dtype), bp_dtype_name(type),
                       bp_dtype_name(in[3].dtype));
    int64_t cols = in[0].shape.ndim == 2 ? in[0].shape.dim[1] : -1;
    if (cols < 0 || in[1].shape.ndim != 1 || in[2].shape.ndim != 1 || in[3].shape.ndim != 1 ||
        in[2].shape.dim[0] != cols || in[3].shape.dim[0] != cols)
        return bpi_why(why, BP_ERR_SHAPE,
                       "table %s, index %s, shift %s, scale %s: [R,C], [B], [C], [C] are wanted",
                       bpi_shape_str(&in[0].shape).s, bpi_shape_str(&in[1].shape).s,
                       bpi_shape_str(&in[2].shape).s, bpi_shape_str(&in[3].shape).s);
    bpi_view_rows(&out[0], type, BP_SHAPE(in[1].shape.dim[0], cols));
    return BP_OK;
}

static bp_status compose(bp_context *ctx, bp_tensor *const *in, const void *params,
                         bp_tensor **out)
{
    (void)params;
    bp_tensor *rows = bp_gather(in[0], in[1]);
    if (bpi_view_of(in[0])->dtype == BP_U8)
        rows = bp_cast(rows, bpi_view_of(in[2])->dtype);
    out[0] = bp_mul(bp_add(rows, bp_scale(in[2], -1)), in[3]);
    return out[0] ? BP_OK : ctx->pending;
}

const bp_op bpi_op_gather_normalized = {
    .def = {.name = "gather_normalized", .n_in = 4, .n_out = 1, .infer = infer},
    .id = BPI_OP_gather_normalized,
    .compose = compose,
};

bp_tensor *bp_gather_normalized(bp_tensor *table, bp_tensor *index, bp_tensor *shift,
                                bp_tensor *scale)
{
    return bpi_apply(&bpi_op_gather_normalized, (bp_tensor *[]){table, index, shift, scale}, NULL,
                     NULL);
}
