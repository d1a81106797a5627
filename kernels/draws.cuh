/* Draws (draw.h) in blocks of the stream: four elements a thread.
 *
 *     y[i] = rule(the number of element i, i)
 *
 * y is packed and fresh, and so is aligned. Used by draw.cu and bernoulli.cu. */
#ifndef BPI_DRAWS_CUH
#define BPI_DRAWS_CUH

#include "door/draw.h"
#include "elementwise.cuh"

namespace bpi {

enum { DRAWN = 4 }; /* words of a block of the stream */

/* The number a draw of the type takes, and what becomes of it. */
template <typename T> struct Drawn;
template <> struct Drawn<float> {
    typedef uint32_t Number;
    __device__ static float unit(uint32_t x) { return bpi_unit_f32(x); }
    __device__ static float normal(uint32_t x) { return bpi_normal_f32(x); }
    __device__ static float between(float u, float a, float b, float most)
    {
        return bpi_between_f32(u, a, b, most);
    }
    __device__ static float mul_add(float a, float b, float c) { return BPI_MUL_ADD_F32(a, b, c); }
};
template <> struct Drawn<double> {
    typedef uint64_t Number;
    __device__ static double unit(uint64_t x) { return bpi_unit_f64(x); }
    __device__ static double normal(uint64_t x) { return bpi_normal_f64(x); }
    __device__ static double between(double u, double a, double b, double most)
    {
        return bpi_between_f64(u, a, b, most);
    }
    __device__ static double mul_add(double a, double b, double c)
    {
        return BPI_MUL_ADD_F64(a, b, c);
    }
};

__device__ static inline bpi_stream stream_of(const bpi_rng_state *rng, uint32_t purpose,
                                              uint32_t site)
{
    return {rng->seed, rng->step, bpi_purpose_site(purpose, site)};
}

__device__ static inline void numbers_of(uint32_t (&number)[DRAWN], const bpi_rng_state *rng,
                                         uint32_t site, int64_t block)
{
    const bpi_stream s = stream_of(rng, BPI_PURPOSE_DRAW, site);
    bpi_philox_block(&s, (uint64_t)block, number);
}

__device__ static inline void numbers_of(uint64_t (&number)[DRAWN], const bpi_rng_state *rng,
                                         uint32_t site, int64_t block)
{
    const bpi_stream low = stream_of(rng, BPI_PURPOSE_DRAW_LOW, site);
    uint32_t high[DRAWN], lower[DRAWN];
    numbers_of(high, rng, site, block);
    bpi_philox_block(&low, (uint64_t)block, lower);
    for (int k = 0; k < DRAWN; k++)
        number[k] = (uint64_t)high[k] << 32 | lower[k];
}

template <typename Rule, typename T>
static __global__ void __launch_bounds__(THREADS)
    draw_kernel(const Rule rule, T *y, int64_t n, const bpi_rng_state *rng, uint32_t site)
{
    constexpr int N = lanes_of<T>;
    const int64_t block = (int64_t)blockIdx.x * THREADS + threadIdx.x, first = block * DRAWN;
    typename Drawn<T>::Number number[DRAWN];
    if (first >= n)
        return;
    numbers_of(number, rng, site, block);
    for (int i = 0; i < DRAWN; i += N) {
        Vector<T, N> v = {};
        for (int j = 0; j < N; j++)
            if (first + i + j < n)
                v.at[j] = rule(number[i + j], first + i + j);
        store<N>(y + first + i, v, n - first - i);
    }
}

template <typename T, typename Rule>
static bp_status draw_all(bp_exec *ex, const Rule &rule, const bp_view &y, const bp_view &rng,
                          uint32_t site)
{
    int64_t n = 1;
    for (int32_t i = 0; i < y.shape.ndim; i++)
        n *= y.shape.dim[i];
    return BPI_LAUNCH(ex, parts(n, DRAWN * THREADS), THREADS, 0, (draw_kernel<Rule, T>), rule,
                      y.data, n, rng.data, site);
}

} // namespace bpi
#endif
