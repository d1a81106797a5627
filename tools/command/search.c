/* bpcuda search: trains with values drawn from ranges (ranges.c), and keeps what validates best
 * (Bergstra, Bengio: "Random Search for Hyper-Parameter Optimization", 2012). */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "job.h"
#include "json.h"
#include "ranges.h"

typedef struct trial {
    int64_t number;
    int64_t as;            /* an earlier one with the same values, which is not done again; or 0 */
    double loss, accuracy; /* of the rows that validate, by the weights that are kept; NaN: failed */
    bp_progress p;
    char failed[160];
} trial;

typedef struct search {
    job *j;
    const settings *given; /* as they are on the command line */
    ranges ranges;
    trial *trial;
    int64_t n;
    bool numbers; /* are the targets, which have no accuracy */
    const trial *best; /* whose model is: */
    bp_model *model;
} search;

/* --- a trial ---------------------------------------------------------------------------------- */

/* One that cannot be trained is a result too: its model is in j->model else. */
static bp_status train_trial(job *j, trial *t)
{
    TRY(bp_seed(j->ctx, (uint64_t)j->seed));
    TRY(model_of_options(j));
    TRY(trainer_of_options(j));
    TRY(run_trainer(j, &t->p));
    TRY(settle(j, &t->p));
    return bp_model_evaluate(j->model, j->valid, &t->loss, &t->accuracy);
}

static void forget(job *j)
{
    bp_trainer_free(j->trainer);
    bp_model_free(j->model);
    j->trainer = NULL;
    j->model = NULL;
}

static bp_status keep(search *s, const trial *t)
{
    job *j = s->j;
    bp_model_free(s->model);
    s->model = j->model;
    j->model = NULL;
    s->best = t;
    return s->given->out ? bp_model_save(s->model, s->given->out) : BP_OK;
}

/* --- what is told ------------------------------------------------------------------------------ */

static void value_text(const option *o, const settings *set, char *to, size_t room)
{
    const void *place = (const char *)set + o->place;
    char word[32];
    if (o->words)
        snprintf(to, room, "%s", option_word(o, *(const double *)place, word));
    else if (o->integer)
        snprintf(to, room, "%.0f", *(const double *)place);
    else if (o->number) /* the shortest that is read as it */
        for (int digits = 1, n = 0; n == 0 || strtod(to, NULL) != *(const double *)place; digits++)
            n = snprintf(to, room, "%.*g", digits, *(const double *)place);
    else
        snprintf(to, room, "%s", *(const char *const *)place);
}

static settings values_of(const search *s, const trial *t)
{
    settings set = *s->given;
    ranges_draw(&s->ranges, t->number, &set);
    return set;
}

static void print_json(const search *s, const trial *t)
{
    settings set = values_of(s, t);
    json to = {stdout, false};
    json_open(&to, NULL, '{');
    json_number(&to, "trial", (double)t->number);
    for (int i = 0; i < s->ranges.n; i++) {
        const option *o = s->ranges.at[i].option;
        char text[4096];
        value_text(o, &set, text, sizeof text);
        if (o->number)
            json_number(&to, o->name, *(const double *)((const char *)&set + o->place));
        else
            json_text(&to, o->name, text);
    }
    json_number(&to, "valid_loss", t->loss);
    if (!s->numbers)
        json_number(&to, "valid_accuracy", t->accuracy);
    json_number(&to, "best_epoch", (double)t->p.best_epoch);
    json_number(&to, "seconds", t->p.seconds);
    if (t->as)
        json_number(&to, "as", (double)t->as);
    if (t->failed[0])
        json_text(&to, "failed", t->failed);
    json_close(&to, '}');
    printf("\n");
    fflush(stdout);
}

static int by_loss(const void *a, const void *b)
{
    const trial *s = a, *t = b;
    double x = isnan(s->loss) ? INFINITY : s->loss, y = isnan(t->loss) ? INFINITY : t->loss;
    return x != y ? x < y ? -1 : 1 : (s->number > t->number) - (s->number < t->number);
}

