/* Operations on tensors.
 *
 * Common to all: the result is fresh and belongs to the innermost scope. On failure an op returns
 * NULL and the scope has a pending error that names op, shapes and reason (BP_ERR_ARG,
 * BP_ERR_SHAPE, BP_ERR_DTYPE, BP_ERR_DEVICE for operands of two contexts, BP_ERR_UNSUPPORTED,
 * BP_ERR_NOMEM); an op given NULL returns NULL, and tells it where no error is pending. "real" is
 * f32 or f64; dtypes are never mixed silently. Nothing waits. Deterministic: equal inputs of equal
 * layout give equal bits whatever the number of threads. `dy` is the gradient that arrives, `dx`
 * the one that leaves. */
#ifndef BPCUDA_OPS_H
#define BPCUDA_OPS_H

#include "elementwise.h"
#include "reduce.h"
#include "shape.h"
#include "index.h"
#include "product.h"
#include "conv.h"
#include "norm.h"
#include "loss.h"
#include "random.h"
#include "recurrent.h"

#endif
