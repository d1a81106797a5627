/* Ops that draw from the context's random stream. Common to all ops: ops.h. */
#ifndef BPCUDA_RANDOM_H
#define BPCUDA_RANDOM_H

#include "common.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Each element is 0 with probability p, else x / (1 - p) (inverted dropout; Srivastava et al.,
 * 2014); 0 <= p < 1, rounded to a multiple of 2^-16, and the scale uses the rounded p. The mask
 * follows from the context's (seed, step) and the order of random ops in the outermost scope; it
 * is the same on every device and is never stored. dx = the same mask and scale on dy. Real. */
BP_API bp_tensor *bp_dropout(bp_tensor *x, double p);

#ifdef __cplusplus
}
#endif
#endif
