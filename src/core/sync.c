/* Waiting for the device, and telling what kernels have found: a sentence for the first of each
 * kind, and how many steps did nothing besides. fault.h says how it is kept. */
#include <float.h>
#include <stdarg.h>
#include <stdio.h>

#include "core/context.h"
#include "core/dispatch.h"
#include "core/error.h"
#include "core/params.h"

typedef struct report {
    char text[480];
    size_t length;
} report;

/* Appends, after a "; " if it is not the first; what is too long is cut. */
__attribute__((format(printf, 2, 3))) static void say(report *r, const char *format, ...)
{
    char part[320];
    va_list args;
    va_start(args, format);
    vsnprintf(part, sizeof part, format, args);
    va_end(args);
    size_t left = sizeof r->text - r->length;
    int n = snprintf(r->text + r->length, left, "%s%s", r->length ? "; " : "", part);
    r->length += (size_t)n < left ? (size_t)n : left - 1;
}

static long long number_of(unsigned long long step)
{
    return (long long)(step & 0xffffffffff);
}

static bpi_element_text element_of(const bp_context *ctx, const bpi_reason *r)
{
    return bpi_element_str(ctx, (uint32_t)(r->step >> 40), (int64_t)(~r->first >> 2));
}

static void say_index(report *r, const bp_context *ctx, uint32_t by, unsigned long long index)
{
    say(r, "%s: index %d is out of range", bpi_kernel_name(ctx, (int32_t)by >> 1),
        (int)(int32_t)~index);
}

static void say_gradient(report *r, const bp_context *ctx, const bpi_reason *bad)
{
    static const char *const why[] = {"is NaN", "is infinite", "is too large to be stored"};
    unsigned kind = ~bad->first & 3;
    if (kind == BPI_BAD_RATE)
        say(r, "optimizer_step: step %lld: the rate is negative, NaN or too large; nothing was "
               "changed", number_of(bad->step));
    else
        say(r, "optimizer_step: step %lld: the gradient of %s %s; nothing was changed",
            number_of(bad->step), element_of(ctx, bad).s, why[kind]);
}

static bp_status tell(bp_context *ctx, const bpi_fault *f)
{
    report r = {0};
    bool index = f->found_by != 0 || f->bad_index.step != 0;
    if (f->bad_index.step) {
        say_index(&r, ctx, f->bad_index_by, f->bad_index.first);
        say(&r, "step %lld changed nothing", number_of(f->bad_index.step));
    } else if (f->found_by) {
        say_index(&r, ctx, f->found_by, f->index);
    }
    ctx->refused_step = number_of(f->bad_gradient.step);
    if (f->bad_gradient.step)
        say_gradient(&r, ctx, &f->bad_gradient);
    uint32_t more = f->refused - f->named;
    if (more)
        say(&r, "%u later step%s did nothing either", more, more == 1 ? "" : "s");
    if (f->held.step)
        say(&r, "optimizer_step: step %lld: the update of %s would overflow and was held back",
            number_of(f->held.step), element_of(ctx, &f->held).s);
    return bpi_fail(ctx, index ? BP_ERR_RANGE : BP_ERR_NONFINITE, "%s", r.text);
}

bp_status bpi_sync(bp_context *ctx)
{
    bpi_fault copy;
    const bpi_fault *fault = ctx->exec.fault;
    BPI_TRY(bpi_not_recording(ctx, "sync"));
    ctx->stats.waits++;
    if (!ctx->device->calls->parallel_for) { /* device memory, which is not the host's */
        BPI_TRY(bpi_download(ctx, &copy, fault, sizeof copy));
        fault = &copy;
    }
    if (ctx->pending != BP_OK)
        return ctx->pending; /* a later call can tell what was found */
    if (fault->found_by == 0 && fault->refused == 0 && fault->held.step == 0)
        return BP_OK;
    copy = *fault;
    BPI_TRY(bpi_upload(ctx, ctx->exec.fault, NULL, sizeof copy));
    return tell(ctx, &copy);
}

bp_status bp_sync(bp_context *ctx)
{
    BPI_INSIDE(ctx, bpi_sync(ctx));
}

/* --- the values of a store ---------------------------------------------------------------- */

/* The check that an optimiser makes of its gradients, made of the values. */
bp_status bpi_params_finite(bp_params *p, const char *who)
{
    bp_context *ctx = p->ctx;
    bpi_step_begin_params params = {.most_gradient = p->dtype == BP_F32 ? FLT_MAX : DBL_MAX};
    bp_tensor *no_state = NULL;
    bpi_fault fault;
    BPI_TRY(bpi_params_materialize(p));
    params.ranges = (bpi_ranges){{{0, p->count}}, 1};
    const bpi_storage *s = bpi_at(p->values)->storage;
    if (p->checked && p->checked_version == s->version)
        return BP_OK;
    BPI_TRY(bpi_sync(ctx)); /* a fault of earlier work is told as its own */
    BPI_TRY(bpi_dispatch(ctx, BPI_OP_step_begin, BPI_FORWARD, &p->values, 1, &no_state, 1, &params,
                         sizeof params));
    BPI_TRY(bpi_download(ctx, &fault, ctx->exec.fault, sizeof fault));
    p->checked = fault.gradient == 0;
    p->checked_version = s->version;
    if (p->checked)
        return BP_OK;
    BPI_TRY(bpi_upload(ctx, ctx->exec.fault, NULL, sizeof fault));
    return bpi_fail(ctx, BP_ERR_NONFINITE, "%s: parameter %s is not finite", who,
                    bpi_element_str(ctx, p->serial, (int64_t)(~fault.gradient >> 2)).s);
}
