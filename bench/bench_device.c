/* Kernels on one device, each against the copy rate of the same run: rows G3, G4, G5 and G7, the
 * copy itself, the product's peak, and what a node of a plan costs (device_rows.c). Public calls
 * only.
 *
 *     bench_device [--device NAME] [--only PREFIX,...] [--json FILE] [--quick]
 *
 * A row is a plan of several calls that take turns over buffers larger than any cache together;
 * replays of it are queued, then waited for. `bytes` is the least that the formula can move, and
 * time is per call: median, least and most of the rounds. What is part of the step but not of the
 * row (Adam needs a gradient) is a second plan, timed in turn with the first and taken off.
 * --quick cuts the sizes for a device that is only simulated. bench/peers has the same rows. */
#include <bpcuda/bpcuda.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "device_rows.h"
#include "timing.h"

enum { ROUNDS = 9 };

static const char *device = "cpu", *only = "";
static FILE *json;
static double copy_rate; /* bytes a second */

/* --- measuring ------------------------------------------------------------------------------- */

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

static void report(const problem *p)
{
    const row *w = p->row;
    double bytes = w->bytes * p->count, rate = bytes / p->seconds[0];
    double flops = 2 * p->count * (double)p->side / p->seconds[0];
    if (w == device_rows)
        copy_rate = rate;
    double of_copy = copy_rate > 0 ? rate / copy_rate : 0;
    printf("%-46s %10.2f us (%.2f - %.2f)", w->name, p->seconds[0] * 1e6, p->seconds[1] * 1e6,
           p->seconds[2] * 1e6);
    if (flops > 0)
        printf("  %8.2f TFLOP/s\n", flops / 1e12);
    else
        printf("  %8.1f GB/s  %.3f of copy\n", rate / 1e9, of_copy);
    if (!json)
        return;
    fprintf(json, "\n    {\"row\": \"%s\", \"us\": %.3f, \"least_us\": %.3f, \"most_us\": %.3f, "
                  "\"bytes\": %.0f, \"gbytes\": %.1f, \"of_copy\": %.4f, ",
            w->name, p->seconds[0] * 1e6, p->seconds[1] * 1e6, p->seconds[2] * 1e6, bytes,
            rate / 1e9, of_copy);
    if (flops > 0)
        fprintf(json, "\"tflops\": %.3f, ", flops / 1e12);
    fprintf(json, "\"nodes\": %lld, \"allocations\": %lld, \"peak_bytes\": %lld}",
            (long long)p->nodes, (long long)p->allocations, (long long)p->peak_bytes);
}

/* 1 if the row failed; a device without the memory for it has not run it. */
static int run(const row *w)
{
    problem p = {.row = w, .calls = BUFFERS};
    bp_status st = bp_open(device, &p.ctx);
    if (st == BP_OK)
        st = measure(&p);
    if (json && w > device_rows)
        fprintf(json, ",");
    if (st == BP_OK) {
        report(&p);
    } else {
        const char *how = st == BP_ERR_NOMEM ? "not_run" : "failed", *why = bp_error_text(p.ctx);
        why = *why ? why : bp_status_name(st);
        printf("%-46s %s: %s\n", w->name, how, why);
        if (json)
            fprintf(json, "\n    {\"row\": \"%s\", \"%s\": \"%s\"}", w->name, how, why);
    }
    fflush(stdout);
    if (json)
        fflush(json);
    bp_close(p.ctx);
    return st != BP_OK && st != BP_ERR_NOMEM;
}

/* Whether --only names the row, by how it begins; the copy is always there. */
static int wanted(const row *w)
{
    for (const char *p = only; w > device_rows; p++) {
        size_t n = strcspn(p, ",");
        if (!strncmp(w->name, p, n))
            return 1;
        p += n;
        if (!*p)
            return 0;
    }
    return 1;
}

static const char *options(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        const char *value = i + 1 < argc ? argv[i + 1] : NULL;
        if (!strcmp(argv[i], "--quick"))
            quick = 1;
        else if (!value)
            return argv[i];
        else if (!strcmp(argv[i], "--device"))
            device = argv[++i];
        else if (!strcmp(argv[i], "--only"))
            only = argv[++i];
        else if (!strcmp(argv[i], "--json") && (json = fopen(value, "w")))
            i++;
        else
            return argv[i];
    }
    return NULL;
}

int main(int argc, char **argv)
{
    const char *wrong = options(argc, argv);
    if (wrong) {
        fprintf(stderr, "bench_device: %s is not an option, or lacks its value\n", wrong);
        return 2;
    }
    bp_context *ctx;
    if (bp_open(device, &ctx) != BP_OK) {
        fprintf(stderr, "bench_device: %s\n", bp_error_text(ctx));
        return 1;
    }
    printf("%s\n", bp_device_text(ctx));
    if (json)
        fprintf(json, "{\"bench\": \"device\", \"device\": \"%s\", \"compiler\": \"%s\", "
                      "\"quick\": %s, \"rows\": [",
                bp_device_text(ctx), __VERSION__, quick ? "true" : "false");
    bp_close(ctx);
    int failed = 0;
    for (int i = 0; i < device_row_count; i++)
        if (wanted(&device_rows[i]))
            failed |= run(&device_rows[i]);
    if (json) {
        fprintf(json, "\n]}\n");
        fclose(json);
    }
    return failed;
}
