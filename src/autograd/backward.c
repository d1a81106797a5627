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
        if (!node->op) {
            if (w->to_store && node->store)
                node->needed = w->id;
            continue;
        }
        for (int i = 0; i < node->op->def.n_in && node->needed != w->id; i++)
            if (node->in[i].serial && bpi_node_at(ctx, node->in[i].node)->needed == w->id)
                node->needed = w->id;
    }
    return bpi_node_at(ctx, last)->needed == w->id;
}

/* slot += dx, where slot is NULL or a clone of the walk's own. */
static bp_status add_gradient(bp_context *ctx, bpi_walk *w, bp_tensor **slot, bp_tensor *dx)
{
    bp_tensor *sum = dx;
    if (*slot && !(w->flags & BP_CREATE_GRAPH) && bpi_at(*slot)->storage->refs == 1 &&
        bpi_layout_fits(bpi_view_of(*slot), BPI_MATRIX)) {
        bp_tensor *in[2] = {*slot, dx}; /* nobody else sees it, nothing overlaps: add in place */
        return bpi_dispatch(ctx, BPI_OP_add, BPI_FORWARD, in, 2, slot, 1, NULL, 0);
    }
    if (*slot) {
        sum = bpi_apply2(ctx->add, *slot, dx, NULL);
        if (!sum)
            return ctx->pending;
    }
    bp_tensor *mine = bpi_clone(sum);
    if (!mine)
        return ctx->pending;
    bpi_kill(*slot);
    *slot = mine;
    return BP_OK;
}

