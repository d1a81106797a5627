/* Walking back: the chain rule as vector-Jacobian products, from the newest node to the oldest.
 *
 * The tape is in topological order, so one pass from y's node down visits each node after every
 * gradient that flows into it has arrived. A first pass upwards marks the nodes that lead to
 * something wanted; the others are not visited and nothing is computed for them. */
#include <string.h>

#include "autograd/apply.h"
#include "autograd/walk.h"
#include "core/context.h"
#include "core/dispatch.h"
#include "core/error.h"
#include "core/params.h"
#include "core/scope.h"
#include "core/tensor.h"
#include "core/view.h"
#include "door/kernel_params.h"

/* Marks what lies between the targets and `last`; true if `last` itself does. */
static bool mark(bp_context *ctx, bpi_walk *w, int32_t last)
{
    for (int i = 0; i < w->n_targets; i++)
        if (w->place[i].serial)
            bpi_node_at(ctx, w->place[i].node)->needed = w->id;
    for (int32_t n = w->first; n <= last; n++) {
        bpi_node *node = bpi_node_at(ctx, n);
        node->leads = false;
        if (!node->op) {
            if (w->to_store && node->store && !node->store->segment[node->segment].frozen)
                node->needed = w->id;
            continue;
        }
        for (int i = 0; i < node->op->def.n_in && !node->leads; i++)
            node->leads = node->in[i].serial &&
                          bpi_node_at(ctx, node->in[i].node)->needed == w->id;
        if (node->leads)
            node->needed = w->id;
    }
    return bpi_node_at(ctx, last)->needed == w->id;
}

bpi_node *bpi_sole_producer(bpi_grad_call *g, int i)
{
    const bpi_place *p = &g->node->in[i];
    if (!p->serial || p->node < g->walk->first || g->walk->flags & BP_CREATE_GRAPH)
        return NULL;
    bpi_node *node = bpi_node_at(g->call.ctx, p->node);
    for (int k = 0; k < g->walk->n_targets; k++)
        if (g->walk->place[k].node == p->node)
            return NULL; /* somebody wants the gradient behind the activation */
    return node->consumers == 1 ? node : NULL;
}

static bp_status check_saved(bp_context *ctx, const bpi_node *node, const bpi_saved *s,
                             const char *what, int i)
{
    if (!s->t || bpi_at(s->t)->storage->version == s->version)
        return BP_OK;
    return bpi_fail(ctx, BP_ERR_STATE,
                    "%s: its %s %d was changed by %s after it was saved for the gradient",
                    node->op->def.name, what, i, bpi_at(s->t)->storage->writer);
}

/* A program will see it: its handle must not be given out again. */
static void lend(bp_tensor *t)
{
    if (t)
        bpi_at(t)->owner = BPI_OWNER_OBJECT;
}

/* Fills what a rule sees; finds out what it must compute. */
static bp_status open_call(bpi_grad_call *g, bp_context *ctx, bpi_walk *w, bpi_node *node)
{
    const bp_op_def *def = &node->op->def;
    memset(&g->call, 0, sizeof g->call);
    g->call.ctx = ctx;
    g->call.params = node->params;
    g->call.n_in = def->n_in;
    g->call.n_out = def->n_out;
    g->walk = w;
    g->node = node;
    g->aux = node->aux.t;
    g->begin = ctx->tape_length;
    g->wanted = 0;
    for (int i = 0; i < def->n_in; i++) {
        BPI_TRY(check_saved(ctx, node, &node->saved_in[i], "input", i));
        g->call.in[i] = node->saved_in[i].t;
        g->call.in_shape[i] = node->in_shape[i];
        const bpi_place *p = &node->in[i];
        g->call.need[i] = p->serial && bpi_node_at(ctx, p->node)->needed == w->id;
        g->wanted |= (uint32_t)g->call.need[i] << i;
    }
    for (int i = 0; i < def->n_out; i++) {
        BPI_TRY(check_saved(ctx, node, &node->saved_out[i], "output", i));
        g->call.out[i] = node->saved_out[i].t;
        g->call.dout[i] = node->pending[i];
    }
    for (int i = 0; i < BP_MAX_IO && node->op->id < 0; i++) { /* to a program's own rule */
        lend(g->call.in[i]);
        lend(g->call.out[i]);
        lend(g->call.dout[i]);
    }
    return BP_OK;
}

/* A rule of a program's own may return anything. */
static bp_status check_dx(bp_context *ctx, const bpi_node *node, int i, bp_tensor *dx)
{
    const char *name = node->op->def.name;
    char what[] = "its gradient rule's dx[0]";
    what[sizeof what - 3] = (char)('0' + i);
    BPI_TRY(bpi_usable(ctx, dx, name, what));
    const bp_view *v = bpi_view_of(dx);
    bool fits = bpi_same_shape(&v->shape, &node->in_shape[i]);
    if (fits && v->dtype == node->in_dtype[i])
        return BP_OK;
    return bpi_fail(ctx, fits ? BP_ERR_DTYPE : BP_ERR_SHAPE,
                    "%s: its gradient rule gives input %d %s %s, and %s %s is wanted", name, i,
                    bp_dtype_name(v->dtype), bpi_shape_str(&v->shape).s,
                    bp_dtype_name(node->in_dtype[i]), bpi_shape_str(&node->in_shape[i]).s);
}

