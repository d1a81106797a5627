/* What a person sees of a run, on stderr: a bar that moves in one line of a terminal; elsewhere, at
 * most twenty lines. */
#ifndef COMMAND_BAR_H
#define COMMAND_BAR_H

#include "job.h"

typedef struct bar {
    bool terminal, colour, unicode, silent;
    bool classes;  /* an accuracy is told */
    bool validates;
    int64_t epochs, rows; /* of the run; of an epoch */
    int64_t told;  /* the last epoch that was told in a line */
    double started, before; /* seconds of the run when it was started; spent before it was resumed */
} bar;

bar bar_begin(const job *j, const bp_progress *p);
void bar_show(bar *b, const bp_progress *p);
void bar_end(bar *b); /* the line is cleared */

#endif
