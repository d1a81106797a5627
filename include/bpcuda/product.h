/* Products of matrices. Common to all ops: ops.h. */
#ifndef BPCUDA_PRODUCT_H
#define BPCUDA_PRODUCT_H

#include "common.h"

#ifdef __cplusplus
extern "C" {
#endif

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

#ifdef __cplusplus
}
#endif
#endif
