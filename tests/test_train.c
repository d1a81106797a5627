/* The training loop on the digits that come with the library: it learns, and what it learns depends
 * on nothing but data, options and seeds: not on cuts, evaluations, threads or files. */
#include <pthread.h>
#include <unistd.h>

#include "digits_job.h"

#define CLAIM(name) Test(train, name, .init = setup, .fini = teardown)

static job start(const char *layers, double epochs, double batch)
{
    job j = digits_job(0.2, layers);
    OK(bp_trainer_create(j.model, j.train, &j.trainer));
    OK(bp_trainer_set(j.trainer, BP_TRAIN_EPOCHS, epochs));
    OK(bp_trainer_set(j.trainer, BP_TRAIN_BATCH, batch));
    OK(bp_trainer_set(j.trainer, BP_TRAIN_SEED, 5));
    return j;
}

static uint64_t weights(const job *j)
{
    bp_params *p = bp_model_params(j->model);
    uint64_t h = 14695981039346656037u;
    for (int32_t i = 0; i < bp_param_count(p); i++) {
        values v;
        cr_assert(tensor_values(bp_param_at(p, i), &v));
        for (size_t k = 0; k < (size_t)v.n * sizeof *v.v; k++)
            h = (h ^ ((unsigned char *)v.v)[k]) * 1099511628211u;
        values_free(&v, 1);
    }
    return h;
}

CLAIM(the_digits_are_learned)
{
    job j = start("dropout=0.1 64 relu dropout=0.1", 25, 64);
    double loss, accuracy;
    bp_progress p;
    all_of_it(&j);
    OK(bp_model_evaluate(j.model, j.test, &loss, &accuracy));
    bp_trainer_progress(j.trainer, &p);
    cr_assert_gt(accuracy, 0.96);
    cr_assert(loss > 0 && loss < 0.15, "%g", loss);
    cr_assert_eq(p.epoch, 25);
    cr_assert_eq(p.steps, 25 * p.epoch_steps);
    cr_assert(p.accuracy > 0.95 && p.accuracy <= 1 && p.loss > 0 && p.seconds > 0);
    finish(&j);
}

CLAIM(elu_layers_learn_too)
{
    job j = start("32 elu 32 elu", 8, 32);
    double loss, accuracy;
    all_of_it(&j);
    OK(bp_model_evaluate(j.model, j.test, &loss, &accuracy));
    cr_assert_gt(accuracy, 0.94);
    finish(&j);
}

CLAIM(resumed_is_uninterrupted_by_bits)
{
    job whole = start("32 relu dropout=0.2", 3, 50), cut;
    int32_t done = 0;
    all_of_it(&whole);
    uint64_t want = weights(&whole);
    finish(&whole);
    cut = start("32 relu dropout=0.2", 3, 50);
    for (int i = 0; !done; i++) {
        OK(bp_trainer_run(cut.trainer, i % 3 ? 1 + i % 11 : -1, i % 3 ? -1 : 0.002, &done));
        cr_assert_lt(i, 100000);
    }
    cr_assert_eq(weights(&cut), want);
    OK(bp_trainer_run(cut.trainer, -1, -1, &done));
    cr_assert(done);
    cr_assert_eq(weights(&cut), want, "a run that is done stays done");
    finish(&cut);
}

CLAIM(evaluating_between_steps_changes_nothing)
{
    job plain = start("32 relu dropout=0.2", 2, 100), watched;
    int32_t done = 0;
    double loss, accuracy;
    all_of_it(&plain);
    uint64_t want = weights(&plain);
    finish(&plain);
    watched = start("32 relu dropout=0.2", 2, 100);
    while (!done) {
        OK(bp_trainer_run(watched.trainer, 3, -1, &done));
        OK(bp_model_evaluate(watched.model, watched.test, &loss, &accuracy));
    }
    cr_assert_eq(weights(&watched), want);
    finish(&watched);
}

CLAIM(the_number_of_threads_changes_nothing)
{
    uint64_t want = 0;
    for (int threads = 1; threads <= 4; threads++) {
        OK(bp_set_threads(ctx, threads));
        job j = start("256 relu dropout=0.2 256 relu", 1, 256);
        all_of_it(&j);
        if (threads == 1)
            want = weights(&j);
        cr_assert_eq(weights(&j), want, "%d threads", threads);
        finish(&j);
    }
}

CLAIM(every_batch_size_is_fine)
{
    static const double batch[] = {1437, 5000, 1436, 359, 7};
    for (size_t i = 0; i < sizeof batch / sizeof *batch; i++) {
        job j = start("8 relu", 1, batch[i]);
        bp_progress p;
        all_of_it(&j);
        bp_trainer_progress(j.trainer, &p);
        cr_assert(isfinite(p.loss) && p.accuracy > 0.01, "batch %g: loss %g, accuracy %g", batch[i],
                  p.loss, p.accuracy);
        cr_assert_eq(p.steps, p.epoch_steps);
        finish(&j);
    }
}

