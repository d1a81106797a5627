/* div: y = a / b, with broadcasting; rounded as IEEE asks. Forward: a, b -> y. Backward is made of
 * div, mul and sum. Floor: 3 elements of memory traffic an element: 12 bytes an f32. The truth:
 * src/cpu/div.c. The rule: src/ops/div.c. */
#include "elementwise.cuh"

namespace bpi {

template <typename T> struct Div {
    __device__ T operator()(T a, T b) const { return a / b; }
};

template <typename T>
static bp_status div_forward(bp_exec *ex, const bp_view *in, const bp_view *out, const void *)
{
    return elementwise<T, T>(ex, Div<T>{}, *out, in[0], in[1]);
}

} // namespace bpi

BPI_CUDA_OP(div, {bpi::div_forward<T>, BPI_ANY, nullptr});
