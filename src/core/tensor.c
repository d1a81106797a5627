/* Handles: their slots, their owners, and the calls that move data in and out. */
#include <string.h>

#include "core/core.h"

/* A slot that may be used again: dead since before the last outermost scope ended. */
static bp_tensor *take_slot(bp_context *ctx)
{
    bp_tensor *t = ctx->free_first;
    if (!t || t->died >= ctx->outer_ended) {
        if (!bpi_grow(ctx, (void **)&ctx->slot_chunk, &ctx->slot_chunk_capacity,
                      ctx->n_slot_chunks + 1, sizeof *ctx->slot_chunk))
            return NULL;
        bp_tensor *chunk = bpi_host_alloc(ctx, BPI_SLOT_CHUNK * sizeof *chunk);
        if (!chunk) {
            bpi_fail(ctx, BP_ERR_NOMEM, "out of memory for tensor handles");
            return NULL;
        }
        ctx->slot_chunk[ctx->n_slot_chunks++] = chunk;
        for (int i = BPI_SLOT_CHUNK - 1; i >= 0; i--) { /* to the front: they were never used */
            chunk[i].ctx = ctx;
            chunk[i].died = -1;
            chunk[i].next = ctx->free_first;
            ctx->free_first = &chunk[i];
            if (!ctx->free_last)
                ctx->free_last = &chunk[i];
        }
        t = ctx->free_first;
    }
    ctx->free_first = t->next;
    if (!ctx->free_first)
        ctx->free_last = NULL;
    return t;
}

bp_tensor *bpi_handle(bp_context *ctx, bpi_storage *s, const bp_view *view, int owner)
{
    bp_tensor *t = take_slot(ctx);
    if (!t)
        return NULL;
    if (s)
        s->refs++;
    t->storage = s;
    t->place.serial = 0;
    t->store = NULL;
    t->view = *view;
    t->prev = t->next = NULL;
    t->owner = (int8_t)owner;
    if (owner == BPI_OWNER_SCOPE)
        bpi_give_to_scope(t);
    return t;
}

void bpi_give_to_scope(bp_tensor *t)
{
    bpi_scope *scope = &t->ctx->scope[t->ctx->depth - 1];
    t->owner = BPI_OWNER_SCOPE;
    t->prev = NULL;
    t->next = scope->tensors;
    if (t->next)
        t->next->prev = t;
    scope->tensors = t;
}

bp_tensor *bpi_clone(bp_tensor *t)
{
    bp_tensor *c = bpi_handle(t->ctx, t->storage, &t->view, BPI_OWNER_LIBRARY);
    if (c) {
        c->place = t->place;
        c->store = t->store;
        c->segment = t->segment;
    }
    return c;
}

/* Takes a scope's tensor out of its list; it may sit in an outer scope's. */
static void unlink_from_scope(bp_tensor *t)
{
    if (t->prev) {
        t->prev->next = t->next;
    } else {
        bp_context *ctx = t->ctx;
        for (int i = ctx->depth - 1; i >= 0; i--)
            if (ctx->scope[i].tensors == t)
                ctx->scope[i].tensors = t->next;
    }
    if (t->next)
        t->next->prev = t->prev;
    t->prev = t->next = NULL;
}

void bpi_kill(bp_tensor *t)
{
    if (!t || t->owner == BPI_OWNER_NONE)
        return;
    bp_context *ctx = t->ctx;
    if (t->owner == BPI_OWNER_SCOPE)
        unlink_from_scope(t);
    bpi_storage_release(ctx, t->storage);
    t->storage = NULL;
    t->store = NULL;
    bool seen_by_user = t->owner != BPI_OWNER_LIBRARY;
    t->owner = BPI_OWNER_NONE;
    t->died = seen_by_user ? ctx->outer_ended : -1;
    t->next = seen_by_user ? NULL : ctx->free_first;
    if (!seen_by_user) {
        ctx->free_first = t;
        if (!ctx->free_last)
            ctx->free_last = t;
        return;
    }
    if (ctx->free_last)
        ctx->free_last->next = t;
    else
        ctx->free_first = t;
    ctx->free_last = t;
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
    size_t bytes = bpi_view_span(&(*t)->view);
    bp_status st = bytes ? bpi_upload(ctx, (*t)->view.data, src, bytes) : BP_OK;
    if (st != BP_OK) {
        bpi_kill(*t);
        *t = NULL;
    }
    return st;
}

bp_tensor *bpi_window(bp_tensor *t, int64_t offset, bp_dtype dtype, bp_shape shape, int owner)
{
    bp_view v = {.data = (char *)t->view.data + (size_t)offset * bp_dtype_bytes(t->view.dtype)};
    bpi_view_packed(&v, dtype, shape);
    return bpi_handle(t->ctx, t->storage, &v, owner);
}

