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

static void end_tensors(bpi_scope *scope)
{
    while (scope->tensors)
        bpi_kill(bpi_handle_of(scope->tensors));
}

bp_status bp_scope_begin(bp_context *ctx, uint32_t flags)
{
    BPI_TRY(bpi_enter(ctx)); /* left by bp_scope_end */
    bp_status st = BP_OK;
    if (flags & ~(uint32_t)BP_NO_GRAD || !ctx->device)
        st = bpi_fail(ctx, BP_ERR_ARG, "scope_begin: %s",
                      ctx->device ? "unknown flags" : "the context has no device");
    else if (!room(ctx))
        st = BP_ERR_NOMEM;
    if (st != BP_OK) {
        bpi_leave(ctx);
        return st;
    }
    if (ctx->depth == 0) {
        ctx->site = 0;
        ctx->pending = BP_OK;
    }
    ctx->scope[ctx->depth++] =
        (bpi_scope){.tape_length = ctx->tape_length, .no_grad = ctx->no_grad};
    ctx->no_grad |= (flags & BP_NO_GRAD) != 0;
    return BP_OK;
}

bp_status bp_scope_end(bp_context *ctx)
{
    BPI_TRY(bpi_enter(ctx));
    if (ctx->depth == 0 || ctx->scope[ctx->depth - 1].of_rule) {
        bp_status st = bpi_fail(ctx, BP_ERR_STATE, "scope_end: %s", ctx->depth == 0
                                ? "there is no open scope"
                                : "a gradient rule has not begun this scope");
        bpi_leave(ctx);
        return st;
    }
    bool outermost = ctx->depth == 1;
    if (outermost && ctx->recording && !ctx->recording->returned)
        ctx->recording->abandon(ctx->recording); /* step() was left by a jump, or ended it */
    else if (outermost && !ctx->no_grad && ctx->pending == BP_OK)
        (void)!bpi_rng_step_ends(ctx); /* a failure is pending */
    bpi_scope *scope = &ctx->scope[ctx->depth - 1];
    bpi_tape_cut(ctx, scope->tape_length);
    end_tensors(scope);
    ctx->no_grad = scope->no_grad;
    ctx->depth--;
    bp_status st = outermost ? ctx->pending : BP_OK;
    if (outermost) {
        ctx->pending = BP_OK;
        bpi_params_collect(ctx);
    }
    bpi_leave(ctx);
    bpi_leave(ctx); /* what bp_scope_begin entered */
    return st;
}

bp_status bp_run(bp_context *ctx, uint32_t flags, bp_step_fn step, void *user)
{
    BPI_TRY(bp_scope_begin(ctx, flags));
    bp_status st = step(ctx, user);
    bp_status pending = ctx->pending;
    bp_status end = bp_scope_end(ctx);
    return pending != BP_OK ? pending : st != BP_OK ? st : end;
}

bp_status bpi_rule_scope_begin(bp_context *ctx)
{
    if (!room(ctx))
        return ctx->pending;
    ctx->scope[ctx->depth++] = (bpi_scope){.no_grad = ctx->no_grad, .of_rule = true};
    ctx->no_grad = false;
    return BP_OK;
}

void bpi_rule_scope_end(bp_context *ctx)
{
    bpi_scope *scope = &ctx->scope[ctx->depth - 1];
    end_tensors(scope);
    ctx->no_grad = scope->no_grad;
    ctx->depth--;
}
