/* Targets of tanh outputs: that they stand where the second derivative is largest, the loss and
 * what is predicted, in training, evaluation and measures alike; files, snapshots; and the activation
 * by itself. Exports: test_export.c. */
#include "folder.h"

#define CLAIM(name) Test(tanh_targets, name, .init = enter, .fini = leave)

enum { N = 40, COLS = 3, K = 4 };

static double f(double z)
{
    return 1.7159 * tanh(2 * z / 3);
}

/* Classes, or labels, and a model whose logits are W x + b. */
static bp_data *rows(bp_task task, float *x)
{
    bp_data *d;
    int32_t class[N];
    unsigned char label[N * K];
    for (int i = 0; i < N * COLS; i++)
        x[i] = (float)(4 * op_random(2, i) - 2);
    for (int i = 0; i < N; i++)
        class[i] = x[COLS * i] > 0 ? 2 + (i % 2) : i % 2;
    for (int i = 0; i < N * K; i++)
        label[i] = x[i / K * COLS] > (float)(i % K) - 1.5f;
    OK(bp_data_table(ctx, N, &d));
    OK(bp_data_add(d, "x", BP_F32, BP_SHAPE(COLS), x));
    if (task == BP_TASK_CLASSES)
        OK(bp_data_add_classes(d, class, K, NULL));
    else
        OK(bp_data_add(d, "y", BP_U8, BP_SHAPE(K), label));
    return d;
}

static bp_model *model(bp_task task, const char *layers)
{
    bp_model *m;
    OK(bp_seed(ctx, 4));
    OK(bp_model_create_as(ctx, COLS, layers, task, K, &m));
    OK(bp_model_tanh_targets(m, 1));
    return m;
}

/* The loss of one output is 0 at just two logits, -z and z, which have +-t; there |f''| is at its
 * largest of a fine grid, and f(1) = 1, as the constants are made for. */
CLAIM(the_target_is_where_the_second_derivative_is_largest)
{
    double most = 0, where = 0, h = 1e-3, least = 1, z = 0;
    for (double x = h; x < 4; x += h) {
        double second = fabs(f(x + h) - 2 * f(x) + f(x - h)) / (h * h);
        where = second > most ? x : where;
        most = fmax(most, second);
    }
    bp_model *m;
    OK(bp_model_create_as(ctx, 1, "", BP_TASK_LABELS, 1, &m));
    OK(bp_model_tanh_targets(m, 1));
    for (double x = 0.9; x < 1.1; x += h) {
        float logit = (float)x;
        begin();
        bp_tensor *y = tensor_in(ctx, BP_F32, BP_SHAPE(1, 1), &x, 0);
        bp_tensor *t = tensor_in(ctx, BP_F32, BP_SHAPE(1, 1), (double[]){1}, 0);
        double loss = at(bp_model_loss(m, y, t), 0);
        end();
        z = loss < least ? (double)logit : z;
        least = fmin(least, loss);
        bp_free(y);
        bp_free(t);
    }
    cr_assert_lt(least, 1e-6);
    cr_assert_float_eq(z, where, 2 * h, "the loss is least at %g, |f''| is largest at %g", z, where);
    bp_tensor *one = NUMBER(1);
    begin();
    cr_assert_float_eq(at(bp_scaled_tanh(one, 0), 0), 1, 1e-4);
    cr_assert_float_eq(at(bp_scaled_tanh(one, 0.1), 0), 1.1, 1e-4, "and a linear part");
    end();
    bp_free(one);
    bp_model_free(m);
}

/* What the header says, from the logits. */
static void by_hand(bp_model *m, bp_data *d, float *p, double *loss, double *accuracy)
{
    const double t = 1.7159 / sqrt(3);
    double all[N];
    values y, z;
    bool classes = bp_model_task(m) == BP_TASK_CLASSES;
    for (int i = 0; i < N; i++)
        all[i] = i;
    bp_tensor *index = tensor_in(ctx, BP_I32, BP_SHAPE(N), all, 0);
    begin();
    cr_assert(tensor_values(bp_model_logits(m, d, index, 0), &z));
    end();
    cr_assert(tensor_values(bp_data_labels(d), &y));
    *loss = *accuracy = 0;
    for (int i = 0; i < N; i++) {
        int best = 0;
        for (int j = 0; j < K; j++) {
            bool on = classes ? (int)y.v[i] == j : y.v[i * K + j] > 0;
            double out = f(z.v[i * K + j]), off = out - (on ? t : -t);
            *loss += off * off / 2 / N / (classes ? 1 : K);
            *accuracy += classes ? 0 : ((out > 0) == on) / (double)(N * K);
            p[i * K + j] = (float)fmin(fmax(0.5 + out / (2 * t), 0), 1);
            best = z.v[i * K + j] > z.v[i * K + best] ? j : best;
        }
        *accuracy += classes ? (best == (int)y.v[i]) / (double)N : 0;
    }
    values_free(&y, 1);
    values_free(&z, 1);
    bp_free(index);
}

