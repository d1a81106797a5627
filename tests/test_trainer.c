/* What the loss is, what happens between steps, and what a trainer measures. Whatever way a step is
 * computed, the bits are the same. */
#include <setjmp.h>

#include "digits_job.h"

#define CLAIM(name) Test(trainer, name, .init = setup, .fini = teardown)

/* As the task of a classifier has it. */
static bp_tensor *own_loss(bp_context *c, bp_batch *batch, void *user)
{
    job *j = user;
    (void)c;
    j->calls++;
    bp_data *data = bp_batch_training(batch) ? j->train : j->test;
    bp_tensor *logits = bp_model_logits(j->model, data, bp_batch_index(batch),
                                        bp_batch_training(batch));
    return bp_cross_entropy(logits, bp_batch_column(batch, "y"));
}

static void create(job *j, bool own, double epochs, double batch)
{
    if (own)
        OK(bp_trainer_create_with(bp_model_params(j->model), j->train, own_loss, j, &j->trainer));
    else
        OK(bp_trainer_create(j->model, j->train, &j->trainer));
    OK(bp_trainer_set(j->trainer, BP_TRAIN_EPOCHS, epochs));
    OK(bp_trainer_set(j->trainer, BP_TRAIN_BATCH, batch));
}

static values weights(const job *j)
{
    values v;
    cr_assert(tensor_values(bp_param_at(bp_model_params(j->model), 0), &v));
    return v;
}

static double difference(values a, values b)
{
    double most = 0;
    for (int64_t i = 0; i < a.n; i++)
        most = fmax(most, fabs(a.v[i] - b.v[i]));
    return most;
}

/* Trains with an option, and compares with a run without. */
static double changed_by(bool own, bp_train_option option, double value, const char *layers)
{
    values v[2];
    for (int k = 0; k < 2; k++) {
        job j = digits_job(0.2, layers);
        create(&j, k && own, 2, 50);
        if (k && option)
            OK(bp_trainer_set(j.trainer, option, value));
        all_of_it(&j);
        v[k] = weights(&j);
        finish(&j);
    }
    double d = difference(v[0], v[1]);
    values_free(v, 2);
    return d;
}

CLAIM(a_loss_of_ones_own_gives_the_bits_of_the_task)
{
    cr_assert_eq(changed_by(true, 0, 0, "32 relu dropout=0.2"), 0);
}

CLAIM(eager_steps_give_the_bits_of_plans)
{
    cr_assert_eq(changed_by(true, BP_TRAIN_EAGER, 1, "32 relu dropout=0.2"), 0);
}

CLAIM(a_batch_in_parts_is_the_same_step)
{
    double d = changed_by(false, BP_TRAIN_PARTS, 7, "32 relu");
    cr_assert(d > 0 && d < 1e-3, "%g: sums in another order, through Adam's first steps", d);
    cr_assert_lt(changed_by(false, BP_TRAIN_PARTS, 1000, "8 relu"), 1e-3, "a row each");
}

CLAIM(a_recorded_loss_is_called_once_for_each_size_of_a_batch)
{
    job j = digits_job(0.2, "16 relu");
    create(&j, true, 3, 50);
    all_of_it(&j);
    cr_assert_eq(j.calls, 2);
    finish(&j);
    j = digits_job(0.2, "16 relu");
    create(&j, true, 3, 50);
    OK(bp_trainer_set(j.trainer, BP_TRAIN_EAGER, 1));
    all_of_it(&j);
    bp_progress p;
    bp_trainer_progress(j.trainer, &p);
    cr_assert_eq(j.calls, p.steps);
    finish(&j);
}

/* --- what happens between ----------------------------------------------------------------- */

static bp_status after_step(bp_trainer *t, const bp_progress *p, void *user)
{
    job *j = user;
    j->steps++;
    cr_assert_eq(p->steps, j->steps);
    j->rate = p->rate;
    if (j->steps == 3)
        OK(bp_trainer_set(t, BP_TRAIN_LR, 0.001));
    return j->steps == j->fail_at ? BP_ERR_IO : BP_OK;
}

static bp_status after_epoch(bp_trainer *t, const bp_progress *p, void *user)
{
    job *j = user;
    int32_t done;
    double loss, accuracy;
    cr_assert_eq(p->epoch, ++j->epochs);
    cr_assert_eq(bp_trainer_run(t, 1, -1, &done), BP_ERR_STATE);
    TEXT("trainer_run: called by a callback of this trainer");
    OK(bp_model_evaluate(j->model, j->test, &loss, &accuracy));
    return BP_OK;
}

CLAIM(callbacks_see_every_step_and_epoch_and_change_the_rate)
{
    job j = digits_job(0.2, "16 relu");
    create(&j, false, 2, 100);
    OK(bp_trainer_schedule(j.trainer, "constant"));
    OK(bp_trainer_on_step(j.trainer, after_step, &j));
    OK(bp_trainer_on_epoch(j.trainer, after_epoch, &j));
    int32_t done;
    OK(bp_trainer_run(j.trainer, 3, -1, &done));
    cr_assert_eq(j.rate, 0.005);
    OK(bp_trainer_run(j.trainer, 1, -1, &done));
    cr_assert_eq(j.rate, 0.001);
    all_of_it(&j);
    bp_progress p;
    bp_trainer_progress(j.trainer, &p);
    cr_assert(j.steps == p.steps && j.epochs == 2);
    finish(&j);
}

