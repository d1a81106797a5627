/* draw: uniform, normal or chance (draw.h), a word of the stream an element, in row-major order.
 * Forward: rng -> y, packed. Floor: y written once, 4 bytes an f32. The truth: src/cpu/draw.c. The
 * rule: src/ops/draw.c. */
#include "draws.cuh"

namespace bpi {

template <typename T> struct Uniform {
    T a, b, most;
    __device__ T operator()(typename Drawn<T>::Number x, int64_t) const
    {
        return Drawn<T>::between(Drawn<T>::unit(x), a, b, most);
    }
};

template <typename T> struct Normal {
    T a, b;
    __device__ T operator()(typename Drawn<T>::Number x, int64_t) const
    {
        return Drawn<T>::mul_add(b, Drawn<T>::normal(x), a);
    }
};

template <typename T> struct Chance {
    T p;
    __device__ T operator()(typename Drawn<T>::Number x, int64_t) const
    {
        return Drawn<T>::unit(x) < p ? 1 : 0;
    }
};

template <typename T>
static bp_status draw_forward(bp_exec *ex, const bp_view *in, const bp_view *out,
                              const void *params)
{
    const auto &p = *static_cast<const bpi_draw_params *>(params);
    const T a = (T)p.a, b = (T)p.b;
    if (p.kind == BPI_UNIFORM)
        return draw_all<T>(ex, Uniform<T>{a, b, (T)p.most}, *out, *in, p.site);
    if (p.kind == BPI_NORMAL)
        return draw_all<T>(ex, Normal<T>{a, b}, *out, *in, p.site);
    return draw_all<T>(ex, Chance<T>{a}, *out, *in, p.site);
}

} // namespace bpi

BPI_CUDA_OP(draw, {bpi::draw_forward<T>, BPI_PACKED, nullptr});
