/* The softmax family and normalisations; axes from 0 on or from -1 backwards. Common to all ops:
 * ops.h. */
#ifndef BPCUDA_NORM_H
#define BPCUDA_NORM_H

#include "common.h"

#ifdef __cplusplus
extern "C" {
#endif

/* y = e^x / sum_j e^x_j along an axis, computed without overflow; real, size >= 1. An e^(x - max)
 * near the least normal number, or below, may be 0. A row that holds NaN or +Inf, or -Inf alone, is
 * NaN. dx = y (dy - sum_j dy_j y_j). */
BP_API bp_tensor *bp_softmax(bp_tensor *x, int32_t axis);

/* y = x - ln sum_j e^x_j along an axis, computed without overflow; real, size >= 1. A row that holds
 * NaN or +Inf, or -Inf alone, is NaN. dx = dy - e^y sum_j dy_j. */
BP_API bp_tensor *bp_log_softmax(bp_tensor *x, int32_t axis);

/* y = (x - mean) / sqrt(variance + eps) gain + bias, mean and variance (of N, not N - 1, elements)
 * taken over the last axes of x, whose sizes gain and bias have (Ba, Kiros, Hinton, 2016). Real,
 * one dtype, at least one element along them, eps >= 0. The mean is taken off in two parts, so that
 * x far from 0 keeps its digits; a row that holds NaN or an infinity is NaN, and equal elements
 * give bias where eps > 0. With z for y before gain and bias, and dz = dy gain:
 *     dx = (dz - mean(dz) - z mean(dz z)) / sqrt(variance + eps)
 *     dgain = dy z, dbias = dy, each summed over the other axes */
BP_API bp_tensor *bp_layer_norm(bp_tensor *x, bp_tensor *gain, bp_tensor *bias, double eps);

/* y = x / sqrt(mean(x^2) + eps) gain over the last axes of x, whose sizes gain has (Zhang,
 * Sennrich, 2019): layer_norm without mean and bias. */
BP_API bp_tensor *bp_rms_norm(bp_tensor *x, bp_tensor *gain, double eps);

/* y = (x - mean) / sqrt(variance + eps) over the last `axes` axes: layer_norm without gain and
 * bias. */
BP_API bp_tensor *bp_standardize(bp_tensor *x, int32_t axes, double eps);

/* layer_norm of each of `groups` equal groups of the channels of x [N, C, ...], gain and bias [C]
 * (Wu, He, 2018). groups divides C; C groups are instance norm. */
BP_API bp_tensor *bp_group_norm(bp_tensor *x, int32_t groups, bp_tensor *gain, bp_tensor *bias,
                                double eps);

/* y = (x - mean) / sqrt(variance + eps) gain + bias with the mean and the variance of each column
 * of the batch x [N, C], N >= 2; gain and bias [C], one real dtype, eps >= 0 (Ioffe, Szegedy,
 * 2015). Of an x with more axes, images [N, H, W, C] say, all but the last count rows. For
 * training: *mean and *variance [C] are what running ones are made of, behind the step,
 *     bp_average_into(opt, running_mean, mean, 0.1), and the same with the variance
 * which is the one of N - 1, where y has that of N. They have no gradient; those of x, gain and
 * bias are layer_norm's, with columns for rows. */
BP_API bp_tensor *bp_batch_norm(bp_tensor *x, bp_tensor *gain, bp_tensor *bias, double eps,
                                bp_tensor **mean, bp_tensor **variance);

/* The same with a given mean and variance [C], for prediction: a batch of one row is fine. */
BP_API bp_tensor *bp_batch_norm_with(bp_tensor *x, bp_tensor *gain, bp_tensor *bias,
                                     bp_tensor *mean, bp_tensor *variance, double eps);

#ifdef __cplusplus
}
#endif
#endif
