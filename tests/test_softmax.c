/* Softmax, log-softmax and cross-entropy over rows and columns of every course: their largest
 * element late, infinite, no number or none. */
#include "suite.h"
#include <float.h>

#define CLAIM(name) Test(softmax, name, .init = setup, .fini = teardown)

/* Columns of a softmax of one element after the other, some with a larger one in each patch: their
 * first elements -Inf, hardly any room below, NaN, Inf and -Inf alone. */
static bp_tensor *steep(bp_dtype type, int64_t n, int64_t c)
{
    const double low = type == BP_F64 ? -DBL_MAX : -FLT_MAX;
    values v = {n * c, malloc((size_t)(n * c) * sizeof(double))};
    for (int64_t i = 0; i < v.n; i++) {
        const int64_t r = i / c, j = i % c;
        v.v[i] = (float)(8 * op_random(5, i) + (double)r * 0.11);
        if (j == 1 && r < 19)
            v.v[i] = -INFINITY;
        if (j == 2)
            v.v[i] = low;
        if ((j == 3 && r == n / 2) || j == 5)
            v.v[i] = j == 3 ? NAN : -INFINITY;
        if (j == 4 && r == n / 3)
            v.v[i] = INFINITY;
    }
    bp_tensor *t = bp_tensor_create(ctx, type, BP_SHAPE(n, c));
    cr_assert(t && tensor_fill(t, &v));
    free(v.v);
    return t;
}

static void alike(bp_tensor *a, bp_tensor *b, double tolerance, double scale)
{
    values x = {0}, y = {0};
    cr_assert(a && b && tensor_values(a, &x) && tensor_values(b, &y), "%s", bp_error_text(ctx));
    cr_assert_eq(x.n, y.n);
    for (int64_t i = 0; i < x.n; i++)
        cr_assert(x.v[i] == y.v[i] || (x.v[i] != x.v[i] && y.v[i] != y.v[i]) ||
                      fabs(x.v[i] - y.v[i]) <= tolerance * (fabs(y.v[i]) + scale),
                  "[%d] %.17g, not %.17g", (int)i, x.v[i], y.v[i]);
    values_free(&x, 1);
    values_free(&y, 1);
}

/* Large results are written past a CPU's caches: of those, some columns have the bits of few. */
CLAIM(columns_of_a_softmax_are_as_its_rows_are)
{
    static const int64_t size[][2] = {{1, 7},    {8, 64},     {9, 65},
                                      {41, 130}, {700, 1030}, {4100, 530}};
    for (int k = 0; k < 24; k++) {
        const bp_dtype type = k % 2 ? BP_F64 : BP_F32;
        const bool log = k / 2 % 2;
        const int64_t n = size[k / 4][0], c = size[k / 4][1], some = c < 130 ? c : 130;
        bp_tensor *x = steep(type, n, c), *dy = tensor_in(ctx, type, BP_SHAPE(n, c), NULL, 2);
        bp_tensor *dx[3], *y[3], *of[3];
        begin();
        of[0] = bp_require_grad(x);
        of[1] = bp_require_grad(bp_transpose(x, 0, 1));
        of[2] = bp_require_grad(bp_slice(x, 1, 0, some, 1));
        bp_tensor *const slope[] = {dy, bp_transpose(dy, 0, 1), bp_slice(dy, 1, 0, some, 1)};
        for (int i = 0; i < 3; i++) {
            y[i] = log ? bp_log_softmax(of[i], i % 2) : bp_softmax(of[i], i % 2);
            OK(bp_grad(ctx, y[i], slope[i], &of[i], 1, 0, &dx[i]));
        }
        /* e^x is 2 ulp off, sums of thousands differ in order; what a logarithm or a difference
         * leaves is small beside what it is of. */
        const double most = type == BP_F64 ? 1e-14 : 3e-6, scale = log ? 1 : 1e-3;
        alike(y[0], bp_transpose(y[1], 0, 1), most, scale);
        alike(dx[0], bp_transpose(dx[1], 0, 1), most, 1);
        alike(bp_slice(y[0], 1, 0, some, 1), y[2], 0, 0);
        alike(bp_slice(dx[0], 1, 0, some, 1), dx[2], 0, 0);
        end();
        bp_free(x);
        bp_free(dy);
    }
}

