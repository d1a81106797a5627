/* step_begin: adds 1 to the optimiser's step count, unless there is a fault. Forward: -> state, f64
 * [2], a bpi_optimizer_state. Called by src/optim before the update kernels. */
#include "cpu/kernel.h"
#include "kernel_params.h"

static bp_status forward(bp_exec *ex, const bp_view *in, const bp_view *out, const void *params)
{
    (void)in, (void)params;
    bpi_optimizer_state *state = out->data;
    if (ex->fault->status == BP_OK)
        state->step += 1;
    return BP_OK;
}

BPI_CPU_OP(step_begin) = {.slot[BPI_FORWARD] = {.fn = forward, .layout = BPI_PACKED}};