bp_status bpi_usable(bp_context *ctx, bp_tensor *t, const char *who, const char *what)
{
    if (t->ctx != ctx)
        return bpi_fail(ctx, BP_ERR_DEVICE, "%s: %s belongs to another context", who, what);
    if (t->storage)
        return BP_OK;
    if (t->store)
        return bpi_params_materialize(t->store);
    return bpi_fail(ctx, BP_ERR_ARG,
                    "%s: %s is a stale handle: its scope has ended, or it was freed", who, what);
}

/* --- public ------------------------------------------------------------------------------ */

bp_tensor *bp_tensor_create(bp_context *ctx, bp_dtype dtype, bp_shape shape)
{
    if (!ctx || bpi_enter(ctx) != BP_OK)
        return NULL;
    bp_tensor *t = NULL;
    if (!bp_dtype_bytes(dtype))
        bpi_fail(ctx, BP_ERR_DTYPE, "tensor_create: unknown dtype %d", (int)dtype);
    else if (!bpi_shape_valid(&shape))
        bpi_fail(ctx, BP_ERR_SHAPE, "tensor_create: bad shape %s with %d sizes",
                 bpi_shape_str(&shape).s, (int)shape.ndim);
    else if (bpi_not_recording(ctx, "tensor_create") == BP_OK)
        (void)!bpi_uploaded(ctx, dtype, shape, NULL, BPI_OWNER_USER, &t);
    bpi_leave(ctx);
    return t;
}

void bp_free(bp_tensor *t)
{
    if (!t || bpi_enter(t->ctx) != BP_OK)
        return;
    bp_context *ctx = t->ctx;
    if (t->owner == BPI_OWNER_USER || t->owner == BPI_OWNER_SCOPE)
        bpi_kill(t);
    bpi_leave(ctx);
}

bp_tensor *bp_keep(bp_tensor *t)
{
    if (!t || bpi_enter(t->ctx) != BP_OK)
        return NULL;
    bp_context *ctx = t->ctx;
    bp_tensor *kept = NULL;
    if (bpi_usable(ctx, t, "keep", "the tensor") == BP_OK &&
        bpi_not_recording(ctx, "keep") == BP_OK) {
        kept = t;
        if (t->owner == BPI_OWNER_SCOPE) {
            unlink_from_scope(t);
            t->owner = BPI_OWNER_USER;
            t->place.serial = 0;
        }
    }
    bpi_leave(ctx);
    return kept;
}

bp_shape bp_shape_of(const bp_tensor *t)
{
    return t && t->owner != BPI_OWNER_NONE ? t->view.shape : BP_SCALAR;
}

bp_dtype bp_dtype_of(const bp_tensor *t)
{
    return t && t->owner != BPI_OWNER_NONE ? t->view.dtype : 0;
}

bp_context *bp_context_of(const bp_tensor *t)
{
    return t && t->owner != BPI_OWNER_NONE ? t->ctx : NULL;
}

static bp_status writable(const bp_tensor *t, const char *who)
{
    if (!bpi_repeats(&t->view))
        return BP_OK;
    return bpi_fail(t->ctx, BP_ERR_ARG, "%s: the target %s is expanded: its elements share memory",
                    who, bpi_shape_str(&t->view.shape).s);
}

static bp_status transfer_check(bp_tensor *t, const char *who, bool writes, const void *host,
                                size_t bytes)
{
    bp_context *ctx = t->ctx;
    if (ctx->pending != BP_OK)
        return ctx->pending;
    BPI_TRY(bpi_usable(ctx, t, who, "the tensor"));
    BPI_TRY(bpi_not_recording(ctx, who));
    if (writes)
        BPI_TRY(writable(t, who));
    size_t want = (size_t)bp_shape_count(t->view.shape) * bp_dtype_bytes(t->view.dtype);
    if (bytes != want)
        return bpi_fail(ctx, BP_ERR_ARG, "%s: %zu bytes for %s %s, which holds %zu", who, bytes,
                        bp_dtype_name(t->view.dtype), bpi_shape_str(&t->view.shape).s, want);
    if (!host && bytes)
        return bpi_fail(ctx, BP_ERR_ARG, "%s: the host pointer is NULL", who);
    return BP_OK;
}

/* Between the host and t, through packed memory where t has gaps. */
static bp_status transfer(bp_tensor *t, void *dst, const void *src, size_t bytes)
{
    bp_context *ctx = t->ctx;
    bool gaps = !bpi_is_packed(&t->view);
    bp_tensor *packed = t;
    if (gaps)
        packed = bpi_fresh_packed(ctx, t->view.dtype, t->view.shape, BPI_OWNER_LIBRARY);
    if (!packed)
        return BP_ERR_NOMEM;
    bp_status st = BP_OK;
    if (src)
        st = bpi_upload(ctx, packed->view.data, src, bytes);
    if (gaps && st == BP_OK)
        st = bpi_dispatch(ctx, BPI_OP_copy, BPI_FORWARD, src ? &packed : &t, 1, src ? &t : &packed,
                          1, NULL, 0);
    if (dst && st == BP_OK)
        st = bpi_download(ctx, dst, packed->view.data, bytes);
    if (gaps)
        bpi_kill(packed);
    return st;
}

