/* The normaliser of a model, what prediction does with numbers that are not finite, and that it
 * computes what training and evaluation compute. */
#include <unistd.h>

#include "suite.h"

#define CLAIM(name) Test(normalize, name, .init = setup, .fini = teardown)

enum { N = 60, COLS = 3, CLASSES = 2 };

/* Multiples of 1/64 below 8 in size: times 2^-143 or 2^124 they are still exact in f32. */
static void table(float *x, int32_t *label, uint64_t seed)
{
    for (int i = 0; i < N * COLS; i++)
        x[i] = (float)(floor(1024 * op_random(seed, i)) - 500) / 64;
    for (int i = 0; i < N; i++)
        label[i] = x[COLS * i] > x[COLS * i + 1];
}

static bp_data *set_of(bp_dtype dtype, const void *x, const int32_t *label)
{
    bp_data *d;
    OK(bp_data_create(ctx, dtype, x, label, N, COLS, CLASSES, &d));
    return d;
}

static bp_model *small(void)
{
    bp_model *m;
    OK(bp_model_create(ctx, COLS, "7 relu 5 elu", CLASSES, &m));
    return m;
}

static void predict_with(bp_model *m, const float *x, const int32_t *label, bp_normalize how,
                         float *p)
{
    bp_data *d = set_of(BP_F32, x, label);
    OK(bp_model_normalize_as(m, d, how));
    OK(bp_model_predict(m, x, N, p));
    bp_data_free(d);
}

CLAIM(a_column_times_a_power_of_two_changes_no_bit)
{
    static const int power[] = {-143, -140, -127, -120, -24, -1, 1, 30, 100, 120, 124};
    float x[N * COLS], scaled[N * COLS], p[N * CLASSES], q[N * CLASSES];
    int32_t label[N];
    bp_model *m = small();
    table(x, label, 1);
    predict_with(m, x, label, BP_NORMALIZE_COLUMN, p);
    for (size_t k = 0; k < sizeof power / sizeof *power; k++)
        for (int column = 0; column < COLS; column++) {
            for (int i = 0; i < N * COLS; i++) {
                scaled[i] = i % COLS == column ? ldexpf(x[i], power[k]) : x[i];
                cr_assert_eq(ldexp((double)scaled[i], i % COLS == column ? -power[k] : 0),
                             (double)x[i], "exact");
            }
            predict_with(m, scaled, label, BP_NORMALIZE_COLUMN, q);
            cr_assert_arr_eq(p, q, sizeof p, "column %d times 2^%d", column, power[k]);
        }
    for (int i = 0; i < N * COLS; i++)
        scaled[i] = ldexpf(x[i], -143);
    predict_with(m, x, label, BP_NORMALIZE_GLOBAL, p);
    predict_with(m, scaled, label, BP_NORMALIZE_GLOBAL, q);
    cr_assert_arr_eq(p, q, sizeof p, "all columns of one unit");
    bp_model_free(m);
}

CLAIM(means_become_0_and_deviations_1_and_what_does_not_vary_0)
{
    float x[N * COLS];
    int32_t label[N], all[N];
    table(x, label, 2);
    for (int i = 0; i < N; i++) {
        x[COLS * i] = x[COLS * i] * 1e-3f + 1e4f; /* a mean that f32 would not keep */
        x[COLS * i + 2] = 0.1f;
        all[i] = i;
    }
    bp_data *d = set_of(BP_F32, x, label);
    bp_model *m;
    OK(bp_model_create(ctx, COLS, "", COLS, &m)); /* logits = W x + b; W the identity */
    float identity[COLS * COLS] = {1, 0, 0, 0, 1, 0, 0, 0, 1};
    OK(bp_write(bp_param_at(bp_model_params(m), 0), identity, sizeof identity));
    for (bp_normalize how = BP_NORMALIZE_NONE; how <= BP_NORMALIZE_COLUMN; how++) {
        double mean[COLS] = {0}, square[COLS] = {0};
        OK(bp_model_normalize_as(m, d, how));
        bp_tensor *index = tensor_in(ctx, BP_I32, BP_SHAPE(N), (const double[N]){0}, 0);
        OK(bp_write(index, all, sizeof all));
        begin();
        values y;
        cr_assert(tensor_values(bp_model_logits(m, d, index, 0), &y));
        for (int i = 0; i < N * COLS; i++) {
            mean[i % COLS] += y.v[i] / N;
            square[i % COLS] += y.v[i] * y.v[i] / N;
            if (how == BP_NORMALIZE_NONE)
                cr_assert_float_eq(y.v[i], (double)x[i], 1e-6 * fabs((double)x[i]));
            else
                cr_assert(i % COLS != 2 || y.v[i] == 0);
        }
        end();
        values_free(&y, 1);
        bp_free(index);
        if (how == BP_NORMALIZE_COLUMN)
            cr_assert_float_eq(square[0], 1, 1e-5, "%g", square[0]);
        if (how == BP_NORMALIZE_GLOBAL) /* its unit is the other column's */
            cr_assert(square[0] < 1e-4 && fabs(square[1] - 3) < 1e-2, "%g %g", square[0],
                      square[1]);
        if (how != BP_NORMALIZE_NONE)
            cr_assert(fabs(mean[0]) < 1e-5 && fabs(mean[1]) < 1e-5, "%g %g", mean[0], mean[1]);
    }
    bp_model_free(m);
    bp_data_free(d);
}

