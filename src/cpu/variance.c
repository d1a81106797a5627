/* variance: y = sum (x - mean)^2 / (n - correction) over a set of axes, in one pass over memory.
 * Forward: x -> y, mean.
 *
 * A piece of x, which stays in registers, or in cache where it is a run, gives its mean m and its
 * sum of squares about m; pieces are then joined by their counts (Chan, Golub, LeVeque, 1979), so
 * that nothing cancels:
 *
 *     d = m' - m,  m += d n' / (n + n'),  M2 += M2' + d^2 n n' / (n + n')
 *
 * The walk: over_axes.c; the rule: src/ops/variance.c. */
#include <float.h>
#include <math.h>

#include "cpu/over_axes.h"
#include "cpu/vec_rows.h"
#include "door/kernel_params.h"

enum { MEAN, M2, COUNT, VALUES }; /* of an accumulator */
enum { ROWS = 8, RUN = 4096 };    /* elements of a piece; of one of a run, at most */

/* What mean and m2 of `have` elements become with `more` others. */
static inline void meet(double *mean, double *m2, double have, double more, double other_mean,
                        double other_m2)
{
    const double part = more / (have + more), d = other_mean - *mean;
    *m2 += other_m2 + d * (d * (have * part)); /* d^2 may overflow where have is 0 */
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

/* `rows` elements of each output, which stay in registers. */
INLINE void take_rows(const int rows, double *restrict acc, const bpi_taken *t, const real *x)
{
    const double have = acc[COUNT * t->width], more = rows;
    double *restrict m2 = acc + M2 * t->width, *restrict count = acc + COUNT * t->width;
    for (int64_t j = 0; j < t->n; j++) {
        double sum = 0, squares = 0;
        UNROLL for (int i = 0; i < rows; i++)
            sum += (double)x[i * t->row + j];
        const double mean = sum / more;
        UNROLL for (int i = 0; i < rows; i++) {
            const double d = (double)x[i * t->row + j] - mean;
            squares += d * d;
        }
        meet(&acc[j], &m2[j], have, more, mean, squares);
        count[j] = have + more;
    }
}

static void take(double *acc, const bpi_taken *t)
{
    int64_t i = 0;
    for (; i + ROWS <= t->rows; i += ROWS)
        take_rows(ROWS, acc, t, t->x + i * t->row);
    for (; i + ROWS / 2 <= t->rows; i += ROWS / 2)
        take_rows(ROWS / 2, acc, t, t->x + i * t->row);
    for (; i < t->rows; i++)
        take_rows(1, acc, t, t->x + i * t->row);
}

/* The sum of squares is taken about the mean as `real` has it, and then corrected; one near the
 * ends of the range of `real` is left to `take`. */
static void run(double *into, const real *x, int64_t n, int64_t first)
{
    (void)first;
    for (int64_t end; n > 0; x += end, n -= end) {
        end = at_most(n, RUN);
        const double more = (double)end;
        double sum[2];
        ROW_SUMS(1, sum, end, STEP_VECS acc[0][v] += get(x + i, v, left, splat(0)))
        const real mean = (real)(sum[0] / more);
        const vec at = splat(mean);
        ROW_SUMS(2, sum, end, STEP_VECS {
            const vec d = get(x + i, v, left, at) - at;
            acc[0][v] += d;
            acc[1][v] += d * d;
        })
        const double low = sum[0] / more, m2 = sum[1] - sum[0] * low;
        if (m2 < (double)INFINITY && m2 > (BPI_F64 ? DBL_MIN : (double)FLT_MIN) * 0x1p26) {
            meet(&into[MEAN], &into[M2], into[COUNT], more, (double)mean + low, m2);
            into[COUNT] += more;
        } else
            take(into, &(bpi_taken){.x = x, .n = 1, .rows = end, .row = 1, .width = 1});
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

static const bpi_fold_rule rule = {VALUES, 0, {0, 0, 0}, take, join, finish, run};
BPI_OVER_AXES_OP(variance, rule, 2)
