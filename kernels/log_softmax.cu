/* log_softmax along an axis.
 *
 *     forward:   x -> y,      y = (x - max) - ln sum_j e^(x_j - max)
 *     backward:  dy, y -> dx, dx = dy - e^y sum_j dy_j
 *
 * The truth: src/cpu/log_softmax.c; the rule: src/ops/softmax.c. */
#include "softmax.cuh"

namespace bpi {

template <typename T> struct LogSoftmax {
    static constexpr bool READS_Y = false;
    T max, log_sum;
    __device__ LogSoftmax(const MaxSum<T> &s) : max(s.max), log_sum(log_of((T)s.sum)) {}
    __device__ T value(T x) const { return (x - max) - log_sum; }
    __device__ static T term(T dy, T) { return dy; }
    __device__ static T gradient(T dy, T y, T sum) { return dy - exp_of(y) * sum; }
};

} // namespace bpi

BPI_CUDA_OP(log_softmax, {bpi::softmax_of<bpi::LogSoftmax, T>, BPI_ROWS, nullptr},
            {bpi::softmax_gradient<bpi::LogSoftmax, T>, BPI_ROWS, nullptr});
