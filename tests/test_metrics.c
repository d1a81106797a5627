/* Metrics of models against their definitions, by hand: pairs for AUC, ranks for the top, sums for
 * errors; and what is said where a number has no meaning. */
#include "suite.h"

#define CLAIM(name) Test(metrics, name, .init = setup, .fini = teardown)

enum { N = 1100, COLS = 2, K = 4 }; /* more rows than one pass takes */

/* A model of one dense layer. */
static bp_model *linear(bp_task task, int64_t outputs)
{
    bp_model *m;
    OK(bp_seed(ctx, 6));
    OK(bp_model_create_as(ctx, COLS, "", task, outputs, &m));
    return m;
}

static void samples(float *x)
{
    for (int i = 0; i < N * COLS; i++)
        x[i] = (float)floor(8 * op_random(3, i)) - 4; /* equal rows: equal scores */
}

/* The outputs of all rows, [N, k]. */
static double *outputs_of(bp_model *m, bp_data *d)
{
    values v = {0};
    begin();
    bp_tensor *y = bp_model_forward(m, bp_data_samples(d), 0);
    cr_assert(y && tensor_values(y, &v), "%s", bp_error_text(ctx));
    end();
    return v.v;
}

CLAIM(of_classes_they_are_what_their_definitions_say)
{
    float x[N * COLS];
    int32_t class[N];
    int64_t counts[K * K], mine[K * K] = {0};
    bp_data *d;
    bp_metrics got, other;
    double right = 0, top = 0, loss = 0, evaluated, accuracy;
    samples(x);
    for (int i = 0; i < N; i++)
        class[i] = (int32_t)(K * op_random(4, i));
    OK(bp_data_create(ctx, BP_F32, x, class, N, COLS, K, &d));
    bp_model *m = linear(BP_TASK_CLASSES, K);
    double *z = outputs_of(m, d);
    for (int i = 0; i < N; i++) {
        double *row = &z[K * i], sum = 0;
        int larger = 0, best = 0;
        for (int j = 0; j < K; j++) {
            larger += row[j] > row[class[i]] || (row[j] == row[class[i]] && j < class[i]);
            best = row[j] > row[best] ? j : best;
            sum += exp(row[j]);
        }
        right += larger == 0;
        top += larger < 2;
        loss += log(sum) - row[class[i]];
        mine[K * class[i] + best]++;
    }
    OK(bp_model_measure_of(m, d, 2, &got, sizeof got));
    cr_assert_float_eq(got.loss, loss / N, 1e-9);
    cr_assert_float_eq(got.accuracy, right / N, 1e-12);
    cr_assert_float_eq(got.top, top / N, 1e-12);
    cr_assert(isnan(got.auc) && isnan(got.mse) && isnan(got.mae) && isnan(got.r2));
    OK(bp_model_evaluate(m, d, &evaluated, &accuracy));
    cr_assert_float_eq(got.loss, evaluated, 1e-6);
    cr_assert_float_eq(got.accuracy, accuracy, 1e-12);
    OK(bp_model_measure(m, d, &other));
    cr_assert_eq(other.top, 1); /* 5 of 4 */
    OK(bp_model_confusion(m, d, counts));
    cr_assert_arr_eq(counts, mine, sizeof mine);
    free(z);
    bp_model_free(m);
    bp_data_free(d);
}

/* All pairs of a positive and a negative. */
static double by_pairs(const double *score, const int *on)
{
    double wins = 0, pairs = 0;
    for (int i = 0; i < N; i++)
        for (int j = 0; j < N; j++)
            if (on[i] && !on[j]) {
                wins += score[i] > score[j] ? 1 : score[i] == score[j] ? 0.5 : 0;
                pairs++;
            }
    return wins / pairs;
}

CLAIM(the_area_under_the_curve_counts_pairs_and_halves_of_equal_ones)
{
    static double score[N];
    static int on[N];
    float x[N * COLS];
    int32_t class[N];
    uint8_t label[N * 3];
    bp_data *d;
    bp_metrics got;
    samples(x);
    for (int i = 0; i < N; i++)
        class[i] = on[i] = x[2 * i] + 6 * op_random(5, i) > 2;
    OK(bp_data_create(ctx, BP_F32, x, class, N, COLS, 2, &d));
    bp_model *m = linear(BP_TASK_CLASSES, 2);
    double *z = outputs_of(m, d), two = 0;
    for (int i = 0; i < N; i++)
        score[i] = z[2 * i + 1] - z[2 * i];
    OK(bp_model_measure(m, d, &got));
    cr_assert_float_eq(got.auc, by_pairs(score, on), 1e-12);
    cr_assert(got.auc > 0.01 && got.auc < 0.99 && fabs(got.auc - 0.5) > 0.01, "%g", got.auc);
    free(z);
    bp_model_free(m);
    bp_data_free(d);

    for (int i = 0; i < N; i++) { /* the last label is always on: it has no pairs */
        label[3 * i] = x[2 * i] > 0;
        label[3 * i + 1] = op_random(6, i) > 0.8;
        label[3 * i + 2] = 1;
    }
    OK(bp_data_table(ctx, N, &d));
    OK(bp_data_add(d, "x", BP_F32, BP_SHAPE(COLS), x));
    OK(bp_data_add(d, "y", BP_U8, BP_SHAPE(3), label));
    m = linear(BP_TASK_LABELS, 3);
    z = outputs_of(m, d);
    double loss = 0, right = 0;
    for (int j = 0; j < 3; j++) {
        for (int i = 0; i < N; i++) {
            score[i] = z[3 * i + j];
            on[i] = label[3 * i + j];
            loss += log(1 + exp(on[i] ? -score[i] : score[i])) / 3 / N;
            right += ((score[i] > 0) == on[i]) / 3.0 / N;
        }
        two += j < 2 ? by_pairs(score, on) / 2 : 0;
    }
    OK(bp_model_measure(m, d, &got));
    cr_assert_float_eq(got.auc, two, 1e-12);
    cr_assert_float_eq(got.loss, loss, 1e-9);
    cr_assert_float_eq(got.accuracy, right, 1e-9);
    cr_assert(isnan(got.top) && isnan(got.r2));
    free(z);
    bp_model_free(m);
    bp_data_free(d);
}

