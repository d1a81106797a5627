/* The tape: one node for each op that some gradient may need, in the order of the calls, which is
 * a topological order. A node keeps clones of the tensors its gradient rule names, and nothing
 * else; the tape is cut back where a scope ends. */
#include <string.h>

#include "core/core.h"

bpi_node *bpi_node_at(bp_context *ctx, int32_t i)
{
    return &ctx->tape_chunk[i / BPI_TAPE_CHUNK][i % BPI_TAPE_CHUNK];
}

static bool place_valid(bp_context *ctx, const bpi_place *p)
{
    return p->serial && p->node < ctx->tape_length &&
           bpi_node_at(ctx, p->node)->serial == p->serial;
}

/* A new node at the end; NULL with the error pending. */
static bpi_node *append(bp_context *ctx, const bp_op *op)
{
    if (ctx->tape_length == ctx->n_tape_chunks * BPI_TAPE_CHUNK) {
        if (!bpi_grow(ctx, (void **)&ctx->tape_chunk, &ctx->tape_capacity, ctx->n_tape_chunks + 1,
                      sizeof *ctx->tape_chunk))
            return NULL;
        bpi_node *chunk = bpi_host_alloc(ctx, BPI_TAPE_CHUNK * sizeof *chunk);
        if (!chunk) {
            bpi_fail(ctx, BP_ERR_NOMEM, "out of memory for the tape");
            return NULL;
        }
        ctx->tape_chunk[ctx->n_tape_chunks++] = chunk;
    }
    bpi_node *node = bpi_node_at(ctx, ctx->tape_length++);
    node->serial = ++ctx->serial;
    node->op = op;
    node->store = NULL;
    node->consumers = 0;
    node->used = node->handed = false;
    node->needed = 0;
    return node;
}

/* Makes t the (only) output of a new leaf. */
static bpi_node *make_leaf(bp_context *ctx, bp_tensor *t)
{
    bpi_node *node = append(ctx, NULL);
    if (!node)
        return NULL;
    node->store = t->store;
    node->segment = t->segment;
    t->place = (bpi_place){.node = ctx->tape_length - 1, .serial = node->serial};
    return node;
}

bpi_node *bpi_node_of(bp_context *ctx, bp_tensor *t)
{
    if (place_valid(ctx, &t->place))
        return bpi_node_at(ctx, t->place.node);
    if (t->store && !t->store->segment[t->segment].frozen)
        return make_leaf(ctx, t);
    return NULL;
}

bool bpi_asks_grad(bp_context *ctx, bp_tensor *t)
{
    return (t->store && !t->store->segment[t->segment].frozen) || place_valid(ctx, &t->place);
}

static bool save(bpi_saved *s, bp_tensor *t, bool wanted)
{
    s->t = wanted ? bpi_clone(t) : NULL;
    s->version = wanted ? t->storage->version : 0;
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
            place[i] = in[i]->place;
            from->consumers++;
        }
    }
    bpi_node *node = append(ctx, op);
    bool ok = node != NULL;
    if (!node) {
        bpi_kill(aux);
        return ctx->pending;
    }
    uint32_t all = op->compose ? ~0u : 0; /* a composition is run again from the inputs */
    for (int i = 0; i < op->def.n_in; i++) {
        node->in[i] = place[i];
        node->in_shape[i] = in[i]->view.shape;
        node->in_dtype[i] = in[i]->view.dtype;
        ok &= save(&node->saved_in[i], in[i], (op->def.saves_in | all) >> i & 1);
    }
    for (int i = 0; i < op->def.n_out; i++) {
        out[i]->place = (bpi_place){ctx->tape_length - 1, i, node->serial};
        node->pending[i] = NULL;
        ok &= save(&node->saved_out[i], out[i], op->def.saves_out >> i & 1);
    }
    node->aux = (bpi_saved){.t = aux};
    if (op->def.params_bytes)
        memcpy(node->params, params, op->def.params_bytes);
    return ok ? BP_OK : ctx->pending;
}

void bpi_node_release(bpi_node *node)
{
    if (!node->op || node->used)
        return;
    for (int i = 0; i < node->op->def.n_in; i++) {
        bpi_kill(node->saved_in[i].t);
        node->saved_in[i].t = NULL;
    }
    for (int i = 0; i < node->op->def.n_out; i++) {
        bpi_kill(node->saved_out[i].t);
        node->saved_out[i].t = NULL;
    }
    bpi_kill(node->aux.t);
    node->aux.t = NULL;
    node->used = true;
}

void bpi_tape_cut(bp_context *ctx, int32_t length)
{
    while (ctx->tape_length > length)
        bpi_node_release(bpi_node_at(ctx, --ctx->tape_length));
}

void bpi_tape_free(bp_context *ctx)
{
    bpi_tape_cut(ctx, 0);
    for (int64_t c = 0; c < ctx->n_tape_chunks; c++)
        bpi_host_free(ctx, ctx->tape_chunk[c], BPI_TAPE_CHUNK * sizeof(bpi_node));
    bpi_host_free(ctx, ctx->tape_chunk, (size_t)ctx->tape_capacity * sizeof(void *));
}

/* --- views of a tensor with another history ---------------------------------------------- */

static bp_tensor *same_view(bp_tensor *t, const char *who, bool leaf)
{
    if (!t || bpi_enter(t->ctx) != BP_OK)
        return NULL;
    bp_context *ctx = t->ctx;
    bp_tensor *y = NULL;
    if (ctx->depth == 0)
        bpi_fail(ctx, BP_ERR_STATE, "%s: outside any scope: call it in bp_run", who);
    else if (ctx->pending == BP_OK && bpi_usable(ctx, t, who, "the tensor") == BP_OK) {
        if (leaf && !bpi_is_real(t->view.dtype))
            bpi_fail(ctx, BP_ERR_DTYPE, "%s: %s has no gradient", who,
                     bp_dtype_name(t->view.dtype));
        else
            y = bpi_handle(ctx, t->storage, &t->view, BPI_OWNER_SCOPE);
        if (y && leaf && !make_leaf(ctx, y)) {
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
