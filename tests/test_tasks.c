/* A model's tasks: classes, real numbers, several labels; layers, or a forward pass of the
 * program's. Losses and predictions are held against sums on the host. */
#include "task_table.h"

#define CLAIM(name) Test(tasks, name, .init = setup, .fini = teardown)

/* The loss of row i out of predictions, in the targets' own units; *right of K, or of 1. */
static double row_loss(bp_task task, const table *t, const float *p, int i, double *right)
{
    double sum = 0;
    int best = 0;
    *right = 0;
    for (int j = 0; j < K; j++) {
        double y = p[K * i + j], e = y - (double)t->real[K * i + j];
        bool on = t->label[K * i + j];
        best = p[K * i + j] > p[K * i + best] ? j : best;
        if (task == BP_TASK_REGRESSION)
            sum += e * e / K;
        else if (task == BP_TASK_LABELS)
            sum -= log(on ? y : 1 - y) / K;
        if (task == BP_TASK_LABELS)
            *right += (y > 0.5) == on ? 1.0 / K : 0;
    }
    if (task == BP_TASK_CLASSES) {
        *right = best == t->class[i];
        sum = -log((double)p[K * i + t->class[i]]);
    }
    return sum;
}

CLAIM(what_evaluate_says_follows_from_the_predictions)
{
    table t = made(1);
    for (bp_task task = BP_TASK_CLASSES; task <= BP_TASK_LABELS; task++)
        for (int weighted = 0; weighted < 2; weighted++) {
            bp_data *d = set_of(&t, task, weighted);
            bp_model *m = model_of(task);
            float p[N * K];
            double loss, accuracy, sum = 0, right = 0, weights = 0;
            OK(bp_model_normalize(m, d));
            OK(bp_model_predict(m, t.x, N, p));
            OK(bp_model_evaluate(m, d, &loss, &accuracy));
            for (int i = 0; i < N; i++) {
                double one, w = weighted ? (double)t.weight[i] : 1;
                sum += w * row_loss(task, &t, p, i, &one);
                right += one / N;
                weights += w;
            }
            cr_assert(fabs(loss - sum / weights) <= 2e-5 * loss, "task %d: %.9g, not %.9g",
                      (int)task, loss, sum / weights);
            if (task == BP_TASK_REGRESSION)
                cr_assert_eq(accuracy, 0);
            else
                cr_assert_float_eq(accuracy, right, 1e-6);
            bp_model_free(m);
            bp_data_free(d);
        }
}

CLAIM(real_targets_of_any_unit_are_learned_and_told_in_their_own)
{
    table t = made(2);
    bp_data *d = set_of(&t, BP_TASK_REGRESSION, false);
    bp_model *m = model_of(BP_TASK_REGRESSION);
    bp_trainer *trainer;
    bp_progress progress;
    int32_t done;
    float p[N * K], one[K];
    double loss, accuracy, before, first = 0, second = 0;
    OK(bp_model_normalize(m, d));
    OK(bp_model_evaluate(m, d, &before, &accuracy));
    OK(bp_trainer_create(m, d, &trainer));
    OK(bp_trainer_set(trainer, BP_TRAIN_EPOCHS, 400));
    OK(bp_trainer_set(trainer, BP_TRAIN_BATCH, 16));
    OK(bp_trainer_run(trainer, -1, -1, &done));
    OK(bp_model_evaluate(m, d, &loss, &accuracy));
    cr_assert_lt(loss, before / 200, "%g of %g", loss, before);
    bp_trainer_progress(trainer, &progress);
    cr_assert(progress.loss > loss / 4 && progress.loss < loss * 4, "%g, %g", progress.loss, loss);
    OK(bp_model_predict(m, t.x, N, p));
    for (int i = 0; i < N; i++) {
        first += fabs((double)p[K * i] - (double)t.real[K * i]) / N;
        second += fabs((double)p[K * i + 1] - (double)t.real[K * i + 1]) / N;
        cr_assert_float_eq(p[K * i + 2], 7, 0.2);
        OK(bp_model_predict(m, t.x + COLS * i, 1, one));
        for (int j = 0; j < K; j++)
            cr_assert_float_eq(one[j], p[K * i + j], 1e-5 * fabs((double)p[K * i + j]) + 1e-11);
    }
    cr_assert(first < 1e6 && second < 1e-6, "%g, %g", first, second);
    bp_trainer_free(trainer);
    bp_model_free(m);
    bp_data_free(d);
}

