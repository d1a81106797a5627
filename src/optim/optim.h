/* What the trainer sees of optimisers and schedules beside their public calls: what a checkpoint
 * holds of them, and what second derivatives are kept in. */
#ifndef BPI_OPTIM_H
#define BPI_OPTIM_H

#include "bpcuda/bpcuda.h"

enum { BPI_OPTIMIZER_TENSORS = 4 }; /* the most that one has */

/* Step count and rate, then the moments, flat as the store is; their names. How many. */
int32_t bpi_optimizer_tensors(bp_optimizer *opt, bp_tensor **tensor, const char **name);
bp_params *bpi_optimizer_params(const bp_optimizer *opt);
/* bp_optimizer_fan_in, a unit's inputs counting places[i] times; NULL: once. */
bp_status bpi_optimizer_fan_in(bp_optimizer *opt, const double *places, double power);
/* Parameter i's part of a moment, a view of the innermost scope; NULL: no memory. */
bp_tensor *bpi_optimizer_moment(bp_optimizer *opt, int which, int32_t i);

/* What a schedule knows beside its text: of `plateau`. */
typedef struct bpi_schedule_state {
    double best, factor;
    int64_t bad, told; /* epochs: no better than the best, in a row; all that were told */
} bpi_schedule_state;

/* To be read, and to be set when a run goes on. */
bpi_schedule_state *bpi_schedule_state_of(bp_schedule *schedule);
bp_context *bpi_schedule_context(const bp_schedule *schedule);

#endif