bp_tensor *bpi_grad_sink(bpi_grad_call *g, int i, int32_t *add)
{
    const bpi_place *p = &g->node->in[i];
    bpi_node *leaf = p->serial ? bpi_node_at(g->call.ctx, p->node) : NULL;
    if (!g->walk->to_store || !leaf || leaf->op || !leaf->store)
        return NULL;
    bpi_segment *seg = &leaf->store->segment[leaf->segment];
    *add = seg->window == leaf->store->window;
    return seg->grad;
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

/* Sends dx[i] of a rule to where it goes: a store, a wanted value, or the node before. */
static bp_status deliver(bpi_grad_call *g, int i)
{
    bp_context *ctx = g->call.ctx;
    bp_tensor *dx = g->call.dx[i];
    const bpi_place *p = &g->node->in[i];
    int32_t add;
    bp_tensor *sink = bpi_grad_sink(g, i, &add);
    if (sink) {
        bpi_node *leaf = bpi_node_at(ctx, p->node);
        leaf->store->segment[leaf->segment].window = leaf->store->window;
        if (dx == sink)
            return BP_OK;
        bp_tensor *in[2] = {add ? sink : dx, dx};
        return bpi_dispatch(ctx, add ? BPI_OP_add : BPI_OP_copy, BPI_FORWARD, in, add ? 2 : 1,
                            &sink, 1, NULL, 0);
    }
    if (p->node >= g->walk->first)
        return add_gradient(ctx, g->walk, &bpi_node_at(ctx, p->node)->pending[p->out], dx);
    for (int k = 0; k < g->walk->n_targets; k++) /* a composition's input: outside the walk */
        if (g->walk->place[k].serial == p->serial && g->walk->place[k].out == p->out)
            return add_gradient(ctx, g->walk, &g->walk->result[k], dx);
    return BP_OK;
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
    for (int i = 0; i < def->n_in; i++) {
        const bpi_place *p = &node->in[i];
        BPI_TRY(check_saved(ctx, node, &node->saved_in[i], "input", i));
        g->call.in[i] = node->saved_in[i].t;
        g->call.in_shape[i] = node->in_shape[i];
        g->call.need[i] = p->serial && bpi_node_at(ctx, p->node)->needed == w->id;
    }
    for (int i = 0; i < def->n_out; i++) {
        BPI_TRY(check_saved(ctx, node, &node->saved_out[i], "output", i));
        g->call.out[i] = node->saved_out[i].t;
        g->call.dout[i] = node->pending[i];
    }
    return BP_OK;
}

/* One rule, and the delivery of what it computed. Temporaries of the rule end here. */
static bp_status visit(bp_context *ctx, bpi_walk *w, bpi_node *node)
{
    if (node->used)
        return bpi_fail(ctx, BP_ERR_STATE,
                        "%s: the graph behind this value was already used; keep it with "
                        "bp_backward_keep or BP_KEEP_GRAPH", node->op->def.name);
    bpi_grad_call g;
    BPI_TRY(open_call(&g, ctx, w, node));
    bool graph = w->flags & BP_CREATE_GRAPH;
    bool composed = node->op->compose && (graph || !node->op->def.gradient);
    BPI_TRY(bpi_rule_scope_begin(ctx, !graph));
    bp_status st = composed ? bpi_compose_gradient(&g) : node->op->def.gradient(&g.call);
    if (st == BP_OK)
        st = ctx->pending;
    for (int i = 0; i < g.call.n_in && st == BP_OK; i++)
        if (g.call.need[i] && g.call.dx[i])
            st = deliver(&g, i);
    bpi_rule_scope_end(ctx);
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
            st = add_gradient(ctx, w, &w->result[k], bpi_node_at(ctx, n)->pending[p->out]);
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
    st = add_gradient(ctx, w, &bpi_node_at(ctx, last)->pending[y->out], dy);
    for (int32_t n = last; n >= w->first; n--) {
        bpi_node *node = bpi_node_at(ctx, n);
        bool arrived = false;
        int n_out = node->op ? node->op->def.n_out : 1;
        for (int i = 0; i < n_out; i++)
            arrived |= node->pending[i] != NULL;
        if (st == BP_OK && arrived && node->needed == w->id) {
            st = collect(ctx, w, n);
            if (st == BP_OK && node->op)
                st = visit(ctx, w, node);
            if (st == BP_OK && !(w->flags & (BP_KEEP_GRAPH | BP_CREATE_GRAPH)))
                bpi_node_release(node);
        }
        clear_pending(node);
    }
    return st;
}

bp_status bpi_compose_gradient(bpi_grad_call *g)
{
    bp_context *ctx = g->call.ctx;
    bool no_grad = ctx->no_grad, graph = g->walk->flags & BP_CREATE_GRAPH;
    bp_tensor *in[BP_MAX_IO], *y[BP_MAX_IO] = {NULL}, *result[BP_MAX_IO] = {NULL};
    bpi_walk w = {.flags = graph ? BP_CREATE_GRAPH : 0, .result = result};
    w.n_targets = g->call.n_in;
    for (int i = 0; i < g->call.n_in; i++) {
        in[i] = g->call.in[i]; /* clones: they carry the place of the original input */
        if (g->call.need[i])
            w.place[i] = bpi_at(in[i])->place;
    }
    w.first = ctx->tape_length;
    ctx->no_grad = false;
    bp_status st = g->node->op->compose(ctx, in, g->call.params, y);
    ctx->no_grad = !graph;
    for (int k = 0; k < g->call.n_out && st == BP_OK; k++) /* y and the op have equal outputs */
        if (g->call.dout[k] && y[k] && bpi_at(y[k])->place.serial)
            st = walk(ctx, &w, &bpi_at(y[k])->place, g->call.dout[k]);
    ctx->no_grad = no_grad;
    for (int i = 0; i < g->call.n_in; i++) {
        g->call.dx[i] = result[i];
        if (result[i])
            bpi_give_to_scope(result[i]);
        if (g->call.need[i]) /* the inner walk marked it as its own */
            bpi_node_at(ctx, bpi_at(in[i])->place.node)->needed = g->walk->id;
    }
    if (!graph)
        bpi_tape_cut(ctx, w.first);
    return st;
}

/* --- public ------------------------------------------------------------------------------ */

static bp_status walkable(bp_context *ctx, bp_tensor *y, const char *who)
{
    if (ctx->pending != BP_OK)
        return ctx->pending;
    if (ctx->depth == 0)
        return bpi_fail(ctx, BP_ERR_STATE, "%s: outside any scope: call it in bp_run", who);
    if (!y)
        return bpi_fail(ctx, BP_ERR_ARG, "%s: the value to differentiate is NULL", who);
    BPI_TRY(bpi_usable(ctx, y, who, "the value"));
    if (!bpi_node_of(ctx, y))
        return bpi_fail(ctx, BP_ERR_STATE,
                        "%s: the value has no history: nothing in it asked for a gradient, or it "
                        "was computed without one", who);
    return BP_OK;
}

static bp_status backward(bp_context *ctx, bp_tensor *loss, uint32_t flags)
{
    BPI_TRY(walkable(ctx, loss, "backward"));
    if (ctx->walking)
        return bpi_fail(ctx, BP_ERR_STATE, "backward: called from a gradient rule");
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
    ctx->walking++;
    bp_status st = walk(ctx, &w, &bpi_at(loss)->place, seed);
    ctx->walking--;
    bpi_kill(seed);
    for (int32_t n = 0; n < ctx->tape_length && st != BP_OK; n++)
        if (bpi_node_at(ctx, n)->store)
            bpi_node_at(ctx, n)->store->invalid = true;
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
    bp_tensor *zeros = bpi_fresh_packed(ctx, v->dtype, v->shape, BPI_OWNER_LIBRARY);
    bpi_scale_params p = {0};
    if (zeros && bpi_dispatch(ctx, BPI_OP_scale, BPI_FORWARD, &one, 1, &zeros, 1, &p, sizeof p)) {
        bpi_kill(zeros);
        return NULL;
    }
    return zeros;
}

static bp_status grad(bp_context *ctx, bp_tensor *y, bp_tensor *dy, bp_tensor *const *x, int32_t n,
                      uint32_t flags, bp_tensor **dx)
{
    BPI_TRY(walkable(ctx, y, "grad"));
    bpi_walk w = {.flags = flags, .result = dx, .n_targets = n, .first = INT32_MAX};
    if (n < 0 || n > (int32_t)(sizeof w.place / sizeof *w.place))
        return bpi_fail(ctx, BP_ERR_ARG, "grad: %d tensors asked for; at most %zu", n,
                        sizeof w.place / sizeof *w.place);
    const bp_view *from = dy ? bpi_view_of(dy) : NULL, *to = bpi_view_of(y);
    if (!dy || bpi_usable(ctx, dy, "grad", "dy") != BP_OK ||
        !bpi_same_shape(&from->shape, &to->shape) || from->dtype != to->dtype)
        return bpi_fail(ctx, BP_ERR_SHAPE, "grad: dy %s does not have y's shape %s and dtype",
                        dy ? bpi_shape_str(&from->shape).s : "NULL", bpi_shape_str(&to->shape).s);
    for (int i = 0; i < n; i++) {
        if (!x[i] || bpi_usable(ctx, x[i], "grad", "an x") != BP_OK || !bpi_node_of(ctx, x[i]))
            return bpi_fail(ctx, BP_ERR_ARG, "grad: x[%d] asks for no gradient", i);
        w.place[i] = bpi_at(x[i])->place;
        w.first = w.place[i].node < w.first ? w.place[i].node : w.first;
    }
    ctx->walking++;
    const bpi_place *last = &bpi_at(y)->place;
    bp_status st = n > 0 && w.first <= last->node ? walk(ctx, &w, last, dy) : BP_OK;
    ctx->walking--;
    for (int i = 0; i < n && st == BP_OK; i++)
        if (!dx[i] && !(dx[i] = zeros_like(ctx, x[i])))
            st = ctx->pending;
    for (int i = 0; i < n; i++) {
        if (st != BP_OK) {
            bpi_kill(dx[i]);
            dx[i] = NULL;
        } else {
            bpi_give_to_scope(dx[i]);
        }
    }
    return st;
}

bp_status bp_grad(bp_context *ctx, bp_tensor *y, bp_tensor *dy, bp_tensor *const *x, int32_t n,
                  uint32_t flags, bp_tensor **dx)
{
    for (int i = 0; i < n; i++)
        dx[i] = NULL;
    BPI_INSIDE(ctx, grad(ctx, y, dy, x, n, flags, dx));
}