/* What a column of an option takes: its name, and its longest value. */
static int width_of(const search *s, const option *o)
{
    int most = (int)strlen(o->name);
    for (int64_t k = 0; k < s->n; k++) {
        settings set = values_of(s, &s->trial[k]);
        char text[4096];
        value_text(o, &set, text, sizeof text);
        most = (int)strlen(text) > most ? (int)strlen(text) : most;
    }
    return most;
}

static void print_table(const search *s, const trial *sorted)
{
    int width[OPERANDS];
    printf("%6s %10s%s %6s %8s", "trial", "loss", s->numbers ? "" : "   accuracy", "epoch",
           "seconds");
    for (int i = 0; i < s->ranges.n; i++) {
        const option *o = s->ranges.at[i].option;
        width[i] = width_of(s, o);
        printf("  %-*s", width[i], o->name);
    }
    printf("\n");
    for (int64_t k = 0; k < s->n; k++) {
        const trial *t = &sorted[k];
        settings set = values_of(s, t);
        printf("%6lld %10.4g", (long long)t->number, t->loss);
        if (!s->numbers)
            printf(" %8.2f %%", 100 * t->accuracy);
        printf(" %6lld %8.2f", (long long)t->p.best_epoch, t->p.seconds);
        for (int i = 0; i < s->ranges.n; i++) {
            char text[4096];
            value_text(s->ranges.at[i].option, &set, text, sizeof text);
            printf("  %-*s", width[i], text);
        }
        if (t->as)
            printf("  as trial %lld", (long long)t->as);
        printf("%s%s\n", t->failed[0] ? "  failed: " : "", t->failed);
    }
}

/* The line that makes the best again. */
static void say_command(const search *s)
{
    settings set = values_of(s, s->best);
    bool counted[N_OPTIONS] = {false}; /* with these values */
    count_options(&set, counted);
    set.given[BP_TRAIN_HOLD_OUT] = true;
    fprintf(stderr, "the best again: bpcuda train");
    for (int i = 0; i < N_OPTIONS; i++) {
        const option *o = &options[i];
        char text[4096];
        if (!o->name || !set.given[i] || !counted[i] || !(o->commands & TRAIN) || !o->value ||
            i == OPTION_out)
            continue;
        value_text(o, &set, text, sizeof text);
        fprintf(stderr, " %s", option_shown(o));
        say_quoted(" ", text);
    }
    fputc('\n', stderr);
}

static bp_status tell_best(search *s)
{
    job *j = s->j;
    bp_metrics m;
    json to = {stdout, false};
    j->model = s->model; /* freed with the job */
    s->model = NULL;
    TRY(bp_model_measure(j->model, j->test ? j->test : j->valid, &m));
    if (s->given->json) {
        json_open(&to, NULL, '{');
        json_number(&to, "best", (double)s->best->number);
        json_number(&to, "trials", (double)s->n);
        print_metrics(j, &m, j->test ? "test_" : "valid_", &to);
        if (signal_came())
            json_bool(&to, "stopped", true);
        json_close(&to, '}');
    } else {
        printf("trial %lld: ", (long long)s->best->number);
        print_metrics(j, &m, j->test ? "test" : "validation", NULL);
    }
    printf("\n");
    if (!s->given->quiet)
        say_command(s);
    return BP_OK;
}

/* --- all of them ------------------------------------------------------------------------------- */

/* The earlier one that a trial is the same as, for its bits would be; NULL: there is none. */
static const trial *earlier(const search *s, const trial *t)
{
    for (int64_t k = 0; k < s->n; k++)
        if (!s->trial[k].as && ranges_equal(&s->ranges, s->given, s->trial[k].number, t->number))
            return &s->trial[k];
    return NULL;
}

/* What is wrong with a trial is a line of the table. */
static bp_status try_values(search *s, trial *t)
{
    job *j = s->j;
    settings set = values_of(s, t);
    set.quiet = true; /* no bar: a line a trial */
    j->set = &set;
    bp_status st = train_trial(j, t), kept = BP_OK;
    if (st != BP_OK && st != BP_ERR_STOPPED)
        snprintf(t->failed, sizeof t->failed, "%.150s", j->text[0] ? j->text : bp_error_text(j->ctx));
    j->text[0] = '\0';
    j->set = s->given;
    if (st == BP_OK && isfinite(t->loss) && (!s->best || t->loss < s->best->loss))
        kept = keep(s, t);
    forget(j);
    return kept != BP_OK ? kept : st == BP_ERR_STOPPED ? st : BP_OK;
}

