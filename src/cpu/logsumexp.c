/* logsumexp: y = ln sum e^x over a set of axes, without overflow. Forward: x -> y.
 *
 * An accumulator is the largest x, NaN left out, and the sum of e^(x - it); one that is infinite
 * counts as 0 in the difference. The walk: over_axes.c; the rule: src/ops/logsumexp.c. */
#include <math.h>
#include <string.h>

#include "cpu/over_axes.h"
#include "cpu/softmax.h"

enum { MAX, SUM, VALUES };     /* of an accumulator */
enum { ROWS = 32 }; /* of a piece, at most */

static inline real base(real max)
{
    return max - max == 0 ? max : 0;
}

/* What brings a sum from one max to another that is not smaller; 1 where one is infinite. */
static inline double shrink(real from, real to)
{
    const real d = from - to;
    return (double)exp_of(d - d == 0 ? d : 0);
}

static void join(double *restrict acc, const double *restrict other, int64_t n, int64_t width)
{
    for (int64_t j = 0; j < n; j++) {
        const real a = (real)acc[j], b = (real)other[j], max = a > b ? a : b;
        acc[SUM * width + j] = acc[SUM * width + j] * shrink(a, max) +
                               other[SUM * width + j] * shrink(b, max);
        acc[j] = (double)max;
    }
}

/* The sum of a run whose largest x is infinite: no e^x is needed for it. */
static double sum_of_infinite(const real *x, int64_t n, real max)
{
    double sum = max > 0 ? INFINITY : 0;
    for (int64_t i = 0; i < n; i++)
        sum = x[i] == x[i] ? sum : NAN;
    return sum;
}

static void run(double *acc, const real *x, int64_t n, int64_t first)
{
    real max;
    double sum = bpi_terms(x, n, &max);
    (void)first;
    if (max - max != 0)
        sum = sum_of_infinite(x, n, max);
    const double all[VALUES] = {(double)max, sum};
    if (acc[MAX] == -INFINITY && acc[SUM] == 0)
        memcpy(acc, all, sizeof all);
    else
        join(acc, all, 1, 1);
}

static void take_rows(double *restrict acc, const bpi_taken *t, const real *x, int64_t rows)
{
    double piece[VALUES * BPI_STRIP];
    real max[BPI_STRIP], zero[BPI_STRIP], sum[BPI_STRIP];
    for (int64_t j = 0; j < t->n; j++)
        max[j] = -(real)INFINITY;
    for (int64_t i = 0; i < rows; i++)
        for (int64_t j = 0; j < t->n; j++) {
            const real v = x[i * t->row + j];
            max[j] = v > max[j] ? v : max[j];
        }
    for (int64_t j = 0; j < t->n; j++) {
        zero[j] = base(max[j]);
        sum[j] = 0;
    }
    for (int64_t i = 0; i < rows; i++)
        for (int64_t j = 0; j < t->n; j++)
            sum[j] += exp_of(x[i * t->row + j] - zero[j]);
    for (int64_t j = 0; j < t->n; j++) {
        piece[j] = (double)max[j];
        piece[t->width + j] = (double)sum[j];
    }
    join(acc, piece, t->n, t->width);
}

static void take(double *acc, const bpi_taken *t)
{
    for (int64_t i = 0; i < t->rows; i += ROWS)
        take_rows(acc, t, t->x + i * t->row, at_most(t->rows - i, ROWS));
}

static void finish(double *acc, int64_t n, int64_t width, const void *params)
{
    (void)params;
    for (int64_t j = 0; j < n; j++)
        acc[j] = (double)(base((real)acc[j]) + log_of((real)acc[SUM * width + j]));
}

static const bpi_fold_rule rule = {VALUES, 0, {-INFINITY, 0}, take, join, finish, run};
BPI_OVER_AXES_OP(logsumexp, rule, 1)
