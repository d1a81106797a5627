/* The trainer's three replaceable parts: which rows make a batch, what the loss is, what happens
 * between; and what it measures. Whatever way a step is computed, the bits are the same. */
#include <setjmp.h>

#include "suite.h"

#define CLAIM(name) Test(trainer, name, .init = setup, .fini = teardown)

typedef struct job {
    bp_data *all, *train, *test;
    bp_model *model;
    bp_trainer *trainer;
    int64_t calls, steps, epochs, fail_at; /* of loss function and callbacks */
    double rate;
} job;

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

static job start(const char *layers)
{
    job j = {0};
    OK(bp_seed(ctx, 11));
    OK(bp_data_digits(ctx, &j.all));
    OK(bp_data_split(j.all, 0.2, 1, &j.train, &j.test));
    OK(bp_model_create(ctx, 64, layers, 10, &j.model));
    OK(bp_model_normalize(j.model, j.train));
    return j;
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

static void finish(job *j)
{
    bp_trainer_free(j->trainer);
    bp_model_free(j->model);
    bp_data_free(j->train);
    bp_data_free(j->test);
    bp_data_free(j->all);
}

static void all_of_it(job *j)
{
    int32_t done;
    OK(bp_trainer_run(j->trainer, -1, -1, &done));
    cr_assert(done);
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
        job j = start(layers);
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
    job j = start("16 relu");
    create(&j, true, 3, 50);
    all_of_it(&j);
    cr_assert_eq(j.calls, 2);
    finish(&j);
    j = start("16 relu");
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
    job j = start("16 relu");
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
    job j = start("16 relu");
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
    job j = start("16 relu");
    create(&j, false, 1, 500);
    OK(bp_trainer_on_epoch(j.trainer, frees, NULL));
    all_of_it(&j);
    j.trainer = NULL;
    finish(&j);
}

/* --- rows --------------------------------------------------------------------------------- */

enum { ROWS = 60, CLASSES = 3, NOTED_MAX = 4096 };
static int32_t noted[NOTED_MAX]; /* the rows that a loss function was given, in order */
static int64_t n_noted;
static bp_params *store;

static bp_tensor *notes(bp_context *c, bp_batch *batch, void *user)
{
    (void)c, (void)user;
    int64_t n = bp_batch_rows(batch);
    cr_assert_leq(n_noted + n, NOTED_MAX);
    OK(bp_read(bp_batch_index(batch), noted + n_noted, (size_t)n * sizeof *noted));
    n_noted += n;
    bp_tensor *x = bp_batch_column(batch, "x");
    cr_assert_eq(bp_batch_column(batch, "x"), x, "taken once");
    return bp_mean(bp_mul(x, bp_param_at(store, 0)));
}

/* Row i is i; classes 0 1 2 2 2 2 0 1 2 2 2 2 ... */
static bp_data *rows_data(void)
{
    bp_data *d;
    float x[ROWS];
    int32_t label[ROWS];
    for (int i = 0; i < ROWS; i++) {
        x[i] = (float)i;
        label[i] = i % 6 < 2 ? i % 6 : 2;
    }
    OK(bp_data_create(ctx, BP_F32, x, label, ROWS, 1, CLASSES, &d));
    return d;
}

/* A run of two epochs whose rows are noted; `more` sets what it wants. */
static void note_rows(void (*more)(bp_trainer *, bp_data *))
{
    bp_data *d = rows_data();
    bp_trainer *t;
    int32_t done;
    OK(bp_params_create(ctx, BP_F32, &store));
    cr_assert(bp_param(store, "w", BP_SCALAR, BP_INIT_ONE));
    OK(bp_trainer_create_with(store, d, notes, NULL, &t));
    OK(bp_trainer_set(t, BP_TRAIN_EAGER, 1));
    OK(bp_trainer_set(t, BP_TRAIN_EPOCHS, 2));
    OK(bp_trainer_set(t, BP_TRAIN_BATCH, 8));
    n_noted = 0;
    more(t, d);
    OK(bp_trainer_run(t, -1, -1, &done));
    bp_trainer_free(t);
    bp_params_free(store);
    bp_data_free(d);
}

static void in_order(bp_trainer *t, bp_data *d)
{
    (void)d;
    OK(bp_trainer_set(t, BP_TRAIN_ROWS, BP_ROWS_IN_ORDER));
}

static void balanced(bp_trainer *t, bp_data *d)
{
    (void)d;
    OK(bp_trainer_set(t, BP_TRAIN_ROWS, BP_ROWS_BALANCED));
    OK(bp_trainer_set(t, BP_TRAIN_EPOCH_STEPS, 200));
}

static void weighted(bp_trainer *t, bp_data *d)
{
    float weight[ROWS];
    for (int i = 0; i < ROWS; i++)
        weight[i] = i == 7 ? 3 : i == 9;
    OK(bp_data_add(d, "sampling", BP_F32, BP_SCALAR, weight));
    OK(bp_trainer_set(t, BP_TRAIN_ROWS, BP_ROWS_WEIGHTED));
    OK(bp_trainer_set(t, BP_TRAIN_EPOCH_STEPS, 200));
}

static bp_status backwards(void *user, int64_t epoch, int32_t *rows, int64_t n)
{
    (void)user;
    for (int64_t i = 0; i < n; i++)
        rows[i] = (int32_t)(epoch == 0 ? ROWS - 1 - i : i % 2);
    return BP_OK;
}

static void chosen(bp_trainer *t, bp_data *d)
{
    (void)d;
    OK(bp_trainer_rows(t, backwards, NULL));
}

CLAIM(rows_come_in_order_where_that_is_asked_for)
{
    note_rows(in_order);
    cr_assert_eq(n_noted, 2 * ROWS);
    for (int i = 0; i < 2 * ROWS; i++)
        cr_assert_eq(noted[i], i % ROWS);
}

CLAIM(balanced_rows_have_every_class_equally_often)
{
    int of[CLASSES] = {0};
    note_rows(balanced);
    cr_assert_eq(n_noted, 2 * 200 * 8);
    for (int64_t i = 0; i < n_noted; i++)
        of[noted[i] % 6 < 2 ? noted[i] % 6 : 2]++;
    for (int c = 0; c < CLASSES; c++) /* 3200 / 3, deviation 27 */
        cr_assert(abs(of[c] - 1067) < 5 * 27, "class %d: %d of 3200", c, of[c]);
    cr_assert_arr_neq(noted, noted + 1600, 1600 * sizeof *noted, "epochs differ");
}

CLAIM(weighted_rows_come_as_often_as_they_weigh)
{
    int of[ROWS] = {0};
    note_rows(weighted);
    for (int64_t i = 0; i < n_noted; i++)
        of[noted[i]]++;
    cr_assert_eq(of[7] + of[9], 3200, "others weigh nothing");
    cr_assert(abs(of[7] - 2400) < 5 * 25, "%d of 3200", of[7]); /* deviation 24.5 */
}

CLAIM(a_program_chooses_its_rows)
{
    note_rows(chosen);
    for (int i = 0; i < ROWS; i++)
        cr_assert(noted[i] == ROWS - 1 - i && noted[ROWS + i] == i % 2);
}

/* --- validation --------------------------------------------------------------------------- */

CLAIM(validation_keeps_the_best_weights_and_patience_stops)
{
    job j = start("64 relu");
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
        job j = start("16 relu");
        bp_progress p;
        create(&j, own, 2, 50);
        OK(bp_trainer_validate(j.trainer, j.test));
        all_of_it(&j);
        bp_trainer_progress(j.trainer, &p);
        best[own] = p.best_loss;
        finish(&j);
    }
    cr_assert_float_eq(best[0], best[1], 1e-6 * best[0]);
    job j = start("16 relu");
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
    job j = start("16 relu");
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
    j = start("16 relu");
    create(&j, false, 4, 50);
    OK(bp_trainer_schedule(j.trainer, "constant"));
    all_of_it(&j);
    values at_once = weights(&j);
    cr_assert_eq(difference(more, at_once), 0);
    values_free(&more, 1);
    values_free(&at_once, 1);
    finish(&j);
}

