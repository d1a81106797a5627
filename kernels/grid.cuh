/* What threads of different blocks tell each other, and the only atomics and fences there are: the
 * last block to finish, which sums partial results in their order, and the fault word. */
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

/* Notes a fault of the running kernel, if there is none of another yet (backend.h). */
__device__ static inline void note_fault(bpi_fault *fault, int32_t kernel, int32_t status,
                                         int64_t place, int32_t value)
{
    const uint32_t what = BPI_FAULT_WHAT(status, kernel);
    const uint32_t before = atomicCAS(&fault->what, 0u, what);
    if (before == 0 || before == what)
        atomicMax(&fault->first, BPI_FAULT_FIRST(place < 0xffffffff ? place : 0xffffffff, value));
}

/* Whether 0 <= index < limit; if not, it is noted. */
__device__ static inline bool index_ok(int32_t index, int64_t limit, int64_t place,
                                       bpi_fault *fault, int32_t kernel)
{
    const bool ok = index >= 0 && index < limit;
    if (!ok)
        note_fault(fault, kernel, BP_ERR_RANGE, place, index);
    return ok;
}

} // namespace bpi
#endif
