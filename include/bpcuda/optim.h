/* Optimisers over a parameter store.
 *
 * A step updates every parameter that a gradient reached, then opens a new gradient window. What is
 * stored stays finite. A step is refused, and changes nothing, when a kernel met a bad index since
 * the step before, or the waiting call that told it (BP_ERR_RANGE), when a gradient is NaN,
 * infinite or too large (where squares are kept, in f32 from 1.3e19 on: v could not hold its
 * square; unless it is clipped first), or when the rate is not from 0 to what the dtype holds
 * (BP_ERR_NONFINITE). A weight that would leave the range of its dtype stays, and a gradient with
 * L1 and L2 that does is cut off, while the others move (BP_ERR_NONFINITE too). The next waiting
 * call says which step, parameter and element it was first, and how many more steps did nothing;
 * the steps after a refused one run. Step count and rate live on the device, so that a recorded
 * step can be replayed. */
#ifndef BPCUDA_OPTIM_H
#define BPCUDA_OPTIM_H

#include "params.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct bp_optimizer bp_optimizer; /* rules, moments and rate of a store */

/* Each weight w and its gradient g, at step t = 1, 2, ... with the rate lr; moments begin at 0:
 *
 *     SGD       u = mu u + g;   w -= lr u                              mu = 0     (Polyak, 1964)
 *     Nesterov  u = mu u + g;   w -= lr (g + mu u)                     mu = 0.9
 *                                             (Nesterov, 1983, as Sutskever et al., 2013, put it)
 *     Adam      m = b1 m + (1 - b1) g;   v = b2 v + (1 - b2) g^2
 *               w -= lr (m / (1 - b1^t)) / (sqrt(v / (1 - b2^t)) + eps)
 *                                    b1 = 0.9, b2 = 0.999, eps = 1e-8   (Kingma & Ba, 2015)
 *     AdamW     the same with a weight decay of 0.01                (Loshchilov & Hutter, 2019)
 *     RMSProp   v = alpha v + (1 - alpha) g^2;   w -= lr g / (sqrt(v) + eps)
 *                                    alpha = 0.99, eps = 1e-8       (Tieleman & Hinton, 2012)
 *     Adagrad   v += g^2;   w -= lr g / (sqrt(v) + eps)         eps = 1e-10
 *                                    v stays at the largest number  (Duchi, Hazan, Singer, 2011)
 *     Lion      w -= lr sign(b1 m + (1 - b1) g);   m = b2 m + (1 - b2) g
 *                                    b1 = 0.9, b2 = 0.99            (Chen et al., 2023)
 *     diagonal-lm  w -= lr g / (h + eps)                        eps = 0.1, LeCun's mu
 *                                    h >= 0 is a mean of second derivatives, which
 *                                    bp_model_diagonal measures; 0 at first
 *                                    (LeCun, Bottou, Orr, Mueller, "Efficient BackProp", 1998)
 *
 * g comes to it in this order: clipped by value, clipped by norm, with L1 and L2 added. Before the
 * update, w -= lr decay w. */
typedef int32_t bp_optimizer_kind;
enum {
    BP_SGD = 1,
    BP_NESTEROV = 2,
    BP_ADAM = 3,
    BP_ADAMW = 4,
    BP_RMSPROP = 5,
    BP_ADAGRAD = 6,
    BP_LION = 7,
    BP_DIAGONAL_LM = 8
};

/* An optimiser of all parameters of a store, which it closes (params.h), at step 0, with the
 * numbers above where none are given: lr > 0, momentum in [0, 1) (BP_ERR_ARG). Yours to free. Not
 * while a plan is recorded. */
BP_API bp_status bp_optimizer_create(bp_params *params, bp_optimizer_kind kind, double lr,
                                     bp_optimizer **opt) BP_USE;
BP_API bp_status bp_adam_create(bp_params *params, double lr, bp_optimizer **opt) BP_USE;
BP_API bp_status bp_sgd_create(bp_params *params, double lr, double momentum,
                               bp_optimizer **opt) BP_USE;

/* "sgd", "nesterov", "adam", ...; "?" for none of them. The kind of an optimiser, 0 for NULL. */
BP_API const char *bp_optimizer_name(bp_optimizer_kind kind);
BP_API bp_optimizer_kind bp_optimizer_kind_of(const bp_optimizer *opt);

/* Frees it, before the store or after it. Plans with its steps then refuse to be replayed. NULL is
 * fine. */
BP_API void bp_optimizer_free(bp_optimizer *opt);

/* Numbers an optimiser takes; each has a range, which it must also keep to in the store's dtype:
 * there an infinity, or a factor of 1, is refused (BP_ERR_ARG). */
