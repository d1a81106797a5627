/* A run as it is written down, an epoch a line: --log, --tensorboard. */
#ifndef COMMAND_DIARY_H
#define COMMAND_DIARY_H

#include "job.h"
#include "log/events.h"

typedef struct diary {
    job *j;
    run_log log;   /* its file is NULL where there is none, and so is that of events */
    events events;
    int64_t epoch; /* the last one that is finished, and when it was */
    double time;
} diary;

/* Opens what the options name, writes what run it is, and listens to the trainer, where there is
 * one, which has not run a step. */
bp_status diary_open(diary *d);
/* Behind each epoch. */
void diary_epoch(diary *d, const bp_progress *p);
/* The line that was begun is written. What cannot be written is told once, and lost (job.h). */
void diary_line_ends(diary *d);
void diary_close(diary *d);

#endif
