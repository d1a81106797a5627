/* The kernels of binary.def: y = f(a, b), and da and db = f(dy, a, b). A formula becomes a functor
 * of elementwise.cuh. Floor: 3 elements of memory traffic an element, 4 backward: 12 and 16 bytes
 * an f32. The truth: src/cpu/binary.c. The rules: src/ops/binary.c. */
#include "elementwise.cuh"
#include "door/formulas.h"

namespace bpi {

#define SLOPE(name, d, formula)                                      \
    template <typename real> struct name {                           \
        __device__ real operator()(real dy, real a, real b) const    \
        {                                                            \
            real d;                                                  \
            (void)a, (void)b;                                        \
            formula;                                                 \
            return d;                                                \
        }                                                            \
    };
#define BPI_CHOICE(op, types, tested, value)                                            \
    template <typename real> struct op##_value {                                       \
        __device__ real operator()(real a, real b) const { real y; value; return y; }  \
    };
#define BPI_BINARY(op, types, saved, tested, value, a_slope, b_slope, ...) \
    BPI_CHOICE(op, types, tested, value)                                   \
    SLOPE(op##_a_slope, da, a_slope)                                       \
    SLOPE(op##_b_slope, db, b_slope)
#include "door/binary.def"

template <typename T, template <typename> class F, int IN>
static bp_status reals(bp_exec *ex, const bp_view *in, const bp_view *out, const void *)
{
    return elementwise<T, T, IN>(ex, F<T>{}, *out, in);
}

/* The kernels of i32 are in the table of f32. */
template <typename T, template <typename> class F, int IN>
static bp_status ints(bp_exec *ex, const bp_view *in, const bp_view *out, const void *)
{
    if constexpr (sizeof(T) == sizeof(int32_t))
        if (out->dtype == BP_I32)
            return elementwise<int32_t, int32_t, IN>(ex, F<int32_t>{}, *out, in);
    return elementwise<T, T, IN>(ex, F<T>{}, *out, in);
}

} // namespace bpi

#define BPI_CHOICE(op, types, ...) \
    BPI_CUDA_OP(op, {bpi::types<T, bpi::op##_value, 2>, BPI_ANY, nullptr});
#define BPI_BINARY(op, types, ...)                                        \
    BPI_CUDA_OP(op, {bpi::types<T, bpi::op##_value, 2>, BPI_ANY, nullptr}, \
                {bpi::reals<T, bpi::op##_a_slope, 3>, BPI_ANY, nullptr},   \
                {bpi::reals<T, bpi::op##_b_slope, 3>, BPI_ANY, nullptr});
#include "door/binary.def"
