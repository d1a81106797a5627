/* The curvature of a loss: its Hessian H, the matrix of the d^2 loss / d w_i d w_j over all
 * parameters of a store that are not frozen, n of them, by products H v (derive.h), so that H is
 * never made where it need not be.
 *
 * The loss is a function as minimize.h has them: ops over the parameters, the same value for the
 * same parameters, called in a scope of its own, once. Calls are made outside any scope
 * (BP_ERR_STATE), wait, and leave parameters and gradients as they are; at most 64 parameter
 * tensors that are not frozen. BP_ERR_NONFINITE where the loss, or a product, is not finite. user
 * may be NULL. */
#ifndef BPCUDA_CURVATURE_H
#define BPCUDA_CURVATURE_H

#include "minimize.h"

#ifdef __cplusplus
extern "C" {
#endif

/* What was found; after a failure all is 0 but struct_bytes. More members may follow, behind. */
typedef struct bp_eigen {
    size_t struct_bytes; /* sizeof(bp_eigen), set by the caller */
    double value;        /* of H: the largest eigenvalue, with its sign */
    double residual;     /* |H v - value v| of the vector of length 1 that has it */
    double rate;         /* 1 / value; 0 where the value is not above 0 */
    int64_t products;    /* H v made */
    int32_t converged;   /* the residual is as small as was asked for */
} bp_eigen;

/* The largest eigenvalue of H by power iteration, v := H v / |H v|, from a v that is always the
 * same. Where the eigenvalue of largest magnitude is negative, once more on H less that one. Ends
 * where the residual is at most tolerance |value| (0: 1e-3), or after `products` (0: 1000) of
 * them, with BP_OK and what is known: then converged is 0.
 *
 * Gradient descent on a quadratic loss goes down fastest along that vector at rate = 1 / value, and
 * diverges from 2 / value on (LeCun, Simard, Pearlmutter, "Automatic Learning Rate Maximization by
 * On-Line Estimation of the Hessian's Eigenvectors", 1993; "Efficient BackProp", 1998, 7). */
BP_API bp_status bp_hessian_largest(bp_params *params, bp_objective_fn loss, void *user,
                                    double tolerance, int64_t products, bp_eigen *found) BP_USE;

/* All n of them, ascending: n products, a matrix [n,n] of f64, and 4/3 n^3 operations, for small
 * nets of at most 4096 parameters (BP_ERR_ARG). *n says how many numbers eigenvalues has room for,
 * n at least (BP_ERR_ARG), and then how many there are; 0 on failure. The matrix is made symmetric by the mean of both halves,
 * reduced to three diagonals, and bisected (Householder, 1958; Givens, 1954). */
BP_API bp_status bp_hessian_eigenvalues(bp_params *params, bp_objective_fn loss, void *user,
                                        double *eigenvalues, int64_t *n) BP_USE;

#ifdef __cplusplus
}
#endif
#endif
