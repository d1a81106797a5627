/* Three threads push rows into a ring while a trainer draws its batches from it. What the thread
 * sanitizer says of it counts; and the trainer learns what the rows have in common. */
#include <bpcuda/bpcuda.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

#include "check.h"
#include "readers.h"

enum { CAPACITY = 256, PUSHERS = 3, EPOCHS = 400, BATCH = 32 };

static bp_data *ring;
static atomic_bool over;
static atomic_int pushed, failed;

/* y = 2 a - b + 1. */
static void *pusher(void *arg)
{
    uint64_t seed = (uint64_t)(intptr_t)arg;
    for (int64_t i = 0; !atomic_load(&over); i += 2) {
        float x[2] = {(float)op_random(seed, i), (float)op_random(seed, i + 1)};
        float y = 2 * x[0] - x[1] + 1;
        const void *columns[] = {x, &y};
        if (bp_data_push(ring, 1, columns) != BP_OK)
            atomic_fetch_add(&failed, 1);
        atomic_fetch_add(&pushed, 1);
        if (i % 64 == 0)
            nanosleep(&(struct timespec){.tv_nsec = 20000}, NULL);
    }
    return NULL;
}

static bp_tensor *loss(bp_context *ctx, bp_batch *batch, void *user)
{
    bp_params *p = user;
    (void)ctx;
    bp_tensor *y = bp_linear(bp_batch_column(batch, "x"), bp_param_at(p, 0), bp_param_at(p, 1));
    return bp_mean(bp_square(bp_sub(y, bp_batch_column(batch, "y"))));
}

int main(void)
{
    bp_context *ctx;
    bp_params *p;
    bp_trainer *t;
    bp_progress progress;
    pthread_t thread[PUSHERS];
    int32_t done = 0;
    float w[2], b;
    bool made = bp_open("cpu", &ctx) == BP_OK && bp_params_create(ctx, BP_F32, &p) == BP_OK &&
                bp_param(p, "w", BP_SHAPE(1, 2), BP_INIT_LECUN) &&
                bp_param(p, "b", BP_SHAPE(1), BP_INIT_ZERO) &&
                bp_data_ring(ctx, CAPACITY, &ring) == BP_OK &&
                bp_data_add(ring, "x", BP_F32, BP_SHAPE(2), NULL) == BP_OK &&
                bp_data_add(ring, "y", BP_F32, BP_SHAPE(1), NULL) == BP_OK &&
                bp_trainer_create_with(p, ring, loss, p, &t) == BP_OK &&
                bp_trainer_set(t, BP_TRAIN_EPOCHS, EPOCHS) == BP_OK &&
                bp_trainer_set(t, BP_TRAIN_EPOCH_STEPS, 4) == BP_OK &&
                bp_trainer_set(t, BP_TRAIN_BATCH, BATCH) == BP_OK &&
                bp_trainer_set(t, BP_TRAIN_LR, 0.02) == BP_OK;
    check(made, "a trainer over a ring");
    for (intptr_t i = 0; i < PUSHERS; i++)
        if (pthread_create(&thread[i], NULL, pusher, (void *)(i + 1)) != 0)
            exit(2);
    while (bp_data_rows(ring) == 0 && bp_trainer_run(t, 1, -1, &done) == BP_ERR_STATE)
        nanosleep(&(struct timespec){.tv_nsec = 100000}, NULL);
    while (atomic_load(&pushed) <= CAPACITY) /* however busy the machine is, they go round */
        nanosleep(&(struct timespec){.tv_nsec = 100000}, NULL);
    check(bp_trainer_run(t, -1, -1, &done) == BP_OK && done, "it trains while rows arrive");
    atomic_store(&over, true);
    for (int i = 0; i < PUSHERS; i++)
        pthread_join(thread[i], NULL);
    check(atomic_load(&failed) == 0, "no push was refused");
    bp_trainer_progress(t, &progress);
    made = bp_read_f32(bp_param_at(p, 0), w, 2) == BP_OK &&
           bp_read_f32(bp_param_at(p, 1), &b, 1) == BP_OK;
    printf("%d rows pushed; w %.3f %.3f, b %.3f, loss %.2e\n", atomic_load(&pushed), (double)w[0],
           (double)w[1], (double)b, progress.loss);
    check(made && progress.loss < 1e-3, "and learns what they have in common");
    bp_trainer_free(t);
    bp_params_free(p);
    bp_data_free(ring);
    bp_close(ctx);
    return check_end();
}
