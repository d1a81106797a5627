/* L-BFGS and Levenberg-Marquardt where the answer is known: NIST's certified parameters, the closed
 * form of a linear regression. */
#include "suite.h"

#include "nist.h"

#define CLAIM(name) Test(fits, name, .init = setup, .fini = teardown)

typedef bp_status (*minimiser)(bp_params *, bp_objective_fn, void *, const bp_minimize_options *,
                               bp_found *);

typedef struct fit {
    bp_tensor *b, *x, *y;
    const nist_problem *p;
} fit;

static bp_tensor *nist_residuals(bp_context *c, void *user)
{
    fit *f = user;
    (void)c;
    return bp_sub(f->p->model(f->b, f->x), f->y);
}

/* Digits of the worst parameter, from a start. */
static double digits_of(const nist_problem *p, int start)
{
    double b[7], x[64], y[64], digits = 16;
    for (int i = 0; i < p->rows; i++) {
        y[i] = p->data[i][0];
        x[i] = p->data[i][1];
    }
    bp_tensor *first = tensor_in(ctx, BP_F64, BP_SHAPE(p->n), p->start[start], 0);
    fit f = {.p = p, .x = tensor_in(ctx, BP_F64, BP_SHAPE(p->rows), x, 0),
             .y = tensor_in(ctx, BP_F64, BP_SHAPE(p->rows), y, 0)};
    bp_params *store = store_of(1, &first, &f.b);
    bp_found found = {.struct_bytes = sizeof found};
    OK(bp_levenberg_marquardt(store, nist_residuals, &f, NULL, &found));
    OK(bp_read_f64(f.b, b, p->n));
    for (int i = 0; i < p->n; i++)
        digits = fmin(digits, -log10(fabs(b[i] / p->certified[i] - 1) + 1e-16));
    cr_expect_float_eq(2 * found.value, p->squares, 1e-9 * p->squares, "%s", p->name);
    bp_params_free(store);
    return digits;
}

/* MGH10's far start lies in a bent valley, so narrow that damping without a radius never leaves it. */
CLAIM(levenberg_marquardt_has_six_certified_digits)
{
    for (int k = 0; k < NIST_PROBLEMS; k++)
        for (int start = 0; start < 2; start++)
            cr_expect_gt(digits_of(&nist_problems[k], start), 6, "%s, start %d",
                         nist_problems[k].name, start + 1);
}

/* --- linear regression ----------------------------------------------------------------------- */

enum { ROWS = 442, COLS = 10, N = COLS + 1 };

typedef struct regression {
    bp_params *store;
    bp_tensor *w, *bias, *x, *y;
    double exact[N];
} regression;

static bp_tensor *line_residuals(bp_context *c, void *user)
{
    regression *r = user;
    (void)c;
    return bp_sub(bp_linear(r->x, r->w, r->bias), r->y);
}

static bp_tensor *line_loss(bp_context *c, void *user)
{
    return bp_scale(bp_sum(bp_square(line_residuals(c, user))), 0.5 / ROWS);
}

/* w = (X^T X)^-1 X^T y by elimination, X with a column of 1. */
static void closed_form(double (*x)[COLS], const double *y, double *w)
{
    long double a[N][N + 1] = {{0}};
    for (int r = 0; r < ROWS; r++)
        for (int i = 0; i < N; i++) {
            long double left = i < COLS ? x[r][i] : 1;
            for (int j = 0; j < N; j++)
                a[i][j] += left * (j < COLS ? x[r][j] : 1);
            a[i][N] += left * y[r];
        }
    for (int k = 0; k < N; k++)
        for (int i = 0; i < N; i++) {
            long double part = a[i][k] / a[k][k];
            for (int j = k; j <= N && i != k; j++)
                a[i][j] -= part * a[k][j];
        }
    for (int k = 0; k < N; k++)
        w[k] = (double)(a[k][N] / a[k][k]);
}

