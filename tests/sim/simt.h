/* The device language for the host: what kernels/device.cuh includes in place of the CUDA headers.
 *
 * Each thread of a block is a fiber, and one runs at a time until it waits for others. So a plain
 * C++ compiler translates a kernel as it stands, and the order of threads and blocks is up to a
 * test. Functions that can fail take, as a default argument, the place in the kernel that calls. */
#ifndef BPI_SIMT_H
#define BPI_SIMT_H

#include <cuda_runtime_api.h>

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <type_traits>

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __launch_bounds__(...)

/* Of CUDA's own functions, those that the host's library lacks. */
static inline double normcdf(double x)
{
    return (double)(0.5L * erfcl(x * -0.7071067811865475244L));
}
static inline float normcdff(float x) { return (float)normcdf(x); }

namespace sim {

struct Where {
    const char *file;
    int line;
    static constexpr Where here(const char *file = __builtin_FILE(), int line = __builtin_LINE())
    {
        return Where{file, line};
    }
};
#define SIM_WHERE ::sim::Where where = ::sim::Where::here()

/* Where the running thread is. Grids and blocks have one dimension. */
struct Position {
    uint3 thread, block, threads, blocks;
};
extern Position position;

struct Launch {
    Where where;
    const char *name;
    const void *kernel; /* its address, for the limits set by address */
    dim3 blocks, threads;
    unsigned cluster; /* blocks of one */
    size_t shared_bytes;
    void (*call)(const void *args); /* one thread */
    const void *args;               /* the caller's: copied by launch() */
    size_t args_bytes;
};
/* Checks the limits and puts a copy of all that into the stream (streams.cpp). */
cudaError_t launch(const Launch &launch, cudaStream_t stream);

enum Operation {
    SYNCWARP,
    SHUFFLE,
    SHUFFLE_XOR,
    SHUFFLE_DOWN,
    SHUFFLE_UP,
    BALLOT,
    ALL,
    ANY,
    BARRIER,
    BARRIER_COUNT,
    BARRIER_AND,
    BARRIER_OR,
    CLUSTER_BARRIER
};
/* Waits for the other lanes of the mask. argument and width as in CUDA; at most 16 bytes. */
void meet_warp(Operation op, unsigned mask, const void *value, void *result, size_t bytes,
               int argument, int width, Where where);
/* Waits for the other threads of the block. */
int meet_block(Operation op, int predicate, Where where);
/* Waits for the other threads of the cluster's blocks. */
void meet_cluster(Where where);

/* Copies into shared memory: made when the thread waits for them. */
void begin_copy(void *to, const void *from, size_t bytes, Where where);
void wait_for_copies();

void *shared_variable(const void *key, const char *name, size_t bytes, size_t alignment);
void *shared_dynamic(size_t alignment);
/* The same place of another block of the cluster. */
void *shared_of_rank(const void *p, unsigned rank);

/* What the checker is told. */
void note_atomic(const void *p, size_t bytes, Where where);
void note_fence();

template <typename T>
static inline T shuffle(Operation op, unsigned mask, T value, int argument, int width, Where where)
{
    static_assert(sizeof(T) <= 16 && std::is_trivially_copyable<T>::value, "cannot be shuffled");
    T result;
    meet_warp(op, mask, &value, &result, sizeof(T), argument, width, where);
    return result;
}

static inline unsigned vote(Operation op, unsigned mask, int predicate, Where where)
{
    return shuffle<unsigned>(op, mask, predicate != 0, 0, 32, where);
}

/* Fibers change only where they wait, so plain loads and stores make an atomic operation. */
template <typename T, typename Change>
__attribute__((no_sanitize("thread"))) static inline T atomic(T *p, Where where, Change change)
{
    static_assert(std::is_integral<T>::value && sizeof(T) >= 4, "integers only");
    note_atomic(p, sizeof(T), where);
    const T before = *p;
    *p = change(before);
    return before;
}

template <typename T> struct Same {
    typedef T type; /* a parameter that T is not deduced from */
};

template <typename To, typename From> static inline To bits_as(From from)
{
    static_assert(sizeof(To) == sizeof(From), "sizes differ");
    To to;
    memcpy(&to, &from, sizeof(To));
    return to;
}

} // namespace sim

namespace bpi {

/* The arguments are converted and copied now, as in a real launch. */
template <typename... P, typename... A>
static inline cudaError_t launch(const char *file, int line, const char *kernel_name,
                                 void (*kernel)(P...), unsigned cluster, dim3 blocks,
                                 dim3 threads, size_t shared_bytes, cudaStream_t stream,
                                 A... args)
{
    auto body = [=] { kernel(static_cast<P>(args)...); };
    static_assert(std::is_trivially_copyable<decltype(body)>::value, "argument of a kernel");
    sim::Launch launch = {};
    launch.where = sim::Where{file, line};
    launch.name = kernel_name;
    launch.kernel = reinterpret_cast<const void *>(kernel);
    launch.blocks = blocks;
    launch.threads = threads;
    launch.cluster = cluster;
    launch.shared_bytes = shared_bytes;
    launch.call = [](const void *p) { (*static_cast<const decltype(body) *>(p))(); };
    launch.args = &body;
    launch.args_bytes = sizeof body;
    return sim::launch(launch, stream);
}

} // namespace bpi

#define threadIdx (::sim::position.thread)
#define blockIdx (::sim::position.block)
#define blockDim (::sim::position.threads)
#define gridDim (::sim::position.blocks)

