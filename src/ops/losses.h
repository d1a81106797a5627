/* What the files of losses share: losses.c, label_losses.c. */
#ifndef BPI_LOSSES_H
#define BPI_LOSSES_H

#include "ops/rule.h"

bool bpi_reduction_ok(bp_context *ctx, const char *who, bp_reduction how);
/* Losses times weights, which broadcast to them, reduced; the mean is divided by the weights' sum.
 * */
bp_tensor *bpi_weigh(bp_tensor *each, bp_tensor *weights, bp_reduction how);

#endif
