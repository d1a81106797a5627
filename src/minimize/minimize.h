/* What minimisers share: a store's parameters as one vector, the function of the user's at it, and
 * what is told (problem.c); small dense systems (dense.c). lbfgs.c, levenberg.c and gauss_newton.c
 * follow gradients; curvature.c looks at second derivatives; evolve.c draws and evaluates
 * candidates for cma.c and one_plus.c. */
#ifndef BPI_MINIMIZE_H
#define BPI_MINIMIZE_H

#include <stdbool.h>

#include "bpcuda/bpcuda.h"
#include "core/error.h"
#include "core/memory.h"

/* --- host memory of a call, freed however the call ends ------------------------------------- */

typedef struct bpi_room {
    bp_context *ctx;
    void *p;
    size_t bytes, used;
} bpi_room;
#define BPI_ROOM(name) __attribute__((cleanup(bpi_room_free))) bpi_room name = {NULL, NULL, 0, 0}
void bpi_room_free(bpi_room *room);
bp_status bpi_room_take(bpi_room *room, bp_context *ctx, const char *who, double bytes);
double *bpi_room_part(bpi_room *room, int64_t n); /* the next n doubles of it, zero */

/* --- the problem ---------------------------------------------------------------------------- */

enum { BPI_PARTS_MAX = 64 };

typedef struct bpi_problem {
    bp_context *ctx;
    const char *who;
    bp_params *params;
    bp_objective_fn f;
    void *user;
    bp_found_fn each;
    void *each_user;
    bp_found now;
    double tolerance[3]; /* gradient, value, step */
    bpi_room room;
    int64_t n;        /* numbers of the parameters that are not frozen */
    int64_t m;        /* residuals; 0: not known yet */
    int32_t parts;    /* the parameters */
    bp_tensor **part; /* [parts] */
    int32_t *place;   /* [parts], in the store */
    void *packed;     /* the largest of them, in the store's dtype */
    /* of an evaluation */
    double value, *gradient;
    bp_status st;     /* also of one whose scope the function has ended */
} bpi_problem;

#define BPI_PROBLEM(name) __attribute__((cleanup(bpi_problem_free))) bpi_problem name = {0}
void bpi_problem_free(bpi_problem *p);
/* Nothing is under way in the context that a minimiser could be in the middle of. */
bp_status bpi_minimize_ready(bp_context *ctx, const char *who);
/* Sets all of p that has no default; `who` is a literal. */
bp_status bpi_problem_open(bpi_problem *p, const char *who, bp_params *params, bp_objective_fn f,
                           void *user);
bp_status bpi_problem_read(bpi_problem *p, double *x);
bp_status bpi_problem_write(bpi_problem *p, const double *x);
/* x as tensors of the innermost scope, of the parameters' shapes and dtype. */
bp_status bpi_problem_vectors(bpi_problem *p, const double *x, bp_tensor **v);
/* The user's function, in a scope: a real tensor; one of one element; one as a row [m], of which
 * p->value is half the sum of squares. */
bp_status bpi_problem_call(bpi_problem *p, bp_tensor **y);
bp_status bpi_problem_number(bpi_problem *p, bp_tensor **y);
bp_status bpi_problem_residuals(bpi_problem *p, bp_tensor **r);
/* A step in a scope, recorded, as the function may take derivatives itself; it sets p->st. */
bp_status bpi_problem_run(bpi_problem *p, bp_step_fn step, void *state);
/* Not more parameters than a derivative by all of them takes. */
bp_status bpi_problem_few_parts(const bpi_problem *p);
/* p->value at x, and p->gradient unless it is NULL. */
bp_status bpi_problem_at(bpi_problem *p, const double *x);
/* BP_ERR_NONFINITE: the value, at `where`. */
bp_status bpi_not_finite(bp_context *ctx, const char *who, const char *where, double value);
/* p->each. */
bp_status bpi_tell(bpi_problem *p);
/* The end of a call: `now` becomes the user's result, which may be NULL. */
bp_status bpi_ended(bpi_problem *p, bp_status st, bp_found *result);

/* A call that follows gradients: opens a problem, calls minimise, and tells the result. There x
 * goes from the store and, however it ends, back to it; begin() looks at it, and iterate() changes
 * it to a better one until now.stop says why not. `usual`: the tolerances gradient, value, step. */
typedef bp_status (*bpi_minimise_fn)(bpi_problem *p, const bp_minimize_options *o);
bp_status bpi_minimise(const char *who, bpi_minimise_fn minimise, const double usual[3],
                       bp_params *params, bp_objective_fn f, const char *f_name, void *user,
                       const bp_minimize_options *given, bp_found *result);
bp_status bpi_descend(bpi_problem *p, double *x, bp_status (*begin)(void *state),
                      bp_status (*iterate)(void *state), void *state);

/* Options of the user's into `ours`, which has the defaults' zeros. */
bp_status bpi_options(bp_context *ctx, const char *who, void *ours, size_t our_bytes,
                      const void *given);
/* The number that 0 stands for; -1: a tolerance that is not looked at. BP_ERR_ARG: not a number. */
bp_status bpi_tolerance(bp_context *ctx, const char *who, const char *name, double given,
                        double usual, double *tolerance);

/* --- small dense systems (dense.c) ---------------------------------------------------------- */

/* Lower triangle of l, which may be a: l l^T = a [n,n]. false where a is not positive definite. */
bool bpi_cholesky(const double *a, double *l, int64_t n);
void bpi_cholesky_forward(const double *l, double *x, int64_t n); /* x := l^-1 x */
void bpi_cholesky_solve(const double *l, double *x, int64_t n); /* x := (l l^T)^-1 x */
/* Eigenvalues of the symmetric a [n,n], ascending, into w[n]; a and off[n] are overwritten. */
void bpi_eigenvalues(double *a, int64_t n, double *w, double *off);
double bpi_dot(const double *a, const double *b, int64_t n);

#endif
