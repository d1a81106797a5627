/* What the commands work with, and what they share. Each is a function of a job; what it leaves is
 * freed at the end, whatever happened. */
#ifndef COMMAND_JOB_H
#define COMMAND_JOB_H

#include "line.h"

#define TRY(expr)                    \
    do {                             \
        bp_status try_st_ = (expr);  \
        if (try_st_ != BP_OK)        \
            return try_st_;          \
    } while (0)

typedef struct job {
    const settings *set;
    bp_context *ctx;
    bp_data *train, *valid, *test;
    bp_model *model;
    bp_trainer *trainer;
    double seed; /* of weights, dropout and order: --seed, or that of a member of an ensemble */
    double l2;       /* --estimate-decay */
    double lr;       /* of --lr, or what "auto" is */
    bp_found fitted; /* struct_bytes is 0 where a trainer trains */
    int exit; /* where the command has a status of its own */
    char text[512]; /* an error of our own; else the context has one */
    char lost[512]; /* what failed first while the run went on: it ends with this error */
} job;

/* An error of our own: fills text. */
bp_status fail(job *j, bp_status status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* Where the text of an option is refused, the line is wrong: BP_ERR_ARG, whose exit status is 2. */
bp_status of_line(bp_status refused);
/* Keeps such a failure, and says that the run goes on. */
void lose(job *j, const char *why);
/* On stderr, unless --quiet. */
void talk(const job *j, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* A class by its name or number, as it is; and a text on stdout as people may read it. */
void class_text(const bp_model *model, int32_t c, char *to, size_t room);
void put_text(const char *text);
/* On stderr, what comes before a word, and the word as a shell reads it. */
void say_quoted(const char *before, const char *word);

/* Opens --device, with --threads and --seed. */
bp_status open_context(job *j);
bp_status load_model(job *j, const char *path);

/* source.c: --data. LEARN makes j->train, ->test (NULL with --split 0) and ->valid; the others make
 * j->test: TEST of the rows that test, by the model's targets; ROWS of all rows, whose targets are
 * left out; WHOLE of all that is there. LEARN_ALL makes j->train of all rows that may be trained on. */
typedef enum purpose { LEARN, TEST, ROWS, WHOLE, LEARN_ALL } purpose;
bp_status load_data(job *j, purpose what_for);

/* Rows first .. first + n of a column, as floats, into host memory; at most CHUNK are asked for. */
enum { CHUNK = 4096 };
bp_status read_rows(job *j, bp_tensor *column, int64_t first, int64_t n, float *to);

/* learn.c: j->model of the options for j->train, its trainer; a run of that, with the bar, which a
 * signal stops (BP_ERR_STOPPED); and the weights that the model keeps: the best, or their mean. */
bp_status model_of_options(job *j);
bp_status trainer_of_options(job *j);
bp_status run_trainer(job *j, bp_progress *p);
/* From here on a signal stops the run, or the next one; whether one came. */
void listen_to_signals(void);
bool signal_came(void);
bp_status settle(job *j, const bp_progress *p);

/* files.c: --out, --checkpoint and --log are files of their own. */
bp_status check_files(job *j);

/* json.h; measure.c: what the test set says, as members of an object or a line. */
struct json;
void print_metrics(const job *j, const bp_metrics *m, const char *prefix, struct json *to);

/* rate.c: what --lr auto is. */
bp_status rate_of_curvature(job *j, double *rate);

bp_status command_train(job *j);
bp_status command_rate(job *j);
bp_status command_eval(job *j);
bp_status command_predict(job *j);
bp_status command_inspect(job *j);
bp_status command_search(job *j);
bp_status command_export(job *j);
bp_status command_plot(job *j);
bp_status command_bench(job *j);
bp_status command_devices(job *j);
bp_status command_check(job *j);

#endif