CLAIM(after_two_epochs_training_allocates_nothing)
{
    job j = start("64 relu dropout=0.1 64 relu", 5, 64);
    bp_progress p;
    bp_stats before, after;
    int32_t done;
    bp_trainer_progress(j.trainer, &p);
    OK(bp_trainer_run(j.trainer, 2 * p.epoch_steps, -1, &done));
    bp_get_stats(ctx, &before);
    OK(bp_trainer_run(j.trainer, -1, -1, &done));
    bp_get_stats(ctx, &after);
    cr_assert_eq(after.allocations, before.allocations);
    cr_assert_leq(after.waits - before.waits, 3 * 3 + 2, "it waits a few times an epoch");
    finish(&j);
}

static void *stop_soon(void *trainer)
{
    usleep(20000);
    bp_trainer_stop(trainer);
    return NULL;
}

CLAIM(another_thread_can_stop_it_and_it_goes_on)
{
    job j = start("64 relu", 2000, 64);
    pthread_t thread;
    int32_t done;
    cr_assert_eq(pthread_create(&thread, NULL, stop_soon, j.trainer), 0);
    cr_assert_eq(bp_trainer_run(j.trainer, -1, -1, &done), BP_ERR_STOPPED);
    cr_assert_not(done);
    pthread_join(thread, NULL);
    OK(bp_trainer_run(j.trainer, 5, -1, &done));
    bp_trainer_stop(j.trainer);
    cr_assert_eq(bp_trainer_run(j.trainer, 5, -1, &done), BP_ERR_STOPPED);
    bp_trainer_stop(NULL);
    finish(&j);
}

CLAIM(options_are_checked_and_closed_by_the_first_run)
{
    job j = start("8 relu", 1, 100);
    bp_trainer *none;
    int32_t done;
    cr_assert_eq(bp_trainer_set(j.trainer, BP_TRAIN_BATCH, 0), BP_ERR_ARG);
    cr_assert(strstr(bp_error_text(ctx), "trainer_set: batch cannot be 0"), "%s",
              bp_error_text(ctx));
    cr_assert_eq(bp_trainer_set(j.trainer, BP_TRAIN_SEED, -1), BP_ERR_ARG);
    cr_assert(strstr(bp_error_text(ctx), "from 0 to 9007199254740991 "), "%s", bp_error_text(ctx));
    cr_assert_eq(bp_trainer_set(j.trainer, BP_TRAIN_BATCH, 1.5), BP_ERR_ARG);
    cr_assert_eq(bp_trainer_set(j.trainer, BP_TRAIN_LR, NAN), BP_ERR_ARG);
    cr_assert_eq(bp_trainer_set(j.trainer, 99, 1), BP_ERR_ARG);
    OK(bp_trainer_run(j.trainer, 1, -1, &done));
    cr_assert_eq(bp_trainer_set(j.trainer, BP_TRAIN_BATCH, 10), BP_ERR_STATE);
    OK(bp_trainer_set(j.trainer, BP_TRAIN_LR, 0.1));
    cr_assert_eq(bp_trainer_run(NULL, 1, -1, &done), BP_ERR_ARG);
    cr_assert_eq(bp_trainer_create(NULL, j.train, &none), BP_ERR_ARG);
    bp_trainer_free(NULL);
    finish(&j);
}

CLAIM(l2_shrinks_the_weights)
{
    double size[2];
    for (int k = 0; k < 2; k++) {
        job j = start("16 relu", 3, 64);
        values v;
        OK(bp_trainer_set(j.trainer, BP_TRAIN_L2, k ? 0.01 : 0));
        all_of_it(&j);
        cr_assert(tensor_values(bp_param_at(bp_model_params(j.model), 0), &v));
        size[k] = 0;
        for (int64_t i = 0; i < v.n; i++)
            size[k] += v.v[i] * v.v[i];
        values_free(&v, 1);
        finish(&j);
    }
    cr_assert_lt(size[1], 0.8 * size[0]);
}

/* Values of parameter `which` that differ from those in `before`, which then holds the new ones. */
static int64_t moved(const job *j, int32_t which, values *before)
{
    values now;
    int64_t n = 0;
    cr_assert(tensor_values(bp_param_at(bp_model_params(j->model), which), &now));
    for (int64_t i = 0; i < now.n && before->v; i++)
        n += now.v[i] != before->v[i];
    values_free(before, 1);
    *before = now;
    return n;
}

CLAIM(what_is_frozen_between_two_runs_stays_and_what_is_thawed_learns)
{
    job j = start("16 relu", 9, 64);
    values w[2] = {{0}};
    int32_t done;
    bp_params *p = bp_model_params(j.model);
    for (int round = 0; round < 4; round++) {
        OK(bp_param_freeze(p, 0, round % 2));
        OK(bp_param_freeze(p, 2, round == 2));
        OK(bp_set_precision(ctx, round == 3 ? BP_PRECISION_TF32 : BP_PRECISION_F32));
        OK(bp_trainer_run(j.trainer, 10, -1, &done));
        int64_t first = moved(&j, 0, &w[0]), second = moved(&j, 2, &w[1]);
        if (round > 0) {
            cr_assert_eq(first == 0, round % 2, "round %d: %d moved", round, (int)first);
            cr_assert_eq(second == 0, round == 2, "round %d: %d moved", round, (int)second);
        }
    }
    values_free(w, 2);
    finish(&j);
}
