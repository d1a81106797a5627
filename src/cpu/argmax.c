/* argmax, argmin: the place of the largest or smallest element along one axis, the first of equals;
 * NaN, the first, before all numbers. Forward: x -> y, i32.
 * The walk: over_axes.c; the rule: src/ops/argmax.c. */
#include <math.h>

#include "cpu/over_axes.h"
#include "cpu/vec_rows.h"
#include "door/kernel_params.h"

enum { BEST, PLACE, VALUES }; /* of an accumulator */
enum { RUN = 1024};           /* elements of a piece, at most */

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

/* The best of a piece, NaN before all, without its place, which is looked for only where it is
 * better than what there is. */
INLINE real best_of(const real *x, int64_t n, const int least)
{
    const vec none = splat(least ? (real)INFINITY : -(real)INFINITY);
    vec best[GROUP];
    lane_mask bad[GROUP] = {{0}};
    EACH_VEC best[v] = splat(-(real)INFINITY);
    ROW_STEPS(0, n, STEP_VECS {
        const vec u = get(x + i, v, left, none);
        best[v] = larger(least ? -u : u, best[v]);
        bad[v] |= (lane_mask)(u != u);
    })
    const real most = largest_lane(larger(larger(best[0], best[1]), larger(best[2], best[3])));
    bad[0] |= bad[1] | bad[2] | bad[3];
    lane_int nan = 0;
    UNROLL for (int j = 0; j < LANES; j++)
        nan |= bad[0][j];
    return nan ? (real)NAN : least ? -most : most;
}

INLINE void run(double *acc, const real *x, int64_t n, int64_t first, const int least)
{
    for (int64_t i = 0; i < n; i += RUN) {
        const int64_t end = at_most(i + RUN, n);
        const real best = best_of(x + i, end - i, least);
        if (!before((double)best, *acc, least))
            continue;
        int32_t at = RUN;
        for (int32_t j = 0; j < (int32_t)(end - i); j++) { /* no branch, for vectors */
            const int32_t here = ((x[i + j] == best) | (x[i + j] != x[i + j])) ? j : RUN;
            at = here < at ? here : at;
        }
        acc[BEST] = (double)best;
        acc[PLACE] = (double)(first + i + at);
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
    static void op##_run(double *acc, const real *x, int64_t n, int64_t at)                 \
    {                                                                                       \
        run(acc, x, n, at, least);                                                          \
    }                                                                                       \
    static const bpi_fold_rule op##_rule = {VALUES, 1, {first, 0}, op##_take, op##_join, finish, \
                                            op##_run};                                       \
    BPI_OVER_AXES_OP(op, op##_rule, 1)
ARG(argmax, -INFINITY, 0)
ARG(argmin, INFINITY, 1)
