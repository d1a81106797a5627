/* bpcuda train: reads, trains, tests, saves. All that can be wrong is found before the first step:
 * the options, the data, the files that will be written. */
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "bar.h"
#include "diary.h"
#include "job.h"
#include "json.h"

/* --- what is asked for ----------------------------------------------------------------------- */

static bp_status create_model(job *j)
{
    static const bp_task of_targets[] = {0, BP_TASK_CLASSES, BP_TASK_REGRESSION, BP_TASK_LABELS};
    static const char *const loss[] = {NULL, "cross-entropy", "mse", "bce"};
    bp_task task = of_targets[bp_data_targets(j->train)];
    char given[32];
    if (j->set->loss && (int)j->set->loss != task)
        return fail(j, BP_ERR_ARG, "--loss %s: the task is %s, whose loss is %s",
                    option_word(&options[OPTION_loss], j->set->loss, given), bp_task_name(task),
                    loss[task]);
    TRY(bp_model_create_for(j->train, j->set->layers, &j->model));
    return bp_model_normalize_as(j->model, j->train, (bp_normalize)j->set->normalize);
}

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
        if (set->given[asked[i]])
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

static bp_status create_trainer(job *j)
{
    TRY(bp_trainer_create(j->model, j->train, &j->trainer));
    for (int i = 1; i < TRAIN_OPTIONS; i++)
        if (i != BP_TRAIN_HOLD_OUT) /* cut before the normaliser was set: source.c */
            TRY(bp_trainer_set(j->trainer, i, j->set->train[i]));
    TRY(bp_trainer_schedule(j->trainer, j->set->schedule));
    return j->valid ? bp_trainer_validate(j->trainer, j->valid) : BP_OK;
}

/* --- the run --------------------------------------------------------------------------------- */

static bp_trainer *volatile running;

/* The first signal ends the run behind its step; a second one ends the program. */
static void stop(int signal)
{
    (void)signal;
    bp_trainer_stop(running);
}

static void listen_to_signals(bp_trainer *trainer)
{
    struct sigaction stops = {.sa_handler = trainer ? stop : SIG_DFL, .sa_flags = (int)SA_RESETHAND};
    running = trainer;
    sigaction(SIGINT, &stops, NULL);
    sigaction(SIGTERM, &stops, NULL);
    struct sigaction hangup; /* which nohup lets nobody hear */
    if (sigaction(SIGHUP, NULL, &hangup) == 0 && hangup.sa_handler != SIG_IGN)
        sigaction(SIGHUP, &stops, NULL);
}

static bp_status run(job *j, bp_progress *p)
{
    bp_trainer_progress(j->trainer, p);
    bar b = bar_begin(j, p);
    bp_status st = BP_OK;
    listen_to_signals(j->trainer);
    for (int32_t done = 0; !done && st == BP_OK;) {
        st = bp_trainer_run(j->trainer, b.terminal ? -1 : p->epoch_steps,
                            b.terminal ? 0.1 : -1, &done);
        if (st == BP_ERR_IO && !j->lost[0]) { /* a checkpoint: the run is worth more */
            bar_end(&b);
            lose(j, bp_error_text(j->ctx));
            st = bp_trainer_save_every(j->trainer, 0, NULL, 1);
        }
        bp_trainer_progress(j->trainer, p);
        if (st == BP_OK)
            bar_show(&b, p);
    }
    listen_to_signals(NULL);
    bar_end(&b);
    return st;
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
    if (j->valid && p->best_epoch) {
        json_number(to, "valid_loss", p->best_loss);
        json_number(to, "best_epoch", (double)p->best_epoch);
    }
    json_number(to, "epochs", (double)p->epoch);
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
        printf(", %lld epochs in %.2f s, %.0f samples/s%s%s", (long long)p->epoch, p->seconds,
               samples_per_second(j, p), p->stopped_by ? ", ended by " : stopped ? ", stopped" : "",
               p->stopped_by ? option_shown(&options[p->stopped_by]) : "");
    }
    printf("\n");
    fflush(stdout);
}

/* A word as a shell reads it. */
static void say_quoted(const char *before, const char *word)
{
    fputs(before, stderr);
    if (*word && !word[strspn(word, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                    "_-+=:,./@%")]) {
        fputs(word, stderr);
        return;
    }
    fputc('\'', stderr);
    for (; *word; word++)
        fputs(*word == '\'' ? "'\\''" : (char[]){*word, '\0'}, stderr);
    fputc('\'', stderr);
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

static bp_status finish(job *j, diary *d, bool stopped, const bp_progress *p)
{
    bp_metrics m;
    if (stopped && j->set->checkpoint && !j->lost[0])
        TRY(bp_trainer_save(j->trainer, j->set->checkpoint, (int32_t)j->set->checkpoint_keep));
    if (j->valid && p->best_epoch)
        TRY(bp_trainer_best(j->trainer)); /* which is of the mean, where one is taken */
    else if (j->set->train[BP_TRAIN_AVERAGE] > 0 && p->steps > 0)
        TRY(bp_trainer_average(j->trainer));
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
static void tell_what_is_done(const job *j)
{
    const settings *set = j->set;
    bool table = !strncmp(set->data, "csv:", 4) || !strcmp(set->data, "-");
    talk(j, "%s%s%s%s, --normalize %s: %lld rows to train, %lld to validate, %lld to test%s\n",
         bp_task_name(bp_model_task(j->model)), !table ? "" : set->target ? " of column \"" : "",
         !table ? "" : set->target ? set->target : " of the last column",
         table && set->target ? "\"" : "", bp_normalize_name(bp_model_normalized(j->model)),
         (long long)bp_data_rows(j->train), (long long)bp_data_rows(j->valid),
         (long long)bp_data_rows(j->test), j->test ? "" : " (the training rows are)");
}

static bp_status run_and_finish(job *j, diary *d)
{
    bp_progress p;
    TRY(diary_open(d));
    tell_what_is_done(j);
    bp_status st = run(j, &p);
    if (st == BP_ERR_NONFINITE)
        return fail(j, st, "%.400s (a smaller --lr, or --clip-norm 1, may help)",
                    bp_error_text(j->ctx));
    if (st != BP_OK && st != BP_ERR_STOPPED)
        return st;
    return finish(j, d, st == BP_ERR_STOPPED, &p);
}

bp_status command_train(job *j)
{
    diary d = {.j = j};
    TRY(open_context(j));
    TRY(load_data(j, LEARN));
    TRY(create_model(j));
    TRY(check_files(j));
    if (j->set->out)
        TRY(bp_model_save_check(j->model, j->set->out));
    TRY(create_trainer(j));
    TRY(prepare_checkpoint(j));
    bp_status st = run_and_finish(j, &d);
    diary_close(&d);
    return st == BP_OK && j->lost[0] ? fail(j, BP_ERR_IO, "%s", j->lost) : st;
}
