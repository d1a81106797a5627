/* Pools: a window of x becomes a pixel of y, and back; what each reads and makes is said in
 * src/cpu/pooling.c, the truth. A thread makes elements of the output, neighbours being channels,
 * of all that it needs in order: no atomics. Floor: each of x, y and places once. The rules:
 * src/ops/pooling.c. */
#include "device.cuh"

namespace bpi {

enum { POOL_THREADS = 256, POOL_EACH = 4 };
enum PoolWay { POOL_MAX, POOL_PICK, POOL_MEAN };

template <typename T> struct Pool {
    const T *in;
    T *out;
    uint8_t *places;
    int64_t h, w, c, p, q, r, s; /* of x, of y, of the window */
    int64_t down, across, apart, beside, top, left;
    int64_t count; /* elements of out */
};

/* Taps [first, end) of a window of `taps` that begins at `at`, on an axis of `size`. */
struct Taps {
    int64_t first, end;
};
__device__ static inline Taps taps_of(int64_t at, int64_t step, int64_t size, int64_t taps)
{
    const int64_t within = at < size ? (size - at + step - 1) / step : 0;
    return {at < 0 ? (step - 1 - at) / step : 0, within < taps ? within : taps};
}

/* Element e of images [h, w, c]: its pixel, and the offset of its image in those of another
 * size. */
struct Pixel {
    int64_t n, row, column, channel;
};
__device__ static inline Pixel pixel_of(int64_t e, int64_t h, int64_t w, int64_t c)
{
    const int64_t pixel = e / c, row = pixel / w, n = row / h;
    return {n, row - n * h, pixel - row * w, e - pixel * c};
}

template <typename T, int WAY> __device__ static inline T pooled(const Pool<T> &w, int64_t e)
{
    const Pixel at = pixel_of(e, w.p, w.q, w.c);
    const int64_t h = at.row * w.down - w.top, v = at.column * w.across - w.left;
    const Taps r = taps_of(h, w.apart, w.h, w.r), s = taps_of(v, w.beside, w.w, w.s);
    const int64_t place = WAY == POOL_PICK ? w.places[e] : 0;
    int64_t best = r.first * w.s + s.first;
    T y = 0;
    for (int64_t i = r.first; i < r.end; i++)
        for (int64_t k = s.first; k < s.end; k++) {
            const int64_t row = at.n * w.h + h + i * w.apart;
            const T x = w.in[(row * w.w + v + k * w.beside) * w.c + at.channel];
            const int64_t here = i * w.s + k;
            if (WAY == POOL_MEAN) {
                y += x;
            } else if (WAY == POOL_PICK) {
                y = here == place ? x : y;
            } else if (here == best || (!(x <= y) && y == y)) { /* the first tap, or a larger */
                y = x;
                best = here;
            }
        }
    if (WAY == POOL_MAX)
        w.places[e] = (uint8_t)best;
    return WAY == POOL_MEAN ? y / (T)((r.end - r.first) * (s.end - s.first)) : y;
}

/* Windows that hold element e of x are taken from the last column on, as the CPU comes by them. */
template <typename T, bool BY_PLACE>
__device__ static inline T spread(const Pool<T> &w, int64_t e)
{
    const Pixel at = pixel_of(e, w.h, w.w, w.c);
    T x = 0;
    for (int64_t i = 0; i < w.r; i++) {
        const int64_t h = at.row + w.top - i * w.apart, p = h / w.down;
        if (h < 0 || h - p * w.down || p >= w.p)
            continue;
        const Taps r = taps_of(p * w.down - w.top, w.apart, w.h, w.r);
        for (int64_t k = w.s - 1; k >= 0; k--) {
            const int64_t v = at.column + w.left - k * w.beside, q = v / w.across;
            if (v < 0 || v - q * w.across || q >= w.q)
                continue;
            const int64_t from = ((at.n * w.p + p) * w.q + q) * w.c + at.channel;
            if (BY_PLACE) {
                x += w.places[from] == i * w.s + k ? w.in[from] : (T)0;
            } else {
                const Taps s = taps_of(q * w.across - w.left, w.beside, w.w, w.s);
                x += w.in[from] / (T)((r.end - r.first) * (s.end - s.first));
            }
        }
    }
    return x;
}

template <typename T, int WAY>
static __global__ void __launch_bounds__(POOL_THREADS, 2) pool_kernel(const Pool<T> w)
{
    const int64_t first = (int64_t)blockIdx.x * (POOL_THREADS * POOL_EACH) + threadIdx.x;
    for (int k = 0; k < POOL_EACH; k++)
        if (first + k * POOL_THREADS < w.count)
            w.out[first + k * POOL_THREADS] = pooled<T, WAY>(w, first + k * POOL_THREADS);
}

template <typename T, bool BY_PLACE>
static __global__ void __launch_bounds__(POOL_THREADS, 2) spread_kernel(const Pool<T> w)
{
    const int64_t first = (int64_t)blockIdx.x * (POOL_THREADS * POOL_EACH) + threadIdx.x;
    for (int k = 0; k < POOL_EACH; k++)
        if (first + k * POOL_THREADS < w.count)
            w.out[first + k * POOL_THREADS] = spread<T, BY_PLACE>(w, first + k * POOL_THREADS);
}

template <typename T>
static Pool<T> pool_of(const bp_view &in, const bp_view &out, const bp_view *places,
                       const bp_view &x, const bp_view &y, const void *params)
{
    const auto *p = static_cast<const bpi_pool_params *>(params);
    const bp_window &how = p->how;
    Pool<T> w = {static_cast<const T *>(in.data), static_cast<T *>(out.data),
                 places ? static_cast<uint8_t *>(places->data) : nullptr,
                 x.shape.dim[1], x.shape.dim[2], x.shape.dim[3], y.shape.dim[1], y.shape.dim[2],
                 p->window[0], p->window[1], how.stride[0], how.stride[1], how.dilation[0],
                 how.dilation[1], how.pad[0], how.pad[1], 1};
    for (int32_t i = 0; i < 4; i++)
        w.count *= out.shape.dim[i];
    return w;
}

template <typename T, int WAY>
static bp_status pool(bp_exec *ex, const bp_view *in, const bp_view *out, const void *params)
{
    const bp_view *places = WAY == POOL_MAX ? &out[1] : WAY == POOL_PICK ? &in[1] : nullptr;
    const Pool<T> w = pool_of<T>(in[0], out[0], places, in[0], out[0], params);
    return BPI_LAUNCH(ex, parts(w.count, POOL_THREADS * POOL_EACH), POOL_THREADS, 0,
                      (pool_kernel<T, WAY>), w);
}

template <typename T, bool BY_PLACE>
static bp_status spread_back(bp_exec *ex, const bp_view *in, const bp_view *out,
                             const void *params)
{
    const Pool<T> w = pool_of<T>(in[0], out[0], BY_PLACE ? &in[1] : nullptr, out[0], in[0], params);
    return BPI_LAUNCH(ex, parts(w.count, POOL_THREADS * POOL_EACH), POOL_THREADS, 0,
                      (spread_kernel<T, BY_PLACE>), w);
}

} // namespace bpi

BPI_CUDA_OP(max_pool, {bpi::pool<T, bpi::POOL_MAX>, BPI_PACKED, nullptr});
BPI_CUDA_OP(max_pick, {bpi::pool<T, bpi::POOL_PICK>, BPI_PACKED, nullptr});
BPI_CUDA_OP(avg_pool, {bpi::pool<T, bpi::POOL_MEAN>, BPI_PACKED, nullptr});
BPI_CUDA_OP(max_spread, {bpi::spread_back<T, true>, BPI_PACKED, nullptr});
BPI_CUDA_OP(avg_spread, {bpi::spread_back<T, false>, BPI_PACKED, nullptr});
