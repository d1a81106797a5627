/* permutation: y[i] = where permutation.h puts i, a thread a number. Forward: rng -> y, i32 [n].
 * Floor: y written once, 4 bytes a number. The truth: src/cpu/permutation.c. The rule:
 * src/ops/permutation.c. */
#include "door/permutation.h"
#include "elementwise.cuh"

namespace bpi {

static __global__ void __launch_bounds__(THREADS)
    permutation_kernel(int32_t *y, uint32_t n, const bpi_rng_state *rng, uint32_t site)
{
    BPI_SHARED(bpi_permutation, made, [1]);
    const int64_t i = (int64_t)blockIdx.x * THREADS + threadIdx.x;
    if (threadIdx.x == 0) {
        const bpi_stream s = {rng->seed, rng->step,
                              bpi_purpose_site(BPI_PURPOSE_PERMUTATION, site)};
        made[0] = bpi_permutation_of(&s, n);
    }
    __syncthreads();
    if (i >= n)
        return;
    uint32_t at = (uint32_t)i;
    do
        at = bpi_permute(made, at);
    while (at >= n);
    y[i] = (int32_t)at;
}

static bp_status permutation_forward(bp_exec *ex, const bp_view *in, const bp_view *out,
                                     const void *params)
{
    const auto *p = static_cast<const bpi_draw_params *>(params);
    const uint32_t n = (uint32_t)out->shape.dim[0];
    return BPI_LAUNCH(ex, parts(n, THREADS), THREADS, 0, (permutation_kernel), out->data, n,
                      in->data, p->site);
}

} // namespace bpi

BPI_CUDA_OP(permutation, {bpi::permutation_forward, BPI_PACKED, nullptr});