static bp_status call_host_rule(bpi_grad_call *g, const bp_op *op)
{
    BPI_CALLBACK(callback);
    bpi_callback_begin(&callback, g->call.ctx, false);
    bp_status st = op->def.gradient(&g->call);
    bp_status told = bpi_callback_over(&callback, op->def.name);
    return told != BP_OK ? told : st;
}

/* The rule, and the delivery of what it computed. */
static bp_status run_rule(bp_context *ctx, bpi_grad_call *g)
{
    const bp_op *op = g->node->op;
    bool composed = op->compose && (g->walk->flags & BP_CREATE_GRAPH || !op->def.gradient);
    bp_status st = composed     ? bpi_compose_gradient(g)
                   : op->id < 0 ? call_host_rule(g, op)
                                : op->def.gradient(&g->call);
    if (st == BP_OK)
        st = ctx->pending;
    for (int i = 0; i < op->def.n_in && st == BP_OK; i++) {
        bp_tensor *dx = g->call.dx[i];
        if (!dx || !(g->wanted >> i & 1))
            continue;
        if (op->id < 0) /* the library's own are held to their shapes by tests */
            st = check_dx(ctx, g->node, i, dx);
        if (st == BP_OK)
            st = bpi_deliver(ctx, g->walk, &g->node->in[i], dx);
    }
    return st;
}

/* Runs the rule of a node where only what it makes itself is recorded, unless the gradient must be
 * differentiable: then all is. Temporaries of the rule end here, and with them its tape. */
static bp_status visit(bp_context *ctx, bpi_walk *w, bpi_node *node)
{
    if (node->used)
        return bpi_fail(ctx, BP_ERR_STATE,
                        "%s: the graph behind this value was already used; keep it with "
                        "bp_backward_keep or BP_KEEP_GRAPH", node->op->def.name);
    bpi_grad_call g;
    BPI_TRY(open_call(&g, ctx, w, node));
    BPI_TRY(bpi_rule_scope_begin(ctx));
    const bpi_grad_call *outer = ctx->rule;
    int32_t live_from = ctx->live_from;
    bool graph = w->flags & BP_CREATE_GRAPH;
    ctx->rule = &g;
    if (!graph)
        ctx->live_from = g.begin;
    bp_status st = run_rule(ctx, &g);
    ctx->live_from = live_from;
    ctx->rule = outer;
    bpi_rule_scope_end(ctx);
    if (!graph)
        bpi_tape_cut(ctx, g.begin);
    return st != BP_OK ? bpi_fail(ctx, st, "%s: its gradient failed: %s", node->op->def.name,
                                  bp_status_name(st))
                       : BP_OK;
}

static void clear_pending(bpi_node *node)
{
    int n = node->op ? node->op->def.n_out : 1;
    for (int i = 0; i < n; i++) {
        bpi_kill(node->pending[i]);
        node->pending[i] = NULL;
    }
}

/* Takes the gradients that have arrived at the wanted values of a node. */
static bp_status collect(bp_context *ctx, bpi_walk *w, int32_t n)
{
    bp_status st = BP_OK;
    for (int k = 0; k < w->n_targets && st == BP_OK; k++) {
        bpi_place *p = &w->place[k];
        if (p->serial && p->node == n && bpi_node_at(ctx, n)->pending[p->out])
            st = bpi_add_gradient(ctx, w, &w->result[k], bpi_node_at(ctx, n)->pending[p->out]);
    }
    return st;
}

/* From y's place down to w->first, with dy pending there. */
static bp_status walk(bp_context *ctx, bpi_walk *w, const bpi_place *y, bp_tensor *dy)
{
    bp_status st = BP_OK;
    int32_t last = y->node;
    w->id = ++ctx->serial;
    if (!mark(ctx, w, last))
        return BP_OK; /* y depends on nothing wanted */
    for (int32_t n = w->first; n <= last; n++) {
        bpi_node *node = bpi_node_at(ctx, n);
        node->handed = false;
        memset(node->pending, 0, sizeof node->pending);
    }
    st = bpi_deliver(ctx, w, y, dy);
    for (int32_t n = last; n >= w->first; n--) {
        bpi_node *node = bpi_node_at(ctx, n);
        bool arrived = false;
        int n_out = node->op ? node->op->def.n_out : 1;
        for (int i = 0; i < n_out; i++)
            arrived |= node->pending[i] != NULL;
        if (st == BP_OK && arrived && node->needed == w->id) {
            st = collect(ctx, w, n);
            if (st == BP_OK && node->leads)
                st = visit(ctx, w, node);
            if (st == BP_OK && node->leads && !(w->flags & (BP_KEEP_GRAPH | BP_CREATE_GRAPH)))
                bpi_node_release(node);
        }
        clear_pending(node);
    }
    return st;
}

