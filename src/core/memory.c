/* Storages and the pools they come from.
 *
 * Sizes are rounded up to 64 bytes times 4, 5, 6 or 7 quarters of a power of two (at most a fifth
 * wasted). A freed storage keeps its memory in the list of its class, so that after the first
 * step nothing is allocated. Plans have lists of their own: what a replay writes, eager code
 * never holds. */
#include <stdlib.h>
#include <string.h>

#include "core/context.h"
#include "core/error.h"

static const char allocating[] =
    "the host's allocator was left by an exception or a jump, or calls the library: the context "
    "can only be closed";

void *bpi_host_alloc(bp_context *ctx, size_t bytes)
{
    bytes = (bytes + 63) / 64 * 64;
    ctx->stats.allocations++;
    const bp_hooks *h = &ctx->hooks;
    void *p;
    if (h->alloc) {
        BPI_CALLBACK(callback);
        bpi_callback_begin(&callback, ctx, false);
        const char *left = ctx->shut; /* an earlier call of it */
        ctx->shut = allocating;
        p = h->alloc(h->user, bytes);
        ctx->shut = left;
        bpi_callback_end(&callback);
    } else {
        p = aligned_alloc(64, bytes);
    }
    return p ? memset(p, 0, bytes) : NULL;
}

bpi_freer bpi_host_freer(const bp_context *ctx)
{
    return (bpi_freer){ctx->hooks.free, ctx->hooks.user};
}

void bpi_host_free_by(bpi_freer freer, void *p, size_t bytes)
{
    bytes = (bytes + 63) / 64 * 64;
    if (p && freer.free)
        freer.free(freer.user, p, bytes);
    else
        free(p);
}

void bpi_host_free(bp_context *ctx, void *p, size_t bytes)
{
    bpi_host_free_by(bpi_host_freer(ctx), p, bytes);
}

void *bpi_object_alloc(bp_context *ctx, size_t bytes)
{
    void *p = bpi_host_alloc(ctx, bytes);
    ctx->objects += p != NULL;
    return p;
}

void bpi_object_free(bp_context *ctx, void *p, size_t bytes)
{
    ctx->objects--;
    bpi_host_free(ctx, p, bytes);
}

bool bpi_grow(bp_context *ctx, void **items, int64_t *capacity, int64_t need, size_t item_bytes)
{
    if (need <= *capacity)
        return true;
    int64_t more = *capacity ? *capacity * 2 : 16;
    while (more < need)
        more *= 2;
    void *p = bpi_host_alloc(ctx, (size_t)more * item_bytes);
    if (!p) {
        bpi_fail(ctx, BP_ERR_NOMEM, "out of memory for %lld entries", (long long)more);
        return false;
    }
    if (*items)
        memcpy(p, *items, (size_t)*capacity * item_bytes);
    bpi_host_free(ctx, *items, (size_t)*capacity * item_bytes);
    *items = p;
    *capacity = more;
    return true;
}

/* The class of a size, and the size of the class: 64 << octave, plus quarters of it. */
static int class_of(size_t bytes, size_t *rounded)
{
    int octave = 0;
    while (octave < 44 && ((size_t)128 << octave) < bytes)
        octave++;
    size_t base = (size_t)64 << octave, quarter = base / 4, extra = 0;
    while (base + extra * quarter < bytes)
        extra++;
    *rounded = base + extra * quarter;
    return octave * 4 + (int)extra;
}

static void give_back(bp_context *ctx, bpi_storage *s)
{
    if (s->data)
        ctx->device->calls->free(ctx->device, s->data, s->bytes);
    bpi_host_free(ctx, s, sizeof *s);
}

/* Returns all cached memory of eager code to the device. Plans keep theirs: they point into it. */
static void trim(bp_context *ctx)
{
    for (int c = 0; c < BPI_SIZE_CLASSES; c++)
        while (ctx->free_storage[0][c]) {
            bpi_storage *s = ctx->free_storage[0][c];
            ctx->free_storage[0][c] = s->next;
            give_back(ctx, s);
        }
}

/* The device's may be the host's. */
static void *device_alloc(bp_context *ctx, size_t bytes)
{
    BPI_CALLBACK(callback);
    if (ctx->hooks.alloc)
        bpi_callback_begin(&callback, ctx, false);
    const char *left = ctx->shut;
    ctx->shut = allocating;
    void *p = ctx->device->calls->alloc(ctx->device, bytes);
    ctx->shut = left;
    bpi_callback_end(&callback);
    return p;
}

