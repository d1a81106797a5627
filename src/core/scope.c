/* Scopes: nesting, and what the end of one gives back. */
#include "core/scope.h"

#include "core/context.h"
#include "core/error.h"
#include "core/params.h"
#include "core/rng.h"

static bool room(bp_context *ctx)
{
    return bpi_grow(ctx, (void **)&ctx->scope, &ctx->scope_capacity, ctx->depth + 1,
                    sizeof *ctx->scope);
}

static bp_status begin(bp_context *ctx, uint32_t flags, int32_t tape_length)
{
    if (!room(ctx))
        return BP_ERR_NOMEM;
    if (ctx->depth == 0) {
        ctx->site = 0;
        ctx->pending = BP_OK;
    }
    ctx->scope[ctx->depth++] = (bpi_scope){.serial = ++ctx->serial, .tape_length = tape_length,
                                           .rule = ctx->rule, .live_from = ctx->live_from,
                                           .no_grad = ctx->no_grad,
                                           .check_finite = ctx->check_finite};
    ctx->no_grad = flags & BP_NO_GRAD;
    ctx->check_finite |= (flags & BP_CHECK_FINITE) != 0;
    return BP_OK;
}

/* Gradients that were on their way in a walk that nobody will finish. */
static void drop_walk(bp_context *ctx, const bpi_scope *scope)
{
    if (ctx->rule == scope->rule)
        return;
    for (int32_t n = 0; n < ctx->tape_length; n++)
        for (int i = 0; i < BP_MAX_IO; i++) {
            bpi_kill(bpi_node_at(ctx, n)->pending[i]);
            bpi_node_at(ctx, n)->pending[i] = NULL;
        }
    ctx->rule = scope->rule;
    ctx->live_from = scope->live_from;
    if (ctx->rule) { /* the walk around it has lost gradients too */
        bpi_fail(ctx, BP_ERR_STATE, "a walk back was left by an exception in a gradient rule");
        return;
    }
    if (ctx->storing)
        bpi_params_take_back(ctx, ctx->storing);
    ctx->storing = 0;
}

static void end(bp_context *ctx)
{
    bpi_scope *scope = &ctx->scope[ctx->depth - 1];
    drop_walk(ctx, scope);
    bpi_tape_cut(ctx, scope->tape_length);
    while (scope->tensors)
        bpi_kill(bpi_handle_of(scope->tensors));
    ctx->no_grad = scope->no_grad;
    ctx->check_finite = scope->check_finite;
    if (--ctx->depth == 0)
        bpi_params_collect(ctx);
}

static bp_status end_told(bp_context *ctx)
{
    bool outermost = ctx->depth == 1;
    if (outermost && !ctx->no_grad && ctx->pending == BP_OK)
        (void)!bpi_rng_step_ends(ctx); /* a failure is pending */
    end(ctx);
    if (!outermost || ctx->pending == BP_OK)
        return BP_OK;
    bp_status st = bpi_tell_thread(ctx->pending, NULL);
    ctx->pending = BP_OK;
    return st;
}

static bp_status scope_begin(bp_context *ctx, uint32_t flags, const char *who)
{
    if (flags & ~(uint32_t)(BP_NO_GRAD | BP_CHECK_FINITE))
        return bpi_fail(ctx, BP_ERR_ARG, "%s: unknown flags", who);
    if (flags & BP_CHECK_FINITE)
        BPI_TRY(bpi_not_recording(ctx, "scope_begin: BP_CHECK_FINITE, which waits,"));
    return begin(ctx, flags | (ctx->no_grad ? BP_NO_GRAD : 0), ctx->tape_length);
}

bp_status bp_scope_begin(bp_context *ctx, uint32_t flags)
{
    BPI_INSIDE(ctx, scope_begin(ctx, flags, "scope_begin"));
}

/* A plan whose step has lost its outermost scope is not recorded any more. */
static void give_up_recording(bp_context *ctx)
{
    bpi_recording *r = ctx->recording;
    if (ctx->depth > 0 || !r)
        return;
    ctx->recording = NULL;
    r->give_up(r);
}

static bp_status scope_end(bp_context *ctx, const void *here)
{
    bp_status st = BP_OK;
    bpi_forget_abandoned(ctx, here);
    if (ctx->depth > 0 && ctx->scope[ctx->depth - 1].of_rule && ctx->callbacks > 0)
        st = bpi_fail(ctx, BP_ERR_STATE, "scope_end: a gradient rule has not begun this scope");
    else if (ctx->depth > 0)
        st = end_told(ctx);
    else
        st = bpi_fail(ctx, BP_ERR_STATE, "scope_end: there is no open scope");
    give_up_recording(ctx);
    return st;
}

bp_status bp_scope_end(bp_context *ctx)
{
    BPI_INSIDE(ctx, scope_end(ctx, __builtin_frame_address(0)));
}

void bpi_scopes_unwind(bp_context *ctx, int32_t depth)
{
    while (ctx->depth > depth)
        end(ctx);
    if (depth == 0)
        ctx->pending = BP_OK;
    give_up_recording(ctx);
}

bp_status bpi_run_step(bp_context *ctx, uint32_t flags, bp_step_fn step, void *user,
                       const char *who)
{
    if (!step)
        return bpi_fail(ctx, BP_ERR_ARG, "%s: step is NULL", who);
    BPI_TRY(scope_begin(ctx, flags, who));
    bp_status st, told = BP_OK;
    uint64_t serial = ctx->serial;
    int32_t depth = ctx->depth;
    if (ctx->calls > 1) {
        st = step(ctx, user);
    } else {
        BPI_CALLBACK(callback);
        bpi_callback_begin(&callback, ctx, false);
        st = step(ctx, user);
        told = bpi_callback_over(&callback, who);
    }
    if (ctx->depth < depth || ctx->scope[depth - 1].serial != serial)
        return told; /* the step has ended it */
    bp_status pending = ctx->pending, end = end_told(ctx);
    return pending != BP_OK ? pending : st != BP_OK ? st : end;
}

bp_status bp_run(bp_context *ctx, uint32_t flags, bp_step_fn step, void *user)
{
    BPI_INSIDE(ctx, bpi_run_step(ctx, flags, step, user, "run"));
}

bp_status bpi_rule_scope_begin(bp_context *ctx)
{
    if (begin(ctx, 0, INT32_MAX) != BP_OK)
        return ctx->pending;
    ctx->scope[ctx->depth - 1].of_rule = true;
    return BP_OK;
}

void bpi_rule_scope_end(bp_context *ctx)
{
    end(ctx);
}
