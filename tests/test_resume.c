/* Stopped and gone on: a run that is saved at any step, and loaded into objects made anew, ends
 * with the bits of one that was not stopped. And what a file must be to be loaded. */
#include <sys/stat.h>

#include "digits_job.h"
#include "folder.h"

#define CLAIM(name) Test(resume, name, .init = enter, .fini = leave)

/* What can change within a run is in it: dropout, validation, patience, a mean of the weights, rises
 * of the loss, a schedule that listens. */
static void create(job *j, bp_data *train, bp_data *valid)
{
    static const struct { bp_train_option option; double value; } set[] = {
        {BP_TRAIN_BATCH, 200}, {BP_TRAIN_PATIENCE, 5}, {BP_TRAIN_AVERAGE, 0.9},
        {BP_TRAIN_AVERAGE_FROM, 2}, {BP_TRAIN_STOP_UP, 2}, {BP_TRAIN_STOP_STRIP, 2}};
    OK(bp_trainer_create(j->model, train, &j->trainer));
    for (size_t i = 0; i < sizeof set / sizeof *set; i++)
        OK(bp_trainer_set(j->trainer, set[i].option, set[i].value));
    OK(bp_trainer_schedule(j->trainer, "plateau=0.5,0 cosine=0.1"));
    OK(bp_trainer_validate(j->trainer, valid));
}

static job start(double epochs, const char *layers)
{
    job j = digits_job(0.3, layers);
    create(&j, j.train, j.test);
    OK(bp_trainer_set(j.trainer, BP_TRAIN_EPOCHS, epochs));
    OK(bp_trainer_set(j.trainer, BP_TRAIN_LR, 0.05));
    return j;
}

static void run(job *j, int64_t steps)
{
    int32_t done;
    OK(bp_trainer_run(j->trainer, steps, -1, &done));
    cr_assert(done || steps >= 0);
}

/* All of a store, and of what the trainer tells, but for its seconds. */
typedef struct result {
    values w;
    bp_progress p;
} result;

static result result_of(job *j)
{
    result r;
    bp_params *p = bp_model_params(j->model);
    values all = {0, malloc(1 << 20)};
    for (int32_t i = 0; i < bp_param_count(p); i++) {
        values v;
        cr_assert(tensor_values(bp_param_at(p, i), &v));
        memcpy(all.v + all.n, v.v, (size_t)v.n * sizeof *v.v);
        all.n += v.n;
        values_free(&v, 1);
    }
    r.w = all;
    bp_trainer_progress(j->trainer, &r.p);
    r.p.seconds = 0;
    return r;
}

static void equal(result *a, result *b, const char *what)
{
    cr_assert_eq(a->w.n, b->w.n);
    cr_assert_arr_eq(a->w.v, b->w.v, (size_t)a->w.n * sizeof *a->w.v, "%s: weights", what);
    cr_assert_arr_eq(&a->p, &b->p, sizeof a->p, "%s: progress", what);
    values_free(&b->w, 1);
}

static const char layers[] = "24 batchnorm relu dropout=0.3";
enum { EPOCHS = 6, EPOCH_STEPS = 7 };

CLAIM(saved_at_any_step_and_loaded_elsewhere_it_ends_with_the_same_bits)
{
    job whole = start(EPOCHS, layers);
    run(&whole, -1);
    result want = result_of(&whole);
    cr_assert(want.p.steps > 3 * EPOCH_STEPS && want.p.epoch_steps == EPOCH_STEPS);
    finish(&whole);
    for (int64_t at = 0; at <= want.p.steps; at += 1 + at % 3) {
        char what[32];
        snprintf(what, sizeof what, "saved at step %d", (int)at);
        job half = start(EPOCHS, layers);
        run(&half, at);
        OK(bp_trainer_save(half.trainer, path, 1));
        run(&half, 2); /* what comes after does not count */
        finish(&half);
        teardown(); /* and nothing else of the process either */
        setup();
        job rest = start(EPOCHS, layers);
        OK(bp_seed(ctx, 999));
        OK(bp_trainer_resume(rest.trainer, path));
        run(&rest, -1);
        result got = result_of(&rest);
        equal(&want, &got, what);
        finish(&rest);
    }
    values_free(&want.w, 1);
}

