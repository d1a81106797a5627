/* Pictures: of the logs of runs, and of what a model does. All return whether it went well, and
 * fill text[FAULT_BYTES] where not.
 *
 * A picture is SVG or PNG, by the ending of its name, and is drawn by gnuplot, a process of its
 * own. The file is written whole under a name of its own in the same folder and renamed: a failure
 * leaves what was there, and nothing else. Links are followed. */
#ifndef PLOT_PLOT_H
#define PLOT_PLOT_H

#include "bpcuda/bpcuda.h"
#include "log/fault.h"

/* Whether a name ends as a picture's does; and whether one can be drawn there, where it takes long
 * until there is one: all of it is tried, and nothing is left. */
bool plot_named(const char *out);
bool plot_can(const char *out, char *text);

/* Loss, accuracy where there is some, and rate over the epochs of n runs (log/run_log.h). */
bool plot_runs(const char *const *logs, int n, const char *out, char *text);

/* How a chart of characters looks: columns; braille dots, or else plain ASCII; colours or none. */
typedef struct plot_terminal {
    int width;
    bool utf8, colours;
} plot_terminal;

/* That of stdout: its width, 80 where it has none; the encoding that the locale names; colours
 * where it is a terminal and NO_COLOR is not set. */
plot_terminal plot_terminal_here(void);

/* The same as plot_runs, without the rate, as text. Errors of `to` stay with it. */
bool plot_runs_text(const char *const *logs, int n, plot_terminal how, FILE *to, char *text);

/* A range test of rates: n losses, smoothed, over their rates, and the rate that is suggested. */
bool plot_range(const double *rate, const double *loss, const double *smooth, int64_t n,
                const bp_rate_range *found, const char *out, char *text);

/* n eigenvalues, of each sign by magnitude, on a log axis. */
bool plot_eigenvalues(const double *ascending, int64_t n, const char *out, char *text);

/* What a model of two inputs says over the plane, and the rows of the data (4,000 at most): of
 * classes the likeliest, the paler the less likely; else the first output as a shade. */
bool plot_regions(bp_model *model, bp_data *data, const char *out, char *text);

/* How often rows of one class are taken for another: as a picture, shaded by the share of the
 * class; as a table, with the share of a class that is found, and of what is said that is right. */
bool plot_confusion(bp_model *model, bp_data *data, const char *out, char *text);
bool plot_confusion_text(bp_model *model, bp_data *data, FILE *to, char *text);

/* The filters of the first convolution, a tile for each of its channels; or else the rows of the
 * first weights [outputs, inputs] as images of width x height, 0 x 0: square. At most 256 tiles, on
 * one scale. */
bool plot_filters(bp_model *model, int64_t width, int64_t height, const char *out, char *text);

/* Images that a model of classes takes for another class, with both classes above each: at most 40,
 * those of which it is surest first. The size of rows that are no images is as above. */
bool plot_misread(bp_model *model, bp_data *data, int64_t width, int64_t height, const char *out,
                  char *text);

#endif
