/* The calls that make a tensor, look at one, and move data in and out. */
#include "core/tensor.h"

#include <string.h>

#include "core/context.h"
#include "core/dispatch.h"
#include "core/error.h"
#include "core/params.h"
#include "core/view.h"

bp_status bpi_usable(bp_context *ctx, bp_tensor *t, const char *who, const char *what)
{
    const bpi_tensor *slot = bpi_at(t);
    if (slot->ctx != ctx)
        return bpi_fail(ctx, BP_ERR_DEVICE, "%s: %s belongs to another context", who, what);
    if (!bpi_is_live(t))
        return bpi_fail(ctx, BP_ERR_ARG,
                        "%s: %s is a stale handle: its scope has ended, or it was freed", who,
                        what);
    return slot->storage ? BP_OK : bpi_params_materialize(slot->store);
}

/* --- public ------------------------------------------------------------------------------ */

bp_tensor *bp_tensor_create(bp_context *ctx, bp_dtype dtype, bp_shape shape)
{
    if (bpi_enter(ctx) != BP_OK)
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

static void free_late(bpi_late *late)
{
    bpi_tensor *slot = (bpi_tensor *)((char *)late - offsetof(bpi_tensor, late));
    bp_tensor *t = atomic_exchange(&slot->late_handle, NULL);
    bp_free(t);
}

void bp_free(bp_tensor *t)
{
    bp_tensor *none = NULL;
    if (!t)
        return;
    bp_context *ctx = bpi_at(t)->ctx;
    if (bpi_enter_quietly(ctx)) {
        if (bpi_at(t)->owner == BPI_OWNER_USER || bpi_at(t)->owner == BPI_OWNER_SCOPE)
            bpi_kill(t);
        bpi_leave(ctx);
    } else if (atomic_compare_exchange_strong(&bpi_at(t)->late_handle, &none, t)) {
        bpi_leave_to_others(ctx, &bpi_at(t)->late, free_late); /* once */
    }
}

bp_tensor *bp_keep(bp_tensor *t)
{
    if (!t)
        bpi_tell_thread(BP_ERR_ARG, "keep: t is NULL");
    if (!t || bpi_enter(bpi_at(t)->ctx) != BP_OK)
        return NULL;
    bpi_tensor *slot = bpi_at(t);
    bp_context *ctx = slot->ctx;
    bp_tensor *kept = NULL;
    if (bpi_usable(ctx, t, "keep", "the tensor") == BP_OK &&
        bpi_not_recording(ctx, "keep") == BP_OK) {
        kept = t;
        if (slot->owner == BPI_OWNER_SCOPE) {
            bpi_take_from_scope(t);
            slot->owner = BPI_OWNER_USER;
            slot->place.serial = 0;
        }
    }
    bpi_leave(ctx);
    return kept;
}

bp_shape bp_shape_of(const bp_tensor *t)
{
    return bpi_is_live(t) ? bpi_view_of(t)->shape : BP_SCALAR;
}

bp_dtype bp_dtype_of(const bp_tensor *t)
{
    return bpi_is_live(t) ? bpi_view_of(t)->dtype : 0;
}

bp_context *bp_context_of(const bp_tensor *t)
{
    return bpi_is_live(t) ? bpi_at(t)->ctx : NULL;
}

static bp_status writable(const bp_tensor *t, const char *who)
{
    const bp_view *v = bpi_view_of(t);
    if (bpi_at(t)->storage->read_only)
        return bpi_fail(bpi_at(t)->ctx, BP_ERR_ARG,
                        "%s: the target %s is memory of others, for reading only", who,
                        bpi_shape_str(&v->shape).s);
    if (!bpi_repeats(v))
        return BP_OK;
    return bpi_fail(bpi_at(t)->ctx, BP_ERR_ARG,
                    "%s: the target %s is expanded: its elements share memory", who,
                    bpi_shape_str(&v->shape).s);
}

static bp_status transfer_check(bp_tensor *t, const char *who, bool writes,
                                const void *host, size_t bytes)
{
    bp_context *ctx = bpi_at(t)->ctx;
    const bp_view *v = bpi_view_of(t);
    if (ctx->pending != BP_OK)
        return ctx->pending;
    BPI_TRY(bpi_usable(ctx, t, who, "the tensor"));
    BPI_TRY(bpi_not_recording(ctx, who));
    if (writes)
        BPI_TRY(writable(t, who));
    size_t want = (size_t)bpi_count(&v->shape) * bp_dtype_bytes(v->dtype);
    if (bytes != want)
        return bpi_fail(ctx, BP_ERR_ARG, "%s: %zu bytes for %s %s, which holds %zu", who, bytes,
                        bp_dtype_name(v->dtype), bpi_shape_str(&v->shape).s, want);
    if (!host && bytes)
        return bpi_fail(ctx, BP_ERR_ARG, "%s: %s is NULL", who, writes ? "src" : "dst");
    return BP_OK;
}

/* Between the host and t, which has gaps, through packed memory. */
static bp_status transfer_packed(bp_tensor *t, void *dst, const void *src, size_t bytes)
{
    bp_context *ctx = bpi_at(t)->ctx;
    const bp_view *v = bpi_view_of(t);
    bp_tensor *packed = bpi_fresh_packed(ctx, v->dtype, v->shape, BPI_OWNER_LIBRARY);
    if (!packed)
        return BP_ERR_NOMEM;
    bp_status st = BP_OK;
    if (src)
        st = bpi_upload(ctx, bpi_view_of(packed)->data, src, bytes);
    if (st == BP_OK)
        st = bpi_dispatch(ctx, BPI_OP_copy, BPI_FORWARD, src ? &packed : &t, 1, src ? &t : &packed,
                          1, NULL, 0);
    if (dst && st == BP_OK)
        st = bpi_download(ctx, dst, bpi_view_of(packed)->data, bytes);
    bpi_kill(packed);
    return st;
}

static bp_status write_tensor(bp_tensor *t, const void *src, size_t bytes)
{
    bool gaps = !bpi_is_packed(bpi_view_of(t));
    BPI_TRY(transfer_check(t, "write", true, src, bytes));
    if (gaps)
        BPI_TRY(transfer_packed(t, NULL, src, bytes));
    else if (bytes)
        BPI_TRY(bpi_upload(bpi_at(t)->ctx, bpi_view_of(t)->data, src, bytes));
    bpi_storage_written(bpi_at(t)->storage, "write");
    return BP_OK;
}

static bp_status read_tensor(bp_tensor *t, void *dst, size_t bytes)
{
    bool gaps = !bpi_is_packed(bpi_view_of(t));
    BPI_TRY(transfer_check(t, "read", false, dst, bytes));
    if (gaps)
        BPI_TRY(transfer_packed(t, dst, NULL, bytes));
    else if (bytes)
        BPI_TRY(bpi_download(bpi_at(t)->ctx, dst, bpi_view_of(t)->data, bytes));
    return bpi_sync(bpi_at(t)->ctx);
}

bp_status bp_write(bp_tensor *t, const void *src, size_t bytes)
{
    BPI_LEADS(t, "write: t");
    BPI_INSIDE(bpi_at(t)->ctx, write_tensor(t, src, bytes));
}

bp_status bp_read(bp_tensor *t, void *dst, size_t bytes)
{
    BPI_LEADS(t, "read: t");
    BPI_INSIDE(bpi_at(t)->ctx, read_tensor(t, dst, bytes));
}

/* Views of one memory that lie differently in it: x and its transpose, say. */
static bool entangled(const bp_tensor *a, const bp_tensor *b)
{
    const bp_view *v = bpi_view_of(a), *w = bpi_view_of(b);
    const char *from = bpi_view_low(v), *other = bpi_view_low(w);
    if (from + bpi_view_span(v) <= other || other + bpi_view_span(w) <= from)
        return false;
    return v->data != w->data || !bpi_same_shape(&v->shape, &w->shape) ||
           memcmp(v->stride, w->stride, sizeof *v->stride * (size_t)v->shape.ndim) != 0;
}

/* dst = src, dst += src, or, with the state of an optimiser, dst += rate (src - dst). */
static bp_status write_into(bp_context *ctx, bp_tensor *dst, bp_tensor *src, bool add,
                            bp_tensor *state, double rate)
{
    const char *who = state ? "average_into" : add ? "add_into" : "copy_into";
    if (!dst || !src) /* if an op that failed made the NULL, its error is pending */
        return bpi_fail(ctx, BP_ERR_ARG, "%s: %s is NULL", who,
                        state ? dst ? "x" : "average" : dst ? add ? "x" : "src" : add ? "acc"
                                                                                     : "dst");
    if (ctx->pending != BP_OK)
        return ctx->pending;
    BPI_TRY(bpi_usable(ctx, dst, who, "the target"));
    BPI_TRY(bpi_usable(ctx, src, who, "the source"));
    BPI_TRY(writable(dst, who));
    const bp_view *d = bpi_view_of(dst), *s = bpi_view_of(src);
    bp_shape both;
    bool fits = add ? bpi_broadcast(&d->shape, &s->shape, &both) && bpi_same_shape(&both, &d->shape)
                    : bpi_same_shape(&d->shape, &s->shape);
    if (!fits)
        return bpi_fail(ctx, BP_ERR_SHAPE, "%s: target %s and source %s do not fit", who,
                        bpi_shape_str(&d->shape).s, bpi_shape_str(&s->shape).s);
    bool convert = !add && !state && bpi_is_real(d->dtype) && bpi_is_real(s->dtype);
    if ((d->dtype != s->dtype && !convert) || (add && d->dtype == BP_U8) ||
        (state && !bpi_is_real(d->dtype)))
        return bpi_fail(ctx, BP_ERR_DTYPE, "%s: target %s and source %s do not fit", who,
                        bp_dtype_name(d->dtype), bp_dtype_name(s->dtype));
    if (state && !bpi_is_packed(d))
        return bpi_fail(ctx, BP_ERR_ARG, "%s: the target has gaps, and must be packed", who);
    bp_tensor *copy = NULL;
    bp_status st = BP_OK;
    if (entangled(dst, src)) {
        if (!(copy = bpi_fresh_packed(ctx, s->dtype, s->shape, BPI_OWNER_LIBRARY)))
            return BP_ERR_NOMEM;
        st = bpi_dispatch(ctx, BPI_OP_copy, BPI_FORWARD, &src, 1, &copy, 1, NULL, 0);
        src = copy;
    }
    bp_tensor *in[3] = {add ? dst : src, state ? state : src, NULL};
    bpi_average_params p = {rate};
    if (st == BP_OK)
        st = bpi_dispatch(ctx, state ? BPI_OP_average : add ? BPI_OP_add : BPI_OP_copy,
                          BPI_FORWARD, in, state ? 3 : add ? 2 : 1, &dst, 1, state ? &p : NULL,
                          state ? sizeof p : 0);
    if (st == BP_OK)
        bpi_storage_written(bpi_at(dst)->storage, who);
    bpi_kill(copy);
    return st;
}

bp_status bp_copy_into(bp_tensor *dst, bp_tensor *src)
{
    BPI_LEADS(dst || src, "copy_into: dst");
    BPI_INSIDE(bpi_at(dst ? dst : src)->ctx, write_into(inside_, dst, src, false, NULL, 0));
}

bp_status bp_add_into(bp_tensor *acc, bp_tensor *x)
{
    BPI_LEADS(acc || x, "add_into: acc");
    BPI_INSIDE(bpi_at(acc ? acc : x)->ctx, write_into(inside_, acc, x, true, NULL, 0));
}

bp_status bpi_average_into(bp_context *ctx, bp_tensor *average, bp_tensor *x, bp_tensor *state,
                           double rate)
{
    return write_into(ctx, average, x, false, state, rate);
}
