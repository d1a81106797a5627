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

/* The draws below are fresh, packed tensors without a gradient: each element is one draw of the
 * context's (seed, step), the order of random ops in the outermost scope and the element's place,
 * so that a call draws anew in each step and in each replay of a plan, and the bits are the same
 * on every device, for every number of threads and in every build. dtype is f32 or f64, and an f32
 * draw is the f64 one with fewer digits. In an outermost scope with BP_NO_GRAD, which is no step,
 * the next such scope draws the same again. Constants that do not fit are BP_ERR_ARG. A gradient
 * goes through what is made of draws: mean + deviation * bp_normal(ctx, dtype, shape, 0, 1). */

/* Uniform in [lo, hi): lo + (hi - lo) u, u a multiple of 2^-24 (f64: 2^-53) in [0, 1). lo <= hi,
 * both and their difference finite in dtype; lo where they are equal. */
BP_API bp_tensor *bp_uniform(bp_context *ctx, bp_dtype dtype, bp_shape shape, double lo, double hi);

/* Normal: mean + deviation z, z the quantile of the standard normal distribution at the middle of
 * one of 2^32 (f64: 2^64) equal cells of (0, 1), within 5 units in the last place; |z| is at most
 * 6.34 (f64: 9.16). deviation >= 0; both finite in dtype. Wichura, AS 241, 1988. */
BP_API bp_tensor *bp_normal(bp_context *ctx, bp_dtype dtype, bp_shape shape, double mean,
                            double deviation);

/* 1 with probability p in [0, 1], else 0: 1 where u < p, u as bp_uniform's. */
BP_API bp_tensor *bp_bernoulli(bp_context *ctx, bp_dtype dtype, bp_shape shape, double p);

/* The same with a probability for each element, in p's shape and dtype: always 1 from p = 1 on,
 * never up to p = 0, NaN where p is NaN. No gradient goes to p: to ask for one is
 * BP_ERR_UNSUPPORTED; bp_detach, or BP_NO_GRAD, says that none is meant. */
BP_API bp_tensor *bp_bernoulli_of(bp_tensor *p);

/* Images [N, H, W, C] or [N, H, W], real or u8, each moved a little by draws of its own; y real,
 * f32 of u8. `how` is a text, words between white space:
 *     shift=P        by whole pixels, -P .. P alike, down and across, each for itself
 *     flip           left and right change places, with probability 1/2
 *     crop=P         a window smaller by 0 .. P pixels, alike, anywhere, is stretched to the whole
 *     elastic=A,D    pixels look A times as far away as a uniform number in [-1, 1] each, down and
 *                    across, blurred by a Gaussian of deviation D, D <= 16 (Simard, Steinkraus,
 *                    Platt: "Best Practices for Convolutional Neural Networks", 2003: 34,4)
 * in the order crop, flip, shift, elastic. What lies between pixels is interpolated of four; what
 * is outside is 0; "" gives x. P is less than H and W. No gradient goes to x: to ask for one is
 * BP_ERR_UNSUPPORTED. BP_ERR_FORMAT names a wrong word. */
BP_API bp_tensor *bp_augment(bp_tensor *x, const char *how);

/* A permutation of 0 .. n - 1, i32 [n], 0 <= n < 2^31; as an index of bp_gather it shuffles rows.
 * Its key is 512 bits of the stream; which permutation that is, is told from an even choice by no
 * test we know, but it is not proved to be one. A Feistel network: Luby and Rackoff, 1988. */
BP_API bp_tensor *bp_permutation(bp_context *ctx, int64_t n);

#ifdef __cplusplus
}
#endif
#endif