CLAIM(a_resumed_run_can_be_saved_and_resumed_again)
{
    job j = start(EPOCHS, layers);
    run(&j, -1);
    result want = result_of(&j);
    finish(&j);
    for (int32_t done = 0, first = 1; !done; first = 0) {
        j = start(EPOCHS, layers);
        if (!first)
            OK(bp_trainer_resume(j.trainer, path));
        OK(bp_trainer_run(j.trainer, 2, -1, &done));
        if (!done)
            OK(bp_trainer_save(j.trainer, path, 1));
        else {
            result got = result_of(&j);
            equal(&want, &got, "step by step");
        }
        finish(&j);
    }
    values_free(&want.w, 1);
}

CLAIM(the_best_weights_come_back_with_a_checkpoint)
{
    double loss, accuracy;
    bp_progress p;
    job j = start(3, layers);
    run(&j, -1);
    OK(bp_trainer_save(j.trainer, path, 1));
    bp_trainer_progress(j.trainer, &p);
    finish(&j);
    j = start(3, layers);
    OK(bp_trainer_resume(j.trainer, path));
    OK(bp_trainer_best(j.trainer));
    OK(bp_model_evaluate(j.model, j.test, &loss, &accuracy));
    cr_assert_eq(loss, p.best_loss);
    finish(&j);
}

CLAIM(saves_by_itself_and_keeps_the_last)
{
    char other[112];
    struct stat s;
    job j = start(EPOCHS, layers);
    OK(bp_trainer_save_every(j.trainer, 4, path, 3));
    run(&j, 18);
    finish(&j);
    int64_t steps[3];
    for (int k = 0; k < 3; k++) {
        snprintf(other, sizeof other, k ? "%s.%d" : "%s", path, k);
        bp_progress p;
        j = start(EPOCHS, layers);
        OK(bp_trainer_resume(j.trainer, other));
        bp_trainer_progress(j.trainer, &p);
        steps[k] = p.steps;
        finish(&j);
    }
    cr_assert(steps[0] == 16 && steps[1] == 12 && steps[2] == 8, "%d %d %d", (int)steps[0],
              (int)steps[1], (int)steps[2]);
    snprintf(other, sizeof other, "%s.3", path);
    cr_assert_neq(stat(other, &s), 0);
}

/* --- what is no checkpoint of this run ---------------------------------------------------- */

/* The file at `path` is refused, with this in the text, and the run goes on as if nothing had been. */
static void refused(job *j, bp_status status, const char *text)
{
    values before, after;
    bp_tensor *w = bp_param_at(bp_model_params(j->model), 0);
    cr_assert(tensor_values(w, &before));
    cr_assert_eq(bp_trainer_resume(j->trainer, path), status);
    cr_assert(strstr(bp_error_text(ctx), text), "%s", bp_error_text(ctx));
    cr_assert(tensor_values(w, &after));
    cr_assert_arr_eq(before.v, after.v, (size_t)before.n * sizeof *before.v);
    values_free(&before, 1);
    values_free(&after, 1);
    run(j, 1);
    finish(j);
}

CLAIM(a_checkpoint_of_another_run_is_refused_by_a_sentence)
{
    job j = start(EPOCHS, layers);
    run(&j, 3);
    OK(bp_trainer_save(j.trainer, path, 1));
    cr_assert_eq(bp_trainer_resume(j.trainer, path), BP_ERR_STATE);
    finish(&j);

    j = start(EPOCHS, "25 relu dropout=0.3");
    refused(&j, BP_ERR_FORMAT, "params/layer1.weight is f32 [24,64]; this run has f32 [25,64]");
    j = start(EPOCHS, "24 relu 24 relu");
    refused(&j, BP_ERR_FORMAT, "params/layer2.weight is f32 [10,24]; this run has f32 [24,24]");
    j = start(EPOCHS, layers);
    OK(bp_trainer_set(j.trainer, BP_TRAIN_BATCH, 100));
    refused(&j, BP_ERR_FORMAT, "batch was 200; it is 100 now");
    j = start(EPOCHS, layers);
    OK(bp_trainer_schedule(j.trainer, "cosine=0.1"));
    refused(&j, BP_ERR_FORMAT,
            "the schedule was \"plateau=0.5,0 cosine=0.1\"; it is \"cosine=0.1\" now");
    j = start(EPOCHS, layers);
    bp_trainer_free(j.trainer);
    create(&j, j.test, j.train);
    refused(&j, BP_ERR_FORMAT, "the data had 1258 rows an epoch and 2 columns; they have 539 and 2");
}

