/* Slots of tensors, their handles and owners: handle.h. */
#include "core/handle.h"

#include "core/context.h"
#include "core/error.h"
#include "core/view.h"

/* Slots at multiples of their size, in memory that is a slot longer. */
static bpi_tensor *slot_of(void *chunk, int i)
{
    uintptr_t first = ((uintptr_t)chunk + BPI_SLOT_BYTES - 1) / BPI_SLOT_BYTES * BPI_SLOT_BYTES;
    return (bpi_tensor *)(first + (uintptr_t)i * BPI_SLOT_BYTES);
}

enum { CHUNK_BYTES = (BPI_SLOT_CHUNK + 1) * BPI_SLOT_BYTES };

static bool more_slots(bp_context *ctx)
{
    if (!bpi_grow(ctx, (void **)&ctx->slot_chunk, &ctx->slot_chunk_capacity,
                  ctx->n_slot_chunks + 1, sizeof *ctx->slot_chunk))
        return false;
    void *chunk = bpi_host_alloc(ctx, CHUNK_BYTES);
    if (!chunk) {
        bpi_fail(ctx, BP_ERR_NOMEM, "out of memory for tensor handles");
        return false;
    }
    ctx->slot_chunk[ctx->n_slot_chunks++] = chunk;
    for (int i = BPI_SLOT_CHUNK - 1; i >= 0; i--) {
        bpi_tensor *slot = slot_of(chunk, i);
        slot->ctx = ctx;
        slot->next = ctx->free_slot;
        ctx->free_slot = slot;
    }
    return true;
}

bool bpi_handles_reserve(bp_context *ctx, int n)
{
    const bpi_tensor *slot = ctx->free_slot;
    while (slot && --n > 0)
        slot = slot->next;
    return slot || more_slots(ctx);
}

bp_tensor *bpi_handle(bp_context *ctx, bpi_storage *s, const bp_view *view, int owner)
{
    if (!ctx->free_slot && !more_slots(ctx))
        return NULL;
    bpi_tensor *slot = ctx->free_slot;
    ctx->free_slot = slot->next;
    if (s)
        s->refs++;
    slot->storage = s;
    slot->place.serial = 0;
    slot->store = NULL;
    slot->view = *view;
    slot->prev = slot->next = NULL;
    slot->owner = owner;
    bp_tensor *t = bpi_handle_of(slot);
    if (owner == BPI_OWNER_SCOPE)
        bpi_give_to_scope(t);
    return t;
}

void bpi_give_to_scope(bp_tensor *t)
{
    bpi_tensor *slot = bpi_at(t);
    bpi_scope *scope = &slot->ctx->scope[slot->ctx->depth - 1];
    slot->owner = BPI_OWNER_SCOPE;
    slot->prev = NULL;
    slot->next = scope->tensors;
    if (slot->next)
        slot->next->prev = slot;
    scope->tensors = slot;
}

bp_tensor *bpi_clone(bp_tensor *t)
{
    bpi_tensor *from = bpi_at(t);
    bp_tensor *c = bpi_handle(from->ctx, from->storage, &from->view, BPI_OWNER_LIBRARY);
    if (c) {
        bpi_at(c)->place = from->place;
        bpi_at(c)->store = from->store;
        bpi_at(c)->segment = from->segment;
    }
    return c;
}

/* It may sit in an outer scope's list. */
void bpi_take_from_scope(bp_tensor *t)
{
    bpi_tensor *slot = bpi_at(t);
    if (slot->prev) {
        slot->prev->next = slot->next;
    } else {
        bp_context *ctx = slot->ctx;
        for (int i = ctx->depth - 1; i >= 0; i--)
            if (ctx->scope[i].tensors == slot)
                ctx->scope[i].tensors = slot->next;
    }
    if (slot->next)
        slot->next->prev = slot->prev;
    slot->prev = slot->next = NULL;
}

void bpi_lend(bp_tensor *t)
{
    if (t)
        bpi_at(t)->owner = BPI_OWNER_OBJECT;
}

void bpi_kill(bp_tensor *t)
{
    if (!bpi_is_live(t))
        return;
    bpi_tensor *slot = bpi_at(t);
    bp_context *ctx = slot->ctx;
    bool seen = slot->owner != BPI_OWNER_LIBRARY;
    if (slot->owner == BPI_OWNER_SCOPE)
        bpi_take_from_scope(t);
    bpi_storage_release(ctx, slot->storage);
    slot->storage = NULL;
    slot->store = NULL;
    slot->owner = BPI_OWNER_NONE;
    if (seen && ++slot->generation == BPI_GENERATIONS)
        return; /* its next handle would be its first again */
    slot->next = ctx->free_slot;
    ctx->free_slot = slot;
}

static void end_handles(bp_context *ctx, int least_owner)
{
    for (int64_t c = 0; c < ctx->n_slot_chunks; c++)
        for (int i = 0; i < BPI_SLOT_CHUNK; i++) {
            bpi_tensor *slot = slot_of(ctx->slot_chunk[c], i);
            if (slot->owner >= least_owner)
                bpi_kill(bpi_handle_of(slot));
        }
}

void bpi_handles_end(bp_context *ctx)
{
    end_handles(ctx, BPI_OWNER_USER);
}

void bpi_handles_free(bp_context *ctx)
{
    end_handles(ctx, BPI_OWNER_LIBRARY);
    for (int64_t c = 0; c < ctx->n_slot_chunks; c++)
        bpi_host_free(ctx, ctx->slot_chunk[c], CHUNK_BYTES);
    bpi_host_free(ctx, ctx->slot_chunk, (size_t)ctx->slot_chunk_capacity * sizeof(void *));
}

bp_tensor *bpi_fresh(bp_context *ctx, bp_view *view, int owner)
{
    bpi_storage *s = bpi_storage_create(ctx, bpi_view_span(view));
    if (!s)
        return NULL;
    view->data = s->data;
    bp_tensor *t = bpi_handle(ctx, s, view, owner);
    bpi_storage_release(ctx, s); /* the handle holds it now */
    return t;
}

bp_tensor *bpi_fresh_packed(bp_context *ctx, bp_dtype dtype, bp_shape shape, int owner)
{
    bp_view v = {0};
    bpi_view_packed(&v, dtype, shape);
    return bpi_fresh(ctx, &v, owner);
}

bp_status bpi_uploaded(bp_context *ctx, bp_dtype dtype, bp_shape shape, const void *src, int owner,
                       bp_tensor **t)
{
    *t = bpi_fresh_packed(ctx, dtype, shape, owner);
    if (!*t)
        return BP_ERR_NOMEM;
    size_t bytes = bpi_view_span(bpi_view_of(*t));
    bp_status st = bytes ? bpi_upload(ctx, bpi_view_of(*t)->data, src, bytes) : BP_OK;
    if (st != BP_OK) {
        bpi_kill(*t);
        *t = NULL;
    }
    return st;
}

bp_tensor *bpi_window(bp_tensor *t, int64_t offset, bp_dtype dtype, bp_shape shape, int owner)
{
    const bp_view *whole = bpi_view_of(t);
    bp_view v = {.data = (char *)whole->data + (size_t)offset * bp_dtype_bytes(whole->dtype)};
    bpi_view_packed(&v, dtype, shape);
    return bpi_handle(bpi_at(t)->ctx, bpi_at(t)->storage, &v, owner);
}
