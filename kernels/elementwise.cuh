/* The one loop behind every elementwise kernel: y = f(a), f(a, b) or f(a, b, c), with broadcasting
 * and any strides; y may be an input.
 *
 * Axes that lie behind each other in every operand become one. An item is N neighbours on the
 * innermost axis: 16 bytes of the widest operand where all of them are packed or repeated there and
 * their rows are aligned, else one element; the last item of a row may be cut. A thread takes
 * several items and has loaded all before it stores one, so that enough bytes are under way.
 * Nothing is hinted as read for the last time: y is read next, and of the inputs nobody knows.
 *
 * Its users: unary.cu, binary.cu, add.cu, scale.cu, gate.cu, copy.cu; load and store also
 * dropout.cu, step_begin.cu and optimizers.cu. */
#ifndef BPI_ELEMENTWISE_CUH
#define BPI_ELEMENTWISE_CUH

#include "device.cuh"

namespace bpi {

enum { THREADS = 256 };

/* --- N elements at once ------------------------------------------------------------------- */

/* p[0 .. N), of which those from `left` on are not there, and 0. N > 1: p is aligned. */
template <int N, typename T> __device__ static inline Vector<T, N> load(const T *p, int64_t left)
{
    if (left >= N)
        return load<N>(p);
    Vector<T, N> v = {};
    for (int j = 0; j < N; j++)
        if (j < left)
            v.at[j] = p[j];
    return v;
}

template <int N, typename T>
__device__ static inline void store(T *p, const Vector<T, N> &v, int64_t left)
{
    if (left >= N)
        store<N>(p, v);
    else
        for (int j = 0; j < N; j++)
            if (j < left)
                p[j] = v.at[j];
}

/* --- the loop on the device --------------------------------------------------------------- */

/* The operands are y and, from 1 on, the IN inputs. */
template <int IN> struct Loop {
    Axes<1 + IN> axes;
    int64_t row_items, items; /* on the innermost axis; all of them */
};

template <typename A, int IN> struct Inputs {
    const A *at[IN];
};

/* Where an item begins in each operand; the elements from there to the end of the row. */
template <int IN> struct Place {
    int64_t offset[1 + IN], left;
};

template <int N, int IN>
__device__ static inline Place<IN> place_of(const Loop<IN> &l, int64_t item)
{
    const int64_t row = l.axes.count == 1 ? 0 : item / l.row_items; /* the division is long */
    const int64_t column = (item - row * l.row_items) * N;
    Place<IN> p;
    p.left = l.axes.size[0] - column;
    for (int k = 0; k < 1 + IN; k++) {
        const int64_t stride = l.axes.stride[k][0];
        p.offset[k] = N == 1 ? column * stride : stride ? column : 0;
    }
    if (l.axes.count > 1)
        add_offsets(p.offset, l.axes, 1, row);
    return p;
}

/* Of a repeated operand element 0 stands for all: to copy it here would be to wait for it. */
template <int N, typename A>
__device__ static inline Vector<A, N> load_operand(const A *p, bool repeats, int64_t left)
{
    if (!repeats)
        return load<N>(p, left);
    Vector<A, N> v = {};
    v.at[0] = *p;
    return v;
}

template <int N, typename A>
__device__ static inline A element(const Vector<A, N> &v, bool repeats, int j)
{
    const A first = v.at[0], own = v.at[j];
    return repeats ? first : own;
}

/* Items of a thread. */
template <int N> static constexpr int items_of = N > 1 ? 2 : 4;

template <typename F, typename A> __device__ static inline auto call(const F &f, const A (&a)[1])
{
    return f(a[0]);
}
template <typename F, typename A> __device__ static inline auto call(const F &f, const A (&a)[2])
{
    return f(a[0], a[1]);
}
template <typename F, typename A> __device__ static inline auto call(const F &f, const A (&a)[3])
{
    return f(a[0], a[1], a[2]);
}

/* An operand that f does not look at is not loaded: the compiler drops it. Room for two blocks:
 * left to itself ptxas keeps to 64 registers, and spills where f64 takes a few more. */
template <typename F, typename Y, typename A, int IN, int N>
static __global__ void __launch_bounds__(THREADS, 2)
    elementwise_kernel(F f, Loop<IN> l, Y *y, Inputs<A, IN> in)
{
    constexpr int ITEMS = items_of<N>;
    const int64_t first = (int64_t)blockIdx.x * (ITEMS * THREADS) + threadIdx.x;
    bool repeats[IN];
    for (int k = 0; k < IN; k++)
        repeats[k] = N > 1 && l.axes.stride[k + 1][0] == 0;
    Place<IN> place[ITEMS];
    Vector<A, N> v[ITEMS][IN];
#pragma unroll
    for (int i = 0; i < ITEMS; i++) {
        const int64_t item = first + i * THREADS;
        if (item < l.items) {
            place[i] = place_of<N>(l, item);
            for (int k = 0; k < IN; k++)
                v[i][k] = load_operand<N>(in.at[k] + place[i].offset[k + 1], repeats[k],
                                          place[i].left);
        }
    }
#pragma unroll /* whatever the size of f: what is indexed by a variable is not in registers */
    for (int i = 0; i < ITEMS; i++)
        if (first + i * THREADS < l.items) {
            Vector<Y, N> out;
#pragma unroll
            for (int j = 0; j < N; j++) {
                A a[IN];
                for (int k = 0; k < IN; k++)
                    a[k] = element(v[i][k], repeats[k], j);
                out.at[j] = call(f, a);
            }
            store<N>(y + place[i].offset[0], out, place[i].left);
        }
}

/* --- the loop on the host ----------------------------------------------------------------- */

/* The stride in v of an axis of y; the axes of both are aligned at the last one. */
static inline int64_t broadcast_stride(const bp_view &v, const bp_view &y, int32_t axis)
{
    const int32_t i = axis - y.shape.ndim + v.shape.ndim;
    return i < 0 || v.shape.dim[i] == 1 ? 0 : v.stride[i];
}

template <int IN> static inline Loop<IN> loop_of(const bp_view &y, const bp_view *in)
{
    Loop<IN> l = {};
    int64_t stride[1 + IN];
    for (int32_t i = y.shape.ndim - 1; i >= 0; i--)
        if (y.shape.dim[i] != 1) {
            stride[0] = y.stride[i];
            for (int k = 0; k < IN; k++)
                stride[k + 1] = broadcast_stride(in[k], y, i);
            add_axis(&l.axes, y.shape.dim[i], stride);
        }
    if (l.axes.count == 0) {
        for (int k = 0; k < 1 + IN; k++)
            stride[k] = 1;
        add_axis(&l.axes, 1, stride);
    }
    return l;
}

/* Whether N elements of T from any item on are one access, or one element repeated. */
template <int N, typename T, int OPERANDS>
static inline bool fits(const Axes<OPERANDS> &axes, int operand, const void *data)
{
    const int64_t *stride = axes.stride[operand];
    if (stride[0] == 0)
        return true;
    bool whole = stride[0] == 1 && reinterpret_cast<uintptr_t>(data) % (N * sizeof(T)) == 0;
    for (int32_t axis = 1; axis < axes.count; axis++)
        whole = whole && stride[axis] % N == 0;
    return whole;
}

template <int N, typename Y, typename A, int IN, typename F>
static bp_status launch_items(bp_exec *ex, const F &f, Loop<IN> &l, const bp_view &y,
                              const Inputs<A, IN> &in)
{
    l.row_items = l.items = parts(l.axes.size[0], N);
    for (int32_t axis = 1; axis < l.axes.count; axis++)
        l.items *= l.axes.size[axis];
    return BPI_LAUNCH(ex, parts(l.items, items_of<N> * THREADS), THREADS, 0,
                      (elementwise_kernel<F, Y, A, IN, N>), f, l, static_cast<Y *>(y.data),
                      in);
}

/* y = f(in[0], ..., in[IN - 1]) */
template <typename Y, typename A, int IN, typename F>
static bp_status elementwise(bp_exec *ex, const F &f, const bp_view &y, const bp_view *in)
{
    constexpr int N = sizeof(Y) > sizeof(A) ? lanes_of<Y> : lanes_of<A>;
    Loop<IN> l = loop_of<IN>(y, in);
    Inputs<A, IN> inputs;
    bool fit = fits<N, Y>(l.axes, 0, y.data);
    for (int k = 0; k < IN; k++) {
        inputs.at[k] = static_cast<const A *>(in[k].data);
        fit = fit && fits<N, A>(l.axes, k + 1, in[k].data);
    }
    if (!fit)
        return launch_items<1, Y, A>(ex, f, l, y, inputs);
    return launch_items<N, Y, A>(ex, f, l, y, inputs);
}

} // namespace bpi
#endif
