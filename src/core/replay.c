/* Runs the calls of a recording: replay.h. */
#include "core/replay.h"

#include "core/context.h"
#include "core/dispatch.h"
#include "core/error.h"

void bpi_recording_over(bpi_recording *r)
{
    for (int64_t i = 0; i < r->n_outside; i++)
        if (r->outside[i].written) {
            bpi_outside first = r->outside[r->n_written];
            r->outside[r->n_written++] = r->outside[i];
            r->outside[i] = first;
        }
    for (int64_t i = 0; i < r->n_calls; i++)
        if (r->call[i].kernel.job_bytes)
            r->work[i].job = r->jobs + r->call[i].job;
}

/* A call of a kernel, which may leave its work for the next run: not where the host's threads run
 * it, around which more is to be done. */
static bp_status run_call(bpi_recording *r, int64_t i)
{
    bp_context *ctx = r->ctx;
    const bpi_call *c = &r->call[i];
    const bp_view *in = r->view + c->view;
    if (c->kernel.job_bytes && !ctx->hooks.parallel_for)
        ctx->exec.work = &r->work[i];
    bp_status st = bpi_run_kernel(ctx, c->number, &c->kernel, in, in + c->n_in,
                                  r->params + c->params);
    ctx->exec.work = NULL;
    return st;
}

bp_status bpi_recording_prepare(bpi_recording *r)
{
    bp_exec *ex = &r->ctx->exec;
    for (int64_t i = 0; i < r->n_calls; i++) {
        const bpi_call *c = &r->call[i];
        const bp_view *in = r->view + c->view;
        if (!c->kernel.prepare)
            continue;
        ex->kernel = c->number;
        bp_status st = c->kernel.prepare(ex, in, in + c->n_in, r->params + c->params);
        if (st != BP_OK)
            return bpi_device_failed(r->ctx, st, bpi_kernel_name(r->ctx, c->number));
    }
    return BP_OK;
}

bp_status bpi_recording_run(bpi_recording *r)
{
    bp_exec *ex = &r->ctx->exec;
    const bpi_work *w = r->work;
    for (int64_t i = 0, n = r->n_calls; i < n; i++, w++) {
        if (w->body)
            bpi_run_work(ex, w);
        else
            BPI_TRY(run_call(r, i));
    }
    return BP_OK;
}

/* Of what parameters are parts of, which follow each other, one version more will do. */
void bpi_recording_written(const bpi_recording *r)
{
    bpi_storage *whole = NULL;
    for (int64_t i = 0; i < r->n_written; i++) {
        bpi_storage *s = r->outside[i].storage;
        s->version++;
        s->writer = "plan_replay";
        if (s->whole && s->whole != whole)
            s->whole->version++;
        whole = s->whole;
    }
}
