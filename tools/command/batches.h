/* bpcuda inspect batches. */
#ifndef COMMAND_BATCHES_H
#define COMMAND_BATCHES_H

#include "job.h"

bp_status inspect_batches(job *j);

#endif
