/* variance: y = sum (x - mean)^2 / (n - correction) over a set of axes, or its root, in one pass.
 * Forward: x -> y, mean. A thread takes its elements by Welford's recurrence; accumulators are
 * joined as in src/cpu/variance.c, the truth. The rule: src/ops/variance.c. */
#include "over_axes.cuh"

namespace bpi {

template <typename T> struct Variance {
    enum { VALUES = 3, OUTPUTS = 2, BLOCKS = 2 }; /* mean, sum of squares about it, count */
    __device__ static double start(int) { return 0; }
    __device__ static void take(double *acc, T x, int64_t, int64_t seen)
    {
        const double part = 1 / (double)(seen + 1), d = (double)x - acc[0];
        acc[0] += d - d == 0 ? d * part : (double)x; /* an infinite mean stays one */
        acc[1] += d * ((double)x - acc[0]);
    }
    __device__ static void taken(double *acc, int64_t seen) { acc[2] = (double)seen; }
    __device__ static void join(double *acc, const double *other)
    {
        const double all = acc[2] + other[2], part = other[2] / (all > 0 ? all : 1);
        const double d = other[0] - acc[0];
        if (other[2] > 0) {
            acc[1] += other[1] + d * d * (acc[2] * part);
            acc[0] += d - d == 0 ? d * part : other[0];
            acc[2] = all;
        }
    }
    __device__ static void finish(double *acc, const ReduceParams &p)
    {
        const double left = acc[2] - (double)p.variance.correction;
        const double y = acc[1] / (left > 0 ? left : 0), mean = acc[2] > 0 ? acc[0] : (double)NAN;
        acc[0] = p.variance.root ? sqrt(y) : y;
        acc[1] = mean;
    }
};

} // namespace bpi

BPI_CUDA_OP(variance, {bpi::over_axes<T, bpi::Variance<T>>, BPI_ANY, nullptr});
