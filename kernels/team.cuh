/* Rows that are read once: a team of threads shares a row and holds it, in registers, a wide one in
 * shared memory too, a wider one by the blocks of a cluster.
 *
 *     Team, Cut    threads that share a row, and how it falls to them in vectors
 *     Share        how a row falls to blocks, and what of it they keep
 *     Place        where in its row a thread begins, and what is left from there
 *     fetch        asynchronous copies into what is kept
 *
 * What even a cluster does not hold is read again, from its end, where L2 still has it. Users:
 * softmax.cuh, cross_entropy.cu, cross_entropy_with.cu, layer_norm.cu. */
#ifndef BPI_TEAM_CUH
#define BPI_TEAM_CUH

#include <type_traits>

#include "grid.cuh"
#include "reduce.cuh"

namespace bpi {

/* SIZE threads share a row, of which each holds HELD bytes in registers. Only the widest team meets
 * a row with more than that; it goes through the rest twice, REST bytes a thread at a time. */
template <int SIZE_, int HELD_, int WIDEST_ = 0> struct Team {
    enum {
        SIZE = SIZE_,
        HELD = HELD_,
        REST = 32,
        THREADS = SIZE < 128 ? 128 : SIZE,
        ROWS = THREADS / SIZE,
        BLOCKS = SIZE < 512 ? 5 : WIDEST_ ? WIDEST_ : 2 /* of a multiprocessor, at least */
    };
    static constexpr bool WIDEST = WIDEST_ != 0;
};

/* A team that holds two rows of equal size, half of it each. */
template <typename Both>
using HalfOf = Team<Both::SIZE, Both::HELD / 2, Both::WIDEST ? (int)Both::BLOCKS : 0>;

/* The same in vectors of N elements. */
template <typename T, int N, typename Team> struct Cut {
    using Count = std::conditional_t<Team::WIDEST, int64_t, int>; /* of elements of a row */
    enum {
        STEP = Team::SIZE * N,                   /* elements from a thread's vector to its next */
        COUNT = Team::HELD / (int)sizeof(T) / N, /* vectors that it holds */
        HELD = COUNT * STEP,                     /* elements that the team holds */
        REST = Team::REST / (int)sizeof(T) / N,  /* vectors of the rest at a time */
        CHUNK = REST * STEP
    };
};

/* launch(team) with the team for rows of so many T. BLOCKS of the widest a multiprocessor: with 2
 * a kernel has 64 registers a thread, which e^x of f64, for one, does not get by with. It holds
 * little in registers: what is fetched into shared memory needs none on its way. */
template <typename T, int BLOCKS = sizeof(T) == 4 ? 2 : 1, typename F>
static inline bp_status with_team(int64_t size, F launch)
{
    const int64_t bytes = size * (int64_t)sizeof(T);
    if (bytes <= 4 * 32)
        return launch(Team<4, 32>());
    if (bytes <= 8 * 32)
        return launch(Team<8, 32>());
    if (bytes <= 8 * 128)
        return launch(Team<8, 128>());
    if (bytes <= 32 * 128)
        return launch(Team<32, 128>());
    if (bytes <= 128 * 128)
        return launch(Team<128, 128>());
    if (bytes <= 512 * 64)
        return launch(Team<512, 64>());
    return launch(Team<512, 32, BLOCKS>());
}

/* --- shares of a row ------------------------------------------------------------------------ */

/* A row falls to `blocks` of a cluster, in slices of `slice` elements. Of its slice, beyond what is
 * in registers, a block keeps `kept` elements in shared memory. Only the widest team looks. */
struct Share {
    int64_t slice;
    int32_t kept, blocks, shared_bytes;
};

/* The most blocks of a cluster, a power of 2; 1 where the GPU, or the kernel's code for it, has no
 * clusters. */
static inline bp_status most_of_cluster(bpi_cuda *d, const void *kernel, unsigned threads,
                                        size_t shared_bytes, int *most)
{
    cudaFuncAttributes made = {};
    const cudaLaunchConfig_t config = {dim3(CLUSTER), dim3(threads), shared_bytes, nullptr};
    int fit = 1;
    bp_status st = bpi_cuda_check(d, cudaFuncGetAttributes(&made, kernel), "cudaFuncGetAttributes");
    if (st == BP_OK && made.ptxVersion >= 90)
        st = bpi_cuda_check(d, cudaOccupancyMaxPotentialClusterSize(&fit, kernel, &config),
                            "cudaOccupancyMaxPotentialClusterSize");
    for (*most = 1; 2 * *most <= fit && *most < CLUSTER;)
        *most *= 2;
    return st;
}

/* The share of a row, or of several of equal size that are read together. A block gets up to 128
 * KiB of them, 112 in shared memory, of which a multiprocessor of sm_90 has room for two; more
 * where clusters end. */
template <typename T, typename Team, typename K>
static inline bp_status share_out(bp_exec *ex, K *kernel, int64_t size, int rows, Share *share)
{
    constexpr int64_t CHUNK = Team::SIZE * Team::REST, OTHERS = 2048, MOST = 128 << 10; /* bytes */
    constexpr int64_t LINE = 128 / sizeof(T);
    const void *function = reinterpret_cast<const void *>(kernel);
    bpi_cuda *d = bpi_cuda_of(ex);
    int optin = 0, most = 1;
    *share = {size, 0, 1, 0};
    if (!Team::WIDEST)
        return BP_OK;
    bp_status st = bpi_cuda_check(
        d, cudaDeviceGetAttribute(&optin, cudaDevAttrMaxSharedMemoryPerBlockOptin, d->number),
        "cudaDeviceGetAttribute");
    const int64_t limit = (optin - OTHERS) / rows / CHUNK * CHUNK;
    /* the same for all: the limit is the function's, and another context may be launching it */
    if (st == BP_OK)
        st = bpi_cuda_check(d,
                            cudaFuncSetAttribute(function,
                                                 cudaFuncAttributeMaxDynamicSharedMemorySize,
                                                 (int)(rows * limit)),
                            "cudaFuncSetAttribute");
    if (st == BP_OK)
        st = most_of_cluster(d, function, Team::THREADS, (size_t)(rows * limit), &most);
    share->blocks = power_of_two(parts(rows * size * (int64_t)sizeof(T), MOST), most);
    share->slice = parts(size, share->blocks * LINE) * LINE;
    const int64_t rest = share->slice * (int64_t)sizeof(T) - Team::SIZE * Team::HELD;
    share->kept = (int32_t)(at_most(parts(at_least(rest, 0), CHUNK) * CHUNK, limit) /
                            (int64_t)sizeof(T));
    share->shared_bytes = rows * share->kept * (int32_t)sizeof(T);
    return st;
}

/* Launches a kernel of teams over n rows. */
#define BPI_LAUNCH_TEAMS(ex, Team, share, n, ...)                                                 \
    BPI_LAUNCH_CLUSTERS(ex, (share).blocks, parts(n, Team::ROWS) * (share).blocks, Team::THREADS, \
                        (share).shared_bytes, __VA_ARGS__)

/* A thread's row, which may be beyond the last one; the column at which it begins, `own` elements
 * into its block's slice; and the elements from there to the end of the slice. */
template <typename Count> struct Place {
    int64_t row;
    Count column, left;
    int own;
};

/* `group`: of Team::ROWS rows. */
template <typename T, int N, typename Team>
__device__ static inline Place<typename Cut<T, N, Team>::Count>
place_in_row(int64_t group, int64_t rows, int64_t size, const Share &share)
{
    using Count = typename Cut<T, N, Team>::Count;
    const int64_t row = group * Team::ROWS + threadIdx.x / Team::SIZE;
    const int own = threadIdx.x % Team::SIZE * N;
    Count column = own, end = size;
    if (Team::WIDEST) {
        const int64_t begin = blockIdx.x % share.blocks * share.slice;
        column = begin + own;
        end = min(begin + share.slice, size);
    }
    return {row, column, row < rows ? end - column : (Count)0, own};
}

/* The first group of rows of the block or cluster, and their number. */
template <typename Team> __device__ static inline int64_t first_group(const Share &share)
{
    return Team::WIDEST ? blockIdx.x / (unsigned)share.blocks : blockIdx.x;
}
template <typename Team> __device__ static inline int64_t groups(const Share &share)
{
    return Team::WIDEST ? gridDim.x / (unsigned)share.blocks : gridDim.x;
}

/* Begins to copy what of `left` elements of x is kept, from where the thread alone reads it, after
 * fetched(). */
template <typename T, int N, typename Team>
__device__ static inline void fetch(T *shared, const T *x, int64_t left, int32_t kept)
{
    if (!Team::WIDEST)
        return;
    const int64_t end = left < kept ? left : kept;
    for (int64_t i = 0; i < end; i += Cut<T, N, Team>::STEP)
        __pipeline_memcpy_async(shared + i, x + i, N * sizeof(T));
}

template <typename Team> __device__ static inline void fetched()
{
    if (!Team::WIDEST)
        return;
    __pipeline_commit();
    __pipeline_wait_prior(0);
}

/* The vectors of a thread into shared memory, from where it alone reads them. */
template <typename T, int N, int COUNT>
__device__ static inline void keep(T *shared, const Vector<T, N> (&v)[COUNT], int step)
{
#pragma unroll
    for (int k = 0; k < COUNT; k++)
        *reinterpret_cast<Vector<T, N> *>(shared + k * step) = v[k];
}

/* fold over a row of the team's, that of a cluster's too; `none` changes nothing. */
template <typename Team, typename V, typename F>
__device__ static inline V fold_row(V value, const Share &share, F combine, V none)
{
    value = fold(value, Team::SIZE, combine);
    return Team::WIDEST && share.blocks > 1
               ? fold(value_of_block(value, share.blocks, none), CLUSTER, combine)
               : value;
}

/* fold_terms, likewise. */
template <typename Team, typename T>
__device__ static inline MaxSum<T> fold_row_terms(MaxSum<T> s, const Share &share)
{
    s = fold_terms(s, Team::SIZE);
    return Team::WIDEST && share.blocks > 1
               ? fold_terms(value_of_block(s, share.blocks, {-(T)INFINITY, 0}), CLUSTER)
               : s;
}

} // namespace bpi
#endif
