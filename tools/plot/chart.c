/* The curves of runs as text: a panel of braille dots, eight a character, or of plain characters,
 * for the loss and one for the accuracy. A curve has a letter, which stands at its right end: of
 * one run t and v (training, validation), of several a, b, ... and, for validation, A, B, ... */
#include <langinfo.h>
#include <locale.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "core/text.h"
#include "plot/plot.h"
#include "plot/read_run.h"

enum { WIDTH_MIN = 40, WIDTH_MAX = 400, LEFT = 9, ENDS = 6, ROWS_MAX = 14, RUNS_MAX = 26 };

typedef struct chart {
    plot_terminal how;
    FILE *to;
    const run *runs;
    int n, columns, rows;
    int64_t first, last; /* epochs, at the left and right */
    run_panel range;
    unsigned char dots[ROWS_MAX][WIDTH_MAX]; /* bits of a braille pattern; 1: a plain mark */
    int owner[ROWS_MAX][WIDTH_MAX];          /* the series that was drawn last */
    char end[ROWS_MAX][ENDS + 1];            /* letters of the curves that end in a row */
} chart;

plot_terminal plot_terminal_here(void)
{
    struct winsize size;
    plot_terminal how = {.width = 80};
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0)
        how.width = size.ws_col;
    how.colours = isatty(STDOUT_FILENO) && !getenv("NO_COLOR");
    locale_t locale = newlocale(LC_CTYPE_MASK, "", NULL);
    if (locale) {
        how.utf8 = !strcmp(nl_langinfo_l(CODESET, locale), "UTF-8");
        freelocale(locale);
    }
    return how;
}

/* --- a panel ---------------------------------------------------------------------------------- */

/* A series is a curve of a run: 2 * run, and 1 more for validation. */
static char letter(const chart *c, int series)
{
    if (c->n == 1)
        return "tv"[series];
    return (char)((series % 2 ? 'A' : 'a') + series / 2);
}

static int colour(int series)
{
    static const int codes[] = {36, 33, 35, 32, 31, 34};
    return codes[series % 6];
}

/* A dot, from the upper left corner; braille has its bits in columns, but for the lowest row. */
static void dot(chart *c, int x, int y, int series)
{
    static const unsigned char bits[4][2] = {{1, 8}, {2, 16}, {4, 32}, {64, 128}};
    int column = c->how.utf8 ? x / 2 : x, row = c->how.utf8 ? y / 4 : y;
    c->dots[row][column] |= c->how.utf8 ? bits[y % 4][x % 2] : 1;
    c->owner[row][column] = series;
}

static int dot_x(const chart *c, int64_t epoch)
{
    int wide = c->how.utf8 ? 2 * c->columns : c->columns;
    double all = (double)(c->last - c->first);
    double share = all > 0 ? (double)(epoch - c->first) / all : 0.5;
    return (int)lround(share * (wide - 1));
}

static int dot_y(const chart *c, double value)
{
    const run_panel *r = &c->range;
    int high = c->how.utf8 ? 4 * c->rows : c->rows;
    double share = r->log ? log(value / r->low) / log(r->high / r->low)
                          : (value - r->low) / (r->high - r->low);
    return (int)lround((1 - share) * (high - 1));
}

/* A line from the dot before, column by column; validation has gaps. */
static void draw_line(chart *c, int x0, int y0, int x1, int y1, int series)
{
    double slope = x1 > x0 ? (double)(y1 - y0) / (x1 - x0) : 0;
    for (int x = x0; x <= x1; x++) {
        int from = y0 + (int)lround(slope * (x - x0)), to = y1;
        if (x < x1) { /* up to where the next column begins */
            to = y0 + (int)lround(slope * (x + 1 - x0));
            to += (to < from) - (to > from);
        }
        if (c->how.utf8 && series % 2 && x % 4 > 1)
            continue;
        for (int y = from < to ? from : to; y <= (from < to ? to : from); y++)
            dot(c, x, y, series);
    }
}

static void draw_series(chart *c, int curve, int series)
{
    const run *r = c->runs + series / 2;
    int x0 = -1, y0 = -1;
    for (int64_t i = 0; i < r->n; i++) {
        double value = run_value(r->points + i, curve);
        int x = dot_x(c, r->points[i].epoch), y;
        if (isnan(value)) {
            x0 = -1;
            continue;
        }
        y = dot_y(c, value);
        draw_line(c, x0 < 0 ? x : x0, x0 < 0 ? y : y0, x, y, series);
        x0 = x;
        y0 = y;
    }
    if (y0 < 0)
        return;
    char *end = c->end[c->how.utf8 ? y0 / 4 : y0];
    size_t n = strlen(end);
    if (n < ENDS)
        end[n] = letter(c, series);
}

static void put_cell(const chart *c, int row, int column)
{
    unsigned char dots = c->dots[row][column];
    if (!dots) {
        fputc(' ', c->to);
        return;
    }
    if (c->how.colours)
        fprintf(c->to, "\033[%dm", colour(c->owner[row][column]));
    if (c->how.utf8) /* U+2800 and the bits */
        fprintf(c->to, "\xE2%c%c", 0xA0 | dots >> 6, 0x80 | (dots & 63));
    else
        fputc(letter(c, c->owner[row][column]), c->to);
    if (c->how.colours)
        fputs("\033[0m", c->to);
}

