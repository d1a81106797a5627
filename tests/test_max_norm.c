/* Weights whose norm into a unit is held, by themselves and behind each step of a trainer; and the
 * estimate of the weight decay, which finds the decay that weights were trained with. */
#include "folder.h"

#define CLAIM(name) Test(max_norm, name, .init = enter, .fini = leave)

enum { UNITS = 4, COLS = 3, FILTERS = 5, EACH = 2 * 2 * 3 };

static double norm_of(const double *row, int n)
{
    double sum = 0;
    for (int i = 0; i < n; i++)
        sum += row[i] * row[i];
    return sqrt(sum);
}

/* Rows that are too long become as long as asked, in their direction; all else stays as it is. */
CLAIM(rows_that_are_too_long_are_shortened_and_nothing_else_changes)
{
    for (bp_dtype dtype = BP_F32; dtype <= BP_F64; dtype++) {
        bp_params *p;
        values before[4], after[4];
        OK(bp_params_create(ctx, dtype, &p));
        bp_tensor *t[] = {bp_param(p, "a.weight", BP_SHAPE(UNITS, COLS), BP_INIT_ZERO),
                          bp_param(p, "a.bias", BP_SHAPE(UNITS), BP_INIT_ZERO),
                          bp_param(p, "conv.weight", BP_SHAPE(FILTERS, 2, 2, 3), BP_INIT_ZERO),
                          bp_param(p, "b.weight", BP_SHAPE(UNITS, COLS), BP_INIT_ZERO)};
        for (int k = 0; k < 4; k++) {
            bp_tensor *drawn = random_tensor(bp_shape_of(t[k]), (uint64_t)k + 3);
            OK(bp_copy_into(t[k], drawn));
            bp_free(drawn);
            cr_assert(tensor_values(t[k], &before[k]));
        }
        OK(bp_params_freeze(p, "b.*", 1));
        OK(bp_max_norm(p, "*", 1));
        for (int k = 0; k < 4; k++)
            cr_assert(tensor_values(t[k], &after[k]));
        int shortened = 0, kept = 0;
        for (int k = 0; k <= 2; k += 2) {
            int n = k ? EACH : COLS;
            for (int64_t r = 0; r < before[k].n / n; r++) {
                const double *old = before[k].v + r * n, *new = after[k].v + r * n;
                double was = norm_of(old, n), factor = was > 1 ? 1 / was : 1;
                shortened += was > 1;
                kept += was <= 1;
                for (int i = 0; i < n; i++)
                    cr_assert_float_eq(new[i], old[i] * factor, was > 1 ? 3e-7 : 0);
            }
        }
        cr_assert(shortened > 2 && kept > 0, "%d, %d", shortened, kept);
        cr_assert_arr_eq(before[1].v, after[1].v, UNITS * sizeof(double), "a bias");
        cr_assert_arr_eq(before[3].v, after[3].v, UNITS * COLS * sizeof(double), "frozen");
        OK(bp_max_norm(p, "*", 1));
        values again;
        cr_assert(tensor_values(t[2], &again));
        cr_assert_arr_eq(again.v, after[2].v, (size_t)again.n * sizeof(double), "once is enough");
        OK(bp_params_freeze(p, "*", 0));
        OK(bp_max_norm(p, "b.*", 0.1));
        cr_assert_neq(at(t[3], 0), before[3].v[0]);
        cr_assert_eq(at(t[0], 0), after[0].v[0], "the pattern says which");
        values_free(before, 4);
        values_free(after, 4);
        values_free(&again, 1);
        bp_params_free(p);
    }
}

