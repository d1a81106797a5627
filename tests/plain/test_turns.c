/* Turns: what a thread is told while another is inside, and what becomes of its frees and of its
 * bp_close. For the thread sanitizer above all. */
#define _POSIX_C_SOURCE 200809L
#include <bpcuda/bpcuda.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <string.h>

#include "check.h"
#include "readers.h"

#define BUSY_TEXT "the context is busy: another thread is inside"

typedef struct shared {
    guard memory;
    bp_context *ctx;
    bp_tensor *t[3];
    bp_params *params;
    bp_optimizer *opt;
    bp_plan *plan;
    bp_data *data;
    bp_model *model;
    bp_trainer *trainer;
    atomic_int inside, done;
    int wrong; /* of the knocking thread; read after the join */
} shared;

static bp_status nothing(bp_context *ctx, void *user)
{
    (void)ctx, (void)user;
    return BP_OK;
}

static int open_all(shared *s)
{
    static const float x[12] = {0};
    static const int32_t label[4] = {0};
    bp_hooks hooks = guard_hooks(&s->memory);
    if (bp_open_with("cpu", &hooks, &s->ctx) != BP_OK || bp_set_threads(s->ctx, 1) != BP_OK)
        return 0;
    for (int i = 0; i < 3; i++)
        s->t[i] = bp_tensor_create(s->ctx, BP_F32, BP_SCALAR);
    return bp_params_create(s->ctx, BP_F32, &s->params) == BP_OK &&
           bp_param(s->params, "w", BP_SHAPE(4), BP_INIT_ONE) &&
           bp_adam_create(s->params, 0.1, &s->opt) == BP_OK &&
           bp_plan_record(s->ctx, nothing, NULL, &s->plan) == BP_OK &&
           bp_data_create(s->ctx, BP_F32, x, label, 4, 3, 1, &s->data) == BP_OK &&
           bp_model_create(s->ctx, 3, "4", 2, &s->model) == BP_OK &&
           bp_trainer_create(s->model, s->data, &s->trainer) == BP_OK;
}

/* Inside, and failing all the time, until the other thread is done. */
static bp_status stay(bp_context *ctx, void *user)
{
    shared *s = user;
    atomic_store(&s->inside, 1);
    while (!atomic_load(&s->done)) {
        if (bp_tensor_create(ctx, 99, BP_SCALAR) || bp_error_text(ctx)[0] != 't')
            return BP_ERR_STATE;
        sched_yield();
    }
    return BP_OK;
}

static void wait_inside(shared *s)
{
    while (!atomic_load(&s->inside))
        sched_yield();
}

static void *ask(void *user)
{
    shared *s = user;
    wait_inside(s);
    for (int i = 0; i < 200; i++) {
        s->wrong += strcmp(bp_error_text(s->ctx), BUSY_TEXT) != 0;
        s->wrong += bp_optimizer_step(NULL) != BP_ERR_ARG ||
                    strcmp(bp_error_text(s->ctx), "optimizer_step: opt is NULL") != 0;
        s->wrong += bp_sync(s->ctx) != BP_ERR_BUSY || strcmp(bp_error_text(s->ctx), BUSY_TEXT) != 0;
        bp_stats stats;
        bp_get_stats(s->ctx, &stats);
        s->wrong += stats.allocations != 0;
    }
    atomic_store(&s->done, 1);
    return NULL;
}

static void *free_all(void *user)
{
    shared *s = user;
    wait_inside(s);
    bp_free(s->t[0]);
    bp_free(s->t[0]); /* twice */
    bp_free(s->t[1]);
    bp_trainer_free(s->trainer);
    bp_model_free(s->model);
    bp_data_free(s->data);
    bp_plan_free(s->plan);
    bp_optimizer_free(s->opt);
    bp_params_free(s->params);
    atomic_store(&s->done, 1);
    return NULL;
}

static void *close_while_inside(void *user)
{
    shared *s = user;
    wait_inside(s);
    bp_close(s->ctx);
    atomic_store(&s->done, 1);
    return NULL;
}

static bp_status run_beside(shared *s, void *(*other)(void *))
{
    pthread_t thread;
    if (pthread_create(&thread, NULL, other, s) != 0)
        exit(2);
    bp_status st = bp_run(s->ctx, 0, stay, s);
    pthread_join(thread, NULL);
    return st;
}

