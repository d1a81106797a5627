/* relu: y = max(x, 0); the comparison is false for NaN, which stays. Forward: x -> y; backward is
 * gate. Floor: 2 elements of memory traffic an element: 8 bytes an f32. The truth: src/cpu/relu.c.
 * The rule: src/ops/relu.c. */
#include "elementwise.cuh"

namespace bpi {

template <typename T> struct Relu {
    __device__ T operator()(T a, T) const { return a <= 0 ? 0 : a; }
};

template <typename T>
static bp_status relu_forward(bp_exec *ex, const bp_view *in, const bp_view *out, const void *)
{
    return elementwise<T, T>(ex, Relu<T>{}, *out, in[0], in[0]);
}

} // namespace bpi

BPI_CUDA_OP(relu, {bpi::relu_forward<T>, BPI_ANY, nullptr});
