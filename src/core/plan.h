/* Plans, as loops inside the library use them. */
#ifndef BPI_CORE_PLAN_H
#define BPI_CORE_PLAN_H

#include <stdbool.h>

#include "bpcuda/plan.h"

/* Whether a replay would still do what the step would do: if not, a loop of the library drops the
 * plan and records anew. */
bool bpi_plan_holds(const bp_plan *plan);
/* Whether one could be recorded, or replayed, now: outside any scope. */
bool bpi_plan_possible(const bp_context *ctx);
/* bp_plan_record of a step in a scope without gradients, of which no optimiser is a part: a replay
 * leaves the random stream where it is, and follows from no store's gradients. */
bp_status bpi_plan_record_still(bp_context *ctx, bp_step_fn step, void *user, bp_plan **plan);

#endif
