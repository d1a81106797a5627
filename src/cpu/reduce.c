/* The reductions of src/door/reduce.def: sum, max, ... Forward: x -> y.
 *
 * Eight elements of each output are taken at a time, which saves loads and stores of acc. The walk,
 * which makes strips of outputs even of one: over_axes.c; the rules: src/ops/reduce.c. */
#include <math.h>

#include "cpu/loop.h"
#include "cpu/over_axes.h"
#include "cpu/vec.h"

enum { ROWS = 8, COLS = 128, AHEAD = 4096 /* bytes */, WIDE = BPI_VECTOR_BYTES / 8 };

typedef double wide __attribute__((vector_size(BPI_VECTOR_BYTES)));
typedef wide wide_at __attribute__((aligned(8), may_alias));
typedef int64_t wide_bits __attribute__((vector_size(BPI_VECTOR_BYTES)));

/* WIDE elements, which become doubles on their way from memory: the compiler would convert halves
 * of what it has loaded. */
#if BPI_F64
INLINE wide widened(const real *x) { return *(const wide_at *)x; }
#elif BPI_VECTOR_BYTES == 64
INLINE wide widened(const real *x) { return _mm512_cvtps_pd(_mm256_loadu_ps(x)); }
#elif BPI_VECTOR_BYTES == 32
INLINE wide widened(const real *x) { return _mm256_cvtps_pd(_mm_loadu_ps(x)); }
#else
INLINE wide widened(const real *x) { return (wide){(double)x[0], (double)x[1]}; }
#endif

INLINE wide magnitudes(wide x) { return (wide)((wide_bits)x & INT64_MAX); }
#define abs_of(x) _Generic((x), wide: magnitudes, double: fabs)(x)

/* What comes next: of a run a page on, for its lines are not taken in order; of a strip the same
 * columns of the rows that follow, which lie in other pages. */
INLINE void fetch(const bpi_taken *t, const real *x, int64_t n)
{
    const int64_t line = 64 / (int64_t)sizeof(real);
    for (int64_t j = 0; t->row == t->n && j < ROWS * n; j += line)
        __builtin_prefetch((const char *)(x + j) + AHEAD);
    for (int r = ROWS; t->row != t->n && r < 2 * ROWS; r++)
        for (int64_t j = 0; j < n; j += line)
            __builtin_prefetch(x + r * t->row + j);
}

/* A type of reduce.def in vectors of its own, if those that the compiler makes are not as good. */
#define VECTORS_real(start_, step_, join_)
#define VECTORS_double(start_, step_, join_)                                               \
    for (; j + WIDE <= n; j += WIDE) {                                                     \
        wide other = (wide){0} + start_;                                                   \
        UNROLL for (int i = 0; i < rows; i++) {                                            \
            const wide x = widened(from + i * row + j);                                    \
            wide acc = other;                                                              \
            step_;                                                                         \
            other = acc;                                                                   \
        }                                                                                  \
        wide acc = *(const wide_at *)(into + j);                                           \
        join_;                                                                             \
        *(wide_at *)(into + j) = acc;                                                      \
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
                            int64_t row, int64_t n)                                        \
    {                                                                                      \
        int64_t j = 0;                                                                     \
        VECTORS_##type(start_, step_, join_)                                               \
        for (; j < n; j++) {                                                               \
            double acc = (double)name##_of(rows, from + j, row);                           \
            const double other = into[j];                                                  \
            join_;                                                                         \
            into[j] = acc;                                                                 \
        }                                                                                  \
    }                                                                                      \
    static void name##_take(double *into, const bpi_taken *t)                              \
    {                                                                                      \
        int64_t i = 0;                                                                     \
        for (; i + ROWS <= t->rows; i += ROWS)                                             \
            for (int64_t j = 0; j < t->n; j += COLS) {                                     \
                const real *x = t->x + i * t->row + j;                                     \
                const int64_t n = at_most(t->n - j, COLS);                                 \
                fetch(t, x, n);                                                            \
                name##_rows(ROWS, into + j, x, t->row, n);                                 \
            }                                                                              \
        for (; i < t->rows; i++)                                                           \
            name##_rows(1, into, t->x + i * t->row, t->row, t->n);                         \
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
