/* Samples that are scaled to bounds, or decorrelated: what becomes of means, variances and
 * covariances; that it is fitted on what is given alone, kept by files and snapshots, and undone. */
#include <time.h>

#include "folder.h"
#include "nn/eigen.h"

#define CLAIM(name) Test(decorrelate, name, .init = enter, .fini = leave)

enum { N = 400, COLS = 5, CLASSES = 2 };
static const double added = 0.01; /* to the variances: model.h */

/* Columns that depend on one another, in units of their own; the last does not vary. */
static void mixed(float *x, int32_t *label, uint64_t seed)
{
    for (int i = 0; i < N; i++) {
        double a = op_random(seed, 4 * i), b = op_random(seed, 4 * i + 1);
        double c = op_random(seed, 4 * i + 2), d = op_random(seed, 4 * i + 3);
        const double row[COLS] = {1000 + 3 * a, a + 0.5 * b, 1e-3 * (b - c),
                                  50 * (a + b + c + 3 * d), 7};
        for (int k = 0; k < COLS; k++)
            x[COLS * i + k] = (float)row[k];
        label[i] = a > b;
    }
}

static bp_data *set_of(const float *x, const int32_t *label)
{
    bp_data *d;
    OK(bp_data_create(ctx, BP_F32, x, label, N, COLS, CLASSES, &d));
    return d;
}

static bp_model *model_as(bp_data *d, bp_normalize how)
{
    bp_model *m;
    OK(bp_seed(ctx, 3));
    OK(bp_model_create(ctx, COLS, "6 tanh", CLASSES, &m));
    OK(bp_model_normalize_as(m, d, how));
    return m;
}

/* Of rows y: means, and covariances [cols, cols]. */
static void moments(const float *y, int64_t rows, int64_t cols, double *mean, double *covariance)
{
    for (int64_t j = 0; j < cols; j++) {
        mean[j] = 0;
        for (int64_t i = 0; i < rows; i++)
            mean[j] += (double)y[i * cols + j] / (double)rows;
    }
    for (int64_t j = 0; j < cols; j++)
        for (int64_t k = 0; k < cols; k++) {
            covariance[j * cols + k] = 0;
            for (int64_t i = 0; i < rows; i++)
                covariance[j * cols + k] += ((double)y[i * cols + j] - mean[j]) *
                                            ((double)y[i * cols + k] - mean[k]) / (double)rows;
        }
}

CLAIM(bounds_become_minus_1_and_1)
{
    float x[N * COLS], y[N * COLS];
    int32_t label[N];
    mixed(x, label, 1);
    bp_data *d = set_of(x, label);
    bp_model *m = model_as(d, BP_NORMALIZE_MINMAX);
    OK(bp_model_normalized_of(m, x, N, y));
    for (int k = 0; k < COLS; k++) {
        float low = y[k], high = y[k];
        for (int i = 0; i < N; i++) {
            low = fminf(low, y[COLS * i + k]);
            high = fmaxf(high, y[COLS * i + k]);
        }
        cr_assert_eq(low, k < 4 ? -1.f : 0.f, "%g", (double)low);
        cr_assert_eq(high, k < 4 ? 1.f : 0.f, "%g", (double)high);
    }
    bp_model_free(m);
    bp_data_free(d);
}

