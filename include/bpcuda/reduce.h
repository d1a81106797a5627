/* Reductions over axes, sums along one, and order. Common to all ops: ops.h.
 *
 * A reduction is of all elements, []; bp_<name>_axes: over a set of axes, kept as size 1 if `keep`. x
 * is f32 or f64, which is accumulated in f64 in an order that follows from shape and strides. Of u8
 * and i32, sum, max and min are i32, held at its ends, without a gradient. */
#ifndef BPCUDA_REDUCE_H
#define BPCUDA_REDUCE_H

#include "common.h"

#ifdef __cplusplus
extern "C" {
#endif

/* A set of axes: BP_AXIS(0) | BP_AXIS(2). */
#define BP_AXIS(i) (1u << (i))

/* The sum, 0 over no elements; dx = dy. The sum of squares; dx = 2 x dy. */
BP_API bp_tensor *bp_sum(bp_tensor *x);
BP_API bp_tensor *bp_sum_axes(bp_tensor *x, uint32_t axes, int32_t keep);
BP_API bp_tensor *bp_sum_squares(bp_tensor *x);
BP_API bp_tensor *bp_sum_squares_axes(bp_tensor *x, uint32_t axes, int32_t keep);

/* The sum over n elements, divided by n; NaN over none; of u8 and i32 in f64.
 * dx = dy / n. */
BP_API bp_tensor *bp_mean(bp_tensor *x);
BP_API bp_tensor *bp_mean_axes(bp_tensor *x, uint32_t axes, int32_t keep);

/* sum (x - mean)^2 / (n - correction), correction 0 or 1, and its root, the standard deviation, in
 * one pass that does not cancel (Chan, Golub, LeVeque, 1979). n = correction gives NaN.
 * dx = 2 dy (x - mean) / (n - correction); dx = dy (x - mean) / (y (n - correction)), 0 where y
 * is. */
BP_API bp_tensor *bp_variance(bp_tensor *x, int32_t correction);
BP_API bp_tensor *bp_variance_axes(bp_tensor *x, uint32_t axes, int32_t correction, int32_t keep);
BP_API bp_tensor *bp_std(bp_tensor *x, int32_t correction);
BP_API bp_tensor *bp_std_axes(bp_tensor *x, uint32_t axes, int32_t correction, int32_t keep);

/* sum |x|, dx = dy sign(x); the root of the sum of squares, dx = dy x / y, 0 where y is; the
 * largest |x|, BP_ERR_SHAPE over none, dx = dy sign(x) in equal parts for those that are it. */
BP_API bp_tensor *bp_norm_l1(bp_tensor *x);
BP_API bp_tensor *bp_norm_l1_axes(bp_tensor *x, uint32_t axes, int32_t keep);
BP_API bp_tensor *bp_norm_l2(bp_tensor *x);
BP_API bp_tensor *bp_norm_l2_axes(bp_tensor *x, uint32_t axes, int32_t keep);
BP_API bp_tensor *bp_norm_max(bp_tensor *x);
BP_API bp_tensor *bp_norm_max_axes(bp_tensor *x, uint32_t axes, int32_t keep);

/* The largest and the least element, NaN if one is; BP_ERR_SHAPE over none. dx = dy in equal parts
 * for the elements that equal y, else 0. */
BP_API bp_tensor *bp_max(bp_tensor *x);
BP_API bp_tensor *bp_max_axes(bp_tensor *x, uint32_t axes, int32_t keep);
BP_API bp_tensor *bp_min(bp_tensor *x);
BP_API bp_tensor *bp_min_axes(bp_tensor *x, uint32_t axes, int32_t keep);

/* ln sum e^x, without overflow; -Inf over none, or where every x is -Inf. dx = dy e^(x - y). */
BP_API bp_tensor *bp_logsumexp(bp_tensor *x);
BP_API bp_tensor *bp_logsumexp_axes(bp_tensor *x, uint32_t axes, int32_t keep);

/* The number of elements that are not 0 (NaN is not); 1 if there is one; 1 if all are: i32, of any
 * dtype, no gradient. Over no elements 0, 0 and 1. */
BP_API bp_tensor *bp_count_nonzero(bp_tensor *x);
BP_API bp_tensor *bp_count_nonzero_axes(bp_tensor *x, uint32_t axes, int32_t keep);
BP_API bp_tensor *bp_any(bp_tensor *x);
BP_API bp_tensor *bp_any_axes(bp_tensor *x, uint32_t axes, int32_t keep);
BP_API bp_tensor *bp_all(bp_tensor *x);
BP_API bp_tensor *bp_all_axes(bp_tensor *x, uint32_t axes, int32_t keep);

/* The place of the largest and of the least element along an axis, which is dropped: i32, the first
 * of equals, the first NaN if there is one. x of any dtype, size >= 1; no gradient. */
BP_API bp_tensor *bp_argmax(bp_tensor *x, int32_t axis);
BP_API bp_tensor *bp_argmin(bp_tensor *x, int32_t axis);

/* y[i] = the sum of x[0 .. i] along an axis; in reverse, of x[i ..]. Real; f32 is added in f64, in
 * an order that follows from the shape alone. dx = the same of dy the other way round. */
BP_API bp_tensor *bp_cumsum(bp_tensor *x, int32_t axis, int32_t reverse);

/* x sorted along an axis, and the place each element had, i32; index may be NULL. Equal elements
 * keep their order, also in descending order; NaN is larger than all numbers. Real, less than
 * 2^31 elements.
 * dx = dy back at these places; the places have no gradient. */
BP_API bp_tensor *bp_sort(bp_tensor *x, int32_t axis, int32_t descending, bp_tensor **index);

/* The k largest, or least, elements along an axis, in order, and their places: the first k of
 * bp_sort, 0 <= k <= its size; index may be NULL. */
BP_API bp_tensor *bp_top_k(bp_tensor *x, int64_t k, int32_t axis, int32_t least,
                           bp_tensor **index);

#ifdef __cplusplus
}
#endif
#endif
