/* What every kernel file includes: CUDA under nvcc, the simulated device (tests/sim) under a host
 * compiler with BPI_SIM. Beside it, what both have in common: names, launches, vectors of 16 bytes,
 * axes with strides.
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
#include <cuda_pipeline_primitives.h>
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
static inline cudaError_t launch(const char *, int, const char *, void (*kernel)(P...),
                                 unsigned cluster, dim3 blocks, dim3 threads, size_t shared_bytes,
                                 cudaStream_t stream, A... args)
{
    cudaLaunchConfig_t config = {};
    config.gridDim = blocks;
    config.blockDim = threads;
    config.dynamicSmemBytes = shared_bytes;
    config.stream = stream;
    cudaLaunchAttribute attribute = {};
    attribute.id = cudaLaunchAttributeClusterDimension;
    attribute.val.clusterDim.x = cluster;
    attribute.val.clusterDim.y = attribute.val.clusterDim.z = 1;
    config.attrs = &attribute;
    config.numAttrs = cluster > 1;
    return cudaLaunchKernelEx(&config, kernel, static_cast<P>(args)...);
}
#endif

/* 0, which CUDA refuses, for more than a grid can hold. */
static inline unsigned grid_of(int64_t blocks)
{
    return blocks > 0x7fffffff ? 0 : (unsigned)blocks;
}

/* Launches on the stream of ex and returns the status; no blocks, no launch. */
#define BPI_LAUNCH(ex, ...) BPI_LAUNCH_CLUSTERS(ex, 1, __VA_ARGS__)

/* The same in clusters of so many blocks (grid.cuh). */
#define BPI_LAUNCH_CLUSTERS(ex, cluster, blocks, ...)                                             \
    ((blocks) == 0                 ? (bp_status)BP_OK                                             \
     : bpi_cuda_flush(ex) != BP_OK ? (bp_status)BP_ERR_DEVICE                                     \
                                   : BPI_LAUNCH_NOW(ex, cluster, blocks, __VA_ARGS__))

/* The same, ahead of the small calls that have gathered: it is they that are launched. */
#define BPI_LAUNCH_FIRST(ex, ...) BPI_LAUNCH_NOW(ex, 1, __VA_ARGS__)

