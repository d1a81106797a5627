/* argmax, argmin: the place of the largest or smallest element along one axis, the first of equals;
 * NaN, the first, before all numbers. Forward: x -> y, i32. The walk: over_axes.cuh; the truth:
 * src/cpu/argmax.c; the rule: src/ops/argmax.c. */
#include "over_axes.cuh"

namespace bpi {

template <typename T, bool LEAST> struct ArgBest {
    enum { VALUES = 2, OUTPUTS = 1, BLOCKS = 3 }; /* the best, its place */
    __device__ static double start(int k)
    {
        return k == 0 ? (LEAST ? INFINITY : -INFINITY) : INT32_MAX;
    }
    __device__ static bool before(double a, double b)
    {
        return (LEAST ? a < b : a > b) || (a != a && b == b);
    }
    __device__ static void take(double *acc, T x, int64_t place, int64_t)
    {
        const double other[VALUES] = {(double)x, (double)place};
        join(acc, other);
    }
    __device__ static void taken(double *, int64_t) {}
    __device__ static void join(double *acc, const double *other)
    {
        const bool equal = !before(acc[0], other[0]) && !before(other[0], acc[0]);
        if (equal ? other[1] < acc[1] : before(other[0], acc[0])) {
            acc[0] = other[0];
            acc[1] = other[1];
        }
    }
    __device__ static void finish(double *acc, const ReduceParams &) { acc[0] = acc[1]; }
};

} // namespace bpi

BPI_CUDA_OP(argmax, {bpi::over_axes<T, bpi::ArgBest<T, false>>, BPI_ANY, nullptr});
BPI_CUDA_OP(argmin, {bpi::over_axes<T, bpi::ArgBest<T, true>>, BPI_ANY, nullptr});
