/* The tape as a stack of nodes: tape.h. A node keeps clones of the tensors its gradient rule names,
 * and nothing else. */
#include "core/context.h"
#include "core/error.h"

bpi_node *bpi_node_at(bp_context *ctx, int32_t i)
{
    return &ctx->tape_chunk[i / BPI_TAPE_CHUNK][i % BPI_TAPE_CHUNK];
}

bool bpi_place_valid(bp_context *ctx, const bpi_place *p)
{
    return p->serial && p->node < ctx->tape_length &&
           bpi_node_at(ctx, p->node)->serial == p->serial;
}

bpi_node *bpi_tape_append(bp_context *ctx, const bp_op *op)
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
    node->used = node->handed = node->leads = false;
    node->needed = 0;
    return node;
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
