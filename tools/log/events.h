/* Event files, as TensorBoard reads them: a folder a run, the scalars loss/train, loss/valid,
 * accuracy/train, accuracy/valid, rate and samples_per_second by the number of the step.
 *
 * A file is records: u64 length, its masked CRC-32C, the bytes, theirs; little-endian. The bytes
 * are a protocol buffer:
 *     Event {double wall_time = 1; int64 step = 2; string file_version = 3; Summary summary = 5}
 *     Summary {repeated Value {string tag = 1; float simple_value = 2} value = 1} */
#ifndef LOG_EVENTS_H
#define LOG_EVENTS_H

#include "log/run_log.h"

typedef struct events {
    FILE *file; /* NULL: none is open */
    char path[4096];
} events;

/* A new file in the folder, which is made where it is not there. */
bool events_open(events *e, const char *folder, char *text);
bool events_point(events *e, const run_point *p, char *text);
bool events_close(events *e, char *text); /* nothing where none is open */

#endif
