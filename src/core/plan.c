/* Plans: the list of kernel calls that passed the door while a step ran once, and its replay. A
 * device that can takes the list as a graph, of one step and of several.
 *
 * Memory the step takes while it is recorded comes from the arena of plans, at addresses that stay
 * right for a replay: nothing else lives there between replays. Storages from outside are held by
 * the plan, and those it writes count one version more with each replay. */
#include <string.h>

#include "core/context.h"
#include "core/error.h"
#include "core/dispatch.h"
#include "core/params.h"
#include "core/rng.h"
#include "door/fpstate.h"

/* Which segments of a store had a gradient before and after the step: writing or adding, and the
 * runs of the optimiser, are baked into the calls. Segment i: bit 0 before, bit 1 after. */
typedef struct window_state {
    bp_params *store;
    int64_t reached; /* where its bytes begin */
} window_state;

enum { ONE, MANY, STEPS_OF_MANY = 8 };

struct bp_plan {
    bpi_recording list;
    bpi_graph *graph[2]; /* of one step, of STEPS_OF_MANY; NULL where the list itself is run */
    int64_t nodes;       /* of the first */
    bool draws;          /* from the random stream */
    bool repeats;        /* it leaves the gradients waiting or clear as it found them */
    window_state *window;
    unsigned char *reached;
    int64_t n_windows, n_reached, window_capacity, reached_capacity;
};

static bp_status windows_before(bp_plan *plan)
{
    for (bp_params *p = plan->list.ctx->stores; p; p = p->next) {
        if (!bpi_grow(plan->list.ctx, (void **)&plan->window, &plan->window_capacity,
                      plan->n_windows + 1, sizeof *plan->window) ||
            !bpi_grow(plan->list.ctx, (void **)&plan->reached, &plan->reached_capacity,
                      plan->n_reached + p->n, 1))
            return BP_ERR_NOMEM;
        plan->window[plan->n_windows++] = (window_state){p, plan->n_reached};
        for (int64_t i = 0; i < p->n; i++)
            plan->reached[plan->n_reached++] = p->segment[i].window == p->window;
    }
    return BP_OK;
}

/* Keeps the stores that the step used, and what it left reached. */
static void windows_after(bp_plan *plan)
{
    int64_t kept = 0;
    for (int64_t k = 0; k < plan->n_windows; k++) {
        window_state w = plan->window[k];
        bool used = false;
        for (int64_t i = 0; i < plan->list.n_outside && w.store->values; i++)
            used |= plan->list.outside[i].storage == bpi_at(w.store->values)->storage ||
                    plan->list.outside[i].storage == bpi_at(w.store->grads)->storage;
        for (int64_t i = 0; i < w.store->n; i++)
            if (w.store->segment[i].window == w.store->window)
                plan->reached[w.reached + i] |= 2;
        if (used)
            plan->window[kept++] = w;
    }
    plan->n_windows = kept;
    plan->repeats = true;
    for (int64_t k = 0; k < kept; k++)
        for (int64_t i = 0; i < plan->window[k].store->n; i++) {
            unsigned char reached = plan->reached[plan->window[k].reached + i];
            plan->repeats &= (reached & 1) == reached >> 1;
        }
}

static bp_status run_calls(bp_plan *plan)
{
    bp_context *ctx = plan->list.ctx;
    for (int64_t i = 0; i < plan->list.n_calls; i++) {
        const bpi_call *c = &plan->list.call[i];
        ctx->exec.kernel = c->number;
        const bp_view *in = plan->list.view + c->view;
        bp_status st = c->kernel.fn(&ctx->exec, in, in + c->n_in, plan->list.params + c->params);
        if (st != BP_OK)
            return bpi_device_failed(ctx, st, bpi_kernel_name(ctx, c->number));
    }
    return BP_OK;
}

/* The device's graph of `steps` steps. */
static bp_status make_graph(bp_plan *plan, int steps, bpi_graph **graph, int64_t *nodes)
{
    bp_context *ctx = plan->list.ctx;
    const bpi_device_calls *calls = ctx->device->calls;
    bp_status st = calls->capture(ctx->device);
    if (st != BP_OK)
        return bpi_device_failed(ctx, st, "plan_record");
    for (int k = 0; k < steps && st == BP_OK; k++)
        st = run_calls(plan);
    bp_status end = calls->captured(ctx->device, graph, nodes);
    if (st == BP_OK && end != BP_OK)
        st = bpi_device_failed(ctx, end, "plan_record");
    if (st != BP_OK && *graph) { /* of calls that were not all taken */
        calls->drop(ctx->device, *graph);
        *graph = NULL;
    }
    return st;
}

