/* Operations on tensors.
 *
 * Common to all: the result is fresh and belongs to the innermost scope. On failure an op returns
 * NULL and the scope has a pending error that names op, shapes and reason (BP_ERR_ARG,
 * BP_ERR_SHAPE, BP_ERR_DTYPE, BP_ERR_DEVICE for operands of two contexts, BP_ERR_UNSUPPORTED,
 * BP_ERR_NOMEM); an op given NULL returns NULL, and tells it where no error is pending. "real" is
 * f32 or f64; dtypes are never mixed silently. Nothing waits. Deterministic: equal inputs give equal
 * bits whatever the number of threads. `dy` is the gradient that arrives, `dx` the one that leaves. */
#ifndef BPCUDA_OPS_H
#define BPCUDA_OPS_H

#include "common.h"

#ifdef __cplusplus
extern "C" {
#endif

/* --- elementwise ------------------------------------------------------------------------- */

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

/* Each element is 0 with probability p, else x / (1 - p) (inverted dropout; Srivastava et al.,
 * 2014); 0 <= p < 1, rounded to a multiple of 2^-16, and the scale uses the rounded p. The mask
 * follows from the context's (seed, step) and the order of random ops in the outermost scope; it
 * is the same on every device and is never stored. dx = the same mask and scale on dy. Real. */
BP_API bp_tensor *bp_dropout(bp_tensor *x, double p);

/* The same values in another dtype: real to real, u8 or i32 to real. dx is cast back. */
BP_API bp_tensor *bp_cast(bp_tensor *x, bp_dtype dtype);

/* --- shape ------------------------------------------------------------------------------- */

/* A view with axes a and b swapped. dx = transpose(dy, a, b). Any dtype. */
BP_API bp_tensor *bp_transpose(bp_tensor *x, int32_t a, int32_t b);

/* The same elements, row-major, in another shape of equal count: a view where x is packed, else a
 * packed copy. dx = reshape(dy). Any dtype. */
BP_API bp_tensor *bp_reshape(bp_tensor *x, bp_shape shape);

/* A view that repeats x to a larger shape (broadcasting as in bp_add). dx = dy summed over the
 * repeated axes. Any dtype. */
BP_API bp_tensor *bp_expand(bp_tensor *x, bp_shape shape);

/* --- reductions -------------------------------------------------------------------------- */

/* Sum of all elements, []; sum over a set of axes, kept as size 1 if `keep`. Real. The sum over no
 * elements is 0. dx = dy, expanded. f32 is accumulated in f64 within blocks of fixed size. */
#define BP_AXIS(i) (1u << (i))
BP_API bp_tensor *bp_sum(bp_tensor *x);
BP_API bp_tensor *bp_sum_axes(bp_tensor *x, uint32_t axes, int32_t keep);

/* y = x - ln sum_j e^x_j along an axis, computed without overflow; real, size >= 1.
 * dx = dy - e^y sum_j dy_j. */
BP_API bp_tensor *bp_log_softmax(bp_tensor *x, int32_t axis);

/* --- products ---------------------------------------------------------------------------- */

/* C = A B: [M, K] [K, N] -> [M, N]; real. dA = dC B^T, dB = A^T dC. Transposed views are read in
 * place. K is summed in an order that depends on the shape alone. */
BP_API bp_tensor *bp_matmul(bp_tensor *a, bp_tensor *b);

/* y = x W^T + b: x [N, in], W [out, in], b [out] -> [N, out]; real.
 * dx = dy W, dW = dy^T x, db = sum of dy over rows. */
BP_API bp_tensor *bp_linear(bp_tensor *x, bp_tensor *w, bp_tensor *b);

/* dropout(relu(linear(x, w, b)), p) in one pass; bits equal to no other form are promised, values
 * equal to the composed form up to rounding. p = 0 draws nothing. The CPU keeps no mask: y tells; a
 * GPU keeps a bit an element. NaN stays NaN, unless dropout cuts it. */
BP_API bp_tensor *bp_linear_relu(bp_tensor *x, bp_tensor *w, bp_tensor *b, double p);

/* --- rows -------------------------------------------------------------------------------- */

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

/* --- losses ------------------------------------------------------------------------------ */

/* loss = -1/N sum_i logp[i, labels[i]]: logp real [N, C], labels i32 [N], N >= 1 -> [].
 * dlogp = nll_spread(dy, labels, C). A label outside [0, C) contributes 0 and is BP_ERR_RANGE. */
BP_API bp_tensor *bp_nll_loss(bp_tensor *logp, bp_tensor *labels);

/* y[i, j] = -s / N where j = labels[i], else 0: s real [], labels i32 [N] -> [N, classes]: the
 * gradient of bp_nll_loss. ds = nll_loss(dy, labels). */
BP_API bp_tensor *bp_nll_spread(bp_tensor *s, bp_tensor *labels, int64_t classes);

/* nll_loss(log_softmax(logits, 1), labels) in one pass over logits [N, C], which also makes the
 * gradient dlogits = dy (softmax(logits) - onehot(labels)) / N when one is asked for. */
BP_API bp_tensor *bp_cross_entropy(bp_tensor *logits, bp_tensor *labels);

/* The same, and *correct, real []: rows whose largest logit (the first of equals) is the label's;
 * in f32 exact up to 2^24 rows. *correct has no gradient. */
BP_API bp_tensor *bp_cross_entropy_correct(bp_tensor *logits, bp_tensor *labels,
                                           bp_tensor **correct);

#ifdef __cplusplus
}
#endif
#endif
