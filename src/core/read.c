/* Numbers to the host as the host's own: float or double, whatever the dtype, several tensors with
 * one transfer. On the device they are cast into one packed buffer, which comes as a whole. */
#include "core/context.h"
#include "core/dispatch.h"
#include "core/error.h"
#include "core/tensor.h"

static bp_status readable(bp_context *ctx, const char *who, bp_tensor *const *t, int32_t n,
                          const void *dst, int64_t count)
{
    int64_t have = 0;
    if (ctx->pending != BP_OK)
        return ctx->pending;
    if (n < 0)
        return bpi_fail(ctx, BP_ERR_ARG, "%s: %d tensors; 0 or more are wanted", who, (int)n);
    for (int32_t i = 0; i < n; i++) {
        if (!t[i])
            return bpi_fail(ctx, BP_ERR_ARG, "%s: t[%d] is NULL", who, (int)i);
        BPI_TRY(bpi_usable(ctx, t[i], who, "a tensor"));
        have += bp_shape_count(bpi_view_of(t[i])->shape);
    }
    BPI_TRY(bpi_not_recording(ctx, who));
    if (count != have)
        return bpi_fail(ctx, BP_ERR_ARG, "%s: room for %lld numbers is given; there are %lld", who,
                        (long long)count, (long long)have);
    return dst || !count ? BP_OK : bpi_fail(ctx, BP_ERR_ARG, "%s: dst is NULL", who);
}

/* The elements of t, from place `at` of all on. */
static bp_status put(bp_context *ctx, bp_tensor *all, int64_t at, bp_tensor *t)
{
    const bp_view *v = bpi_view_of(t);
    bp_tensor *window = bpi_window(all, at, bpi_view_of(all)->dtype, v->shape, BPI_OWNER_LIBRARY);
    if (!window)
        return BP_ERR_NOMEM;
    bp_status st = bpi_dispatch(ctx, BPI_OP_copy, BPI_FORWARD, &t, 1, &window, 1, NULL, 0);
    bpi_kill(window);
    return st;
}

static bp_status read_as(bp_context *ctx, const char *who, bp_tensor *const *t, int32_t n,
                         bp_dtype dtype, void *dst, int64_t count)
{
    BPI_TRY(readable(ctx, who, t, n, dst, count));
    if (count) {
        bp_tensor *all = bpi_fresh_packed(ctx, dtype, BP_SHAPE(count), BPI_OWNER_LIBRARY);
        if (!all)
            return BP_ERR_NOMEM;
        bp_status st = BP_OK;
        for (int64_t i = 0, at = 0; i < n && st == BP_OK; i++) {
            st = put(ctx, all, at, t[i]);
            at += bp_shape_count(bpi_view_of(t[i])->shape);
        }
        if (st == BP_OK)
            st = bpi_download(ctx, dst, bpi_view_of(all)->data,
                              (size_t)count * bp_dtype_bytes(dtype));
        bpi_kill(all);
        BPI_TRY(st);
    }
    return bpi_sync(ctx);
}

bp_status bp_read_f32(bp_tensor *t, float *dst, int64_t count)
{
    BPI_LEADS(t, "read_f32: t");
    BPI_INSIDE(bpi_at(t)->ctx, read_as(inside_, "read_f32", &t, 1, BP_F32, dst, count));
}

bp_status bp_read_f64(bp_tensor *t, double *dst, int64_t count)
{
    BPI_LEADS(t, "read_f64: t");
    BPI_INSIDE(bpi_at(t)->ctx, read_as(inside_, "read_f64", &t, 1, BP_F64, dst, count));
}

bp_status bp_read_all(bp_context *ctx, bp_tensor *const *t, int32_t n, double *dst, int64_t count)
{
    BPI_INSIDE(ctx, t || n <= 0 ? read_as(ctx, "read_all", t, n, BP_F64, dst, count)
                                : bpi_given(ctx, t, "read_all: t"));
}