typedef int32_t bp_optimizer_option;
enum {
    BP_OPT_LR = 1,           /* > 0; over 1 - b1, for Adam, finite */
    BP_OPT_BETA1 = 2,        /* Adam, AdamW, Lion, [0, 1) */
    BP_OPT_BETA2 = 3,        /* Adam, AdamW, Lion, [0, 1) */
    BP_OPT_EPS = 4,          /* Adam, AdamW, RMSProp, Adagrad, diagonal-lm, > 0 */
    BP_OPT_MOMENTUM = 5,     /* SGD, Nesterov, [0, 1) */
    BP_OPT_L1 = 6,           /* adds l1 sign(w) to the gradient of weights; >= 0, 0 at the start */
    BP_OPT_L2 = 7,           /* adds l2 w to the gradient of weights; >= 0, 0 at the start */
    BP_OPT_DECAY_FROM = 8,   /* L1, L2 and decay act from this step on, from 1; infinity: never */
    BP_OPT_WEIGHT_DECAY = 9, /* takes lr decay w from weights themselves; >= 0 */
    BP_OPT_CLIP_VALUE = 10,  /* holds each gradient in [-c, c]; 0: off, as at the start */
    BP_OPT_CLIP_NORM = 11,   /* scales all gradients by min(1, c / norm); 0: off, as at the start */
    BP_OPT_ALPHA = 12        /* RMSProp, [0, 1) */
};
/* Sets one. Weights are parameters of rank 2 and more: biases and gains take no L1, L2 or decay. A
 * plan was recorded with all but BP_OPT_LR: its replay names one that is another now. */
BP_API bp_status bp_optimizer_set(bp_optimizer *opt, bp_optimizer_option option,
                                  double value) BP_USE;

/* What the parameters that match a pattern ('*' and '?') take instead of the options of the
 * optimiser, whatever their rank: L1, L2, weight decay as above, and lr times `rate`. */
typedef struct bp_group {
    double rate; /* > 0 */
    double l1, l2, weight_decay; /* 0 or more */
} bp_group;

/* Of groups that a parameter was in, the last one counts. BP_ERR_ARG where nothing matches, or a
 * number is out of range. Plans with its steps then refuse to be replayed. Parameters of equal
 * numbers are updated by one launch, wherever they lie. For C and C++ the second form says the
 * size. */
BP_API bp_status bp_optimizer_group_of(bp_optimizer *opt, const char *pattern,
                                       const bp_group *group, size_t struct_bytes) BP_USE;
static inline bp_status bp_optimizer_group(bp_optimizer *opt, const char *pattern,
                                           const bp_group *group)
{
    return bp_optimizer_group_of(opt, pattern, group, sizeof *group);
}

/* Rates of layers: each parameter's rate, that of its group too, times n^power, n being the inputs
 * of one of its units: the product of all sizes but the first, of biases and gains that of the
 * weight declared before them under the same name up to its last '.', else none: times 1. The
 * factors are divided by their geometric mean over the weights, so that the rate stays what it is
 * for the mean layer. power is in [-1, 1] (BP_ERR_ARG), and 0 takes factors back. "Efficient
 * BackProp" (1998, 4.7) has rates in proportion to the root of the inputs, 0.5, so that layers
 * learn at one speed; before it 1 over them was advised (Plaut, Hinton, 1987). Plans with its steps
 * then refuse to be replayed. */
BP_API bp_status bp_optimizer_fan_in(bp_optimizer *opt, double power) BP_USE;

/* The rate as a tensor, f64 [], belonging to the optimiser: bp_copy_into() it from a schedule. 0 is
 * fine there. NULL for NULL. */
BP_API bp_tensor *bp_optimizer_rate(bp_optimizer *opt);

/* The norm of all gradients of the last step that was taken, clipped by value but not by norm
 * (Pascanu, Mikolov, Bengio, 2013): the root of the sum of their squares, in f64, in a fixed order.
 * f64 [], belonging to the optimiser; 0 without BP_OPT_CLIP_NORM, of which infinity clips nothing.
 * NULL for NULL. */
BP_API bp_tensor *bp_optimizer_norm(bp_optimizer *opt);

/* Steps done so far: waits for the device. */
BP_API bp_status bp_optimizer_steps(bp_optimizer *opt, int64_t *steps) BP_USE;

/* A step, as above. BP_ERR_STATE where the last backward failed or the store was freed. A step that
 * fails for memory has counted nothing. */
BP_API bp_status bp_optimizer_step(bp_optimizer *opt) BP_USE;

/* average += rate (x - average), rate in [0, 1], where the optimiser's last step was taken; nothing
 * where it was refused, so call it behind the step: running statistics (bp_batch_norm), means of
 * weights. Equal shapes and real dtypes, `average` packed; x counts as a constant. A part of a plan
 * like the step itself. */
BP_API bp_status bp_average_into(bp_optimizer *opt, bp_tensor *average, bp_tensor *x,
                                 double rate) BP_USE;

/* Holds the norm of the weights that come into a unit, of each row of a weight of rank 2 and more,
 * a filter of a convolution say: w <- w most / |w| where |w| > most (but for 1e-5 of it, so that
 * what is within stays as it is). Behind a step, of parameters that match the pattern and are not
 * frozen; a part of a plan like the step. 0 < most <= 1e15. (Srebro, Shraibman, Rank, trace-norm and
 * max-norm, 2005; with dropout, whose rates can be larger then: Srivastava et al., 2014, 5.1.) */
BP_API bp_status bp_max_norm(bp_params *params, const char *pattern, double most) BP_USE;

#ifdef __cplusplus
}
#endif
#endif
