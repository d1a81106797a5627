/* What threads of different blocks tell each other, and the only atomics and fences there are: the
 * last block to finish, which sums partial results in their order; what the blocks of a cluster
 * have, from sm_90 on; and what is found wrong. */
#ifndef BPI_GRID_CUH
#define BPI_GRID_CUH

#include "device.cuh"

namespace bpi {

/* Called by all threads of a block. True in all threads of the block that comes last of `blocks`
 * that share `counter`; it sees what every thread of the others wrote before. The counter is 0
 * before and after. */
__device__ static inline bool last_block(uint32_t *counter, uint32_t blocks)
{
    BPI_SHARED(int, is_last, [1]);
    __syncthreads();
    if (threadIdx.x == 0) {
        __threadfence();
        is_last[0] = atomicAdd(counter, 1u) == blocks - 1;
        __threadfence();
        if (is_last[0])
            atomicExch(counter, 0u); /* after the fence, which need not wait for it */
    }
    __syncthreads();
    return is_last[0] != 0;
}

#if !defined(BPI_SIM)
/* Waits for all threads of the cluster's blocks; what they wrote before is seen. */
__device__ static inline void cluster_sync()
{
#if __CUDA_ARCH__ >= 900
    asm volatile("barrier.cluster.arrive.aligned;\n\tbarrier.cluster.wait.aligned;" ::: "memory");
#endif
}

/* The same place in the shared memory of block `rank` of the cluster. */
template <typename T> __device__ static inline const T *shared_of(const T *p, unsigned rank)
{
    uint64_t place = reinterpret_cast<uint64_t>(p);
#if __CUDA_ARCH__ >= 900
    asm("mapa.u64 %0, %1, %2;" : "=l"(place) : "l"(place), "r"(rank));
#endif
    return reinterpret_cast<const T *>(place);
}
#endif

enum { CLUSTER = 8 }; /* blocks, at most; every GPU that has clusters has those */

/* The value of block number threadIdx.x % CLUSTER of the thread's cluster, `none` where there is no
 * such block. Called by all threads of all `blocks` with the value of theirs. */
template <typename V>
__device__ static inline V value_of_block(const V &value, unsigned blocks, const V &none)
{
    BPI_SHARED(V, mine, [1]);
    if (threadIdx.x == 0)
        mine[0] = value;
    cluster_sync();
    const unsigned rank = threadIdx.x % CLUSTER;
    const V other = rank < blocks ? *shared_of(&mine[0], rank) : none;
    cluster_sync(); /* nobody writes, or ends, while others read */
    return other;
}

/* Notes an element of a gradient that cannot be taken (fault.h). */
__device__ static inline void note_gradient(bpi_fault *fault, int64_t place, int why)
{
    atomicMax(&fault->gradient, BPI_FAULT_ELEMENT(place, why));
}

/* Notes an element whose update is held back, if none of an earlier step is noted. */
__device__ static inline void note_held(bpi_fault *fault, unsigned long long step, int64_t place)
{
    const unsigned long long before = atomicCAS(&fault->held.step, 0ull, step);
    if (before == 0 || before == step)
        atomicMax(&fault->held.first, BPI_FAULT_ELEMENT(place, BPI_INFINITE));
}

/* Whether 0 <= index < limit; if not, it is noted, unless another kernel has noted one. */
__device__ static inline bool index_ok(int32_t index, int64_t limit, int64_t place,
                                       bpi_fault *fault, int32_t kernel)
{
    const bool ok = index >= 0 && index < limit;
    if (ok)
        return true;
    const uint32_t by = BPI_FOUND_BY(kernel), before = atomicCAS(&fault->found_by, 0u, by);
    if (before == 0 || before == by)
        atomicMax(&fault->index, BPI_FAULT_INDEX(place < 0xffffffff ? place : 0xffffffff, index));
    return false;
}

} // namespace bpi
#endif
