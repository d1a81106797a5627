/* The run of a recording, as a whole: kernels are called, but where one has left its work
 * (bpi_work, src/door/backend.h), which is run without it. */
#ifndef BPI_CORE_REPLAY_H
#define BPI_CORE_REPLAY_H

#include "core/recorder.h"

void bpi_recording_over(bpi_recording *r); /* after the last call, before the first run */
/* Calls prepare of the kernels that have it: before a device takes the calls as a graph. */
bp_status bpi_recording_prepare(bpi_recording *r);
bp_status bpi_recording_run(bpi_recording *r);
/* Counts what a run has written, by these calls or by a graph of them. */
void bpi_recording_written(const bpi_recording *r);

#endif