bp_status bpi_reserve(bp_context *ctx, size_t bytes)
{
    bp_exec *ex = &ctx->exec;
    if (bytes <= ex->workspace_bytes)
        return BP_OK;
    size_t more = bytes + bytes / 4;
    void *p = device_alloc(ctx, more);
    if (!p)
        return BP_ERR_NOMEM;
    if (ex->workspace)
        ctx->device->calls->free(ctx->device, ex->workspace, ex->workspace_bytes);
    ex->workspace = p;
    ex->workspace_bytes = more;
    return BP_OK;
}

static bpi_storage *allocate(bp_context *ctx, size_t bytes)
{
    bpi_storage *s = ctx->spare_storage ? ctx->spare_storage : bpi_host_alloc(ctx, sizeof *s);
    ctx->spare_storage = s; /* the next call may not return */
    if (!s)
        return NULL;
    s->bytes = bytes;
    ctx->stats.allocations++;
    s->data = device_alloc(ctx, bytes);
    if (!s->data)
        return NULL;
    ctx->spare_storage = NULL;
    return s;
}

bpi_storage *bpi_storage_create(bp_context *ctx, size_t bytes)
{
    size_t rounded;
    if (bytes > BPI_BYTES_MAX) {
        bpi_fail(ctx, BP_ERR_NOMEM, "out of memory on %s: %zu bytes wanted", ctx->device->name,
                 bytes);
        return NULL;
    }
    int class = class_of(bytes ? bytes : 1, &rounded);
    bool in_plan = ctx->recording != NULL;
    bpi_storage **list = &ctx->free_storage[in_plan][class];
    bpi_storage *s = *list;
    if (s) {
        *list = s->next;
    } else {
        s = allocate(ctx, rounded);
        if (!s && !ctx->device->why[0]) {
            trim(ctx);
            s = allocate(ctx, rounded);
        }
        if (!s && ctx->device->why[0]) {
            bpi_device_failed(ctx, BP_ERR_DEVICE, "allocation");
            return NULL;
        }
        if (!s) {
            bpi_fail(ctx, BP_ERR_NOMEM, "out of memory on %s: %zu bytes wanted, %lld in use",
                     ctx->device->name, rounded, (long long)ctx->stats.bytes);
            return NULL;
        }
        s->size_class = class;
        s->in_plan = in_plan;
    }
    s->refs = 1;
    s->version = 0;
    s->writer = NULL;
    s->next = s->whole = NULL;
    ctx->stats.bytes += (int64_t)s->bytes;
    if (ctx->stats.bytes > ctx->stats.peak_bytes)
        ctx->stats.peak_bytes = ctx->stats.bytes;
    return s;
}

bpi_storage *bpi_storage_part(bp_context *ctx, bpi_storage *whole, void *data, int32_t number)
{
    bpi_storage *s = bpi_host_alloc(ctx, sizeof *s);
    if (!s) {
        bpi_fail(ctx, BP_ERR_NOMEM, "out of memory for a parameter");
        return NULL;
    }
    whole->refs++;
    *s = (bpi_storage){.refs = 1, .data = data, .part_number = number, .whole = whole};
    return s;
}

void bpi_storage_release(bp_context *ctx, bpi_storage *s)
{
    if (!s || --s->refs > 0)
        return;
    if (s->whole) {
        bpi_storage_release(ctx, s->whole);
        bpi_host_free(ctx, s, sizeof *s);
        return;
    }
    if (s->let_go) {
        s->let_go(ctx, s);
        return;
    }
    ctx->stats.bytes -= (int64_t)s->bytes;
    s->next = ctx->free_storage[s->in_plan][s->size_class];
    ctx->free_storage[s->in_plan][s->size_class] = s;
}

void bpi_memory_free(bp_context *ctx)
{
    bpi_host_free(ctx, ctx->spare_storage, sizeof *ctx->spare_storage);
    trim(ctx);
    memcpy(ctx->free_storage[0], ctx->free_storage[1], sizeof ctx->free_storage[0]);
    trim(ctx);
}

bp_status bpi_upload(bp_context *ctx, void *dst, const void *src, size_t bytes)
{
    bp_status st = ctx->device->calls->upload(ctx->device, dst, src, bytes);
    return st == BP_OK ? BP_OK : bpi_device_failed(ctx, st, "upload");
}

bp_status bpi_download(bp_context *ctx, void *dst, const void *src, size_t bytes)
{
    bp_status st = ctx->device->calls->download(ctx->device, dst, src, bytes);
    return st == BP_OK ? BP_OK : bpi_device_failed(ctx, st, "download");
}
