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
    double least = dtype == BP_I32 ? INT32_MIN : 0, most = dtype == BP_I32 ? INT32_MAX : UINT8_MAX;
    if (bpi_is_real(dtype) || (value >= least && value <= most && value == floor(value)))
        return BP_OK;
    return bpi_fail(ctx, BP_ERR_DTYPE, "%s: %.17g is no %s", who, value, bp_dtype_name(dtype));
}

/* `last` is the number at the end. */
static bp_tensor *made(const char *who, bp_context *ctx, bp_dtype dtype, const bp_shape *shape,
                       double begin, double step, double last)
{
    if (!bpi_begin_in(ctx, who))
        return NULL;
    bp_tensor *y = NULL;
    if (!bpi_shape_valid(shape))
        bpi_fail(ctx, BP_ERR_SHAPE, "%s: bad shape %s with %d sizes", who, bpi_shape_str(shape).s,
                 (int)shape->ndim);
    else if (bpi_holds(ctx, who, dtype, begin) == BP_OK &&
             bpi_holds(ctx, who, dtype, bp_shape_count(*shape) ? last : begin) == BP_OK &&
             (bpi_is_real(dtype) || bpi_holds(ctx, who, BP_I32, step) == BP_OK))
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
    return made("full", ctx, dtype, &shape, value, 0, value);
}

bp_tensor *bp_full_like(bp_tensor *x, double value)
{
    bp_context *ctx = BPI_BEGIN("full_like", &x, 1);
    if (!ctx)
        return NULL;
    const bp_view *v = bpi_view_of(x);
    bp_tensor *y = made("full_like", ctx, v->dtype, &v->shape, value, 0, value);
    bpi_leave(ctx);
    return y;
}

bp_tensor *bp_arange(bp_context *ctx, bp_dtype dtype, double begin, double step, int64_t count)
{
    return made("arange", ctx, dtype, &BP_SHAPE(count), begin, step,
                begin + step * (double)(count - 1));
}
