/* The curves of runs as a picture: panels above one another that share the axis of epochs. A run
 * has a colour and a mark; training is a solid line, validation a dashed one. */
#include <math.h>
#include <string.h>

#include "plot/picture.h"
#include "plot/plot.h"
#include "plot/read_run.h"

typedef struct panel {
    int first, second; /* curves; -1: there is no second */
    const char *label, *unit;
    double share; /* of the height */
} panel;

/* Pixels: all panels, what is between them, below them; a title; a row of the legend. */
enum { WIDTH = 900, HEIGHT = 640, GAP = 26, BELOW = 66, TITLE = 30, ROW = 20 };
enum { PANELS = 3, NAME = 50 };

/* The numbers of runs, as datablocks: epoch, then a column a curve. */
static void write_data(picture *p, const run *runs, int n)
{
    for (int i = 0; i < n; i++) {
        fprintf(p->script, "$run%d << END\n", i);
        for (int64_t k = 0; k < runs[i].n; k++) {
            fprintf(p->script, "%lld", (long long)runs[i].points[k].epoch);
            for (int curve = 0; curve < CURVES; curve++) {
                double x = run_value(runs[i].points + k, curve);
                if (isnan(x))
                    fprintf(p->script, " NaN");
                else
                    fprintf(p->script, " %.9g", x);
            }
            fputc('\n', p->script);
        }
        fprintf(p->script, "END\n");
    }
}

/* Numbers at 1, 2 and 5 of each decade where there are few of them, so that some can be read. */
static void log_axis(picture *p, const run_panel *range)
{
    double decades = log10(range->high / range->low);
    const char *between = "";
    fprintf(p->script, "set logscale y\nset yrange [%.9g:%.9g]\nset ytics (", range->low / 1.15,
            range->high * 1.15);
    for (int e = (int)floor(log10(range->low)); e <= (int)ceil(log10(range->high)); e++)
        for (int m = 1; m <= 5; m += m == 1 ? 1 : 3)
            if (m == 1 || decades < 2.5) {
                fprintf(p->script, "%s%de%d", between, m, e);
                between = ", ";
            }
    fprintf(p->script, ")\n");
}

/* Whether a run has the curve at all. */
static bool has(const run *r, int curve)
{
    double low = INFINITY, high = -INFINITY;
    return curve >= 0 && run_range(r, curve, &low, &high);
}

static void plot_curve(picture *p, const run *r, int i, int curve, const char *title)
{
    bool dashed = curve == CURVE_VALID_LOSS || curve == CURVE_VALID_ACCURACY;
    int64_t every = r->n > 12 ? r->n / 8 : 1;
    fprintf(p->script, "$run%d using 1:%d with linespoints linecolor rgb '%s' linewidth 2 "
                       "dashtype %s pointtype %d pointsize 0.7 pointinterval %lld ",
            i, curve + 2, picture_colours[i % PICTURE_COLOURS], dashed ? "(12,6)" : "1",
            picture_marks[i % PICTURE_MARKS] - dashed, (long long)every);
    if (title) {
        fprintf(p->script, "title ");
        picture_text(p, title, NAME);
    } else {
        fprintf(p->script, "notitle");
    }
}

/* One run is named by its curves, several by their names. */
static void plot_panel(picture *p, const run *runs, int n, const panel *of, bool named)
{
    const char *between = "plot ";
    run_panel valid;
    for (int i = 0; i < n; i++)
        for (int k = 0; k < 2; k++) {
            int curve = k == 0 ? of->first : of->second;
            if (!has(runs + i, curve))
                continue;
            const char *title = n > 1 ? (k == 0 || !has(runs + i, of->first) ? runs[i].name : NULL)
                                      : k == 0 ? "training" : "validation";
            fprintf(p->script, "%s", between);
            plot_curve(p, runs + i, i, curve, named ? title : NULL);
            between = ", \\\n     ";
        }
    if (named && n > 1 && runs_panel(runs, n, of->second, -1, &valid))
        fprintf(p->script, ", \\\n     NaN with lines linecolor rgb '#606060' linewidth 2 "
                           "title 'training', NaN with lines linecolor rgb '#606060' "
                           "linewidth 2 dashtype (12,6) title 'validation'");
    fputc('\n', p->script);
}

static void epoch_axis(picture *p, const run *runs, int n)
{
    int64_t first = INT64_MAX, last = 0;
    for (int i = 0; i < n; i++) {
        first = runs[i].points[0].epoch < first ? runs[i].points[0].epoch : first;
        int64_t end = runs[i].points[runs[i].n - 1].epoch;
        last = end > last ? end : last;
    }
    double around = first == last ? 1 : 0;
    fprintf(p->script, "set xrange [%.17g:%.17g]\n", (double)first - around, (double)last + around);
    if (last - first <= 10)
        fprintf(p->script, "set xtics 1\n");
}

