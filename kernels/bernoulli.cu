/* bernoulli: y = 1 where element i of the stream, a uniform (draw.h), is below p, else 0; NaN where
 * p is. Forward: p, rng -> y, packed. Floor: p read, y written, 8 bytes an f32. The truth:
 * src/cpu/bernoulli.c. The rule: src/ops/bernoulli.c. */
#include "draws.cuh"

namespace bpi {

template <typename T> struct Bernoulli {
    const T *p;
    __device__ T operator()(typename Drawn<T>::Number x, int64_t i) const
    {
        const T own = p[i], y = Drawn<T>::unit(x) < own ? 1 : 0;
        return own == own ? y : own;
    }
};

template <typename T>
static bp_status bernoulli_forward(bp_exec *ex, const bp_view *in, const bp_view *out,
                                   const void *params)
{
    const auto &p = *static_cast<const bpi_draw_params *>(params);
    return draw_all<T>(ex, Bernoulli<T>{static_cast<const T *>(in->data)}, *out, in[1], p.site);
}

} // namespace bpi

BPI_CUDA_OP(bernoulli, {bpi::bernoulli_forward<T>, BPI_PACKED, nullptr});
