/* What an op leaves on the tape, and views of a tensor with another history. */
#include <string.h>

#include "autograd/apply.h"
#include "autograd/walk.h"
#include "core/context.h"
#include "core/dispatch.h"
#include "core/error.h"
#include "core/params.h"
#include "core/tensor.h"
#include "core/view.h"

/* Makes t the (only) output of a new leaf. */
static bpi_node *make_leaf(bp_context *ctx, bp_tensor *t)
{
    bpi_node *node = bpi_tape_append(ctx, NULL);
    if (!node)
        return NULL;
    bpi_tensor *slot = bpi_at(t);
    node->store = slot->store;
    node->segment = slot->segment;
    slot->place = (bpi_place){.node = ctx->tape_length - 1, .serial = node->serial};
    return node;
}

/* Not a parameter that does not train, nor a constant of the rule at work. */
static bool live(const bp_context *ctx, const bpi_tensor *slot)
{
    if (slot->store)
        return bpi_segment_trains(&slot->store->segment[slot->segment]) && ctx->live_from == 0;
    return slot->place.node >= ctx->live_from;
}

bpi_node *bpi_node_of(bp_context *ctx, bp_tensor *t)
{
    const bpi_tensor *slot = bpi_at(t);
    if (!live(ctx, slot))
        return NULL;
    if (bpi_place_valid(ctx, &slot->place))
        return bpi_node_at(ctx, slot->place.node);
    return slot->store ? make_leaf(ctx, t) : NULL;
}

bool bpi_asks_grad(bp_context *ctx, bp_tensor *t)
{
    const bpi_tensor *slot = bpi_at(t);
    return live(ctx, slot) && (slot->store || bpi_place_valid(ctx, &slot->place));
}

static bool save(bpi_saved *s, bp_tensor *t, bool wanted)
{
    s->t = wanted ? bpi_clone(t) : NULL;
    s->version = wanted ? bpi_at(t)->storage->version : 0;
    return !wanted || s->t;
}

bp_status bpi_record(bp_context *ctx, const bp_op *op, bp_tensor *const *in, bp_tensor *const *out,
                     bp_tensor *aux, const void *params)
{
    bpi_place place[BP_MAX_IO];
    for (int i = 0; i < op->def.n_in; i++) { /* leaves first: they must precede the node */
        bpi_node *from = bpi_node_of(ctx, in[i]);
        place[i] = (bpi_place){0};
        if (from) {
            place[i] = bpi_at(in[i])->place;
            from->consumers++;
        }
    }
    bpi_node *node = bpi_tape_append(ctx, op);
    bool ok = node != NULL;
    if (!node) {
        bpi_kill(aux);
        return ctx->pending;
    }
    uint32_t all = op->compose ? ~0u : 0; /* a composition is run again from the inputs */
    for (int i = 0; i < op->def.n_in; i++) {
        node->in[i] = place[i];
        node->in_shape[i] = bpi_view_of(in[i])->shape;
        node->in_dtype[i] = bpi_view_of(in[i])->dtype;
        ok &= save(&node->saved_in[i], in[i], (op->def.saves_in | all) >> i & 1);
    }
    for (int i = 0; i < op->def.n_out; i++) {
        bpi_at(out[i])->place = (bpi_place){ctx->tape_length - 1, i, node->serial};
        node->pending[i] = NULL;
        ok &= save(&node->saved_out[i], out[i], op->def.saves_out >> i & 1);
    }
    node->aux = (bpi_saved){.t = aux};
    if (op->def.params_bytes)
        memcpy(node->params, params, op->def.params_bytes);
    return ok ? BP_OK : ctx->pending;
}

/* --- the same values with another history ------------------------------------------------ */

static bp_status same_gradient(bp_grad_call *c)
{
    c->dx[0] = c->dout[0];
    return BP_OK;
}

static const bp_op same = {.def = {.name = "same", .n_in = 1, .n_out = 1,
                                   .gradient = same_gradient}};

bp_tensor *bpi_fresh_copy(bp_context *ctx, bp_tensor *t)
{
    const bp_view *v = bpi_view_of(t);
    bp_tensor *y = bpi_fresh_packed(ctx, v->dtype, v->shape, BPI_OWNER_SCOPE);
    if (!y || bpi_dispatch(ctx, BPI_OP_copy, BPI_FORWARD, &t, 1, &y, 1, NULL, 0) != BP_OK)
        return NULL;
    bool recorded = !ctx->no_grad && bpi_asks_grad(ctx, t);
    return recorded && bpi_record(ctx, &same, &t, &y, NULL, NULL) != BP_OK ? NULL : y;
}

bp_tensor *bpi_same(bp_context *ctx, bp_tensor *t)
{
    bp_tensor *y = bpi_handle(ctx, bpi_at(t)->storage, bpi_view_of(t), BPI_OWNER_SCOPE);
    bool recorded = !ctx->no_grad && bpi_asks_grad(ctx, t);
    if (y && recorded && bpi_record(ctx, &same, &t, &y, NULL, NULL) != BP_OK) {
        bpi_kill(y);
        return NULL;
    }
    return y;
}

/* In a rule whose result will be differentiated, what asks for a gradient keeps its history, and is
 * yet a value of its own. */
static bool asks(bp_context *ctx, bp_tensor *t, bp_tensor *y)
{
    bool graph = ctx->rule && ctx->rule->walk->flags & BP_CREATE_GRAPH;
    if (graph && bpi_asks_grad(ctx, t))
        return bpi_record(ctx, &same, &t, &y, NULL, NULL) == BP_OK;
    return make_leaf(ctx, y) != NULL;
}

static bp_tensor *same_view(bp_tensor *t, const char *who, bool leaf)
{
    if (!t)
        bpi_tell_thread(BP_ERR_ARG, leaf ? "require_grad: t is NULL" : "detach: t is NULL");
    if (!t || bpi_enter(bpi_at(t)->ctx) != BP_OK)
        return NULL;
    bp_context *ctx = bpi_at(t)->ctx;
    const bp_view *v = bpi_view_of(t);
    bp_tensor *y = NULL;
    if (ctx->depth == 0)
        bpi_fail(ctx, BP_ERR_STATE, "%s: outside any scope: call it in bp_run", who);
    else if (ctx->pending == BP_OK && bpi_usable(ctx, t, who, "the tensor") == BP_OK) {
        if (leaf && !bpi_is_real(v->dtype))
            bpi_fail(ctx, BP_ERR_DTYPE, "%s: %s has no gradient", who,
                     bp_dtype_name(v->dtype));
        else
            y = bpi_handle(ctx, bpi_at(t)->storage, v, BPI_OWNER_SCOPE);
        if (y && leaf && !asks(ctx, t, y)) {
            bpi_kill(y);
            y = NULL;
        }
    }
    bpi_leave(ctx);
    return y;
}

bp_tensor *bp_require_grad(bp_tensor *t)
{
    return same_view(t, "require_grad", true);
}

bp_tensor *bp_detach(bp_tensor *t)
{
    return same_view(t, "detach", false);
}
