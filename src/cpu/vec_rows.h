/* Loops over a row in vectors: GROUP of them a step, then one, the last in part.
 *
 *     ROW_STEPS(0, n, STEP_VECS put(y + i, v, left, get(x + i, v, left, fill) * f))
 *     ROW_SUMS(1, sum, n, STEP_VECS acc[0][v] += get(x + i, v, left, splat(0)))
 *
 *     COLUMN_SUMS(1, sum, rows, EACH_VEC acc[0][v] += get(x + r * pitch, v, left, splat(0)))
 *
 * i is the element where a step begins, `left` what there is from it on, and VECTORS, a constant,
 * how many it takes. A lane sums 16 steps in real; then lanes go to double. The columns of a strip,
 * of which there are `left`, are summed in the same way: sum[k][0 .. STEP) grows by those of row
 * r. */
#ifndef BPI_CPU_VEC_ROWS_H
#define BPI_CPU_VEC_ROWS_H

#include "cpu/reduce.h"
#include "cpu/vec.h"

enum { GROUP = 4, STEP = GROUP * LANES, SUM_CHUNK = 16 * STEP };

#define EACH_VEC UNROLL for (int v = 0; v < GROUP; v++)
#define STEP_VECS UNROLL for (int v = 0; v < VECTORS; v++)

/* Vector v of the group at p, of which there are `left` elements. */
INLINE vec get(const real *p, int v, int64_t left, vec fill)
{
    left -= v * LANES;
    return left >= LANES ? load(p + v * LANES) : load_fill(p + v * LANES, left, fill);
}
INLINE void put(real *p, int v, int64_t left, vec x)
{
    left -= v * LANES;
    if (left >= LANES)
        store(p + v * LANES, x);
    else
        store_below(p + v * LANES, x, left);
}

/* Asks for the lines of `vectors` at p, which may be beyond its array: to read or to write. */
INLINE void fetch(const int vectors, const real *p, const int write)
{
    UNROLL for (int b = 0; b < vectors * BPI_VECTOR_BYTES; b += 64)
        if (write)
            __builtin_prefetch((const char *)p + b, 1);
        else
            __builtin_prefetch((const char *)p + b);
}

/* Of a result of PAST_BYTES who reads it next finds nothing in a cache: its lines need not be read
 * before they are written. Then `past` is 1: PAST_STEPS go over a row so that y is aligned to
 * vectors, and put_past() writes whole ones by stream(), which stream_end() must follow. */
enum { PAST_BYTES = 16 << 20 };

INLINE void put_past(int past, real *p, int v, int64_t left, vec x)
{
    if (STREAMS && past && left >= (v + 1) * LANES)
        stream(p + v * LANES, x);
    else
        put(p, v, left, x);
}

#define PAST_STEPS(past, y, n, ...)                                                      \
    {                                                                                    \
        const int64_t odd_ = -(int64_t)((uintptr_t)(y) / sizeof(real)) & (LANES - 1);    \
        const int64_t head_ = STREAMS && (past) ? at_most(odd_, (n)) : 0;                \
        if (head_ > 0) {                                                                 \
            const int64_t i = 0, left = head_;                                           \
            enum { VECTORS = 1 };                                                        \
            __VA_ARGS__;                                                                 \
        }                                                                                \
        ROW_STEPS(head_, (n), __VA_ARGS__)                                               \
    }

#define ROW_STEPS(begin, end, ...)                     \
    {                                                  \
        int64_t i = (begin);                           \
        for (; i + STEP <= (end); i += STEP) {         \
            const int64_t left = STEP;                 \
            enum { VECTORS = GROUP };                  \
            __VA_ARGS__;                               \
        }                                              \
        for (; i < (end); i += LANES) {                \
            const int64_t left = (end) - i;            \
            enum { VECTORS = 1 };                      \
            __VA_ARGS__;                               \
        }                                              \
    }

