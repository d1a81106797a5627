/* What a model of two inputs says over the plane: a grid of cells, coloured by the model, with the
 * rows of a data set on top, coloured by what they are. */
#include <math.h>
#include <stdlib.h>

#include "plot/picture.h"
#include "plot/plot.h"

enum { CELLS = 160, POINTS_MAX = 4000, N_CELLS = CELLS * CELLS };

typedef struct plane {
    bp_model *model;
    int64_t rows, every, outputs, columns; /* points are each `every`th row; columns of y */
    bool classes;
    double low[2], size[2];
    float *x, *y;        /* [rows, 2], [rows, columns] */
    float *cells, *says; /* [CELLS, CELLS, 2], [CELLS, CELLS, outputs] */
} plane;

static bool failed(bp_model *model, char *text)
{
    return fault(text, "%s", bp_error_text(bp_model_context(model)));
}

/* What the picture cannot be made of. */
static bool check_both(bp_model *model, bp_data *data, char *text)
{
    if (bp_model_inputs(model) != 2 || bp_data_cols(data) != 2)
        return fault(text, "plot: regions want a model and data of 2 inputs, not of %lld and %lld",
                     (long long)bp_model_inputs(model), (long long)bp_data_cols(data));
    const bp_targets wanted[] = {[BP_TASK_CLASSES] = BP_TARGETS_CLASSES,
                                 [BP_TASK_REGRESSION] = BP_TARGETS_REAL,
                                 [BP_TASK_LABELS] = BP_TARGETS_LABELS};
    if (bp_data_targets(data) != wanted[bp_model_task(model)] ||
        bp_data_outputs(data) != bp_model_outputs(model))
        return fault(text, "plot: the model is one of %s, %lld of them, which the targets of the "
                           "data are not", bp_task_name(bp_model_task(model)),
                     (long long)bp_model_outputs(model));
    return bp_data_rows(data) > 0 || fault(text, "plot: the data have no row");
}

/* The rows, and a range that holds them with a margin. */
static bool read_rows(plane *p, bp_data *data, char *text)
{
    p->x = malloc((size_t)p->rows * 2 * sizeof *p->x);
    p->y = malloc((size_t)(p->rows * p->columns) * sizeof *p->y);
    if (!p->x || !p->y)
        return fault(text, "plot: out of memory");
    if (bp_read_f32(bp_data_samples(data), p->x, 2 * p->rows) != BP_OK ||
        bp_read_f32(bp_data_labels(data), p->y, p->rows * p->columns) != BP_OK)
        return failed(p->model, text);
    for (int axis = 0; axis < 2; axis++) {
        double low = INFINITY, high = -INFINITY;
        for (int64_t i = 0; i < p->rows; i++) {
            low = fmin(low, (double)p->x[2 * i + axis]);
            high = fmax(high, (double)p->x[2 * i + axis]);
        }
        double margin = high > low ? 0.06 * (high - low) : 1;
        p->low[axis] = low - margin;
        p->size[axis] = high - low + 2 * margin;
    }
    return true;
}

static double cell_at(const plane *p, int axis, int i)
{
    return p->low[axis] + p->size[axis] * (i + 0.5) / CELLS;
}

static bool ask_model(plane *p, char *text)
{
    p->cells = malloc(N_CELLS * 2 * sizeof *p->cells);
    p->says = malloc((size_t)(N_CELLS * p->outputs) * sizeof *p->says);
    if (!p->cells || !p->says)
        return fault(text, "plot: out of memory");
    for (int i = 0; i < N_CELLS; i++) {
        p->cells[2 * i] = (float)cell_at(p, 0, i % CELLS);
        p->cells[2 * i + 1] = (float)cell_at(p, 1, i / CELLS);
    }
    bp_status st = bp_model_predict(p->model, p->cells, N_CELLS, p->says);
    return st == BP_OK || failed(p->model, text);
}

/* The colour of a class, mixed with white: 0 is white. */
static void write_tint(picture *p, int64_t c, double strength)
{
    unsigned long rgb = strtoul(picture_colours[c % PICTURE_COLOURS] + 1, NULL, 16);
    for (int shift = 16; shift >= 0; shift -= 8)
        fprintf(p->script, "%ld ", lround(255 + ((double)(rgb >> shift & 255) - 255) * strength));
    fputc('\n', p->script);
}

static void write_cells(picture *p, const plane *g)
{
    fprintf(p->script, "$cells << END\n");
    for (int i = 0; i < N_CELLS; i++) {
        const float *says = g->says + i * g->outputs;
        int64_t best = 0;
        double least = 1 / (double)g->outputs;
        for (int64_t c = 1; c < g->outputs; c++)
            best = says[c] > says[best] ? c : best;
        fprintf(p->script, "%.7g %.7g ", cell_at(g, 0, i % CELLS), cell_at(g, 1, i / CELLS));
        if (g->classes) {
            double sure = g->outputs > 1 ? ((double)says[best] - least) / (1 - least) : 1;
            write_tint(p, best, 0.1 + 0.4 * sure);
        } else {
            fprintf(p->script, "%.7g\n", (double)says[0]);
        }
    }
    fprintf(p->script, "END\n");
}

