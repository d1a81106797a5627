/* Reductions over a set of axes, for kernels that say how an accumulator takes elements. Forward:
 * x, any strides -> y, packed, the axes that stay in order (flag BPI_SUM_ADD: added to what is in
 * y).
 *
 * The axis with the smallest stride decides. If it goes, an output is made of runs along it, by a
 * team of threads; if it stays, a block takes a strip of columns, some rows at a time. Long ones
 * are cut in segments by the shape alone; the last block of an output or a strip joins them in a
 * fixed order. f32 is summed in double. Floor: x read once.
 *
 * A rule R of T has R::VALUES doubles an accumulator, and
 *
 *     start(k)                   value k before anything is taken
 *     take(acc, x, place, seen)  acc of `seen` elements takes another; place: on the only axis
 *     taken(acc, seen)           after the last one
 *     join(acc, other)           others, of any place
 *     finish(acc, params)        value k becomes that of output k, of R::OUTPUTS
 *
 * Users: reduce.cu, variance.cu, logsumexp.cu, argmax.cu. The truth: src/cpu/over_axes.c. */
#ifndef BPI_OVER_AXES_CUH
#define BPI_OVER_AXES_CUH

#include "grid.cuh"
#include "reduce.cuh"

namespace bpi {

enum {
    SUM_THREADS = 256,
    SUM_BLOCKS = 2048,  /* wanted where segments can give them */
    SUM_GRAIN = 32768   /* elements of a segment, at least */
};

enum { X, Y }; /* the operands of axes */

/* An accumulator. */
template <typename R> struct Acc {
    double at[R::VALUES];
};

template <typename R> __device__ static inline Acc<R> acc_start()
{
    Acc<R> acc;
#pragma unroll
    for (int k = 0; k < R::VALUES; k++)
        acc.at[k] = R::start(k);
    return acc;
}

union ReduceParams {
    uint32_t axes;
    bpi_variance_params variance;
};

template <typename T, typename R> struct SumJob {
    const T *x;
    void *y[R::OUTPUTS];
    int32_t ints;            /* outputs are i32 */
    ReduceParams params;
    Acc<R> *part;            /* [outputs or strips][segments][columns of a strip] */
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

/* acc[j] takes element j of the vectors first, first + step, ... before end. A vector has its N
 * elements from x + the offset of its place in `reduced` on; `along`: they lie behind each other on
 * the axis. FLAT: that is one axis. */
template <typename T, typename R, int N, bool FLAT>
__device__ static inline void take_all(Acc<R> (&acc)[N], const Axes<2> &reduced, const T *x,
                                       int64_t first, int64_t end, int64_t step, bool along)
{
    constexpr int AT_ONCE = FLAT ? 4 : 1; /* the divisions of a place take the registers */
    int64_t seen = 0;
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
            if (i + k * step < end) {
                const int64_t place = (i + k * step) * (along ? N : 1);
#pragma unroll
                for (int j = 0; j < N; j++)
                    R::take(acc[j].at, v[k].at[j], place + (along ? j : 0), seen);
                seen++;
            }
    }
#pragma unroll
    for (int j = 0; j < N; j++)
        R::taken(acc[j].at, seen);
}

template <typename T, typename R>
__device__ static inline void put(const SumJob<T, R> &w, int64_t at, Acc<R> acc)
{
    R::finish(acc.at, w.params);
#pragma unroll
    for (int k = 0; k < R::OUTPUTS; k++) {
        const double v = acc.at[k];
        if (w.ints)
            static_cast<int32_t *>(w.y[k])[at] =
                v >= INT32_MAX ? INT32_MAX : v > INT32_MIN ? (int32_t)v : INT32_MIN;
        else {
            T *y = static_cast<T *>(w.y[k]) + at;
            *y = (T)(w.add ? v + (double)*y : v);
        }
    }
}

/* acc of the team's threads joined, for the first of them; as fold() of reduce.cuh. */
template <typename R> __device__ static inline Acc<R> fold_acc(Acc<R> acc, int team)
{
    BPI_SHARED(Acc<R>, part, [SUM_THREADS / WARP]);
    const int lane = threadIdx.x % WARP, warps = team / WARP;
    for (int apart = (team < WARP ? team : (int)WARP) / 2; apart > 0; apart /= 2) {
        Acc<R> other;
#pragma unroll
        for (int k = 0; k < R::VALUES; k++)
            other.at[k] = __shfl_xor_sync(ALL_LANES, acc.at[k], apart);
        R::join(acc.at, other.at);
    }
    if (team <= WARP)
        return acc;
    __syncthreads(); /* an earlier fold has been read */
    if (lane == 0)
        part[threadIdx.x / WARP] = acc;
    __syncthreads();
    if (threadIdx.x == 0)
        for (int k = 1; k < warps; k++)
            R::join(acc.at, part[k].at);
    return acc;
}

/* --- runs --------------------------------------------------------------------------------- */

/* A team a segment of an output; sums of several segments have teams of a block. */
template <typename T, typename R, int N, bool FLAT>
static __global__ void __launch_bounds__(SUM_THREADS, R::BLOCKS) reduce_runs(const SumJob<T, R> w)
{
    const int64_t item = (int64_t)blockIdx.x * (SUM_THREADS / w.width) + threadIdx.x / w.width;
    const int64_t output = item / w.segments, segment = item - output * w.segments;
    const int lane = threadIdx.x % w.width;
    const SumPlace at = place_in(w.kept, output);
    Acc<R> acc[N];
#pragma unroll
    for (int j = 0; j < N; j++)
        acc[j] = acc_start<R>();
    if (output < w.outputs)
        take_all<T, R, N, FLAT>(acc, w.reduced, w.x + at.x, segment * w.segment + lane,
                                min((segment + 1) * w.segment, w.length), w.width, true);
#pragma unroll
    for (int j = 1; j < N; j++)
        R::join(acc[0].at, acc[j].at);
    Acc<R> all = fold_acc<R>(acc[0], w.width);
    if (w.segments > 1) {
        if (lane == 0)
            w.part[item] = all;
        if (!last_block(&w.counters[output], (uint32_t)w.segments))
            return;
        all = acc_start<R>();
        for (int64_t i = lane; i < w.segments; i += SUM_THREADS)
            R::join(all.at, w.part[output * w.segments + i].at);
        all = fold_acc<R>(all, SUM_THREADS);
    }
    if (lane == 0 && output < w.outputs)
        put(w, at.y, all);
}

/* --- columns ------------------------------------------------------------------------------ */

/* Joins acc of the threads that stand on the same columns, for the first of them; a column at a
 * time. */
template <typename R, int N> __device__ static inline void fold_columns(Acc<R> (&acc)[N], int width)
{
    BPI_SHARED(Acc<R>, part, [SUM_THREADS]);
#pragma unroll
    for (int j = 0; j < N; j++) {
        __syncthreads(); /* the column before has been read */
        part[threadIdx.x] = acc[j];
        for (int half = SUM_THREADS / 2; half >= width; half /= 2) {
            __syncthreads();
            if ((int)threadIdx.x < half)
                R::join(part[threadIdx.x].at, part[threadIdx.x + half].at);
        }
        acc[j] = part[threadIdx.x];
    }
}

/* A block a segment of a strip: width * N columns, SUM_THREADS / width rows at a time. */
template <typename T, typename R, int N, bool FLAT>
static __global__ void __launch_bounds__(SUM_THREADS, R::BLOCKS)
    reduce_columns(const SumJob<T, R> w)
{
    const int64_t item = blockIdx.x / w.segments, segment = blockIdx.x - item * w.segments;
    const int64_t output = item / w.strips, strip = item - output * w.strips;
    const int lane = threadIdx.x % w.width, row = threadIdx.x / w.width;
    const int rows = SUM_THREADS / w.width;
    const int64_t col = (strip * w.width + lane) * N;
    const SumPlace at = place_in(w.kept, output);
    Acc<R> acc[N];
#pragma unroll
    for (int j = 0; j < N; j++)
        acc[j] = acc_start<R>();
    if (col < w.cols)
        take_all<T, R, N, FLAT>(acc, w.reduced, w.x + at.x + col * w.x_step,
                                segment * w.segment + row,
                                min((segment + 1) * w.segment, w.length), rows, false);
    fold_columns<R, N>(acc, w.width);
    if (w.segments > 1) {
        Acc<R> *part = w.part + item * w.segments * w.width * N + lane * N;
        if (row == 0)
#pragma unroll
            for (int j = 0; j < N; j++)
                part[segment * w.width * N + j] = acc[j];
        if (!last_block(&w.counters[item], (uint32_t)w.segments))
            return;
#pragma unroll
        for (int j = 0; j < N; j++)
            acc[j] = acc_start<R>();
        for (int64_t s = row; s < w.segments; s += rows)
#pragma unroll
            for (int j = 0; j < N; j++)
                R::join(acc[j].at, part[s * w.width * N + j].at);
        fold_columns<R, N>(acc, w.width);
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
template <typename T, typename R>
static void sort_axes(SumJob<T, R> *w, const bp_view &x, uint32_t axes)
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
template <typename T, typename R> static bool reads_vectors(const SumJob<T, R> &w)
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
template <typename T, typename R, int N, bool FLAT>
static bp_status launch_reduce(bp_exec *ex, SumJob<T, R> w)
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
    return w.runs ? BPI_LAUNCH(ex, blocks, SUM_THREADS, 0, (reduce_runs<T, R, N, FLAT>), w)
                  : BPI_LAUNCH(ex, blocks, SUM_THREADS, 0, (reduce_columns<T, R, N, FLAT>), w);
}

template <typename T, typename R>
static bp_status over_axes(bp_exec *ex, const bp_view *in, const bp_view *out, const void *params)
{
    const uint32_t axes = static_cast<const bpi_sum_params *>(params)->axes;
    const bpi_cuda *d = bpi_cuda_of(ex);
    SumJob<T, R> w = {};
    w.x = static_cast<const T *>(in->data);
    for (int k = 0; k < R::OUTPUTS; k++)
        w.y[k] = out[k].data;
    w.ints = out->dtype == BP_I32;
    if (R::OUTPUTS > 1)
        w.params.variance = *static_cast<const bpi_variance_params *>(params);
    w.part = static_cast<Acc<R> *>(d->workspace);
    w.counters = d->counters;
    w.add = (axes & BPI_SUM_ADD) != 0;
    sort_axes(&w, *in, axes);
    const bool flat = w.reduced.count <= 1;
    if (reads_vectors(w))
        return flat ? launch_reduce<T, R, lanes_of<T>, true>(ex, w)
                    : launch_reduce<T, R, lanes_of<T>, false>(ex, w);
    return flat ? launch_reduce<T, R, 1, true>(ex, w) : launch_reduce<T, R, 1, false>(ex, w);
}

} // namespace bpi
#endif
