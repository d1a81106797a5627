/* How often rows of one class are taken for another: counts[i, j] rows of class i of which the
 * model says j, as a picture and as a table. */
#include <stdlib.h>
#include <string.h>

#include "core/text.h"
#include "plot/picture.h"
#include "plot/plot.h"

enum { NAME = 56, COUNTED = 20, NAMED = 40 }; /* bytes; the most classes with numbers, names */

typedef struct table {
    bp_model *model;
    int64_t n, *counts;
} table;

static bool count(table *t, bp_model *model, bp_data *data, char *text)
{
    *t = (table){.model = model, .n = bp_model_classes(model)};
    if (t->n == 0)
        return fault(text, "plot: a confusion table wants a model of classes, not of %s",
                     bp_task_name(bp_model_task(model)));
    t->counts = calloc((size_t)(t->n * t->n), sizeof *t->counts);
    if (!t->counts)
        return fault(text, "plot: out of memory");
    if (bp_model_confusion(model, data, t->counts) == BP_OK)
        return true;
    free(t->counts);
    return fault(text, "%s", bp_error_text(bp_model_context(model)));
}

/* The number of a class, and the name if it has one, as it can be shown. */
static void name_of(const table *t, int64_t c, char shown[NAME])
{
    const char *name = bp_model_class_name(t->model, (int32_t)c);
    int n = snprintf(shown, NAME, "%lld", (long long)c);
    if (name) {
        shown[n++] = ' ';
        bpi_printable(shown + n, 32, name);
    }
}

/* Columns that a text takes: characters, of UTF-8. */
static int columns(const char *s)
{
    int n = 0;
    for (; *s; s++)
        n += (*s & 0xC0) != 0x80;
    return n;
}

static int longest_name(const table *t)
{
    char shown[NAME];
    int most = 0;
    for (int64_t c = 0; c < t->n; c++) {
        name_of(t, c, shown);
        most = columns(shown) > most ? columns(shown) : most;
    }
    return most;
}

/* Of a row, or with stride n of a column. */
static int64_t sum(const int64_t *counts, int64_t n, int64_t stride)
{
    int64_t all = 0;
    for (int64_t i = 0; i < n; i++)
        all += counts[i * stride];
    return all;
}

static double accuracy(const table *t)
{
    int64_t all = sum(t->counts, t->n * t->n, 1);
    return all ? 100.0 * (double)sum(t->counts, t->n, t->n + 1) / (double)all : 0;
}

/* --- the picture ------------------------------------------------------------------------------ */

static void write_tics(picture *p, const table *t, char axis)
{
    char shown[NAME];
    fprintf(p->script, "set %ctics scale 0 (", axis);
    for (int64_t c = 0; c < t->n; c++) {
        fprintf(p->script, c ? ", " : "");
        name_of(t, c, shown);
        picture_text(p, shown, NAME);
        fprintf(p->script, " %lld", (long long)c);
    }
    fprintf(p->script, ")\n");
}

static void write_counts(picture *p, const table *t)
{
    fprintf(p->script, "$counts << END\n");
    for (int64_t i = 0; i < t->n; i++) {
        int64_t all = sum(t->counts + i * t->n, t->n, 1);
        for (int64_t j = 0; j < t->n; j++) {
            int64_t n = t->counts[i * t->n + j];
            double share = all ? 100.0 * (double)n / (double)all : 0;
            fprintf(p->script, "%lld %lld %.6g %lld %d\n", (long long)j, (long long)i, share,
                    (long long)n, share > 50 ? 0xFFFFFF : n ? 0 : 0xB0B0B0);
        }
    }
    fprintf(p->script, "END\n");
}

bool plot_confusion(bp_model *model, bp_data *data, const char *out, char *text)
{
    table t;
    picture p;
    if (!count(&t, model, data, text))
        return false;
    int names = longest_name(&t); /* beside the table, and slanted below it */
    bool good = picture_begin(&p, out, 760 + 8 * names, 660 + 5 * names, text);
    if (good) {
        write_counts(&p, &t);
        if (t.n <= NAMED) {
            write_tics(&p, &t, 'x');
            write_tics(&p, &t, 'y');
        }
        if (t.n > 10 || bp_model_class_name(model, 0))
            fprintf(p.script, "set xtics rotate by 30 right\n");
        fprintf(p.script, "set xrange [-0.5:%lld.5]\nset yrange [%lld.5:-0.5]\nset size ratio 1\n"
                          "set palette defined (0 '#FFFFFF', 1 '#9ECAE1', 2 '#0072B2', "
                          "3 '#003A5D')\nset cbrange [0:100]\n"
                          "set cblabel 'share of the class (%%)'\n"
                          "set xlabel 'what the model says'\nset ylabel 'class'\n"
                          "set title 'right: %.2f %%'\nplot $counts using 1:2:3 with image pixels "
                          "notitle",
                (long long)t.n - 1, (long long)t.n - 1, accuracy(&t));
        if (t.n <= COUNTED)
            fprintf(p.script, ", $counts using 1:2:(sprintf('%%d', $4)):5 with labels "
                              "textcolor rgb variable font ',%d' notitle", t.n > 12 ? 10 : 14);
        fputc('\n', p.script);
        good = picture_end(&p, true, text);
    }
    free(t.counts);
    return good;
}

/* --- the table -------------------------------------------------------------------------------- */

static void percent(FILE *to, int64_t part, int64_t all)
{
    if (all)
        fprintf(to, "  %6.2f", 100.0 * (double)part / (double)all);
    else
        fprintf(to, "       -");
}

bool plot_confusion_text(bp_model *model, bp_data *data, FILE *to, char *text)
{
    table t;
    char shown[NAME];
    int cell = 2;
    if (!count(&t, model, data, text))
        return false;
    int name = longest_name(&t) > 5 ? longest_name(&t) : 5;
    for (int64_t i = 0; i < t.n; i++) {
        int digits = snprintf(NULL, 0, "%lld", (long long)sum(t.counts + i * t.n, t.n, 1));
        cell = digits > cell ? digits : cell;
    }
    fprintf(to, "%-*s", name, "class");
    for (int64_t j = 0; j < t.n; j++)
        fprintf(to, "  %*lld", cell, (long long)j);
    fprintf(to, "   found    right\n");
    for (int64_t i = 0; i < t.n; i++) {
        const int64_t *row = t.counts + i * t.n;
        name_of(&t, i, shown);
        fprintf(to, "%-*s", name + (int)strlen(shown) - columns(shown), shown);
        for (int64_t j = 0; j < t.n; j++)
            fprintf(to, "  %*lld", cell, (long long)row[j]);
        percent(to, row[i], sum(row, t.n, 1));
        fputc(' ', to);
        percent(to, row[i], sum(t.counts + i, t.n, t.n));
        fputc('\n', to);
    }
    fprintf(to, "a row is a class, a column what the model says; of %lld rows %.2f %% are right\n",
            (long long)sum(t.counts, t.n * t.n, 1), accuracy(&t));
    free(t.counts);
    return true;
}
