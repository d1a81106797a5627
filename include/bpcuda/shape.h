/* Ops that move elements and compute nothing: views, parts put together, tensors of numbers. Common
 * to all ops: ops.h.
 *
 * An axis is named from 0 on, or from -1 backwards. A view costs nothing and looks at x's memory:
 * who writes to one (bp_write, bp_copy_into, bp_add_into) writes to the other. Any dtype, but
 * where gradients are wanted; the order of sums in a gradient is fixed. An axis that is not there,
 * or sizes that do not fit, are BP_ERR_SHAPE. */
#ifndef BPCUDA_SHAPE_H
#define BPCUDA_SHAPE_H

#include "common.h"

#ifdef __cplusplus
extern "C" {
#endif

/* --- views ----------------------------------------------------------------------------------- */

/* A view with axes a and b swapped. dx = transpose(dy, a, b). */
BP_API bp_tensor *bp_transpose(bp_tensor *x, int32_t a, int32_t b);

/* A view whose axis i is axis order[i] of x: BP_SHAPE(1, 2, 0) brings the first axis to the end.
 * dx: the axes of dy back in their places. */
BP_API bp_tensor *bp_permute(bp_tensor *x, bp_shape order);

/* The same elements, row-major, in another shape of equal count: a view where x's strides can say
 * it, always where x is packed; else a packed copy. dx = reshape(dy). */
BP_API bp_tensor *bp_reshape(bp_tensor *x, bp_shape shape);

/* Views with one axis of size 1 more, at `axis` of the result; without some of size 1, a set
 * (BP_AXIS). dx = reshape(dy). */
BP_API bp_tensor *bp_unsqueeze(bp_tensor *x, int32_t axis);
BP_API bp_tensor *bp_squeeze(bp_tensor *x, uint32_t axes);

/* A view that repeats x to a larger shape (broadcasting as in bp_add). dx = dy summed over the
 * repeated axes. */
BP_API bp_tensor *bp_expand(bp_tensor *x, bp_shape shape);

/* A view of elements begin, begin + step, ... before end along an axis: x[begin:end:step] of
 * Python. A negative begin or end counts from the back (-1 is the last element), and what lies
 * outside is cut off, so that INT64_MAX is the end, and with a negative step, which walks
 * backwards, INT64_MIN is beyond the first element: bp_slice(x, 0, -1, INT64_MIN, -1) is all of x
 * in reverse. It may be empty. Step 0 is BP_ERR_ARG. dx = dy where x was seen, 0 elsewhere. */
BP_API bp_tensor *bp_slice(bp_tensor *x, int32_t axis, int64_t begin, int64_t end, int64_t step);

/* A view with a set of axes (BP_AXIS) in reverse. dx = flip(dy, axes). */
BP_API bp_tensor *bp_flip(bp_tensor *x, uint32_t axes);

/* Views of n parts that lie behind each other along an axis, in parts[0 .. n): of these sizes,
 * which add up to the axis, or of equal ones: sizes may be NULL. Returns parts[0]; NULL with all
 * parts NULL on failure. Gradients as of bp_slice. */
BP_API bp_tensor *bp_split(bp_tensor *x, int32_t axis, int32_t n, const int64_t *sizes,
                           bp_tensor **parts);

/* --- parts put together ---------------------------------------------------------------------- */

/* n tensors (1 or more, of one dtype and of equal sizes but for `axis`) behind each other along it;
 * n of equal shapes along a new axis. dx[k] = its part of dy, a view. */
BP_API bp_tensor *bp_concat(bp_tensor *const *x, int32_t n, int32_t axis);
BP_API bp_tensor *bp_stack(bp_tensor *const *x, int32_t n, int32_t axis);

/* x with `before` and `after` elements more along an axis: of this value (which the dtype must
 * have); of the first and the last element (PyTorch's "replicate"); mirrored at them, fewer than
 * there are ("reflect": c b | a b c | b a). dx = that part of dy; where elements were repeated,
 * their sum. */
BP_API bp_tensor *bp_pad(bp_tensor *x, int32_t axis, int64_t before, int64_t after, double value);
BP_API bp_tensor *bp_pad_edge(bp_tensor *x, int32_t axis, int64_t before, int64_t after);
BP_API bp_tensor *bp_pad_reflect(bp_tensor *x, int32_t axis, int64_t before, int64_t after);

/* x, whole, times[i] times along axis i (a b a b: numpy's tile); each element `times` times along
 * an axis (a a b b: numpy's repeat). Counts of 0 or more. dx = the sum of its copies' dy. */
BP_API bp_tensor *bp_tile(bp_tensor *x, bp_shape times);
BP_API bp_tensor *bp_repeat(bp_tensor *x, int32_t axis, int64_t times);

/* Element i along an axis comes to (i + shift) mod size; any shift. dx = roll(dy, axis, -shift). */
BP_API bp_tensor *bp_roll(bp_tensor *x, int32_t axis, int64_t shift);

/* --- tensors of numbers ---------------------------------------------------------------------- */

/* All elements `value`; begin + step i for i < count, [count], computed in f64 and rounded once;
 * 1 on the diagonal of [n, n], else 0. Made on the device, in a step that may be recorded; without
 * history. A number that the dtype does not have (-1 or 0.5 in u8, 1e300 in f32; but reals have
 * infinities and NaN) is BP_ERR_DTYPE. */
BP_API bp_tensor *bp_full(bp_context *ctx, bp_dtype dtype, bp_shape shape, double value);
BP_API bp_tensor *bp_full_like(bp_tensor *x, double value); /* x's dtype and shape */
BP_API bp_tensor *bp_arange(bp_context *ctx, bp_dtype dtype, double begin, double step,
                            int64_t count);
BP_API bp_tensor *bp_eye(bp_context *ctx, bp_dtype dtype, int64_t n);

/* x [..., M, N] where j - i <= diagonal, or >= for triu, else 0, whatever x is there: tril(scores,
 * 0) is what a causal mask lets pass. dx = tril(dy). Real. */
BP_API bp_tensor *bp_tril(bp_tensor *x, int64_t diagonal);
BP_API bp_tensor *bp_triu(bp_tensor *x, int64_t diagonal);

#ifdef __cplusplus
}
#endif
#endif
