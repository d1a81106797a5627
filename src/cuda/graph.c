/* Streams of work of a CUDA device as graphs: captured once, launched as one. */
#include "cuda/cudnn.h"
#include "cuda/inside.h"

bp_status bpi_cuda_capture(bpi_device *device)
{
    bpi_cuda *d = (bpi_cuda *)device;
    d->small.n = 0;
    bpi_cuda_lock();
    cudaError_t error = cudaStreamBeginCapture(d->stream, cudaStreamCaptureModeRelaxed);
    d->capturing = error == cudaSuccess;
    if (!d->capturing)
        bpi_cuda_unlock();
    return bpi_cuda_check(d, error, "cudaStreamBeginCapture");
}

bp_status bpi_cuda_captured(bpi_device *device, bpi_graph **out, int64_t *nodes)
{
    bpi_cuda *d = (bpi_cuda *)device;
    cudaGraph_t graph = NULL;
    cudaGraphExec_t exec = NULL;
    size_t count = 0;
    bp_exec ex = {.device = device, .fault = d->fault};
    bp_status flushed = bpi_cuda_flush(&ex);
    d->capturing = 0;
    cudaError_t ended = cudaStreamEndCapture(d->stream, &graph);
    bpi_cuda_unlock();
    bp_status st = bpi_cuda_check(d, ended, "cudaStreamEndCapture");
    if (flushed != BP_OK)
        st = flushed;
    if (st == BP_OK)
        st = bpi_cuda_check(d, cudaGraphGetNodes(graph, NULL, &count), "cudaGraphGetNodes");
    if (st == BP_OK)
        st = bpi_cuda_check(d, cudaGraphInstantiateWithFlags(&exec, graph, 0),
                            "cudaGraphInstantiate");
    if (st == BP_OK)
        st = bpi_cuda_check(d, cudaGraphUpload(exec, d->stream), "cudaGraphUpload");
    if (graph)
        (void)cudaGraphDestroy(graph);
    if (st != BP_OK && exec)
        (void)cudaGraphExecDestroy(exec);
    d->graphs += st == BP_OK;
    *out = st == BP_OK ? (bpi_graph *)exec : NULL;
    *nodes = (int64_t)count;
    return st;
}

bp_status bpi_cuda_launch(bpi_device *device, bpi_graph *graph)
{
    bpi_cuda *d = (bpi_cuda *)device;
    cudaError_t error = cudaGraphLaunch((cudaGraphExec_t)graph, d->stream);
    if (error == cudaSuccess && d->debug_sync)
        error = cudaStreamSynchronize(d->stream);
    return bpi_cuda_check(d, error, "cudaGraphLaunch");
}

void bpi_cuda_drop(bpi_device *device, bpi_graph *graph)
{
    bpi_cuda *d = (bpi_cuda *)device;
    (void)cudaStreamSynchronize(d->stream);
    (void)cudaGraphExecDestroy((cudaGraphExec_t)graph);
    d->graphs--;
    bpi_cudnn_trim(d);
}
