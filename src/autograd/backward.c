/* The public calls that walk back: the gradients of the stores, and those of any values by any
 * others. The walk itself: walk.c. */
#include "autograd/apply.h"
#include "autograd/walk.h"
#include "core/context.h"
#include "core/dispatch.h"
#include "core/error.h"
#include "core/params.h"
#include "core/tensor.h"
#include "core/view.h"
#include "door/kernel_params.h"

static bp_status walkable(bp_context *ctx, bp_tensor *y, const char *who, const char *what)
{
    if (ctx->pending != BP_OK)
        return ctx->pending;
    if (ctx->depth == 0)
        return bpi_fail(ctx, BP_ERR_STATE, "%s: outside any scope: call it in bp_run", who);
    if (!y)
        return bpi_fail(ctx, BP_ERR_ARG, "%s: %s is NULL", who, what);
    BPI_TRY(bpi_usable(ctx, y, who, "the value"));
    if (!bpi_node_of(ctx, y))
        return bpi_fail(ctx, BP_ERR_STATE,
                        "%s: the value has no history: nothing in it asked for a gradient, or it "
                        "was computed without one", who);
    return BP_OK;
}

static bp_status one_element(bp_context *ctx, const bp_tensor *y, const char *who, const char *what)
{
    const bp_shape *shape = &bpi_view_of(y)->shape;
    if (bp_shape_count(*shape) == 1)
        return BP_OK;
    return bpi_fail(ctx, BP_ERR_SHAPE, "%s: %s has shape %s, not one element", who, what,
                    bpi_shape_str(shape).s);
}

/* The 1 that a walk from y begins with. */
static bp_tensor *seed_of(bp_context *ctx, const bp_tensor *y)
{
    bp_tensor *one = ctx->one[bpi_view_of(y)->dtype == BP_F64];
    return bpi_window(one, 0, bpi_view_of(one)->dtype, bpi_view_of(y)->shape, BPI_OWNER_LIBRARY);
}

static bp_status backward(bp_context *ctx, bp_tensor *loss, uint32_t flags)
{
    BPI_TRY(walkable(ctx, loss, "backward", "loss"));
    if (ctx->rule)
        return bpi_fail(ctx, BP_ERR_STATE, "backward: called from the gradient rule of %s",
                        ctx->rule->node->op->def.name);
    BPI_TRY(one_element(ctx, loss, "backward", "the loss"));
    for (int32_t n = 0; n < ctx->tape_length; n++) {
        const bp_params *store = bpi_node_at(ctx, n)->store;
        if (store && store->counted.freed)
            return bpi_fail(ctx, BP_ERR_STATE, "backward: its parameter store was freed");
    }
    bp_tensor *seed = seed_of(ctx, loss);
    if (!seed)
        return ctx->pending;
    bpi_walk w = {.to_store = true, .flags = flags};
    bp_status st = bpi_walk_back(ctx, &w, &bpi_at(loss)->place, &seed, 1);
    bpi_kill(seed);
    ctx->storing = 0;
    if (st != BP_OK)
        bpi_params_take_back(ctx, w.id);
    return st;
}

bp_status bp_backward(bp_context *ctx, bp_tensor *loss)
{
    BPI_INSIDE(ctx, backward(ctx, loss, 0));
}

bp_status bp_backward_keep(bp_context *ctx, bp_tensor *loss)
{
    BPI_INSIDE(ctx, backward(ctx, loss, BP_KEEP_GRAPH));
}

/* 0 = 0 * 1 on the device, so that a plan can record it. */
bp_tensor *bpi_zeros(bp_context *ctx, bp_dtype dtype, bp_shape shape)
{
    bp_tensor *one = ctx->one[dtype == BP_F64]; /* broadcasts */
    bp_tensor *zeros = bpi_fresh_packed(ctx, dtype, shape, BPI_OWNER_SCOPE);
    bpi_scale_params p = {0};
    if (zeros && bpi_dispatch(ctx, BPI_OP_scale, BPI_FORWARD, &one, 1, &zeros, 1, &p, sizeof p)) {
        bpi_kill(zeros);
        return NULL;
    }
    return zeros;
}

/* A rule walks over what it has computed itself: the rest is being walked already. */
static bool rules_own(bp_context *ctx, const bp_tensor *t)
{
    const bpi_tensor *slot = bpi_at(t);
    return !ctx->rule ||
           (!slot->store && (!slot->place.serial || slot->place.node >= ctx->rule->begin));
}

/* Fills the walk's places. */
static bp_status wanted(bp_context *ctx, bpi_walk *w, bp_tensor *const *x)
{
    for (int i = 0; i < w->n_targets; i++) {
        if (x[i] && bpi_is_live(x[i]) && !rules_own(ctx, x[i]))
            return bpi_fail(ctx, BP_ERR_STATE,
                            "grad: the gradient rule of %s wants a gradient by x[%d], which it did "
                            "not make itself: take bp_require_grad() of it",
                            ctx->rule->node->op->def.name, i);
        if (!x[i] || bpi_usable(ctx, x[i], "grad", "an x") != BP_OK || !bpi_node_of(ctx, x[i]))
            return bpi_fail(ctx, BP_ERR_ARG, "grad: x[%d] asks for no gradient", i);
        w->place[i] = bpi_at(x[i])->place;
        w->first = w->place[i].node < w->first ? w->place[i].node : w->first;
    }
    return BP_OK;
}

