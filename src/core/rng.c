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

static bp_status seed(bp_context *ctx, uint64_t seed_value)
{
    bpi_rng_state rng = {seed_value, 0};
    BPI_TRY(bpi_not_recording(ctx, "seed"));
    ctx->seed = seed_value;
    ctx->rng_lag = 0;
    return bpi_upload(ctx, bpi_view_of(ctx->rng)->data, &rng, sizeof rng);
}

bp_status bp_seed(bp_context *ctx, uint64_t seed_value)
{
    BPI_INSIDE(ctx, seed(ctx, seed_value));
}


void bpi_rng_step_ends(bp_context *ctx)
{
    if (ctx->site > 0)
        (void)!rng_advance(ctx, 1);
    else
        ctx->rng_lag++;
}