CLAIM(components_have_no_covariance_and_the_variance_that_is_told)
{
    float x[N * COLS], plain[N * COLS], y[N * COLS];
    int32_t label[N];
    double mean[COLS], before[COLS * COLS], after[COLS * COLS], value[COLS];
    mixed(x, label, 2);
    bp_data *d = set_of(x, label);
    for (bp_normalize how = BP_NORMALIZE_PCA; how <= BP_NORMALIZE_ZCA; how++) {
        bp_model *m = model_as(d, BP_NORMALIZE_COLUMN);
        OK(bp_model_normalized_of(m, x, N, plain));
        OK(bp_model_normalize_as(m, d, how));
        OK(bp_model_normalized_of(m, x, N, y));
        moments(plain, N, COLS, mean, before);
        double vector[COLS * COLS], room[2 * COLS], copy[COLS * COLS];
        memcpy(copy, before, sizeof copy);
        cr_assert(bpi_eigen(copy, vector, value, room, COLS));
        moments(y, N, COLS, mean, after);
        for (int j = 0; j < COLS; j++) {
            cr_assert_float_eq(mean[j], 0, 2e-5, "mean %d: %g", j, mean[j]);
            for (int k = 0; k < COLS; k++) {
                double want = 0; /* of ZCA: U l / (l + added) U^T */
                for (int c = 0; c < COLS; c++) {
                    double kept = value[c] / (value[c] + added);
                    want += how == BP_NORMALIZE_ZCA
                                ? vector[c * COLS + j] * kept * vector[c * COLS + k]
                                : (j == c && k == c) * kept;
                }
                cr_assert_float_eq(after[j * COLS + k], want, 1e-4, "way %d, %d and %d: %g, not %g",
                                   (int)how, j, k, after[j * COLS + k], want);
            }
        }
        bp_model_free(m);
    }
    bp_data_free(d);
}

/* Of what is decorrelated so, ZCA is the nearest to what it was made of: its matrix is symmetric. */
CLAIM(zca_turns_nothing)
{
    float x[N * COLS], w[COLS * COLS];
    int32_t label[N];
    mixed(x, label, 3);
    bp_data *d = set_of(x, label);
    bp_model *m = model_as(d, BP_NORMALIZE_ZCA);
    OK(bp_read(bp_model_decorrelation(m), w, sizeof w));
    for (int j = 0; j < COLS; j++)
        for (int k = 0; k < COLS; k++)
            cr_assert_float_eq(w[j * COLS + k], w[k * COLS + j], 1e-6);
    OK(bp_model_normalize_as(m, d, BP_NORMALIZE_GLOBAL));
    cr_assert_null(bp_model_decorrelation(m));
    bp_model_free(m);
    bp_data_free(d);
}

CLAIM(what_was_normalised_is_undone)
{
    static float x[N * COLS], y[N * COLS], back[N * COLS];
    int32_t label[N];
    mixed(x, label, 4);
    bp_data *d = set_of(x, label);
    for (bp_normalize how = BP_NORMALIZE_NONE; how <= BP_NORMALIZE_ZCA; how++) {
        bp_model *m = model_as(d, how);
        OK(bp_model_normalized_of(m, x, N, y));
        OK(bp_model_raw_of(m, y, N, back));
        for (int i = 0; i < N * COLS; i++) {
            double unit = (const double[]){1, 0.3, 3e-4, 50, 0}[i % COLS];
            cr_assert_float_eq((double)back[i], (double)x[i],
                               1e-4 * unit + 2e-7 * fabs((double)x[i]), "way %d, %d: %g, not %g",
                               (int)how, i, (double)back[i], (double)x[i]);
        }
        OK(bp_model_raw_of(m, y, N, y)); /* in place */
        cr_assert_arr_eq(y, back, sizeof y);
        OK(bp_model_normalized_of(m, x, 0, NULL));
        OK(bp_model_raw_of(m, NULL, 0, NULL));
        cr_assert_eq(bp_model_normalized_of(m, x, -1, y), BP_ERR_ARG);
        cr_assert_eq(bp_model_raw_of(m, NULL, 1, y), BP_ERR_ARG);
        TEXT("model_raw_of: y is NULL");
        bp_model_free(m);
    }
    bp_data_free(d);
}

/* The same rows in another set are turned as the first set says, whatever else is there. */
CLAIM(it_is_fitted_on_the_set_that_is_given_alone)
{
    bp_data *all, *part[2];
    bp_model *m[2];
    float w[2][64 * 64];
    OK(bp_data_digits(ctx, &all));
    OK(bp_data_split(all, 0.3, 0, &part[0], &part[1]));
    for (int i = 0; i < 2; i++) {
        OK(bp_model_create(ctx, 64, "8", 10, &m[i]));
        OK(bp_model_normalize_as(m[i], part[0], BP_NORMALIZE_ZCA));
        OK(bp_read(bp_model_decorrelation(m[i]), w[i], sizeof w[i]));
        bp_data_free(part[1]); /* the rows that test are gone: nothing is missing */
        part[1] = NULL;
    }
    cr_assert_arr_eq(w[0], w[1], sizeof w[0]);
    OK(bp_model_normalize_as(m[1], all, BP_NORMALIZE_ZCA));
    OK(bp_read(bp_model_decorrelation(m[1]), w[1], sizeof w[1]));
    cr_assert_arr_neq(w[0], w[1], sizeof w[0]);
    for (int i = 0; i < 2; i++)
        bp_model_free(m[i]);
    bp_data_free(part[0]);
    bp_data_free(all);
}

