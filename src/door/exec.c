/* What a kernel on the CPU may call beside arithmetic. */
#include <stdbool.h>

#include "door/backend.h"

void bp_parallel_for(bp_exec *ex, int64_t blocks, bp_block_fn body, void *arg)
{
    if (!ex || !body)
        return;
    if (blocks == 1)
        body(arg, 0);
    else if (blocks > 1)
        ex->device->calls->parallel_for(ex->device, blocks, body, arg);
}

void bp_fault_range(bp_exec *ex, int64_t value)
{
    uint32_t none = 0;
    if (!ex)
        return;
    if (__atomic_compare_exchange_n(&ex->fault->found_by, &none, BPI_FOUND_BY(ex->kernel), false,
                                    __ATOMIC_RELAXED, __ATOMIC_RELAXED))
        ex->fault->index = BPI_FAULT_INDEX(0, value);
}
