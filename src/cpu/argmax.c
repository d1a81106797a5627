/* argmax, argmin: the place of the largest or smallest element along one axis, the first of equals;
 * NaN, the first, before all numbers. Forward: x -> y, i32.
 * The walk: over_axes.c; the rule: src/ops/argmax.c. */
#include <math.h>

#include "cpu/over_axes.h"
#include "cpu/reduce.h"
#include "door/kernel_params.h"

enum { BEST, PLACE, VALUES }; /* of an accumulator */

/* Whether a comes before b; no branch, for vectors. */
static inline int before(double a, double b, int least)
{
    return (least ? a < b : a > b) | ((a != a) & (b == b));
}

/* Of equals the lower place stays. */
static inline void join_with(double *acc, const double *other, int64_t n, int64_t width, int least)
{
    for (int64_t j = 0; j < n; j++) {
        const double a = acc[j], b = other[j], at = other[PLACE * width + j];
        const int equal = !before(a, b, least) & (at < acc[PLACE * width + j]);
        if (before(b, a, least) | equal) {
            acc[j] = b;
            acc[PLACE * width + j] = at;
        }
    }
}

static inline void take(double *restrict acc, const bpi_taken *t, int least)
{
    double *restrict place = acc + PLACE * t->width;
    for (int64_t i = 0; i < t->rows; i++) {
        const real *x = t->x + i * t->row;
        const double first = (double)(t->first + i * t->down), across = (double)t->across;
        for (int64_t j = 0; j < t->n; j++) {
            const double v = (double)x[j];
            const int better = before(v, acc[j], least);
            acc[j] = better ? v : acc[j];
            place[j] = better ? first + (double)j * across : place[j];
        }
    }
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
    static const bpi_fold_rule op##_rule = {VALUES, 1, {first, 0}, op##_take, op##_join, finish, \
                                            NULL};                                           \
    BPI_OVER_AXES_OP(op, op##_rule, 1)
ARG(argmax, -INFINITY, 0)
ARG(argmin, INFINITY, 1)
