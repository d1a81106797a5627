/* Tensors as the calls on them see them. */
#ifndef BPI_CORE_TENSOR_H
#define BPI_CORE_TENSOR_H

#include "core/handle.h"

/* BP_OK for a usable handle of ctx; else an error that names `who` and `what`. Gives a parameter
 * its memory at its first use. */
bp_status bpi_usable(bp_context *ctx, bp_tensor *t, const char *who, const char *what);
/* average += rate (x - average), unless the step that `state` of an optimiser tells of is
 * refused. */
bp_status bpi_average_into(bp_context *ctx, bp_tensor *average, bp_tensor *x, bp_tensor *state,
                           double rate);

#endif
