/* cumsum: y[i] = sum of x[0 .. i] along an axis, or of x[i ..] in reverse. Forward: x -> y, packed.
 *
 * Around the axis x is [outer, n, inner]. With inner 1 a block goes along a line, tile by tile;
 * else a thread goes along a column. Where lines are few they are cut in segments by the shape
 * alone, whose sums come first. f32 is added in double. Floor: x read, y written once; cut lines
 * are read twice. The truth: src/cpu/cumsum.c; the rule: src/ops/cumsum.c. */
#include "reduce.cuh"

namespace bpi {

enum {
    SCAN_THREADS = 256,
    SCAN_WARPS = SCAN_THREADS / WARP,
    SCAN_EACH = 4,                          /* neighbours of a thread */
    SCAN_TILE = SCAN_EACH * SCAN_THREADS,
    SCAN_SEGMENTS = 128,                    /* at most */
    SCAN_LINES = 1024                       /* wanted where segments can give them */
};

template <typename T> struct CumSum {
    const T *x;
    T *y;
    double *part; /* [segments][outer * inner] */
    int64_t outer, n, inner;
    int64_t segments, segment; /* their number, elements of one */
    int32_t reverse, sums;     /* the sums of the segments are wanted, not y */
};

/* What comes before a segment of a line. */
template <typename T>
__device__ static inline double sum_before(const CumSum<T> &w, int64_t line, int64_t segment)
{
    double sum = 0;
    for (int64_t s = 0; s < segment; s++)
        sum += w.part[s * w.outer * w.inner + line];
    return sum;
}

/* The sum of the values of the threads before this one, and *all of the block's. Nothing is taken
 * off again: an infinity would be NaN. */
__device__ static inline double scan_block(double value, double *all)
{
    BPI_SHARED(double, of_warp, [SCAN_WARPS]);
    const int lane = threadIdx.x % WARP, warp = threadIdx.x / WARP;
    for (int apart = 1; apart < WARP; apart *= 2) {
        const double other = __shfl_up_sync(ALL_LANES, value, apart);
        value += lane >= apart ? other : 0;
    }
    __syncthreads(); /* the tile before has been read */
    if (lane == WARP - 1)
        of_warp[warp] = value;
    __syncthreads();
    const double others = __shfl_up_sync(ALL_LANES, value, 1);
    double before = 0;
    *all = 0;
    for (int k = 0; k < SCAN_WARPS; k++) {
        before += k < warp ? of_warp[k] : 0;
        *all += of_warp[k];
    }
    return before + (lane > 0 ? others : 0);
}

template <typename T>
static __global__ void __launch_bounds__(SCAN_THREADS) scan_lines(const CumSum<T> w)
{
    const int64_t line = blockIdx.x / w.segments, segment = blockIdx.x - line * w.segments;
    const int64_t first = segment * w.segment, end = min(first + w.segment, w.n);
    const T *x = w.x + line * w.n;
    T *y = w.y + line * w.n;
    double carry = w.sums ? 0 : sum_before(w, line, segment);
    for (int64_t tile = first; tile < end; tile += SCAN_TILE) {
        const int64_t i = tile + threadIdx.x * SCAN_EACH;
        double sum[SCAN_EACH], all, total = 0;
#pragma unroll
        for (int k = 0; k < SCAN_EACH; k++) {
            if (i + k < end)
                total += (double)x[w.reverse ? w.n - 1 - (i + k) : i + k];
            sum[k] = total;
        }
        const double before = carry + scan_block(total, &all);
#pragma unroll
        for (int k = 0; k < SCAN_EACH; k++)
            if (i + k < end && !w.sums)
                y[w.reverse ? w.n - 1 - (i + k) : i + k] = (T)(before + sum[k]);
        carry += all;
    }
    if (w.sums && threadIdx.x == 0)
        w.part[segment * w.outer + line] = carry;
}

template <typename T>
static __global__ void __launch_bounds__(SCAN_THREADS) scan_columns(const CumSum<T> w)
{
    const int64_t lines = w.outer * w.inner;
    const int64_t item = (int64_t)blockIdx.x * SCAN_THREADS + threadIdx.x;
    const int64_t segment = item / lines, line = item - segment * lines;
    const int64_t first = segment * w.segment, end = min(first + w.segment, w.n);
    const int64_t outer = line / w.inner, begin = outer * w.n * w.inner + (line - outer * w.inner);
    if (segment >= w.segments)
        return;
    double sum = w.sums ? 0 : sum_before(w, line, segment);
    for (int64_t i = first; i < end; i++) {
        const int64_t at = begin + (w.reverse ? w.n - 1 - i : i) * w.inner;
        sum += (double)w.x[at];
        if (!w.sums)
            w.y[at] = (T)sum;
    }
    if (w.sums)
        w.part[item] = sum;
}

template <typename T>
static bp_status cumsum(bp_exec *ex, const bp_view *in, const bp_view *out, const void *params)
{
    const bpi_cumsum_params *p = static_cast<const bpi_cumsum_params *>(params);
    CumSum<T> w = {static_cast<const T *>(in->data), static_cast<T *>(out->data),
                   static_cast<double *>(bpi_cuda_of(ex)->workspace), 1,
                   in->shape.dim[p->axis], 1, 0, 0, p->reverse, 0};
    for (int32_t i = 0; i < in->shape.ndim; i++)
        if (i != p->axis)
            *(i < p->axis ? &w.outer : &w.inner) *= in->shape.dim[i];
    const bool along = w.inner == 1;
    const int64_t lines = w.outer * w.inner, wanted = along ? SCAN_LINES : SCAN_LINES * WARP;
    const int64_t most = at_most(wanted / at_least(lines, 1), SCAN_SEGMENTS);
    if (lines == 0 || w.n == 0)
        return BP_OK;
    w.segment = at_least(parts(w.n, at_least(most, 1)), along ? 4 * SCAN_TILE : 64);
    w.segments = parts(w.n, w.segment);
    for (w.sums = w.segments > 1; w.sums >= 0; w.sums--) {
        const int64_t items = lines * w.segments;
        const bp_status st =
            along ? BPI_LAUNCH(ex, items, SCAN_THREADS, 0, (scan_lines<T>), w)
                  : BPI_LAUNCH(ex, parts(items, SCAN_THREADS), SCAN_THREADS, 0, (scan_columns<T>),
                               w);
        if (st != BP_OK)
            return st;
    }
    return BP_OK;
}

} // namespace bpi

BPI_CUDA_OP(cumsum, {bpi::cumsum<T>, BPI_PACKED, nullptr});
