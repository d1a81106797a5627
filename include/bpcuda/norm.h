/* The softmax family and normalisations. Common to all ops: ops.h. */
#ifndef BPCUDA_NORM_H
#define BPCUDA_NORM_H

#include "common.h"

#ifdef __cplusplus
extern "C" {
#endif

/* y = x - ln sum_j e^x_j along an axis, computed without overflow; real, size >= 1.
 * dx = dy - e^y sum_j dy_j. */
BP_API bp_tensor *bp_log_softmax(bp_tensor *x, int32_t axis);

#ifdef __cplusplus
}
#endif
#endif
