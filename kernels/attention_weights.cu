/* attention_weights: softmax along the last axis, up to the diagonal of the last two if causal.
 *
 *     forward:   x [.., T, S] -> y,  y_ij = e^(x_ij - max_i) / sum_j e^(x_ij - max_i)
 *
 * A row of nothing but -Inf, and what lies beyond the diagonal, is 0. A warp a row, which is read
 * three times: floor 2 elements of memory traffic an element where a row stays in L2. It serves the
 * composition of attention.cu. The truth: src/cpu/attention_weights.c. */
#include "reduce.cuh"

namespace bpi {

enum { ROWS = 4 }; /* of a block */

template <typename T>
static __global__ void __launch_bounds__(ROWS * WARP)
    attention_weights_forward(const Rows<const T> x, const Rows<T> y, int64_t causal)
{
    const int64_t r = (int64_t)blockIdx.x * ROWS + threadIdx.x / WARP;
    const int lane = threadIdx.x % WARP;
    const bool there = r < x.n;
    int64_t n = there ? x.size : 0;
    if (causal && there && r % causal + 1 < n)
        n = r % causal + 1;
    const T *from = x.data + r * x.pitch;
    T *to = y.data + r * y.pitch, max = -(T)INFINITY;
    for (int64_t i = lane; i < n; i += WARP)
        max = max_of(max, from[i]);
    max = fold(max, WARP, Largest());
    const T base = max == -(T)INFINITY ? (T)0 : max;
    double sum = 0;
    for (int64_t i = lane; i < n; i += WARP)
        sum += (double)exp_of(from[i] - base);
    sum = fold(sum, WARP, Sum());
    const T factor = sum == 0 ? (T)0 : (T)(1 / sum);
    for (int64_t i = lane; there && i < x.size; i += WARP)
        to[i] = i < n ? exp_of(from[i] - base) * factor : (T)0;
}

template <typename T>
static bp_status forward(bp_exec *ex, const bp_view *in, const bp_view *out, const void *params)
{
    const int32_t outer = in->shape.ndim - 1;
    const auto x = rows_of<const T>(in, outer);
    const auto y = rows_of<T>(out, outer);
    const int64_t causal = static_cast<const bpi_attention_params *>(params)->causal
                               ? in->shape.dim[outer - 1]
                               : 0;
    return BPI_LAUNCH(ex, parts(x.n, (int64_t)ROWS), ROWS * WARP, 0,
                      (attention_weights_forward<T>), x, y, causal);
}

} // namespace bpi

BPI_CUDA_OP(attention_weights, {bpi::forward<T>, BPI_ROWS, nullptr});