CLAIM(of_real_targets_errors_are_in_their_units_and_constant_columns_are_left_out_of_r2)
{
    float x[N * COLS], y[N * 3], weight[N], p[N * 3];
    bp_data *d;
    bp_metrics got;
    double mse = 0, mae = 0, r2 = 0, loss = 0, all = 0;
    samples(x);
    for (int i = 0; i < N; i++) {
        y[3 * i] = 1e4f * (x[2 * i] + (float)op_random(7, i));
        y[3 * i + 1] = 5 + 1e-3f * x[2 * i + 1];
        y[3 * i + 2] = 42;
        weight[i] = (float)(i % 3);
    }
    OK(bp_data_table(ctx, N, &d));
    OK(bp_data_add(d, "x", BP_F32, BP_SHAPE(COLS), x));
    OK(bp_data_add(d, "y", BP_F32, BP_SHAPE(3), y));
    OK(bp_data_add(d, "weight", BP_F32, BP_SCALAR, weight));
    bp_model *m = linear(BP_TASK_REGRESSION, 3);
    OK(bp_model_normalize(m, d));
    OK(bp_model_predict(m, x, N, p));
    for (int j = 0; j < 3; j++) {
        double mean = 0, squares = 0, errors = 0;
        for (int i = 0; i < N; i++)
            mean += (double)y[3 * i + j] / N;
        for (int i = 0; i < N; i++) {
            double e = (double)p[3 * i + j] - (double)y[3 * i + j];
            double v = (double)y[3 * i + j] - mean;
            squares += v * v;
            errors += e * e;
            mae += fabs(e) / N / 3;
            loss += (double)weight[i] * e * e / 3;
            all += (double)weight[i] / 3;
        }
        mse += errors / N / 3;
        r2 += j < 2 ? (1 - errors / squares) / 2 : 0;
    }
    OK(bp_model_measure(m, d, &got));
    cr_assert_float_eq(got.mse, mse, 1e-5 * mse);
    cr_assert_float_eq(got.mae, mae, 1e-5 * mae);
    cr_assert_float_eq(got.r2, r2, 1e-3 * fabs(r2)); /* f32 rounds p near 5 */
    cr_assert_float_eq(got.loss, loss / all, 1e-5 * got.loss);
    cr_assert(isnan(got.accuracy) && isnan(got.top) && isnan(got.auc));
    bp_model_free(m);
    bp_data_free(d);
}

CLAIM(what_cannot_be_measured_says_why)
{
    float x[4 * COLS] = {0}, y[4] = {3, 3, 3, 3};
    int32_t class[4] = {1, 1, 1, 1}, bad = 7;
    int64_t counts[4];
    bp_data *d;
    bp_metrics got;
    OK(bp_data_create(ctx, BP_F32, x, class, 4, COLS, 2, &d));
    bp_model *m = linear(BP_TASK_CLASSES, 2);
    OK(bp_model_measure(m, d, &got));
    cr_assert(isnan(got.auc)); /* one kind alone */
    cr_assert_eq(bp_model_measure_of(m, d, 0, &got, sizeof got), BP_ERR_ARG);
    TEXT("model_measure: the 0 largest; 1 or more are wanted");
    cr_assert_eq(got.loss, 0);
    struct { bp_metrics known; double more; } newer;
    memset(&newer, 255, sizeof newer);
    OK(bp_model_measure_of(m, d, 1, &newer.known, sizeof newer));
    cr_assert_eq(newer.more, 0);
    class[2] = bad;
    OK(bp_write(bp_data_labels(d), class, sizeof class));
    cr_assert_eq(bp_model_confusion(m, d, counts), BP_ERR_RANGE);
    TEXT("model_confusion: class 7 of row 2 is not in 0 .. 1");
    bp_data_free(d);
    bp_model_free(m);

    OK(bp_data_table(ctx, 4, &d));
    OK(bp_data_add(d, "x", BP_F32, BP_SHAPE(COLS), x));
    OK(bp_data_add(d, "y", BP_F32, BP_SCALAR, y));
    m = linear(BP_TASK_REGRESSION, 1);
    OK(bp_model_measure(m, d, &got));
    cr_assert(isnan(got.r2) && got.mse >= 0);
    cr_assert_eq(bp_model_confusion(m, d, counts), BP_ERR_ARG);
    TEXT("model_confusion: a model of regression; of classes is wanted");
    bp_data_free(d);
    bp_model_free(m);
}