CLAIM(bytes_and_reals_of_one_table_are_learned_alike)
{
    unsigned char u[N * COLS];
    float f[N * COLS];
    int32_t label[N], done;
    double loss[2], accuracy[2];
    for (int i = 0; i < N * COLS; i++) { /* a flag beside counts */
        u[i] = (unsigned char)(op_random(3, i) * (i % COLS ? 256 : 2));
        f[i] = u[i];
        label[i / COLS] = u[i - i % COLS];
    }
    for (int k = 0; k < 2; k++) {
        bp_close(ctx); /* equal weights */
        setup();
        bp_data *d = set_of(k ? BP_F32 : BP_U8, k ? (void *)f : (void *)u, label);
        bp_model *m = small();
        bp_trainer *t;
        OK(bp_model_normalize(m, d));
        OK(bp_trainer_create(m, d, &t));
        OK(bp_trainer_set(t, BP_TRAIN_BATCH, 12));
        OK(bp_trainer_run(t, -1, -1, &done));
        OK(bp_model_evaluate(m, d, &loss[k], &accuracy[k]));
        bp_trainer_free(t);
        bp_model_free(m);
        bp_data_free(d);
    }
    cr_assert_eq(accuracy[1], 1, "%g", accuracy[1]);
    cr_assert(loss[0] == loss[1] && accuracy[0] == 1, "%.9g and %.9g", loss[0], loss[1]);
}

CLAIM(the_way_is_asked_and_known)
{
    static const char *const name[] = {"default", "none", "global", "column", "minmax", "pca",
                                       "zca", "?"};
    float x[N * COLS];
    int32_t label[N];
    bp_data *digits, *part[2], *plain;
    bp_model *m, *of_table = small();
    table(x, label, 4);
    plain = set_of(BP_F32, x, label);
    OK(bp_data_digits(ctx, &digits));
    OK(bp_data_split(digits, 0.5, 0, &part[0], &part[1]));
    OK(bp_model_create(ctx, 64, "8 relu", 10, &m));
    cr_assert_eq(bp_model_normalized(m), BP_NORMALIZE_NONE);
    OK(bp_model_normalize(m, part[1]));
    cr_assert_eq(bp_model_normalized(m), BP_NORMALIZE_GLOBAL);
    OK(bp_model_normalize_as(m, digits, BP_NORMALIZE_COLUMN));
    cr_assert_eq(bp_model_normalized(m), BP_NORMALIZE_COLUMN);
    OK(bp_model_normalize(of_table, plain));
    cr_assert_eq(bp_model_normalized(of_table), BP_NORMALIZE_COLUMN);
    cr_assert_eq(bp_model_normalize_as(m, digits, 7), BP_ERR_ARG);
    cr_assert_eq(bp_model_normalize_as(m, digits, -1), BP_ERR_ARG);
    cr_assert_eq(bp_model_normalize_as(m, NULL, 0), BP_ERR_ARG);
    cr_assert_eq(bp_model_normalized(m), BP_NORMALIZE_COLUMN);
    for (int i = 0; i < 8; i++)
        cr_assert_str_eq(bp_normalize_name(i), name[i]);
    bp_data *all[] = {digits, part[0], part[1], plain};
    for (int i = 0; i < 4; i++)
        bp_data_free(all[i]);
    bp_model_free(m);
    bp_model_free(of_table);
}

