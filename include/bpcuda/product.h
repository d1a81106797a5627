/* Products of matrices. Common to all ops: ops.h. */
#ifndef BPCUDA_PRODUCT_H
#define BPCUDA_PRODUCT_H

#include "common.h"

#ifdef __cplusplus
extern "C" {
#endif

/* C = A B: [.., M, K] [.., K, N] -> [.., M, N]; real. The axes before the last two broadcast, as in
 * bp_add. A vector is a row before a matrix and a column behind one, and that axis goes again: [K]
 * [K, N] -> [N], [M, K] [K] -> [M], [K] [K] -> []. dA = dC B^T, dB = A^T dC, summed over what was
 * broadcast. Views whose last two axes are swapped are read in place. K is summed in an order that
 * depends on the shapes alone. */
BP_API bp_tensor *bp_matmul(bp_tensor *a, bp_tensor *b);

/* sum_i a[i] b[i]: [K] [K] -> []; real. da = dy b, db = dy a. */
BP_API bp_tensor *bp_dot(bp_tensor *a, bp_tensor *b);

/* C[i,j] = a[i] b[j]: [M] [N] -> [M, N]; real. da = dC b, db = dC^T a. */
BP_API bp_tensor *bp_outer(bp_tensor *a, bp_tensor *b);

/* y = x W^T + b: x [N, in], W [out, in], b [out] -> [N, out]; real.
 * dx = dy W, dW = dy^T x, db = sum of dy over rows. */
BP_API bp_tensor *bp_linear(bp_tensor *x, bp_tensor *w, bp_tensor *b);

/* dropout(relu(linear(x, w, b)), p) in one pass; bits equal to no other form are promised, values
 * equal to the composed form up to rounding. p = 0 draws nothing. The CPU keeps no mask: y tells; a
 * GPU keeps a bit an element. NaN stays NaN, unless dropout cuts it. */
BP_API bp_tensor *bp_linear_relu(bp_tensor *x, bp_tensor *w, bp_tensor *b, double p);

enum { BP_CAUSAL = 1 }; /* query i looks at keys 0 .. i */

/* y = softmax(scale q k^T) v: q [.., T, D], k [.., S, D], v [.., S, E] -> [.., T, E]; real, the axes
 * before equal. flags: 0 or BP_CAUSAL. scale 0 stands for 1 / sqrt(D). One pass that never holds the
 * weights, forward and backward (Dao et al., FlashAttention, 2022). With p = softmax(scale q k^T),
 * dv = p^T dy; dp = dy v^T, ds = p (dp - sum of p dp over keys), dq = scale ds k, dk = scale ds^T q.
 * No float atomics: the order of every sum follows from the shapes. Views whose last two axes are
 * swapped, and any strides of those before, are read in place. NaN in a key that a query may not
 * look at can reach it. */
BP_API bp_tensor *bp_attention(bp_tensor *q, bp_tensor *k, bp_tensor *v, uint32_t flags,
                               double scale);

/* The same with a mask that broadcasts to [.., T, S]: of u8, where 0 takes a key away from a query;
 * or of q's dtype, and added to the scaled scores (-Inf takes away). A query to which no key is left
 * gives zeros, and no gradient. A mask that asks for its gradient gets it, in the composed form: that
 * walk back holds the weights. */
BP_API bp_tensor *bp_attention_masked(bp_tensor *q, bp_tensor *k, bp_tensor *v, bp_tensor *mask,
                                      uint32_t flags, double scale);

/* The weights themselves, of scores [.., T, S]: y = softmax(scores) along the last axis; 0 beyond
 * the diagonal with BP_CAUSAL, and in a row of nothing but -Inf. Real. dx = y (dy - sum of dy y). */
BP_API bp_tensor *bp_attention_weights(bp_tensor *scores, uint32_t flags);

#ifdef __cplusplus
}
#endif
#endif
