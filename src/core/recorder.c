/* Notes kernel calls with their views and parameters, holds the storages they name that are not of
 * the arena of plans. */
#include <string.h>

#include "core/context.h"
#include "core/error.h"

bp_status bpi_not_recording(bp_context *ctx, const char *who)
{
    if (!ctx->recording)
        return BP_OK;
    return bpi_fail(ctx, BP_ERR_STATE, "%s: not while a plan is recorded", who);
}

static int64_t rounded(size_t bytes)
{
    return (int64_t)((bytes + 15) / 16 * 16);
}

static bool room_for_params(bpi_recording *r, size_t bytes)
{
    return bpi_grow(r->ctx, (void **)&r->params, &r->params_capacity,
                    r->n_params + rounded(bytes), 1);
}

static bool room_for_call(bpi_recording *r, const bpi_kernel *kernel, int n_views)
{
    return bpi_grow(r->ctx, (void **)&r->call, &r->call_capacity, r->n_calls + 1,
                    sizeof *r->call) &&
           bpi_grow(r->ctx, (void **)&r->work, &r->work_capacity, r->n_calls + 1,
                    sizeof *r->work) &&
           bpi_grow(r->ctx, (void **)&r->view, &r->view_capacity, r->n_views + n_views,
                    sizeof *r->view) &&
           bpi_grow(r->ctx, (void **)&r->jobs, &r->jobs_capacity,
                    r->n_jobs + rounded((size_t)kernel->job_bytes), 1);
}

static int64_t append_params(bpi_recording *r, const void *params, size_t bytes)
{
    int64_t at = r->n_params;
    if (bytes)
        memcpy(r->params + at, params, bytes);
    r->n_params += rounded(bytes);
    return at;
}

/* Holds the storage of an operand that lives outside the arena. */
static bool note_outside(bpi_recording *r, bpi_storage *s, bool written)
{
    if (!s || s->in_plan)
        return true;
    for (int64_t i = 0; i < r->n_outside; i++)
        if (r->outside[i].storage == s) {
            r->outside[i].written |= written;
            return true;
        }
    if (!bpi_grow(r->ctx, (void **)&r->outside, &r->outside_capacity, r->n_outside + 1,
                  sizeof *r->outside))
        return false;
    s->refs++;
    r->outside[r->n_outside++] = (bpi_outside){s, written};
    return true;
}

bp_status bpi_recorder_uses(bp_context *ctx, bpi_storage *s, bool written)
{
    return !ctx->recording || note_outside(ctx->recording, s, written) ? BP_OK : ctx->pending;
}

bp_status bpi_recorder_watch(bp_context *ctx, bpi_watched *w)
{
    bpi_recording *r = ctx->recording;
    if (!r)
        return BP_OK;
    for (int64_t i = 0; i < r->n_watch; i++)
        if (r->watch[i].object == w)
            return BP_OK;
    if (!bpi_grow(ctx, (void **)&r->watch, &r->watch_capacity, r->n_watch + 1,
                  sizeof *r->watch) ||
        !room_for_params(r, w->bytes))
        return ctx->pending;
    w->counted.refs++;
    r->watch[r->n_watch++] = (bpi_watch){w, append_params(r, w->numbers, w->bytes)};
    return BP_OK;
}

bp_status bpi_recording_holds(const bpi_recording *r, char *why)
{
    for (int64_t i = 0; i < r->n_watch; i++) {
        const bpi_watched *w = r->watch[i].object;
        const void *then = r->params + r->watch[i].then;
        if (w->counted.freed)
            return bpi_why(why, BP_ERR_STATE, "its %s was freed", w->what);
        if (!memcmp(w->numbers, then, w->bytes))
            continue;
        w->changed(w, then, why);
        return BP_ERR_STATE;
    }
    return BP_OK;
}

void bpi_watched_release(bpi_watched *w)
{
    if (--w->counted.refs == 0)
        w->destroy(w);
}

bp_status bpi_recorder_note(bp_context *ctx, int32_t number, const bpi_kernel *kernel,
                        bp_tensor *const *in, const bp_view *in_view, int n_in,
                        bp_tensor *const *out, const bp_view *out_view, int n_out,
                        const void *params, size_t params_bytes)
{
    bpi_recording *r = ctx->recording;
    if (!room_for_call(r, kernel, n_in + n_out) || !room_for_params(r, params_bytes))
        return ctx->pending;
    for (int i = 0; i < n_in; i++) /* a copied input is the copy, which is inside */
        if (in[i] && !note_outside(r, bpi_at(in[i])->storage, false))
            return ctx->pending;
    for (int i = 0; i < n_out; i++)
        if (out[i] && !note_outside(r, bpi_at(out[i])->storage, true))
            return ctx->pending;
    r->work[r->n_calls] = (bpi_work){NULL, 0, NULL};
    r->call[r->n_calls++] = (bpi_call){*kernel, number, (int16_t)n_in, (int16_t)n_out, r->n_views,
                                       r->n_params, r->n_jobs};
    r->n_jobs += rounded((size_t)kernel->job_bytes);
    memcpy(r->view + r->n_views, in_view, (size_t)n_in * sizeof *in_view);
    memcpy(r->view + r->n_views + n_in, out_view, (size_t)n_out * sizeof *out_view);
    r->n_views += n_in + n_out;
    append_params(r, params, params_bytes);
    return BP_OK;
}

void bpi_recording_free(bpi_recording *r)
{
    bp_context *ctx = r->ctx;
    for (int64_t i = 0; i < r->n_outside; i++)
        bpi_storage_release(ctx, r->outside[i].storage);
    for (int64_t i = 0; i < r->n_watch; i++)
        bpi_watched_release(r->watch[i].object);
    bpi_host_free(ctx, r->watch, (size_t)r->watch_capacity * sizeof *r->watch);
    bpi_host_free(ctx, r->call, (size_t)r->call_capacity * sizeof *r->call);
    bpi_host_free(ctx, r->work, (size_t)r->work_capacity * sizeof *r->work);
    bpi_host_free(ctx, r->jobs, (size_t)r->jobs_capacity);
    bpi_host_free(ctx, r->view, (size_t)r->view_capacity * sizeof *r->view);
    bpi_host_free(ctx, r->params, (size_t)r->params_capacity);
    bpi_host_free(ctx, r->outside, (size_t)r->outside_capacity * sizeof *r->outside);
}
