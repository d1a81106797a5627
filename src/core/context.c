/* What a context is asked and told. */
#include "core/context.h"

#include "core/error.h"

const char *bp_device_text(const bp_context *ctx)
{
    return ctx && ctx->device ? ctx->device->name : "no device";
}

static bp_status set_threads(bp_context *ctx, int32_t threads)
{
    if (threads < 0 || threads > 1024)
        return bpi_fail(ctx, BP_ERR_ARG, "set_threads: %d is not in 0 .. 1024", threads);
    return ctx->device->calls->set_threads(ctx->device, threads);
}

bp_status bp_set_threads(bp_context *ctx, int32_t threads)
{
    BPI_INSIDE(ctx, set_threads(ctx, threads));
}

static bp_status set_precision(bp_context *ctx, bp_precision precision)
{
    const bpi_device_calls *calls = ctx->device->calls;
    if (precision != BP_PRECISION_F32 && precision != BP_PRECISION_TF32)
        return bpi_fail(ctx, BP_ERR_ARG, "set_precision: there is no precision %d", (int)precision);
    BPI_TRY(bpi_not_recording(ctx, "set_precision"));
    if (!calls->set_precision)
        return BP_OK;
    bp_status st = calls->set_precision(ctx->device, precision);
    if (st != BP_OK)
        return bpi_device_failed(ctx, st, "set_precision");
    ctx->tf32 = precision == BP_PRECISION_TF32;
    return BP_OK;
}

bp_status bp_set_precision(bp_context *ctx, bp_precision precision)
{
    BPI_INSIDE(ctx, set_precision(ctx, precision));
}

void bp_stats_of(const bp_context *ctx, bp_stats *stats, size_t struct_bytes)
{
    bp_stats now = {0};
    bp_context *c = (bp_context *)ctx; /* whose turn it is changes; nothing else does */
    if (c && bpi_enter(c) == BP_OK) {
        now = c->stats;
        c->device->calls->count(c->device, &now);
        bpi_leave(c);
    }
    bpi_give_struct(stats, struct_bytes, &now, sizeof now);
}