#define BPI_SHARED(type, name, dims)                                 \
    static const char name##_key = 0;                                \
    typedef type name##_type dims;                                   \
    name##_type &name = *static_cast<name##_type *>(                 \
        ::sim::shared_variable(&name##_key, #name, sizeof(name##_type), alignof(name##_type)))
#define BPI_DYNAMIC_SHARED(type, name) \
    type *name = static_cast<type *>(::sim::shared_dynamic(alignof(type)))

/* --- waiting for others ------------------------------------------------------------------- */

static inline void __syncthreads(SIM_WHERE)
{
    sim::meet_block(sim::BARRIER, 0, where);
}
static inline int __syncthreads_count(int predicate, SIM_WHERE)
{
    return sim::meet_block(sim::BARRIER_COUNT, predicate, where);
}
static inline int __syncthreads_and(int predicate, SIM_WHERE)
{
    return sim::meet_block(sim::BARRIER_AND, predicate, where);
}
static inline int __syncthreads_or(int predicate, SIM_WHERE)
{
    return sim::meet_block(sim::BARRIER_OR, predicate, where);
}

static inline void __syncwarp(unsigned mask = 0xffffffffu, SIM_WHERE)
{
    sim::meet_warp(sim::SYNCWARP, mask, NULL, NULL, 0, 0, 32, where);
}
template <typename T>
static inline T __shfl_sync(unsigned mask, T value, int lane, int width = 32, SIM_WHERE)
{
    return sim::shuffle(sim::SHUFFLE, mask, value, lane, width, where);
}
template <typename T>
static inline T __shfl_xor_sync(unsigned mask, T value, int bits, int width = 32, SIM_WHERE)
{
    return sim::shuffle(sim::SHUFFLE_XOR, mask, value, bits, width, where);
}
template <typename T>
static inline T __shfl_down_sync(unsigned mask, T value, unsigned by, int width = 32, SIM_WHERE)
{
    return sim::shuffle(sim::SHUFFLE_DOWN, mask, value, (int)by, width, where);
}
template <typename T>
static inline T __shfl_up_sync(unsigned mask, T value, unsigned by, int width = 32, SIM_WHERE)
{
    return sim::shuffle(sim::SHUFFLE_UP, mask, value, (int)by, width, where);
}
static inline unsigned __ballot_sync(unsigned mask, int predicate, SIM_WHERE)
{
    return sim::vote(sim::BALLOT, mask, predicate, where);
}
static inline int __all_sync(unsigned mask, int predicate, SIM_WHERE)
{
    return (int)sim::vote(sim::ALL, mask, predicate, where);
}
static inline int __any_sync(unsigned mask, int predicate, SIM_WHERE)
{
    return (int)sim::vote(sim::ANY, mask, predicate, where);
}

static inline void cluster_sync(SIM_WHERE)
{
    sim::meet_cluster(where);
}

/* --- memory ------------------------------------------------------------------------------- */

template <typename T> static inline const T *shared_of(const T *p, unsigned rank)
{
    return static_cast<const T *>(sim::shared_of_rank(p, rank));
}

static inline void __pipeline_memcpy_async(void *to, const void *from, size_t bytes, size_t = 0,
                                           SIM_WHERE)
{
    sim::begin_copy(to, from, bytes, where);
}
static inline void __pipeline_commit() {}
static inline void __pipeline_wait_prior(size_t) /* of 0: all */
{
    sim::wait_for_copies();
}

static inline void __threadfence()
{
    sim::note_fence();
}

template <typename T>
static inline T atomicAdd(T *p, typename sim::Same<T>::type value, SIM_WHERE)
{
    return sim::atomic(p, where, [=](T before) { return (T)(before + value); });
}
template <typename T>
static inline T atomicMax(T *p, typename sim::Same<T>::type value, SIM_WHERE)
{
    return sim::atomic(p, where, [=](T before) { return before < value ? value : before; });
}
template <typename T>
static inline T atomicMin(T *p, typename sim::Same<T>::type value, SIM_WHERE)
{
    return sim::atomic(p, where, [=](T before) { return value < before ? value : before; });
}
template <typename T>
static inline T atomicExch(T *p, typename sim::Same<T>::type value, SIM_WHERE)
{
    return sim::atomic(p, where, [=](T) { return value; });
}
template <typename T>
static inline T atomicCAS(T *p, typename sim::Same<T>::type compare,
                          typename sim::Same<T>::type value, SIM_WHERE)
{
    return sim::atomic(p, where, [=](T before) { return before == compare ? value : before; });
}

template <typename T> static inline T __ldg(const T *p) { return *p; }
template <typename T> static inline T __ldcs(const T *p) { return *p; }
template <typename T> static inline T __ldcg(const T *p) { return *p; }
template <typename T> static inline void __stcs(T *p, T value) { *p = value; }
template <typename T> static inline void __stcg(T *p, T value) { *p = value; }

/* --- arithmetic --------------------------------------------------------------------------- */

static inline unsigned __umulhi(unsigned a, unsigned b) { return (uint64_t)a * b >> 32; }
static inline int __popc(unsigned x) { return __builtin_popcount(x); }
static inline int __ffs(int x) { return __builtin_ffs(x); }
static inline int __clz(int x) { return x == 0 ? 32 : __builtin_clz((unsigned)x); }

static inline unsigned __float_as_uint(float x) { return sim::bits_as<unsigned>(x); }
static inline int __float_as_int(float x) { return sim::bits_as<int>(x); }
static inline float __uint_as_float(unsigned x) { return sim::bits_as<float>(x); }
static inline float __int_as_float(int x) { return sim::bits_as<float>(x); }
static inline long long __double_as_longlong(double x) { return sim::bits_as<long long>(x); }
static inline double __longlong_as_double(long long x) { return sim::bits_as<double>(x); }

template <typename T> static inline T min(T a, T b) { return b < a ? b : a; }
template <typename T> static inline T max(T a, T b) { return a < b ? b : a; }
#endif