/* --- what is wrong ------------------------------------------------------------------------ */

static bp_tensor *asks_for_z(bp_context *c, bp_batch *batch, void *user)
{
    (void)c, (void)user;
    return bp_batch_column(batch, "z");
}

static bp_tensor *gives_rows(bp_context *c, bp_batch *batch, void *user)
{
    (void)c, (void)user;
    return bp_mul(bp_batch_column(batch, "x"), bp_param_at(store, 0));
}

static bp_tensor *gives_nothing(bp_context *c, bp_batch *batch, void *user)
{
    (void)c, (void)batch, (void)user;
    return NULL;
}

static bp_status far_rows(void *user, int64_t epoch, int32_t *rows, int64_t n)
{
    (void)user, (void)epoch;
    rows[n - 1] = ROWS;
    return BP_OK;
}

/* A run of a loss function is refused with this text, and the trainer can be freed. */
static void refused(bp_loss_fn loss, void (*more)(bp_trainer *), bp_status status, const char *text)
{
    bp_data *d = rows_data();
    bp_trainer *t;
    int32_t done;
    OK(bp_params_create(ctx, BP_F32, &store));
    cr_assert(bp_param(store, "w", BP_SCALAR, BP_INIT_ONE));
    OK(bp_trainer_create_with(store, d, loss, NULL, &t));
    if (more)
        more(t);
    for (int again = 0; again < (status == BP_ERR_NONFINITE ? 1 : 2); again++) {
        cr_assert_eq(bp_trainer_run(t, -1, -1, &done), status);
        TEXT(text);
    }
    bp_trainer_free(t);
    bp_params_free(store);
    bp_data_free(d);
}