CLAIM(several_labels_are_learned)
{
    table t = made(3);
    bp_data *d = set_of(&t, BP_TASK_LABELS, true);
    bp_model *m = model_of(BP_TASK_LABELS);
    bp_trainer *trainer;
    int32_t done;
    double loss, accuracy;
    OK(bp_model_normalize(m, d));
    OK(bp_trainer_create(m, d, &trainer));
    OK(bp_trainer_set(trainer, BP_TRAIN_EPOCHS, 600));
    OK(bp_trainer_run(trainer, -1, -1, &done));
    OK(bp_model_evaluate(m, d, &loss, &accuracy));
    cr_assert(accuracy > 0.95 && loss < 0.2, "%g, %g", accuracy, loss);
    bp_trainer_free(trainer);
    bp_model_free(m);
    bp_data_free(d);
}

CLAIM(forward_takes_raw_samples_of_any_shape_and_is_what_rows_of_a_set_give)
{
    table t = made(4);
    bp_data *d = set_of(&t, BP_TASK_CLASSES, false);
    bp_model *m = model_of(BP_TASK_CLASSES);
    OK(bp_model_normalize(m, d));
    uint8_t bytes[2 * COLS];
    float same_as[2 * COLS];
    for (int i = 0; i < 2 * COLS; i++)
        same_as[i] = bytes[i] = (uint8_t)(17 * i);
    bp_tensor *u8 = bp_tensor_create(ctx, BP_U8, BP_SHAPE(2, COLS));
    bp_tensor *f32 = bp_tensor_create(ctx, BP_F32, BP_SHAPE(2, 1, COLS, 1));
    OK(bp_write(u8, bytes, sizeof bytes));
    OK(bp_write(f32, same_as, sizeof same_as));
    begin();
    bp_tensor *index = bp_arange(ctx, BP_I32, 0, 1, N);
    same(bp_model_forward(m, bp_data_samples(d), 0), bp_model_logits(m, d, index, 0), 0);
    same(bp_model_forward(m, u8, 0), bp_model_forward(m, f32, 0), 0);
    end();
    REFUSED(BP_ERR_SHAPE, "model_forward: x [2,3]; [N, ...] with 6 elements a row is wanted",
            bp_model_forward(m, bp_reshape(bp_slice(f32, 0, 0, 1, 1), BP_SHAPE(2, 3)), 0));
    bp_free(u8);
    bp_free(f32);
    bp_model_free(m);
    bp_data_free(d);
}

