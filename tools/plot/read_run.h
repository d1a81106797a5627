/* The log of a run (log/run_log.h), read: a point an epoch. */
#ifndef PLOT_READ_RUN_H
#define PLOT_READ_RUN_H

#include "log/run_log.h"

typedef struct run {
    char *name;  /* the path without its ending */
    char *about; /* data, layers, device, seed: as far as the log tells; "" */
    bool nats;   /* the loss is one of classes or labels */
    run_point *points; /* in the order of their epochs, each once; NaN where there is no number */
    int64_t n, capacity;
} run;

/* Reads n logs. The last line may be cut, and so may one before a run that goes on; of anything
 * else that is no such log the file and the line are named. */
bool runs_read(const char *const *paths, int n, run **runs, char *text);
void runs_free(run *runs, int n); /* NULL is fine */

/* The curves of a point that are drawn, NaN where it has none. */
enum { CURVE_LOSS, CURVE_VALID_LOSS, CURVE_ACCURACY, CURVE_VALID_ACCURACY, CURVE_LR, CURVES };
double run_value(const run_point *p, int curve);

/* Whether a curve has a finite number in it, and the range of them, widened from *low and *high. */
bool run_range(const run *r, int curve, double *low, double *high);

/* The range of a panel, of one curve and perhaps a second (-1: none), over all runs; false: there
 * is nothing to be drawn. As a logarithm where it is positive and more than a decade, but for
 * shares. */
typedef struct run_panel {
    double low, high;
    bool log;
} run_panel;
bool runs_panel(const run *runs, int n, int first, int second, run_panel *panel);

#endif