static void with_far_rows(bp_trainer *t)
{
    OK(bp_trainer_rows(t, far_rows, NULL));
}

static void with_steps(bp_trainer *t)
{
    OK(bp_trainer_set(t, BP_TRAIN_EPOCH_STEPS, 5));
}

static void weighted_without(bp_trainer *t)
{
    OK(bp_trainer_set(t, BP_TRAIN_ROWS, BP_ROWS_WEIGHTED));
}

CLAIM(what_is_wrong_is_told_and_can_be_tried_again)
{
    refused(asks_for_z, NULL, BP_ERR_ARG, "batch_column: there is no column z; the data have x, y");
    refused(gives_rows, NULL, BP_ERR_SHAPE, "trainer_run: the loss is f32 [60,1]; a real scalar, the "
            "mean over the batch, is wanted");
    refused(gives_nothing, NULL, BP_ERR_STATE, "trainer_run: the loss function returned NULL");
    refused(notes, with_far_rows, BP_ERR_RANGE, "trainer_run: the function for rows gave row 60 of 60");
    refused(notes, with_steps, BP_ERR_ARG, "trainer_run: EPOCH_STEPS is 5, but each row comes once: it "
            "is for rows that are drawn");
    refused(notes, weighted_without, BP_ERR_STATE, "trainer_run: weighted rows want a column sampling, "
            "f32, one number a row");
}

