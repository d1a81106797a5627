/* Minimising a function without its gradient, by evolution: of a store's parameters through ops
 * that may have none (bp_threshold), or of numbers of the host's through any function of the
 * host's.
 *
 * Draws are functions of seed, generation, candidate and coordinate alone (Philox), so that a call
 * gives the same bits for any number of threads; the context's random stream is not used. Over a
 * store candidates are evaluated one by one, in scopes with BP_NO_GRAD, and each op uses the
 * threads; a function of the host's is called for candidates side by side.
 *
 * A value of INFINITY refuses a candidate, and NaN or -INFINITY ends the call: BP_ERR_NONFINITE.
 * The best so far is kept, in the store or in x, however a call ends. Else as minimize.h: user and
 * options may be NULL, and so may result. */
#ifndef BPCUDA_EVOLVE_H
#define BPCUDA_EVOLVE_H

#include "minimize.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The value at x[n]. It is called on any thread, several at once, in the library's floating-point
 * state; it calls nothing of the context, and returns. */
typedef double (*bp_cost_fn)(void *user, const double *x, int64_t n);

/* What is 0 is as said; a tolerance below 0 is not looked at. */
typedef struct bp_evolve_options {
    size_t struct_bytes; /* sizeof(bp_evolve_options) */
    double deviation;    /* of the first draws, above 0; 0: 0.3 */
    int64_t population;  /* candidates a generation, up to 65,536; 0: 4 + 3 ln n */
    int64_t evaluations; /* at most; 0: 10,000 n. A generation is not cut */
    uint64_t seed;       /* of the draws */
    double target;       /* where there is one: a value from which on it is good enough */
    int32_t has_target;  /* 1: there is a target */
    int32_t restarts;    /* of bp_cma_es, each with twice the candidates */
    double value;        /* of bp_cma_es: between the last generations' values; 0: 1e-11 */
    double step;         /* deviations of all coordinates below this share of the first; 0: 1e-11 */
    bp_found_fn each;    /* after each generation; NULL: none */
    void *user;          /* of each */
} bp_evolve_options;

/* CMA-ES, with negative weights (Hansen, "The CMA Evolution Strategy: A Tutorial", 2016, figure 6
 * and table 1). It draws with the Cholesky factor of the covariance instead of its root, also in
 * the path of the step (Krause, Arbones, Igel, 2016). Full up to 2,000 numbers, in 16 n^2 bytes;
 * above that the covariance is a diagonal (Ros, Hansen, 2008). At least 4 candidates. Restarts
 * with twice the population, from where it began (Auger, Hansen, 2005), until the target, the
 * limit or their number is reached; the reason told is the last one's. */
BP_API bp_status bp_cma_es(bp_params *params, bp_objective_fn loss, void *user,
                           const bp_evolve_options *options, bp_found *result) BP_USE;
BP_API bp_status bp_cma_es_host(bp_context *ctx, bp_cost_fn cost, void *user, double *x, int64_t n,
                                const bp_evolve_options *options, bp_found *result) BP_USE;

/* (1+lambda)-ES: the best of the parent and its children, which are normal around it, with one
 * deviation that grows where they succeed more often than 1 in 5 + sqrt(lambda) / 2 and shrinks
 * where less (Rechenberg, 1973; Igel, Hansen, Roth, 2007, table 1). A child as good as the parent
 * replaces it. For plateaus, noise-free games, and where n^2 is too much. */
BP_API bp_status bp_es(bp_params *params, bp_objective_fn loss, void *user,
                       const bp_evolve_options *options, bp_found *result) BP_USE;
BP_API bp_status bp_es_host(bp_context *ctx, bp_cost_fn cost, void *user, double *x, int64_t n,
                            const bp_evolve_options *options, bp_found *result) BP_USE;

#ifdef __cplusplus
}
#endif
#endif
