/* Losses. Common to all ops: ops.h. */
#ifndef BPCUDA_LOSS_H
#define BPCUDA_LOSS_H

#include "common.h"

#ifdef __cplusplus
extern "C" {
#endif

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

#ifdef __cplusplus
}
#endif
#endif