CLAIM(other_contexts_and_stores_are_refused)
{
    job j = start("8 relu"), other = {0};
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

static bp_tensor *asks_for_the_last(bp_context *c, bp_batch *batch, void *user)
{
    (void)c, (void)user;
    bp_tensor *x = bp_batch_column(batch, "c39");
    cr_assert_eq(bp_shape_of(x).dim[0], bp_batch_rows(batch));
    return bp_mean(bp_mul(x, bp_param_at(store, 0)));
}

CLAIM(the_last_of_many_columns_can_be_asked_for)
{
    bp_data *d;
    bp_trainer *t;
    bp_progress p;
    float x[4] = {1, 2, 3, 4};
    int32_t done;
    OK(bp_data_table(ctx, 4, &d));
    for (int i = 0; i < 40; i++) {
        char name[8];
        snprintf(name, sizeof name, "c%d", i);
        x[0] = (float)i;
        OK(bp_data_add(d, name, BP_F32, BP_SCALAR, x));
    }
    OK(bp_params_create(ctx, BP_F32, &store));
    cr_assert(bp_param(store, "w", BP_SCALAR, BP_INIT_ONE));
    OK(bp_trainer_create_with(store, d, asks_for_the_last, NULL, &t));
    OK(bp_trainer_set(t, BP_TRAIN_EPOCHS, 1));
    OK(bp_trainer_run(t, -1, -1, &done));
    bp_trainer_progress(t, &p);
    cr_assert_eq(p.loss, 12, "%g: the mean of 39 2 3 4", p.loss);
    bp_trainer_free(t);
    bp_params_free(store);
    bp_data_free(d);
}

static bp_status says_nonfinite(bp_trainer *t, const bp_progress *p, void *user)
{
    (void)t, (void)p, (void)user;
    return BP_ERR_NONFINITE;
}

CLAIM(a_callbacks_own_status_is_not_explained)
{
    job j = start("8 relu");
    int32_t done;
    create(&j, true, 1, 500);
    OK(bp_trainer_on_step(j.trainer, says_nonfinite, NULL));
    cr_assert_eq(bp_trainer_run(j.trainer, -1, -1, &done), BP_ERR_NONFINITE);
    cr_assert_eq(j.calls, 1, "%lld: the loss is not computed again", (long long)j.calls);
    finish(&j);
}

/* --- numbers that are not finite ---------------------------------------------------------- */

static bp_tensor *log_of_rows(bp_context *c, bp_batch *batch, void *user)
{
    (void)c, (void)user;
    bp_tensor *x = bp_batch_column(batch, "x"); /* rows 0 .. 59 */
    return bp_mean(bp_log(bp_mul(bp_shift(x, -22), bp_param_at(store, 0))));
}

/* From row 8 on the loss is NaN, and its gradient is not. */
static bp_tensor *log_of_a_constant(bp_context *c, bp_batch *batch, void *user)
{
    (void)c, (void)user;
    bp_tensor *x = bp_detach(bp_mean(bp_batch_column(batch, "x")));
    return bp_add(bp_param_at(store, 0), bp_log(bp_shift(bp_neg(x), 8)));
}

static void in_order_by_eight(bp_trainer *t)
{
    OK(bp_trainer_set(t, BP_TRAIN_ROWS, BP_ROWS_IN_ORDER));
    OK(bp_trainer_set(t, BP_TRAIN_BATCH, 8));
}

/* The gradient of log(0 w) has none: row 22 is in step 3. */
CLAIM(a_number_that_is_not_finite_is_told_with_step_parameter_and_op)
{
    refused(log_of_rows, in_order_by_eight, BP_ERR_NONFINITE,
            "optimizer_step: step 3: the gradient of w is NaN; nothing was changed; computed again, "
            "step 3 of the run shows it first in log: y [8,1] is nan at element 0, of finite inputs");
    refused(log_of_a_constant, in_order_by_eight, BP_ERR_NONFINITE,
            "trainer_run: the mean loss of epoch 1 is nan; computed again, step 2 of the run shows it "
            "first in log: y [] is nan at element 0, of finite inputs");
}

/* The step of row 59 is refused in every epoch: the optimiser counts what it took, the run all steps. */
static bp_tensor *square_of_far(bp_context *c, bp_batch *batch, void *user)
{
    (void)c, (void)user;
    bp_tensor *x = bp_batch_column(batch, "x");
    bp_tensor *far = bp_expm1(bp_scale(bp_relu(bp_shift(x, -58.5)), 400));
    return bp_mean(bp_square(bp_mul(bp_add(bp_scale(x, 0.01), far), bp_param_at(store, 0))));
}

CLAIM(a_refused_step_is_told_by_its_number_in_the_run)
{
    bp_data *d = rows_data();
    bp_trainer *t;
    bp_progress p;
    int32_t done = 0;
    int told = 0;
    OK(bp_params_create(ctx, BP_F32, &store));
    cr_assert(bp_param(store, "w", BP_SCALAR, BP_INIT_ONE));
    OK(bp_trainer_create_with(store, d, square_of_far, NULL, &t));
    OK(bp_trainer_set(t, BP_TRAIN_ROWS, BP_ROWS_IN_ORDER));
    OK(bp_trainer_set(t, BP_TRAIN_BATCH, 20));
    OK(bp_trainer_set(t, BP_TRAIN_EPOCHS, 3));
    while (!done) {
        bp_status st = bp_trainer_run(t, 1, -1, &done);
        bp_trainer_progress(t, &p);
        if (p.steps % 3 == 0 && p.steps > 0) {
            char text[64];
            snprintf(text, sizeof text, "step %d of the run shows it first in", (int)p.steps);
            told += st == BP_ERR_NONFINITE && strstr(bp_error_text(ctx), text) != NULL;
        }
    }
    cr_assert_eq(told, 6, "%d: the step, and the loss of its epoch", told);
    bp_trainer_free(t);
    bp_params_free(store);
    bp_data_free(d);
}

/* --- what once went wrong ----------------------------------------------------------------- */

CLAIM(parts_of_a_batch_with_weights_are_the_same_step)
{
    float x[4] = {1, 2, 3, 4}, y[4] = {1, 2, 3, 40}, weight[4] = {1, 1, 1, 0}, w[3];
    for (int k = 0; k < 3; k++) {
        bp_data *d;
        bp_model *m;
        bp_trainer *t;
        int32_t done;
        float zero = 0;
        OK(bp_data_table(ctx, 4, &d));
        OK(bp_data_add(d, "x", BP_F32, BP_SHAPE(1), x));
        OK(bp_data_add(d, "y", BP_F32, BP_SCALAR, y));
        OK(bp_data_add(d, "weight", BP_F32, BP_SCALAR, weight));
        OK(bp_model_create_as(ctx, 1, "", BP_TASK_REGRESSION, 1, &m));
        OK(bp_write(bp_param_at(bp_model_params(m), 0), &zero, sizeof zero));
        OK(bp_trainer_create(m, d, &t));
        OK(bp_trainer_set(t, BP_TRAIN_EPOCHS, 1));
        OK(bp_trainer_set(t, BP_TRAIN_OPTIMIZER, BP_SGD));
        OK(bp_trainer_set(t, BP_TRAIN_LR, 0.01));
        OK(bp_trainer_set(t, BP_TRAIN_PARTS, 1 << k));
        OK(bp_trainer_run(t, -1, -1, &done));
        OK(bp_read(bp_param_at(bp_model_params(m), 0), &w[k], sizeof w[k]));
        bp_trainer_free(t);
        bp_model_free(m);
        bp_data_free(d);
    }
    cr_assert(fabsf(w[1] - w[0]) < 1e-6f && fabsf(w[2] - w[0]) < 1e-6f, "%g %g %g", (double)w[0],
              (double)w[1], (double)w[2]);
}

CLAIM(epochs_that_are_added_stay_at_the_end_of_the_schedule)
{
    job j = start("8 relu");
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
    job j = start("8 relu");
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
    j = start("8 relu");
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
    job j = start("8 relu");
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
