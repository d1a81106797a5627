/* augment: images moved a little, as src/door/augment.h says: shifted, flipped, cropped, bent.
 *
 * Forward: x [N, H, W, C] (u8 or real), u [N, 6], and if bent noise [N, 2, H, W] -> y, and if bent
 * three planes [N, 3, H, W] to work in. A block has an image, and its threads the pixels in turn:
 * they blur the noise along rows, then along columns, then look. Bits are the CPU's. Floor: x and y
 * once; noise and planes, 8 numbers a pixel, stay in cache. The truth: src/cpu/augment.c; the rule:
 * src/ops/augment.c. */
#include "device.cuh"
#include "door/augment.h"

namespace bpi {

enum { AUGMENT_THREADS = 256 };

template <typename T> struct Augment {
    const void *x;
    const T *u, *noise; /* noise NULL: none */
    T *y, *planes;      /* of an image: blurred rows, the displacements down and across */
    int32_t h, w;
    int64_t c;
    bpi_augment_params params;
    int32_t bytes, reach; /* x is u8; weights of the blur: */
    T across[BPI_AUGMENT_REACH + 1], down[BPI_AUGMENT_REACH + 1]; /* those down times alpha */
};

/* One number of sum_k weight[|k|] x[k step], as far as there are some: number `at` of a line of
 * n. */
template <typename T>
__device__ static inline T blurred(const T *weight, int32_t reach, const T *x, int32_t at,
                                   int32_t n, int32_t step)
{
    T sum = weight[0] * x[0];
    for (int32_t k = 1; k < reach && k < n; k++) {
        if (at >= k)
            sum = product_sum(weight[k], x[-(int64_t)k * step], sum);
        if (at + k < n)
            sum = product_sum(weight[k], x[(int64_t)k * step], sum);
    }
    return sum;
}

template <typename T>
__device__ static inline T pixel(const Augment<T> &j, int64_t n, int32_t row, int32_t column,
                                 int64_t c)
{
    if (row < 0 || row >= j.h || column < 0 || column >= j.w)
        return 0;
    const int64_t at = ((n * j.h + row) * j.w + column) * j.c + c;
    return j.bytes ? (T) static_cast<const uint8_t *>(j.x)[at] : static_cast<const T *>(j.x)[at];
}

template <typename T> __device__ static inline T between(T a, T b, T part)
{
    return product_sum(part, b - a, a);
}

template <typename T>
static __global__ void __launch_bounds__(AUGMENT_THREADS, 1) augment_kernel(const Augment<T> j)
{
    const int64_t n = blockIdx.x;
    const int32_t plane = j.h * j.w;
    T *rows = j.planes + 3 * n * plane, *off = rows + plane;
    for (int32_t k = 0; k < 2 && j.noise; k++) {
        const T *noise = j.noise + (2 * n + k) * plane;
        for (int32_t i = threadIdx.x; i < plane; i += AUGMENT_THREADS)
            rows[i] = blurred(j.across, j.reach, noise + i, i % j.w, j.w, 1);
        __syncthreads();
        for (int32_t i = threadIdx.x; i < plane; i += AUGMENT_THREADS)
            off[k * plane + i] = blurred(j.down, j.reach, rows + i, i / j.w, j.h, j.w);
        __syncthreads(); /* rows are written again; a thread reads its own displacements */
    }
    const bpi_move m = move_of(j.u + n * BPI_AUGMENT_DRAWS, &j.params);
    for (int32_t i = threadIdx.x; i < plane; i += AUGMENT_THREADS) {
        T down, across;
        const int32_t row =
            floor_of(place_of(&m, 0, i / j.w, j.h, j.noise ? off[i] : (T)0), &down);
        const int32_t column =
            floor_of(place_of(&m, 1, i % j.w, j.w, j.noise ? off[plane + i] : (T)0), &across);
        for (int64_t c = 0; c < j.c; c++) {
            const T upper = between(pixel(j, n, row, column, c), pixel(j, n, row, column + 1, c),
                                    across);
            const T lower = between(pixel(j, n, row + 1, column, c),
                                    pixel(j, n, row + 1, column + 1, c), across);
            j.y[(n * plane + i) * j.c + c] = between(upper, lower, down);
        }
    }
}

template <typename T>
static bp_status augment(bp_exec *ex, const bp_view *in, const bp_view *out, const void *params)
{
    const int64_t *x = in->shape.dim;
    Augment<T> j = {};
    j.x = in[0].data;
    j.u = static_cast<const T *>(in[1].data);
    j.y = static_cast<T *>(out[0].data);
    j.h = (int32_t)x[1];
    j.w = (int32_t)x[2];
    j.c = x[3];
    j.params = *static_cast<const bpi_augment_params *>(params);
    j.bytes = in[0].dtype == BP_U8;
    if (j.params.bent) {
        double weight[BPI_AUGMENT_REACH + 1];
        j.noise = static_cast<const T *>(in[2].data);
        j.planes = static_cast<T *>(out[1].data);
        j.reach = bpi_augment_blur(j.params.deviation, weight);
        for (int32_t k = 0; k < j.reach; k++) {
            j.across[k] = (T)weight[k];
            j.down[k] = (T)(j.params.alpha * weight[k]);
        }
    }
    return BPI_LAUNCH(ex, x[0], AUGMENT_THREADS, 0, (augment_kernel<T>), j);
}

} // namespace bpi

BPI_CUDA_OP(augment, {bpi::augment<T>, BPI_PACKED, nullptr});
