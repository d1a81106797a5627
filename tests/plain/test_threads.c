/* Contexts and threads: several contexts train at once, each in a thread of its own, with the bits
 * of one that trains alone; a context that one thread is in answers BP_ERR_BUSY to others; memory
 * that contexts share is let go by any thread. For the thread sanitizer above all. */
#define _POSIX_C_SOURCE 200809L
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

#include "check.h"
#include "core/dlpack.h"
#include "net.h"
#include "readers.h"

enum { THREADS = 4, STEPS = 5 };

static void *train_alone(void *result)
{
    bp_context *ctx;
    net n;
    uint64_t *digest = result;
    *digest = 0;
    if (bp_open(test_device(), &ctx) == BP_OK && bp_set_threads(ctx, 2) == BP_OK &&
        net_open(&n, ctx, BP_F32, 0.25) == BP_OK) {
        bp_plan *plan = NULL;
        if (net_train(&n, 0, STEPS) == BP_OK &&
            bp_plan_record(ctx, net_step, &n, &plan) == BP_OK &&
            bp_plan_replay(plan, STEPS) == BP_OK)
            *digest = net_digest(&n);
        bp_plan_free(plan);
        net_close(&n);
    }
    bp_close(ctx);
    return NULL;
}

static void several_contexts(void)
{
    uint64_t digest[THREADS], alone;
    pthread_t thread[THREADS];
    int equal = 1;
    train_alone(&alone);
    for (int i = 0; i < THREADS; i++)
        if (pthread_create(&thread[i], NULL, train_alone, &digest[i]) != 0)
            exit(2);
    for (int i = 0; i < THREADS; i++) {
        pthread_join(thread[i], NULL);
        equal &= digest[i] == alone;
    }
    check(alone != 0, "a context trains alone");
    check(equal, "four contexts in four threads train to the same bits");
}

/* --- one context, two threads ---------------------------------------------------------------- */

typedef struct shared {
    net n;
    bp_context *ctx;
    atomic_int inside, done;
    int busy, other; /* what the second thread saw; read after the join */
} shared;

static bp_status stay_inside(bp_context *ctx, void *user)
{
    shared *s = user;
    atomic_store(&s->inside, 1);
    while (!atomic_load(&s->done))
        sched_yield();
    return net_step(ctx, &s->n);
}

static void count(shared *s, int busy)
{
    *(busy ? &s->busy : &s->other) += 1;
}

static void *knock(void *user)
{
    shared *s = user;
    float loss;
    bp_plan *plan;
    while (!atomic_load(&s->inside))
        sched_yield();
    count(s, bp_run(s->ctx, 0, net_step, &s->n) == BP_ERR_BUSY);
    count(s, bp_scope_begin(s->ctx, 0) == BP_ERR_BUSY);
    count(s, bp_scope_end(s->ctx) == BP_ERR_BUSY);
    count(s, bp_sync(s->ctx) == BP_ERR_BUSY);
    count(s, bp_seed(s->ctx, 1) == BP_ERR_BUSY);
    count(s, bp_set_threads(s->ctx, 1) == BP_ERR_BUSY);
    count(s, bp_read(s->n.loss, &loss, sizeof loss) == BP_ERR_BUSY);
    count(s, bp_write(s->n.loss, &loss, sizeof loss) == BP_ERR_BUSY);
    count(s, bp_plan_record(s->ctx, net_step, &s->n, &plan) == BP_ERR_BUSY);
    count(s, bp_optimizer_step(s->n.opt) == BP_ERR_BUSY);
    count(s, bp_grad_clear(s->n.params) == BP_ERR_BUSY);
    count(s, bp_tensor_create(s->ctx, BP_F32, BP_SCALAR) == NULL);
    count(s, bp_relu(s->n.loss) == NULL);
    atomic_store(&s->done, 1);
    return NULL;
}

