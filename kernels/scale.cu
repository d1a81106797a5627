/* scale: y = factor x. Forward: x -> y; backward is scale again.
 * Floor: 2 elements of memory traffic an element: 8 bytes an f32. The truth: src/cpu/scale.c. The
 * rule: src/ops/scale.c. */
#include "elementwise.cuh"

namespace bpi {

template <typename T> struct Scale {
    T factor;
    __device__ T operator()(T a) const { return factor * a; }
};

template <typename T>
static bp_status scale_forward(bp_exec *ex, const bp_view *in, const bp_view *out,
                               const void *params)
{
    const auto *p = static_cast<const bpi_scale_params *>(params);
    return elementwise<T, T, 1>(ex, Scale<T>{(T)p->factor}, *out, in);
}

} // namespace bpi

BPI_CUDA_OP(scale, {bpi::scale_forward<T>, BPI_ANY, nullptr});