static void regress(regression *r)
{
    static double x[ROWS][COLS], y[ROWS];
    bp_data *data;
    bp_csv options = {.struct_bytes = sizeof options, .targets = BP_TARGETS_REAL};
    OK(bp_data_csv(ctx, BPI_SMALL_DATA "/diabetes.csv", &options, &data));
    OK(bp_read_f64(bp_data_column(data, "x"), x[0], ROWS * COLS));
    OK(bp_read_f64(bp_data_column(data, "y"), y, ROWS));
    for (int k = 0; k < COLS; k++) {
        double mean = 0, square = 0;
        for (int i = 0; i < ROWS; i++)
            mean += x[i][k] / ROWS;
        for (int i = 0; i < ROWS; i++)
            square += (x[i][k] - mean) * (x[i][k] - mean) / ROWS;
        for (int i = 0; i < ROWS; i++)
            x[i][k] = (x[i][k] - mean) / sqrt(square);
    }
    closed_form(x, y, r->exact);
    r->x = tensor_in(ctx, BP_F64, BP_SHAPE(ROWS, COLS), x[0], 0);
    r->y = tensor_in(ctx, BP_F64, BP_SHAPE(ROWS, 1), y, 0);
    OK(bp_params_create(ctx, BP_F64, &r->store));
    r->w = bp_param(r->store, "w", BP_SHAPE(1, COLS), BP_INIT_ZERO);
    r->bias = bp_param(r->store, "b", BP_SHAPE(1), BP_INIT_ZERO);
    bp_data_free(data);
}

static void reaches_the_closed_form(minimiser minimise, bp_objective_fn f)
{
    regression r;
    double w[N];
    regress(&r);
    OK(minimise(r.store, f, &r, NULL, NULL));
    OK(bp_read_f64(r.w, w, COLS));
    OK(bp_read_f64(r.bias, w + COLS, 1));
    for (int k = 0; k < N; k++)
        cr_expect(fabs(w[k] - r.exact[k]) <= 1e-8 * fabs(r.exact[k]), "w[%d] is %.12g, not %.12g",
                  k, w[k], r.exact[k]);
    bp_params_free(r.store);
}

CLAIM(lbfgs_reaches_the_closed_form)
{
    reaches_the_closed_form(bp_lbfgs, line_loss);
}

CLAIM(levenberg_marquardt_reaches_the_closed_form)
{
    reaches_the_closed_form(bp_levenberg_marquardt, line_residuals);
}

CLAIM(frozen_parameters_stay)
{
    regression r;
    regress(&r);
    OK(bp_param_freeze(r.store, 0, 1));
    OK(bp_lbfgs(r.store, line_loss, &r, NULL, NULL));
    for (int k = 0; k < COLS; k++)
        cr_expect_eq(at(r.w, k), 0);
    cr_expect_float_eq(at(r.bias, 0), r.exact[COLS], 1e-6); /* columns have the mean 0 */
    OK(bp_param_freeze(r.store, 1, 1));
    cr_assert_eq(bp_lbfgs(r.store, line_loss, &r, NULL, NULL), BP_ERR_ARG);
    TEXT("lbfgs: the store has no parameter that is not frozen");
    bp_params_free(r.store);
}

CLAIM(threads_do_not_change_a_bit)
{
    regression r;
    double first[2][COLS], w[COLS], zero[COLS] = {0};
    regress(&r);
    for (int threads = 1; threads <= 4; threads++) {
        OK(bp_set_threads(ctx, threads));
        for (int kind = 0; kind < 2; kind++) {
            OK(bp_write(r.w, zero, sizeof zero));
            OK(bp_write(r.bias, zero, sizeof *zero));
            OK(kind ? bp_lbfgs(r.store, line_loss, &r, NULL, NULL)
                    : bp_levenberg_marquardt(r.store, line_residuals, &r, NULL, NULL));
            OK(bp_read_f64(r.w, threads == 1 ? first[kind] : w, COLS));
            cr_expect(threads == 1 || memcmp(w, first[kind], sizeof w) == 0);
        }
    }
    bp_params_free(r.store);
}