/* sum[k], in double, of what the steps add to acc[k][0 .. GROUP), for K of them. */
#define ROW_SUMS(K, sum, n, ...)                                                   \
    {                                                                              \
        double total_[K][LANES] = {{0}};                                           \
        for (int64_t first_ = 0; first_ < (n); first_ += SUM_CHUNK) {              \
            const int64_t end_ = at_most(first_ + SUM_CHUNK, n);                   \
            vec acc[K][GROUP];                                                     \
            UNROLL for (int k_ = 0; k_ < (K); k_++)                                \
                EACH_VEC acc[k_][v] = splat(0);                                    \
            ROW_STEPS(first_, end_, __VA_ARGS__)                                   \
            UNROLL for (int k_ = 0; k_ < (K); k_++)                                \
                add_lanes(total_[k_], acc[k_]);                                    \
        }                                                                          \
        UNROLL for (int k_ = 0; k_ < (K); k_++)                                    \
            (sum)[k_] = fold_lanes(total_[k_]);                                    \
    }

#define COLUMN_SUMS(K, sum, rows, ...)                                               \
    for (int64_t first_ = 0; first_ < (rows); first_ += 16) {                        \
        const int64_t end_ = at_most(first_ + 16, rows);                             \
        vec acc[K][GROUP];                                                           \
        UNROLL for (int k_ = 0; k_ < (K); k_++)                                      \
            EACH_VEC acc[k_][v] = splat(0);                                          \
        for (int64_t r = first_; r < end_; r++) {                                    \
            __VA_ARGS__;                                                             \
        }                                                                            \
        UNROLL for (int k_ = 0; k_ < (K); k_++)                                      \
            EACH_VEC add_vec((sum)[k_] + v * LANES, acc[k_][v]);                     \
    }

/* Statements for a strip of n columns. Of all STEP none is asked whether it is there. */
#define COLUMNS(n, ...)                 \
    if ((n) == STEP) {                  \
        const int64_t left = STEP;      \
        __VA_ARGS__                     \
    } else {                            \
        const int64_t left = (n);       \
        __VA_ARGS__                     \
    }

/* A vector is added, not an array of them: those would be in memory while they are summed up. */
typedef double wide_at __attribute__((vector_size(LANES * sizeof(double)), aligned(sizeof(double)),
                                      may_alias));
INLINE void add_vec(double total[LANES], vec v)
{
    *(wide_at *)total += __builtin_convertvector(v, wide_at);
}
INLINE void scale_vec(double total[LANES], vec v)
{
    *(wide_at *)total *= __builtin_convertvector(v, wide_at);
}
INLINE vec mean_vec(const double total[LANES], double n)
{
    return __builtin_convertvector(*(const wide_at *)total / n, vec);
}

INLINE void add_lanes(double total[LANES], const vec acc[GROUP])
{
    add_vec(total, (acc[0] + acc[1]) + (acc[2] + acc[3]));
}

/* Pairs, for a scalar after the other took a tenth of a row of 1000. */
typedef double pair_at __attribute__((vector_size(2 * sizeof(double)), aligned(sizeof(double)),
                                      may_alias));
INLINE double fold_lanes(const double total[LANES])
{
    pair_at a[LANES / 2];
    UNROLL for (int j = 0; j < LANES / 2; j++)
        a[j] = ((const pair_at *)total)[j];
    UNROLL for (int n = LANES / 4; n > 0; n /= 2)
        UNROLL for (int j = 0; j < n; j++)
            a[j] += a[j + n];
    return a[0][0] + a[0][1];
}

INLINE real largest_lane(vec v)
{
    UNROLL for (int n = 1; n < LANES; n *= 2)
        v = larger(MIX_LOW(v, v), MIX_HIGH(v, v));
    return v[0];
}

/* The largest of x, NaN left out; -Inf if there is none. */
INLINE real row_max(const real *x, int64_t n)
{
    const vec least = splat(-(real)INFINITY);
    vec m[GROUP];
    EACH_VEC m[v] = least;
    ROW_STEPS(0, n, STEP_VECS m[v] = larger(get(x + i, v, left, least), m[v]))
    return largest_lane(larger(larger(m[0], m[1]), larger(m[2], m[3])));
}

/* x times factor, to y. */
INLINE void row_scale(real *y, const real *x, int64_t n, real factor)
{
    const vec f = splat(factor);
    ROW_STEPS(0, n, STEP_VECS put(y + i, v, left, get(x + i, v, left, f) * f))
}

#endif