#define BPI_LAUNCH_NOW(ex, cluster, blocks, threads, shared_bytes, kernel, ...)                   \
    bpi_cuda_launched(ex,                                                                         \
                      bpi::launch(__FILE__, __LINE__, #kernel, kernel, (unsigned)(cluster),       \
                                  dim3(bpi::grid_of(blocks)), dim3((unsigned)(threads)),          \
                                  shared_bytes, bpi_cuda_of(ex)->stream, __VA_ARGS__),            \
                      #kernel)

enum { WARP = 32 };
static constexpr unsigned ALL_LANES = 0xffffffffu;

static inline int64_t parts(int64_t n, int64_t size) { return (n + size - 1) / size; }
static inline int64_t at_most(int64_t n, int64_t most) { return n < most ? n : most; }

/* --- vectors ------------------------------------------------------------------------------ */

/* N elements that are loaded and stored as one. */
template <typename T, int N> struct alignas(sizeof(T) * N) Vector {
    T at[N];
};
/* Elements of T in 16 bytes. */
template <typename T> static constexpr int lanes_of = 16 / (int)sizeof(T);

/* Whether p can be read and written as vectors of 16 bytes. */
static inline bool is_aligned(const void *p) { return reinterpret_cast<uintptr_t>(p) % 16 == 0; }

/* The bytes of a vector as one word. nvcc may take the store of a struct apart, into as many as it
 * has members; what __stcg is given stays whole. */
#if !defined(BPI_SIM)
template <int BYTES> struct WordOf;
template <> struct WordOf<1> { typedef unsigned char type; };
template <> struct WordOf<2> { typedef unsigned short type; };
template <> struct WordOf<4> { typedef unsigned type; };
template <> struct WordOf<8> { typedef uint2 type; };
template <> struct WordOf<16> { typedef uint4 type; };
template <typename V> using Word = typename WordOf<sizeof(V)>::type;
#else
template <typename V> using Word = V;
#endif

/* p[0 .. N); p is aligned for all of them. A store goes to global memory. */
template <int N, typename T> __device__ static inline Vector<T, N> load(const T *p)
{
    return *reinterpret_cast<const Vector<T, N> *>(p);
}

template <int N, typename T> __device__ static inline void store(T *p, const Vector<T, N> &v)
{
    typedef Word<Vector<T, N>> Whole;
    __stcg(reinterpret_cast<Whole *>(p), reinterpret_cast<const Whole &>(v));
}

/* --- axes --------------------------------------------------------------------------------- */

/* The axes that some operands have in common. Those that lie behind each other in every operand
 * are one. */
template <int OPERANDS> struct Axes {
    int32_t count;
    int64_t size[BP_MAX_DIMS];             /* innermost first */
    int64_t stride[OPERANDS][BP_MAX_DIMS]; /* elements; 0 where one is repeated */
};

/* Adds the next axis outwards. */
template <int OPERANDS>
static inline void add_axis(Axes<OPERANDS> *axes, int64_t size, const int64_t (&stride)[OPERANDS])
{
    const int32_t top = axes->count - 1;
    bool behind = top >= 0;
    for (int k = 0; behind && k < OPERANDS; k++)
        behind = stride[k] == axes->stride[k][top] * axes->size[top];
    if (behind) {
        axes->size[top] *= size;
        return;
    }
    axes->size[axes->count] = size;
    for (int k = 0; k < OPERANDS; k++)
        axes->stride[k][axes->count] = stride[k];
    axes->count++;
}

/* Adds to the offsets what number i of the axes from `axis` on is away from the first. The
 * compiler's division of 64 bits takes the short way where both numbers fit 32. */
template <int OPERANDS>
__device__ static inline void add_offsets(int64_t (&offset)[OPERANDS], const Axes<OPERANDS> &axes,
                                          int32_t axis, int64_t i)
{
#pragma unroll 1
    for (; axis < axes.count; axis++) {
        const int64_t next = axis + 1 < axes.count ? i / axes.size[axis] : 0;
        const int64_t at = i - next * axes.size[axis];
        for (int k = 0; k < OPERANDS; k++)
            offset[k] += at * axes.stride[k][axis];
        i = next;
    }
}

/* --- arithmetic of the type --------------------------------------------------------------- */

__device__ static inline float exp_of(float x) { return expf(x); }
__device__ static inline double exp_of(double x) { return exp(x); }
__device__ static inline float expm1_of(float x) { return expm1f(x); }
__device__ static inline double expm1_of(double x) { return expm1(x); }
__device__ static inline float log_of(float x) { return logf(x); }
__device__ static inline double log_of(double x) { return log(x); }
__device__ static inline float log1p_of(float x) { return log1pf(x); }
__device__ static inline double log1p_of(double x) { return log1p(x); }
template <typename T>
__device__ static inline T log1p_unit_of(T x) { return log1p_of(x); }
__device__ static inline float tanh_of(float x) { return tanhf(x); }
__device__ static inline double tanh_of(double x) { return tanh(x); }
__device__ static inline float normal_cdf_of(float x) { return normcdff(x); }
__device__ static inline double normal_cdf_of(double x) { return normcdf(x); }
__device__ static inline float sin_of(float x) { return sinf(x); }
__device__ static inline double sin_of(double x) { return sin(x); }
__device__ static inline float cos_of(float x) { return cosf(x); }
__device__ static inline double cos_of(double x) { return cos(x); }
__device__ static inline float erf_of(float x) { return erff(x); }
__device__ static inline double erf_of(double x) { return erf(x); }
__device__ static inline float pow_of(float x, float p) { return powf(x, p); }
__device__ static inline double pow_of(double x, double p) { return pow(x, p); }
__device__ static inline float fma_of(float a, float b, float c) { return fmaf(a, b, c); }
__device__ static inline double fma_of(double a, double b, double c) { return fma(a, b, c); }
__device__ static inline float sqrt_of(float x) { return sqrtf(x); }
__device__ static inline double sqrt_of(double x) { return sqrt(x); }
__device__ static inline float abs_of(float x) { return fabsf(x); }
__device__ static inline double abs_of(double x) { return fabs(x); }
__device__ static inline float max_of(float a, float b) { return fmaxf(a, b); }
__device__ static inline double max_of(double a, double b) { return fmax(a, b); }

/* e^(-x^2 / 2) / sqrt(2 pi); what the square loses would cost e^ of it as many ulp as it is
 * large. */
template <typename T> __device__ static inline T normal_pdf_of(T x)
{
    const T a = abs_of(x) > 40 ? 40 : abs_of(x), square = a * a, lost = fma_of(a, a, -square);
    return exp_of(T(-0.5) * square) * (1 - T(0.5) * lost) * T(0.398942280401432677939946);
}

/* e^(-x^2), likewise. */
template <typename T> __device__ static inline T exp_minus_square_of(T x)
{
    const T a = abs_of(x) > 40 ? 40 : abs_of(x), square = a * a, lost = fma_of(a, a, -square);
    return exp_of(-square) * (1 - lost);
}

} // namespace bpi

/* The tables of one op: the only symbols its file defines. Slots: forward, backward,
 * backward_params, each {function, layout of the inputs, aux_bytes or NULL}; what backend.h has
 * beyond that is NULL. */
#define BPI_CUDA_OP(name, ...)                                                        \
    extern "C" {                                                                      \
    extern const bpi_op_kernels bpi_cuda_##name##_f32, bpi_cuda_##name##_f64;         \
    }                                                                                 \
    template <typename T> static constexpr bpi_op_kernels name##_table = {{__VA_ARGS__}}; \
    const bpi_op_kernels bpi_cuda_##name##_f32 = name##_table<float>;                 \
    const bpi_op_kernels bpi_cuda_##name##_f64 = name##_table<double>
#endif
