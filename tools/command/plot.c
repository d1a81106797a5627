/* bpcuda plot: pictures of runs and of models, which tools/plot makes. */
#include "plot/plot.h"

#include <stdio.h>
#include <string.h>

#include "job.h"

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

/* What is drawn is known only now: the options that were given must count for it. */
static bp_status all_count(job *j, int what)
{
    settings known = *j->set;
    known.kind = what;
    return idle_option(&known, NULL, j->text, sizeof j->text) ? BP_ERR_ARG : BP_OK;
}

static bp_status draw_runs(job *j)
{
    const settings *set = j->set;
    TRY(all_count(j, PLOT_RUNS));
    if (set->ascii)
        return done(plot_runs_text(set->operand, set->operands, plot_terminal_here(), stdout,
                                   j->text));
    return done(plot_runs(set->operand, set->operands, set->out, j->text));
}

/* What can be said without being told: the regions of two inputs, else the confusion of classes. */
static int kind_of(const job *j)
{
    return bp_model_inputs(j->model) == 2 ? PLOT_REGIONS
           : bp_model_classes(j->model) && j->set->data ? PLOT_CONFUSION : PLOT_FILTERS;
}

static bp_status draw_model(job *j, int what)
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
    what = what == PLOT_AUTO ? kind_of(j) : what;
    TRY(all_count(j, what));
    if (set->ascii && what != PLOT_CONFUSION)
        return fail(j, BP_ERR_ARG, "--ascii shows runs and confusion tables: --out FILE.svg shows "
                    "the rest");
    if (what != PLOT_FILTERS && !set->data)
        return fail(j, BP_ERR_ARG, "plot: --data is wanted, whose rows are shown");
    if (what != PLOT_FILTERS)
        TRY(load_data(j, TEST));
    if (what == PLOT_FILTERS)
        return done(plot_filters(j->model, width, height, set->out, j->text));
    if (what == PLOT_MISREAD)
        return done(plot_misread(j->model, j->test, width, height, set->out, j->text));
    if (what == PLOT_REGIONS)
        return done(plot_regions(j->model, j->test, set->out, j->text));
    return done(set->ascii ? plot_confusion_text(j->model, j->test, stdout, j->text)
                           : plot_confusion(j->model, j->test, set->out, j->text));
}

bp_status command_plot(job *j)
{
    const settings *set = j->set;
    int what = (int)set->kind;
    if (!set->out == !set->ascii)
        return fail(j, BP_ERR_ARG, "plot wants --out FILE.svg or FILE.png, or --ascii%s",
                    set->out ? ": one of the two" : "");
    TRY(check_files(j));
    if (what == PLOT_AUTO && is_log(set->operand[0]))
        what = PLOT_RUNS;
    TRY(what == PLOT_RUNS ? draw_runs(j) : draw_model(j, what));
    if (set->out)
        talk(j, "saved %s\n", set->out);
    return BP_OK;
}