static bp_status are_held(bp_trainer *t, const bp_progress *progress, void *user)
{
    bp_model *m = user;
    (void)t, (void)progress;
    for (int32_t i = 0; i < bp_param_count(bp_model_params(m)); i++) {
        bp_tensor *w = bp_param_at(bp_model_params(m), i);
        values v;
        if (bp_shape_of(w).ndim < 2)
            continue;
        cr_assert(tensor_values(w, &v));
        int64_t n = v.n / bp_shape_of(w).dim[0];
        for (int64_t r = 0; r < v.n / n; r++)
            cr_assert_leq(norm_of(v.v + r * n, (int)n), 0.8 * (1 + 1e-5));
        values_free(&v, 1);
    }
    return BP_OK;
}

/* A run with a small norm, by steps that are watched, in plans and by calls, cut and resumed. */
CLAIM(every_step_of_a_trainer_ends_with_weights_that_are_held)
{
    static float w[4][16 * 64];
    for (int how = 0; how < 4; how++) {
        bp_data *d;
        bp_model *m;
        bp_trainer *t;
        int32_t done;
        OK(bp_seed(ctx, 8));
        OK(bp_data_digits(ctx, &d));
        OK(bp_model_create(ctx, 64, "16 relu dropout=0.2", 10, &m));
        OK(bp_model_normalize(m, d));
        OK(bp_trainer_create(m, d, &t));
        OK(bp_trainer_set(t, BP_TRAIN_MAX_NORM, 0.8));
        OK(bp_trainer_set(t, BP_TRAIN_EPOCHS, 2));
        OK(bp_trainer_set(t, BP_TRAIN_LR, 0.02));
        OK(bp_trainer_set(t, BP_TRAIN_EAGER, how == 1));
        if (how == 2)
            OK(bp_trainer_on_step(t, are_held, m));
        if (how == 3)
            OK(bp_trainer_resume(t, path));
        OK(bp_trainer_run(t, how == 0 ? 31 : -1, -1, &done));
        if (how == 0) {
            OK(bp_trainer_save(t, path, 1));
            OK(bp_trainer_run(t, -1, -1, &done));
        }
        OK(bp_read(bp_param_at(bp_model_params(m), 0), w[how], sizeof w[how]));
        cr_assert_arr_eq(w[how], w[0], sizeof w[0], "way %d", how);
        OK(are_held(t, NULL, m));
        bp_trainer_free(t);
        bp_model_free(m);
        bp_data_free(d);
    }
}

CLAIM(a_norm_that_cannot_be_is_refused)
{
    bp_params *p;
    OK(bp_params_create(ctx, BP_F32, &p));
    cr_assert(bp_param(p, "w", BP_SHAPE(2, 2), BP_INIT_ONE));
    for (int i = 0; i < 4; i++)
        cr_assert_eq(bp_max_norm(p, "*", (double[]){0, -1, NAN, INFINITY}[i]), BP_ERR_ARG);
    cr_assert_eq(bp_max_norm(p, "v*", 1), BP_ERR_ARG);
    TEXT("max_norm: no parameter is named v*: of 1 the first is w");
    cr_assert_eq(at(bp_param_at(p, 0), 0), 1);
    bp_params_free(p);
}

/* --- the estimate --------------------------------------------------------------------------- */

enum { ROWS = 50 };

static bp_data *line(bool weighted)
{
    bp_data *d;
    float x[ROWS * 2], y[ROWS], weight[ROWS];
    for (int i = 0; i < ROWS; i++) {
        x[2 * i] = (float)op_random(1, i);
        x[2 * i + 1] = (float)op_random(2, i);
        y[i] = 3 * x[2 * i] - 2 * x[2 * i + 1] + (float)op_random(3, i);
        weight[i] = (float)(i % 3);
    }
    OK(bp_data_table(ctx, ROWS, &d));
    OK(bp_data_add(d, "x", BP_F32, BP_SHAPE(2), x));
    OK(bp_data_add(d, "y", BP_F32, BP_SCALAR, y));
    if (weighted)
        OK(bp_data_add(d, "weight", BP_F32, BP_SCALAR, weight));
    return d;
}

