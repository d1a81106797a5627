/* A CUDA device: opening and closing it. Memory and transfers: memory.c. Work as graphs: graph.c.
 * Products: lt.c. Convolutions: cudnn.c. Whose turn it is: turn.c. Kernels: kernels/ and the table
 * at the end.
 *
 * Compiled a second time it is the simulated device (tests/sim), with our own CUDA below it. */
#define _GNU_SOURCE /* secure_getenv */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cuda/cudnn.h"
#include "cuda/inside.h"

static bp_status cuda_set_threads(bpi_device *device, int32_t threads)
{
    (void)device, (void)threads; /* of the CPU: there is nothing to set */
    return BP_OK;
}

static bp_status cuda_set_precision(bpi_device *device, bp_precision precision)
{
    ((bpi_cuda *)device)->precision = precision;
    return BP_OK;
}

static void cuda_count(bpi_device *device, bp_stats *stats)
{
    stats->waits += ((bpi_cuda *)device)->waits;
}

/* A program's own launches come after the small calls that have gathered. */
static bp_status cuda_lend(bp_exec *ex)
{
    ex->stream = bpi_cuda_of(ex)->stream;
    ex->device->why[0] = '\0';
    return bpi_cuda_flush(ex);
}

static bp_status cuda_lent(bp_exec *ex)
{
    ex->stream = NULL;
    return bpi_cuda_launched(ex, cudaGetLastError(), "of the program's own");
}

static bp_status cuda_settle(bpi_device *device)
{
    BPI_CUDA_TRY((bpi_cuda *)device, cudaDeviceSynchronize());
    return BP_OK;
}

static void cuda_close(bpi_device *device)
{
    bpi_cuda *d = (bpi_cuda *)device;
    bpi_cuda_turn(device, BPI_COMES);
    if (d->stream)
        (void)cudaStreamSynchronize(d->stream);
    bpi_lt_close(d->lt);
    bpi_cudnn_close(d);
    bpi_choices_free(d);
    bpi_staging_close(d);
    if (d->workspace)
        (void)cudaFreeAsync(d->workspace, d->stream);
    if (d->counters)
        (void)cudaFreeAsync(d->counters, d->stream);
    if (d->stream) {
        (void)cudaStreamSynchronize(d->stream);
        (void)cudaStreamDestroy(d->stream);
    }
    if (d->pool)
        (void)cudaMemPoolDestroy(d->pool);
    (void)cudaGetLastError();
    bpi_cuda_turn(device, BPI_LEAVES);
    free(d);
}

static const bpi_device_calls calls = {
    .alloc = bpi_cuda_alloc, .free = bpi_cuda_free, .upload = bpi_cuda_upload,
    .download = bpi_cuda_download, .set_threads = cuda_set_threads,
    .lend = cuda_lend, .lent = cuda_lent, .set_precision = cuda_set_precision, .count = cuda_count,
    .close = cuda_close,
    .capture = bpi_cuda_capture, .captured = bpi_cuda_captured, .launch = bpi_cuda_launch,
    .drop = bpi_cuda_drop, .turn = bpi_cuda_turn, .share = bpi_cuda_share,
    .settle = cuda_settle};

/* Whether the device is there, in words a user can act on. */
static bp_status find_device(int32_t number, char *why)
{
    int count = 0, driver = 0;
    cudaError_t error = cudaGetDeviceCount(&count);
    (void)cudaDriverGetVersion(&driver); /* 0: there is none */
    (void)cudaGetLastError();
    if (error == cudaErrorInsufficientDriver && driver == 0)
        snprintf(why, 160, "there is no NVIDIA driver here");
    else if (error == cudaErrorInsufficientDriver)
        snprintf(why, 160, "the NVIDIA driver is one for CUDA %d.%d, this build is of CUDA %d.%d",
                 driver / 1000, driver % 1000 / 10, CUDART_VERSION / 1000,
                 CUDART_VERSION % 1000 / 10);
    else if (error == cudaErrorNoDevice || (error == cudaSuccess && count == 0))
        snprintf(why, 160, "the NVIDIA driver knows no device");
    else if (error != cudaSuccess)
        snprintf(why, 160, "cudaGetDeviceCount: %s", cudaGetErrorString(error));
    else if (number >= count)
        snprintf(why, 160, "there is no device %d: %d %s here, numbered from 0", (int)number, count,
                 count == 1 ? "is" : "are");
    else
        return BP_OK;
    return BP_ERR_DEVICE;
}

