/* Tensors made of numbers, on the device: y[i] = begin + step i, of which step 0 fills. They have
 * no history. Kernel: src/cpu/arange.c. */
#include <math.h>

#include "ops/slice.h"

static bp_status arange(bp_context *ctx, bp_tensor *y, double begin, double step)
{
    bpi_arange_params p = {begin, step};
    return bpi_dispatch(ctx, BPI_OP_arange, BPI_FORWARD, NULL, 0, &y, 1, &p, sizeof p);
}

bp_status bpi_fill(bp_context *ctx, bp_tensor *y, double value)
{
    return arange(ctx, y, value, 0);
}

bp_status bpi_holds(bp_context *ctx, const char *who, bp_dtype dtype, double value)
{
    if (!bp_dtype_bytes(dtype))
        return bpi_fail(ctx, BP_ERR_DTYPE, "%s: unknown dtype %d", who, (int)dtype);
    const double beyond = 0x1.ffffffp127; /* the least that f32 rounds to Inf */
    double least = dtype == BP_I32 ? INT32_MIN : 0, most = dtype == BP_I32 ? INT32_MAX : UINT8_MAX;
    if (bpi_is_real(dtype) ? dtype == BP_F64 || fabs(value) < beyond || !isfinite(value)
                           : value >= least && value <= most && value == floor(value))
        return BP_OK;
    return bpi_fail(ctx, BP_ERR_DTYPE, "%s: %.17g is no %s", who, value, bp_dtype_name(dtype));
}

/* Whether the dtype has begin + step i for all i < count. */
static bool holds_all(bp_context *ctx, const char *who, bp_dtype dtype, double begin, double step,
                      int64_t count)
{
    const double last = begin + step * (double)(count - 1);
    if (count > 0 && bpi_holds(ctx, who, dtype, begin) != BP_OK)
        return false;
    if (count > 1 && !bpi_is_real(dtype) && step != floor(step)) {
        bpi_fail(ctx, BP_ERR_DTYPE, "%s: %s with a step of %.17g: a whole number is wanted", who,
                 bp_dtype_name(dtype), step);
        return false;
    }
    return bpi_holds(ctx, who, dtype, count > 1 ? last : 0) == BP_OK;
}

static bp_tensor *made(const char *who, bp_context *ctx, bp_dtype dtype, const bp_shape *shape,
                       double begin, double step)
{
    if (!bpi_begin_in(ctx, who))
        return NULL;
    bp_tensor *y = NULL;
    if (!bpi_shape_valid(shape))
        bpi_fail(ctx, BP_ERR_SHAPE, "%s: bad shape %s with %d sizes", who, bpi_shape_str(shape).s,
                 (int)shape->ndim);
    else if (holds_all(ctx, who, dtype, begin, step, bp_shape_count(*shape)))
        y = bpi_fresh_packed(ctx, dtype, *shape, BPI_OWNER_SCOPE);
    if (y && arange(ctx, y, begin, step) != BP_OK) {
        bpi_kill(y);
        y = NULL;
    }
    bpi_leave(ctx);
    return y;
}

bp_tensor *bp_full(bp_context *ctx, bp_dtype dtype, bp_shape shape, double value)
{
    return made("full", ctx, dtype, &shape, value, 0);
}

bp_tensor *bp_full_like(bp_tensor *x, double value)
{
    bp_context *ctx = BPI_BEGIN("full_like", &x, 1);
    if (!ctx)
        return NULL;
    const bp_view *v = bpi_view_of(x);
    bp_tensor *y = made("full_like", ctx, v->dtype, &v->shape, value, 0);
    bpi_leave(ctx);
    return y;
}

bp_tensor *bp_arange(bp_context *ctx, bp_dtype dtype, double begin, double step, int64_t count)
{
    return made("arange", ctx, dtype, &BP_SHAPE(count), begin, count > 1 ? step : 0);
}

/* Ones in the first column of [n - 1, n + 1]: in rows of n, each is one place further than the
 * last, and the last row ends with one more. */
bp_tensor *bp_eye(bp_context *ctx, bp_dtype dtype, int64_t n)
{
    if (!bpi_begin_in(ctx, "eye"))
        return NULL;
    const bp_shape square = BP_SHAPE(n, n);
    bp_tensor *y = NULL;
    if (n < 0 || !bpi_shape_valid(&square))
        bpi_fail(ctx, BP_ERR_SHAPE, "eye: %lld rows: 0 or more are wanted, and a size that can be",
                 (long long)n);
    else if (bpi_holds(ctx, "eye", dtype, 1) == BP_OK) {
        y = bp_full(ctx, dtype, BP_SHAPE(n ? n - 1 : 0, 1), 1);
        y = bp_reshape(bp_pad(y, 1, 0, n, 0), BP_SHAPE(n ? n * n - 1 : 0));
        y = bp_reshape(n ? bp_pad(y, 0, 0, 1, 1) : y, square);
    }
    bpi_leave(ctx);
    return y;
}