CLAIM(what_is_no_checkpoint_is_refused)
{
    job j = start(EPOCHS, layers);
    OK(bp_model_save(j.model, path));
    refused(&j, BP_ERR_FORMAT, "not a checkpoint: its format is \"bpcuda\"");
    j = start(EPOCHS, layers);
    cr_assert_eq(unlink(path), 0);
    refused(&j, BP_ERR_IO, "cannot be opened");
    j = start(EPOCHS, layers);
    OK(bp_trainer_save(j.trainer, path, 1));
    cr_assert_eq(truncate(path, 1000), 0);
    refused(&j, BP_ERR_FORMAT, "ends within its header");
}

CLAIM(more_epochs_than_the_first_run_had)
{
    bp_progress p;
    job j = start(2, layers);
    run(&j, -1);
    OK(bp_trainer_save(j.trainer, path, 1));
    finish(&j);
    j = start(4, layers);
    OK(bp_trainer_resume(j.trainer, path));
    bp_trainer_progress(j.trainer, &p);
    cr_assert_eq(p.epoch, 2);
    run(&j, -1);
    bp_trainer_progress(j.trainer, &p);
    cr_assert_eq(p.epoch, 4);
    finish(&j);
}

static bp_status saves_at_the_end_of_an_epoch(bp_trainer *t, const bp_progress *p, void *user)
{
    (void)user;
    return p->steps == p->epoch_steps ? bp_trainer_save(t, path, 1) : BP_OK;
}

static bp_status counts(bp_trainer *t, const bp_progress *p, void *user)
{
    (void)t, (void)p;
    ++*(int *)user;
    return BP_OK;
}

CLAIM(the_callback_for_an_epoch_is_told_to_a_run_that_was_saved_before_it)
{
    int epochs = 0;
    job first = start(2, layers), second = start(2, layers);
    OK(bp_trainer_on_step(first.trainer, saves_at_the_end_of_an_epoch, NULL));
    run(&first, EPOCH_STEPS);
    OK(bp_trainer_on_epoch(second.trainer, counts, &epochs));
    OK(bp_trainer_resume(second.trainer, path));
    run(&second, -1);
    cr_assert_eq(epochs, 2);
    finish(&first);
    finish(&second);
}

/* --- what once went wrong ----------------------------------------------------------------- */

CLAIM(a_bit_that_has_changed_is_told)
{
    static unsigned char bytes[1 << 20];
    job j = start(EPOCHS, layers);
    run(&j, 3);
    OK(bp_trainer_save(j.trainer, path, 1));
    finish(&j);
    FILE *f = fopen(path, "rb");
    size_t n = fread(bytes, 1, sizeof bytes, f);
    fclose(f);
    for (size_t at = n - 1; at > n / 2; at -= n / 7) { /* in the data */
        bytes[at] ^= 1;
        f = fopen(path, "wb");
        fwrite(bytes, 1, n, f);
        fclose(f);
        bytes[at] ^= 1;
        j = start(EPOCHS, layers);
        refused(&j, BP_ERR_FORMAT, "is damaged: its data are not those that were written");
    }
}

CLAIM(a_last_save_that_failed_is_made_by_the_next_run)
{
    char inside[96];
    struct stat s;
    int32_t done = 0;
    job j = start(2, layers);
    snprintf(inside, sizeof inside, "%s/later/run", folder);
    OK(bp_trainer_save_every(j.trainer, 100, inside, 1));
    cr_assert_eq(bp_trainer_run(j.trainer, -1, -1, &done), BP_ERR_IO);
    *strrchr(inside, '/') = '\0';
    cr_assert_eq(mkdir(inside, 0700), 0);
    inside[strlen(inside)] = '/';
    OK(bp_trainer_run(j.trainer, -1, -1, &done));
    cr_assert(done && stat(inside, &s) == 0);
    finish(&j);
}
