/* softmax along an axis.
 *
 *     forward:   x -> y,      y = e^(x - max) / sum_j e^(x_j - max)
 *     backward:  dy, y -> dx, dx = y (dy - sum_j dy_j y_j)
 *
 * The truth: src/cpu/softmax.c; the rule: src/ops/softmax.c. */
#include "softmax.cuh"

namespace bpi {

template <typename T> struct Softmax {
    static constexpr bool READS_Y = true;
    T max, factor;
    __device__ Softmax(const MaxSum<T> &s) : max(s.max), factor((T)(1 / s.sum)) {}
    __device__ T value(T x) const { return exp_of(x - max) * factor; }
    __device__ static T term(T dy, T y) { return dy * y; }
    __device__ static T gradient(T dy, T y, T sum) { return y * (dy - sum); }
};

} // namespace bpi

BPI_CUDA_OP(softmax, {bpi::softmax_of<bpi::Softmax, T>, BPI_ROWS, nullptr},
            {bpi::softmax_gradient<bpi::Softmax, T>, BPI_ROWS, nullptr});
