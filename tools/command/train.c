/* bpcuda train: reads, trains, tests, saves. All that can be wrong is found before the first step:
 * the options, the data, the files that will be written. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fit.h"
#include "job.h"
#include "json.h"

/* A first checkpoint is written at once: where that cannot be, no time is lost. */
static bp_status prepare_checkpoint(job *j)
{
    const settings *set = j->set;
    int32_t done;
    bool there = set->checkpoint && set->resume && access(set->checkpoint, F_OK) == 0;
    static const bp_train_option asked[] = {BP_TRAIN_LR, BP_TRAIN_PATIENCE}; /* else the file's */
    if (set->resume && !there)
        talk(j, "there is no %s yet: the run begins\n", set->checkpoint);
    bp_status st = there ? bp_trainer_resume(j->trainer, set->checkpoint) : BP_OK;
    if (st != BP_OK && set->checkpoint_keep > 1)
        return fail(j, st, "%.400s (older ones are in %.60s.1 and on)", bp_error_text(j->ctx),
                    set->checkpoint);
    TRY(st);
    for (size_t i = 0; there && i < sizeof asked / sizeof *asked; i++)
        if (set->given[asked[i]] && !(asked[i] == BP_TRAIN_LR && set->train[asked[i]] == LR_AUTO))
            TRY(bp_trainer_set(j->trainer, asked[i], set->train[asked[i]]));
    if (set->checkpoint)
        TRY(bp_trainer_save_every(j->trainer, (int64_t)set->checkpoint_every, set->checkpoint,
                                  (int32_t)set->checkpoint_keep));
    TRY(bp_trainer_run(j->trainer, 0, -1, &done));
    if (set->checkpoint && !there)
        TRY(bp_trainer_save(j->trainer, set->checkpoint, (int32_t)set->checkpoint_keep));
    bp_progress p;
    bp_trainer_progress(j->trainer, &p);
    if (there)
        talk(j, "goes on from %s, step %lld%s\n", set->checkpoint, (long long)p.steps,
             p.epoch >= set->train[BP_TRAIN_EPOCHS] ? ": all --epochs are done" : "");
    return BP_OK;
}

/* --- its end --------------------------------------------------------------------------------- */

static double samples_per_second(const job *j, const bp_progress *p)
{
    double epochs = p->epoch_steps ? (double)p->steps / (double)p->epoch_steps : 0;
    return epochs * (double)bp_data_rows(j->train) / (p->seconds > 0 ? p->seconds : 1e-9);
}

/* The members of the result, on stdout and in the log. */
static void describe_result(const job *j, const bp_progress *p, const bp_metrics *m, bool stopped,
                            json *to)
{
    print_metrics(j, m, "test_", to);
    if (!j->test)
        json_text(to, "tested_on", "training rows");
    if (bp_model_members(j->model) > 1)
        json_number(to, "members", bp_model_members(j->model));
    if (j->valid && p->best_epoch) {
        json_number(to, "valid_loss", p->best_loss);
        json_number(to, "best_epoch", (double)p->best_epoch);
    }
    if (j->set->estimate_decay)
        json_number(to, "l2_estimate", j->l2);
    json_number(to, "epochs", (double)p->epoch);
    if (j->fitted.struct_bytes) {
        json_number(to, "value", j->fitted.value);
        json_text(to, "ended", stopped          ? "it was stopped"
                               : p->stopped_by ? "--patience is over"
                                               : bp_stop_text(j->fitted.stop));
    }
    json_number(to, "seconds", p->seconds);
    json_number(to, "samples_per_second", samples_per_second(j, p));
    json_text(to, "device", bp_device_text(j->ctx));
    json_number(to, "seed", j->set->train[BP_TRAIN_SEED]);
    if (p->stopped_by)
        json_text(to, "stopped_by", options[p->stopped_by].name);
    if (stopped)
        json_bool(to, "stopped", true);
}

static void print_result(const job *j, const bp_progress *p, const bp_metrics *m, bool stopped)
{
    json to = {stdout, false};
    if (j->set->json) {
        json_open(&to, NULL, '{');
        describe_result(j, p, m, stopped, &to);
        json_close(&to, '}');
    } else {
        print_metrics(j, m, j->test ? "test" : "training", NULL);
        if (j->set->estimate_decay)
            printf(", l2 about %.3g", j->l2);
        printf(", %lld epochs in %.2f s, %.0f samples/s%s%s", (long long)p->epoch, p->seconds,
               samples_per_second(j, p), p->stopped_by ? ", ended by " : stopped ? ", stopped" : "",
               p->stopped_by ? option_shown(&options[p->stopped_by]) : "");
    }
    printf("\n");
    fflush(stdout);
}

static void tell_what_next(const job *j, bool stopped)
{
    const settings *set = j->set;
    char word[32];
    if (set->quiet)
        return;
    if (set->out)
        fprintf(stderr, "saved %s\n", set->out);
    if (stopped && set->checkpoint && !j->lost[0]) {
        fprintf(stderr, "the run is in %s: the same command with --resume goes on\n",
                set->checkpoint);
    } else if (set->out && strcmp(set->data, "-")) {
        say_quoted("next: bpcuda eval ", set->out);
        say_quoted(" --data ", set->data);
        if (set->target)
            say_quoted(" --target ", set->target);
        if (set->skip)
            say_quoted(" --skip ", set->skip);
        if (set->header)
            say_quoted(" --header ", option_word(&options[OPTION_header], set->header, word));
        if (strncmp(set->data, "mnist:", 6) && strcmp(set->data, "digits"))
            fprintf(stderr, " --split %.16g", set->split);
        fputc('\n', stderr);
    } else if (!set->out && !set->json) {
        fprintf(stderr, "the model is not kept: --out FILE saves it\n");
    }
}

