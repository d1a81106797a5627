/* gate: y = factor a where !(g <= 0), else 0: the gradient of ReLU, and of ReLU with dropout, from
 * what they gave out. Forward: a, g -> y; backward is gate again. Floor: 3 elements of memory
 * traffic an element: 12 bytes an f32. The truth: src/cpu/gate.c. The rule: src/ops/gate.c. */
#include "elementwise.cuh"

namespace bpi {

template <typename T> struct Gate {
    T factor;
    __device__ T operator()(T a, T g) const { return g <= 0 ? 0 : a * factor; }
};

template <typename T>
static bp_status gate_forward(bp_exec *ex, const bp_view *in, const bp_view *out,
                              const void *params)
{
    const auto *p = static_cast<const bpi_scale_params *>(params);
    return elementwise<T, T, 2>(ex, Gate<T>{(T)p->factor}, *out, in);
}

} // namespace bpi

BPI_CUDA_OP(gate, {bpi::gate_forward<T>, BPI_ANY, nullptr});
