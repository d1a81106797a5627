/* What a kernel on the CPU may call beside arithmetic. */
#include <stdbool.h>

#include "door/backend.h"

void bp_parallel_for(bp_exec *ex, int64_t blocks, bp_block_fn body, void *arg)
{
    if (blocks == 1)
        body(arg, 0);
    else if (blocks > 1)
        ex->device->calls->parallel_for(ex->device, blocks, body, arg);
}

void *bpi_workspace(bp_exec *ex, size_t bytes)
{
    if (bytes > ex->workspace_bytes) {
        const bpi_device_calls *calls = ex->device->calls;
        size_t more = bytes + bytes / 4;
        void *p = calls->alloc(ex->device, more);
        if (!p)
            return NULL;
        if (ex->workspace)
            calls->free(ex->device, ex->workspace, ex->workspace_bytes);
        ex->workspace = p;
        ex->workspace_bytes = more;
    }
    return ex->workspace;
}

void bpi_fault_note(bp_exec *ex, bp_status status, int64_t value)
{
    uint32_t none = 0, what = BPI_FAULT_WHAT(status, ex->kernel);
    if (__atomic_compare_exchange_n(&ex->fault->what, &none, what, false, __ATOMIC_RELAXED,
                                    __ATOMIC_RELAXED))
        ex->fault->first = BPI_FAULT_FIRST(0, value);
}

void bp_fault_range(bp_exec *ex, int64_t value)
{
    bpi_fault_note(ex, BP_ERR_RANGE, value);
}