static void same_predictions(bp_model *a, bp_model *b)
{
    float x[COLS] = {0.25f, -1, 3}, p[CLASSES], q[CLASSES];
    OK(bp_model_predict(a, x, 1, p));
    OK(bp_model_predict(b, x, 1, q));
    cr_assert_arr_eq(p, q, sizeof p);
}

/* A model as files had it before they said how the normaliser was set, which was in f32. */
static void write_old(FILE *f)
{
    static const char header[] =
        "{\"__metadata__\":{\"format\":\"bpcuda\",\"version\":\"1\",\"inputs\":\"3\","
        "\"classes\":\"2\",\"layers\":\"\"},"
        "\"layer1.weight\":{\"dtype\":\"F32\",\"shape\":[2,3],\"data_offsets\":[0,24]},"
        "\"layer1.bias\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[24,32]},"
        "\"normalizer.shift\":{\"dtype\":\"F32\",\"shape\":[3],\"data_offsets\":[32,44]},"
        "\"normalizer.scale\":{\"dtype\":\"F32\",\"shape\":[3],\"data_offsets\":[44,56]}}";
    static const float data[] = {1, 0, 0, 0, 0, 1, 0, 0, 1, 2, 3, 2, 4, 0.5f};
    uint64_t length = sizeof header - 1;
    fwrite(&length, 8, 1, f);
    fwrite(header, 1, length, f);
    fwrite(data, sizeof data, 1, f);
}

CLAIM(files_say_how_and_older_ones_are_read)
{
    char path[64];
    float x[N * COLS], p[CLASSES], logit[CLASSES];
    int32_t label[N];
    bp_model *m = small(), *other;
    table(x, label, 5);
    bp_data *d = set_of(BP_F32, x, label);
    snprintf(path, sizeof path, "/tmp/bpcuda_normalize_%d", (int)getpid());
    for (bp_normalize how = BP_NORMALIZE_NONE; how <= BP_NORMALIZE_ZCA; how++) {
        OK(bp_model_normalize_as(m, d, how));
        OK(bp_model_save(m, path));
        OK(bp_model_load(ctx, path, &other));
        cr_assert_eq(bp_model_normalized(other), how);
        same_predictions(m, other);
        bp_model_free(other);
    }
    FILE *f = fopen(path, "wb");
    cr_assert(f);
    write_old(f);
    fclose(f);
    OK(bp_model_load(ctx, path, &other));
    cr_assert_eq(bp_model_normalized(other), BP_NORMALIZE_DEFAULT);
    OK(bp_model_predict(other, (float[]){2, 7, 5}, 1, p)); /* logits 2 (2 - 1) and (5 - 3) / 2 */
    logit[0] = 2, logit[1] = 1;
    cr_assert_float_eq(p[0], 1 / (1 + exp((double)(logit[1] - logit[0]))), 1e-6);
    OK(bp_model_save(other, path));
    bp_model *again;
    OK(bp_model_load(ctx, path, &again));
    cr_assert_eq(bp_model_normalized(again), BP_NORMALIZE_DEFAULT);
    same_predictions(other, again);
    bp_model_free(again);
    bp_model_free(other);
    bp_model_free(m);
    bp_data_free(d);
    remove(path);
}

CLAIM(prediction_is_the_forward_pass_of_training_by_bits)
{
    float p[30 * 10], x[30 * 64];
    double row[30];
    bp_data *d;
    bp_model *m;
    values all, y;
    OK(bp_data_digits(ctx, &d));
    OK(bp_model_create(ctx, 64, "32 relu 16 elu", 10, &m));
    cr_assert(tensor_values(bp_data_samples(d), &all));
    for (int i = 0; i < 30 * 64; i++)
        x[i] = (float)all.v[i];
    for (int i = 0; i < 30; i++)
        row[i] = i;
    bp_tensor *index = tensor_in(ctx, BP_I32, BP_SHAPE(30), row, 0);
    for (bp_normalize how = BP_NORMALIZE_DEFAULT; how <= BP_NORMALIZE_ZCA; how++) {
        OK(bp_model_normalize_as(m, d, how));
        OK(bp_model_predict(m, x, 30, p));
        begin();
        bp_tensor *logits = bp_model_logits(m, d, index, 0);
        cr_assert(tensor_values(bp_exp(bp_log_softmax(logits, 1)), &y));
        for (int i = 0; i < 300; i++)
            cr_assert_eq((double)p[i], y.v[i]);
        end();
        values_free(&y, 1);
    }
    values_free(&all, 1);
    bp_free(index);
    bp_model_free(m);
    bp_data_free(d);
}

