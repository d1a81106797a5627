/* sum: y = x summed over a set of axes. Forward: x, any strides -> y, packed, the axes that stay in
 * order (flag BPI_SUM_ADD: added to what is in y). Backward is an expand.
 *
 * The axis with the smallest stride decides. If it goes, an output is a sum along runs, by a team
 * of threads; if it stays, a block sums a strip of columns, some rows at a time. Long sums are cut
 * in segments by the shape alone; the last block of an output or a strip adds them in a fixed
 * order. f32 is summed in double. Floor: x read once. The truth: src/cpu/sum.c; the rule:
 * src/ops/sum.c. */
#include "grid.cuh"
#include "reduce.cuh"

namespace bpi {

enum {
    SUM_THREADS = 256,
    SUM_BLOCKS = 2048,  /* wanted where segments can give them */
    SUM_GRAIN = 32768   /* elements of a segment, at least */
};

enum { X, Y }; /* the operands of axes */

template <typename T> struct SumJob {
    const T *x;
    T *y;
    double *part;            /* [outputs or strips][segments][columns of a strip] */
    uint32_t *counters;      /* [outputs or strips] */
    Axes<2> reduced, kept;   /* the axes that go; those that stay but the columns' */
    int64_t length, outputs; /* elements of reduced and of kept */
    int64_t cols;            /* of the columns' axis */
    int64_t x_step, y_step;  /* its strides */
    int64_t segments, segment; /* their number, elements of one */
    int32_t add, runs;
    int32_t width;           /* threads of a team, or side by side on a strip; a power of 2 */
    int64_t strips;
};

struct SumPlace {
    int64_t x, y; /* offsets */
};

__device__ static inline SumPlace place_in(const Axes<2> &axes, int64_t i)
{
    int64_t offset[2] = {0, 0};
    add_offsets(offset, axes, 0, i);
    return {offset[X], offset[Y]};
}

/* acc[j] += element j of the vectors first, first + step, ... before end. A vector has its N
 * elements from x + the offset of its place in `reduced` on. FLAT: that is one axis. */
template <typename T, int N, bool FLAT>
__device__ static inline void add_up(double (&acc)[N], const Axes<2> &reduced, const T *x,
                                     int64_t first, int64_t end, int64_t step)
{
    constexpr int AT_ONCE = FLAT ? 4 : 1; /* the divisions of a place take the registers */
    for (int64_t i = first; i < end; i += AT_ONCE * step) {
        Vector<T, N> v[AT_ONCE] = {};
#pragma unroll
        for (int k = 0; k < AT_ONCE; k++)
            if (i + k * step < end) {
                const int64_t at = FLAT ? (i + k * step) * reduced.stride[X][0]
                                        : place_in(reduced, i).x;
                v[k] = load<N>(x + at);
            }
#pragma unroll
        for (int k = 0; k < AT_ONCE; k++)
#pragma unroll
            for (int j = 0; j < N; j++)
                acc[j] += (double)v[k].at[j];
    }
}

template <typename T> __device__ static inline void put(const SumJob<T> &w, int64_t at, double sum)
{
    w.y[at] = (T)(w.add ? sum + (double)w.y[at] : sum);
}

/* --- runs --------------------------------------------------------------------------------- */

/* A team a segment of an output; sums of several segments have teams of a block. */
template <typename T, int N, bool FLAT>
static __global__ void __launch_bounds__(SUM_THREADS, 4) sum_runs(const SumJob<T> w)
{
    const int64_t item = (int64_t)blockIdx.x * (SUM_THREADS / w.width) + threadIdx.x / w.width;
    const int64_t output = item / w.segments, segment = item - output * w.segments;
    const int lane = threadIdx.x % w.width;
    const SumPlace at = place_in(w.kept, output);
    double acc[N] = {0};
    if (output < w.outputs)
        add_up<T, N, FLAT>(acc, w.reduced, w.x + at.x, segment * w.segment + lane,
                           min((segment + 1) * w.segment, w.length), w.width);
    double sum = acc[0];
#pragma unroll
    for (int j = 1; j < N; j++)
        sum += acc[j];
    sum = fold(sum, w.width, Sum());
    if (w.segments > 1) {
        if (lane == 0)
            w.part[item] = sum;
        if (!last_block(&w.counters[output], (uint32_t)w.segments))
            return;
        sum = 0;
        for (int64_t i = lane; i < w.segments; i += SUM_THREADS)
            sum += w.part[output * w.segments + i];
        sum = fold(sum, SUM_THREADS, Sum());
    }
    if (lane == 0 && output < w.outputs)
        put(w, at.y, sum);
}

/* --- columns ------------------------------------------------------------------------------ */

/* Adds up acc of the threads that stand on the same columns, for the first of them. */
template <int N> __device__ static inline void fold_columns(double (&acc)[N], int width)
{
    BPI_SHARED(double, part, [N][SUM_THREADS]);
#pragma unroll
    for (int j = 0; j < N; j++)
        part[j][threadIdx.x] = acc[j];
    for (int half = SUM_THREADS / 2; half >= width; half /= 2) {
        __syncthreads();
        if ((int)threadIdx.x < half)
#pragma unroll
            for (int j = 0; j < N; j++)
                part[j][threadIdx.x] += part[j][threadIdx.x + half];
    }
#pragma unroll
    for (int j = 0; j < N; j++)
        acc[j] = part[j][threadIdx.x];
}

/* A block a segment of a strip: width * N columns, SUM_THREADS / width rows at a time. */
template <typename T, int N, bool FLAT>
static __global__ void __launch_bounds__(SUM_THREADS, 4) sum_columns(const SumJob<T> w)
{
    const int64_t item = blockIdx.x / w.segments, segment = blockIdx.x - item * w.segments;
    const int64_t output = item / w.strips, strip = item - output * w.strips;
    const int lane = threadIdx.x % w.width, row = threadIdx.x / w.width;
    const int rows = SUM_THREADS / w.width;
    const int64_t col = (strip * w.width + lane) * N;
    const SumPlace at = place_in(w.kept, output);
    double acc[N] = {0};
    if (col < w.cols)
        add_up<T, N, FLAT>(acc, w.reduced, w.x + at.x + col * w.x_step, segment * w.segment + row,
                           min((segment + 1) * w.segment, w.length), rows);
    fold_columns(acc, w.width);
    if (w.segments > 1) {
        double *part = w.part + item * w.segments * w.width * N + lane * N;
        if (row == 0)
#pragma unroll
            for (int j = 0; j < N; j++)
                part[segment * w.width * N + j] = acc[j];
        if (!last_block(&w.counters[item], (uint32_t)w.segments))
            return;
#pragma unroll
        for (int j = 0; j < N; j++)
            acc[j] = 0;
        for (int64_t s = row; s < w.segments; s += rows)
#pragma unroll
            for (int j = 0; j < N; j++)
                acc[j] += part[s * w.width * N + j];
        fold_columns(acc, w.width);
    }
    if (row == 0 && col < w.cols)
#pragma unroll
        for (int j = 0; j < N; j++)
            put(w, at.y + (col + j) * w.y_step, acc[j]);
}

/* --- the plan ----------------------------------------------------------------------------- */

static inline int64_t elements_of(const Axes<2> &axes)
{
    int64_t n = 1;
    for (int32_t a = 0; a < axes.count; a++)
        n *= axes.size[a];
    return n;
}

static inline int64_t magnitude(int64_t stride) { return stride < 0 ? -stride : stride; }

/* The axis along which memory is walked: the one with the smallest stride that is not 0. */
static inline int32_t inner_axis(const bp_view &x)
{
    int32_t best = -1;
    for (int32_t i = x.shape.ndim - 1; i >= 0; i--)
        if (x.shape.dim[i] > 1 && x.stride[i] != 0 &&
            (best < 0 || magnitude(x.stride[i]) < magnitude(x.stride[best])))
            best = i;
    return best;
}

/* Sorts the axes of x, the inner one first, into those that go and those that stay. */
template <typename T> static void sort_axes(SumJob<T> *w, const bp_view &x, uint32_t axes)
{
    const int32_t inner = inner_axis(x);
    int64_t y_step[BP_MAX_DIMS], step = 1;
    for (int32_t i = x.shape.ndim - 1; i >= 0; i--) {
        y_step[i] = step;
        step *= axes >> i & 1 ? 1 : x.shape.dim[i];
    }
    w->runs = inner < 0 || (axes >> inner & 1);
    w->cols = w->runs ? 1 : x.shape.dim[inner];
    w->x_step = w->runs ? 0 : x.stride[inner];
    w->y_step = w->runs ? 0 : y_step[inner];
    if (w->runs && inner >= 0)
        add_axis(&w->reduced, x.shape.dim[inner], {x.stride[inner], 0});
    for (int32_t i = x.shape.ndim - 1; i >= 0; i--)
        if (i != inner && x.shape.dim[i] != 1) {
            if (axes >> i & 1)
                add_axis(&w->reduced, x.shape.dim[i], {x.stride[i], 0});
            else
                add_axis(&w->kept, x.shape.dim[i], {x.stride[i], y_step[i]});
        }
    w->length = elements_of(w->reduced);
    w->outputs = elements_of(w->kept);
}

/* Whether x can be read as vectors of N: along the runs or across the columns. */
template <typename T> static bool reads_vectors(const SumJob<T> &w)
{
    const int64_t N = lanes_of<T>;
    const int64_t step = w.runs ? w.reduced.stride[X][0] : w.x_step;
    int64_t misfit = step != 1 ? 1 : (w.runs ? w.reduced.size[0] : w.cols) % N;
    for (int32_t a = w.runs; a < w.reduced.count; a++)
        misfit |= w.reduced.stride[X][a] % N;
    for (int32_t a = 0; a < w.kept.count; a++)
        misfit |= w.kept.stride[X][a] % N;
    return misfit == 0 && is_aligned(w.x);
}

/* Cuts the work into teams and segments, by the shape alone, and launches. */
template <typename T, int N, bool FLAT> static bp_status launch_sum(bp_exec *ex, SumJob<T> w)
{
    if (w.runs && N > 1) {
        w.reduced.size[0] /= N;
        w.reduced.stride[X][0] = N;
        w.length /= N;
    }
    w.width = w.runs ? power_of_two(parts(w.length, 4), WARP)
                     : power_of_two(parts(w.cols, N), WARP);
    if (w.runs && w.length > 16 * WARP)
        w.width = SUM_THREADS;
    w.strips = parts(w.cols, (int64_t)w.width * N);
    const int64_t items = w.runs ? w.outputs : w.outputs * w.strips;
    const int64_t elements = w.length * N * (w.runs ? 1 : w.width);
    w.segments = at_least(at_most(elements / SUM_GRAIN, SUM_BLOCKS / at_least(items, 1)), 1);
    w.segment = at_least(parts(w.length, w.segments), 1);
    w.segments = at_least(parts(w.length, w.segment), 1);
    const int64_t blocks = parts(items * w.segments, w.runs ? SUM_THREADS / w.width : 1);
    return w.runs ? BPI_LAUNCH(ex, blocks, SUM_THREADS, 0, (sum_runs<T, N, FLAT>), w)
                  : BPI_LAUNCH(ex, blocks, SUM_THREADS, 0, (sum_columns<T, N, FLAT>), w);
}

template <typename T>
static bp_status forward(bp_exec *ex, const bp_view *in, const bp_view *out, const void *params)
{
    const uint32_t axes = static_cast<const bpi_sum_params *>(params)->axes;
    const bpi_cuda *d = bpi_cuda_of(ex);
    SumJob<T> w = {};
    w.x = static_cast<const T *>(in->data);
    w.y = static_cast<T *>(out->data);
    w.part = static_cast<double *>(d->workspace);
    w.counters = d->counters;
    w.add = (axes & BPI_SUM_ADD) != 0;
    sort_axes(&w, *in, axes);
    const bool flat = w.reduced.count <= 1;
    if (reads_vectors(w))
        return flat ? launch_sum<T, lanes_of<T>, true>(ex, w)
                    : launch_sum<T, lanes_of<T>, false>(ex, w);
    return flat ? launch_sum<T, 1, true>(ex, w) : launch_sum<T, 1, false>(ex, w);
}

} // namespace bpi

BPI_CUDA_OP(sum, {bpi::forward<T>, BPI_ANY, nullptr});
