/* What a kernel of a program may call beside arithmetic. */
#include <stdbool.h>
#include <string.h>

#include "door/backend.h"

void bp_parallel_for(bp_exec *ex, int64_t blocks, bp_block_fn body, void *arg)
{
    if (!ex || !body)
        return;
    const bpi_device_calls *calls = ex->device->calls;
    if (blocks > 1 && calls->parallel_for) {
        calls->parallel_for(ex->device, blocks, body, arg);
        return;
    }
    for (int64_t i = 0; i < blocks; i++)
        body(arg, i);
}

bp_status bpi_leave_work(bp_exec *ex, int64_t blocks, bp_block_fn body, void *job, size_t bytes)
{
    const bpi_work w = {body, blocks, job};
    if (ex->work) {
        memcpy(ex->work->job, job, bytes);
        ex->work->body = body;
        ex->work->blocks = blocks;
    }
    bpi_run_work(ex, &w);
    return BP_OK;
}

void bp_fault_range(bp_exec *ex, int64_t value)
{
    uint32_t none = 0;
    if (!ex || !ex->device->calls->parallel_for) /* device memory, which is not the host's */
        return;
    if (__atomic_compare_exchange_n(&ex->fault->found_by, &none, BPI_FOUND_BY(ex->kernel), false,
                                    __ATOMIC_RELAXED, __ATOMIC_RELAXED))
        ex->fault->index = BPI_FAULT_INDEX(0, value);
}

void *bp_cuda_stream(const bp_exec *ex)
{
    return ex ? ex->stream : NULL;
}
