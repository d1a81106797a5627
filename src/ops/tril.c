/* The lower or the upper triangle of matrices: gate(x, band), where the band is positive on what
 * stays. It is made as whole numbers, whose sign a cast keeps; dx is gate(dy, band). */
#include "ops/rule.h"

static bp_tensor *triangle(const char *who, bp_tensor *x, int64_t diagonal, bool lower)
{
    bp_context *ctx = bpi_at(x)->ctx;
    const bp_view *v = bpi_view_of(x);
    int n = v->shape.ndim;
    if (!bpi_is_real(v->dtype))
        bpi_fail(ctx, BP_ERR_DTYPE, "%s: x is %s, not f32 or f64", who, bp_dtype_name(v->dtype));
    else if (n < 2)
        bpi_fail(ctx, BP_ERR_SHAPE, "%s: x %s has no matrices", who, bpi_shape_str(&v->shape).s);
    if (ctx->pending != BP_OK)
        return NULL;
    int64_t rows = v->shape.dim[n - 2], cols = v->shape.dim[n - 1];
    diagonal = diagonal < -rows ? -rows : diagonal > cols ? cols : diagonal;
    double sign = lower ? 1 : -1; /* i - j + diagonal + 1, or j - i - diagonal + 1 */
    bp_tensor *i = bp_arange(ctx, BP_I32, sign * (double)diagonal + 1, sign, rows);
    bp_tensor *j = bp_arange(ctx, BP_I32, 0, -sign, cols);
    bp_tensor *band = bp_cast(bp_add(bp_unsqueeze(i, 1), j), v->dtype);
    return bp_gate(x, bp_expand(band, v->shape));
}

bp_tensor *bp_tril(bp_tensor *x, int64_t diagonal)
{
    bp_context *ctx = BPI_BEGIN("tril", &x, 1);
    if (!ctx)
        return NULL;
    bp_tensor *y = triangle("tril", x, diagonal, true);
    bpi_leave(ctx);
    return y;
}

bp_tensor *bp_triu(bp_tensor *x, int64_t diagonal)
{
    bp_context *ctx = BPI_BEGIN("triu", &x, 1);
    if (!ctx)
        return NULL;
    bp_tensor *y = triangle("triu", x, diagonal, false);
    bpi_leave(ctx);
    return y;
}
