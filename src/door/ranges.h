/* How a launch over the ranges of a store is cut into blocks: each range into blocks of `size`
 * elements, the last of which may be smaller. */
#ifndef BPI_RANGES_H
#define BPI_RANGES_H

#include "door/kernel_params.h"
#include "door/philox.h"

BPI_HOST_DEVICE int64_t bpi_blocks_of(const bpi_range *r, int64_t size)
{
    return (r->end - r->begin + size - 1) / size;
}

BPI_HOST_DEVICE int64_t bpi_all_blocks(const bpi_ranges *r, int64_t size)
{
    int64_t blocks = 0;
    for (int64_t i = 0; i < r->n; i++)
        blocks += bpi_blocks_of(&r->at[i], size);
    return blocks;
}

/* The elements of a block. */
BPI_HOST_DEVICE bpi_range bpi_block_range(const bpi_ranges *r, int64_t block, int64_t size)
{
    const bpi_range *at = r->at;
    for (int64_t n; block >= (n = bpi_blocks_of(at, size)); at++)
        block -= n;
    const int64_t begin = at->begin + block * size, end = begin + size;
    const bpi_range range = {begin, end < at->end ? end : at->end};
    return range;
}

#endif
