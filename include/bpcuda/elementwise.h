/* Ops on each element by itself. Common to all ops: ops.h. */
#ifndef BPCUDA_ELEMENTWISE_H
#define BPCUDA_ELEMENTWISE_H

#include "common.h"

#ifdef __cplusplus
extern "C" {
#endif

/* --- of two operands ------------------------------------------------------------------------- */

/* Of two operands; equal and real dtypes (add also i32, which wraps). Shapes broadcast: aligned at
 * the last axis, sizes equal or 1. Each gradient is summed over the axes that were broadcast. */
BP_API bp_tensor *bp_add(bp_tensor *a, bp_tensor *b); /* y = a + b; da = db = dy */
BP_API bp_tensor *bp_sub(bp_tensor *a, bp_tensor *b); /* y = a - b; da = dy, db = -dy */
BP_API bp_tensor *bp_mul(bp_tensor *a, bp_tensor *b); /* y = a b; da = dy b, db = dy a */
BP_API bp_tensor *bp_div(bp_tensor *a, bp_tensor *b); /* y = a / b; da = dy / b, db = -dy y / b */
/* The larger, NaN if either is; the larger has dy, and half of it where they are equal. */
BP_API bp_tensor *bp_maximum(bp_tensor *a, bp_tensor *b);

/* y = a where g > 0 or g is NaN, else 0: the gradient of ReLU. Equal shapes, real.
 * da = dy where a passed; g has no gradient. */
BP_API bp_tensor *bp_gate(bp_tensor *a, bp_tensor *g);

/* --- of one operand -------------------------------------------------------------------------- */

/* y = factor x; real. dx = factor dy. */
BP_API bp_tensor *bp_scale(bp_tensor *x, double factor);
/* y = x + by; real. dx = dy. */
BP_API bp_tensor *bp_shift(bp_tensor *x, double by);

/* Of one operand; real; NaN gives NaN. "n ulp" is the error on the CPU at most,
 * 2 where nothing is said. */
BP_API bp_tensor *bp_exp(bp_tensor *x);        /* e^x; dx = dy y */
BP_API bp_tensor *bp_log(bp_tensor *x);        /* ln x, NaN below 0, -Inf at 0; dx = dy / x */
BP_API bp_tensor *bp_sqrt(bp_tensor *x);       /* NaN below 0, rounded once; dx = dy / (2 y) */
BP_API bp_tensor *bp_reciprocal(bp_tensor *x); /* 1 / x, rounded once; dx = -dy y^2 */
BP_API bp_tensor *bp_abs(bp_tensor *x);        /* |x|; dx = dy sign(x) */
BP_API bp_tensor *bp_sign(bp_tensor *x);       /* -1, 0 or 1; dx = 0 */
BP_API bp_tensor *bp_relu(bp_tensor *x);       /* max(x, 0); dx = dy where x > 0, else 0 */
BP_API bp_tensor *bp_tanh(bp_tensor *x);       /* 3 ulp; dx = dy (1 - y) (1 + y) */
BP_API bp_tensor *bp_sigmoid(bp_tensor *x);    /* 1 / (1 + e^-x), 4 ulp; dx = dy y (1 - y) */
BP_API bp_tensor *bp_softplus(bp_tensor *x);   /* ln(1 + e^x), 4 ulp; dx = dy sigmoid(x) */
BP_API bp_tensor *bp_silu(bp_tensor *x);       /* x sigmoid(x); dx = dy (s + x s (1 - s)) */
/* P(N <= x) of the normal distribution, 5 ulp; dx = dy e^(-x^2/2) / sqrt(2 pi). */
BP_API bp_tensor *bp_normal_cdf(bp_tensor *x);
BP_API bp_tensor *bp_gelu(bp_tensor *x); /* x P(N <= x) (Hendrycks, Gimpel, 2016) */

/* y = x where x > 0, else slope x; real. dx = dy where x > 0, else slope dy. */
BP_API bp_tensor *bp_leaky_relu(bp_tensor *x, double slope);

/* y = x where x > 0, else alpha (e^x - 1), alpha > 0 (Clevert, Unterthiner, Hochreiter, 2016);
 * real. dx = dy where x > 0, else dy alpha e^x. */
BP_API bp_tensor *bp_elu(bp_tensor *x, double alpha);

/* The same values in another dtype: real to real, u8 or i32 to real. dx is cast back. */
BP_API bp_tensor *bp_cast(bp_tensor *x, bp_dtype dtype);

#ifdef __cplusplus
}
#endif
#endif
