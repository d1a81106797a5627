/* mul: y = a b, with broadcasting. Forward: a, b -> y. Backward is made of mul and sum.
 * Floor: 3 elements of memory traffic an element: 12 bytes an f32. The truth: src/cpu/mul.c. The
 * rule: src/ops/mul.c. */
#include "elementwise.cuh"

namespace bpi {

template <typename T> struct Mul {
    __device__ T operator()(T a, T b) const { return a * b; }
};

template <typename T>
static bp_status mul_forward(bp_exec *ex, const bp_view *in, const bp_view *out, const void *)
{
    return elementwise<T, T>(ex, Mul<T>{}, *out, in[0], in[1]);
}

} // namespace bpi

BPI_CUDA_OP(mul, {bpi::mul_forward<T>, BPI_ANY, nullptr});
