/* The reductions of src/door/reduce.def: sum, max, ... Forward: x -> y.
 *
 * Eight elements of each output are taken at a time, which saves loads and stores of acc. The walk,
 * which makes strips of outputs even of one: over_axes.c; the rules: src/ops/reduce.c. */
#include <math.h>

#include "cpu/loop.h"
#include "cpu/over_axes.h"

enum { ROWS = 8, AHEAD = 4096 }; /* bytes */

/* Of a run, what comes next: its lines are not taken in order. */
INLINE void fetch(const bpi_taken *t, int64_t i)
{
    const int64_t line = 64 / (int64_t)sizeof(real), n = ROWS * t->n;
    for (int64_t j = 0; t->row == t->n && j < n; j += line)
        __builtin_prefetch((const char *)(t->x + i * t->row + j) + AHEAD);
}

#define BPI_REDUCE(name, type, saves, start_, step_, join_, result, ...)                         \
    static void name##_join(double *into, const double *from, int64_t n, int64_t width)    \
    {                                                                                      \
        (void)width;                                                                       \
        BPI_EACH(n, double acc = into[i]; const double other = from[i]; join_;             \
                 into[i] = acc)                                                            \
    }                                                                                      \
    INLINE type name##_of(const int rows, const real *from, int64_t row)                   \
    {                                                                                      \
        type acc = start_;                                                                 \
        UNROLL for (int i = 0; i < rows; i++) {                                            \
            const type x = (type)from[i * row];                                            \
            step_;                                                                         \
        }                                                                                  \
        return acc;                                                                        \
    }                                                                                      \
    INLINE void name##_rows(const int rows, double *restrict into, const real *from,       \
                            const bpi_taken *t)                                            \
    {                                                                                      \
        for (int64_t j = 0; j < t->n; j++) {                                               \
            double acc = (double)name##_of(rows, from + j, t->row);                        \
            const double other = into[j];                                                  \
            join_;                                                                         \
            into[j] = acc;                                                                 \
        }                                                                                  \
    }                                                                                      \
    static void name##_take(double *into, const bpi_taken *t)                              \
    {                                                                                      \
        int64_t i = 0;                                                                     \
        for (; i + ROWS <= t->rows; i += ROWS) {                                           \
            fetch(t, i);                                                                   \
            name##_rows(ROWS, into, t->x + i * t->row, t);                                 \
        }                                                                                  \
        for (; i < t->rows; i++)                                                           \
            name##_rows(1, into, t->x + i * t->row, t);                                    \
    }                                                                                      \
    static void name##_finish(double *into, int64_t n, int64_t width, const void *params)  \
    {                                                                                      \
        (void)width, (void)params;                                                         \
        BPI_EACH(n, const double acc = into[i]; into[i] = result)                          \
    }                                                                                      \
    static const bpi_fold_rule name##_rule = {1, 0, {start_}, name##_take, name##_join,       \
                                              name##_finish, NULL};                        \
    BPI_OVER_AXES_OP(name, name##_rule, 1)
#include "door/reduce.def"
