/* Where a gradient goes: into the store of a parameter, or to the node that made the value.
 *
 * A store's gradient is opened at the moment that somebody is told to write it, so that whoever
 * comes next, for another input of the same op perhaps, adds. */
#include "autograd/apply.h"
#include "autograd/walk.h"
#include "core/context.h"
#include "core/dispatch.h"
#include "core/params.h"
#include "core/view.h"

/* Nobody else sees a sum of gradients, and nothing in it overlaps. */
static bool grows_in_place(const bpi_walk *w, const bp_tensor *sum)
{
    return sum && !(w->flags & BP_CREATE_GRAPH) && bpi_at(sum)->storage->refs == 1 &&
           bpi_layout_fits(bpi_view_of(sum), BPI_MATRIX);
}

bp_tensor *bpi_grad_waiting(bpi_grad_call *g, int i)
{
    const bpi_place *p = &g->node->in[i];
    bp_tensor *sum = bpi_node_at(g->call.ctx, p->node)->pending[p->out];
    return grows_in_place(g->walk, sum) ? sum : NULL;
}

bp_status bpi_add_gradient(bp_context *ctx, const bpi_walk *w, bp_tensor **slot, bp_tensor *dx)
{
    bp_tensor *sum = dx;
    if (grows_in_place(w, *slot)) {
        bp_tensor *in[2] = {*slot, dx};
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

/* The parameter's leaf at a place, if the walk brings it its gradient. */
static bpi_node *leaf_at(bp_context *ctx, const bpi_walk *w, const bpi_place *p)
{
    bpi_node *node = w->to_store && p->serial ? bpi_node_at(ctx, p->node) : NULL;
    return node && !node->op && node->store ? node : NULL;
}

/* 1 if there is a gradient to add to; else it must be written. */
static int32_t open_segment(const bpi_walk *w, bp_params *store, bpi_segment *seg)
{
    bool add = seg->window == store->window;
    seg->adds_to_noted = add && bpi_segment_noted(store->ctx, seg);
    bpi_storage_written(bpi_at(seg->grad)->storage, "backward");
    if (!add) {
        seg->window = store->window;
        seg->walk = w->id;
    } else if (seg->walk != w->id) {
        store->adding = w->id;
    }
    return add;
}

static bool shares(const bp_tensor *a, const bp_tensor *b)
{
    return a && bpi_at(a)->storage == bpi_at(b)->storage;
}

static bool reads(const bp_grad_call *c, const bp_tensor *t)
{
    bool found = false;
    for (int i = 0; i < c->n_in; i++)
        found |= shares(c->in[i], t);
    for (int i = 0; i < c->n_out; i++)
        found |= shares(c->out[i], t) || shares(c->dout[i], t);
    return found;
}

bp_tensor *bpi_grad_sink(bpi_grad_call *g, int i, int32_t *add)
{
    bpi_node *leaf = leaf_at(g->call.ctx, g->walk, &g->node->in[i]);
    bpi_segment *seg = leaf ? &leaf->store->segment[leaf->segment] : NULL;
    if (!seg || (leaf->store->grads_seen && reads(&g->call, seg->grad)))
        return NULL;
    g->wanted &= ~(1u << i);
    *add = open_segment(g->walk, leaf->store, seg);
    return seg->grad;
}

bp_tensor *bpi_grad_suspect(bpi_grad_call *g, uint32_t inputs)
{
    bp_params *store = NULL;
    for (int i = 0; i < g->call.n_in; i++) {
        if (!(inputs >> i & 1))
            continue;
        bpi_node *leaf = leaf_at(g->call.ctx, g->walk, &g->node->in[i]);
        if (!leaf || (store && store != leaf->store))
            return NULL;
        store = leaf->store;
    }
    return store ? store->suspect : NULL;
}

void bpi_grad_noted(bpi_grad_call *g, uint32_t inputs, const int32_t *adds)
{
    bp_context *ctx = g->call.ctx;
    for (int i = 0; i < g->call.n_in; i++) {
        if (!(inputs >> i & 1))
            continue;
        bpi_node *leaf = leaf_at(ctx, g->walk, &g->node->in[i]);
        bpi_segment *seg = &leaf->store->segment[leaf->segment];
        if (adds[i] && !seg->adds_to_noted)
            continue;
        seg->noted_version = bpi_at(seg->grad)->storage->version;
        seg->noted_in = ctx->recording ? ctx->recording->serial : 0;
    }
}

bp_status bpi_deliver(bp_context *ctx, bpi_walk *w, const bpi_place *p, bp_tensor *dx)
{
    bpi_node *leaf = leaf_at(ctx, w, p);
    if (!leaf)
        return bpi_add_gradient(ctx, w, &bpi_node_at(ctx, p->node)->pending[p->out], dx);
    bpi_segment *seg = &leaf->store->segment[leaf->segment];
    if (shares(dx, seg->grad) && !(dx = bpi_fresh_copy(ctx, dx)))
        return ctx->pending; /* a rule returned gradients of the store, in another order perhaps */
    int32_t add = open_segment(w, leaf->store, seg);
    bp_tensor *in[2] = {add ? seg->grad : dx, dx};
    return bpi_dispatch(ctx, add ? BPI_OP_add : BPI_OP_copy, BPI_FORWARD, in, add ? 2 : 1,
                        &seg->grad, 1, NULL, 0);
}