/* Classes are blocks of a datablock, the others one. */
static void write_points(picture *p, const plane *g, int64_t classes)
{
    for (int64_t c = 0; c < classes; c++) {
        fprintf(p->script, "$points%lld << END\n", (long long)c);
        for (int64_t i = 0; i < g->rows; i += g->every)
            if (!g->classes || (int64_t)g->y[i] == c)
                fprintf(p->script, "%.7g %.7g %.7g\n", (double)g->x[2 * i], (double)g->x[2 * i + 1],
                        (double)g->y[i * g->columns]);
        fprintf(p->script, "END\n");
    }
}

static bool any_of(const plane *g, int64_t c)
{
    for (int64_t i = 0; i < g->rows; i += g->every)
        if ((int64_t)g->y[i] == c)
            return true;
    return false;
}

/* Points of a class: a mark in its colour on a larger white one. */
static void plot_classes(picture *p, const plane *g)
{
    char number[32];
    fprintf(p->script, "plot $cells with rgbimage notitle");
    for (int64_t c = 0; c < g->outputs; c++) {
        const char *name = bp_model_class_name(g->model, (int32_t)c);
        snprintf(number, sizeof number, "class %lld", (long long)c);
        if (!any_of(g, c))
            continue;
        int mark = picture_marks[c % PICTURE_MARKS];
        fprintf(p->script, ", \\\n  $points%lld using 1:2 with points pointtype %d pointsize 0.75 "
                           "linecolor rgb 'white' notitle, $points%lld using 1:2 with points "
                           "pointtype %d pointsize 0.5 linecolor rgb '%s' title ",
                (long long)c, mark, (long long)c, mark, picture_colours[c % PICTURE_COLOURS]);
        picture_text(p, name ? name : number, 40);
    }
    fputc('\n', p->script);
}

/* One scale for the model and the rows; of labels it is a probability. */
static void plot_shade(picture *p, const plane *g)
{
    bool labels = bp_model_task(g->model) == BP_TASK_LABELS;
    double low = INFINITY, high = -INFINITY;
    for (int64_t i = 0; i < g->rows; i += g->every) {
        low = fmin(low, (double)g->y[i * g->columns]);
        high = fmax(high, (double)g->y[i * g->columns]);
    }
    for (int i = 0; i < N_CELLS; i++) {
        low = fmin(low, (double)g->says[i * g->outputs]);
        high = fmax(high, (double)g->says[i * g->outputs]);
    }
    if (labels || low == high) {
        high = labels ? 1 : high + 1;
        low = labels ? 0 : low - 1;
    }
    fprintf(p->script, "set palette defined (0 '#440154', 1 '#3B528B', 2 '#21918C', 3 '#5EC962', "
                       "4 '#FDE725')\nset cbrange [%.9g:%.9g]\nset cblabel '%s%s'\n", low, high,
            labels ? "probability of the label" : "target",
            g->outputs > 1 ? ", the first of several" : "");
    fprintf(p->script, "plot $cells using 1:2:3 with image notitle, \\\n"
                       "  $points0 using 1:2 with points pointtype 7 pointsize 0.8 linecolor rgb "
                       "'black' notitle, \\\n  $points0 using 1:2 with points pointtype 7 "
                       "pointsize 0.68 linecolor rgb 'white' notitle, \\\n  $points0 using 1:2:3 "
                       "with points pointtype 7 pointsize 0.5 linecolor palette notitle\n");
}

static bool draw(const plane *g, const char *out, char *text)
{
    picture p;
    if (!picture_begin(&p, out, 800, 660, text))
        return false;
    write_cells(&p, g);
    write_points(&p, g, g->classes ? g->outputs : 1);
    for (int axis = 0; axis < 2; axis++)
        fprintf(p.script, "set %crange [%.9g:%.9g]\n", "xy"[axis], g->low[axis],
                g->low[axis] + g->size[axis]);
    fprintf(p.script, "set xlabel 'input 1'\nset ylabel 'input 2'\nset tics front\n"
                      "set key outside top center horizontal maxcols 3\n");
    if (g->every > 1)
        fprintf(p.script, "set title 'every %lldth row of %lld'\n", (long long)g->every,
                (long long)g->rows);
    g->classes ? plot_classes(&p, g) : plot_shade(&p, g);
    return picture_end(&p, true, text);
}

bool plot_regions(bp_model *model, bp_data *data, const char *out, char *text)
{
    if (!check_both(model, data, text))
        return false;
    plane g = {.model = model, .rows = bp_data_rows(data), .outputs = bp_model_outputs(model),
               .classes = bp_model_task(model) == BP_TASK_CLASSES};
    g.columns = g.classes ? 1 : g.outputs;
    g.every = (g.rows + POINTS_MAX - 1) / POINTS_MAX;
    bool good = read_rows(&g, data, text) && ask_model(&g, text) && draw(&g, out, text);
    free(g.x);
    free(g.y);
    free(g.cells);
    free(g.says);
    return good;
}
