/* Stopped and gone on: a run that is saved at any step, and loaded into objects made anew, ends with
 * the bits of one that was not stopped. And what a file must be to be loaded. */
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "suite.h"

#define CLAIM(name) Test(resume, name, .init = enter, .fini = leave)

static char folder[64], path[96];

static void enter(void)
{
    setup();
    strcpy(folder, "/tmp/bpcuda_resume_XXXXXX");
    cr_assert(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/run", folder);
}

static void leave(void)
{
    char command[96];
    snprintf(command, sizeof command, "rm -rf %s", folder);
    cr_assert_eq(system(command), 0);
    teardown();
}

typedef struct job {
    bp_data *all, *train, *test;
    bp_model *model;
    bp_trainer *trainer;
} job;

/* What can change within a run is in it: dropout, validation, patience, a schedule that listens. */
static job start(double epochs, const char *layers)
{
    job j = {0};
    OK(bp_seed(ctx, 11));
    OK(bp_data_digits(ctx, &j.all));
    OK(bp_data_split(j.all, 0.3, 1, &j.train, &j.test));
    OK(bp_model_create(ctx, 64, layers, 10, &j.model));
    OK(bp_model_normalize(j.model, j.train));
    OK(bp_trainer_create(j.model, j.train, &j.trainer));
    OK(bp_trainer_set(j.trainer, BP_TRAIN_EPOCHS, epochs));
    OK(bp_trainer_set(j.trainer, BP_TRAIN_BATCH, 200));
    OK(bp_trainer_set(j.trainer, BP_TRAIN_LR, 0.05));
    OK(bp_trainer_set(j.trainer, BP_TRAIN_PATIENCE, 5));
    OK(bp_trainer_schedule(j.trainer, "plateau=0.5,0 cosine=0.1"));
    OK(bp_trainer_validate(j.trainer, j.test));
    return j;
}

static void finish(job *j)
{
    bp_trainer_free(j->trainer);
    bp_model_free(j->model);
    bp_data_free(j->train);
    bp_data_free(j->test);
    bp_data_free(j->all);
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

static const char layers[] = "24 relu dropout=0.3";
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

/* --- a loop written by hand --------------------------------------------------------------- */

typedef struct pair {
    bp_params *p[2];
    bp_optimizer *opt[2];
    bp_tensor *mean;
    bp_checkpoint *c;
} pair;

static int32_t turn; /* the host's own part of the state */

static pair make_pair(void)
{
    pair w = {0};
    turn = 0;
    OK(bp_seed(ctx, 3));
    OK(bp_checkpoint_create(ctx, &w.c));
    for (int k = 0; k < 2; k++) {
        OK(bp_params_create(ctx, BP_F32, &w.p[k]));
        cr_assert(bp_param(w.p[k], "w", BP_SHAPE(3, 3), BP_INIT_LECUN));
        OK(k ? bp_adam_create(w.p[k], 0.1, &w.opt[k]) : bp_sgd_create(w.p[k], 0.1, 0.9, &w.opt[k]));
        OK(bp_checkpoint_params(w.c, k ? "b" : "a", w.p[k]));
        OK(bp_checkpoint_optimizer(w.c, k ? "b.adam" : "a.sgd", w.opt[k]));
    }
    w.mean = bp_tensor_create(ctx, BP_F32, BP_SCALAR);
    OK(bp_checkpoint_tensor(w.c, "mean", w.mean));
    OK(bp_checkpoint_bytes(w.c, "turn", &turn, sizeof turn));
    return w;
}

/* In turn: one net learns from the other, and from noise. */
static bp_status pair_step(bp_context *c, void *user)
{
    pair *w = user;
    int k = turn++ % 2;
    bp_tensor *noise = bp_normal(c, BP_F32, BP_SHAPE(4, 3), 0, 1);
    bp_tensor *y = bp_matmul(bp_matmul(noise, bp_param_at(w->p[0], 0)), bp_param_at(w->p[1], 0));
    bp_tensor *loss = bp_mean(bp_square(bp_sub(y, noise)));
    bp_status st = bp_backward(c, loss);
    if (st == BP_OK)
        st = bp_optimizer_step(w->opt[k]);
    if (st == BP_OK)
        st = bp_average_into(w->opt[k], w->mean, loss, 0.1);
    return st != BP_OK ? st : bp_grad_clear(w->p[1 - k]);
}

static void free_pair(pair *w)
{
    bp_checkpoint_free(w->c);
    bp_free(w->mean);
    for (int k = 0; k < 2; k++) {
        bp_optimizer_free(w->opt[k]);
        bp_params_free(w->p[k]);
    }
}

static values pair_state(pair *w)
{
    values all = {0, calloc(64, sizeof(double))};
    bp_tensor *t[] = {bp_param_at(w->p[0], 0), bp_param_at(w->p[1], 0), w->mean};
    for (int i = 0; i < 3; i++) {
        values v;
        cr_assert(tensor_values(t[i], &v));
        memcpy(all.v + all.n, v.v, (size_t)v.n * sizeof *v.v);
        all.n += v.n;
        values_free(&v, 1);
    }
    all.v[all.n++] = turn;
    return all;
}

CLAIM(two_networks_and_two_optimisers_go_on_by_bits)
{
    pair w = make_pair();
    for (int i = 0; i < 25; i++) {
        if (i == 11)
            OK(bp_checkpoint_save(w.c, path, 1));
        OK(bp_run(ctx, 0, pair_step, &w));
    }
    values want = pair_state(&w);
    free_pair(&w);
    w = make_pair();
    OK(bp_run(ctx, 0, pair_step, &w));
    OK(bp_checkpoint_load(w.c, path));
    cr_assert_eq(turn, 11);
    for (int i = 11; i < 25; i++)
        OK(bp_run(ctx, 0, pair_step, &w));
    values got = pair_state(&w);
    cr_assert_arr_eq(want.v, got.v, (size_t)want.n * sizeof *want.v);
    values_free(&want, 1);
    values_free(&got, 1);
    free_pair(&w);
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
    OK(bp_trainer_create(j.model, j.test, &j.trainer));
    OK(bp_trainer_set(j.trainer, BP_TRAIN_BATCH, 200));
    OK(bp_trainer_set(j.trainer, BP_TRAIN_PATIENCE, 5));
    OK(bp_trainer_schedule(j.trainer, "plateau=0.5,0 cosine=0.1"));
    OK(bp_trainer_validate(j.trainer, j.train));
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

CLAIM(names_are_checked)
{
    pair w = make_pair();
    cr_assert_eq(bp_checkpoint_tensor(w.c, "mean", w.mean), BP_ERR_ARG);
    TEXT("checkpoint_tensor: there is a mean already");
    cr_assert_eq(bp_checkpoint_tensor(w.c, "a", w.mean), BP_ERR_ARG);
    cr_assert_eq(bp_checkpoint_tensor(w.c, "a b", w.mean), BP_ERR_ARG);
    TEXT("checkpoint_tensor: \"a b\" is no name: 1 to 255 letters, digits, '.', '_', '-' and '/' are "
         "wanted");
    cr_assert_eq(bp_checkpoint_bytes(w.c, "n", &turn, 0), BP_ERR_ARG);
    cr_assert_eq(bp_checkpoint_save(w.c, path, 0), BP_ERR_ARG);
    cr_assert_eq(bp_checkpoint_save(w.c, "/nowhere/run", 1), BP_ERR_IO);
    free_pair(&w);
}

/* --- what once went wrong ----------------------------------------------------------------- */

CLAIM(a_link_keeps_older_versions_and_a_save_that_fails_keeps_them_all)
{
    char real[112], other[120];
    int32_t n = 0;
    bp_checkpoint *c;
    struct rlimit all, few;
    snprintf(real, sizeof real, "%s/real", folder);
    cr_assert_eq(symlink(real, path), 0);
    OK(bp_checkpoint_create(ctx, &c));
    OK(bp_checkpoint_bytes(c, "n", &n, sizeof n));
    for (n = 1; n <= 3; n++)
        OK(bp_checkpoint_save(c, path, 3));
    getrlimit(RLIMIT_FSIZE, &all);
    few = all;
    few.rlim_cur = 64;
    setrlimit(RLIMIT_FSIZE, &few);
    bp_status st = bp_checkpoint_save(c, path, 3);
    setrlimit(RLIMIT_FSIZE, &all);
    cr_assert_eq(st, BP_ERR_IO);
    for (int k = 0; k < 3; k++) {
        snprintf(other, sizeof other, k ? "%s.%d" : "%s", path, k);
        OK(bp_checkpoint_load(c, other));
        cr_assert_eq(n, 3 - k);
    }
    bp_checkpoint_free(c);
}

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

CLAIM(an_optimisers_state_goes_into_no_other_kind)
{
    bp_params *p;
    bp_optimizer *opt[2];
    bp_checkpoint *c[2];
    OK(bp_params_create(ctx, BP_F32, &p));
    cr_assert(bp_param(p, "w", BP_SHAPE(2), BP_INIT_ONE));
    for (int k = 0; k < 2; k++) {
        OK(bp_optimizer_create(p, k ? BP_RMSPROP : BP_NESTEROV, 0.01, &opt[k]));
        OK(bp_checkpoint_create(ctx, &c[k]));
        OK(bp_checkpoint_optimizer(c[k], "o", opt[k]));
    }
    OK(bp_checkpoint_save(c[0], path, 1));
    cr_assert_eq(bp_checkpoint_load(c[1], path), BP_ERR_FORMAT);
    cr_assert(strstr(bp_error_text(ctx), "has no o/rmsprop"), "%s", bp_error_text(ctx));
    for (int k = 0; k < 2; k++) {
        bp_checkpoint_free(c[k]);
        bp_optimizer_free(opt[k]);
    }
    bp_params_free(p);
}

CLAIM(neither_saved_nor_loaded_within_a_step)
{
    pair w = make_pair();
    bp_tensor *one = bp_tensor_create(ctx, BP_F32, BP_SCALAR);
    OK(bp_checkpoint_save(w.c, path, 1));
    begin();
    bp_tensor *wide = bp_keep(bp_expand(one, BP_SHAPE(3)));
    cr_assert_eq(bp_checkpoint_load(w.c, path), BP_ERR_STATE);
    end_with(BP_ERR_STATE, "checkpoint_load: inside a scope; between two steps is wanted");
    begin();
    cr_assert_eq(bp_checkpoint_save(w.c, path, 1), BP_ERR_STATE);
    cr_assert_eq(bp_scope_end(ctx), BP_ERR_STATE);
    cr_assert_eq(bp_checkpoint_tensor(w.c, "wide", wide), BP_ERR_ARG);
    TEXT("checkpoint_tensor: wide is expanded, and could not be loaded");
    cr_assert_eq(bp_checkpoint_tensor(w.c, "__metadata__", one), BP_ERR_ARG);
    bp_free(wide);
    bp_free(one);
    free_pair(&w);
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
