/* log: y = ln x. Forward: x -> y; backward is a div by x.
 * Floor: 2 elements of memory traffic an element: 8 bytes an f32. The truth: src/cpu/log.c. The
 * rule: src/ops/log.c. */
#include "elementwise.cuh"

namespace bpi {

template <typename T> struct Log {
    __device__ T operator()(T a, T) const { return log_of(a); }
};

template <typename T>
static bp_status log_forward(bp_exec *ex, const bp_view *in, const bp_view *out, const void *)
{
    return elementwise<T, T>(ex, Log<T>{}, *out, in[0], in[0]);
}

} // namespace bpi

BPI_CUDA_OP(log, {bpi::log_forward<T>, BPI_ANY, nullptr});
