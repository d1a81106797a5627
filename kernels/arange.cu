/* arange: y[i] = begin + step i. Forward: -> y; with step 0 of any shape, whose rows may have a
 * pitch. Computed in f64 and rounded once. Floor: y written once. The truth: src/cpu/arange.c. The
 * rule: src/ops/arange.c. */
#include "reduce.cuh"

namespace bpi {

enum { ARANGE_EACH = 4 }; /* units of a thread */

template <typename E> struct Arange {
    Rows<E> y;
    E value; /* of step 0 */
    double begin, step;
};

/* A unit is N of E. */
template <typename E, int N>
static __global__ void __launch_bounds__(STRIP_THREADS)
    arange_rows(const Arange<E> w, const Strips s)
{
    const StripPlace at = place_of(s, ARANGE_EACH);
    if (at.row >= s.rows)
        return;
    const int64_t first = at.first * N;
    const int step = s.team * N;
    Vector<E, N> v[ARANGE_EACH];
#pragma unroll
    for (int k = 0; k < ARANGE_EACH; k++)
#pragma unroll
        for (int j = 0; j < N; j++)
            v[k].at[j] = w.step == 0
                             ? w.value
                             : (E)(w.begin + w.step * (double)(first + k * step + j));
    store(w.y.data + at.row * w.y.pitch + first, v, s.units * N - first, step);
}

template <typename E, int N> static bp_status launch_arange(bp_exec *ex, const Arange<E> &w)
{
    const Strips s = strips_of(w.y.n, w.y.size / N, ARANGE_EACH);
    return BPI_LAUNCH(ex, blocks_of(s), STRIP_THREADS, 0, (arange_rows<E, N>), w, s);
}

template <typename E> static bp_status arange(bp_exec *ex, const bp_view *out, const void *params)
{
    const auto *p = static_cast<const bpi_arange_params *>(params);
    const Arange<E> w = {rows_of<E>(out, out->shape.ndim == 2), (E)p->begin, p->begin, p->step};
    if (w.y.size == 0)
        return BP_OK;
    return is_vectors(w.y) ? launch_arange<E, lanes_of<E>>(ex, w) : launch_arange<E, 1>(ex, w);
}

template <typename T>
static bp_status arange_forward(bp_exec *ex, const bp_view *, const bp_view *out,
                                const void *params)
{
    switch (out->dtype) {
    case BP_U8: return arange<uint8_t>(ex, out, params);
    case BP_I32: return arange<int32_t>(ex, out, params);
    default: return arange<T>(ex, out, params);
    }
}

} // namespace bpi

BPI_CUDA_OP(arange, {bpi::arange_forward<T>, BPI_PACKED, nullptr});
