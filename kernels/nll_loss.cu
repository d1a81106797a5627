/* nll_loss: loss = -1/N sum_i logp[i, labels[i]]. Forward: logp [N, C], labels [N] -> loss []. A
 * bad label contributes 0 and is noted. Backward is nll_spread. One launch: the last block adds the
 * sums of the others; what training uses is cross_entropy. Floor: N loads of a sector, 32 bytes.
 * The truth: src/cpu/nll_loss.c; the rule: src/ops/nll_loss.c. */
#include "grid.cuh"
#include "reduce.cuh"

namespace bpi {

enum { NLL_THREADS = 256, NLL_BLOCKS = 1024 };

template <typename T> struct NllLoss {
    Rows<const T> logp;
    const int32_t *labels;
    T *loss;
    double *part; /* [blocks] */
    uint32_t *counter;
    bpi_fault *fault;
    int32_t kernel;
};

template <typename T>
static __global__ void __launch_bounds__(NLL_THREADS) nll_loss_rows(const NllLoss<T> w)
{
    const int64_t stride = (int64_t)gridDim.x * NLL_THREADS;
    double sum = 0;
    for (int64_t i = (int64_t)blockIdx.x * NLL_THREADS + threadIdx.x; i < w.logp.n; i += stride)
        if (index_ok(w.labels[i], w.logp.size, i, w.fault, w.kernel))
            sum += (double)w.logp.data[i * w.logp.pitch + w.labels[i]];
    sum = fold(sum, NLL_THREADS, Sum());
    if (threadIdx.x == 0)
        w.part[blockIdx.x] = sum;
    if (!last_block(w.counter, gridDim.x))
        return;
    sum = 0;
    for (unsigned i = threadIdx.x; i < gridDim.x; i += NLL_THREADS)
        sum += w.part[i];
    sum = fold(sum, NLL_THREADS, Sum());
    if (threadIdx.x == 0)
        *w.loss = (T)(-sum / (double)w.logp.n);
}

template <typename T>
static bp_status forward(bp_exec *ex, const bp_view *in, const bp_view *out, const void *)
{
    const bpi_cuda *d = bpi_cuda_of(ex);
    const NllLoss<T> w = {rows_of<const T>(in, 1), static_cast<const int32_t *>(in[1].data),
                          static_cast<T *>(out->data), static_cast<double *>(d->workspace),
                          d->counters, ex->fault, ex->kernel};
    const int64_t blocks = at_most(at_least(parts(w.logp.n, NLL_THREADS), 1), NLL_BLOCKS);
    return BPI_LAUNCH(ex, blocks, NLL_THREADS, 0, nll_loss_rows<T>, w);
}

} // namespace bpi

BPI_CUDA_OP(nll_loss, {bpi::forward<T>, BPI_ROWS, nullptr});
