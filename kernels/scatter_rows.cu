/* scatter_rows: y[r, ...] = sum of x[i, ...] over the i with index[i] = r, in order of i. Forward:
 * x, index -> y. A bad index is left out and noted. Backward is gather. The sort and the sums:
 * scatter.cuh. Floor: x read, y written twice, some 30 bytes an index and digit. The truth:
 * src/cpu/scatter_rows.c; the rule: src/ops/scatter_rows.c. */
#include "scatter.cuh"

namespace bpi {

template <typename T>
static bp_status forward(bp_exec *ex, const bp_view *in, const bp_view *out, const void *)
{
    AddRuns<T> w = {rows_of<const T>(in, 1), rows_of<T>(out, 1), NULL, 0};
    const int64_t n = w.x.n;
    if (w.y.size == 0)
        return BP_OK;
    bp_status st = clear(ex, w.y);
    for (int64_t first = 0; first < n && st == BP_OK; first += CHUNK) {
        Sort s = sort_of(ex, in[1], first, at_most(n - first, CHUNK));
        s.limit = s.rows = w.y.n;
        w.n = s.n;
        st = sort_chunk(ex, s, &w.entry);
        if (st == BP_OK && w.y.n > 0) /* without rows the indices were looked at all the same */
            st = add_chunk(ex, w);
        w.x.data += CHUNK * w.x.pitch;
    }
    return st;
}

} // namespace bpi

BPI_CUDA_OP(scatter_rows, {bpi::forward<T>, BPI_ROWS, nullptr});