/* Without blanks at the end. */
static void put_row(const chart *c, int row)
{
    int used = c->columns;
    double share = 1 - (double)row / (c->rows - 1);
    const run_panel *r = &c->range;
    bool numbered = row % 3 == 0 || row == c->rows - 1;
    double value = r->log ? r->low * pow(r->high / r->low, share)
                          : r->low + share * (r->high - r->low);
    char number[32] = "";
    for (int digits = 3; numbered && digits > 0; digits--)
        if (snprintf(number, sizeof number, "%.*g", digits, value) < LEFT)
            break;
    fprintf(c->to, "%*s %s", LEFT - 1, number, !c->how.utf8 ? "|" : numbered ? "┤" : "│");
    while (!*c->end[row] && used > 0 && !c->dots[row][used - 1])
        used--;
    for (int column = 0; column < used; column++)
        put_cell(c, row, column);
    fprintf(c->to, "%s%s\n", *c->end[row] ? " " : "", c->end[row]);
}

/* The line below, and numbers at up to five places of it. */
static void put_epochs(const chart *c)
{
    int used = 0;
    int64_t before = -1;
    fprintf(c->to, "%*s%s", LEFT, "", c->how.utf8 ? "└" : "+");
    for (int i = 0; i < c->columns; i++)
        fputs(c->how.utf8 ? "─" : "-", c->to);
    fprintf(c->to, "\n%*s", LEFT + 1, "");
    for (int i = 0; i <= 4; i++) {
        char number[24];
        int64_t epoch = c->first + (int64_t)llround((double)(c->last - c->first) * i / 4);
        int n = snprintf(number, sizeof number, "%lld", (long long)epoch);
        int dots = dot_x(c, epoch), at = (c->how.utf8 ? dots / 2 : dots) - n / 2;
        at = at + n > c->columns ? c->columns - n : at < 0 ? 0 : at;
        if (epoch == before || (used > 0 && at <= used))
            continue;
        fprintf(c->to, "%*s%s", at - used, "", number);
        used = at + n;
        before = epoch;
    }
    fputs(" epoch\n", c->to);
}

/* --- all of it -------------------------------------------------------------------------------- */

static void put_panel(chart *c, int curve, int rows, const char *title)
{
    if (!runs_panel(c->runs, c->n, curve, curve + 1, &c->range))
        return;
    if (c->range.low == c->range.high) { /* a line in the middle */
        double around = c->range.low ? 0.1 * fabs(c->range.low) : 1;
        c->range.low -= around;
        c->range.high += around;
    }
    c->rows = rows;
    memset(c->dots, 0, sizeof c->dots);
    memset(c->end, 0, sizeof c->end);
    for (int series = 2 * c->n - 1; series >= 0; series--)
        draw_series(c, curve + series % 2, series);
    fprintf(c->to, "%*s%s%s\n", LEFT + 1, "", title, c->range.log ? ", log" : "");
    for (int row = 0; row < rows; row++)
        put_row(c, row);
    put_epochs(c);
}

/* The last numbers of a run, and its best validation. */
static void put_numbers(const chart *c, const run *r)
{
    const run_point *p = r->points + r->n - 1, *best = NULL;
    for (int64_t i = 0; i < r->n; i++) {
        double loss = r->points[i].valid_loss;
        if (isfinite(loss) && (!best || loss < best->valid_loss))
            best = r->points + i;
    }
    fprintf(c->to, "epoch %lld: loss %.4g", (long long)p->epoch, p->loss);
    if (isfinite(p->accuracy))
        fprintf(c->to, ", accuracy %.2f %%", 100 * p->accuracy);
    if (best)
        fprintf(c->to, "; best validation %.4g, epoch %lld", best->valid_loss,
                (long long)best->epoch);
    fputc('\n', c->to);
}

static void put_letter(const chart *c, int series, const char *meaning)
{
    if (c->how.colours)
        fprintf(c->to, "\033[%dm%c\033[0m %s", colour(series), letter(c, series), meaning);
    else
        fprintf(c->to, "%c %s", letter(c, series), meaning);
}

static void put_legend(const chart *c)
{
    run_panel any;
    char shown[64];
    bool valid = runs_panel(c->runs, c->n, CURVE_VALID_LOSS, CURVE_VALID_ACCURACY, &any);
    for (int i = 0; i < c->n && c->n > 1; i++) {
        bpi_printable(shown, 41, c->runs[i].name);
        fprintf(c->to, "  ");
        put_letter(c, 2 * i, shown);
        fprintf(c->to, ": ");
        put_numbers(c, c->runs + i);
    }
    fprintf(c->to, "  ");
    put_letter(c, 0, "training");
    if (valid) {
        fprintf(c->to, "   ");
        put_letter(c, 1, "validation");
    }
    fputc('\n', c->to);
    if (c->n == 1) {
        fprintf(c->to, "  ");
        put_numbers(c, c->runs);
    }
}

bool plot_runs_text(const char *const *logs, int n, plot_terminal how, FILE *to, char *text)
{
    run *runs;
    chart c = {.how = how, .to = to, .n = n, .first = INT64_MAX};
    bool nats = true;
    if (n > RUNS_MAX)
        return fault(text, "plot: %d runs are more than the %d of a chart", n, RUNS_MAX);
    if (!runs_read(logs, n, &runs, text))
        return false;
    for (int i = 0; i < n; i++) {
        int64_t first = runs[i].points[0].epoch, last = runs[i].points[runs[i].n - 1].epoch;
        c.first = first < c.first ? first : c.first;
        c.last = last > c.last ? last : c.last;
        nats = nats && runs[i].nats;
    }
    int width = how.width < WIDTH_MIN ? WIDTH_MIN : how.width > WIDTH_MAX ? WIDTH_MAX : how.width;
    c.runs = runs;
    c.columns = width - LEFT - ENDS - 2; /* the axis, a blank */
    put_panel(&c, CURVE_LOSS, ROWS_MAX, nats ? "loss (nats)" : "loss");
    put_panel(&c, CURVE_ACCURACY, 10, "accuracy (%)");
    put_legend(&c);
    runs_free(runs, n);
    return true;
}