bp_status finish(job *j, diary *d, bool stopped, const bp_progress *p)
{
    bp_metrics m;
    if (j->set->estimate_decay)
        TRY(bp_trainer_decay(j->trainer, &j->l2));
    if (j->set->out)
        TRY(bp_model_save(j->model, j->set->out));
    TRY(bp_model_measure(j->model, j->test ? j->test : j->train, &m));
    if (d->log.file) {
        describe_result(j, p, &m, stopped, run_log_begin(&d->log, "result"));
        diary_line_ends(d);
    }
    print_result(j, p, &m, stopped);
    tell_what_next(j, stopped);
    j->exit = stopped ? 130 : 0;
    return BP_OK;
}

/* What was found out is said, with the option that says otherwise. */
void tell_what_is_done(const job *j)
{
    const settings *set = j->set;
    bool table = !strncmp(set->data, "csv:", 4) || !strcmp(set->data, "-");
    talk(j, "%s%s%s%s, --normalize %s: %lld rows to train, %lld to validate, %lld to test%s%s%s\n",
         bp_task_name(bp_model_task(j->model)), !table ? "" : set->target ? " of column \"" : "",
         !table ? "" : set->target ? set->target : " of the last column",
         table && set->target ? "\"" : "", bp_normalize_name(bp_model_normalized(j->model)),
         (long long)bp_data_rows(j->train), (long long)bp_data_rows(j->valid),
         (long long)bp_data_rows(j->test), j->test ? "" : " (the training rows are)",
         set->augment ? "; each batch is augmented anew: " : "", set->augment ? set->augment : "");
}

/* --- several seeds --------------------------------------------------------------------------- */

/* Model i of an ensemble is what the same command with --seed plus i makes, but that the rows which
 * validate are those of the first. It is in j->model. */
static bp_status train_member(job *j, int32_t i, bp_progress *p)
{
    if (i > 0) {
        bp_trainer_free(j->trainer);
        j->trainer = NULL;
        j->seed = j->set->train[BP_TRAIN_SEED] + i;
        TRY(bp_seed(j->ctx, (uint64_t)j->seed));
        TRY(model_of_options(j));
        TRY(trainer_of_options(j));
    }
    bp_status st = run_trainer(j, p);
    if (st != BP_OK && st != BP_ERR_STOPPED)
        return st;
    TRY(settle(j, p));
    talk(j, "model %d of %d, seed %.0f: loss %.4g", (int)i + 1, (int)j->set->ensemble, j->seed,
         p->loss);
    if (j->valid)
        talk(j, ", best validation %.4g", p->best_loss);
    talk(j, "\n");
    return st;
}

/* One that was stopped is left out, but for the first: there must be a model. */
static bp_status collect(job *j, bp_model **member, int32_t *n, bp_progress *all)
{
    bp_status st = BP_OK;
    *all = (bp_progress){0};
    for (int32_t i = 0; i < (int32_t)j->set->ensemble && st == BP_OK; i++) {
        bp_progress p;
        st = train_member(j, i, &p);
        if (st != BP_OK && st != BP_ERR_STOPPED)
            return st;
        all->epoch += p.epoch;
        all->steps += p.steps;
        all->seconds += p.seconds;
        all->epoch_steps = p.epoch_steps;
        if (st == BP_ERR_STOPPED && i > 0)
            break;
        member[(*n)++] = j->model;
        j->model = NULL;
    }
    return st;
}

static bp_status train_members(job *j, bp_progress *all)
{
    bp_model **member = calloc((size_t)j->set->ensemble, sizeof *member), *whole = NULL;
    int32_t n = 0;
    listen_to_signals();
    bp_status st = member ? collect(j, member, &n, all) : fail(j, BP_ERR_NOMEM, "out of memory");
    bool trained = st == BP_OK || st == BP_ERR_STOPPED;
    bp_status made = trained ? bp_model_ensemble(j->ctx, member, n, &whole) : BP_OK;
    bp_trainer_free(j->trainer);
    j->trainer = NULL;
    bp_model_free(j->model);
    j->model = whole;
    for (int32_t i = 0; i < n; i++)
        bp_model_free(member[i]);
    free(member);
    return made != BP_OK ? made : st;
}

/* --- from the options to the result ---------------------------------------------------------- */

static bp_status run_and_finish(job *j, diary *d)
{
    bp_progress p;
    TRY(diary_open(d));
    tell_what_is_done(j);
    bp_status st = j->set->ensemble > 1 ? train_members(j, &p) : run_trainer(j, &p);
    bool stopped = st == BP_ERR_STOPPED;
    if (st != BP_OK && !stopped)
        return st;
    if (stopped && j->set->checkpoint && !j->lost[0])
        TRY(bp_trainer_save(j->trainer, j->set->checkpoint, (int32_t)j->set->checkpoint_keep));
    if (j->set->ensemble == 1)
        TRY(settle(j, &p));
    return finish(j, d, stopped, &p);
}

static bp_status prepare(job *j)
{
    TRY(trainer_of_options(j));
    return prepare_checkpoint(j);
}

bp_status command_train(job *j)
{
    diary d = {.j = j};
    TRY(open_context(j));
    TRY(load_data(j, LEARN));
    TRY(model_of_options(j));
    TRY(check_files(j));
    if (j->set->out)
        TRY(bp_model_save_check(j->model, j->set->out));
    bp_status st = j->set->train[BP_TRAIN_OPTIMIZER] >= FIT_LBFGS ? fit_and_finish(j, &d)
                                                                  : prepare(j);
    if (st == BP_OK && j->trainer)
        st = run_and_finish(j, &d);
    diary_close(&d);
    return st == BP_OK && j->lost[0] ? fail(j, BP_ERR_IO, "%s", j->lost) : st;
}