CLAIM(loss_and_predictions_are_what_the_header_says)
{
    for (bp_task task = BP_TASK_CLASSES; task <= BP_TASK_LABELS; task += 2) {
        float x[N * COLS], p[N * K], q[N * K];
        double want, right, loss, accuracy;
        bp_metrics all;
        bp_trainer *t;
        bp_progress progress;
        int32_t done;
        bp_data *d = rows(task, x);
        bp_model *m = model(task, "5 scaled_tanh=0.1");
        by_hand(m, d, q, &want, &right);
        OK(bp_model_evaluate(m, d, &loss, &accuracy));
        cr_assert_float_eq(loss, want, 1e-5 * want, "%g, not %g", loss, want);
        cr_assert_float_eq(accuracy, right, 1e-6);
        OK(bp_model_measure(m, d, &all));
        cr_assert_float_eq(all.loss, want, 1e-5 * want);
        cr_assert_float_eq(all.accuracy, right, 1e-6);
        OK(bp_model_predict(m, x, N, p));
        for (int i = 0; i < N * K; i++)
            cr_assert_float_eq((double)p[i], (double)q[i], 2e-6);
        OK(bp_model_predict(m, x, 1, p));
        for (int i = 0; i < K; i++)
            cr_assert_float_eq((double)p[i], (double)q[i], 2e-6, "one sample");
        OK(bp_trainer_create(m, d, &t));
        OK(bp_trainer_set(t, BP_TRAIN_BATCH, N));
        OK(bp_trainer_set(t, BP_TRAIN_EPOCHS, 400));
        OK(bp_trainer_run(t, 1, -1, &done));
        bp_trainer_progress(t, &progress);
        cr_assert_float_eq(progress.loss, want, 1e-5 * want, "the loss of the first step");
        OK(bp_trainer_run(t, -1, -1, &done));
        by_hand(m, d, q, &loss, &right);
        cr_assert_lt(loss, 0.6 * want, "and it falls: %g", loss);
        bp_trainer_free(t);
        bp_model_free(m);
        bp_data_free(d);
    }
}

CLAIM(files_and_snapshots_keep_it)
{
    for (bp_task task = BP_TASK_CLASSES; task <= BP_TASK_LABELS; task += 2) {
        float x[N * COLS], p[N * K], q[N * K];
        bp_model *other, *m = model(task, "5 tanh");
        bp_snapshot *s;
        bp_data *d = rows(task, x);
        OK(bp_model_predict(m, x, N, p));
        OK(bp_model_save(m, path));
        OK(bp_model_load(ctx, path, &other));
        cr_assert(bp_model_has_tanh_targets(other));
        OK(bp_model_predict(other, x, N, q));
        cr_assert_arr_eq(p, q, sizeof p);
        OK(bp_model_tanh_targets(other, 0));
        OK(bp_model_predict(other, x, 1, q));
        cr_assert_neq(p[0], q[0]);
        OK(bp_snapshot_take(m, &s));
        OK(bp_model_restore(other, s));
        OK(bp_model_predict(other, x, 1, q));
        cr_assert_float_eq((double)p[0], (double)q[0], 1e-6, "recorded anew");
        bp_snapshot_free(s);
        bp_model_free(other);
        bp_model_free(m);
        bp_data_free(d);
    }
}

CLAIM(a_run_that_was_recorded_goes_on_with_the_other_loss)
{
    float x[N * COLS], w[2][5 * COLS];
    for (int eager = 0; eager < 2; eager++) {
        bp_trainer *t;
        int32_t done;
        bp_data *d = rows(BP_TASK_CLASSES, x);
        bp_model *m = model(BP_TASK_CLASSES, "5 tanh");
        OK(bp_trainer_create(m, d, &t));
        OK(bp_trainer_set(t, BP_TRAIN_EAGER, eager));
        OK(bp_trainer_set(t, BP_TRAIN_BATCH, 8));
        OK(bp_trainer_set(t, BP_TRAIN_EPOCHS, 4));
        OK(bp_trainer_run(t, 7, -1, &done));
        OK(bp_model_tanh_targets(m, 0));
        OK(bp_trainer_run(t, 4, -1, &done));
        OK(bp_model_tanh_targets(m, 1));
        OK(bp_trainer_run(t, -1, -1, &done));
        OK(bp_read(bp_param_at(bp_model_params(m), 0), w[eager], sizeof w[eager]));
        bp_trainer_free(t);
        bp_model_free(m);
        bp_data_free(d);
    }
    cr_assert_arr_eq(w[0], w[1], sizeof w[0]);
}

CLAIM(numbers_have_no_such_targets)
{
    bp_model *m;
    OK(bp_model_create_as(ctx, COLS, "", BP_TASK_REGRESSION, 1, &m));
    cr_assert_eq(bp_model_tanh_targets(m, 1), BP_ERR_ARG);
    TEXT("model_tanh_targets: the task is regression; classes or labels are wanted");
    OK(bp_model_tanh_targets(m, 0));
    bp_model_free(m);
}
