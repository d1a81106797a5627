/* The reductions of src/door/reduce.def: sum, max, ... Forward: x -> y.
 *
 * A run is taken in BPI_LANES accumulators, element i in lane i mod BPI_LANES, which are then
 * folded in halves; strips of columns take four rows at a time, which saves loads and stores of
 * acc. The order is fixed, and plain C is enough for vectors. The walk: over_axes.c; the rules:
 * src/ops/reduce.c. */
#include <math.h>

#include "cpu/loop.h"
#include "cpu/over_axes.h"
#include "cpu/reduce.h"

#define BPI_REDUCE(name, saves, start_, step_, join_, result, ...)                         \
    static inline void name##_join(double *into, const double *from, int64_t n, int64_t width)    \
    {                                                                                      \
        (void)width;                                                                       \
        BPI_EACH(n, double acc = into[i]; const double other = from[i]; join_;             \
                 into[i] = acc)                                                            \
    }                                                                                      \
    static void name##_run(double *into, const real *from, int64_t n)                      \
    {                                                                                      \
        double lane[BPI_LANES] = {start_}, acc;                                            \
        int64_t i = 0;                                                                     \
        if (n >= BPI_LANES) {                                                              \
            for (int j = 0; j < BPI_LANES; j++)                                            \
                lane[j] = start_;                                                          \
            for (; i + BPI_LANES <= n; i += BPI_LANES)                                     \
                for (int j = 0; j < BPI_LANES; j++) {                                      \
                    acc = lane[j];                                                         \
                    const double x = (double)from[i + j];                                  \
                    step_;                                                                 \
                    lane[j] = acc;                                                         \
                }                                                                          \
            for (int half = BPI_LANES / 2; half > 0; half /= 2)                            \
                name##_join(lane, lane + half, half, 1);                                   \
        }                                                                                  \
        for (acc = lane[0]; i < n; i++) {                                                  \
            const double x = (double)from[i];                                              \
            step_;                                                                         \
        }                                                                                  \
        const double other = acc;                                                          \
        acc = *into;                                                                       \
        join_;                                                                             \
        *into = acc;                                                                       \
    }                                                                                      \
    static void name##_rows(double *restrict into, const bpi_taken *t)                     \
    {                                                                                      \
        const real *from = t->x;                                                           \
        const int64_t row = t->row, step = t->step;                                        \
        int64_t i = 0;                                                                     \
        for (; step == 1 && i + 4 <= t->rows; i += 4, from += 4 * row)                     \
            for (int64_t j = 0; j < t->n; j++) {                                           \
                double acc = start_, other = into[j], x = (double)from[j];                 \
                step_;                                                                     \
                x = (double)from[j + row];                                                 \
                step_;                                                                     \
                x = (double)from[j + 2 * row];                                             \
                step_;                                                                     \
                x = (double)from[j + 3 * row];                                             \
                step_;                                                                     \
                join_;                                                                     \
                into[j] = acc;                                                             \
            }                                                                              \
        for (; i < t->rows; i++, from += row)                                              \
            for (int64_t j = 0; j < t->n; j++) {                                           \
                double acc = into[j];                                                      \
                const double x = (double)from[j * step];                                   \
                step_;                                                                     \
                into[j] = acc;                                                             \
            }                                                                              \
    }                                                                                      \
    static void name##_take(double *acc, const bpi_taken *t)                               \
    {                                                                                      \
        if (t->n == 1 && t->row == 1)                                                      \
            name##_run(acc, t->x, t->rows);                                                \
        else                                                                               \
            name##_rows(acc, t);                                                           \
    }                                                                                      \
    static void name##_finish(double *into, int64_t n, int64_t width, const void *params)  \
    {                                                                                      \
        (void)width, (void)params;                                                         \
        BPI_EACH(n, const double acc = into[i]; into[i] = result)                          \
    }                                                                                      \
    static const bpi_fold_rule name##_rule = {1, {start_}, name##_take, name##_join,       \
                                              name##_finish};                              \
    BPI_OVER_AXES_OP(name, name##_rule, 1)
#include "door/reduce.def"