static bp_status run_trials(search *s)
{
    for (int64_t i = 0; i < (int64_t)s->given->trials && !signal_came(); i++) {
        trial *t = &s->trial[s->n];
        *t = (trial){.number = (int64_t)s->given->first + i, .loss = NAN, .accuracy = NAN};
        const trial *same = earlier(s, t);
        bp_status st = same ? BP_OK : try_values(s, t);
        if (st != BP_OK)
            return st == BP_ERR_STOPPED ? BP_OK : st;
        if (same) {
            int64_t number = t->number;
            *t = *same;
            t->as = same->number;
            t->number = number;
            t->p.seconds = 0;
        }
        s->n++;
        if (s->given->json)
            print_json(s, t);
        talk(s->j, "trial %lld: validation %.4g, best %.4g%s%s\n", (long long)t->number, t->loss,
             s->best ? s->best->loss : NAN, t->failed[0] ? ": " : "", t->failed);
    }
    return BP_OK;
}

static bp_status finish(search *s)
{
    job *j = s->j;
    j->exit = signal_came() ? 130 : 0;
    if (!s->best && s->n > 0)
        return fail(j, BP_ERR_STATE, "search: no trial could be trained: %s", s->trial[0].failed);
    if (!s->best)
        return fail(j, BP_ERR_STOPPED, "search: stopped before a trial was finished");
    trial *sorted = malloc((size_t)s->n * sizeof *sorted);
    if (!sorted)
        return fail(j, BP_ERR_NOMEM, "search: out of memory");
    memcpy(sorted, s->trial, (size_t)s->n * sizeof *sorted);
    qsort(sorted, (size_t)s->n, sizeof *sorted, by_loss);
    if (!s->given->json)
        print_table(s, sorted);
    free(sorted);
    return tell_best(s);
}

/* A text is looked at before the first trial: layers, schedules. */
static bp_status check_texts(search *s)
{
    job *j = s->j;
    bp_status st = BP_OK;
    for (int i = 0; i < s->ranges.n; i++) {
        const range *r = &s->ranges.at[i];
        settings set = *s->given;
        set.quiet = true;
        for (int k = 0; k < r->words && st == BP_OK && !r->option->number && !r->option->words; k++) {
            range_put(r, k, &set);
            j->set = &set;
            st = model_of_options(j);
            st = st == BP_OK ? trainer_of_options(j) : st;
            j->set = s->given;
            forget(j);
        }
    }
    return st;
}

/* What every trial has: data, and a file that can be written. */
static bp_status prepare(search *s)
{
    job *j = s->j;
    TRY(open_context(j));
    TRY(load_data(j, LEARN));
    s->numbers = bp_data_targets(j->train) == BP_TARGETS_REAL;
    TRY(check_files(j));
    TRY(check_texts(s));
    if (s->given->out) {
        TRY(model_of_options(j));
        TRY(bp_model_save_check(j->model, s->given->out));
        forget(j);
    }
    s->trial = calloc((size_t)s->given->trials, sizeof *s->trial);
    return s->trial ? BP_OK : fail(j, BP_ERR_NOMEM, "search: out of memory");
}

bp_status command_search(job *j)
{
    search s = {.j = j, .given = j->set};
    int status = ranges_read(j->set, &s.ranges);
    bp_status st = BP_OK;
    if (status != COMMAND_RUN) {
        j->exit = status; /* said already */
    } else {
        st = prepare(&s);
        listen_to_signals();
        if (st == BP_OK)
            st = run_trials(&s);
        if (st == BP_OK)
            st = finish(&s);
    }
    bp_model_free(s.model);
    ranges_free(&s.ranges);
    free(s.trial);
    return st;
}
