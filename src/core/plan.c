/* Plans: the list of kernel calls that passed the door while a step was called, and the running of
 * it. A device that can takes the list as a graph, of one step and of several.
 *
 * While it is recorded nothing runs: the calls are noted. When the step has returned, what it
 * changed on the host is put back, and the plan is run once as a replay runs it: a recording that
 * fails has done nothing.
 *
 * Memory the step takes while it is recorded comes from the arena of plans, at addresses that stay
 * right for a replay: nothing else lives there between replays. Storages from outside are held by
 * the plan, and those it writes count one version more with each run. */
#include "core/plan.h"

#include "core/context.h"
#include "core/error.h"
#include "core/params.h"
#include "core/replay.h"
#include "core/rng.h"
#include "core/scope.h"

/* What a step found in a segment of a store, and left: writing or adding a gradient, asking for one
 * and the runs of the optimiser are baked into the calls. */
enum { REACHED = 1, FROZEN = 2, REACHED_AFTER = 4, USED = 8 };

typedef struct store_state {
    bp_params *store; /* a reference */
    int64_t segment;  /* where the bytes of its segments begin */
    uint64_t window;  /* before the step */
    bool invalid, invalid_after;
} store_state;

enum { ONE, MANY, STEPS_OF_MANY = 8 };

struct bp_plan {
    bpi_recording list; /* first, so that one pointer serves both */
    bpi_late late;
    bpi_graph *graph[2]; /* of one step, of STEPS_OF_MANY; NULL where the list itself is run */
    int64_t nodes;       /* of the first */
    bool draws;          /* from the random stream */
    bool still;          /* recorded without gradients: it moves neither stream nor stores */
    bool repeats;        /* it leaves the gradients waiting or clear as it found them */
    bool tf32;           /* how products are computed */
    store_state *store;
    unsigned char *segment;
    int64_t n_stores, n_segments, store_capacity, segment_capacity;
};

/* --- what it follows from, on the host ------------------------------------------------------ */

static unsigned char state_of(const bp_params *p, int64_t i)
{
    const bpi_segment *s = &p->segment[i];
    return (unsigned char)((s->window == p->window ? REACHED : 0) | (s->frozen ? FROZEN : 0));
}

static bp_status stores_before(bp_plan *plan)
{
    bp_context *ctx = plan->list.ctx;
    for (bp_params *p = ctx->stores; p; p = p->next) {
        if (p->counted.freed)
            continue;
        if (!bpi_grow(ctx, (void **)&plan->store, &plan->store_capacity, plan->n_stores + 1,
                      sizeof *plan->store) ||
            !bpi_grow(ctx, (void **)&plan->segment, &plan->segment_capacity,
                      plan->n_segments + p->n, 1))
            return BP_ERR_NOMEM;
        p->counted.refs++;
        plan->store[plan->n_stores++] = (store_state){
            .store = p, .segment = plan->n_segments, .window = p->window, .invalid = p->invalid};
        for (int64_t i = 0; i < p->n; i++)
            plan->segment[plan->n_segments++] = state_of(p, i);
    }
    return BP_OK;
}

/* Puts the stores back to what they were before the step. */
static void put_back(bp_plan *plan)
{
    for (int64_t k = 0; k < plan->n_stores; k++) {
        const store_state *s = &plan->store[k];
        bp_params *p = s->store;
        p->window = s->window;
        p->invalid = s->invalid;
        for (int64_t i = 0; i < p->n; i++)
            p->segment[i].window = plan->segment[s->segment + i] & REACHED ? p->window : 0;
    }
}

/* Whether the step left a mark on a store; and which segments it used and left reached. */
static bool store_after(bp_plan *plan, store_state *s)
{
    bp_params *p = s->store;
    unsigned char *state = plan->segment + s->segment;
    bool marked = p->counted.freed || p->window != s->window || p->invalid != s->invalid;
    for (int64_t i = 0; i < plan->list.n_outside; i++) {
        const bpi_segment *used = bpi_params_segment(p, plan->list.outside[i].storage);
        if (used)
            state[used - p->segment] |= USED;
        marked |= used != NULL;
    }
    for (int64_t i = 0; i < p->n; i++) {
        bool before = state[i] & REACHED, after = p->segment[i].window == p->window;
        marked |= before != after;
        state[i] |= after ? REACHED_AFTER : 0;
        plan->repeats &= before == after;
    }
    s->invalid_after = p->invalid;
    return marked;
}

/* Keeps the stores that the step left a mark on. */
static void stores_after(bp_plan *plan)
{
    int64_t kept = 0;
    plan->repeats = true;
    for (int64_t k = 0; k < plan->n_stores; k++) {
        store_state s = plan->store[k];
        if (store_after(plan, &s) && !plan->still)
            plan->store[kept++] = s;
        else
            bpi_params_release(s.store);
    }
    plan->n_stores = kept;
}