/* Weights that were trained with a decay until nothing moved are held just by it: at the minimum of
 * E + l2 |w|^2 / 2 the gradient of E is -l2 w. Read in parts of 7 rows, with weights and without. */
CLAIM(the_estimate_is_the_decay_that_the_weights_were_trained_with)
{
    for (int weighted = 0; weighted < 2; weighted++) {
        bp_data *d = line(weighted);
        bp_model *m;
        bp_trainer *t;
        int32_t done;
        double l2, again;
        OK(bp_model_create_as(ctx, 2, "", BP_TASK_REGRESSION, 1, &m));
        OK(bp_trainer_create(m, d, &t));
        OK(bp_trainer_set(t, BP_TRAIN_OPTIMIZER, BP_SGD));
        OK(bp_trainer_set(t, BP_TRAIN_LR, 0.3));
        OK(bp_trainer_set(t, BP_TRAIN_L2, 0.05));
        OK(bp_trainer_set(t, BP_TRAIN_BATCH, ROWS));
        OK(bp_trainer_set(t, BP_TRAIN_EPOCHS, 2000));
        OK(bp_trainer_schedule(t, "constant"));
        OK(bp_trainer_run(t, -1, -1, &done));
        bp_trainer_free(t);
        float before[2], after[2];
        bp_tensor *w = bp_param_at(bp_model_params(m), 0);
        OK(bp_read(w, before, sizeof before));
        OK(bp_trainer_create(m, d, &t));
        OK(bp_trainer_set(t, BP_TRAIN_BATCH, 7));
        OK(bp_trainer_decay(t, &l2));
        OK(bp_trainer_decay(t, &again));
        cr_assert_float_eq(l2, 0.05, 2e-5, "%g", l2);
        cr_assert_eq(l2, again);
        OK(bp_read(w, after, sizeof after));
        cr_assert_arr_eq(before, after, sizeof before);
        OK(bp_trainer_set(t, BP_TRAIN_EPOCHS, 1));
        OK(bp_trainer_run(t, -1, -1, &done));
        cr_assert(done);
        bp_trainer_free(t);
        bp_model_free(m);
        bp_data_free(d);
    }
}

static int64_t fill(void *user, int64_t batch, void *const *columns, int64_t rows)
{
    (void)user, (void)batch;
    memset(columns[0], 0, (size_t)rows * sizeof(float));
    memset(columns[1], 0, (size_t)rows * sizeof(float));
    return rows;
}

CLAIM(an_estimate_wants_rows_and_weights_that_are_not_0)
{
    bp_data *d = line(false), *source;
    bp_model *m;
    bp_trainer *t;
    double l2 = 7;
    float zero[2] = {0};
    OK(bp_model_create_as(ctx, 2, "", BP_TASK_REGRESSION, 1, &m));
    OK(bp_write(bp_param_at(bp_model_params(m), 0), zero, sizeof zero));
    OK(bp_trainer_create(m, d, &t));
    cr_assert_eq(bp_trainer_decay(t, &l2), BP_ERR_NONFINITE);
    cr_assert_eq(l2, 0);
    cr_assert(strstr(bp_error_text(ctx), "that of the weights 0"), "%s", bp_error_text(ctx));
    bp_trainer_free(t);
    bp_model_free(m);
    bp_data_free(d);
    OK(bp_data_source(ctx, 4, 2, fill, NULL, &source));
    OK(bp_data_add(source, "x", BP_F32, BP_SHAPE(1), NULL));
    OK(bp_data_add(source, "y", BP_F32, BP_SCALAR, NULL));
    OK(bp_model_create_as(ctx, 1, "", BP_TASK_REGRESSION, 1, &m));
    OK(bp_trainer_create(m, source, &t));
    cr_assert_eq(bp_trainer_decay(t, &l2), BP_ERR_STATE);
    TEXT("trainer_decay: a source has no rows of its own");
    bp_trainer_free(t);
    bp_model_free(m);
    bp_data_free(source);
}