/* What the axis of a panel says: "loss (nats, log)". */
static void value_axis(picture *p, const panel *of, const char *unit, const run_panel *range)
{
    bool both = *unit && range->log, any = *unit || range->log;
    fprintf(p->script, "unset logscale y\nset yrange [*:*]\nset ytics autofreq\n"
                       "set ylabel '%s%s%s%s%s%s'\n", of->label, any ? " (" : "", unit,
            both ? ", " : "", range->log ? "log" : "", any ? ")" : "");
    if (range->log)
        log_axis(p, range);
    else if (range->low == range->high)
        fprintf(p->script, "set yrange [%.9g:%.9g]\nset ytics (%.9g)\n",
                range->low - 0.1 * fabs(range->low) - 1e-9,
                range->low + 0.1 * fabs(range->low) + 1e-9, range->low);
}

static void write_panels(picture *p, const run *runs, int n, int height, int legend)
{
    static const panel panels[PANELS] = {
        {CURVE_LOSS, CURVE_VALID_LOSS, "loss", "nats", 0.44},
        {CURVE_ACCURACY, CURVE_VALID_ACCURACY, "accuracy", "%", 0.33},
        {CURVE_LR, -1, "learning rate", "", 0.23}};
    run_panel range[PANELS];
    bool nats = true, shown[PANELS];
    double sum = 0, top = 1 - (double)legend / height, unit = top - (double)(BELOW - GAP) / height;
    int bottom = 0;
    for (int i = 0; i < n; i++)
        nats = nats && runs[i].nats;
    for (int k = 0; k < PANELS; k++) {
        shown[k] = runs_panel(runs, n, panels[k].first, panels[k].second, range + k);
        sum += shown[k] ? panels[k].share : 0;
        bottom = shown[k] ? k : bottom;
    }
    for (int k = 0; k < PANELS; k++) {
        if (!shown[k])
            continue;
        double size = panels[k].share / sum * unit;
        value_axis(p, panels + k, k > 0 || nats ? panels[k].unit : "", range + k);
        fprintf(p->script, "set tmargin at screen %.4f\nset bmargin at screen %.4f\n", top,
                top - size + (double)GAP / height);
        fprintf(p->script, k == bottom ? "set format x '%%g'\nset xlabel 'epoch'\n"
                                       : "set format x ''\nunset xlabel\n");
        plot_panel(p, runs, n, panels + k, k == 0);
        top -= size;
    }
}

/* As many as the longest name leaves room for. */
static int legend_columns(const run *runs, int n)
{
    size_t longest = 10;
    for (int i = 0; i < n; i++)
        longest = strlen(runs[i].name) > longest ? strlen(runs[i].name) : longest;
    longest = longest < NAME ? longest : NAME;
    int columns = WIDTH / (int)(10 * longest + 80);
    return columns < 4 ? columns : 4;
}

bool plot_runs(const char *const *logs, int n, const char *out, char *text)
{
    run *runs;
    picture p;
    run_panel range;
    if (!runs_read(logs, n, &runs, text))
        return false;
    bool loss = runs_panel(runs, n, CURVE_LOSS, CURVE_VALID_LOSS, &range);
    int columns = n > 1 ? legend_columns(runs, n) : 2, rows = (n + 2 + columns - 1) / columns;
    int title = n == 1 && *runs[0].about ? TITLE : 8, legend = title + rows * ROW + 14;
    int height = HEIGHT + legend;
    bool good = loss || fault(text, "%.300s: no epoch has a loss that is finite", logs[0]);
    good = good && picture_begin(&p, out, WIDTH, height, text);
    if (good) {
        write_data(&p, runs, n);
        epoch_axis(&p, runs, n);
        fprintf(p.script, "set lmargin at screen 0.125\nset rmargin at screen 0.955\n"
                          "set grid linecolor rgb '#d8d8d8' dashtype 1 linewidth 0.6\n"
                          "set format y '%%g'\nset key at screen 0.5, screen %.4f top center "
                          "horizontal maxcols %d samplen 4\nset multiplot title ",
                1 - (double)title / height, columns);
        picture_text(&p, n == 1 && *runs[0].about ? runs[0].about : "", 100);
        fputc('\n', p.script);
        write_panels(&p, runs, n, height, legend);
        good = picture_end(&p, true, text);
    }
    runs_free(runs, n);
    return good;
}
