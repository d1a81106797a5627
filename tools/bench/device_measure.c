/* A row of device_rows.c, timed: replays of a plan of its calls, which are queued and then waited
 * for; and told. What is part of the step but not of the row is a second plan, timed in turn and
 * taken off. */
#include "device_rows.h"
#include "timing.h"

#include <stdlib.h>
#include <string.h>

enum { ROUNDS = 9 };

static bp_status all_calls(problem *p, call_fn call)
{
    for (int i = 0; i < p->calls; i++) {
        bp_status st = bp_scope_begin(p->ctx, 0);
        if (st != BP_OK)
            return st;
        st = call(p, i);
        bp_status end = bp_scope_end(p->ctx);
        if (st != BP_OK || end != BP_OK)
            return st != BP_OK ? st : end;
    }
    return BP_OK;
}

static bp_status step(bp_context *ctx, void *user)
{
    problem *p = user;
    (void)ctx;
    return all_calls(p, p->row->call);
}

static bp_status step_without(bp_context *ctx, void *user)
{
    problem *p = user;
    (void)ctx;
    return all_calls(p, p->row->minus);
}

static bp_status timed(problem *p, bp_plan *plan, int64_t times, double *out)
{
    double t = seconds();
    bp_status st = bp_plan_replay(plan, times);
    if (st == BP_OK)
        st = bp_sync(p->ctx);
    *out = seconds() - t;
    return st;
}

static bp_status measure_plans(problem *p, bp_plan *plan, bp_plan *minus)
{
    int rounds = quick ? 3 : ROUNDS;
    double round[ROUNDS], less = 0;
    bp_status st = timed(p, plan, 2, &round[0]);
    int64_t times = 1 + (quick ? 0 : (int64_t)(0.05 / round[0] * 2));
    bp_stats before, after;
    bp_get_stats(p->ctx, &before);
    for (int i = 0; i < rounds && st == BP_OK; i++) {
        st = timed(p, plan, times, &round[i]);
        if (st == BP_OK && minus)
            st = timed(p, minus, times, &less);
        round[i] = (round[i] - less) / (double)(times * p->calls);
    }
    bp_get_stats(p->ctx, &after);
    qsort(round, (size_t)rounds, sizeof *round, ascending);
    p->seconds[0] = round[rounds / 2];
    p->seconds[1] = round[0];
    p->seconds[2] = round[rounds - 1];
    p->nodes = bp_plan_nodes(plan);
    p->allocations = after.allocations - before.allocations;
    p->peak_bytes = after.peak_bytes;
    return st;
}

static bp_status measure(problem *p)
{
    bp_plan *plan = NULL, *minus = NULL;
    p->row->make(p);
    bp_status st = p->made;
    if (st == BP_OK)
        st = bp_plan_record(p->ctx, step, p, &plan);
    if (st == BP_OK && p->row->minus)
        st = bp_plan_record(p->ctx, step_without, p, &minus);
    if (st == BP_OK)
        st = measure_plans(p, plan, minus);
    bp_plan_free(minus);
    bp_plan_free(plan);
    bp_optimizer_free(p->adam);
    bp_params_free(p->params);
    return st;
}

static void tell(device_run *run, const problem *p)
{
    const row *w = p->row;
    double bytes = w->bytes * p->count, rate = bytes / p->seconds[0];
    double flops = 2 * p->count * (double)p->side / p->seconds[0];
    if (!run->told)
        run->copy_rate = rate;
    if (flops > run->product_rate && !(w->needs & ROW_TF32))
        run->product_rate = flops;
    double of_copy = run->copy_rate > 0 ? rate / run->copy_rate : 0;
    const double us[] = {p->seconds[0] * 1e6, p->seconds[1] * 1e6, p->seconds[2] * 1e6};
    if (run->table) {
        fprintf(run->table, "%-46s %10.2f us (%.2f - %.2f)", w->name, us[0], us[1], us[2]);
        if (flops > 0)
            fprintf(run->table, "  %8.1f GFLOP/s\n", flops / 1e9);
        else
            fprintf(run->table, "  %8.1f GB/s  %.3f of copy\n", rate / 1e9, of_copy);
    }
    if (!run->json)
        return;
    fprintf(run->json, "\"us\": %.3f, \"least_us\": %.3f, \"most_us\": %.3f, \"bytes\": %.0f, "
                       "\"gbytes\": %.1f, \"of_copy\": %.4f, ",
            us[0], us[1], us[2], bytes, rate / 1e9, of_copy);
    if (flops > 0)
        fprintf(run->json, "\"tflops\": %.3f, ", flops / 1e12);
    fprintf(run->json, "\"nodes\": %lld, \"allocations\": %lld, \"peak_bytes\": %lld}",
            (long long)p->nodes, (long long)p->allocations, (long long)p->peak_bytes);
}

bool device_row_run(device_run *run, const row *w)
{
    problem p = {.row = w, .calls = BUFFERS};
    bp_status st = bp_open(run->device, &p.ctx);
    if (st == BP_OK && !strncmp(bp_device_text(p.ctx), "cpu", 3))
        st = bp_set_threads(p.ctx, run->threads);
    if (st == BP_OK)
        st = measure(&p);
    if (run->json)
        fprintf(run->json, "%s\n    {\"row\": \"%s\", ", run->told ? "," : "", w->name);
    if (st == BP_OK) {
        tell(run, &p);
    } else {
        const char *how = st == BP_ERR_NOMEM ? "not_run" : "failed", *why = bp_error_text(p.ctx);
        why = *why ? why : bp_status_name(st);
        if (run->table)
            fprintf(run->table, "%-46s %s: %s\n", w->name, how, why);
        if (run->json)
            fprintf(run->json, "\"%s\": \"%s\"}", how, why);
    }
    run->told++;
    if (run->table)
        fflush(run->table);
    if (run->json)
        fflush(run->json);
    bp_close(p.ctx);
    return st == BP_OK || st == BP_ERR_NOMEM;
}
