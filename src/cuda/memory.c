/* Memory of a CUDA device: a pool that keeps what is freed, and transfers.
 *
 * An upload has read the caller's memory when it returns, and does not wait for the device: it goes
 * through pinned memory in two halves. A half is filled while the copies out of the other one run;
 * only an upload that comes back to a half still in use waits for it, and that is counted. */
#include <stdlib.h>
#include <string.h>

#include "cuda/inside.h"

enum { HALF = 4 << 20, ALIGNMENT = 64 };

struct bpi_staging {
    unsigned char *memory; /* [2 * HALF], pinned */
    cudaEvent_t read[2];   /* the copies out of a half are done */
    int32_t in_use[2];
    int32_t half;          /* that is filled */
    size_t used;           /* bytes of it */
};

bp_status bpi_pool_open(bpi_cuda *d)
{
    struct cudaMemPoolProps properties = {.allocType = cudaMemAllocationTypePinned};
    uint64_t keep = UINT64_MAX;
    properties.location.type = cudaMemLocationTypeDevice;
    properties.location.id = d->number;
    BPI_CUDA_TRY(d, cudaMemPoolCreate(&d->pool, &properties));
    BPI_CUDA_TRY(d, cudaMemPoolSetAttribute(d->pool, cudaMemPoolAttrReleaseThreshold, &keep));
    return BP_OK;
}

void *bpi_cuda_alloc(bpi_device *device, size_t bytes)
{
    bpi_cuda *d = (bpi_cuda *)device;
    void *p = NULL;
    cudaError_t error = cudaMallocFromPoolAsync(&p, bytes, d->pool, d->stream);
    if (error == cudaErrorMemoryAllocation) { /* what is freed may still be in use */
        (void)cudaGetLastError();
        (void)cudaStreamSynchronize(d->stream);
        (void)cudaMemPoolTrimTo(d->pool, 0);
        d->waits++;
        error = cudaMallocFromPoolAsync(&p, bytes, d->pool, d->stream);
    }
    d->base.why[0] = '\0';
    return bpi_cuda_check(d, error, "cudaMallocFromPoolAsync") == BP_OK ? p : NULL;
}

void bpi_cuda_free(bpi_device *device, void *p, size_t bytes)
{
    (void)bytes;
    if (p)
        (void)cudaFreeAsync(p, ((bpi_cuda *)device)->stream);
}

bp_status bpi_staging_open(bpi_cuda *d)
{
    d->staging = calloc(1, sizeof *d->staging);
    if (!d->staging)
        return BP_ERR_NOMEM;
    for (int half = 0; half < 2; half++)
        BPI_CUDA_TRY(d, cudaEventCreateWithFlags(&d->staging->read[half],
                                                 cudaEventDisableTiming));
    BPI_CUDA_TRY(d, cudaMallocHost((void **)&d->staging->memory, 2 * HALF));
    return BP_OK;
}

void bpi_staging_close(bpi_cuda *d)
{
    bpi_staging *s = d->staging;
    for (int half = 0; s && half < 2; half++)
        if (s->read[half])
            (void)cudaEventDestroy(s->read[half]);
    if (s && s->memory)
        (void)cudaFreeHost(s->memory);
    free(s);
}

/* Goes over to the other half, when the device has read what it held. */
static bp_status turn_over(bpi_cuda *d)
{
    bpi_staging *s = d->staging;
    BPI_CUDA_TRY(d, cudaEventRecord(s->read[s->half], d->stream));
    s->in_use[s->half] = 1;
    s->half = !s->half;
    s->used = 0;
    if (!s->in_use[s->half])
        return BP_OK;
    cudaError_t error = cudaEventQuery(s->read[s->half]);
    if (error == cudaErrorNotReady) {
        d->waits++;
        error = cudaEventSynchronize(s->read[s->half]);
    }
    return bpi_cuda_check(d, error, "cudaEventSynchronize");
}

bp_status bpi_cuda_upload(bpi_device *device, void *dst, const void *src, size_t bytes)
{
    bpi_cuda *d = (bpi_cuda *)device;
    bpi_staging *s = d->staging;
    if (!src) {
        BPI_CUDA_TRY(d, cudaMemsetAsync(dst, 0, bytes, d->stream));
        return BP_OK;
    }
    for (size_t done = 0, part; done < bytes; done += part) {
        if (s->used == HALF || (bytes - done > HALF - s->used && bytes - done <= HALF))
            BPI_TRY(turn_over(d));
        part = bytes - done < HALF - s->used ? bytes - done : HALF - s->used;
        unsigned char *pinned = s->memory + (size_t)s->half * HALF + s->used;
        memcpy(pinned, (const char *)src + done, part);
        BPI_CUDA_TRY(d, cudaMemcpyAsync((char *)dst + done, pinned, part, cudaMemcpyHostToDevice,
                                        d->stream));
        s->used += (part + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    }
    return BP_OK;
}

bp_status bpi_cuda_download(bpi_device *device, void *dst, const void *src, size_t bytes)
{
    bpi_cuda *d = (bpi_cuda *)device;
    BPI_CUDA_TRY(d, cudaMemcpyAsync(dst, src, bytes, cudaMemcpyDeviceToHost, d->stream));
    BPI_CUDA_TRY(d, cudaStreamSynchronize(d->stream));
    return BP_OK;
}
