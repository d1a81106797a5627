/* Losses. Common to all ops: ops.h. */
#ifndef BPCUDA_LOSS_H
#define BPCUDA_LOSS_H

#include "common.h"

#ifdef __cplusplus
extern "C" {
#endif

/* --- what many share ------------------------------------------------------------------------- */

/* Of the losses of elements, or of rows: each of them, their sum, or their mean, which is NaN where
 * there are none. Every loss with a bp_reduction gives real [], or with BP_EACH one for each. Its
 * operands are real, of one dtype, and of equal shapes: nothing broadcasts unless it says so. */
typedef enum bp_reduction {
    BP_EACH = 0,
    BP_SUM = 1,
    BP_MEAN = 2
} bp_reduction;

/* each times weights, reduced: bp_weighted_loss(bp_mse_loss(x, t, BP_EACH), w, BP_MEAN). The
 * weights are a number a row [N], or have the sizes of any first axes of `each`, or 1; the mean is
 * divided by their sum over all losses, and NaN where that is 0. Gradients to both. */
BP_API bp_tensor *bp_weighted_loss(bp_tensor *each, bp_tensor *weights, bp_reduction how);

/* --- of elements: x what is predicted, t the target, gradients to both ----------------------- */

BP_API bp_tensor *bp_mse_loss(bp_tensor *x, bp_tensor *t, bp_reduction how); /* (x - t)^2 */
/* |x - t|; dx = dy sign(x - t), 0 where they are equal or one is NaN. */
BP_API bp_tensor *bp_l1_loss(bp_tensor *x, bp_tensor *t, bp_reduction how);
/* With d = x - t: d^2 / 2 up to |d| = delta, then delta (|d| - delta / 2), delta > 0 (Huber,
 * 1964); the same over delta, and |d| for 0 (Girshick, 2015). dx = dy c, dy c / beta, c = d held
 * between -delta and delta. */
BP_API bp_tensor *bp_huber_loss(bp_tensor *x, bp_tensor *t, double delta, bp_reduction how);
BP_API bp_tensor *bp_smooth_l1_loss(bp_tensor *x, bp_tensor *t, double beta, bp_reduction how);

/* max(0, margin - t x) for t of -1 and 1, usually with a margin of 1; dx = -dy t where it is above
 * 0. */
BP_API bp_tensor *bp_hinge_loss(bp_tensor *x, bp_tensor *t, double margin, bp_reduction how);

/* -t ln sigmoid(x) - (1 - t) ln(1 - sigmoid(x)), of logits x and t in [0, 1]; all digits for any
 * finite x and t in [0, 1]; NaN at an infinite x whose t makes the loss 0, as in PyTorch.
 * dx = dy ((1 - t) sigmoid(x) - t sigmoid(-x)), dt = -dy x. _weighted: the first term times
 * `positive`, which broadcasts to x. */
BP_API bp_tensor *bp_binary_cross_entropy(bp_tensor *x, bp_tensor *t, bp_reduction how);
BP_API bp_tensor *bp_binary_cross_entropy_weighted(bp_tensor *x, bp_tensor *t, bp_tensor *positive,
                                                   bp_reduction how);

/* t (ln t - x) of probabilities t and of x, the logarithms of others: terms of the divergence of
 * Kullback and Leibler (1951), which is their BP_SUM over the rows (BP_MEAN divides by elements).
 * Where t is 0 it is 0, and dt = -dy x. _log: of the logarithms of both, e^t (t - x). dx = -dy t,
 * -dy e^t. */
BP_API bp_tensor *bp_kl_div_loss(bp_tensor *x, bp_tensor *t, bp_reduction how);
BP_API bp_tensor *bp_kl_div_log_loss(bp_tensor *x, bp_tensor *t, bp_reduction how);

/* Of a count t under a Poisson distribution, without ln t!: e^x - t x with x the logarithm of its
 * rate; x - t ln(x + eps) with x the rate, eps >= 0 (PyTorch's is 1e-8). */
BP_API bp_tensor *bp_poisson_nll_loss(bp_tensor *x, bp_tensor *t, bp_reduction how);
BP_API bp_tensor *bp_poisson_rate_nll_loss(bp_tensor *x, bp_tensor *t, double eps,
                                           bp_reduction how);

/* (ln v + (x - t)^2 / v) / 2, of t under a normal distribution of mean x, v = max(variance, eps),
 * eps > 0 (PyTorch's is 1e-6), without ln(2 pi) / 2. dvariance is dv, also below eps. */
BP_API bp_tensor *bp_gaussian_nll_loss(bp_tensor *x, bp_tensor *t, bp_tensor *variance, double eps,
                                       bp_reduction how);

/* --- of rows --------------------------------------------------------------------------------- */

/* a, b [N, D], t [N]: 1 - cos where t > 0 (1 is meant), else max(0, cos - margin) (-1); cos the
 * cosine of the angle of a row of a and one of b, whose squared lengths get 1e-12 more. t has no
 * gradient. */
BP_API bp_tensor *bp_cosine_embedding_loss(bp_tensor *a, bp_tensor *b, bp_tensor *t, double margin,
                                           bp_reduction how);

/* max(0, |a - p| - |a - n| + margin) of rows of anchor, positive and negative [N, D]; 1e-6 is
 * added to each difference, as in PyTorch. The gradient of a length of 0 is 0. */
BP_API bp_tensor *bp_triplet_margin_loss(bp_tensor *anchor, bp_tensor *positive,
                                         bp_tensor *negative, double margin, bp_reduction how);

/* --- of labels ------------------------------------------------------------------------------- */

/* loss = -1/N sum_i logp[i, labels[i]]: logp real [N, C], labels i32 [N], N >= 1 -> [].
 * dlogp = nll_spread(dy, labels, C). A label outside [0, C) contributes 0 and is BP_ERR_RANGE. */
BP_API bp_tensor *bp_nll_loss(bp_tensor *logp, bp_tensor *labels);

/* y[i, j] = -s / N where j = labels[i], else 0: s real [], labels i32 [N] -> [N, classes]: the
 * gradient of bp_nll_loss. ds = nll_loss(dy, labels). */
BP_API bp_tensor *bp_nll_spread(bp_tensor *s, bp_tensor *labels, int64_t classes);

/* nll_loss(log_softmax(logits, 1), labels) in one pass over logits [N, C], which also makes the
 * gradient dlogits = dy (softmax(logits) - onehot(labels)) / N when one is asked for. */
BP_API bp_tensor *bp_cross_entropy(bp_tensor *logits, bp_tensor *labels);

/* The same, and *correct, real []: rows whose largest logit (the first of equals) is the label's;
 * in f32 exact up to 2^24 rows. *correct has no gradient. */
BP_API bp_tensor *bp_cross_entropy_correct(bp_tensor *logits, bp_tensor *labels,
                                           bp_tensor **correct);

/* logp or logits [N, C, ...], labels i32 [N, ...] -> real [], or with BP_EACH [N, ...]; the
 * classes are axis 1. A label that is `ignored` (-100 in PyTorch; -1 where none is) has loss 0, no
 * gradient and no part in the mean. With smoothing s in [0, 1] a label counts 1 - s, and each
 * class s / C more (Szegedy et al., 2016). _weighted: weights [C]; a label's term times its
 * weight, and the mean is divided by the weights of the labels; smoothed, each class has its own.
 * Where every label is ignored the mean is NaN. Gradients to logp, logits and weights; other
 * labels outside [0, C) are BP_ERR_RANGE at the next waiting call. Logits whose classes are
 * neighbours in memory ([N, C], or a permuted [N, ..., C]) are read once forward and once backward;
 * bp_cross_entropy is still the faster form of what it can do. */
BP_API bp_tensor *bp_nll_loss_with(bp_tensor *logp, bp_tensor *labels, int32_t ignored,
                                   bp_reduction how);
BP_API bp_tensor *bp_nll_loss_weighted(bp_tensor *logp, bp_tensor *labels, bp_tensor *weights,
                                       int32_t ignored, bp_reduction how);
BP_API bp_tensor *bp_cross_entropy_with(bp_tensor *logits, bp_tensor *labels, double smoothing,
                                        int32_t ignored, bp_reduction how);
BP_API bp_tensor *bp_cross_entropy_weighted(bp_tensor *logits, bp_tensor *labels,
                                            bp_tensor *weights, double smoothing, int32_t ignored,
                                            bp_reduction how);

/* -sum_c targets[i, c] log_softmax(logits)[i, c]: both [N, C, ...] -> a loss for each [N, ...],
 * reduced. dlogits = dy (softmax(logits) sum_c targets - targets), dtargets = -dy
 * log_softmax(logits). Class weights and smoothing belong to the targets. */
BP_API bp_tensor *bp_cross_entropy_soft(bp_tensor *logits, bp_tensor *targets, bp_reduction how);

#ifdef __cplusplus
}
#endif
#endif