CLAIM(a_gradient_reaches_the_raw_samples)
{
    table t = made(5);
    bp_data *d = set_of(&t, BP_TASK_REGRESSION, false);
    bp_model *m = model_of(BP_TASK_REGRESSION);
    OK(bp_model_normalize(m, d));
    bp_tensor *x = bp_tensor_create(ctx, BP_F32, BP_SHAPE(1, COLS)), *dx, *y, *one;
    float at_x[COLS], moved[COLS], p[K], q[K];
    for (int j = 0; j < COLS; j++)
        at_x[j] = (float)j / 2;
    OK(bp_write(x, at_x, sizeof at_x));
    one = bp_tensor_create(ctx, BP_F32, BP_SCALAR);
    OK(bp_write(one, &(float){1}, sizeof(float)));
    begin();
    bp_tensor *in = bp_require_grad(x);
    y = bp_sum(bp_slice(bp_model_forward(m, in, 0), 1, 0, 1, 1)); /* output 0, normalised */
    OK(bp_grad(ctx, y, one, &in, 1, 0, &dx));
    double unit = 1e6 * 3.2; /* of target 0: its deviation, about */
    for (int j = 0; j < COLS; j++) {
        memcpy(moved, at_x, sizeof moved);
        moved[j] += 0.05f;
        OK(bp_model_predict(m, moved, 1, p));
        moved[j] -= 0.1f;
        OK(bp_model_predict(m, moved, 1, q));
        double slope = ((double)p[0] - (double)q[0]) / 0.1 / at(dx, j);
        cr_assert(slope > unit / 2 && slope < unit * 2, "%d: %g", j, slope);
    }
    end();
    bp_free(one);
    bp_free(x);
    bp_model_free(m);
    bp_data_free(d);
}

CLAIM(the_loss_of_tensors_is_the_loss_of_rows)
{
    table t = made(6);
    for (bp_task task = BP_TASK_CLASSES; task <= BP_TASK_LABELS; task++) {
        bp_data *d = set_of(&t, task, true);
        bp_model *m = model_of(task);
        OK(bp_model_normalize(m, d));
        double loss, accuracy, unit = 1;
        OK(bp_model_evaluate(m, d, &loss, &accuracy));
        begin();
        bp_tensor *y = bp_model_forward(m, bp_data_samples(d), 0), *w = bp_data_column(d, "weight");
        bp_tensor *targets = bp_data_labels(d), *ones = bp_full(ctx, BP_F32, BP_SHAPE(N), 3);
        double plain = at(bp_model_loss(m, y, targets), 0);
        cr_assert_float_eq(at(bp_model_loss_weighted(m, y, targets, ones), 0), plain, 1e-6 * plain);
        double weighted = at(bp_model_loss_weighted(m, y, targets, w), 0);
        if (task == BP_TASK_REGRESSION) /* normalised: the units are in it */
            unit = loss / weighted;
        cr_assert_float_eq(weighted * unit, loss, 1e-5 * loss);
        bp_tensor *none = bp_full(ctx, BP_F32, BP_SHAPE(N), 0);
        cr_assert_eq(at(bp_model_loss_weighted(m, y, targets, none), 0), 0);
        cr_assert_null(bp_model_loss(m, y, bp_slice(targets, 0, 0, N - 1, 1)));
        cr_assert_eq(bp_scope_end(ctx), BP_ERR_SHAPE);
        cr_assert(strstr(bp_error_text(ctx), "model_loss: outputs [50,3] and targets [49"), "%s",
                  bp_error_text(ctx));
        bp_model_free(m);
        bp_data_free(d);
    }
}

/* --- a forward pass of the program's --------------------------------------------------------- */

CLAIM(a_forward_pass_of_ones_own_is_used_as_a_text_of_layers_is)
{
    table t = made(7);
    int calls = 0, used;
    double loss[2], accuracy[2];
    float p[2][N * K];
    for (int own = 0; own < 2; own++) {
        bp_data *d = set_of(&t, BP_TASK_CLASSES, false);
        bp_model *m;
        bp_trainer *trainer;
        int32_t done;
        OK(bp_seed(ctx, 3));
        if (own) {
            OK(bp_model_own(ctx, COLS, BP_TASK_CLASSES, K, two_layers, &calls, &m));
            bp_params *q = bp_model_params(m);
            cr_assert(bp_param(q, "in", BP_SHAPE(8, COLS), BP_INIT_LECUN));
            cr_assert(bp_param(q, "in.bias", BP_SHAPE(8), BP_INIT_ZERO));
            cr_assert(bp_param(q, "out", BP_SHAPE(K, 8), BP_INIT_LECUN));
            cr_assert(bp_param(q, "out.bias", BP_SHAPE(K), BP_INIT_ZERO));
            cr_assert_null(bp_model_layers(m));
        } else {
            m = model_of(BP_TASK_CLASSES);
        }
        OK(bp_model_normalize(m, d));
        OK(bp_trainer_create(m, d, &trainer));
        OK(bp_trainer_set(trainer, BP_TRAIN_EPOCHS, 5));
        OK(bp_trainer_run(trainer, -1, -1, &done));
        used = calls;
        OK(bp_model_evaluate(m, d, &loss[own], &accuracy[own]));
        OK(bp_model_predict(m, t.x, N, p[own]));
        OK(bp_model_predict(m, t.x, 1, p[own]));
        bp_trainer_free(trainer);
        bp_model_free(m);
        bp_data_free(d);
    }
    cr_assert_eq(used, 1, "a step is recorded once, not called %d times", used);
    cr_assert_eq(loss[0], loss[1]);
    cr_assert_arr_eq(p[0], p[1], sizeof p[0]);
}

