/* Images at the places of others, between four pixels: upsample_bilinear, and bilinear_spread, its
 * transpose; both x -> y, as src/cpu/bilinear.c, the truth, says. A thread makes elements of y, of
 * all that it needs in order: no atomics. Floor: x and y once. The rule: src/ops/upsample.c. */
#include "device.cuh"

namespace bpi {

enum { RESIZE_THREADS = 256, RESIZE_EACH = 4 };

template <typename T> struct Resize {
    const T *x;
    T *y;
    int64_t h, w, c, rows, columns; /* of x; of y */
    int64_t count;
};

/* Where pixel i among `many` lies on an axis of `size`: `t` of the way from `at` to `next`. */
template <typename T> struct Place {
    int64_t at, next;
    T t;
};
template <typename T>
__device__ static inline Place<T> place_of(int64_t i, int64_t many, int64_t size)
{
    const double centre = ((double)i + 0.5) * (double)size / (double)many - 0.5;
    const double held = centre < 0 ? 0 : centre;
    const int64_t at = (int64_t)held < size - 1 ? (int64_t)held : size - 1;
    return {at, at + 1 < size ? at + 1 : at, (T)(held - (double)at)};
}

/* How much of pixel i comes to pixel `to`. */
template <typename T>
__device__ static inline T share_of(int64_t i, int64_t many, int64_t size, int64_t to)
{
    const Place<T> p = place_of<T>(i, many, size);
    return (p.at == to ? 1 - p.t : (T)0) + (p.next == to ? p.t : (T)0);
}

/* Those of `many` pixels that may come to pixel `to` of `size`, one to spare on either side. */
struct Span {
    int64_t first, end;
};
__device__ static inline Span span_of(int64_t to, int64_t many, int64_t size)
{
    const double ratio = (double)many / (double)size;
    const int64_t first = (int64_t)((double)(to - 1) * ratio) - 1;
    const int64_t end = (int64_t)((double)(to + 2) * ratio) + 2;
    return {first < 0 ? 0 : first, end < many ? end : many};
}

template <typename T> __device__ static inline T between(const Resize<T> &j, int64_t e)
{
    const int64_t pixel = e / j.c, row = pixel / j.columns, n = row / j.rows;
    const Place<T> h = place_of<T>(row - n * j.rows, j.rows, j.h);
    const Place<T> w = place_of<T>(pixel - row * j.columns, j.columns, j.w);
    const T *upper = j.x + (n * j.h + h.at) * j.w * j.c + (e - pixel * j.c);
    const T *lower = upper + (h.next - h.at) * j.w * j.c;
    return (1 - h.t) * ((1 - w.t) * upper[w.at * j.c] + w.t * upper[w.next * j.c]) +
           h.t * ((1 - w.t) * lower[w.at * j.c] + w.t * lower[w.next * j.c]);
}

template <typename T> __device__ static inline T shared_out(const Resize<T> &j, int64_t e)
{
    const int64_t pixel = e / j.c, row = pixel / j.columns, n = row / j.rows;
    const int64_t h = row - n * j.rows, w = pixel - row * j.columns;
    const Span down = span_of(h, j.h, j.rows), across = span_of(w, j.w, j.columns);
    T y = 0;
    for (int64_t p = down.first; p < down.end; p++) {
        const T of_row = share_of<T>(p, j.h, j.rows, h);
        for (int64_t q = across.first; q < across.end; q++) {
            const T share = of_row * share_of<T>(q, j.w, j.columns, w);
            if (share != 0)
                y += share * j.x[((n * j.h + p) * j.w + q) * j.c + (e - pixel * j.c)];
        }
    }
    return y;
}

/* Room for two blocks: left to itself ptxas keeps to 64 registers, and f64 takes a few more. */
template <typename T, bool BACK>
static __global__ void __launch_bounds__(RESIZE_THREADS, 2) resize_kernel(const Resize<T> j)
{
    const int64_t first = (int64_t)blockIdx.x * (RESIZE_THREADS * RESIZE_EACH) + threadIdx.x;
    for (int k = 0; k < RESIZE_EACH; k++) {
        const int64_t e = first + k * RESIZE_THREADS;
        if (e < j.count)
            j.y[e] = BACK ? shared_out(j, e) : between(j, e);
    }
}

template <typename T, bool BACK>
static bp_status resize(bp_exec *ex, const bp_view *in, const bp_view *out, const void *)
{
    const int64_t *x = in->shape.dim, *y = out->shape.dim;
    const Resize<T> j = {static_cast<const T *>(in->data), static_cast<T *>(out->data), x[1], x[2],
                         x[3], y[1], y[2], y[0] * y[1] * y[2] * y[3]};
    return BPI_LAUNCH(ex, parts(j.count, RESIZE_THREADS * RESIZE_EACH), RESIZE_THREADS, 0,
                      (resize_kernel<T, BACK>), j);
}

} // namespace bpi

BPI_CUDA_OP(upsample_bilinear, {bpi::resize<T, false>, BPI_PACKED, nullptr});
BPI_CUDA_OP(bilinear_spread, {bpi::resize<T, true>, BPI_PACKED, nullptr});