static void texts(void)
{
    shared s = {.wrong = 0};
    check(open_all(&s), "all objects are made");
    check(run_beside(&s, ask) == BP_ERR_DTYPE, "the thread inside reads its own sentences");
    check(s.wrong == 0, "a thread that is refused reads that the context is busy, nothing else");
    check(bp_set_threads(s.ctx, -1) == BP_ERR_ARG && strstr(bp_error_text(s.ctx), "set_threads"),
          "the next error is the one that is told");
    free_all(&s);
    bp_free(s.t[2]);
    bp_close(s.ctx);
    check(s.memory.live == 0 && !s.memory.broken, "and nothing is left");
}

static void frees(void)
{
    shared s = {.wrong = 0};
    bp_stats stats;
    check(open_all(&s), "all objects are made again");
    check(run_beside(&s, free_all) == BP_ERR_DTYPE, "the thread inside goes on");
    bp_get_stats(s.ctx, &stats);
    bp_shape none = bp_shape_of(s.t[0]);
    check(none.ndim == 0 && bp_dtype_of(s.t[0]) == 0 && bp_dtype_of(s.t[1]) == 0 &&
          bp_dtype_of(s.t[2]) == BP_F32, "what was freed meanwhile is gone when it has left");
    bp_free(s.t[2]);
    bp_close(s.ctx);
    check(s.memory.live == 0 && !s.memory.broken, "all of it");
}

static void closing(void)
{
    shared s = {.wrong = 0};
    check(open_all(&s), "all objects are made once more");
    atomic_store(&s.inside, 1);
    free_all(&s);
    atomic_store(&s.inside, 0);
    atomic_store(&s.done, 0);
    check(run_beside(&s, close_while_inside) == BP_ERR_DTYPE,
          "a context that is closed meanwhile works on");
    check(s.memory.live == 0 && !s.memory.broken, "and is closed when the thread has left");
}

static bp_status close_from_inside(bp_context *ctx, void *user)
{
    bp_close(ctx);
    return bp_exp(user) ? BP_OK : BP_ERR_STATE;
}

static void closing_from_a_step(void)
{
    guard g = {0};
    bp_hooks hooks = guard_hooks(&g);
    bp_context *ctx;
    for (int outer = 0; outer < 2; outer++) {
        bp_status st = bp_open_with("cpu", &hooks, &ctx);
        bp_tensor *x = bp_tensor_create(ctx, BP_F32, BP_SCALAR);
        if (st == BP_OK && outer)
            st = bp_scope_begin(ctx, 0);
        check(st == BP_OK && bp_run(ctx, 0, close_from_inside, x) == BP_OK && g.live == 0,
              "a step that closes its context runs to its end");
    }
}

/* Threads that come, free and go, at any moment. */
static void *free_one(void *user)
{
    bp_tensor **t = user;
    for (int i = 0; i < 100; i++)
        bp_free(t[i]);
    return NULL;
}

static void crowd(void)
{
    guard g = {0};
    bp_hooks hooks = guard_hooks(&g);
    bp_context *ctx;
    static bp_tensor *t[4][100];
    pthread_t thread[4];
    bp_status st = bp_open_with("cpu", &hooks, &ctx);
    for (int k = 0; k < 400; k++)
        t[k / 100][k % 100] = bp_tensor_create(ctx, BP_F32, BP_SHAPE(10));
    bp_stats before, after;
    bp_get_stats(ctx, &before);
    for (int i = 0; i < 4; i++)
        if (pthread_create(&thread[i], NULL, free_one, t[i]) != 0)
            exit(2);
    for (int i = 0; i < 300; i++)
        (void)!bp_run(ctx, 0, nothing, NULL);
    for (int i = 0; i < 4; i++)
        pthread_join(thread[i], NULL);
    bp_get_stats(ctx, &after);
    check(st == BP_OK && before.bytes > 400 * 40 && after.bytes < 1000,
          "every free of four threads is done in the end");
    bp_close(ctx);
    check(g.live == 0 && !g.broken, "and no memory is left");
}

int main(void)
{
    texts();
    frees();
    closing();
    closing_from_a_step();
    crowd();
    return check_end();
}
