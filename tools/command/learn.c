/* A model of the options, a trainer of it, and its run: what bpcuda train and search share. */
#include <signal.h>
#include <string.h>

#include "bar.h"
#include "job.h"

/* --- what is asked for ----------------------------------------------------------------------- */

bp_status model_of_options(job *j)
{
    static const bp_task of_targets[] = {0, BP_TASK_CLASSES, BP_TASK_REGRESSION, BP_TASK_LABELS};
    static const char *const loss[] = {NULL, "cross-entropy", "mse", "bce"};
    bp_task task = of_targets[bp_data_targets(j->train)];
    char given[32];
    bool squashed = (int)j->set->loss > BP_TASK_LABELS; /* "tanh" is behind those of the tasks */
    if (squashed ? task == BP_TASK_REGRESSION : j->set->loss && (int)j->set->loss != task)
        return fail(j, BP_ERR_ARG, "--loss %s: the task is %s, whose loss is %s",
                    option_word(&options[OPTION_loss], j->set->loss, given), bp_task_name(task),
                    loss[task]);
    TRY(of_line(bp_model_create_for(j->train, j->set->layers, &j->model)));
    TRY(bp_model_tanh_targets(j->model, squashed));
    return bp_model_normalize_as(j->model, j->train, (bp_normalize)j->set->normalize);
}

bp_status trainer_of_options(job *j)
{
    bool automatic = j->set->train[BP_TRAIN_LR] == LR_AUTO;
    TRY(bp_trainer_create(j->model, j->train, &j->trainer));
    for (int i = 1; i < TRAIN_OPTIONS; i++) /* held out before the normaliser was set: source.c */
        if (i != BP_TRAIN_HOLD_OUT && !(i == BP_TRAIN_LR && automatic))
            TRY(bp_trainer_set(j->trainer, i,
                               i == BP_TRAIN_SEED ? j->seed : j->set->train[i]));
    j->lr = j->set->train[BP_TRAIN_LR];
    if (automatic)
        TRY(rate_of_curvature(j, &j->lr));
    TRY(bp_trainer_set(j->trainer, BP_TRAIN_LR, j->lr));
    TRY(of_line(bp_trainer_schedule(j->trainer, j->set->schedule)));
    if (j->set->augment)
        TRY(of_line(bp_trainer_augment(j->trainer, j->set->augment)));
    return j->valid ? bp_trainer_validate(j->trainer, j->valid) : BP_OK;
}

/* --- the run --------------------------------------------------------------------------------- */

static bp_trainer *volatile running; /* or NULL: before a run, between two, behind it */
static volatile sig_atomic_t came;

/* The first signal ends the run behind its step, and what is done so far is written; the second is
 * taken for the same, for a shell and timeout(1) both send one; the third ends the program. */
static void stop(int number)
{
    came = came + 1;
    bp_trainer_stop(running);
    if (came < 3)
        return;
    signal(number, SIG_DFL);
    raise(number);
}

void listen_to_signals(void)
{
    struct sigaction stops = {.sa_handler = stop, .sa_flags = SA_RESTART}, hangup;
    sigaction(SIGINT, &stops, NULL);
    sigaction(SIGTERM, &stops, NULL);
    if (sigaction(SIGHUP, NULL, &hangup) == 0 && hangup.sa_handler != SIG_IGN) /* nohup */
        sigaction(SIGHUP, &stops, NULL);
}

bool signal_came(void)
{
    return came;
}

bp_status run_trainer(job *j, bp_progress *p)
{
    bp_trainer_progress(j->trainer, p);
    bar b = bar_begin(j, p);
    bp_status st = BP_OK;
    running = j->trainer;
    listen_to_signals();
    if (came)
        bp_trainer_stop(running);
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
    running = NULL;
    bar_end(&b);
    if (st == BP_ERR_NONFINITE)
        return fail(j, st, "%.400s (a smaller --lr, or --clip-norm 1, may help)",
                    bp_error_text(j->ctx));
    return st;
}

bp_status settle(job *j, const bp_progress *p)
{
    if (j->valid && p->best_epoch)
        return bp_trainer_best(j->trainer); /* of the mean, where one is taken */
    bool mean = j->set->train[BP_TRAIN_AVERAGE] > 0 && p->steps > 0;
    return mean ? bp_trainer_average(j->trainer) : BP_OK;
}

