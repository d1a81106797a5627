/* Minimising a function of a store's parameters, all data at once: curve fitting, small
 * regressions, physics in a loss. For functions without a gradient: evolve.h.
 *
 * The function is ops over the parameters, and gives the same value for the same parameters: no
 * dropout, no draws. It is called in a scope of its own, as often as is needed. Parameters that
 * are frozen stay as they are; those of other stores get gradients they should not, unless they
 * are frozen. Arithmetic on the steps is f64 on the host, and the same bits for any number of
 * threads; a store of f64 is wanted where many digits are.
 *
 * The store holds the best parameters so far: after the call, however it ends, and in the
 * callback; but where a function of yours is left by an exception, what was tried last, and by
 * longjmp the memory of the call is lost too. Calls are made outside any scope (BP_ERR_STATE),
 * wait, and forget gradients that wait for a step. user and options may be NULL, and so may
 * result. */
#ifndef BPCUDA_MINIMIZE_H
#define BPCUDA_MINIMIZE_H

#include "common.h"
#include "params.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The value, a real scalar; or the residuals, a real tensor of any shape. */
typedef bp_tensor *(*bp_objective_fn)(bp_context *ctx, void *user);

/* Why a call ended that returned BP_OK. */
typedef int32_t bp_stop;
enum {
    BP_STOP_NONE = 0,      /* it goes on, or failed */
    BP_STOP_GRADIENT = 1,  /* the gradient is as small as was asked for */
    BP_STOP_VALUE = 2,     /* the value no longer changes by more than was asked for */
    BP_STOP_STEP = 3,      /* steps are shorter than was asked for */
    BP_STOP_TARGET = 4,    /* the value that was asked for is reached */
    BP_STOP_LIMIT = 5,     /* so many iterations, or evaluations, are done */
    BP_STOP_PRECISION = 6  /* no step that can be told from none lowers the value */
};

/* A sentence for it; "?" for anything else. */
BP_API const char *bp_stop_text(bp_stop stop);

/* Where a minimiser is, and what it ended with: after a failure, where it got to, and all 0 but
 * struct_bytes where it did not begin. More members may follow, at the end. */
typedef struct bp_found {
    size_t struct_bytes;  /* sizeof(bp_found), set by the caller of one that is a result */
    int64_t iterations;   /* steps, or generations */
    int64_t evaluations;  /* calls of the function */
    double value;         /* the least so far; NaN where there is none yet */
    double gradient;      /* what BP_STOP_GRADIENT looks at; 0 in evolve.h */
    double step;          /* length of the last step; in evolve.h the deviation of the draws */
    double damping;       /* of bp_levenberg_marquardt, bp_gauss_newton; else 0 */
    int64_t population;   /* of evolve.h, now; else 0 */
    int32_t restarts;     /* of evolve.h */
    bp_stop stop;         /* why it ended */
} bp_found;

/* After each iteration. It may use the context, outside of a scope, and not write to the store. Any
 * status but BP_OK ends the call with that status. */
typedef bp_status (*bp_found_fn)(bp_context *ctx, const bp_found *now, void *user);

/* What is 0 is as said; a tolerance below 0 is not looked at. */
typedef struct bp_minimize_options {
    size_t struct_bytes; /* sizeof(bp_minimize_options) */
    int64_t iterations;  /* at most; 0: 1000 */
    double gradient;     /* 0: 1e-8, and 1e-12 for bp_levenberg_marquardt */
    double value;        /* relative to the value; 0: 1e-15, and none for bp_lbfgs */
    double step;         /* relative to the parameters; 0: none, and 1e-12 for
                          * bp_levenberg_marquardt */
    int32_t history;     /* of bp_lbfgs: pairs it keeps, 1 to 1000; 0: 10 */
    double damping;      /* of bp_levenberg_marquardt: the first step is at most as long as one of
                          * this damping; 0: 100 times the parameters' length. Of
                          * bp_gauss_newton, at first; 0: 1e-3 */
    bp_found_fn each;    /* NULL: none */
    void *user;          /* of each */
    int64_t products;    /* of bp_gauss_newton: at most, for a step; 0: n, or 200 where n is more */
} bp_minimize_options;

/* L-BFGS with a strong-Wolfe line search (c1 = 1e-4, c2 = 0.9; Nocedal, Wright, "Numerical
 * Optimization", 2006, algorithms 7.4, 7.5, 3.5, 3.6). Values that agree to rounding are judged by
 * their slopes (Hager, Zhang, 2005), so that it reaches the digits of the gradient.
 * BP_STOP_GRADIENT looks at the largest |d loss / d w|. Memory: 2 history + 5 vectors. A step to
 * where the value is not finite is cut; BP_ERR_NONFINITE where that was the case for all that were
 * tried. */
BP_API bp_status bp_lbfgs(bp_params *params, bp_objective_fn loss, void *user,
                          const bp_minimize_options *options, bp_found *result) BP_USE;

/* Least squares: the least of 1/2 sum r_i^2 by Levenberg-Marquardt. A step solves
 *
 *     (J^T J + damping D) d = -J^T r,   D the largest diagonal of J^T J so far
 *
 * by Cholesky, with the damping at which d is as long, in units of the root of D, as the radius
 * within which the step before says that this model of r holds; none where d is shorter without
 * (Marquardt, 1963; More, "The Levenberg-Marquardt algorithm: implementation and theory", 1978). J
 * is taken row by row or, where there are fewer parameters than residuals, column by column: the
 * smaller number of walks. At most 64 parameter tensors that are not frozen; memory for J and two
 * matrices [n,n] of f64. BP_STOP_GRADIENT looks at the largest |cosine| of the angles between r and
 * the columns of J, which has no unit; a parameter that r does not depend on stays.
 * BP_ERR_NONFINITE where r is not finite at the start or at all that was tried from a place, or J
 * is not. */
BP_API bp_status bp_levenberg_marquardt(bp_params *params, bp_objective_fn residuals, void *user,
                                        const bp_minimize_options *options,
                                        bp_found *result) BP_USE;

/* The same without J: a step solves
 *
 *     (J^T J + damping c I) d = -J^T r,   c the curvature of J^T J along the first J^T r
 *
 * by conjugate gradients on products J^T (J v), two to three walks back and one more, so that
 * memory is 8 vectors of f64 and what the residuals take: for thousands of parameters and more.
 * They end where what is left of the equation is min(1/2, sqrt(|g| / |g at the start|)) of it. The
 * damping follows the gain ratio (Martens, "Deep Learning via Hessian-Free Optimization", 2010;
 * Nielsen, "Damping Parameter in Marquardt's Method", 1999). At most 64 parameter tensors that are
 * not frozen. BP_STOP_GRADIENT looks at the largest |d loss / d w|; errors are those of
 * bp_levenberg_marquardt. */
BP_API bp_status bp_gauss_newton(bp_params *params, bp_objective_fn residuals, void *user,
                                 const bp_minimize_options *options, bp_found *result) BP_USE;

#ifdef __cplusplus
}
#endif
#endif
