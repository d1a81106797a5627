/* Walking back: the chain rule as vector-Jacobian products, from the newest node to the oldest.
 *
 * The tape is in topological order, so one pass from y's node down visits each node after every
 * gradient that flows into it has arrived. A first pass upwards marks the nodes that lead to
 * something wanted; the others are not visited and nothing is computed for them. */
#include <string.h>

#include "autograd/apply.h"
#include "autograd/finite.h"
#include "autograd/walk.h"
#include "core/context.h"
#include "core/error.h"
#include "core/params.h"
#include "core/scope.h"
#include "core/tensor.h"
#include "core/view.h"

/* Marks what lies between the targets and `last`. */
static void mark(bp_context *ctx, bpi_walk *w, int32_t last)
{
    for (int i = 0; i < w->n_targets; i++)
        if (w->place[i].serial)
            bpi_node_at(ctx, w->place[i].node)->needed = w->id;
    for (int32_t n = w->first; n <= last; n++) {
        bpi_node *node = bpi_node_at(ctx, n);
        node->leads = false;
        if (!node->op) {
            if (w->to_store && node->store &&
                bpi_segment_trains(&node->store->segment[node->segment]))
                node->needed = w->id;
            continue;
        }
        for (int i = 0; i < node->op->def.n_in && !node->leads; i++)
            node->leads = node->in[i].serial &&
                          bpi_node_at(ctx, node->in[i].node)->needed == w->id;
        if (node->leads)
            node->needed = w->id;
    }
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
            st = bpi_check_given(ctx, op, "its gradient rule's dx", i, dx, g->node->in_dtype[i],
                                 &g->node->in_shape[i]);
        if (st == BP_OK && ctx->check_finite && !bpi_gradient_finite(ctx, op, &g->call, i))
            st = ctx->pending;
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

bp_status bpi_walk_back(bp_context *ctx, bpi_walk *w, const bpi_place *y, bp_tensor *const *dy,
                        int n_y)
{
    bp_status st = BP_OK;
    int32_t last = -1;
    bool needed = false;
    for (int i = 0; i < n_y; i++)
        last = y[i].node > last ? y[i].node : last;
    w->id = ++ctx->serial;
    if (w->to_store)
        ctx->storing = w->id;
    mark(ctx, w, last);
    for (int i = 0; i < n_y; i++)
        needed |= bpi_node_at(ctx, y[i].node)->needed == w->id;
    if (!needed)
        return BP_OK; /* they depend on nothing wanted */
    for (int32_t n = w->first; n <= last; n++) {
        bpi_node *node = bpi_node_at(ctx, n);
        node->handed = false;
        memset(node->pending, 0, sizeof node->pending);
    }
    for (int i = 0; i < n_y && st == BP_OK; i++)
        st = bpi_deliver(ctx, w, &y[i], dy[i]);
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
    const bp_op *op = g->node->op;
    bp_tensor *dy[BP_MAX_IO];
    bpi_place from[BP_MAX_IO];
    int n = 0;
    bp_status st = bpi_compose(ctx, op, in, g->call.params, NULL, y);
    for (int k = 0; k < g->call.n_out && st == BP_OK; k++) { /* y and the op have equal outputs */
        if (!g->call.dout[k] || !y[k])
            continue;
        const bp_view *want = bpi_view_of(g->call.dout[k]);
        const bpi_place *place = &bpi_at(y[k])->place;
        if (op->id < 0)
            st = bpi_check_given(ctx, op, "its composition's out", k, y[k], want->dtype,
                                 &want->shape);
        if (bpi_place_valid(ctx, place) && place->node >= w.first) {
            from[n] = *place;
            dy[n++] = g->call.dout[k];
        }
    }
    if (st == BP_OK && n > 0)
        st = bpi_walk_back(ctx, &w, from, dy, n);
    for (int i = 0; i < g->call.n_in; i++)
        if (g->call.dx[i])
            bpi_give_to_scope(g->call.dx[i]);
    return st;
}
