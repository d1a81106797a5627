/* Rows shared out to threads, and reductions over them whose order depends on the shape alone.
 *
 *     fold        one value a thread -> one of the team, by a fixed tree
 *     MaxSum      the running max of a row and its sum of e^(x - max): one pass finds both
 *     Strips      for kernels that move rows: a team of threads a row, or a strip of one
 *
 * f32 is summed in double, except for e^x, of which a thread sums one run in T before it goes to
 * double. Users: over_axes.cuh, team.cuh, nll_loss.cu, nll_spread.cu,
 * gather.cu, gather_normalized.cu, scatter.cuh, arange.cu, linear_finish.cu, cumsum.cu. The CPU's:
 * src/cpu/reduce.h. */
#ifndef BPI_REDUCE_CUH
#define BPI_REDUCE_CUH

#include <math.h>

#include "device.cuh"

namespace bpi {

static inline int64_t at_least(int64_t n, int64_t least) { return n > least ? n : least; }

/* The smallest power of 2 that is at least n, but no more than `most`, which is one. */
static inline int power_of_two(int64_t n, int most)
{
    int power = 1;
    while (power < n && power < most)
        power *= 2;
    return power;
}

/* --- folds -------------------------------------------------------------------------------- */

struct Sum {
    template <typename V> __device__ V operator()(V a, V b) const { return a + b; }
};
struct Largest { /* NaN is left out */
    template <typename V> __device__ V operator()(V a, V b) const { return max_of(a, b); }
};
struct Least {
    __device__ int operator()(int a, int b) const { return min(a, b); }
};

/* The values of a team of neighbours combined, for each of its threads. `team` is a power of 2 up
 * to WARP, or the block. Called by all threads of the block. */
template <typename V, typename F>
__device__ static inline V fold(V value, int team, F combine)
{
    for (int apart = (team < WARP ? team : (int)WARP) / 2; apart > 0; apart /= 2)
        value = combine(value, __shfl_xor_sync(ALL_LANES, value, apart));
    if (team <= WARP)
        return value;
    BPI_SHARED(V, part, [WARP]);
    const int lane = threadIdx.x % WARP, warps = team / WARP;
    __syncthreads(); /* an earlier fold has been read */
    if (lane == 0)
        part[threadIdx.x / WARP] = value;
    __syncthreads();
    value = part[lane % warps];
    for (int apart = warps / 2; apart > 0; apart /= 2)
        value = combine(value, __shfl_xor_sync(ALL_LANES, value, apart));
    return value;
}

/* The same over the lines of a block: warps, whose lanes each have a column. */
template <int LINES, typename V, typename F>
__device__ static inline V fold_lines(V value, F combine)
{
    BPI_SHARED(V, part, [LINES][WARP]);
    const int lane = threadIdx.x % WARP;
    __syncthreads(); /* an earlier fold has been read */
    part[threadIdx.x / WARP][lane] = value;
    __syncthreads();
    value = part[0][lane];
    for (int i = 1; i < LINES; i++)
        value = combine(value, part[i][lane]);
    return value;
}

/* --- rows --------------------------------------------------------------------------------- */

template <typename T> struct Rows {
    T *data;
    int64_t n, size, pitch; /* rows, elements of one, elements from one to the next */
};

/* A view in BPI_ROWS as rows: the first `outer` axes count them, the others are one. */
template <typename T> static inline Rows<T> rows_of(const bp_view *v, int32_t outer)
{
    Rows<T> r = {static_cast<T *>(v->data), 1, 1, 0};
    for (int32_t i = 0; i < v->shape.ndim; i++)
        *(i < outer ? &r.n : &r.size) *= v->shape.dim[i];
    r.pitch = v->shape.ndim == 2 ? v->stride[0] : r.size;
    return r;
}

/* Whether all of every row can be moved as vectors of 16 bytes. */
template <typename T> static inline bool is_vectors(const Rows<T> &r)
{
    return r.size % lanes_of<T> == 0 && r.pitch % lanes_of<T> == 0 && is_aligned(r.data);
}

/* The vectors at x, x + step, ...; `fill` in place of those that begin at `left` or beyond. */
template <typename T, int N, int COUNT, typename I>
__device__ static inline void load(Vector<T, N> (&v)[COUNT], const T *x, I left, int step, T fill)
{
#pragma unroll
    for (int k = 0; k < COUNT; k++) {
#pragma unroll
        for (int j = 0; j < N; j++)
            v[k].at[j] = fill;
        if (k * step < left)
            v[k] = load<N>(x + k * step);
    }
}

template <typename T, int N, int COUNT, typename I>
__device__ static inline void store(T *y, const Vector<T, N> (&v)[COUNT], I left, int step)
{
#pragma unroll
    for (int k = 0; k < COUNT; k++)
        if (k * step < left)
            store<N>(y + k * step, v[k]);
}

/* f(x) of each element x. */
template <typename T, int N, int COUNT, typename F>
__device__ static inline void each(Vector<T, N> (&v)[COUNT], F f)
{
#pragma unroll
    for (int k = 0; k < COUNT; k++)
#pragma unroll
        for (int j = 0; j < N; j++)
            f(v[k].at[j]);
}

/* --- max and sum of e^(x - max) ----------------------------------------------------------- */

template <typename T> struct MaxSum {
    T max;      /* NaN left out */
    double sum; /* relative to max, or to 0 where max is -Inf */
};

/* e^(from - to), which takes a sum from one max to a larger one. A sum relative to no max is 0 or
 * NaN and stays. */
template <typename T> __device__ static inline T shrink(T from, T to)
{
    return from == -(T)INFINITY ? (T)1 : exp_of(from - to);
}

/* The largest of x and max. */
template <typename T, int N, int COUNT>
__device__ static inline T largest_of(const Vector<T, N> (&x)[COUNT], T max)
{
#pragma unroll
    for (int k = 0; k < COUNT; k++)
#pragma unroll
        for (int j = 0; j < N; j++)
            max = Largest()(max, x[k].at[j]);
    return max;
}

/* Takes x into s; term becomes e^(x - s->max), and may be x. */
template <typename T, int N, int COUNT>
__device__ static inline void add_terms(MaxSum<T> *s, const Vector<T, N> (&x)[COUNT],
                                        Vector<T, N> (&term)[COUNT])
{
    const T max = largest_of(x, s->max);
    T sum = 0;
    const T base = max == -(T)INFINITY ? (T)0 : max;
#pragma unroll
    for (int k = 0; k < COUNT; k++)
#pragma unroll
        for (int j = 0; j < N; j++) {
            term[k].at[j] = exp_of(x[k].at[j] - base);
            sum += term[k].at[j];
        }
    s->sum = s->sum * (double)shrink(s->max, max) + (double)sum;
    s->max = max;
}

/* The max and sum of the team's row, from those of its threads. */
template <typename T> __device__ static inline MaxSum<T> fold_terms(const MaxSum<T> &s, int team)
{
    const T max = fold(s.max, team, Largest());
    return {max, fold(s.sum * (double)shrink(s.max, max), team, Sum())};
}

/* --- strips ------------------------------------------------------------------------------- */

enum { STRIP_THREADS = 256 };

/* Rows of `units` each. A team takes a row, or a strip of one, and a thread up to `each` units.
 * Rows without units have a strip all the same, where indices are checked. */
struct Strips {
    int64_t rows, units, strips; /* strips of a row */
    int team;
};

static inline Strips strips_of(int64_t rows, int64_t units, int each)
{
    const int team = power_of_two(parts(units, each), STRIP_THREADS);
    return {rows, units, at_least(parts(units, (int64_t)team * each), 1), team};
}

static inline int64_t blocks_of(const Strips &s)
{
    return parts(s.rows * s.strips, STRIP_THREADS / s.team);
}

/* A thread's row, which may be beyond the last one, and the first of its units, which are `team`
 * apart. */
struct StripPlace {
    int64_t row, first;
};

__device__ static inline StripPlace place_of(const Strips &s, int each)
{
    const int64_t strip = (int64_t)blockIdx.x * (STRIP_THREADS / s.team) + threadIdx.x / s.team;
    const int64_t row = strip / s.strips;
    return {row, (strip - row * s.strips) * s.team * each + threadIdx.x % s.team};
}

} // namespace bpi
#endif
