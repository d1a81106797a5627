/* What run_log.sh, plot.sh and events.py call: the functions of tools/log and tools/plot with
 * arguments of a command line. Exit status 0, or 1 and the sentence of the failure on stderr.
 *
 *     log new|add FILE N                        a header, N epochs, a result
 *     events FOLDER N                           N epochs
 *     picture OUT LOG...
 *     chart WIDTH ascii|utf8|colours|here LOG...
 *     model KIND OUT                            of a small model: see draw_model() */
#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "bpcuda/bpcuda.h"
#include "log/events.h"
#include "plot/plot.h"

static char text[FAULT_BYTES];

/* Numbers that a reader can make again. */
static run_point point_at(int i)
{
    bp_progress p = {.epoch = i, .steps = 10 * i, .loss = 2.0 / i, .accuracy = 1 - 0.5 / i,
                     .valid_loss = 2.5 / i, .valid_accuracy = 1 - 0.75 / i,
                     .rate = 0.01 * pow(0.5, i)};
    return run_point_of(&p, true, true, 1000.0 + i);
}

static bool write_log(bool add, const char *path, int epochs)
{
    run_log log;
    bool good = run_log_open(&log, path, add, text);
    if (good && epochs > 0) {
        json *line = run_log_begin(&log, "run");
        json_text(line, "version", bp_version());
        json_number(line, "time", run_clock());
        json_text(line, "device", "cpu \"quoted\\ \t\xC3\xA9\xFF");
        json_number(line, "seed", 9007199254740991);
        json_text(line, "data", "digits");
        json_text(line, "task", "classes");
        good = run_log_end(&log, text);
    }
    for (int i = 1; good && i <= epochs; i++) {
        run_point p = point_at(i);
        p.loss = i == 3 ? NAN : p.loss;
        good = run_log_point(&log, &p, text);
    }
    if (good && epochs > 0) {
        json_number(run_log_begin(&log, "result"), "test_loss", 0.1 + 0.2);
        good = run_log_end(&log, text);
    }
    return run_log_close(&log, text) && good;
}

static bool write_events(const char *folder, int epochs)
{
    events e;
    bool good = events_open(&e, folder, text);
    for (int i = 1; good && i <= epochs; i++) {
        run_point p = point_at(i);
        p.has_valid = i % 2 == 0;
        good = events_point(&e, &p, text);
    }
    return events_close(&e, text) && good;
}

/* --- models ----------------------------------------------------------------------------------- */

static uint64_t state = 1;

static double draw(void) /* 0 to 1 */
{
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (double)(state >> 11) * 0x1p-53;
}

/* Arms of a spiral: as classes; how far out, as a number; two arms, as labels. */
static bp_status spiral(bp_context *ctx, const char *kind, bp_data **data)
{
    enum { ROWS = 600, ARMS = 3 };
    static float x[ROWS][2], y[ROWS];
    static int32_t arm[ROWS];
    static uint8_t label[ROWS];
    static const char *const names[] = {"setosa", "it's_<b>", "v\xC3\xA9ry & long name of a class"};
    for (int i = 0; i < ROWS; i++) {
        double r = sqrt(draw()), turn = 4 * r + 2 * 3.14159265 * (i % ARMS) / ARMS + 0.3 * draw();
        x[i][0] = (float)(10 * r * cos(turn));
        x[i][1] = (float)(0.1 * r * sin(turn));
        y[i] = (float)(r * r * 50);
        arm[i] = i % ARMS;
        label[i] = i % ARMS == 1;
    }
    bp_status st = bp_data_table(ctx, ROWS, data);
    if (st == BP_OK)
        st = bp_data_add(*data, "x", BP_F32, BP_SHAPE(2), x);
    if (st != BP_OK)
        return st;
    if (!strcmp(kind, "regression"))
        return bp_data_add(*data, "y", BP_F32, BP_SCALAR, y);
    if (!strcmp(kind, "labels"))
        return bp_data_add(*data, "y", BP_U8, BP_SHAPE(1), label);
    return bp_data_add_classes(*data, arm, ARMS, names);
}

static bp_task task_of(const bp_data *data)
{
    return bp_data_targets(data) == BP_TARGETS_REAL     ? BP_TASK_REGRESSION
           : bp_data_targets(data) == BP_TARGETS_LABELS ? BP_TASK_LABELS
                                                        : BP_TASK_CLASSES;
}