CLAIM(a_callback_ends_a_run_and_the_next_goes_on)
{
    job j = digits_job(0.2, "16 relu");
    create(&j, false, 1, 100);
    j.fail_at = 5;
    OK(bp_trainer_on_step(j.trainer, after_step, &j));
    int32_t done;
    cr_assert_eq(bp_trainer_run(j.trainer, -1, -1, &done), BP_ERR_IO);
    TEXT("trainer_run: the callback for steps returned \"input/output error\"");
    cr_assert(j.steps == 5 && !done);
    all_of_it(&j);
    finish(&j);
}

static bp_status frees(bp_trainer *t, const bp_progress *p, void *user)
{
    (void)p, (void)user;
    bp_trainer_free(t);
    return BP_OK;
}

CLAIM(a_trainer_that_a_callback_frees_is_freed_behind_the_run)
{
    job j = digits_job(0.2, "16 relu");
    create(&j, false, 1, 500);
    OK(bp_trainer_on_epoch(j.trainer, frees, NULL));
    all_of_it(&j);
    j.trainer = NULL;
    finish(&j);
}

/* --- validation --------------------------------------------------------------------------- */

CLAIM(validation_keeps_the_best_weights_and_patience_stops)
{
    job j = digits_job(0.2, "64 relu");
    bp_progress p;
    double loss, accuracy;
    create(&j, false, 1000, 16);
    OK(bp_trainer_set(j.trainer, BP_TRAIN_LR, 0.02));
    OK(bp_trainer_schedule(j.trainer, "constant"));
    OK(bp_trainer_set(j.trainer, BP_TRAIN_PATIENCE, 4));
    OK(bp_trainer_validate(j.trainer, j.test));
    all_of_it(&j);
    bp_trainer_progress(j.trainer, &p);
    cr_assert(p.epoch < 1000 && p.epoch == p.best_epoch + 4, "%d, best %d", (int)p.epoch,
              (int)p.best_epoch);
    cr_assert(p.best_loss < p.valid_loss && p.best_loss > 0 && p.valid_accuracy > 0.9);
    OK(bp_trainer_best(j.trainer));
    OK(bp_model_evaluate(j.model, j.test, &loss, &accuracy));
    cr_assert_eq(loss, p.best_loss);
    finish(&j);
}

CLAIM(a_share_is_held_out_and_a_loss_of_ones_own_is_measured_on_it)
{
    double best[2];
    for (int own = 0; own < 2; own++) {
        job j = digits_job(0.2, "16 relu");
        bp_progress p;
        create(&j, own, 2, 50);
        OK(bp_trainer_validate(j.trainer, j.test));
        all_of_it(&j);
        bp_trainer_progress(j.trainer, &p);
        best[own] = p.best_loss;
        finish(&j);
    }
    cr_assert_float_eq(best[0], best[1], 1e-6 * best[0]);
    job j = digits_job(0.2, "16 relu");
    bp_progress p;
    create(&j, false, 1, 10);
    OK(bp_trainer_set(j.trainer, BP_TRAIN_HOLD_OUT, 0.25));
    all_of_it(&j);
    bp_trainer_progress(j.trainer, &p);
    cr_assert(p.epoch_steps == 108 && p.best_epoch == 1 && p.valid_accuracy > 0.5, "%d steps",
              (int)p.epoch_steps);
    finish(&j);
}

CLAIM(a_run_that_is_done_takes_more_epochs)
{
    job j = digits_job(0.2, "16 relu");
    bp_progress p;
    create(&j, false, 2, 50);
    OK(bp_trainer_schedule(j.trainer, "constant"));
    all_of_it(&j);
    OK(bp_trainer_set(j.trainer, BP_TRAIN_EPOCHS, 4));
    all_of_it(&j);
    bp_trainer_progress(j.trainer, &p);
    cr_assert_eq(p.epoch, 4);
    values more = weights(&j);
    finish(&j);
    j = digits_job(0.2, "16 relu");
    create(&j, false, 4, 50);
    OK(bp_trainer_schedule(j.trainer, "constant"));
    all_of_it(&j);
    values at_once = weights(&j);
    cr_assert_eq(difference(more, at_once), 0);
    values_free(&more, 1);
    values_free(&at_once, 1);
    finish(&j);
}

/* --- what once went wrong ----------------------------------------------------------------- */

