/* scatter_rows: y[r, ...] = sum of x[i, ...] over the i with index[i] = r, in order of i. Forward:
 * x, index -> y. A bad index is left out and noted, by the blocks of row 0, which are there even if
 * the row is not. Backward is gather.
 *
 * A block owns a strip of one row of y. It goes through the indices, SCAN at a time, lists those
 * that name its row in their order, and adds their rows of x: the additions are the CPU's, one by
 * one. Floor: x read, y written once, and the indices read from L2 by every block. The truth:
 * src/cpu/scatter_rows.c; the rule: src/ops/scatter_rows.c. */
#include "grid.cuh"
#include "reduce.cuh"

namespace bpi {

enum { SCATTER_THREADS = 256, SCAN = 1024, SCANS = SCAN / SCATTER_THREADS, AT_ONCE = 4 };

template <typename T> struct ScatterRows {
    Rows<const T> x;
    Rows<T> y;
    const int32_t *index;
    int64_t strips;
    bpi_fault *fault;
    int32_t kernel;
};

/* Lists, in their order, the places of first .. first + SCAN whose index is r. The result is their
 * number, the same in all threads. */
template <typename T>
__device__ static inline int list_matches(const ScatterRows<T> &w, int64_t r, int64_t first,
                                          int (&list)[SCAN])
{
    BPI_SHARED(unsigned, found, [SCAN / WARP]);
    const int lane = threadIdx.x % WARP, warp = threadIdx.x / WARP;
    unsigned mine[SCANS], any = 0;
#pragma unroll
    for (int k = 0; k < SCANS; k++) {
        const int64_t i = first + k * SCATTER_THREADS + threadIdx.x;
        const bool matches = i < w.x.n && w.index[i] == r;
        if (r == 0 && i < w.x.n)
            index_ok(w.index[i], w.y.n, i, w.fault, w.kernel);
        mine[k] = __ballot_sync(ALL_LANES, matches);
        any |= mine[k];
    }
    if (!__syncthreads_or(any != 0))
        return 0;
    if (lane == 0)
#pragma unroll
        for (int k = 0; k < SCANS; k++)
            found[k * (SCATTER_THREADS / WARP) + warp] = mine[k];
    __syncthreads();
    int before = 0;
    for (int k = 0, word = 0; k < SCANS; k++)
        for (int other = 0; other < SCATTER_THREADS / WARP; other++, word++) {
            if (other == warp && (mine[k] >> lane & 1))
                list[before + __popc(mine[k] & ((1u << lane) - 1))] =
                    k * SCATTER_THREADS + (int)threadIdx.x;
            before += __popc(found[word]);
        }
    __syncthreads();
    return before;
}

template <typename T, int N>
static __global__ void __launch_bounds__(SCATTER_THREADS, 4)
    scatter_to_rows(const ScatterRows<T> w)
{
    BPI_SHARED(int, list, [SCAN]);
    const int64_t r = blockIdx.x / w.strips;
    const int64_t col = ((blockIdx.x - r * w.strips) * SCATTER_THREADS + threadIdx.x) * N;
    const bool is_column = col < w.y.size && r < w.y.n;
    Vector<T, N> sum = {}, v[AT_ONCE];
    for (int64_t first = 0; first < w.x.n; first += SCAN) {
        const int matches = list_matches(w, r, first, list);
        const T *x = w.x.data + first * w.x.pitch + col;
        for (int m = 0; is_column && m < matches; m += AT_ONCE) {
#pragma unroll
            for (int k = 0; k < AT_ONCE; k++)
                if (m + k < matches)
                    v[k] = load<N>(x + list[m + k] * w.x.pitch);
#pragma unroll
            for (int k = 0; k < AT_ONCE; k++)
#pragma unroll
                for (int j = 0; j < N; j++)
                    sum.at[j] = m + k < matches ? sum.at[j] + v[k].at[j] : sum.at[j];
        }
    }
    if (is_column)
        store<N>(w.y.data + r * w.y.pitch + col, sum);
}

template <typename T, int N> static bp_status launch_scatter(bp_exec *ex, ScatterRows<T> w)
{
    w.strips = parts(w.y.size, SCATTER_THREADS * N);
    return BPI_LAUNCH(ex, at_least(w.y.n, 1) * w.strips, SCATTER_THREADS, 0,
                      (scatter_to_rows<T, N>), w);
}

template <typename T>
static bp_status forward(bp_exec *ex, const bp_view *in, const bp_view *out, const void *)
{
    const ScatterRows<T> w = {rows_of<const T>(in, 1), rows_of<T>(out, 1),
                              static_cast<const int32_t *>(in[1].data), 1, ex->fault, ex->kernel};
    return is_vectors(w.x) && is_vectors(w.y) ? launch_scatter<T, lanes_of<T>>(ex, w)
                                              : launch_scatter<T, 1>(ex, w);
}

} // namespace bpi

BPI_CUDA_OP(scatter_rows, {bpi::forward<T>, BPI_ROWS, nullptr});
