/* Linear regression on the diabetes table (Efron, Hastie, Johnstone, Tibshirani, 2004): 10 numbers
 * of 442 patients and the progress of the disease. A model of one layer, trained, against the
 * closed form
 *
 *     w = (X^T X)^-1 X^T y
 *
 * with X in units of each column's deviation, and a column of 1. Both have a mean squared error of
 * 2859.70, and no prediction is more than 2e-5 apart, where targets go from 25 to 346. Exits with 1
 * where one is 0.01 apart.
 *
 *     diabetes [device [file]]        "auto", "data/small/diabetes.csv" */
#include <bpcuda/bpcuda.h>
#include <math.h>
#include <stdio.h>

#define CHECK(call) do { if ((st = (call)) != BP_OK) goto done; } while (0)

enum { ROWS = 442, COLS = 10, N = COLS + 1 };

/* a w = b by elimination with pivots from the diagonal: a is symmetric and positive. */
static void solve(double a[N][N + 1], double *w)
{
    for (int k = 0; k < N; k++)
        for (int i = k + 1; i < N; i++)
            for (int j = N; j >= k; j--)
                a[i][j] -= a[k][j] * a[i][k] / a[k][k];
    for (int k = N - 1; k >= 0; k--) {
        w[k] = a[k][N];
        for (int j = k + 1; j < N; j++)
            w[k] -= a[k][j] * w[j];
        w[k] /= a[k][k];
    }
}

/* What the closed form predicts. */
static void closed_form(float (*x)[COLS], const float *y, double *told)
{
    static double z[ROWS][N];
    double a[N][N + 1] = {{0}}, w[N];
    for (int k = 0; k < COLS; k++) {
        double mean = 0, square = 0;
        for (int i = 0; i < ROWS; i++)
            mean += (double)x[i][k] / ROWS;
        for (int i = 0; i < ROWS; i++)
            square += (x[i][k] - mean) * (x[i][k] - mean) / ROWS;
        for (int i = 0; i < ROWS; i++)
            z[i][k] = (x[i][k] - mean) / sqrt(square);
    }
    for (int i = 0; i < ROWS; i++) {
        z[i][COLS] = 1;
        for (int k = 0; k < N; k++) {
            for (int j = 0; j < N; j++)
                a[k][j] += z[i][k] * z[i][j];
            a[k][N] += z[i][k] * (double)y[i];
        }
    }
    solve(a, w);
    for (int i = 0; i < ROWS; i++)
        for (int k = told[i] = 0; k < N; k++)
            told[i] += z[i][k] * w[k];
}

int main(int argc, char **argv)
{
    static float x[ROWS][COLS], y[ROWS], told[ROWS];
    static double exact[ROWS];
    bp_context *ctx;
    bp_data *data = NULL;
    bp_model *model = NULL;
    bp_trainer *trainer = NULL;
    double loss, none, best = 0, worst = 0;
    int32_t done;
    bp_status st;
    CHECK(bp_open(argc > 1 ? argv[1] : "auto", &ctx));
    CHECK(bp_seed(ctx, 1));
    CHECK(bp_data_csv(ctx, argc > 2 ? argv[2] : "data/small/diabetes.csv", NULL, &data));
    CHECK(bp_model_create_as(ctx, COLS, "", BP_TASK_REGRESSION, 1, &model));
    CHECK(bp_model_normalize(model, data));
    CHECK(bp_trainer_create(model, data, &trainer));
    CHECK(bp_trainer_set(trainer, BP_TRAIN_BATCH, ROWS));
    CHECK(bp_trainer_set(trainer, BP_TRAIN_EPOCHS, 5000));
    CHECK(bp_trainer_set(trainer, BP_TRAIN_LR, 0.02));
    CHECK(bp_trainer_run(trainer, -1, -1, &done));
    CHECK(bp_model_evaluate(model, data, &loss, &none));
    CHECK(bp_read(bp_data_samples(data), x, sizeof x));
    CHECK(bp_read(bp_data_labels(data), y, sizeof y));
    CHECK(bp_model_predict(model, x[0], ROWS, told));
    closed_form(x, y, exact);
    for (int i = 0; i < ROWS; i++) {
        best += (exact[i] - y[i]) * (exact[i] - y[i]) / ROWS;
        worst = fmax(worst, fabs(exact[i] - told[i]));
    }
    printf("%s: squared error %.2f, closed form %.2f; predictions at most %.1e apart\n",
           bp_device_text(ctx), loss, best, worst);
done:
    if (st != BP_OK)
        fprintf(stderr, "%s\n", bp_error_text(ctx));
    bp_trainer_free(trainer);
    bp_model_free(model);
    bp_data_free(data);
    bp_close(ctx);
    return st != BP_OK || !(worst < 0.01);
}