static bp_tensor *of_wrong_shape(bp_model *m, bp_tensor *x, int32_t training, void *user)
{
    (void)m, (void)training, (void)user;
    return x;
}

static bp_tensor *nothing(bp_model *m, bp_tensor *x, int32_t training, void *user)
{
    (void)m, (void)training;
    return user ? bp_add(x, user) : NULL;
}

CLAIM(what_a_forward_pass_of_ones_own_gives_is_checked)
{
    bp_model *m;
    float x[COLS] = {0}, p[K];
    OK(bp_model_own(ctx, COLS, BP_TASK_LABELS, K, of_wrong_shape, NULL, &m));
    cr_assert_eq(bp_model_predict(m, x, 1, p), BP_ERR_SHAPE);
    TEXT("model_forward: the function of bp_model_own gave f32 [1,6]; f32 [N,3] is wanted");
    bp_model_free(m);
    OK(bp_model_own(ctx, COLS, BP_TASK_LABELS, K, nothing, NULL, &m));
    cr_assert_eq(bp_model_predict(m, x, 1, p), BP_ERR_STATE);
    TEXT("model_forward: the function of bp_model_own gave NULL");
    bp_model_free(m);
    bp_tensor *bad = TENSOR(BP_SHAPE(4), 1, 2, 3, 4);
    OK(bp_model_own(ctx, COLS, BP_TASK_LABELS, K, nothing, bad, &m));
    cr_assert_neq(bp_model_predict(m, x, 1, p), BP_OK);
    cr_assert(strstr(bp_error_text(ctx), "add: "), "%s", bp_error_text(ctx));
    bp_model_free(m);
    bp_free(bad);
    cr_assert_eq(bp_model_own(ctx, COLS, 4, K, nothing, NULL, &m), BP_ERR_ARG);
    TEXT("model_own: there is no task 4");
    cr_assert_eq(bp_model_create_as(ctx, COLS, "", BP_TASK_LABELS, 0, &m), BP_ERR_ARG);
    TEXT("model_create_as: 6 inputs, 0 outputs: 1 to 16777216 are wanted");
}

/* --- the rest -------------------------------------------------------------------------------- */

CLAIM(a_set_of_another_kind_is_refused_with_both)
{
    table t = made(8);
    bp_model *m = model_of(BP_TASK_REGRESSION);
    bp_data *d = set_of(&t, BP_TASK_LABELS, false);
    double loss, accuracy;
    cr_assert_eq(bp_model_evaluate(m, d, &loss, &accuracy), BP_ERR_SHAPE);
    TEXT("model_evaluate: data of 6 columns and 3 labels for 6 inputs and 3 real targets");
    cr_assert_eq(bp_model_normalize(m, d), BP_ERR_SHAPE);
    bp_data_free(d);
    bp_model_free(m);
    cr_assert_str_eq(bp_task_name(BP_TASK_LABELS), "labels");
    cr_assert_str_eq(bp_task_name(0), "?");
}

