/* Ops that choose by an index. Common to all ops: ops.h.
 *
 * An index is i32 and counts from 0: a negative one is out of range (it is a mark for "none" as
 * often as a place from the back). One that is out of range is told by the next waiting call,
 * BP_ERR_RANGE with its value, and an optimiser step before that changes nothing. */
#ifndef BPCUDA_INDEX_H
#define BPCUDA_INDEX_H

#include "common.h"

#ifdef __cplusplus
extern "C" {
#endif

/* y[i, ...] = table[index[i], ...]: table [R, ...] of any dtype, index i32 [B] -> [B, ...].
 * dtable = scatter_rows(dy, index, R). An index outside [0, R) gives a row of zeros and
 * BP_ERR_RANGE at the next waiting call. */
BP_API bp_tensor *bp_gather(bp_tensor *table, bp_tensor *index);

/* y[i, j] = (table[index[i], j] - shift[j]) scale[j], in f64 and rounded once: table u8 or `dtype`
 * [R, C], index i32 [B], shift and scale f64 [C] -> [B, C] of `dtype`, f32 or f64. Gradients as of
 * the composed form. */
BP_API bp_tensor *bp_gather_normalized(bp_tensor *table, bp_tensor *index, bp_tensor *shift,
                                       bp_tensor *scale, bp_dtype dtype);

/* y[r, ...] = sum of x[i, ...] over the i with index[i] = r, in order of i: x real [B, ...], index
 * i32 [B] -> [rows, ...]. dx = gather(dy, index). Bad indices as in bp_gather. */
BP_API bp_tensor *bp_scatter_rows(bp_tensor *x, bp_tensor *index, int64_t rows);

/* y = x with the sizes of `index`, of any rank, in place of an axis (from 0 on, or from -1
 * backwards): y[.., index[i..], ..]; bp_gather is that of axis 0 and rank 1. x of any dtype. dx =
 * dy summed by bp_scatter_rows. Along another axis than 0, x is copied first. Bad indices as in
 * bp_gather. */
BP_API bp_tensor *bp_take(bp_tensor *x, int32_t axis, bp_tensor *index);

/* y[i, j] = x[index[i, j], j] along axis 0, and so along any: x of any dtype, index with x's sizes
 * but for the axis -> index's shape. numpy's take_along_axis, PyTorch's gather. dx = add_along(dy,
 * axis, index, n). A bad index gives 0, and BP_ERR_RANGE. */
BP_API bp_tensor *bp_take_along(bp_tensor *x, int32_t axis, bp_tensor *index);

/* y[index[i, j], j] += x[i, j] along axis 0, from 0, and so along any, in the order of i: x real,
 * index of equal shape -> x's shape with `size` at the axis. PyTorch's scatter_add. dx =
 * take_along(dy, axis, index). The same bits with any threads; no atomic on any device. A bad index
 * adds nothing, and BP_ERR_RANGE. */
BP_API bp_tensor *bp_add_along(bp_tensor *x, int32_t axis, bp_tensor *index, int64_t size);

/* y[i..] = x[i.., index[i..]]: x [..., C] of any dtype, index [...] -> [...]. Gradient and bad
 * indices as of bp_take_along. */
BP_API bp_tensor *bp_pick(bp_tensor *x, bp_tensor *index);

/* y[i.., c] = 1 where c = index[i..], else 0: index [...] -> [..., classes] of a real dtype. No
 * gradient. A bad index gives a row of zeros, and BP_ERR_RANGE. */
BP_API bp_tensor *bp_one_hot(bp_tensor *index, int64_t classes, bp_dtype dtype);

#ifdef __cplusplus
}
#endif
#endif
