/* Plans, as loops inside the library use them. */
#ifndef BPI_CORE_PLAN_H
#define BPI_CORE_PLAN_H

#include <stdbool.h>

#include "bpcuda/plan.h"

/* Whether a replay would still do what the step would do: if not, a loop of the library drops the
 * plan and records anew. */
bool bpi_plan_holds(const bp_plan *plan);

#endif
