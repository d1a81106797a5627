/* What every kernel file includes: CUDA under nvcc, the simulated device (tests/sim) under a host
 * compiler with BPI_SIM. Beside it, what both have in common: names, launches, vectors of 16 bytes.
 *
 *     BPI_SHARED(float, sum, [32]);                   float sum[32] in shared memory
 *     BPI_DYNAMIC_SHARED(float, row);                 float *row, of the bytes the launch gave
 *     return BPI_LAUNCH(ex, blocks, threads, bytes, (kernel<T, 4>), x, y, n);
 *
 * Grids have one dimension. exp_of(x) and its kin are the functions of the type of x. Atomics and
 * fences are in grid.cuh and nowhere else. */
#ifndef BPI_DEVICE_CUH
#define BPI_DEVICE_CUH

#if defined(BPI_SIM)
#include "simt.h"
#else
#include <cuda_runtime.h>
#define BPI_SHARED(type, name, dims) __shared__ type name dims
#define BPI_DYNAMIC_SHARED(type, name)                               \
    extern __shared__ __align__(16) unsigned char bpi_dynamic_shared_[]; \
    type *name = reinterpret_cast<type *>(bpi_dynamic_shared_)
#endif

#include "cuda/cuda.h"

namespace bpi {

#if !defined(BPI_SIM)
template <typename... P, typename... A>
static inline cudaError_t launch(const char *, int, const char *, void (*kernel)(P...), dim3 blocks,
                                 dim3 threads, size_t shared_bytes, cudaStream_t stream, A... args)
{
    cudaLaunchConfig_t config = {};
    config.gridDim = blocks;
    config.blockDim = threads;
    config.dynamicSmemBytes = shared_bytes;
    config.stream = stream;
    return cudaLaunchKernelEx(&config, kernel, static_cast<P>(args)...);
}
#endif

/* Launches on the stream of ex and returns the status; no blocks, no launch. */
#define BPI_LAUNCH(ex, blocks, threads, shared_bytes, kernel, ...)                                \
    ((blocks) == 0                 ? (bp_status)BP_OK                                             \
     : bpi_cuda_flush(ex) != BP_OK ? (bp_status)BP_ERR_DEVICE                                     \
                                   : bpi_cuda_launched(                                           \
                                         ex,                                                      \
                                         bpi::launch(__FILE__, __LINE__, #kernel, kernel,         \
                                                     dim3((unsigned)(blocks)),                    \
                                                     dim3((unsigned)(threads)), shared_bytes,     \
                                                     bpi_cuda_of(ex)->stream, __VA_ARGS__),       \
                                         #kernel))

enum { WARP = 32 };
static constexpr unsigned ALL_LANES = 0xffffffffu;

/* N elements that are loaded and stored as one. */
template <typename T, int N> struct alignas(sizeof(T) * N) Vector {
    T at[N];
};
/* Elements of T in 16 bytes. */
template <typename T> static constexpr int lanes_of = 16 / (int)sizeof(T);

static inline int64_t parts(int64_t n, int64_t size) { return (n + size - 1) / size; }
static inline int64_t at_most(int64_t n, int64_t most) { return n < most ? n : most; }

/* Whether p can be read and written as vectors of T. */
template <typename T> static inline bool is_aligned(const void *p)
{
    return reinterpret_cast<uintptr_t>(p) % 16 == 0;
}

/* --- arithmetic of the type --------------------------------------------------------------- */

__device__ static inline float exp_of(float x) { return expf(x); }
__device__ static inline double exp_of(double x) { return exp(x); }
__device__ static inline float expm1_of(float x) { return expm1f(x); }
__device__ static inline double expm1_of(double x) { return expm1(x); }
__device__ static inline float log_of(float x) { return logf(x); }
__device__ static inline double log_of(double x) { return log(x); }
__device__ static inline float sqrt_of(float x) { return sqrtf(x); }
__device__ static inline double sqrt_of(double x) { return sqrt(x); }

} // namespace bpi

/* The tables of one op: the only symbols its file defines. Slots: forward, backward,
 * backward_params, each {function, layout of the inputs, aux_bytes or NULL}. */
#define BPI_CUDA_OP(name, ...)                                                        \
    extern "C" {                                                                      \
    extern const bpi_op_kernels bpi_cuda_##name##_f32, bpi_cuda_##name##_f64;         \
    }                                                                                 \
    template <typename T> static constexpr bpi_op_kernels name##_table = {{__VA_ARGS__}}; \
    const bpi_op_kernels bpi_cuda_##name##_f32 = name##_table<float>;                 \
    const bpi_op_kernels bpi_cuda_##name##_f64 = name##_table<double>
#endif
