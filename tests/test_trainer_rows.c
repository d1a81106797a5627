/* Which rows make a batch, what a loss function of the program's gets of them, and what is told
 * where rows, losses or numbers are not what is wanted. */
#include "suite.h"

#define CLAIM(name) Test(trainer_rows, name, .init = setup, .fini = teardown)

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
    refused(notes, with_steps, BP_ERR_ARG, "trainer_run: epoch_steps is 5, but each row comes once: it "
            "is for rows that are drawn");
    refused(notes, weighted_without, BP_ERR_STATE, "trainer_run: weighted rows want a column sampling, "
            "f32, one number a row");
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
