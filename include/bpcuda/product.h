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

#ifdef __cplusplus
}
#endif
#endif