CLAIM(files_and_snapshots_keep_it)
{
    float x[N * COLS], p[N * CLASSES], q[N * CLASSES];
    int32_t label[N];
    mixed(x, label, 5);
    bp_data *d = set_of(x, label);
    for (bp_normalize how = BP_NORMALIZE_MINMAX; how <= BP_NORMALIZE_ZCA; how++) {
        bp_model *m = model_as(d, how), *other;
        bp_snapshot *s;
        OK(bp_model_predict(m, x, N, p));
        OK(bp_model_save(m, path));
        OK(bp_snapshot_take(m, &s));
        OK(bp_model_load(ctx, path, &other));
        cr_assert_eq(bp_model_normalized(other), how);
        OK(bp_model_predict(other, x, N, q));
        cr_assert_arr_eq(p, q, sizeof p);
        for (int i = 0; i < N; i++) /* the short way of one sample */
            OK(bp_model_predict(other, x + COLS * i, 1, q + CLASSES * i));
        for (int i = 0; i < N * CLASSES; i++)
            cr_assert_float_eq((double)p[i], (double)q[i], 1e-6);
        bp_model_free(other);
        OK(bp_model_from(ctx, s, &other));
        OK(bp_model_predict(other, x, N, q));
        cr_assert_arr_eq(p, q, sizeof p);
        OK(bp_model_normalize_as(other, d, BP_NORMALIZE_NONE));
        OK(bp_model_predict(other, x, 1, q));
        OK(bp_model_restore(other, s));
        for (int n = 1; n <= N; n += N - 1) {
            OK(bp_model_predict(other, x, n, q));
            for (int i = 0; i < n * CLASSES; i++)
                cr_assert_float_eq((double)p[i], (double)q[i], 1e-6);
        }
        OK(bp_model_load_into(other, path));
        bp_snapshot_free(s);
        bp_model_free(other);
        bp_model_free(m);
    }
    bp_data_free(d);
}

/* A normaliser may be set between two calls of a run: what was recorded is recorded anew. */
CLAIM(a_run_goes_on_with_what_the_normaliser_is_now)
{
    float x[N * COLS], w[2][6 * COLS];
    int32_t label[N], done;
    mixed(x, label, 6);
    bp_data *d = set_of(x, label);
    for (int eager = 0; eager < 2; eager++) {
        bp_trainer *t;
        bp_model *m = model_as(d, BP_NORMALIZE_COLUMN);
        OK(bp_trainer_create(m, d, &t));
        OK(bp_trainer_set(t, BP_TRAIN_EAGER, eager));
        OK(bp_trainer_set(t, BP_TRAIN_EPOCHS, 5));
        OK(bp_trainer_run(t, 9, -1, &done));
        OK(bp_model_normalize_as(m, d, BP_NORMALIZE_PCA));
        OK(bp_trainer_run(t, 9, -1, &done));
        OK(bp_model_normalize_as(m, d, BP_NORMALIZE_COLUMN));
        OK(bp_trainer_run(t, -1, -1, &done));
        OK(bp_read(bp_param_at(bp_model_params(m), 0), w[eager], sizeof w[eager]));
        bp_trainer_free(t);
        bp_model_free(m);
    }
    cr_assert_arr_eq(w[0], w[1], sizeof w[0]);
    bp_data_free(d);
}

