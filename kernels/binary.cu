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
#define BPI_BINARY(op, saved, tested, value, a_slope, b_slope, a_composed, b_composed) \
    template <typename real> struct op##_value {                                       \
        __device__ real operator()(real a, real b) const { real y; value; return y; }  \
    };                                                                                 \
    SLOPE(op##_a_slope, da, a_slope)                                                   \
    SLOPE(op##_b_slope, db, b_slope)
#include "door/binary.def"

template <typename T, template <typename> class F, int IN>
static bp_status run(bp_exec *ex, const bp_view *in, const bp_view *out, const void *)
{
    return elementwise<T, T, IN>(ex, F<T>{}, *out, in);
}

} // namespace bpi

#define BPI_BINARY(op, ...)                                              \
    BPI_CUDA_OP(op, {bpi::run<T, bpi::op##_value, 2>, BPI_ANY, nullptr},   \
                {bpi::run<T, bpi::op##_a_slope, 3>, BPI_ANY, nullptr},     \
                {bpi::run<T, bpi::op##_b_slope, 3>, BPI_ANY, nullptr});
#include "door/binary.def"
