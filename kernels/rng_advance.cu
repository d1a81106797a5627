/* rng_advance: adds to the step of a random state. Forward: -> rng, u8 [16], a bpi_rng_state. One
 * thread. The truth: src/cpu/rng_advance.c. Called by src/core/context.c. */
#include "device.cuh"

namespace bpi {

static __global__ void __launch_bounds__(1) rng_advance_kernel(bpi_rng_state *rng, uint64_t steps)
{
    rng->step += steps;
}

static bp_status rng_advance_forward(bp_exec *ex, const bp_view *, const bp_view *out,
                                     const void *params)
{
    const auto *p = static_cast<const bpi_rng_advance_params *>(params);
    return BPI_LAUNCH(ex, 1, 1, 0, (rng_advance_kernel), out->data, p->steps);
}

} // namespace bpi

BPI_CUDA_OP(rng_advance, {bpi::rng_advance_forward, BPI_PACKED, nullptr});
