/* A backward that runs out of memory somewhere: it says so, leaves no gradient and no leak, and
 * when it is tried again in a new scope its gradients have the bits of one that never failed. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "graphs.h"

static bp_status step(bp_context *ctx, void *user)
{
    graph_run *r = user;
    return graph_draw_to(ctx, 0) ? bp_backward(ctx, graph_build(r)) : BP_ERR_STATE;
}

static bool say(const graph *g, const char *what, int64_t nth)
{
    printf("FAILED graph %llu: allocation %lld fails: %s\n", (unsigned long long)g->seed,
           (long long)nth, what);
    return false;
}

/* The parameters' gradients as bytes; NULL where there is none. */
static bool read_all(graph_run *r, values *d)
{
    for (int i = 0; i < r->g->n; i++) {
        bp_tensor *t = r->g->value[i].kind == PARAM ? graph_stored(r, i) : NULL;
        if (t && !tensor_values(t, &d[i]))
            return false;
    }
    return true;
}

/* Runs the step where the nth of its allocations fails, and those after it, until it is run again;
 * *calls: how many it made. */
static bool fails_once(const graph *g, graph_run *r, guard *heap, int64_t nth, int64_t *calls,
                       values *got)
{
    int64_t before = heap->calls;
    heap->fail_at = before + nth;
    heap->fail_on = true;
    bp_status st = bp_run(r->ctx, 0, step, r);
    *calls = heap->calls - before;
    heap->fail_at = 0;
    if (st != BP_OK && st != BP_ERR_NOMEM)
        return say(g, bp_error_text(r->ctx), nth);
    for (int i = 0; i < g->n && st != BP_OK; i++)
        if (g->value[i].kind == PARAM && graph_stored(r, i))
            return say(g, "a gradient is there", nth);
    if (st != BP_OK && bp_run(r->ctx, 0, step, r) != BP_OK)
        return say(g, "and so does the next try", nth);
    return read_all(r, got) || say(g, bp_error_text(r->ctx), nth);
}

bool graph_survives(const graph *g)
{
    values want[MAX_VALUES] = {{0}}, got[MAX_VALUES] = {{0}};
    bool same = true;
    int64_t calls = 0;
    for (int failing = 0; failing < 2 && same; failing++) {
        guard heap = {0};
        bp_hooks hooks = guard_hooks(&heap);
        graph_run r = {.g = g};
        bp_context *ctx;
        double part = 1 - op_random(g->seed + 3, 0) * op_random(g->seed + 3, 1); /* late ones */
        int64_t nth = failing ? 1 + (int64_t)(part * (double)calls) : INT32_MAX;
        same = bp_open_with(test_device(), &hooks, &ctx) == BP_OK &&
               graph_open(&r, ctx, g, BP_F64) &&
               fails_once(g, &r, &heap, nth, &calls, failing ? got : want);
        graph_close(&r);
        graph_forget(ctx);
        bp_close(ctx);
        if (heap.live || heap.broken)
            same = say(g, "a leak, or a write outside", nth);
    }
    for (int i = 0; i < g->n && same; i++)
        if (want[i].n != got[i].n ||
            (want[i].n && memcmp(want[i].v, got[i].v, (size_t)want[i].n * sizeof(double))))
            same = say(g, "other gradients when it is tried again", 0);
    values_free(want, MAX_VALUES);
    values_free(got, MAX_VALUES);
    return same;
}
