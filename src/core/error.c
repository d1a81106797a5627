/* Errors and turns: the first error of a scope stays, and one thread at a time has the context. */
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "core/context.h"
#include "core/error.h"
#include "core/text.h"

enum { TEXT_MAX = 8192 }; /* of a message before it is shortened: room for two paths */

const char *bp_version(void)
{
#define TEXT_(x) #x
#define TEXT(x) TEXT_(x)
    return TEXT(BP_VERSION_MAJOR) "." TEXT(BP_VERSION_MINOR) "." TEXT(BP_VERSION_PATCH);
}

const char *bp_status_name(bp_status status)
{
    static const char *const name[] = {
        "ok", "out of memory", "bad argument", "shapes do not fit", "dtypes do not fit",
        "no such device", "unsupported", "index out of range", "wrong state", "context is busy",
        "input/output error", "bad format", "stopped", "number not finite"};
    int n = (int)(sizeof name / sizeof *name);
    return status >= 0 && status < n ? name[status] : "unknown status";
}

bp_status bpi_fail(bp_context *ctx, bp_status status, const char *format, ...)
{
    if (ctx->pending != BP_OK)
        return ctx->pending;
    char text[TEXT_MAX];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    bpi_printable(ctx->text, sizeof ctx->text, text);
    if (ctx->depth > 0)
        ctx->pending = status;
    if (ctx->hooks.log)
        ctx->hooks.log(ctx->hooks.user, ctx->text);
    return status;
}

bp_status bpi_device_failed(bp_context *ctx, bp_status st, const char *what)
{
    const char *why = ctx->device->why;
    return bpi_fail(ctx, st, "%s on %s: %s", what, ctx->device->name,
                    st == BP_ERR_DEVICE && why[0] ? why : bp_status_name(st));
}

bp_status bpi_why(char *why, bp_status status, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(why, 160, format, args);
    va_end(args);
    return status;
}

const char *bp_error_text(const bp_context *ctx)
{
    return ctx ? ctx->text : bp_status_name(BP_ERR_NOMEM);
}

bp_status bpi_enter(bp_context *ctx)
{
    uintptr_t self = (uintptr_t)pthread_self(), nobody = 0;
    if (!ctx)
        return BP_ERR_ARG;
    if (atomic_load_explicit(&ctx->owner, memory_order_relaxed) != self &&
        !atomic_compare_exchange_strong_explicit(&ctx->owner, &nobody, self, memory_order_acquire,
                                                 memory_order_relaxed))
        return BP_ERR_BUSY; /* the text belongs to the thread inside */
    if (!ctx->device) { /* bp_open failed; its text stays */
        if (ctx->entries == 0)
            atomic_store_explicit(&ctx->owner, 0, memory_order_release);
        return BP_ERR_DEVICE;
    }
    ctx->entries++;
    if (ctx->device->calls->turn)
        ctx->device->calls->turn(ctx->device, ctx->entries == 1 ? BPI_COMES : BPI_STAYS);
    return BP_OK;
}

void bpi_leave(bp_context *ctx)
{
    if (--ctx->entries > 0)
        return;
    bool last = ctx->closing && ctx->objects == 0;
    if (ctx->device->calls->turn)
        ctx->device->calls->turn(ctx->device, BPI_LEAVES);
    atomic_store_explicit(&ctx->owner, 0, memory_order_release);
    if (last)
        ctx->end(ctx);
}
