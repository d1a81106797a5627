/* The chain rule in matrix form. J is the matrix of the d y_i / d x_j: rows for the elements of y,
 * columns for those of x.
 *
 * A walk back is v^T J (bp_grad); one walk each gives the rows of J, and two give J v. The calls
 * with `_of` are about a y that is there: x holds what it was computed from, parameters among them,
 * as in bp_grad. The others make y with a function of yours, of the n tensors x; what it makes on
 * the way is gone when they return, and x holds real tensors of any kind, whose own history does
 * not count.
 *
 * Everywhere user may be NULL; and the bp_tensor ** y, where the value goes, may be NULL.
 *
 * Results are fresh tensors of the innermost scope, without history unless BP_CREATE_GRAPH is
 * among the flags. All ops have these derivatives (one of your own, as often as its rules have). n
 * is 1 to 64. All but bp_gradcheck work while a plan is recorded. Errors are those of bp_grad;
 * results are NULL then. (Pearlmutter, "Fast exact multiplication by the Hessian", 1994.) */
#ifndef BPCUDA_DERIVE_H
#define BPCUDA_DERIVE_H

#include "common.h"

#ifdef __cplusplus
extern "C" {
#endif

/* y = f(x[0], ...), by ops on these x, which are not the tensors that were given but stand for
 * them, on their memory: f must not write to them (bp_add_into and its kin). f may differentiate,
 * by bp_grad with BP_CREATE_GRAPH. */
typedef bp_tensor *(*bp_function)(bp_context *ctx, bp_tensor *const *x, void *user);

/* dx[i] = (d y / d x[i])^T dy, of x[i]'s shape; dy has y's. */
BP_API bp_status bp_vjp(bp_context *ctx, bp_function f, void *user, bp_tensor *const *x, int32_t n,
                        bp_tensor *dy, bp_tensor **y, bp_tensor **dx) BP_USE;

/* *jv = sum over i of (d y / d x[i]) v[i], of y's shape: how y moves as x moves along v, whose
 * tensors have the shapes and dtypes of x. Costs a walk back, recorded, and the walk back over that
 * record: two to three times bp_grad. y's graph stays as it is; flags: 0 or BP_CREATE_GRAPH. */
BP_API bp_status bp_jvp(bp_context *ctx, bp_function f, void *user, bp_tensor *const *x,
                        bp_tensor *const *v, int32_t n, bp_tensor **y, bp_tensor **jv) BP_USE;
BP_API bp_status bp_jvp_of(bp_context *ctx, bp_tensor *y, bp_tensor *const *x, bp_tensor *const *v,
                           int32_t n, uint32_t flags, bp_tensor **jv) BP_USE;

/* jacobian[i] = d y / d x[i], of x[i]'s dtype, whose shape is the sizes of y, then those of x[i];
 * at most 8 in all (BP_ERR_SHAPE). Costs a walk back for each element of y. flags: 0 or
 * BP_KEEP_GRAPH. A Hessian is the Jacobian of a gradient that bp_grad_scalar made with
 * BP_CREATE_GRAPH. */
BP_API bp_status bp_jacobian(bp_context *ctx, bp_function f, void *user, bp_tensor *const *x,
                             int32_t n, bp_tensor **y, bp_tensor **jacobian) BP_USE;
BP_API bp_status bp_jacobian_of(bp_context *ctx, bp_tensor *y, bp_tensor *const *x, int32_t n,
                                uint32_t flags, bp_tensor **jacobian) BP_USE;

/* hv[i] = sum over k of (d^2 y / d x[i] d x[k]) v[k], for a y of one element: the Hessian times v.
 * Costs as bp_jvp, whatever the size of the Hessian. Zeros where the gradient does not depend on x.
 * flags are those of bp_grad. */
BP_API bp_status bp_hvp(bp_context *ctx, bp_function f, void *user, bp_tensor *const *x,
                        bp_tensor *const *v, int32_t n, bp_tensor **y, bp_tensor **hv) BP_USE;
BP_API bp_status bp_hvp_of(bp_context *ctx, bp_tensor *y, bp_tensor *const *x, bp_tensor *const *v,
                           int32_t n, uint32_t flags, bp_tensor **hv) BP_USE;

/* What bp_gradcheck found. Agreement is to 1e-7 of the larger, and to what rounding in y can do.
 * Where steps of h and of h / 2 disagree about the slope, or the slopes to both sides about each
 * other, there is a kink, or f is no function of x alone: counted and not judged; few are fine.
 * After a failure all is 0 but struct_bytes. */
typedef struct bp_gradcheck_report {
    size_t struct_bytes; /* sizeof(bp_gradcheck_report), set by the caller */
    int64_t checked;     /* elements, or directions */
    int64_t wrong, kinks; /* of them */
    int32_t input;       /* of the worst that is no kink: x[input]; -1: a direction */
    int64_t index;       /* its element, row-major; the direction's number */
    double analytic, numeric; /* what the gradient says there, and what differences say */
} bp_gradcheck_report;

/* Holds f's gradient against central differences, four points each, h = x / 1000 (at least 2e-5):
 * with y weighted by numbers near 1 that differ from element to element. x and y are f64
 * (BP_ERR_DTYPE). directions 0: every element of every x, at 4 calls of f each; k > 0: along k
 * random directions through all of them, at 4 calls each whatever the size. BP_OK says that it was
 * done: report->wrong is 0 where the gradient is right. x stays as it is: f gets copies. f draws
 * the same in every call, and the random stream does not move on. In a scope or not; waits. */
BP_API bp_status bp_gradcheck(bp_context *ctx, bp_function f, void *user, bp_tensor *const *x,
                              int32_t n, int64_t directions, bp_gradcheck_report *report) BP_USE;

#ifdef __cplusplus
}
#endif
#endif