/* What a walk found, as memory of its own that can be written to; zeros where it found nothing. */
static bp_status made_fresh(bp_context *ctx, const bp_tensor *x, bp_tensor **dx)
{
    bp_tensor *found = *dx;
    if (found && bpi_at(found)->storage->refs == 1 && !bpi_repeats(bpi_view_of(found))) {
        bpi_give_to_scope(found);
        return BP_OK;
    }
    const bp_view *v = bpi_view_of(x);
    *dx = found ? bpi_fresh_copy(ctx, found) : bpi_zeros(ctx, v->dtype, v->shape);
    bpi_kill(found);
    return *dx ? BP_OK : ctx->pending;
}

static bp_status grad(bp_context *ctx, bp_tensor *y, bp_tensor *dy, bp_tensor *const *x, int32_t n,
                      uint32_t flags, bp_tensor **dx)
{
    if (y && n > 0 && ctx->depth > 0) {
        BPI_TRY(bpi_given(ctx, dy, "grad: dy"));
        BPI_TRY(bpi_given(ctx, x, "grad: x"));
        BPI_TRY(bpi_given(ctx, dx, "grad: dx"));
    }
    if (bpi_is_live(y) && !rules_own(ctx, y))
        return bpi_fail(ctx, BP_ERR_STATE, "grad: the gradient rule of %s wants the gradient of a "
                        "value that it did not compute itself", ctx->rule->node->op->def.name);
    BPI_TRY(walkable(ctx, y, "grad", "y"));
    if (ctx->rule)
        flags |= ctx->rule->walk->flags & BP_CREATE_GRAPH;
    if (flags & ~(uint32_t)(BP_KEEP_GRAPH | BP_CREATE_GRAPH))
        return bpi_fail(ctx, BP_ERR_ARG, "grad: unknown flags");
    bpi_walk w = {.flags = flags, .result = dx, .n_targets = n, .first = INT32_MAX};
    if (n < 0 || n > (int32_t)(sizeof w.place / sizeof *w.place))
        return bpi_fail(ctx, BP_ERR_ARG, "grad: %d tensors asked for; at most %zu", n,
                        sizeof w.place / sizeof *w.place);
    BPI_TRY(bpi_given(ctx, dy, "grad: dy"));
    const bp_view *from = bpi_view_of(dy), *to = bpi_view_of(y);
    if (bpi_usable(ctx, dy, "grad", "dy") != BP_OK ||
        !bpi_same_shape(&from->shape, &to->shape) || from->dtype != to->dtype)
        return bpi_fail(ctx, BP_ERR_SHAPE, "grad: dy is %s %s and y is %s %s: y's dtype and shape "
                        "are wanted", bp_dtype_name(from->dtype), bpi_shape_str(&from->shape).s,
                        bp_dtype_name(to->dtype), bpi_shape_str(&to->shape).s);
    BPI_TRY(wanted(ctx, &w, x));
    bool no_grad = ctx->no_grad;
    ctx->no_grad = !(flags & BP_CREATE_GRAPH); /* for copies of what was found */
    const bpi_place *last = &bpi_at(y)->place;
    bp_status st = n > 0 && w.first <= last->node ? bpi_walk_back(ctx, &w, last, &dy, 1)
                                                  : BP_OK;
    for (int i = 0; i < n && st == BP_OK; i++)
        st = made_fresh(ctx, x[i], &dx[i]);
    ctx->no_grad = no_grad;
    for (int i = 0; i < n && st != BP_OK; i++) {
        bpi_kill(dx[i]);
        dx[i] = NULL;
    }
    return st;
}

bp_status bp_grad(bp_context *ctx, bp_tensor *y, bp_tensor *dy, bp_tensor *const *x, int32_t n,
                  uint32_t flags, bp_tensor **dx)
{
    for (int i = 0; i < n && dx; i++)
        dx[i] = NULL;
    BPI_INSIDE(ctx, grad(ctx, y, dy, x, n, flags, dx));
}

static bp_status grad_scalar(bp_context *ctx, bp_tensor *y, bp_tensor *const *x, int32_t n,
                             uint32_t flags, bp_tensor **dx)
{
    if (y && n > 0 && ctx->depth > 0) {
        BPI_TRY(bpi_given(ctx, x, "grad_scalar: x"));
        BPI_TRY(bpi_given(ctx, dx, "grad_scalar: dx"));
    }
    BPI_TRY(walkable(ctx, y, "grad_scalar", "y"));
    BPI_TRY(one_element(ctx, y, "grad_scalar", "y"));
    bp_tensor *seed = seed_of(ctx, y);
    if (!seed)
        return ctx->pending;
    bp_status st = grad(ctx, y, seed, x, n, flags, dx);
    bpi_kill(seed);
    return st;
}

bp_status bp_grad_scalar(bp_context *ctx, bp_tensor *y, bp_tensor *const *x, int32_t n,
                         uint32_t flags, bp_tensor **dx)
{
    for (int i = 0; i < n && dx; i++)
        dx[i] = NULL;
    BPI_INSIDE(ctx, grad_scalar(ctx, y, x, n, flags, dx));
}