CLAIM(the_names_of_classes_come_with_the_data)
{
    table t = made(9);
    bp_model *m;
    bp_data *d = set_of(&t, BP_TASK_CLASSES, false);
    OK(bp_model_create(ctx, COLS, "", K + 1, &m));
    cr_assert_null(bp_model_class_name(m, 0));
    OK(bp_model_normalize(m, d));
    cr_assert_str_eq(bp_model_class_name(m, 0), "a");
    cr_assert_str_eq(bp_model_class_name(m, 2), "\xc3\xa9");
    cr_assert_null(bp_model_class_name(m, 3), "it has none");
    cr_assert_null(bp_model_class_name(m, 4));
    bp_data_free(d);
    bp_model_free(m);
}

/* --- one sample ------------------------------------------------------------------------------ */

static int64_t allocations(void)
{
    bp_stats s;
    bp_get_stats(ctx, &s);
    return s.allocations;
}

CLAIM(one_sample_is_predicted_without_an_allocation_and_moves_no_random_stream)
{
    table t = made(10);
    double draw[2];
    for (bp_task task = BP_TASK_CLASSES; task <= BP_TASK_LABELS; task++) {
        bp_model *m = model_of(task);
        float p[K], q[K];
        bp_tensor *w = bp_param_at(bp_model_params(m), 0);
        OK(bp_model_predict(m, t.x, 1, p));
        int64_t before = allocations();
        for (int i = 1; i < N; i++)
            OK(bp_model_predict(m, t.x + COLS * i, 1, q));
        cr_assert_eq(allocations(), before);
        OK(bp_model_predict(m, t.x, 1, q));
        cr_assert_arr_eq(p, q, sizeof p);
        begin(); /* in a scope it goes the long way, and after a write it sees what was written */
        OK(bp_model_predict(m, t.x, 1, q));
        for (int j = 0; j < K; j++)
            cr_assert_float_eq(p[j], q[j], 1e-6);
        OK(bp_copy_into(w, bp_scale(w, 2)));
        end();
        OK(bp_model_predict(m, t.x, 1, q));
        cr_assert_neq(p[0], q[0]);
        bp_model_free(m);
    }
    bp_model *m = model_of(BP_TASK_CLASSES);
    for (int predicts = 0; predicts < 2; predicts++) {
        float p[K];
        OK(bp_seed(ctx, 5));
        for (int i = 0; i < 3 * predicts; i++)
            OK(bp_model_predict(m, t.x, 1, p));
        begin();
        draw[predicts] = at(bp_uniform(ctx, BP_F64, BP_SHAPE(1), 0, 1), 0);
        end();
    }
    cr_assert_eq(draw[0], draw[1]);
    bp_model_free(m);
}

/* Weights that f32 has no room for the sum of, at either end. */
CLAIM(weights_may_be_very_small_or_large)
{
    static const float size[] = {1, 1e-39f, 1e-43f, 3e38f};
    float x[6] = {1, 2, 3, 4, 5, 6}, weight[6];
    int32_t label[6] = {0, 1, 0, 1, 1, 0};
    double first = 0;
    bp_model *m;
    OK(bp_model_create(ctx, 1, "", 2, &m));
    for (int k = 0; k < 4; k++) {
        bp_data *d;
        double loss, accuracy;
        for (int i = 0; i < 6; i++)
            weight[i] = size[k];
        OK(bp_data_create(ctx, BP_F32, x, label, 6, 1, 2, &d));
        OK(bp_data_add(d, "weight", BP_F32, BP_SCALAR, weight));
        OK(bp_model_evaluate(m, d, &loss, &accuracy));
        first = k ? first : loss;
        cr_assert_float_eq(loss, first, 1e-6 * first, "weights of %g", (double)size[k]);
        bp_data_free(d);
    }
    bp_model_free(m);
}