/* --- what is not finite ----------------------------------------------------------------------- */

static const float bad_number[] = {NAN, INFINITY, -INFINITY};

CLAIM(a_sample_that_is_not_finite_is_named)
{
    float x[4 * COLS] = {0}, p[4 * CLASSES] = {7};
    bp_model *m = small();
    for (int k = 0; k < 3; k++) {
        x[2 * COLS + 1] = bad_number[k];
        cr_assert_eq(bp_model_predict(m, x, 4, p), BP_ERR_NONFINITE);
        cr_assert(strstr(bp_error_text(ctx), "model_predict: row 2, column 1"), "%s",
                  bp_error_text(ctx));
        cr_assert_eq(p[0], 7);
    }
    OK(bp_model_predict(m, x, 2, p));
    bp_model_free(m);
}

CLAIM(a_parameter_that_is_not_finite_is_named_on_every_device)
{
    float x[N * COLS], p[N * CLASSES], q[N * CLASSES], kept[64], spoiled[64];
    double loss, accuracy;
    int32_t label[N];
    bp_model *m = small();
    bp_params *params = bp_model_params(m);
    table(x, label, 6);
    bp_data *d = set_of(BP_F32, x, label);
    OK(bp_model_predict(m, x, N, p));
    for (int32_t i = 0; i < bp_param_count(params); i++) {
        bp_tensor *w = bp_param_at(params, i);
        size_t n = (size_t)bp_shape_count(bp_shape_of(w));
        OK(bp_read(w, kept, n * sizeof *kept));
        for (int k = 0; k < 3; k++) {
            memcpy(spoiled, kept, sizeof kept);
            spoiled[n - 1] = bad_number[k];
            OK(bp_write(w, spoiled, n * sizeof *kept));
            cr_assert_eq(bp_model_predict(m, x, N, q), BP_ERR_NONFINITE);
            cr_assert(strstr(bp_error_text(ctx), bp_param_name(params, i)), "%s",
                      bp_error_text(ctx));
            cr_assert_eq(bp_model_predict(m, x, 0, NULL), BP_ERR_NONFINITE, "and again");
            cr_assert_eq(bp_model_evaluate(m, d, &loss, &accuracy), BP_ERR_NONFINITE);
            cr_assert(strstr(bp_error_text(ctx), bp_param_name(params, i)), "%s",
                      bp_error_text(ctx));
        }
        OK(bp_write(w, kept, n * sizeof *kept));
        OK(bp_model_predict(m, x, N, q));
        cr_assert_arr_eq(p, q, sizeof p);
    }
    bp_data_free(d);
    bp_model_free(m);
}

CLAIM(parameters_are_looked_at_once_a_change)
{
    float x[COLS] = {0}, p[CLASSES], bias[7] = {0};
    bp_model *m = small();
    bp_stats before, after;
    int64_t kernels[4];
    for (int i = 0; i < 4; i++) {
        if (i == 3)
            OK(bp_write(bp_param_at(bp_model_params(m), 1), bias, sizeof bias));
        bp_get_stats(ctx, &before);
        OK(bp_model_predict(m, x, 1, p));
        bp_get_stats(ctx, &after);
        kernels[i] = after.kernels - before.kernels;
    }
    cr_assert_eq(kernels[0], kernels[1] + 1);
    cr_assert_eq(kernels[2], kernels[1]);
    cr_assert_eq(kernels[3], kernels[1] + 1);
    bp_model_free(m);
}

CLAIM(numbers_that_leave_the_range_on_the_way_are_told)
{
    const float weight[] = {10, 10, -10, 10}, x[] = {3e38f, -3e38f};
    const int32_t label[] = {0};
    float p[2];
    double loss, accuracy;
    bp_model *m;
    bp_data *d;
    OK(bp_model_create(ctx, 2, "", 2, &m));
    OK(bp_write(bp_param_at(bp_model_params(m), 0), weight, sizeof weight));
    OK(bp_data_create(ctx, BP_F32, x, label, 1, 2, 2, &d));
    cr_assert_eq(bp_model_predict(m, x, 1, p), BP_ERR_NONFINITE);
    TEXT("model_predict: row 0: numbers leave the range of f32 on the way");
    cr_assert_eq(bp_model_evaluate(m, d, &loss, &accuracy), BP_ERR_NONFINITE);
    cr_assert_eq(bp_model_predict(m, x, INT64_MAX / 2, p), BP_ERR_ARG);
    bp_data_free(d);
    bp_model_free(m);
}