bp_status bp_plan_record(bp_context *ctx, bp_step_fn step, void *user, bp_plan **out)
{
    *out = NULL;
    BPI_TRY(bpi_enter(ctx));
    bp_status st = bpi_not_recording(ctx, "plan_record");
    if (st == BP_OK && ctx->depth > 0)
        st = bpi_fail(ctx, BP_ERR_STATE, "plan_record: inside a scope; a plan is an outermost one");
    bp_plan *plan = st == BP_OK ? bpi_host_alloc(ctx, sizeof *plan) : NULL;
    if (st == BP_OK && !plan)
        st = bpi_fail(ctx, BP_ERR_NOMEM, "plan_record: out of memory");
    if (st == BP_OK) {
        plan->list.ctx = ctx;
        st = windows_before(plan);
        ctx->recording = &plan->list;
        if (st == BP_OK)
            st = bp_run(ctx, 0, step, user);
        ctx->recording = NULL;
        plan->draws = ctx->site > 0;
        windows_after(plan);
    }
    int64_t nodes_of_many;
    if (st == BP_OK && ctx->device->calls->capture)
        st = make_graph(plan, 1, &plan->graph[ONE], &plan->nodes);
    if (st == BP_OK && ctx->device->calls->capture && plan->repeats &&
        make_graph(plan, STEPS_OF_MANY, &plan->graph[MANY], &nodes_of_many) != BP_OK)
        ctx->text[0] = '\0'; /* one step at a time will do */
    if (st == BP_OK)
        *out = plan;
    else
        bp_plan_free(plan);
    bpi_leave(ctx);
    return st;
}

static bp_status replayable(bp_plan *plan)
{
    bp_context *ctx = plan->list.ctx;
    BPI_TRY(bpi_not_recording(ctx, "plan_replay"));
    if (ctx->depth > 0)
        return bpi_fail(ctx, BP_ERR_STATE, "plan_replay: inside a scope");
    for (int64_t k = 0; k < plan->n_windows; k++) {
        const window_state *w = &plan->window[k];
        const bp_params *p = ctx->stores;
        while (p && p != w->store)
            p = p->next;
        if (!p)
            return bpi_fail(ctx, BP_ERR_STATE, "plan_replay: its parameter store was freed");
        if (p->invalid)
            return bpi_fail(ctx, BP_ERR_STATE, "plan_replay: the last backward failed");
        for (int64_t i = 0; i < p->n; i++)
            if ((p->segment[i].window == p->window) != (plan->reached[w->reached + i] & 1))
                return bpi_fail(ctx, BP_ERR_STATE,
                                "plan_replay: the gradient of %s is %s, unlike when the plan was "
                                "recorded", p->segment[i].name,
                                p->segment[i].window == p->window ? "waiting for a step" : "clear");
    }
    return BP_OK;
}

/* One step, or as many as `graph` has. */
static bp_status run(bp_plan *plan, bpi_graph *graph, int64_t steps)
{
    bp_context *ctx = plan->list.ctx;
    if (plan->draws)
        BPI_TRY(bpi_rng_catch_up(ctx));
    else
        ctx->rng_lag += (uint64_t)steps;
    bp_status st = graph ? ctx->device->calls->launch(ctx->device, graph) : run_calls(plan);
    if (st != BP_OK)
        return graph ? bpi_device_failed(ctx, st, "plan_replay") : st;
    ctx->stats.kernels += steps * plan->list.n_calls;
    for (int64_t i = 0; i < plan->list.n_outside; i++)
        if (plan->list.outside[i].written)
            bpi_storage_written(plan->list.outside[i].storage, "plan_replay");
    for (int64_t k = 0; k < plan->n_windows; k++) {
        bp_params *p = plan->window[k].store;
        for (int64_t i = 0; i < p->n; i++)
            p->segment[i].window = plan->reached[plan->window[k].reached + i] & 2 ? p->window : 0;
    }
    return BP_OK;
}

bp_status bp_plan_replay(bp_plan *plan, int64_t times)
{
    if (!plan)
        return BP_ERR_ARG;
    BPI_TRY(bpi_enter(plan->list.ctx));
    bp_status st = BP_OK;
    bpi_fp_state own = bpi_fp_enter();
    for (int64_t left = times, steps; left > 0 && st == BP_OK; left -= steps) {
        int size = plan->graph[MANY] && left >= STEPS_OF_MANY ? MANY : ONE;
        steps = size == MANY ? STEPS_OF_MANY : 1;
        st = replayable(plan);
        if (st == BP_OK)
            st = run(plan, plan->graph[size], steps);
    }
    bpi_fp_leave(own);
    bpi_leave(plan->list.ctx);
    return st;
}

void bp_plan_free(bp_plan *plan)
{
    if (!plan || bpi_enter(plan->list.ctx) != BP_OK)
        return;
    bp_context *ctx = plan->list.ctx;
    for (int k = 0; k < 2; k++)
        if (plan->graph[k])
            ctx->device->calls->drop(ctx->device, plan->graph[k]);
    bpi_recording_free(&plan->list);
    bpi_host_free(ctx, plan->window, (size_t)plan->window_capacity * sizeof *plan->window);
    bpi_host_free(ctx, plan->reached, (size_t)plan->reached_capacity);
    bpi_host_free(ctx, plan, sizeof *plan);
    bpi_leave(ctx);
}

int64_t bp_plan_kernels(const bp_plan *plan)
{
    return plan ? plan->list.n_calls : 0;
}

int64_t bp_plan_nodes(const bp_plan *plan)
{
    return plan ? plan->nodes : 0;
}
