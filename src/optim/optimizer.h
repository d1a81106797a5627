/* The inside of an optimiser. */
#ifndef BPI_OPTIMIZER_H
#define BPI_OPTIMIZER_H

#include "core/recorder.h"
#include "optim/kinds.h"

/* What the optimiser knows of a parameter. */
typedef struct bpi_part {
    bp_group group;
    double factor; /* of its rate, beside the group's: bp_optimizer_fan_in */
    bool own;   /* bp_optimizer_group has set it; else it follows from the options */
    bool taken; /* by a launch of this step */
} bpi_part;

struct bp_optimizer {
    bpi_watched watched; /* by plans: `numbers` */
    bp_params *params;
    bpi_late late;
    const bpi_kind *kind;
    bp_optimizer_kind number;
    bp_tensor *moment[2];           /* flat buffers beside the values */
    bp_tensor *state, *rate, *norm; /* bpi_optimizer_state; two of its numbers */
    bpi_numbers numbers;
    bpi_part *part; /* [params->n] */
};

#endif
