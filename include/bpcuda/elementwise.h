/* Ops on each element by itself. Common to all ops: ops.h. */
#ifndef BPCUDA_ELEMENTWISE_H
#define BPCUDA_ELEMENTWISE_H

#include "common.h"

#ifdef __cplusplus
extern "C" {
#endif

/* y = a + b, y = a b, y = a / b; real (add also i32). Shapes broadcast: aligned at the last axis,
 * sizes equal or 1. Gradients: da = dy, db = dy; da = dy b, db = dy a; da = dy / b,
 * db = -dy y / b; each summed over the broadcast axes. */
BP_API bp_tensor *bp_add(bp_tensor *a, bp_tensor *b);
BP_API bp_tensor *bp_mul(bp_tensor *a, bp_tensor *b);
BP_API bp_tensor *bp_div(bp_tensor *a, bp_tensor *b);

/* y = factor x; real. dx = factor dy. */
BP_API bp_tensor *bp_scale(bp_tensor *x, double factor);

/* y = e^x, y = ln x (NaN below 0, -Inf at 0); real, at most 2 ulp. dx = dy y; dx = dy / x. */
BP_API bp_tensor *bp_exp(bp_tensor *x);
BP_API bp_tensor *bp_log(bp_tensor *x);

/* y = max(x, 0); NaN stays NaN; real. dx = dy where x > 0, else 0. */
BP_API bp_tensor *bp_relu(bp_tensor *x);

/* y = x where x > 0, else alpha (e^x - 1), alpha > 0 (Clevert, Unterthiner, Hochreiter, 2016);
 * real. dx = dy where x > 0, else dy alpha e^x. */
BP_API bp_tensor *bp_elu(bp_tensor *x, double alpha);

/* y = a where g > 0 or g is NaN, else 0: the gradient of ReLU. Equal shapes, real.
 * da = dy where a passed; g has no gradient. */
BP_API bp_tensor *bp_gate(bp_tensor *a, bp_tensor *g);

/* The same values in another dtype: real to real, u8 or i32 to real. dx is cast back. */
BP_API bp_tensor *bp_cast(bp_tensor *x, bp_dtype dtype);

#ifdef __cplusplus
}
#endif
#endif
