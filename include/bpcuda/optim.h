/* Optimisers over a parameter store.
 *
 * A step updates every parameter that a gradient reached, then opens a new gradient window. What is
 * stored stays finite. A step is refused, and changes nothing, when a kernel met a bad index since
 * the step before, or the waiting call that told it (BP_ERR_RANGE), when a gradient is NaN,
 * infinite or too large (for Adam in f32 from 1.3e19 on: v could not hold its square), or when the
 * rate is not from 0 to what the dtype holds (BP_ERR_NONFINITE). A weight that would leave the
 * range of its dtype stays, and a gradient with L1 and L2 that does is cut off, while the others
 * move (BP_ERR_NONFINITE too). The next waiting call says which step, parameter and element it was
 * first, and how many more steps did nothing; the steps after a refused one run. Step count and
 * rate live on the device, so that a recorded step can be replayed. */
#ifndef BPCUDA_OPTIM_H
#define BPCUDA_OPTIM_H

#include "params.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct bp_optimizer bp_optimizer;

/* Adam (Kingma & Ba, 2015), t = 1, 2, ...:
 *     m = b1 m + (1 - b1) g;   v = b2 v + (1 - b2) g^2
 *     w -= lr (m / (1 - b1^t)) / (sqrt(v / (1 - b2^t)) + eps)
 * with b1 = 0.9, b2 = 0.999, eps = 1e-8. */
BP_API bp_status bp_adam_create(bp_params *params, double lr, bp_optimizer **opt) BP_USE;

/* Stochastic gradient descent with momentum mu in [0, 1) (Polyak, 1964):
 *     u = mu u + g;   w -= lr u */
BP_API bp_status bp_sgd_create(bp_params *params, double lr, double momentum,
                               bp_optimizer **opt) BP_USE;

/* Before the store or after it. Plans with its steps then refuse to be replayed. NULL is fine. */
BP_API void bp_optimizer_free(bp_optimizer *opt);

/* Numbers an optimiser takes; each has a range, which it must also keep to in the store's dtype:
 * there an infinity, or a factor of 1, is refused (BP_ERR_ARG). */
typedef int32_t bp_optimizer_option;
enum {
    BP_OPT_LR = 1,         /* > 0; over 1 - b1, for Adam, finite */
    BP_OPT_BETA1 = 2,      /* Adam, [0, 1) */
    BP_OPT_BETA2 = 3,      /* Adam, [0, 1) */
    BP_OPT_EPS = 4,        /* Adam, > 0 */
    BP_OPT_MOMENTUM = 5,   /* SGD, [0, 1) */
    BP_OPT_L1 = 6,         /* adds l1 sign(w) to the gradient of weights; >= 0, 0 at the start */
    BP_OPT_L2 = 7,         /* adds l2 w to the gradient of weights; >= 0, 0 at the start */
    BP_OPT_DECAY_FROM = 8  /* L1 and L2 act from this step on, counted from 1; infinity: never */
};
/* Weights are parameters of rank 2 and more: biases and gains take no L1 or L2. A plan was
 * recorded with all but BP_OPT_LR: its replay names one that is another now. */
BP_API bp_status bp_optimizer_set(bp_optimizer *opt, bp_optimizer_option option,
                                  double value) BP_USE;

/* The rate as a tensor, f64 [], belonging to the optimiser: bp_copy_into() it from a schedule. 0 is
 * fine there. NULL for NULL. */
BP_API bp_tensor *bp_optimizer_rate(bp_optimizer *opt);

/* Steps done so far: waits for the device. */
BP_API bp_status bp_optimizer_steps(bp_optimizer *opt, int64_t *steps) BP_USE;

/* BP_ERR_STATE where the last backward failed or the store was freed. A step that fails for memory
 * has counted nothing. */
BP_API bp_status bp_optimizer_step(bp_optimizer *opt) BP_USE;

/* average += rate (x - average), rate in [0, 1], where the optimiser's last step was taken; nothing
 * where it was refused, so call it behind the step: running statistics (bp_batch_norm), means of
 * weights. Equal shapes and real dtypes, `average` packed; x counts as a constant. A part of a plan
 * like the step itself. */
BP_API bp_status bp_average_into(bp_optimizer *opt, bp_tensor *average, bp_tensor *x,
                                 double rate) BP_USE;

#ifdef __cplusplus
}
#endif
#endif
