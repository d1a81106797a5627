/* Reductions over axes. Common to all ops: ops.h. */
#ifndef BPCUDA_REDUCE_H
#define BPCUDA_REDUCE_H

#include "common.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Sum of all elements, []; sum over a set of axes, kept as size 1 if `keep`. Real. The sum over no
 * elements is 0. dx = dy, expanded. f32 is accumulated in f64 within blocks of fixed size. */
#define BP_AXIS(i) (1u << (i))
BP_API bp_tensor *bp_sum(bp_tensor *x);
BP_API bp_tensor *bp_sum_axes(bp_tensor *x, uint32_t axes, int32_t keep);

#ifdef __cplusplus
}
#endif
#endif