static bp_status write_tensor(bp_tensor *t, const void *src, size_t bytes)
{
    BPI_TRY(transfer_check(t, "write", true, src, bytes));
    bpi_storage_written(t->storage, "write");
    return bytes ? transfer(t, NULL, src, bytes) : BP_OK;
}

static bp_status read_tensor(bp_tensor *t, void *dst, size_t bytes)
{
    BPI_TRY(transfer_check(t, "read", false, dst, bytes));
    if (bytes)
        BPI_TRY(transfer(t, dst, NULL, bytes));
    return bp_sync(t->ctx);
}

bp_status bp_write(bp_tensor *t, const void *src, size_t bytes)
{
    if (!t)
        return BP_ERR_ARG;
    BPI_INSIDE(t->ctx, write_tensor(t, src, bytes));
}

bp_status bp_read(bp_tensor *t, void *dst, size_t bytes)
{
    if (!t)
        return BP_ERR_ARG;
    BPI_INSIDE(t->ctx, read_tensor(t, dst, bytes));
}

/* Views of one memory that lie differently in it: x and its transpose, say. */
static bool entangled(const bp_tensor *a, const bp_tensor *b)
{
    const bp_view *v = &a->view, *w = &b->view;
    const char *from = v->data, *other = w->data;
    if (a->storage != b->storage || from + bpi_view_span(v) <= other ||
        other + bpi_view_span(w) <= from)
        return false;
    return from != other || !bpi_same_shape(&v->shape, &w->shape) ||
           memcmp(v->stride, w->stride, sizeof *v->stride * (size_t)v->shape.ndim) != 0;
}

/* dst = src, or dst += src. */
static bp_status write_into(bp_context *ctx, bp_tensor *dst, bp_tensor *src, bool add)
{
    const char *who = add ? "add_into" : "copy_into";
    if (!dst || !src) /* if an op that failed made the NULL, its error is pending */
        return bpi_fail(ctx, BP_ERR_ARG, "%s: an operand is NULL", who);
    if (ctx->pending != BP_OK)
        return ctx->pending;
    BPI_TRY(bpi_usable(ctx, dst, who, "the target"));
    BPI_TRY(bpi_usable(ctx, src, who, "the source"));
    BPI_TRY(writable(dst, who));
    const bp_view *d = &dst->view, *s = &src->view;
    bp_shape both;
    bool fits = add ? bpi_broadcast(&d->shape, &s->shape, &both) && bpi_same_shape(&both, &d->shape)
                    : bpi_same_shape(&d->shape, &s->shape);
    if (!fits)
        return bpi_fail(ctx, BP_ERR_SHAPE, "%s: target %s and source %s do not fit", who,
                        bpi_shape_str(&d->shape).s, bpi_shape_str(&s->shape).s);
    bool convert = !add && bpi_is_real(d->dtype) && bpi_is_real(s->dtype);
    if ((d->dtype != s->dtype && !convert) || (add && d->dtype == BP_U8))
        return bpi_fail(ctx, BP_ERR_DTYPE, "%s: target %s and source %s do not fit", who,
                        bp_dtype_name(d->dtype), bp_dtype_name(s->dtype));
    bp_tensor *copy = NULL;
    if (entangled(dst, src)) {
        if (!(copy = bpi_fresh_packed(ctx, s->dtype, s->shape, BPI_OWNER_LIBRARY)))
            return BP_ERR_NOMEM;
        BPI_TRY(bpi_dispatch(ctx, BPI_OP_copy, BPI_FORWARD, &src, 1, &copy, 1, NULL, 0));
        src = copy;
    }
    bpi_storage_written(dst->storage, who);
    bp_tensor *in[2] = {add ? dst : src, src};
    bp_status st = bpi_dispatch(ctx, add ? BPI_OP_add : BPI_OP_copy, BPI_FORWARD, in, add ? 2 : 1,
                                &dst, 1, NULL, 0);
    bpi_kill(copy);
    return st;
}

bp_status bp_copy_into(bp_tensor *dst, bp_tensor *src)
{
    if (!dst && !src)
        return BP_ERR_ARG;
    BPI_INSIDE((dst ? dst : src)->ctx, write_into(inside_, dst, src, false));
}

bp_status bp_add_into(bp_tensor *acc, bp_tensor *x)
{
    if (!acc && !x)
        return BP_ERR_ARG;
    BPI_INSIDE((acc ? acc : x)->ctx, write_into(inside_, acc, x, true));
}
