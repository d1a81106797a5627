/* logsumexp: y = ln sum e^x over a set of axes, without overflow. Forward: x -> y. The accumulator
 * is the largest x and the sum of e^(x - it). The walk: over_axes.cuh; the truth:
 * src/cpu/logsumexp.c; the rule: src/ops/logsumexp.c. */
#include "over_axes.cuh"

namespace bpi {

template <typename T> struct LogSumExp {
    enum { VALUES = 2, OUTPUTS = 1, BLOCKS = 2 };
    __device__ static double start(int k) { return k == 0 ? -INFINITY : 0; }
    __device__ static void take(double *acc, T x, int64_t, int64_t)
    {
        const T max = (T)acc[0];
        if (x > max) {
            acc[1] = acc[1] * (double)shrink(max, x) + 1;
            acc[0] = (double)x;
        } else {
            acc[1] += x == max ? (x == -(T)INFINITY ? 0 : 1) : (double)exp_of(x - max);
        }
    }
    __device__ static void taken(double *, int64_t) {}
    __device__ static void join(double *acc, const double *other)
    {
        const T a = (T)acc[0], b = (T)other[0];
        const T max = a > b ? a : b;
        acc[1] = acc[1] * (double)(a == max ? (T)1 : shrink(a, max)) +
                 other[1] * (double)(b == max ? (T)1 : shrink(b, max));
        acc[0] = (double)max;
    }
    __device__ static void finish(double *acc, const ReduceParams &)
    {
        acc[0] = (double)((T)acc[0] + log_of((T)acc[1]));
    }
};

} // namespace bpi

BPI_CUDA_OP(logsumexp, {bpi::over_axes<T, bpi::LogSumExp<T>>, BPI_ANY, nullptr});
