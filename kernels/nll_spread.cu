/* nll_spread: y[i, j] = -s / N where j = labels[i], else 0: the gradient of nll_loss. Forward:
 * s [], labels [N] -> y [N, C]. A bad label gives a row of zeros and is noted. Backward:
 * nll_loss. Floor: y written once. The truth: src/cpu/nll_spread.c; the rule:
 * src/ops/nll_spread.c. */
#include "grid.cuh"
#include "reduce.cuh"

namespace bpi {

enum { SPREAD_EACH = 4 }; /* units of a thread */

template <typename T> struct NllSpread {
    const T *s;
    const int32_t *labels;
    Rows<T> y;
    bpi_fault *fault;
    int32_t kernel;
};

template <typename T, int N>
static __global__ void __launch_bounds__(STRIP_THREADS)
    nll_spread_rows(const NllSpread<T> w, const Strips s)
{
    const StripPlace at = place_of(s, SPREAD_EACH);
    if (at.row >= s.rows)
        return;
    const int32_t label = w.labels[at.row];
    const int64_t first = at.first * N;
    const int64_t to_label = index_ok(label, w.y.size, at.row, w.fault, w.kernel) ? label - first
                                                                                   : -1;
    const T value = (T)(-(double)*w.s / (double)w.y.n);
    const int step = s.team * N;
    Vector<T, N> y[SPREAD_EACH];
#pragma unroll
    for (int k = 0; k < SPREAD_EACH; k++)
#pragma unroll
        for (int j = 0; j < N; j++)
            y[k].at[j] = k * step + j == to_label ? value : (T)0;
    store(w.y.data + at.row * w.y.pitch + first, y, w.y.size - first, step);
}

template <typename T, int N> static bp_status launch_rows(bp_exec *ex, const NllSpread<T> &w)
{
    const Strips s = strips_of(w.y.n, parts(w.y.size, N), SPREAD_EACH);
    return BPI_LAUNCH(ex, blocks_of(s), STRIP_THREADS, 0, (nll_spread_rows<T, N>), w, s);
}

template <typename T>
static bp_status forward(bp_exec *ex, const bp_view *in, const bp_view *out, const void *)
{
    const NllSpread<T> w = {static_cast<const T *>(in[0].data),
                            static_cast<const int32_t *>(in[1].data), rows_of<T>(out, 1),
                            ex->fault, ex->kernel};
    if (w.y.size == 0)
        return BP_OK;
    return is_vectors(w.y) ? launch_rows<T, lanes_of<T>>(ex, w) : launch_rows<T, 1>(ex, w);
}

} // namespace bpi

BPI_CUDA_OP(nll_spread, {bpi::forward<T>, BPI_ROWS, nullptr});
