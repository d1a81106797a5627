/* Errors: the first of a scope stays. */
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
    bpi_tell_thread(status, NULL);
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
    if (ctx->hooks.log) {
        BPI_CALLBACK(callback);
        bpi_callback_begin(&callback, ctx, false);
        ctx->hooks.log(ctx->hooks.user, ctx->text);
        bpi_callback_end(&callback);
    }
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

bp_status bpi_given(bp_context *ctx, const void *argument, const char *what)
{
    return argument ? BP_OK : bpi_fail(ctx, BP_ERR_ARG, "%s is NULL", what);
}

bp_status bpi_callback_over(bpi_callback *c, const char *who)
{
    bp_context *ctx = c->ctx;
    const char *why = bpi_callback_end(c);
    return why ? bpi_fail(ctx, BP_ERR_STATE, "%s: %s", who, why) : BP_OK;
}

bp_status bpi_take_struct(void *ours, size_t our_bytes, const void *theirs, size_t their_bytes,
                          size_t least, char *why)
{
    enum { NO_STRUCT = 1 << 16 }; /* nor is any struct of a later version as long */
    if (their_bytes < least || their_bytes >= NO_STRUCT)
        return bpi_why(why, BP_ERR_ARG, "struct_bytes is %zu, not the size of the struct",
                       their_bytes);
    const unsigned char *byte = theirs;
    for (size_t i = our_bytes; i < their_bytes; i++)
        if (byte[i])
            return bpi_why(why, BP_ERR_UNSUPPORTED,
                           "a field behind byte %zu of the struct is not known to version %s", i,
                           bp_version());
    memcpy(ours, theirs, their_bytes < our_bytes ? their_bytes : our_bytes);
    return BP_OK;
}

void bpi_give_struct(void *theirs, size_t their_bytes, const void *ours, size_t our_bytes)
{
    if (!theirs)
        return;
    memset(theirs, 0, their_bytes);
    memcpy(theirs, ours, their_bytes < our_bytes ? their_bytes : our_bytes);
}

bool bpi_result_begin(void *theirs, size_t bytes)
{
    size_t their_bytes;
    if (!theirs)
        return true;
    memcpy(&their_bytes, theirs, sizeof their_bytes);
    if (their_bytes < bytes || their_bytes > 65536)
        return false;
    memset((char *)theirs + sizeof their_bytes, 0, their_bytes - sizeof their_bytes);
    return true;
}

bp_status bpi_result_fits(bp_context *ctx, const char *who, const char *whose, void *theirs,
                          size_t bytes)
{
    size_t their_bytes;
    if (bpi_result_begin(theirs, bytes))
        return BP_OK;
    memcpy(&their_bytes, theirs, sizeof their_bytes);
    return bpi_fail(ctx, BP_ERR_ARG, "%s: struct_bytes is %zu, not the size of %s", who,
                    their_bytes, whose);
}

const char *bp_error_text(const bp_context *ctx)
{
    const char *told = bpi_told_thread();
    if (told && !(ctx && bpi_own_turn(ctx) && ctx->pending != BP_OK))
        return told;
    if (!ctx)
        return "there is no context: NULL, closed, or no memory for it";
    return bpi_others_turn(ctx) ? bpi_busy_text : ctx->text;
}
