/* The one loop behind every elementwise kernel: y = f(a) or y = f(a, b), with broadcasting and any
 * strides; y may be a.
 *
 * Axes that lie behind each other in every operand become one. An item is N neighbours on the
 * innermost axis: 16 bytes of the widest operand where all of them are packed or repeated there and
 * their rows are aligned, else one element; the last item of a row may be cut. A thread takes
 * several items and has loaded all before it stores one, so that enough bytes are under way.
 * Nothing is hinted as read for the last time: y is read next, and of a and b nobody knows.
 *
 * Its users: add.cu, mul.cu, div.cu, scale.cu, exp.cu, log.cu, relu.cu, elu.cu, gate.cu, copy.cu;
 * load and store also dropout.cu, step_begin.cu and update.cuh. */
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

/* The operands are 0: y, 1: a, 2: b. */
struct Loop {
    Axes<3> axes;
    int64_t row_items, items; /* on the innermost axis; all of them */
};

/* Where an item begins in each operand; the elements from there to the end of the row. */
struct Place {
    int64_t offset[3], left;
};

template <int N, bool FLAT> __device__ static inline Place place_of(const Loop &l, int64_t item)
{
    const int64_t row = FLAT ? 0 : item / l.row_items;
    const int64_t column = (item - row * l.row_items) * N;
    Place p;
    p.left = l.axes.size[0] - column;
    for (int k = 0; k < 3; k++) {
        const int64_t stride = l.axes.stride[k][0];
        p.offset[k] = N == 1 ? column * stride : stride ? column : 0;
    }
    if (!FLAT)
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

/* A unary f does not look at b, and the compiler drops the loads. */
template <typename F, typename Y, typename A, int N, bool FLAT>
static __global__ void __launch_bounds__(THREADS)
    elementwise_kernel(F f, Loop l, Y *y, const A *a, const A *b)
{
    constexpr int ITEMS = items_of<N>;
    const int64_t first = (int64_t)blockIdx.x * (ITEMS * THREADS) + threadIdx.x;
    const bool a_repeats = N > 1 && l.axes.stride[1][0] == 0;
    const bool b_repeats = N > 1 && l.axes.stride[2][0] == 0;
    Place place[ITEMS];
    Vector<A, N> u[ITEMS], v[ITEMS];
    for (int i = 0; i < ITEMS; i++) {
        const int64_t item = first + i * THREADS;
        if (item < l.items) {
            place[i] = place_of<N, FLAT>(l, item);
            u[i] = load_operand<N>(a + place[i].offset[1], a_repeats, place[i].left);
            v[i] = load_operand<N>(b + place[i].offset[2], b_repeats, place[i].left);
        }
    }
    for (int i = 0; i < ITEMS; i++)
        if (first + i * THREADS < l.items) {
            Vector<Y, N> out;
            for (int j = 0; j < N; j++)
                out.at[j] = f(element(u[i], a_repeats, j), element(v[i], b_repeats, j));
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

static inline Loop loop_of(const bp_view &y, const bp_view &a, const bp_view &b)
{
    Loop l = {};
    for (int32_t i = y.shape.ndim - 1; i >= 0; i--)
        if (y.shape.dim[i] != 1)
            add_axis(&l.axes, y.shape.dim[i],
                     {y.stride[i], broadcast_stride(a, y, i), broadcast_stride(b, y, i)});
    if (l.axes.count == 0)
        add_axis(&l.axes, 1, {1, 1, 1});
    return l;
}

/* Whether N elements of T from any item on are one access, or one element repeated. */
template <int N, typename T>
static inline bool fits(const Axes<3> &axes, int operand, const void *data)
{
    const int64_t *stride = axes.stride[operand];
    if (stride[0] == 0)
        return true;
    bool whole = stride[0] == 1 && reinterpret_cast<uintptr_t>(data) % (N * sizeof(T)) == 0;
    for (int32_t axis = 1; axis < axes.count; axis++)
        whole = whole && stride[axis] % N == 0;
    return whole;
}

template <int N, bool FLAT, typename Y, typename A, typename F>
static bp_status launch_items(bp_exec *ex, const F &f, Loop &l, const bp_view &y, const bp_view &a,
                              const bp_view &b)
{
    l.row_items = l.items = parts(l.axes.size[0], N);
    for (int32_t axis = 1; axis < l.axes.count; axis++)
        l.items *= l.axes.size[axis];
    return BPI_LAUNCH(ex, parts(l.items, items_of<N> * THREADS), THREADS, 0,
                      (elementwise_kernel<F, Y, A, N, FLAT>), f, l, y.data, a.data, b.data);
}

/* y = f(a, b); a functor of one operand is given a in the place of b. */
template <typename Y, typename A, typename F>
static bp_status elementwise(bp_exec *ex, const F &f, const bp_view &y, const bp_view &a,
                             const bp_view &b)
{
    constexpr int N = sizeof(Y) > sizeof(A) ? lanes_of<Y> : lanes_of<A>;
    Loop l = loop_of(y, a, b);
    if (!fits<N, Y>(l.axes, 0, y.data) || !fits<N, A>(l.axes, 1, a.data) ||
        !fits<N, A>(l.axes, 2, b.data))
        return launch_items<1, false, Y, A>(ex, f, l, y, a, b);
    if (l.axes.count > 1)
        return launch_items<N, false, Y, A>(ex, f, l, y, a, b);
    return launch_items<N, true, Y, A>(ex, f, l, y, a, b);
}

} // namespace bpi
#endif
