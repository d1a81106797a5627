/* Ops on each element by itself. Common to all ops: ops.h. */
#ifndef BPCUDA_ELEMENTWISE_H
#define BPCUDA_ELEMENTWISE_H

#include "common.h"

#ifdef __cplusplus
extern "C" {
#endif

/* --- of two operands ------------------------------------------------------------------------- */

/* Of two operands; equal and real dtypes, i32 too where it says so, whose numbers wrap. Shapes
 * broadcast: aligned at the last axis, sizes equal or 1. Each gradient is summed over the axes that
 * were broadcast. */
BP_API bp_tensor *bp_add(bp_tensor *a, bp_tensor *b); /* y = a + b, also i32; da = db = dy */
BP_API bp_tensor *bp_sub(bp_tensor *a, bp_tensor *b); /* y = a - b, also i32; da = dy, db = -dy */
BP_API bp_tensor *bp_mul(bp_tensor *a, bp_tensor *b); /* y = a b, also i32; da = dy b, db = dy a */
BP_API bp_tensor *bp_div(bp_tensor *a, bp_tensor *b); /* y = a / b; da = dy / b, db = -dy y / b */
/* y = a^b, NaN where a < 0 and b is not whole; 1 ulp. da = dy b a^(b - 1), 0 where b is 0;
 * db = dy y ln a, 0 where a is 0 and b >= 0. */
BP_API bp_tensor *bp_pow(bp_tensor *a, bp_tensor *b);
/* The larger and the smaller, also i32; NaN if either is. The one that is taken has dy, and each
 * has half of it where they are equal. */
BP_API bp_tensor *bp_maximum(bp_tensor *a, bp_tensor *b);
BP_API bp_tensor *bp_minimum(bp_tensor *a, bp_tensor *b);
/* y = (a - b)^2; da = 2 dy (a - b), db = -da. Of equal shapes and reduced: bp_mse_loss. */
BP_API bp_tensor *bp_squared_error(bp_tensor *a, bp_tensor *b);
/* y = -b ln sigmoid(a) - (1 - b) ln(1 - sigmoid(a)), of a logit a and a probability b, all digits
 * for b in [0, 1]; da = dy ((1 - b) sigmoid(a) - b sigmoid(-a)), db = -dy a. Of equal shapes and
 * reduced: bp_binary_cross_entropy. */
BP_API bp_tensor *bp_sigmoid_cross_entropy(bp_tensor *a, bp_tensor *b);

/* 1 where it holds, else 0, in the operands' dtype (so that it multiplies, and its mean is a part);
 * real or i32; as IEEE 754 has it: NaN is not equal to anything, and neither less nor greater. No
 * gradient. and, or: whether both, or one, are not 0. */
BP_API bp_tensor *bp_equal(bp_tensor *a, bp_tensor *b);
BP_API bp_tensor *bp_not_equal(bp_tensor *a, bp_tensor *b);
BP_API bp_tensor *bp_less(bp_tensor *a, bp_tensor *b);
BP_API bp_tensor *bp_less_equal(bp_tensor *a, bp_tensor *b);
BP_API bp_tensor *bp_greater(bp_tensor *a, bp_tensor *b);
BP_API bp_tensor *bp_greater_equal(bp_tensor *a, bp_tensor *b);
BP_API bp_tensor *bp_logical_and(bp_tensor *a, bp_tensor *b);
BP_API bp_tensor *bp_logical_or(bp_tensor *a, bp_tensor *b);

/* y = a where g > 0 or g is NaN, else 0: the gradient of ReLU. Equal shapes, real.
 * da = dy where a passed; g has no gradient. */
BP_API bp_tensor *bp_gate(bp_tensor *a, bp_tensor *g);

/* y = a where c is not 0 (NaN is not), else b; of one dtype, real or i32; all three broadcast.
 * da = dy where a was taken, db = dy elsewhere, summed over what was broadcast; c has no
 * gradient. */
BP_API bp_tensor *bp_where(bp_tensor *c, bp_tensor *a, bp_tensor *b);

/* --- of one operand -------------------------------------------------------------------------- */

/* Of one operand; real; NaN gives NaN. "n ulp" is the error on the CPU at most, 2 where nothing is
 * said, of results that are normal numbers. A gradient is computed by the formula that stands here,
 * unless it is said otherwise. */
BP_API bp_tensor *bp_exp(bp_tensor *x);        /* e^x; dx = dy y */
BP_API bp_tensor *bp_expm1(bp_tensor *x);      /* e^x - 1, all digits near 0; dx = dy e^x */
BP_API bp_tensor *bp_log(bp_tensor *x);        /* ln x, NaN below 0, -Inf at 0; dx = dy / x */
BP_API bp_tensor *bp_log1p(bp_tensor *x);      /* ln(1 + x), all digits near 0; dx = dy / (1 + x) */
BP_API bp_tensor *bp_sqrt(bp_tensor *x);       /* NaN below 0, rounded once; dx = dy / (2 y) */
BP_API bp_tensor *bp_rsqrt(bp_tensor *x);      /* 1 / sqrt(x), Inf at 0; dx = -dy y^3 / 2 */
BP_API bp_tensor *bp_reciprocal(bp_tensor *x); /* 1 / x, rounded once; dx = -dy y^2 */
BP_API bp_tensor *bp_square(bp_tensor *x);     /* x^2, rounded once; dx = 2 dy x */
BP_API bp_tensor *bp_sin(bp_tensor *x);        /* sin x; dx = dy cos x */
BP_API bp_tensor *bp_cos(bp_tensor *x);        /* cos x; dx = -dy sin x */
BP_API bp_tensor *bp_abs(bp_tensor *x);        /* |x|; dx = dy sign(x), 0 at NaN */
BP_API bp_tensor *bp_sign(bp_tensor *x);       /* -1, 0 or 1; no gradient */
BP_API bp_tensor *bp_logical_not(bp_tensor *x); /* 1 where x is 0, else 0, of NaN too; no gradient */
BP_API bp_tensor *bp_erf(bp_tensor *x);        /* 3 ulp; dx = dy 2 e^(-x^2) / sqrt(pi) */
/* P(N <= x) of the normal distribution, 4 ulp; dx = dy e^(-x^2/2) / sqrt(2 pi). */
BP_API bp_tensor *bp_normal_cdf(bp_tensor *x);

/* Activations; of one operand, as above. */
BP_API bp_tensor *bp_relu(bp_tensor *x);         /* max(x, 0); dx = dy where x > 0 or NaN, else 0 */
BP_API bp_tensor *bp_tanh(bp_tensor *x);         /* 3 ulp; dx = dy (1 - y) (1 + y) */
BP_API bp_tensor *bp_sigmoid(bp_tensor *x);      /* 1 / (1 + e^-x), 4 ulp; dx = dy y (1 - y) */
BP_API bp_tensor *bp_log_sigmoid(bp_tensor *x);  /* ln sigmoid(x), 4 ulp; dx = dy sigmoid(-x) */
BP_API bp_tensor *bp_softplus(bp_tensor *x);     /* ln(1 + e^x), 4 ulp; dx = dy sigmoid(x) */
BP_API bp_tensor *bp_hard_sigmoid(bp_tensor *x); /* (x + 3) / 6 between 0 and 1; dx = dy / 6 there */
/* x s, s = sigmoid(x) (Elfwing, Uchibe, Doya, 2018), 4 ulp, where s is denormal |x| / 2 of the least
 * number more; dx = dy (s + x s (1 - s)). */
BP_API bp_tensor *bp_silu(bp_tensor *x);
/* x t, t = tanh(softplus(x)) (Misra, 2020), 5 ulp, where t is denormal as silu;
 * dx = dy (t + x sigmoid(x) (1 - t) (1 + t)). */
BP_API bp_tensor *bp_mish(bp_tensor *x);
/* x P(N <= x) (Hendrycks, Gimpel, 2016), 5 ulp, near the least normal number 9, 21 in f64;
 * dx = dy (P(N <= x) + x e^(-x^2/2) / sqrt(2 pi)). */
BP_API bp_tensor *bp_gelu(bp_tensor *x);
/* Their approximation x (1 + tanh u) / 2, u = sqrt(2 / pi) (x + 0.044715 x^3), as x s,
 * s = sigmoid(2 u), which does not cancel; far out on the negative side 2 u is rounded before e^ of
 * it is taken: 4 ulp and 3 |2 u| more. dx = dy (s + x s (1 - s) 2 u'). */
BP_API bp_tensor *bp_gelu_tanh(bp_tensor *x);

/* With numbers, which are rounded to x's dtype first (and only then is p whole or not); real. A
 * number that is refused is BP_ERR_ARG. */
BP_API bp_tensor *bp_neg(bp_tensor *x);                  /* y = -x, as bp_scale; dx = -dy */
BP_API bp_tensor *bp_scale(bp_tensor *x, double factor); /* y = factor x; dx = factor dy */
BP_API bp_tensor *bp_shift(bp_tensor *x, double by);     /* y = x + by; dx = dy */
/* y = x^p, NaN where x < 0 and p is not whole, 1 where p is 0, 1 ulp; dx = dy p x^(p - 1), 0 where
 * p is 0. */
BP_API bp_tensor *bp_power(bp_tensor *x, double p);
/* y = lo where x < lo, hi where x > hi, else x, lo <= hi; dx = dy where lo < x < hi, else 0. */
BP_API bp_tensor *bp_clamp(bp_tensor *x, double lo, double hi);
/* y = 1 where x > at, else 0; of NaN NaN; at is not NaN. A step has no gradient: dx = 0, and
 * nothing is trained through it. */
BP_API bp_tensor *bp_threshold(bp_tensor *x, double at);
/* y = x where x > 0, else slope x; dx = dy where x > 0, else slope dy, at NaN too. */
BP_API bp_tensor *bp_leaky_relu(bp_tensor *x, double slope);
/* y = x where x > 0, else alpha (e^x - 1), alpha > 0, 3 ulp (Clevert, Unterthiner, Hochreiter,
 * 2016); dx = dy where x > 0 or NaN, else dy alpha e^x. */
BP_API bp_tensor *bp_elu(bp_tensor *x, double alpha);
/* y = 1.7159 tanh(2 x / 3) + a x (LeCun, Bottou, Orr, Mueller, 1998), 6 ulp of the larger part;
 * dx = dy (1.7159 2/3 (1 - t) (1 + t) + a), t = tanh(2 x / 3). */
BP_API bp_tensor *bp_scaled_tanh(bp_tensor *x, double a);

/* The same values in another dtype, any to any. From a real to i32 or u8: towards 0, and what is
 * out of the dtype's range becomes its end, NaN 0; from i32 to u8 likewise. dx is cast back;
 * through an integer there is none. */
BP_API bp_tensor *bp_cast(bp_tensor *x, bp_dtype dtype);

#ifdef __cplusplus
}
#endif
#endif
