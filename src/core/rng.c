/* The random stream of a context: rng.h. */
#include "core/rng.h"

#include "core/context.h"
#include "core/error.h"
#include "door/kernel_params.h"

static bp_status rng_advance(bp_context *ctx, uint64_t steps)
{
    bpi_rng_advance_params params = {steps};
    return bpi_dispatch(ctx, BPI_OP_rng_advance, BPI_FORWARD, NULL, 0, &ctx->rng, 1, &params,
                        sizeof params);
}

bp_status bpi_rng_catch_up(bp_context *ctx)
{
    bpi_recording *recording = ctx->recording;
    if (ctx->rng_lag == 0)
        return BP_OK;
    ctx->recording = NULL;
    bp_status st = rng_advance(ctx, ctx->rng_lag);
    ctx->recording = recording;
    if (st == BP_OK)
        ctx->rng_lag = 0;
    return st;
}

static bp_status next_site(bp_context *ctx, uint32_t *site)
{
    if (ctx->site == 0)
        BPI_TRY(bpi_rng_catch_up(ctx));
    *site = ctx->site++;
    return BP_OK;
}

bp_status bpi_next_site(bp_context *ctx, uint32_t *site)
{
    BPI_INSIDE(ctx, next_site(ctx, site));
}

bp_status bpi_rng_save(bp_context *ctx, bpi_rng_saved *saved)
{
    bpi_rng_state rng;
    BPI_TRY(bpi_rng_catch_up(ctx));
    BPI_TRY(bpi_download(ctx, &rng, bpi_view_of(ctx->rng)->data, sizeof rng));
    *saved = (bpi_rng_saved){rng.seed, rng.step, ctx->drawn_stores};
    return BP_OK;
}

bp_status bpi_rng_restore(bp_context *ctx, const bpi_rng_saved *saved)
{
    bpi_rng_state rng = {saved->seed, saved->step};
    BPI_TRY(bpi_upload(ctx, bpi_view_of(ctx->rng)->data, &rng, sizeof rng));
    ctx->seed = saved->seed;
    ctx->rng_lag = 0;
    ctx->drawn_stores = saved->drawn_stores;
    return BP_OK;
}

static bp_status seed(bp_context *ctx, uint64_t seed_value)
{
    BPI_TRY(bpi_not_recording(ctx, "seed"));
    if (ctx->depth > 0 && ctx->site > 0)
        return bpi_fail(ctx, BP_ERR_STATE, "seed: this scope has drawn already, and its gradients "
                        "draw the same again");
    return bpi_rng_restore(ctx, &(bpi_rng_saved){seed_value, 0, 0});
}

bp_status bp_seed(bp_context *ctx, uint64_t seed_value)
{
    BPI_INSIDE(ctx, seed(ctx, seed_value));
}

/* A step that was called only counts: the device hears of it at the next draw. A plan that draws
 * counts on the device, and one that does not with each run of it. */
bp_status bpi_rng_step_ends(bp_context *ctx)
{
    if (ctx->recording)
        return ctx->site > 0 ? rng_advance(ctx, 1) : BP_OK;
    ctx->rng_lag++;
    return BP_OK;
}
