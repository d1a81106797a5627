/* argmax, argmin: the place of the largest or smallest element along one axis, the first of equals;
 * NaN, the first, before all numbers. Forward: x -> y, i32.
 * The walk: over_axes.c; the rule: src/ops/argmax.c. */
#include <math.h>

#include "cpu/over_axes.h"
#include "cpu/reduce.h"
#include "door/kernel_params.h"

enum { BEST, PLACE, VALUES }; /* of an accumulator */

/* Whether a comes before b, which has the lower place; no branch, for vectors. */
static inline int before(double a, double b, int least)
{
    return (least ? a < b : a > b) | ((a != a) & (b == b));
}

static inline void join_with(double *acc, const double *other, int64_t n, int64_t width, int least)
{
    for (int64_t j = 0; j < n; j++)
        if (before(other[j], acc[j], least)) {
            acc[j] = other[j];
            acc[PLACE * width + j] = other[PLACE * width + j];
        }
}

/* Element i in lane i mod BPI_LANES; of equals the one with the lowest place stays. */
static inline void take_run(double *acc, const bpi_taken *t, int least)
{
    double best[BPI_LANES], place[BPI_LANES];
    int64_t i = 0;
    for (int j = 0; j < BPI_LANES; j++) {
        best[j] = acc[BEST];
        place[j] = acc[PLACE];
    }
    for (; i + BPI_LANES <= t->rows; i += BPI_LANES)
        for (int j = 0; j < BPI_LANES; j++) {
            const double x = (double)t->x[i + j], at = (double)(t->first + i) + j;
            const int better = before(x, best[j], least);
            best[j] = better ? x : best[j];
            place[j] = better ? at : place[j];
        }
    for (int j = 0; j < BPI_LANES; j++) {
        const int equal = !before(best[j], acc[BEST], least) && !before(acc[BEST], best[j], least);
        if (before(best[j], acc[BEST], least) || (equal && place[j] < acc[PLACE])) {
            acc[BEST] = best[j];
            acc[PLACE] = place[j];
        }
    }
    for (; i < t->rows; i++)
        if (before((double)t->x[i], acc[BEST], least)) {
            acc[BEST] = (double)t->x[i];
            acc[PLACE] = (double)(t->first + i);
        }
}

static inline void take_rows(double *restrict acc, const bpi_taken *t, int64_t step, int least)
{
    double *restrict place = acc + PLACE * t->width;
    for (int64_t i = 0; i < t->rows; i++) {
        const real *x = t->x + i * t->row;
        const double at = (double)(t->first + i);
        for (int64_t j = 0; j < t->n; j++) {
            const double v = (double)x[j * step];
            const int better = before(v, acc[j], least);
            acc[j] = better ? v : acc[j];
            place[j] = better ? at : place[j];
        }
    }
}

static inline void take(double *acc, const bpi_taken *t, int least)
{
    if (t->n == 1 && t->row == 1)
        take_run(acc, t, least);
    else if (t->step == 1)
        take_rows(acc, t, 1, least);
    else
        take_rows(acc, t, t->step, least);
}

static void finish(double *acc, int64_t n, int64_t width, const void *params)
{
    (void)params;
    for (int64_t j = 0; j < n; j++)
        acc[j] = acc[PLACE * width + j];
}

#define ARG(op, first, least)                                                               \
    static void op##_take(double *acc, const bpi_taken *t) { take(acc, t, least); }         \
    static void op##_join(double *acc, const double *other, int64_t n, int64_t width)       \
    {                                                                                       \
        join_with(acc, other, n, width, least);                                             \
    }                                                                                       \
    static const bpi_fold_rule op##_rule = {VALUES, {first, 0}, op##_take, op##_join, finish}; \
    BPI_OVER_AXES_OP(op, op##_rule, 1)
ARG(argmax, -INFINITY, 0)
ARG(argmin, INFINITY, 1)
