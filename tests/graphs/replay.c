/* A random graph as a step of training, called three times and recorded once and replayed twice:
 * gradients and parameters must have the same bits. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "graphs.h"

typedef struct training {
    graph_run r;
    bp_optimizer *optimizer[STORES];
    bool steps;                  /* else gradients add up */
    bp_tensor *grad[MAX_VALUES]; /* what the last step found */
} training;

static bool open(training *t, bp_context *ctx, const graph *g, bp_dtype real, bool steps)
{
    *t = (training){.steps = steps};
    if (!graph_open(&t->r, ctx, g, real))
        return false;
    for (int i = 0; i < g->n; i++)
        if (g->value[i].kind == PARAM)
            t->grad[i] = bp_tensor_create(ctx, real, g->value[i].shape);
    return bp_sgd_create(t->r.store[0], 1e-3, 0.9, &t->optimizer[0]) == BP_OK &&
           bp_adam_create(t->r.store[1], 1e-3, &t->optimizer[1]) == BP_OK;
}

static void close(training *t)
{
    for (int k = 0; k < STORES; k++)
        bp_optimizer_free(t->optimizer[k]);
    for (int i = 0; i < t->r.g->n; i++)
        bp_free(t->grad[i]);
    graph_close(&t->r);
}

static bp_status step(bp_context *ctx, void *user)
{
    training *t = user;
    bp_tensor *loss = graph_build(&t->r);
    bp_status st = bp_backward(ctx, loss);
    for (int i = 0; i < t->r.g->n && st == BP_OK; i++)
        if (t->grad[i] && graph_stored(&t->r, i))
            st = bp_copy_into(t->grad[i], graph_stored(&t->r, i));
    for (int k = 0; k < STORES && st == BP_OK && t->steps; k++)
        st = bp_optimizer_step(t->optimizer[k]);
    return st;
}

/* Three steps: called, or the last two as replays of a plan of the first, or of the second where
 * gradients add up: the first writes them. */
static bool train(bp_context *ctx, training *t, bool replayed)
{
    bp_plan *plan = NULL;
    bp_status st = bp_seed(ctx, 7);
    if (st == BP_OK && (!replayed || !t->steps))
        st = bp_run(ctx, 0, step, t);
    if (st == BP_OK && replayed)
        st = bp_plan_record(ctx, step, t, &plan);
    if (st == BP_OK && replayed)
        st = bp_plan_replay(plan, t->steps ? 2 : 1);
    for (int i = 1; i < 3 && st == BP_OK && !replayed; i++)
        st = bp_run(ctx, 0, step, t);
    bp_plan_free(plan);
    return st == BP_OK;
}

static bool same_bits(bp_tensor *a, bp_tensor *b)
{
    size_t bytes = (size_t)bp_shape_count(bp_shape_of(a)) * bp_dtype_bytes(bp_dtype_of(a));
    void *x = malloc(bytes + 1), *y = malloc(bytes + 1);
    bool same = x && y && bp_read(a, x, bytes) == BP_OK && bp_read(b, y, bytes) == BP_OK &&
                !memcmp(x, y, bytes);
    free(x);
    free(y);
    return same;
}

bool graph_replays(bp_context *ctx, const graph *g)
{
    training t[2];
    bp_dtype real = g->seed % 2 ? BP_F32 : BP_F64;
    bool same = true, steps = g->seed % 3;
    for (int k = 0; k < 2 && same; k++)
        same = open(&t[k], ctx, g, real, steps) && train(ctx, &t[k], k);
    if (!same)
        printf("FAILED graph %llu: replay: %s\n", (unsigned long long)g->seed, bp_error_text(ctx));
    for (int i = 0; i < g->n && same; i++)
        if (g->value[i].kind == PARAM || g->value[i].kind == FROZEN) {
            same = same_bits(t[0].r.leaf[i], t[1].r.leaf[i]) &&
                   (!t[0].grad[i] || same_bits(t[0].grad[i], t[1].grad[i]));
            graph_compared += 2 * g->value[i].v.n;
            if (!same)
                printf("FAILED graph %llu: replay: value %d has other bits\n",
                       (unsigned long long)g->seed, i);
        }
    for (int k = 0; k < 2; k++)
        close(&t[k]);
    return same;
}
