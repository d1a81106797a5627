/* The reductions of src/door/reduce.def: sum, max, ... Forward: x -> y.
 *
 * A step takes vectors, and BPI_LANES elements of a row stay in registers while rows are taken: all
 * rows of a run, which is a table of that many columns, 8 of a strip, before the next columns. The
 * walk: over_axes.c; the rules: src/ops/reduce.c. */
#include <math.h>

#include "cpu/loop.h"
#include "cpu/over_axes.h"
#include "cpu/vec_rows.h"

/* The types of reduce.def in vectors: elements of one, and those as doubles in memory. */
enum { N_real = LANES, N_double = BPI_VECTOR_BYTES / 8 };
typedef vec vec_real;
typedef double vec_double __attribute__((vector_size(BPI_VECTOR_BYTES)));
typedef double lanes_real __attribute__((vector_size(LANES * 8), aligned(8), may_alias));
typedef vec_double lanes_double __attribute__((aligned(8), may_alias));
typedef int64_t bits_double __attribute__((vector_size(BPI_VECTOR_BYTES)));

INLINE vec load_real(const real *x) { return load(x); }

/* They become doubles on their way from memory: the compiler would convert halves of what it has
 * loaded. */
#if BPI_F64
INLINE vec_double load_double(const real *x) { return load(x); }
#elif BPI_VECTOR_BYTES == 64
INLINE vec_double load_double(const real *x) { return _mm512_cvtps_pd(_mm256_loadu_ps(x)); }
#elif BPI_VECTOR_BYTES == 32
INLINE vec_double load_double(const real *x) { return _mm256_cvtps_pd(_mm_loadu_ps(x)); }
#else
INLINE vec_double load_double(const real *x) { return (vec_double){(double)x[0], (double)x[1]}; }
#endif

/* What a step calls: x is a vector, of a comparison too. */
#define abs_of(x) ((vec_double)((bits_double)(x) & INT64_MAX))
#define pick(c, a, b) \
    ((__typeof__(x))(((c) & (__typeof__(c))(a)) | (~(c) & (__typeof__(c))(b))))

enum { ROWS = 8, MOST = 1 << 24 }; /* of a strip; elements of a run, whose counts are exact */

/* lane = rows of BPI_LANES elements, `row` apart. */
typedef void block_fn(double *lane, const real *from, int64_t row, int64_t rows);
typedef void join_fn(double *into, const double *from, int64_t n, int64_t width);

/* The same of n elements, fewer; at most ROWS. */
OUTLINE void part_block(double *lane, const real *x, int64_t row, int64_t rows, int64_t n,
                        block_fn *block)
{
    real part[ROWS * BPI_LANES];
    for (int64_t r = 0; r < rows; r++)
        UNROLL for (int j = 0; j < BPI_LANES; j += LANES)
            store(part + r * BPI_LANES + j, load_fill(x + r * row + j, n - j, splat(0)));
    block(lane, part, BPI_LANES, rows);
}

/* The rows of a strip that follow lie in other pages and are fetched, to the second cache: of the
 * first, rows some power of 2 apart share a few lines. */
OUTLINE void take(double *into, const bpi_taken *t, block_fn *block, join_fn *join)
{
    for (int64_t at = 0, rows; at < t->rows; at += rows) {
        rows = at_most(t->rows - at, ROWS);
        for (int64_t j = 0; j < t->n; j += BPI_LANES) {
            double lane[BPI_LANES];
            const real *x = t->x + at * t->row + j;
            const int64_t n = at_most(t->n - j, BPI_LANES);
            for (int r = ROWS; r < 2 * ROWS; r++)
                for (int k = 0; k < BPI_LANES; k += 64 / (int)sizeof(real))
                    __builtin_prefetch(x + r * t->row + k, 0, 2);
            if (n == BPI_LANES)
                block(lane, x, t->row, rows);
            else
                part_block(lane, x, t->row, rows, n, block);
            join(into + j, lane, n, 0);
        }
    }
}

OUTLINE void run(double *acc, const real *x, int64_t n, block_fn *block, join_fn *join)
{
    for (int64_t end; n > 0; x += end, n -= end) {
        double lane[BPI_LANES], last[BPI_LANES];
        end = at_most(n, MOST);
        const int64_t rest = end % BPI_LANES;
        block(lane, x, BPI_LANES, end / BPI_LANES);
        if (rest > 0) {
            part_block(last, x + end - rest, 0, 1, rest, block);
            join(lane, last, rest, 0);
        }
        for (int64_t half = BPI_LANES / 2; half > 0; half /= 2)
            join(lane, lane + half, half, 0);
        join(acc, lane, 1, 0);
    }
}

#define BPI_REDUCE(name, type, saves, start_, step_, join_, result, ...)                   \
    static void name##_join(double *into, const double *from, int64_t n, int64_t width)    \
    {                                                                                      \
        (void)width;                                                                       \
        BPI_EACH(n, double acc = into[i]; const double other = from[i]; join_;             \
                 into[i] = acc)                                                            \
    }                                                                                      \
    static void name##_block(double *lane, const real *from, int64_t row, int64_t rows)    \
    {                                                                                      \
        vec_##type all[BPI_LANES / N_##type];                                              \
        UNROLL for (int v = 0; v < BPI_LANES / N_##type; v++)                              \
            all[v] = start_ - (vec_##type){0};                                             \
        for (; rows > 0; rows--, from += row)                                              \
            UNROLL for (int v = 0; v < BPI_LANES / N_##type; v++) {                        \
                const vec_##type x = load_##type(from + v * N_##type);                     \
                vec_##type acc = all[v];                                                   \
                step_;                                                                     \
                all[v] = acc;                                                              \
            }                                                                              \
        UNROLL for (int v = 0; v < BPI_LANES / N_##type; v++)                              \
            *(lanes_##type *)(lane + v * N_##type) =                                       \
                __builtin_convertvector(all[v], lanes_##type);                             \
    }                                                                                      \
    static void name##_take(double *into, const bpi_taken *t)                              \
    {                                                                                      \
        take(into, t, name##_block, name##_join);                                          \
    }                                                                                      \
    static void name##_run(double *acc, const real *x, int64_t n, int64_t first)           \
    {                                                                                      \
        (void)first;                                                                       \
        run(acc, x, n, name##_block, name##_join);                                         \
    }                                                                                      \
    static void name##_finish(double *into, int64_t n, int64_t width, const void *params)  \
    {                                                                                      \
        (void)width, (void)params;                                                         \
        BPI_EACH(n, const double acc = into[i]; into[i] = result)                          \
    }                                                                                      \
    static const bpi_fold_rule name##_rule = {1, 0, {start_}, name##_take, name##_join,    \
                                              name##_finish, name##_run};                  \
    BPI_OVER_AXES_OP(name, name##_rule, 1)
#include "door/reduce.def"
