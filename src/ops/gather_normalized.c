/* y[i, j] = (table[index[i], j] - shift[j]) scale[j]: a batch from a data set that stays as it
 * came, u8 say. shift and scale are f64 and y is rounded once, so that no unit of a column is too
 * large or too small. Fused; its gradients are those of the composition. Kernel:
 * src/cpu/gather_normalized.c. */
#include "ops/rule.h"

typedef struct normalize_params {
    bp_dtype dtype; /* of y */
} normalize_params;

static bp_status infer(const bp_view *in, bp_view *out, const void *params, char *why)
{
    bp_dtype to = ((const normalize_params *)params)->dtype;
    if (!bpi_is_real(to) || in[1].dtype != BP_I32 || in[2].dtype != BP_F64 ||
        in[3].dtype != BP_F64 || (in[0].dtype != BP_U8 && in[0].dtype != to))
        return bpi_why(why, BP_ERR_DTYPE,
                       "table %s, index %s, shift %s, scale %s to %s: u8 or T, i32, f64, f64 to T, "
                       "which is real",
                       bp_dtype_name(in[0].dtype), bp_dtype_name(in[1].dtype),
                       bp_dtype_name(in[2].dtype), bp_dtype_name(in[3].dtype), bp_dtype_name(to));
    int64_t cols = in[0].shape.ndim == 2 ? in[0].shape.dim[1] : -1;
    if (cols < 0 || in[1].shape.ndim != 1 || in[2].shape.ndim != 1 || in[3].shape.ndim != 1 ||
        in[2].shape.dim[0] != cols || in[3].shape.dim[0] != cols)
        return bpi_why(why, BP_ERR_SHAPE,
                       "table %s, index %s, shift %s, scale %s: [R,C], [B], [C], [C] are wanted",
                       bpi_shape_str(&in[0].shape).s, bpi_shape_str(&in[1].shape).s,
                       bpi_shape_str(&in[2].shape).s, bpi_shape_str(&in[3].shape).s);
    bpi_view_rows(&out[0], to, BP_SHAPE(in[1].shape.dim[0], cols));
    return BP_OK;
}

static bp_status compose(bp_context *ctx, bp_tensor *const *in, const void *params,
                         bp_tensor **out)
{
    bp_tensor *rows = bp_cast(bp_gather(in[0], in[1]), BP_F64);
    bp_tensor *y = bp_mul(bp_add(rows, bp_scale(in[2], -1)), in[3]);
    out[0] = bp_cast(y, ((const normalize_params *)params)->dtype);
    return out[0] ? BP_OK : ctx->pending;
}

const bp_op bpi_op_gather_normalized = {
    .def = {.name = "gather_normalized", .n_in = 4, .n_out = 1,
            .params_bytes = sizeof(normalize_params), .infer = infer},
    .id = BPI_OP_gather_normalized,
    .compose = compose,
};

bp_tensor *bp_gather_normalized(bp_tensor *table, bp_tensor *index, bp_tensor *shift,
                                bp_tensor *scale, bp_dtype dtype)
{
    normalize_params p = {dtype};
    return bpi_apply(&bpi_op_gather_normalized, (bp_tensor *[]){table, index, shift, scale}, &p,
                     NULL);
}
