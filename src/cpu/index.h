/* The check of every index that a kernel takes: 0 <= index < limit.
 *
 * Blocks that meet a bad one may do so in any order; what is noted is the first in memory, so that
 * what is told does not depend on the threads. Its users: gather.c, gather_normalized.c,
 * scatter_rows.c, take_along.c, add_along.c, nll_loss.c, nll_spread.c, cross_entropy.c;
 * step_begin.c and optimizers.c note in the same way. */
#ifndef BPI_CPU_INDEX_H
#define BPI_CPU_INDEX_H

#include <stdatomic.h>

#include "cpu/kernel.h"

/* Keeps the lowest i, whatever block comes first. */
static inline void bpi_note_first(_Atomic int64_t *first, int64_t i)
{
    int64_t before = atomic_load(first);
    while (i < before && !atomic_compare_exchange_weak(first, &before, i))
        continue;
}

typedef struct bpi_indices {
    const int32_t *at;
    int64_t limit;
    _Atomic int64_t first_bad; /* INT64_MAX: none */
} bpi_indices;

#define BPI_INDICES(view, end) {(view).data, end, INT64_MAX}

/* Whether index i is good. */
static inline int bpi_index_ok(bpi_indices *x, int64_t i)
{
    int ok = x->at[i] >= 0 && x->at[i] < x->limit;
    if (!ok)
        bpi_note_first(&x->first_bad, i);
    return ok;
}

/* After the last block: the status of the kernel. */
static inline bp_status bpi_indices_done(bp_exec *ex, const bpi_indices *x)
{
    if (x->first_bad != INT64_MAX)
        bp_fault_range(ex, x->at[x->first_bad]);
    return BP_OK;
}

#endif