static bp_status describe(bpi_cuda *d)
{
    struct cudaDeviceProp gpu;
    int driver = 0;
    BPI_CUDA_TRY(d, cudaGetDeviceProperties(&gpu, d->number));
    BPI_CUDA_TRY(d, cudaDriverGetVersion(&driver));
    snprintf(d->base.name, sizeof d->base.name,
             BPI_CUDA_KIND ":%d: %.64s, sm_%d%d, driver for CUDA %d.%d", (int)d->number, gpu.name,
             gpu.major, gpu.minor, driver / 1000, driver % 1000 / 10);
    return BP_OK;
}

static bp_status set_up(bpi_cuda *d)
{
    const char *debug = secure_getenv("BPCUDA_DEBUG_SYNC");
    d->debug_sync = debug && !strcmp(debug, "1");
    BPI_CUDA_TRY(d, cudaSetDevice(d->number));
    BPI_TRY(describe(d));
    BPI_CUDA_TRY(d, cudaStreamCreateWithFlags(&d->stream, cudaStreamNonBlocking));
    BPI_TRY(bpi_pool_open(d));
    BPI_TRY(bpi_staging_open(d));
    bp_exec ex = {.device = &d->base};
    bpi_small_list none = {0};
    BPI_TRY(bpi_cuda_run_small(&ex, &none)); /* does this build have code for this GPU? */
    d->workspace = bpi_cuda_alloc(&d->base, BPI_CUDA_WORKSPACE);
    d->counters = bpi_cuda_alloc(&d->base, BPI_CUDA_COUNTERS * sizeof *d->counters);
    if (!d->workspace || !d->counters)
        return BP_ERR_NOMEM;
    BPI_CUDA_TRY(d, cudaMemsetAsync(d->counters, 0, BPI_CUDA_COUNTERS * sizeof *d->counters,
                                    d->stream));
    return bpi_lt_open(d);
}

static void fill_tables(bpi_cuda *d);

__attribute__((visibility("default"))) bp_status bpi_plugin_open(const char *door, int32_t number,
                                                                 const bp_hooks *hooks,
                                                                 bpi_device **device, char *why);
bp_status bpi_plugin_open(const char *door, int32_t number, const bp_hooks *hooks,
                          bpi_device **device, char *why)
{
    (void)hooks; /* are about the host's memory and threads */
    *device = NULL;
    if (strcmp(door, BPI_DOOR)) {
        snprintf(why, 160, "the library of this device belongs to another build of bpcuda");
        return BP_ERR_DEVICE;
    }
    bpi_cuda_find_driver();
    bp_status st = find_device(number, why);
    bpi_cuda *d = st == BP_OK ? calloc(1, sizeof *d) : NULL;
    if (!d)
        return st == BP_OK ? BP_ERR_NOMEM : st;
    d->base.calls = &calls;
    d->base.dl_type = strcmp(BPI_CUDA_KIND, "cuda") ? BPI_DL_EXTENSION : BPI_DL_CUDA;
    d->base.dl_number = number;
    d->number = number;
    d->precision = BP_PRECISION_F32;
    fill_tables(d);
    bpi_cuda_turn(&d->base, BPI_COMES);
    st = set_up(d);
    bpi_cuda_turn(&d->base, BPI_LEAVES);
    if (st == BP_OK) {
        *device = &d->base;
        return BP_OK;
    }
    snprintf(why, 160, "%s", st == BP_ERR_NOMEM ? "the device has no memory left" : d->base.why);
    cuda_close(&d->base);
    return BP_ERR_DEVICE;
}

/* --- the kernels, from the list in ops.def: a file that is missing does not link ----------- */

#define BPI_OP(name) extern const bpi_op_kernels bpi_cuda_##name##_f32, bpi_cuda_##name##_f64;
#include "door/ops.def"

static void fill_tables(bpi_cuda *d)
{
#define BPI_OP(name)                                  \
    d->f32[BPI_OP_##name] = bpi_cuda_##name##_f32;    \
    d->f64[BPI_OP_##name] = bpi_cuda_##name##_f64;
#include "door/ops.def"
    d->base.f32 = d->f32;
    d->base.f64 = d->f64;
}