/* Both threads simply train: each call succeeds or is told that the context is busy. */
static void *crowd(void *user)
{
    shared *s = user;
    for (int i = 0; i < 200; i++) {
        bp_status st = bp_run(s->ctx, 0, net_step, &s->n);
        if (st != BP_OK && st != BP_ERR_BUSY)
            return user;
    }
    return NULL;
}

static void one_context(void)
{
    shared s = {.busy = 0};
    pthread_t thread;
    void *bad = NULL;
    check(bp_open("cpu", &s.ctx) == BP_OK && net_open(&s.n, s.ctx, BP_F32, 0.1) == BP_OK,
          "a context to share opens");
    if (pthread_create(&thread, NULL, knock, &s) != 0)
        exit(2);
    check(bp_run(s.ctx, 0, stay_inside, &s) == BP_OK, "the step that was knocked at succeeds");
    pthread_join(thread, NULL);
    check(s.busy == 13 && s.other == 0, "every call of another thread is told BP_ERR_BUSY");
    if (pthread_create(&thread, NULL, crowd, &s) != 0)
        exit(2);
    check(crowd(&s) == NULL, "this thread's calls succeed or are busy");
    pthread_join(thread, &bad);
    check(bad == NULL, "the other thread's calls succeed or are busy");
    net_close(&s.n);
    bp_close(s.ctx);
}

/* --- memory that two contexts share ---------------------------------------------------------- */

enum { SHARED = 200 };

typedef struct lent {
    bp_context *ctx[2]; /* each has what the other one lent */
    struct DLManagedTensorVersioned *out[SHARED];
    bp_tensor *in[SHARED];
    int bad;
} lent;

static void lend(lent *l)
{
    for (int i = 0; i < SHARED; i++) {
        struct DLManagedTensorVersioned *m;
        bp_tensor *t = bp_tensor_create(l->ctx[i % 2], BP_F32, BP_SHAPE(10));
        l->bad += !t || bp_dlpack_export(t, &l->out[i]) != BP_OK ||
                  bp_dlpack_export(t, &m) != BP_OK ||
                  bp_dlpack_import(l->ctx[!(i % 2)], m, &l->in[i]) != BP_OK;
        bp_free(t);
    }
}

static void *let_go(void *user)
{
    lent *l = user;
    for (int i = 0; i < SHARED; i++) {
        l->out[i]->deleter(l->out[i]);
        bp_free(l->in[i]);
    }
    return NULL;
}

static void shared_memory(void)
{
    lent l = {.bad = 0};
    pthread_t thread;
    bp_stats before[2], after[2];
    for (int i = 0; i < 2; i++) {
        l.bad += bp_open(test_device(), &l.ctx[i]) != BP_OK;
        bp_get_stats(l.ctx[i], &before[i]);
    }
    lend(&l);
    check(l.bad == 0, "two contexts lend one another memory");
    if (pthread_create(&thread, NULL, let_go, &l) != 0)
        exit(2);
    for (int i = 0; i < SHARED; i++) /* busy or not */
        bp_free(bp_tensor_create(l.ctx[i % 2], BP_F32, BP_SHAPE(10)));
    pthread_join(thread, NULL);
    for (int i = 0; i < 4; i++) /* what one lets go late may be the other's */
        bp_get_stats(l.ctx[i % 2], &after[i % 2]);
    check(after[0].bytes == before[0].bytes && after[1].bytes == before[1].bytes,
          "another thread lets all of it go");
    lend(&l);
    if (pthread_create(&thread, NULL, let_go, &l) != 0)
        exit(2);
    pthread_join(thread, NULL);
    lend(&l);
    bp_close(l.ctx[0]);
    bp_close(l.ctx[1]);
    for (int i = 0; i < SHARED; i++) /* by then the imports have gone, and both are waited for */
        l.out[i]->deleter(l.out[i]);
}

int main(void)
{
    several_contexts();
    one_context();
    shared_memory();
    return check_end();
}
