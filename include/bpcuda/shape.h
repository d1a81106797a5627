/* Ops that move elements and compute nothing. Common to all ops: ops.h. */
#ifndef BPCUDA_SHAPE_H
#define BPCUDA_SHAPE_H

#include "common.h"

#ifdef __cplusplus
extern "C" {
#endif

/* A view with axes a and b swapped. dx = transpose(dy, a, b). Any dtype. */
BP_API bp_tensor *bp_transpose(bp_tensor *x, int32_t a, int32_t b);

/* The same elements, row-major, in another shape of equal count: a view where x is packed, else a
 * packed copy. dx = reshape(dy). Any dtype. */
BP_API bp_tensor *bp_reshape(bp_tensor *x, bp_shape shape);

/* A view that repeats x to a larger shape (broadcasting as in bp_add). dx = dy summed over the
 * repeated axes. Any dtype. */
BP_API bp_tensor *bp_expand(bp_tensor *x, bp_shape shape);

#ifdef __cplusplus
}
#endif
#endif
