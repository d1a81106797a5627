/* The dropout stream (philox.h) in blocks of 8 elements, for dropout.cu and linear_finish.cu:
 *
 *     element i is kept where half-word i mod 8 of block i / 8 is below `keep` */
#ifndef BPI_DROPOUT_CUH
#define BPI_DROPOUT_CUH

#include "device.cuh"
#include "door/philox.h"

namespace bpi {

enum { BLOCK = 8 };

/* Bit h: element h of the block is kept. */
__device__ static inline unsigned kept_bits(const bpi_rng_state *rng, uint32_t site, uint32_t keep,
                                            uint64_t block)
{
    const bpi_stream stream = {rng->seed, rng->step,
                               bpi_purpose_site(BPI_PURPOSE_DROPOUT, site)};
    uint32_t word[4];
    unsigned kept = 0;
    bpi_philox_block(&stream, block, word);
#pragma unroll
    for (int h = 0; h < BLOCK; h++)
        kept |= (unsigned)((word[h / 2] >> 16 * (h % 2) & 0xffff) < keep) << h;
    return kept;
}

} // namespace bpi
#endif