CLAIM(a_wide_row_may_begin_with_nothing_and_rise)
{
    enum { C = 20001 };
    static double v[C], y[C];
    double sum = 0;
    for (int j = 0; j < C; j++) {
        v[j] = j < C / 2 ? -INFINITY : j / 1000;
        sum += exp(v[j]);
    }
    bp_tensor *x = tensor_in(ctx, BP_F64, BP_SHAPE(1, C), v, 0);
    begin();
    OK(bp_read(bp_log_softmax(x, 1), y, sizeof y));
    end();
    for (int j = 0; j < C; j++)
        cr_assert(isinf(v[j]) ? y[j] == v[j] : fabs(y[j] - (v[j] - log(sum))) < 1e-12, "%d: %g",
                  j, y[j]);
    bp_free(x);
}

/* Element j of row r: each row has a course of its own. */
static double course(int64_t r, int64_t j, int64_t c)
{
    const double wave = op_random(5, r * c + j) * 8 - 4;
    switch (r % 11) {
    case 0: return (double)j / 100;
    case 1: return (double)-j / 100;
    case 2: return j < c / 2 ? -INFINITY : (double)(j / 1000);
    case 3: return -INFINITY;
    case 4: return j == 3 * c / 4 ? NAN : wave;
    case 5: return j == c / 2 ? INFINITY : wave;
    case 6: return j < c - 7 ? -1e30 : 1e30;
    case 7: return j == c - 9 ? 30 : wave;
    case 8: return j < c / 3 ? -(double)FLT_MAX : wave;
    case 9: return j / 1024 % 2 ? 80 + wave : wave - 80;
    default: return wave;
    }
}

/* Of f32, past the caches and not, against f64; losses with rows that do not count. e^x is 2 ulp
 * off, a sum of it, where it is only summed up, 1.4e-8 a unit of x; a logarithm and the slope at a
 * label, where nearly 1 is taken off, are small beside what they are of. */
CLAIM(a_wide_row_of_any_course_has_its_softmax_and_losses)
{
    static const int64_t size[][2] = {{220, 20001}, {33, 20001}, {1100, 4100}, {44, 1500}};
    for (int k = 0; k < 4; k++) {
        const int64_t n = size[k][0], c = size[k][1];
        values v = {n * c, malloc((size_t)(n * c) * sizeof(double))};
        values label = {n, malloc((size_t)n * sizeof(double))};
        for (int64_t i = 0; i < v.n; i++)
            v.v[i] = (double)(float)course(i / c, i % c, c);
        for (int64_t r = 0; r < n; r++)
            label.v[r] = r % 13 == 5 ? -1 : (double)(r % 2 ? c - 9 : r * 7919 % c);
        bp_tensor *x[2], *labels = bp_tensor_create(ctx, BP_I32, BP_SHAPE(n)), *y[2][4], *dx[2];
        cr_assert(labels && tensor_fill(labels, &label));
        begin();
        for (int i = 0; i < 2; i++) {
            x[i] = bp_tensor_create(ctx, i ? BP_F64 : BP_F32, BP_SHAPE(n, c));
            cr_assert(x[i] && tensor_fill(x[i], &v));
            bp_tensor *of = bp_require_grad(x[i]);
            y[i][0] = bp_softmax(x[i], 1);
            y[i][1] = bp_log_softmax(x[i], 1);
            y[i][2] = bp_logsumexp_axes(x[i], 2, 0);
            y[i][3] = bp_cross_entropy_with(of, labels, 0, -1, BP_EACH);
            OK(bp_grad_scalar(ctx, bp_sum(y[i][3]), &of, 1, 0, &dx[i]));
        }
        for (int op = 0; op < 4; op++)
            alike(y[0][op], y[1][op], 1e-6, op ? 1 : 1e-9);
        alike(dx[0], dx[1], 1e-6, 1e-3);
        end();
        for (int i = 0; i < 2; i++)
            bp_free(x[i]);
        bp_free(labels);
        values_free(&v, 1);
        values_free(&label, 1);
    }
}
