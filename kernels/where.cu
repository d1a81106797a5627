/* where: y = a where c is not 0, else b, with broadcasting; real, or i32. Forward: c, a, b -> y.
 * Backward is made of gates. Floor: 4 elements of memory traffic an element: 16 bytes an f32. The
 * truth: src/cpu/where.c. The rule: src/ops/where.c. */
#include "elementwise.cuh"

namespace bpi {

template <typename T> struct Where {
    __device__ T operator()(T c, T a, T b) const { return c != 0 ? a : b; }
};

template <typename T>
static bp_status where_forward(bp_exec *ex, const bp_view *in, const bp_view *out, const void *)
{
    if (out->dtype == BP_I32)
        return elementwise<int32_t, int32_t, 3>(ex, Where<int32_t>{}, *out, in);
    return elementwise<T, T, 3>(ex, Where<T>{}, *out, in);
}

} // namespace bpi

BPI_CUDA_OP(where, {bpi::where_forward<T>, BPI_ANY, nullptr});
