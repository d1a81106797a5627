/* where_equal: y = a where x = m, m where that is NaN, else 0. Forward: a, x, m -> y, any
 * strides. Floor: x read, y written once. The truth: src/cpu/where_equal.c; the
 * rule: src/ops/reduce.c. */
#include "device.cuh"

namespace bpi {

enum { WHERE_THREADS = 256, WHERE_EACH = 4 };

template <typename T> struct WhereEqual {
    const T *a, *x, *m;
    T *y;
    int64_t n;
    Axes<3> axes; /* a, x, m */
};

template <typename T>
static __global__ void __launch_bounds__(WHERE_THREADS) where_equal(const WhereEqual<T> w)
{
    const int64_t first = (int64_t)blockIdx.x * (WHERE_THREADS * WHERE_EACH) + threadIdx.x;
#pragma unroll
    for (int k = 0; k < WHERE_EACH; k++) {
        const int64_t i = first + k * WHERE_THREADS;
        if (i >= w.n)
            return;
        int64_t at[3] = {0, 0, 0};
        add_offsets(at, w.axes, 0, i);
        const T x = w.x[at[1]], m = w.m[at[2]];
        w.y[i] = x == m ? w.a[at[0]] : m != m ? m : (T)0;
    }
}

static inline int64_t stride_of(const bp_view &v, const bp_view &y, int32_t axis)
{
    const int32_t i = axis - y.shape.ndim + v.shape.ndim;
    return i < 0 || v.shape.dim[i] == 1 ? 0 : v.stride[i];
}

template <typename T>
static bp_status where_equal_forward(bp_exec *ex, const bp_view *in, const bp_view *out,
                                     const void *)
{
    WhereEqual<T> w = {static_cast<const T *>(in[0].data), static_cast<const T *>(in[1].data),
                       static_cast<const T *>(in[2].data), static_cast<T *>(out->data), 1, {}};
    for (int32_t i = out->shape.ndim - 1; i >= 0; i--) {
        if (out->shape.dim[i] != 1)
            add_axis(&w.axes, out->shape.dim[i],
                     {stride_of(in[0], *out, i), stride_of(in[1], *out, i),
                      stride_of(in[2], *out, i)});
        w.n *= out->shape.dim[i];
    }
    return BPI_LAUNCH(ex, parts(w.n, WHERE_THREADS * WHERE_EACH), WHERE_THREADS, 0,
                      (where_equal<T>), w);
}

} // namespace bpi

BPI_CUDA_OP(where_equal, {bpi::where_equal_forward<T>, BPI_ANY, nullptr});