bp_status bpi_compose_gradient(bpi_grad_call *g)
{
    bp_context *ctx = g->call.ctx;
    bp_tensor *in[BP_MAX_IO], *y[BP_MAX_IO] = {NULL};
    bpi_walk w = {.flags = g->walk->flags & BP_CREATE_GRAPH, .result = g->call.dx,
                  .first = ctx->tape_length, .n_targets = g->call.n_in};
    for (int i = 0; i < g->call.n_in; i++) {
        in[i] = g->call.need[i] ? bp_require_grad(g->call.in[i]) : g->call.in[i];
        if (!in[i])
            return ctx->pending;
        if (g->call.need[i]) /* its own, where one tensor is two inputs */
            w.place[i] = bpi_at(in[i])->place;
    }
    bp_status st = g->node->op->compose(ctx, in, g->call.params, y);
    for (int k = 0; k < g->call.n_out && st == BP_OK; k++) /* y and the op have equal outputs */
        if (g->call.dout[k] && y[k] && bpi_at(y[k])->place.serial)
            st = walk(ctx, &w, &bpi_at(y[k])->place, g->call.dout[k]);
    for (int i = 0; i < g->call.n_in; i++)
        if (g->call.dx[i])
            bpi_give_to_scope(g->call.dx[i]);
    return st;
}

/* --- public ------------------------------------------------------------------------------ */

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

static bp_status backward(bp_context *ctx, bp_tensor *loss, uint32_t flags)
{
    BPI_TRY(walkable(ctx, loss, "backward", "loss"));
    if (ctx->rule)
        return bpi_fail(ctx, BP_ERR_STATE, "backward: called from the gradient rule of %s",
                        ctx->rule->node->op->def.name);
    if (bp_shape_count(bpi_view_of(loss)->shape) != 1)
        return bpi_fail(ctx, BP_ERR_SHAPE, "backward: the loss has shape %s, not one element",
                        bpi_shape_str(&bpi_view_of(loss)->shape).s);
    for (int32_t n = 0; n < ctx->tape_length; n++) {
        const bp_params *store = bpi_node_at(ctx, n)->store;
        if (store && store->counted.freed)
            return bpi_fail(ctx, BP_ERR_STATE, "backward: its parameter store was freed");
    }
    bp_tensor *one = ctx->one[bpi_view_of(loss)->dtype == BP_F64];
    bp_tensor *seed = bpi_window(one, 0, bpi_view_of(one)->dtype, bpi_view_of(loss)->shape,
                                 BPI_OWNER_LIBRARY);
    if (!seed)
        return ctx->pending;
    bpi_walk w = {.to_store = true, .flags = flags};
    bp_status st = walk(ctx, &w, &bpi_at(loss)->place, seed);
    bpi_kill(seed);
    if (st != BP_OK)
        bpi_take_back(ctx, &w);
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
static bp_tensor *zeros_like(bp_context *ctx, const bp_tensor *t)
{
    const bp_view *v = bpi_view_of(t);
    bp_tensor *one = ctx->one[v->dtype == BP_F64]; /* broadcasts */
    bp_tensor *zeros = bpi_fresh_packed(ctx, v->dtype, v->shape, BPI_OWNER_SCOPE);
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
    *dx = found ? bpi_fresh_copy(ctx, found) : zeros_like(ctx, x);
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
    bpi_walk w = {.flags = flags, .result = dx, .n_targets = n, .first = INT32_MAX};
    if (n < 0 || n > (int32_t)(sizeof w.place / sizeof *w.place))
        return bpi_fail(ctx, BP_ERR_ARG, "grad: %d tensors asked for; at most %zu", n,
                        sizeof w.place / sizeof *w.place);
    BPI_TRY(bpi_given(ctx, dy, "grad: dy"));
    const bp_view *from = bpi_view_of(dy), *to = bpi_view_of(y);
    if (bpi_usable(ctx, dy, "grad", "dy") != BP_OK ||
        !bpi_same_shape(&from->shape, &to->shape) || from->dtype != to->dtype)
        return bpi_fail(ctx, BP_ERR_SHAPE, "grad: dy %s does not have y's shape %s and dtype",
                        bpi_shape_str(&from->shape).s, bpi_shape_str(&to->shape).s);
    BPI_TRY(wanted(ctx, &w, x));
    bool no_grad = ctx->no_grad;
    ctx->no_grad = !(flags & BP_CREATE_GRAPH); /* for copies of what was found */
    const bpi_place *last = &bpi_at(y)->place;
    bp_status st = n > 0 && w.first <= last->node ? walk(ctx, &w, last, dy) : BP_OK;
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