static bp_status train(bp_context *ctx, bp_data *data, const char *layers, int epochs,
                       bp_model **model)
{
    bp_trainer *trainer = NULL;
    int32_t done;
    bp_status st = bp_model_create_as(ctx, bp_data_cols(data), layers, task_of(data),
                                      bp_data_outputs(data), model);
    if (st == BP_OK)
        st = bp_model_normalize(*model, data);
    if (st == BP_OK)
        st = bp_trainer_create(*model, data, &trainer);
    if (st == BP_OK)
        st = bp_trainer_set(trainer, BP_TRAIN_EPOCHS, epochs);
    if (st == BP_OK)
        st = bp_trainer_run(trainer, -1, -1, &done);
    bp_trainer_free(trainer);
    return st;
}

/* Makes the first weights 0, 1, 2, ... */
static bool ramp(bp_model *model)
{
    float w[48 * 64];
    for (int i = 0; i < 48 * 64; i++)
        w[i] = (float)i;
    return bp_write(bp_param_at(bp_model_params(model), 0), w, sizeof w) == BP_OK;
}

static bool picture_of(bp_model *model, bp_data *data, const char *kind, const char *out)
{
    if (!strcmp(kind, "confusion"))
        return plot_confusion(model, data, out, text);
    if (!strcmp(kind, "table"))
        return plot_confusion_text(model, data, stdout, text);
    if (!strncmp(kind, "misread", 7))
        return plot_misread(model, data, 0, 0, out, text);
    if (!strcmp(kind, "filters") || !strcmp(kind, "conv"))
        return plot_filters(model, 0, 0, out, text);
    if (!strcmp(kind, "filters-ramp"))
        return ramp(model) && plot_filters(model, 16, 4, out, text);
    return plot_regions(model, data, out, text);
}

/* "classes", "regression", "labels": regions of a spiral. Of the digits "confusion", "table" on
 * stdout, "filters", "filters-ramp", "conv" (of a convolution), "misread", else regions, which they do not have. */
static bool draw_model(const char *kind, const char *out)
{
    bp_context *ctx = NULL;
    bp_data *data = NULL;
    bp_model *model = NULL;
    bool numbers = !strcmp(kind, "misread-numbers");
    bool plane = !strcmp(kind, "classes") || !strcmp(kind, "regression") ||
                 !strcmp(kind, "labels") || numbers;
    const char *layers = plane ? "32 tanh 32 tanh"
                         : !strcmp(kind, "conv") ? "8x8x1 conv3x3=6 relu pool=2" : "48 relu";
    bp_status st = bp_open("cpu", &ctx);
    if (st == BP_OK)
        st = plane ? spiral(ctx, numbers ? "regression" : kind, &data) : bp_data_digits(ctx, &data);
    if (st == BP_OK)
        st = train(ctx, data, layers, plane ? 60 : 2, &model);
    bool good = st == BP_OK ? picture_of(model, data, kind, out)
                            : fault(text, "%s", bp_error_text(ctx));
    bp_model_free(model);
    bp_data_free(data);
    bp_close(ctx);
    return good;
}

static plot_terminal terminal_of(const char *width, const char *what)
{
    if (!strcmp(what, "here"))
        return plot_terminal_here();
    return (plot_terminal){atoi(width), strcmp(what, "ascii") != 0, !strcmp(what, "colours")};
}

int main(int argc, char **argv)
{
    const char *const *names = (const char *const *)argv;
    signal(SIGXFSZ, SIG_IGN); /* as the command: a file that gets too large is an error */
    const char *call = argc > 2 ? argv[1] : "";
    bool good = fault(text, "plot_calls: what is wanted?");
    if (!strcmp(call, "log") && argc == 5)
        good = write_log(!strcmp(argv[2], "add"), argv[3], atoi(argv[4]));
    else if (!strcmp(call, "events") && argc == 4)
        good = write_events(argv[2], atoi(argv[3]));
    else if (!strcmp(call, "picture"))
        good = plot_runs(names + 3, argc - 3, argv[2], text);
    else if (!strcmp(call, "chart") && argc > 3)
        good = plot_runs_text(names + 4, argc - 4, terminal_of(argv[2], argv[3]), stdout, text);
    else if (!strcmp(call, "model") && argc == 4)
        good = draw_model(argv[2], argv[3]);
    if (!good)
        fprintf(stderr, "%s\n", text);
    return !good;
}
