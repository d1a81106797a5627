/* log_softmax along the last axis.
 *
 *     forward:   x -> y,      y = (x - max) - ln sum_j e^(x_j - max)
 *     backward:  dy, y -> dx, dx = dy - e^y sum_j dy_j
 *
 * A team of threads a row, which stays in registers and shared memory up to 256 KiB or so; of a
 * wider one the rest is read again. Floor: 2 elements of memory traffic an element, backward 3.
 * The truth: src/cpu/log_softmax.c; the rule: src/ops/log_softmax.c. */
#include "reduce.cuh"

namespace bpi {

template <typename T, int N, int COUNT>
__device__ static inline void subtract(Vector<T, N> (&x)[COUNT], T max, T log_sum)
{
    each(x, [=](T &e) { e = (e - max) - log_sum; });
}

template <typename T, int N, typename Team>
static __global__ void __launch_bounds__(Team::THREADS, Team::BLOCKS)
    log_softmax_forward(const Rows<const T> x, const Rows<T> y, int32_t kept)
{
    using C = Cut<T, N, Team>;
    constexpr int STEP = C::STEP, HELD = C::HELD;
    const int64_t r = (int64_t)blockIdx.x * Team::ROWS + threadIdx.x / Team::SIZE;
    const int at = threadIdx.x % Team::SIZE * N;
    const typename C::Count left = r < x.n ? x.size - at : 0, rest = left - HELD;
    const T *from = x.data + r * x.pitch + at;
    T *to = y.data + r * y.pitch + at;
    BPI_DYNAMIC_SHARED(T, shared);
    MaxSum<T> s = {-(T)INFINITY, 0};
    Vector<T, N> held[C::COUNT], next[C::REST], term[C::COUNT], next_term[C::REST];
    load(held, from, left, STEP, -(T)INFINITY);
    add_terms(&s, held, term);
    typename C::Count i = 0;
    for (; Team::WIDEST && i < rest; i += C::CHUNK) {
        load(next, from + HELD + i, rest - i, STEP, -(T)INFINITY);
        if (i < kept)
            keep(shared + at + i, next, STEP);
        add_terms(&s, next, next_term);
    }
    s = fold_terms(s, Team::SIZE);
    if (r >= x.n)
        return;
    const T log_sum = log_of((T)s.sum);
    subtract(held, s.max, log_sum);
    store(to, held, left, STEP);
    while (Team::WIDEST && i > 0) {
        i -= C::CHUNK;
        load(next, i < kept ? shared + at + i : from + HELD + i, rest - i, STEP, (T)0);
        subtract(next, s.max, log_sum);
        store(to + HELD + i, next, rest - i, STEP);
    }
}

template <typename T, int N, int COUNT>
__device__ static inline double sum_of(const Vector<T, N> (&x)[COUNT])
{
    double sum = 0;
#pragma unroll
    for (int k = 0; k < COUNT; k++)
#pragma unroll
        for (int j = 0; j < N; j++)
            sum += (double)x[k].at[j];
    return sum;
}

/* dy becomes dx. */
template <typename T, int N, int COUNT>
__device__ static inline void take_off(Vector<T, N> (&dy)[COUNT], const Vector<T, N> (&y)[COUNT],
                                       T sum)
{
#pragma unroll
    for (int k = 0; k < COUNT; k++)
#pragma unroll
        for (int j = 0; j < N; j++)
            dy[k].at[j] -= exp_of(y[k].at[j]) * sum;
}

template <typename T, int N, typename Team>
static __global__ void __launch_bounds__(Team::THREADS, Team::BLOCKS)
    log_softmax_backward(const Rows<const T> dy, const Rows<const T> y, const Rows<T> dx,
                         int32_t kept)
{
    using C = Cut<T, N, Team>;
    constexpr int STEP = C::STEP, HELD = C::HELD;
    const int64_t r = (int64_t)blockIdx.x * Team::ROWS + threadIdx.x / Team::SIZE;
    const int at = threadIdx.x % Team::SIZE * N;
    const typename C::Count left = r < dy.n ? dy.size - at : 0, rest = left - HELD;
    const T *from = dy.data + r * dy.pitch + at, *from_y = y.data + r * y.pitch + at;
    T *to = dx.data + r * dx.pitch + at;
    BPI_DYNAMIC_SHARED(T, shared);
    Vector<T, N> held[C::COUNT], held_y[C::COUNT], next[C::REST], next_y[C::REST];
    load(held, from, left, STEP, (T)0);
    load(held_y, from_y, left, STEP, (T)0);
    double part = sum_of(held);
    typename C::Count i = 0;
    for (; Team::WIDEST && i < rest; i += C::CHUNK) {
        load(next, from + HELD + i, rest - i, STEP, (T)0);
        if (i < kept)
            keep(shared + at + i, next, STEP);
        part += sum_of(next);
    }
    const T sum = (T)fold(part, Team::SIZE, Sum());
    take_off(held, held_y, sum);
    store(to, held, left, STEP);
    while (Team::WIDEST && i > 0) {
        i -= C::CHUNK;
        load(next, i < kept ? shared + at + i : from + HELD + i, rest - i, STEP, (T)0);
        load(next_y, from_y + HELD + i, rest - i, STEP, (T)0);
        take_off(next, next_y, sum);
        store(to + HELD + i, next, rest - i, STEP);
    }
}

template <typename T, int N>
static bp_status launch_forward(bp_exec *ex, const Rows<const T> &x, const Rows<T> &y)
{
    return with_team<T>(x.size, [&](auto team) {
        using Team = decltype(team);
        int32_t kept;
        bp_status st = keep_rest<T, Team>(ex, log_softmax_forward<T, N, Team>, x.size, &kept);
        return st != BP_OK ? st
                           : BPI_LAUNCH(ex, parts(x.n, Team::ROWS), Team::THREADS,
                                        kept * sizeof(T), (log_softmax_forward<T, N, Team>), x, y,
                                        kept);
    });
}

template <typename T>
static bp_status forward(bp_exec *ex, const bp_view *in, const bp_view *out, const void *)
{
    const int32_t outer = in->shape.ndim - 1;
    const auto x = rows_of<const T>(in, outer);
    const auto y = rows_of<T>(out, outer);
    return is_vectors(x) && is_vectors(y) ? launch_forward<T, lanes_of<T>>(ex, x, y)
                                          : launch_forward<T, 1>(ex, x, y);
}

/* Half of what a team holds is dy, the other half y. */
template <typename T, int N>
static bp_status launch_backward(bp_exec *ex, const Rows<const T> &dy, const Rows<const T> &y,
                                 const Rows<T> &dx)
{
    return with_team<T>(2 * dy.size, [&](auto both) {
        using Both = decltype(both);
        using Each = Team<Both::SIZE, Both::HELD / 2, Both::WIDEST>;
        int32_t kept;
        bp_status st = keep_rest<T, Each>(ex, log_softmax_backward<T, N, Each>, dy.size, &kept);
        return st != BP_OK ? st
                           : BPI_LAUNCH(ex, parts(dy.n, Each::ROWS), Each::THREADS,
                                        kept * sizeof(T), (log_softmax_backward<T, N, Each>), dy,
                                        y, dx, kept);
    });
}

template <typename T>
static bp_status backward(bp_exec *ex, const bp_view *in, const bp_view *out, const void *)
{
    const int32_t outer = in->shape.ndim - 1;
    const auto dy = rows_of<const T>(&in[0], outer), y = rows_of<const T>(&in[1], outer);
    const auto dx = rows_of<T>(out, outer);
    return is_vectors(dy) && is_vectors(y) && is_vectors(dx)
               ? launch_backward<T, lanes_of<T>>(ex, dy, y, dx)
               : launch_backward<T, 1>(ex, dy, y, dx);
}

} // namespace bpi

BPI_CUDA_OP(log_softmax, {bpi::forward<T>, BPI_ROWS, nullptr},
            {bpi::backward<T>, BPI_ROWS, nullptr});
