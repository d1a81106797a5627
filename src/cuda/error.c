/* Errors of a CUDA device: the status of a call of CUDA or of a launch, and the device's `why`. The
 * lowest floor of src/cuda and kernels. */
#include <stdio.h>
#include <string.h>

#include "cuda/inside.h"

static bp_status failed(bpi_cuda *d, cudaError_t error, const char *kind, const char *name,
                        int length)
{
    (void)cudaGetLastError(); /* said here, so not again by the next call */
    if (error == cudaErrorMemoryAllocation)
        return BP_ERR_NOMEM;
    snprintf(d->base.why, sizeof d->base.why, "%s%.*s: %s (%s)%s", kind, length, name,
             cudaGetErrorString(error), cudaGetErrorName(error),
             d->debug_sync ? "" : "; BPCUDA_DEBUG_SYNC=1 names the kernel it began in");
    return BP_ERR_DEVICE;
}

bp_status bpi_cuda_check(bpi_cuda *d, cudaError_t error, const char *call)
{
    return error == cudaSuccess ? BP_OK : failed(d, error, "", call, (int)strcspn(call, "("));
}

bp_status bpi_cuda_launched(bp_exec *ex, cudaError_t error, const char *kernel)
{
    bpi_cuda *d = bpi_cuda_of(ex);
    if (error == cudaSuccess && d->debug_sync && !d->capturing)
        error = cudaStreamSynchronize(d->stream);
    if (error == cudaSuccess)
        return BP_OK;
    int brackets = kernel[0] == '('; /* around a template's parameters, for a macro's sake */
    return failed(d, error, "kernel ", kernel + brackets, (int)strlen(kernel) - 2 * brackets);
}