/* Whether the plan still does what the step would do; else `why` (room for 160 bytes) says why. */
static bp_status holds(const bp_plan *plan, char *why)
{
    for (int64_t k = 0; k < plan->n_stores; k++) {
        const store_state *s = &plan->store[k];
        const bp_params *p = s->store;
        if (p->counted.freed)
            return bpi_why(why, BP_ERR_STATE, "its parameter store was freed");
        if (p->invalid && !s->invalid)
            return bpi_why(why, BP_ERR_STATE, "the last backward failed");
        for (int64_t i = 0; i < p->n; i++) {
            unsigned char then = plan->segment[s->segment + i], now = state_of(p, i);
            unsigned char counts = then & (USED | REACHED) ? REACHED | FROZEN : REACHED;
            if ((now ^ then) & counts & REACHED)
                return bpi_why(why, BP_ERR_STATE, "%s of %.60s is %s, unlike when the plan was "
                               "recorded", p->segment[i].buffer ? "what a pass saw"
                               : "the gradient", p->segment[i].name,
                               now & REACHED ? "waiting for a step" : "clear");
            if ((now ^ then) & counts)
                return bpi_why(why, BP_ERR_STATE, "%.60s is %s, unlike when the plan was recorded",
                               p->segment[i].name, now & FROZEN ? "frozen" : "not frozen");
        }
    }
    if (plan->tf32 != plan->list.ctx->tf32)
        return bpi_why(why, BP_ERR_STATE, "the precision is %s, unlike when the plan was recorded",
                       plan->tf32 ? "f32" : "TF32");
    return bpi_recording_holds(&plan->list, why);
}

bool bpi_plan_holds(const bp_plan *plan)
{
    char why[160];
    return holds(plan, why) == BP_OK;
}

bool bpi_plan_possible(const bp_context *ctx)
{
    return ctx->depth == 0 && !ctx->recording;
}

/* --- running -------------------------------------------------------------------------------- */

/* The device's graph of `steps` steps. */
static bp_status make_graph(bp_plan *plan, int steps, bpi_graph **graph, int64_t *nodes)
{
    bp_context *ctx = plan->list.ctx;
    const bpi_device_calls *calls = ctx->device->calls;
    bp_status st = calls->capture(ctx->device);
    if (st != BP_OK)
        return bpi_device_failed(ctx, st, "plan_record");
    for (int k = 0; k < steps && st == BP_OK; k++)
        st = bpi_recording_run(&plan->list);
    bp_status end = calls->captured(ctx->device, graph, nodes);
    if (st == BP_OK && end != BP_OK)
        st = bpi_device_failed(ctx, end, "plan_record");
    if (st != BP_OK && *graph) { /* of calls that were not all taken */
        calls->drop(ctx->device, *graph);
        *graph = NULL;
    }
    return st;
}

/* A kernel has failed, or was left by an exception: what the step adds to, it may have added to. */
static void spoil(bp_plan **running)
{
    const bp_plan *plan = *running;
    for (int64_t k = 0; plan && k < plan->n_stores; k++) {
        const store_state *s = &plan->store[k];
        for (int64_t i = 0; i < s->store->n; i++)
            s->store->invalid |= plan->segment[s->segment + i] & REACHED &&
                                 plan->segment[s->segment + i] & USED;
    }
}

/* One step, or as many as `graph` has. */
static bp_status run(bp_plan *plan, bpi_graph *graph, int64_t steps)
{
    bp_context *ctx = plan->list.ctx;
    if (plan->draws)
        BPI_TRY(bpi_rng_catch_up(ctx));
    __attribute__((cleanup(spoil))) bp_plan *running = plan;
    bp_status st = graph ? ctx->device->calls->launch(ctx->device, graph)
                         : bpi_recording_run(&plan->list);
    if (st != BP_OK)
        return graph ? bpi_device_failed(ctx, st, "plan_replay") : st;
    running = NULL;
    if (!plan->draws && !plan->still)
        ctx->rng_lag += (uint64_t)steps;
    ctx->stats.kernels += steps * plan->list.n_calls;
    bpi_recording_written(&plan->list);
    for (int64_t k = 0; k < plan->n_stores; k++) {
        const store_state *s = &plan->store[k];
        bp_params *p = s->store;
        p->invalid = s->invalid_after;
        for (int64_t i = 0; i < p->n && !plan->repeats; i++)
            p->segment[i].window =
                plan->segment[s->segment + i] & REACHED_AFTER ? p->window : 0;
    }
    return BP_OK;
}

/* `times` steps, several at a time where there is a graph of them. */
static bp_status run_times(bp_plan *plan, int64_t times, const char *who)
{
    bp_status st = BP_OK;
    char why[160];
    for (int64_t left = times, steps; left > 0 && st == BP_OK; left -= steps) {
        int size = plan->graph[MANY] && left >= STEPS_OF_MANY ? MANY : ONE;
        steps = size == MANY ? STEPS_OF_MANY : 1;
        if (left == times || !plan->repeats) /* else it is as it was: nothing else has run */
            st = holds(plan, why);
        st = st == BP_OK ? run(plan, plan->graph[size], steps)
                         : bpi_fail(plan->list.ctx, st, "%s: %s", who, why);
    }
    return st;
}

