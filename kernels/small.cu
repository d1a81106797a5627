/* Small calls as one kernel of one block: src/cuda/cuda.h says what they are, small.cuh runs them.
 * Floor: one launch. */
#include "small.cuh"

namespace bpi {

__global__ void __launch_bounds__(256) small_kernel(const bpi_small_list list, bpi_fault *fault)
{
    run_small(list, fault);
}

} // namespace bpi

bp_status bpi_cuda_run_small(bp_exec *ex, const bpi_small_list *list)
{
    return BPI_LAUNCH_FIRST(ex, 1, 256, 0, (bpi::small_kernel), *list, ex->fault);
}