CLAIM(other_contexts_and_stores_are_refused)
{
    job j = digits_job(0.2, "8 relu"), other = {0};
    bp_context *mine = ctx;
    bp_params *p;
    bp_optimizer *opt;
    create(&j, false, 1, 50);
    cr_assert_eq(bp_trainer_best(j.trainer), BP_ERR_STATE);
    OK(bp_params_create(ctx, BP_F32, &p));
    OK(bp_sgd_create(p, 0.1, 0, &opt));
    cr_assert_eq(bp_trainer_optimizer(j.trainer, opt), BP_ERR_ARG);
    TEXT("trainer_optimizer: it is of another store");
    bp_optimizer_free(opt);
    bp_params_free(p);
    setup();
    OK(bp_data_digits(ctx, &other.all));
    cr_assert_eq(bp_trainer_validate(j.trainer, other.all), BP_ERR_DEVICE);
    bp_data_free(other.all);
    teardown();
    ctx = mine;
    finish(&j);
}

static bp_status says_nonfinite(bp_trainer *t, const bp_progress *p, void *user)
{
    (void)t, (void)p, (void)user;
    return BP_ERR_NONFINITE;
}

CLAIM(a_callbacks_own_status_is_not_explained)
{
    job j = digits_job(0.2, "8 relu");
    int32_t done;
    create(&j, true, 1, 500);
    OK(bp_trainer_on_step(j.trainer, says_nonfinite, NULL));
    cr_assert_eq(bp_trainer_run(j.trainer, -1, -1, &done), BP_ERR_NONFINITE);
    cr_assert_eq(j.calls, 1, "%lld: the loss is not computed again", (long long)j.calls);
    finish(&j);
}

CLAIM(epochs_that_are_added_stay_at_the_end_of_the_schedule)
{
    job j = digits_job(0.2, "8 relu");
    bp_progress p;
    create(&j, false, 3, 500);
    OK(bp_trainer_set(j.trainer, BP_TRAIN_LR, 1e-3));
    all_of_it(&j);
    OK(bp_trainer_set(j.trainer, BP_TRAIN_EPOCHS, 5));
    for (int32_t done = 0; !done;) {
        OK(bp_trainer_run(j.trainer, 1, -1, &done));
        bp_trainer_progress(j.trainer, &p);
        cr_assert_float_eq(p.rate, 1e-5, 1e-12);
    }
    finish(&j);
}

static bp_status fails_at_the_end_of_an_epoch(bp_trainer *t, const bp_progress *p, void *user)
{
    (void)t, (void)user;
    return p->steps % p->epoch_steps ? BP_OK : BP_ERR_IO;
}

static bp_status counts_epochs(bp_trainer *t, const bp_progress *p, void *user)
{
    (void)t, (void)p;
    ++*(int *)user;
    return BP_OK;
}

CLAIM(the_callback_for_an_epoch_is_not_lost_with_one_for_its_last_step)
{
    job j = digits_job(0.2, "8 relu");
    int epochs = 0;
    int32_t done = 0;
    create(&j, false, 3, 500);
    OK(bp_trainer_on_step(j.trainer, fails_at_the_end_of_an_epoch, NULL));
    OK(bp_trainer_on_epoch(j.trainer, counts_epochs, &epochs));
    while (!done)
        cr_assert(bp_trainer_run(j.trainer, -1, -1, &done) == BP_ERR_IO || done);
    cr_assert_eq(epochs, 3);
    finish(&j);
}

static jmp_buf out;

static bp_status jumps(bp_trainer *t, const bp_progress *p, void *user)
{
    (void)t, (void)p;
    if (!(*(int *)user)++)
        longjmp(out, 1);
    return BP_OK;
}

CLAIM(a_trainer_goes_on_after_a_callback_that_was_left_by_a_jump)
{
    static job j;
    static int jumped;
    int32_t done;
    j = digits_job(0.2, "8 relu");
    create(&j, false, 2, 500);
    OK(bp_trainer_on_step(j.trainer, jumps, &jumped));
    if (setjmp(out) == 0) {
        cr_assert_neq(bp_trainer_run(j.trainer, -1, -1, &done), BP_OK, "it jumps");
    } else {
        while (bp_scope_end(ctx) != BP_ERR_STATE)
            ;
        all_of_it(&j);
    }
    finish(&j);
}

CLAIM(options_of_an_optimiser_that_is_the_programs_are_refused)
{
    job j = digits_job(0.2, "8 relu");
    bp_optimizer *opt;
    int32_t done;
    create(&j, false, 1, 500);
    OK(bp_optimizer_create(bp_model_params(j.model), BP_LION, 1e-4, &opt));
    OK(bp_trainer_optimizer(j.trainer, opt));
    OK(bp_trainer_set(j.trainer, BP_TRAIN_CLIP_NORM, 1));
    cr_assert_eq(bp_trainer_run(j.trainer, -1, -1, &done), BP_ERR_STATE);
    TEXT("trainer_run: clip_norm is set, and the optimiser is the program's: set it there");
    OK(bp_trainer_set(j.trainer, BP_TRAIN_CLIP_NORM, 0));
    all_of_it(&j);
    bp_trainer_free(j.trainer);
    j.trainer = NULL;
    bp_optimizer_free(opt);
    finish(&j);
}
