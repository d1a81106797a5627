/* A CUDA device's turn in a thread of the host, which may use CUDA itself: what the thread had set
 * is put back when the turn ends. And the one lock of the process. */
#include <dlfcn.h>
#include <pthread.h>

#include "cuda/inside.h"

/* The driver's own calls, because the runtime's cannot put back "no device": the current context of
 * the thread. NULL on the simulated device. */
static int (*get_context)(void **context);
static int (*set_context)(void *context);

void bpi_cuda_find_driver(void)
{
    void *driver = dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
    if (!driver)
        return;
    *(void **)&get_context = dlsym(driver, "cuCtxGetCurrent");
    *(void **)&set_context = dlsym(driver, "cuCtxSetCurrent");
}

/* The host's own captures, in whatever thread, must not forbid what we call, nor be spoilt by
 * it. */
void bpi_cuda_turn(bpi_device *device, int32_t turn)
{
    bpi_cuda *d = (bpi_cuda *)device;
    if (turn == BPI_LEAVES) {
        (void)cudaThreadExchangeStreamCaptureMode(&d->host_mode);
        if (set_context)
            set_context(d->host_context);
        return;
    }
    if (turn == BPI_COMES) {
        d->host_context = NULL;
        if (get_context)
            get_context(&d->host_context);
    }
    (void)cudaSetDevice(d->number); /* first, or the runtime takes device 0 for another call */
    if (turn == BPI_COMES) {
        d->host_mode = cudaStreamCaptureModeRelaxed;
        (void)cudaThreadExchangeStreamCaptureMode(&d->host_mode);
    }
}

/* A capture and a heuristic can both make the driver or cuBLAS load code, wait for it or allocate,
 * and neither says that it may do so in one thread while another captures. The lock is the
 * process's, as those are; both are rare, and nobody's code runs inside. */
static pthread_mutex_t alone = PTHREAD_MUTEX_INITIALIZER;

void bpi_cuda_lock(void)
{
    pthread_mutex_lock(&alone);
}

void bpi_cuda_unlock(void)
{
    pthread_mutex_unlock(&alone);
}
