/* The kernels of unary.def: y = f(x), and dx = f(dy, x or y). A formula becomes a functor of
 * elementwise.cuh. Floor: 2 elements of memory traffic an element, 3 backward: 8 and 12 bytes an
 * f32. The truth: src/cpu/unary.c. The rules: src/ops/unary.c. */
#include "elementwise.cuh"
#include "door/formulas.h"

namespace bpi {

#define BPI_UNARY_OP(op, p, tp, q, tq, wanted, saved, tested, value, slope, composed)        \
    template <typename real> struct op##_value {                                             \
        real p, q;                                                                           \
        __device__ real operator()(real x) const { real y; value; return y; }                \
    };                                                                                       \
    template <typename real> struct op##_slope {                                             \
        real p, q;                                                                           \
        __device__ real operator()(real dy, real saved) const                                \
        {                                                                                    \
            real dx;                                                                         \
            (void)dy, (void)saved;                                                           \
            slope;                                                                           \
            return dx;                                                                       \
        }                                                                                    \
    };
#include "door/unary.def"

/* y = F of as many inputs as IN. */
template <typename T, template <typename> class F, int IN>
static bp_status run(bp_exec *ex, const bp_view *in, const bp_view *out, const void *params)
{
    const auto *p = static_cast<const bpi_elementwise_params *>(params);
    return elementwise<T, T, IN>(ex, F<T>{(T)p->k[0], (T)p->k[1]}, *out, in);
}

} // namespace bpi

#define BPI_UNARY_OP(op, ...)                                          \
    BPI_CUDA_OP(op, {bpi::run<T, bpi::op##_value, 1>, BPI_ANY, nullptr}, \
                {bpi::run<T, bpi::op##_slope, 2>, BPI_ANY, nullptr});
#include "door/unary.def"