/* Rows may be fewer than columns, even one: what does not vary becomes 0, nothing is blown up. */
CLAIM(few_rows_are_enough)
{
    float x[2 * COLS] = {1, 2, 3, 4, 5, 2, 4, 6, 8, 5}, y[2 * COLS];
    int32_t label[2] = {0, 1};
    for (int64_t rows = 1; rows <= 2; rows++) {
        bp_data *d;
        OK(bp_data_create(ctx, BP_F32, x, label, rows, COLS, CLASSES, &d));
        bp_model *m = model_as(d, BP_NORMALIZE_PCA);
        OK(bp_model_normalized_of(m, x, rows, y));
        for (int i = 0; i < rows * COLS; i++)
            cr_assert(fabs((double)y[i]) < 1.001, "%g", (double)y[i]);
        cr_assert_float_eq(fabs((double)y[0]), rows == 1 ? 0 : 1, 0.01);
        bp_model_free(m);
        bp_data_free(d);
    }
}

CLAIM(784_columns_take_seconds_at_most_and_many_more_are_refused)
{
    enum { ROWS = 300, WIDE = 784, WIDER = 2049 };
    float *x = calloc(ROWS * WIDER, sizeof *x);
    int32_t label[ROWS] = {0, 1};
    bp_data *d;
    bp_model *m;
    struct timespec begun, ended;
    for (int i = 0; i < ROWS * WIDE; i++)
        x[i] = i % 7 ? (float)op_random(1, i) : 0;
    OK(bp_data_create(ctx, BP_F32, x, label, ROWS, WIDE, 2, &d));
    OK(bp_model_create(ctx, WIDE, "8", 2, &m));
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &begun);
    OK(bp_model_normalize_as(m, d, BP_NORMALIZE_ZCA));
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ended);
    cr_assert_lt(ended.tv_sec - begun.tv_sec, 30, "by far, on any machine");
    bp_model_free(m);
    bp_data_free(d);
    OK(bp_data_create(ctx, BP_F32, x, label, ROWS, WIDER, 2, &d));
    OK(bp_model_create(ctx, WIDER, "8", 2, &m));
    cr_assert_eq(bp_model_normalize_as(m, d, BP_NORMALIZE_ZCA), BP_ERR_UNSUPPORTED);
    TEXT("model_normalize: 2049 inputs; zca is for at most 2048");
    cr_assert_eq(bp_model_normalized(m), BP_NORMALIZE_NONE);
    bp_model_free(m);
    bp_data_free(d);
    free(x);
}

/* --- eigenvectors --------------------------------------------------------------------------- */

/* Residual and orthogonality of random, singular, diagonal, constant and zero matrices. */
CLAIM(eigenvectors_are_those_of_the_matrix)
{
    enum { MOST = 40 };
    for (int kind = 0; kind < 5; kind++)
        for (int64_t n = 1; n <= MOST; n = n < 5 ? n + 1 : 2 * n) {
            static double a[MOST * MOST], b[MOST * MOST], v[MOST * MOST], value[MOST];
            static double room[2 * MOST];
            for (int64_t i = 0; i < n; i++)
                for (int64_t j = 0; j <= i; j++) {
                    double x = op_random(kind + 1, i * n + j) - 0.5;
                    x = kind == 1   ? (double)(i == j) * (double)(i % 3)
                        : kind == 2 ? 0
                        : kind == 3 ? 1 : x;
                    if (kind == 4 && (i % 3 == 0 || j % 3 == 0))
                        x = 0;
                    a[i * n + j] = a[j * n + i] = b[i * n + j] = b[j * n + i] = x;
                }
            cr_assert(bpi_eigen(a, v, value, room, n));
            for (int64_t k = 0; k < n; k++) {
                cr_assert(k == 0 || value[k] <= value[k - 1]);
                for (int64_t i = 0; i < n; i++) {
                    double bv = 0, dot = 0;
                    for (int64_t j = 0; j < n; j++) {
                        bv += b[i * n + j] * v[k * n + j];
                        dot += v[i * n + j] * v[k * n + j];
                    }
                    cr_assert_float_eq(bv, value[k] * v[k * n + i], 1e-13 * (double)n, "kind %d, %d",
                                       kind, (int)n);
                    cr_assert_float_eq(dot, i == k, 1e-13 * (double)n);
                }
            }
        }
}
