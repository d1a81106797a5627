/* rng_advance: adds to the step of a random state. Forward: -> rng, u8 [16], a bpi_rng_state;
 * through bytes, because that is its type as a tensor. Called by src/core/context.c. */
#include <string.h>

#include "cpu/kernel.h"
#include "door/kernel_params.h"

static bp_status forward(bp_exec *ex, const bp_view *in, const bp_view *out, const void *params)
{
    (void)ex, (void)in;
    bpi_rng_state rng;
    memcpy(&rng, out->data, sizeof rng);
    rng.step += ((const bpi_rng_advance_params *)params)->steps;
    memcpy(out->data, &rng, sizeof rng);
    return BP_OK;
}

BPI_CPU_OP(rng_advance) = {.slot[BPI_FORWARD] = {.fn = forward, .layout = BPI_PACKED}};
