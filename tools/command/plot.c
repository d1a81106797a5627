/* bpcuda plot: pictures of runs and of models, which tools/plot makes. */
#include "plot/plot.h"

#include <stdio.h>
#include <string.h>

#include "job.h"

typedef enum kind { AUTO, RUNS, REGIONS, CONFUSION, FILTERS, MISREAD } kind;

/* A log begins with an object; a model with the length of its header. */
static bool is_log(const char *path)
{
    FILE *f = fopen(path, "rb");
    int first = f ? getc(f) : '{';
    if (f)
        fclose(f);
    return first == '{' || first == EOF;
}

static bp_status done(bool good)
{
    return good ? BP_OK : BP_ERR_IO;
}

static bp_status draw_runs(job *j)
{
    const settings *set = j->set;
    if (set->ascii)
        return done(plot_runs_text(set->operand, set->operands, plot_terminal_here(), stdout,
                                   j->text));
    return done(plot_runs(set->operand, set->operands, set->out, j->text));
}

/* What can be said without being told: the regions of two inputs, else the confusion of classes. */
static kind kind_of(const job *j)
{
    return bp_model_inputs(j->model) == 2 ? REGIONS
           : bp_model_classes(j->model) && j->set->data ? CONFUSION : FILTERS;
}

static bp_status draw_model(job *j, kind what)
{
    const settings *set = j->set;
    long long width = 0, height = 0;
    int end = 0;
    if (set->operands > 1)
        return fail(j, BP_ERR_ARG, "plot: one model is wanted, not %d", set->operands);
    if (set->size && (sscanf(set->size, "%lldx%lld%n", &width, &height, &end) != 2 ||
                      set->size[end] || width < 1 || height < 1))
        return fail(j, BP_ERR_ARG, "--size: \"%.100s\" is not WIDTHxHEIGHT", set->size);
    TRY(open_context(j));
    TRY(load_model(j, set->operand[0]));
    what = what == AUTO ? kind_of(j) : what;
    if (set->ascii && what != CONFUSION)
        return fail(j, BP_ERR_ARG, "--ascii shows runs and confusion tables: --out FILE.svg shows "
                    "the rest");
    if (what != FILTERS && !set->data)
        return fail(j, BP_ERR_ARG, "plot: --data is wanted, whose rows are shown");
    if (what != FILTERS)
        TRY(load_data(j, TEST));
    if (what == FILTERS)
        return done(plot_filters(j->model, width, height, set->out, j->text));
    if (what == MISREAD)
        return done(plot_misread(j->model, j->test, width, height, set->out, j->text));
    if (what == REGIONS)
        return done(plot_regions(j->model, j->test, set->out, j->text));
    return done(set->ascii ? plot_confusion_text(j->model, j->test, stdout, j->text)
                           : plot_confusion(j->model, j->test, set->out, j->text));
}

bp_status command_plot(job *j)
{
    const settings *set = j->set;
    kind what = (kind)set->kind;
    if (!set->out == !set->ascii)
        return fail(j, BP_ERR_ARG, "plot wants --out FILE.svg or FILE.png, or --ascii%s",
                    set->out ? ": one of the two" : "");
    TRY(check_files(j));
    if (what == AUTO && is_log(set->operand[0]))
        what = RUNS;
    TRY(what == RUNS ? draw_runs(j) : draw_model(j, what));
    if (set->out)
        talk(j, "saved %s\n", set->out);
    return BP_OK;
}