static bp_status replay(bp_plan *plan, int64_t times)
{
    bp_context *ctx = plan->list.ctx;
    if (times < 0)
        return bpi_fail(ctx, BP_ERR_ARG, "plan_replay: %lld times; 0 or more are wanted",
                        (long long)times);
    BPI_TRY(bpi_not_recording(ctx, "plan_replay"));
    if (ctx->depth > 0)
        return bpi_fail(ctx, BP_ERR_STATE, "plan_replay: inside a scope");
    return run_times(plan, times, "plan_replay");
}

bp_status bp_plan_replay(bp_plan *plan, int64_t times)
{
    BPI_LEADS(plan, "plan_replay: plan");
    BPI_INSIDE(plan->list.ctx, replay(plan, times));
}

/* --- recording ------------------------------------------------------------------------------ */

static void destroy(bp_plan *plan)
{
    bp_context *ctx = plan->list.ctx;
    for (int k = 0; k < 2; k++)
        if (plan->graph[k])
            ctx->device->calls->drop(ctx->device, plan->graph[k]);
    for (int64_t k = 0; k < plan->n_stores; k++)
        bpi_params_release(plan->store[k].store);
    bpi_recording_free(&plan->list);
    bpi_host_free(ctx, plan->store, (size_t)plan->store_capacity * sizeof *plan->store);
    bpi_host_free(ctx, plan->segment, (size_t)plan->segment_capacity);
    bpi_object_free(ctx, plan, sizeof *plan);
}

static void free_late(bpi_late *late)
{
    bp_plan_free((bp_plan *)((char *)late - offsetof(bp_plan, late)));
}

void bp_plan_free(bp_plan *plan)
{
    if (!plan || !bpi_enter_to_free(plan->list.ctx, &plan->late, free_late))
        return;
    bp_context *ctx = plan->list.ctx;
    destroy(plan);
    bpi_leave(ctx);
}

/* The step's scope ended before the step did. */
static void give_up(bpi_recording *list)
{
    bp_plan *plan = (bp_plan *)list;
    put_back(plan);
    destroy(plan);
}

static bp_status begin(bp_context *ctx, bp_plan **out)
{
    BPI_TRY(bpi_not_recording(ctx, "plan_record"));
    if (ctx->depth > 0)
        return bpi_fail(ctx, BP_ERR_STATE,
                        "plan_record: inside a scope; a plan is an outermost one");
    bp_plan *plan = bpi_object_alloc(ctx, sizeof *plan);
    if (!plan)
        return bpi_fail(ctx, BP_ERR_NOMEM, "plan_record: out of memory");
    plan->list.ctx = ctx;
    plan->list.serial = ++ctx->serial;
    plan->list.give_up = give_up;
    plan->tf32 = ctx->tf32;
    bp_status st = stores_before(plan);
    if (st == BP_OK)
        ctx->recording = &(*out = plan)->list;
    else
        destroy(plan);
    return st;
}

/* What has been noted becomes a plan, and is run once. */
static bp_status complete(bp_plan *plan)
{
    bp_context *ctx = plan->list.ctx;
    int64_t nodes_of_many;
    bpi_recording_over(&plan->list);
    BPI_TRY(bpi_recording_prepare(&plan->list));
    if (ctx->device->calls->capture)
        BPI_TRY(make_graph(plan, 1, &plan->graph[ONE], &plan->nodes));
    if (ctx->device->calls->capture && plan->repeats &&
        make_graph(plan, STEPS_OF_MANY, &plan->graph[MANY], &nodes_of_many) != BP_OK)
        ctx->text[0] = '\0'; /* one step at a time will do */
    return run_times(plan, 1, "plan_record");
}

static bp_status record(bp_context *ctx, bool still, bp_step_fn step, void *user, bp_plan **out)
{
    bp_plan *plan = NULL;
    BPI_TRY(bpi_given(ctx, out, "plan_record: plan"));
    BPI_TRY(begin(ctx, &plan));
    uint64_t serial = plan->list.serial;
    plan->still = still;
    bp_status st = bpi_run_step(ctx, still ? BP_NO_GRAD : 0, step, user, "plan_record");
    if (!ctx->recording || ctx->recording->serial != serial)
        return st; /* the step ended its scope: the plan is gone */
    ctx->recording = NULL;
    plan->draws = ctx->site > 0;
    if (st == BP_OK)
        stores_after(plan);
    put_back(plan);
    if (st == BP_OK)
        st = complete(plan);
    if (st == BP_OK)
        *out = plan;
    else
        destroy(plan);
    return st;
}

bp_status bp_plan_record(bp_context *ctx, bp_step_fn step, void *user, bp_plan **plan)
{
    if (plan)
        *plan = NULL;
    BPI_INSIDE(ctx, record(ctx, false, step, user, plan));
}

bp_status bpi_plan_record_still(bp_context *ctx, bp_step_fn step, void *user, bp_plan **plan)
{
    *plan = NULL;
    BPI_INSIDE(ctx, record(ctx, true, step, user, plan));
}

int64_t bp_plan_kernels(const bp_plan *plan)
{
    return plan ? plan->list.n_calls : 0;
}

int64_t bp_plan_nodes(const bp_plan *plan)
{
    return plan ? plan->nodes : 0;
}
