/* variance: y = sum (x - mean)^2 / (n - correction) over a set of axes, in one pass over memory.
 * Forward: x -> y, mean.
 *
 * A piece of x, which stays in cache, gives its mean m and its sum of squares about m; pieces are
 * then joined by their counts (Chan, Golub, LeVeque, 1979), so that nothing cancels:
 *
 *     d = m' - m,  m += d n' / (n + n'),  M2 += M2' + d^2 n n' / (n + n')
 *
 * The walk: over_axes.c; the rule: src/ops/variance.c. */
#include <math.h>

#include "cpu/over_axes.h"
#include "cpu/reduce.h"
#include "door/kernel_params.h"

enum { MEAN, M2, COUNT, VALUES }; /* of an accumulator */
enum { RUN = 1024, ROWS = 8 };    /* elements of a piece, at most */

/* What mean and m2 of `have` elements become with `more` others. */
static inline void meet(double *mean, double *m2, double have, double more, double other_mean,
                        double other_m2)
{
    const double part = more / (have + more), d = other_mean - *mean;
    *m2 += other_m2 + d * d * (have * part);
    *mean += d - d == 0 ? d * part : other_mean; /* an infinite mean stays one */
}

static void join(double *restrict acc, const double *restrict other, int64_t n, int64_t width)
{
    for (int64_t j = 0; j < n; j++) {
        double *count = &acc[COUNT * width + j];
        const double more = other[COUNT * width + j];
        meet(&acc[j], &acc[M2 * width + j], *count, more, other[j], other[M2 * width + j]);
        *count += more;
    }
}

static void take_run(double *acc, const real *x, int64_t n)
{
    double lane[BPI_LANES] = {0}, rest = 0;
    const double mean = bpi_run_sum(x, n) / (double)n;
    int64_t i = 0;
    for (; i + BPI_LANES <= n; i += BPI_LANES)
        for (int j = 0; j < BPI_LANES; j++)
            lane[j] += ((double)x[i + j] - mean) * ((double)x[i + j] - mean);
    for (; i < n; i++)
        rest += ((double)x[i] - mean) * ((double)x[i] - mean);
    meet(&acc[MEAN], &acc[M2], acc[COUNT], (double)n, mean, bpi_fold(lane) + rest);
    acc[COUNT] += (double)n;
}

/* Some rows of n columns, `step` apart. */
static inline void take_rows(double *restrict acc, const bpi_taken *t, const real *x, int64_t rows,
                             int64_t step)
{
    double mean[BPI_STRIP], m2[BPI_STRIP];
    const double have = acc[COUNT * t->width], more = (double)rows;
    for (int64_t j = 0; j < t->n; j++)
        mean[j] = m2[j] = 0;
    for (int64_t i = 0; i < rows; i++)
        for (int64_t j = 0; j < t->n; j++)
            mean[j] += (double)x[i * t->row + j * step];
    for (int64_t j = 0; j < t->n; j++)
        mean[j] /= more;
    for (int64_t i = 0; i < rows; i++)
        for (int64_t j = 0; j < t->n; j++) {
            const double d = (double)x[i * t->row + j * step] - mean[j];
            m2[j] += d * d;
        }
    for (int64_t j = 0; j < t->n; j++) {
        meet(&acc[j], &acc[M2 * t->width + j], have, more, mean[j], m2[j]);
        acc[COUNT * t->width + j] = have + more;
    }
}

static void take(double *acc, const bpi_taken *t)
{
    const int run = t->n == 1 && t->row == 1;
    const int64_t most = run ? RUN : ROWS;
    for (int64_t i = 0; i < t->rows; i += most) {
        const int64_t n = at_most(t->rows - i, most);
        const real *x = t->x + i * t->row;
        if (run)
            take_run(acc, x, n);
        else if (t->step == 1)
            take_rows(acc, t, x, n, 1);
        else
            take_rows(acc, t, x, n, t->step);
    }
}

/* The variance or its root, and the mean behind it. */
static void finish(double *acc, int64_t n, int64_t width, const void *params)
{
    const bpi_variance_params *p = params;
    for (int64_t j = 0; j < n; j++) {
        const double count = acc[COUNT * width + j], left = count - p->correction;
        const double mean = count > 0 ? acc[j] : NAN;
        const double y = acc[M2 * width + j] / (left > 0 ? left : 0);
        acc[j] = p->root ? sqrt(y) : y;
        acc[width + j] = mean;
    }
}

static const bpi_fold_rule rule = {VALUES, {0, 0, 0}, take, join, finish};
BPI_OVER_AXES_OP(variance, rule, 2)
