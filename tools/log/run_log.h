/* The log of a run: JSON lines, flushed one by one, so that a run which is killed loses none.
 *
 *     {"run": {"version": "0.1.0", "time": 1764460000.1, "data": "digits", ...}}
 *     {"time": 1764460000.2, "epoch": 1, "step": 23, "loss": 0.9, "lr": 0.005, ...}
 *     {"result": {"test_accuracy": 0.979, ...}}
 *
 * A key that does not apply is absent. A run that goes on in the same file begins with another
 * "run"; of an epoch that is there twice, the last line counts. */
#ifndef LOG_RUN_LOG_H
#define LOG_RUN_LOG_H

#include <stdint.h>

#include "bpcuda/bpcuda.h"
#include "command/json.h"
#include "log/fault.h"

/* What is known when an epoch is finished: for this log, for events.h, and of a log read again. */
typedef struct run_point {
    double time; /* seconds since 1970 */
    int64_t epoch, step;
    double loss, accuracy, valid_loss, valid_accuracy, lr, samples_per_second;
    bool has_accuracy, has_valid; /* a task of classes or labels; data that validate */
} run_point;

double run_clock(void); /* now, as run_point.time */
run_point run_point_of(const bp_progress *p, bool has_accuracy, bool has_valid,
                       double samples_per_second);

typedef struct run_log {
    FILE *file; /* NULL: none is open */
    const char *path;
    bool created, fresh; /* by this run; what was there goes when the first line comes */
    json line;
} run_log;

/* Opens what the path names, to be written anew or to be added to. What was there stays until the
 * first line is written, and behind a line that was cut a new one begins. The path must outlive the
 * log. */
bool run_log_open(run_log *log, const char *path, bool append, char *text);

/* A line {"NAME": {...}}, with what is written between by json_text and json_number. */
json *run_log_begin(run_log *log, const char *name);
bool run_log_end(run_log *log, char *text);

bool run_log_point(run_log *log, const run_point *p, char *text);

/* A file that got no line is not left behind. Nothing where none is open. */
bool run_log_close(run_log *log, char *text);

#endif
