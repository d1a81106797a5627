/* bpcuda train --optimizer lbfgs, lm, gauss-newton: all rows at once. An iteration takes the place
 * of an epoch in the bar, the log and --val. */
#include <math.h>
#include <string.h>

#include "bar.h"
#include "fit.h"

typedef struct fit {
    job *j;
    diary *d;
    bar b;
    bp_progress p;
    double began;
    bp_snapshot *best; /* where rows validate */
    bool waited;       /* as long as --patience says */
} fit;

/* What is about steps of a part of the rows. */
static bp_status check_options(job *j)
{
    static const int none[] = {BP_TRAIN_BATCH, BP_TRAIN_LR, BP_TRAIN_L1, BP_TRAIN_DECAY_FROM,
                               BP_TRAIN_ROWS, BP_TRAIN_EPOCH_STEPS, BP_TRAIN_PARTS, BP_TRAIN_EAGER,
                               BP_TRAIN_CLIP_NORM, BP_TRAIN_WEIGHT_DECAY, BP_TRAIN_AVERAGE,
                               BP_TRAIN_AVERAGE_FROM, BP_TRAIN_STOP_GL, BP_TRAIN_STOP_PQ,
                               BP_TRAIN_STOP_UP, BP_TRAIN_STOP_STRIP, BP_TRAIN_BATCH_CLASSES,
                               BP_TRAIN_BATCH_PER_CLASS, BP_TRAIN_EMPHASIS, BP_TRAIN_MAX_NORM,
                               BP_TRAIN_MU, BP_TRAIN_FAN_IN, BP_TRAIN_SYMMETRIC, OPTION_ensemble,
                               OPTION_schedule, OPTION_augment, OPTION_checkpoint, OPTION_resume};
    const settings *set = j->set;
    const option *of = &options[BP_TRAIN_OPTIMIZER];
    char word[32];
    option_word(of, set->train[BP_TRAIN_OPTIMIZER], word);
    for (size_t i = 0; i < sizeof none / sizeof *none; i++)
        if (set->given[none[i]])
            return fail(j, BP_ERR_ARG, "%s says nothing to --optimizer %s, which takes all rows at "
                        "once%s", option_shown(&options[none[i]]), word,
                        none[i] == OPTION_checkpoint || none[i] == OPTION_resume
                            ? ": --out has the best so far, also on Ctrl-C" : "");
    if (strstr(bp_model_layers(j->model), "dropout"))
        talk(j, "--optimizer %s leaves dropout out: the loss must be the same each time\n", word);
    return BP_OK;
}

static bp_status validate(fit *f)
{
    bp_progress *p = &f->p;
    TRY(bp_model_evaluate(f->j->model, f->j->valid, &p->valid_loss, &p->valid_accuracy));
    double patience = f->j->set->train[BP_TRAIN_PATIENCE];
    f->waited = patience > 0 && (double)(p->epoch - p->best_epoch) >= patience;
    if (p->best_epoch && !(p->valid_loss < p->best_loss))
        return BP_OK;
    f->waited = false;
    p->best_epoch = p->epoch;
    p->best_loss = p->valid_loss;
    bp_snapshot_free(f->best);
    f->best = NULL;
    return bp_snapshot_take(f->j->model, &f->best);
}

static bp_status each(bp_context *ctx, const bp_found *now, void *user)
{
    fit *f = user;
    bp_progress *p = &f->p;
    (void)ctx;
    TRY(bp_model_evaluate(f->j->model, f->j->train, &p->loss, &p->accuracy));
    p->epoch = p->steps = now->iterations;
    p->rate = now->step;
    p->seconds = run_clock() - f->began;
    if (f->j->valid)
        TRY(validate(f));
    if (f->d->log.file || f->d->events.file)
        diary_epoch(f->d, p);
    bar_show(&f->b, p);
    return signal_came() || f->waited ? BP_ERR_STOPPED : BP_OK;
}

static bp_status run(fit *f)
{
    job *j = f->j;
    bp_minimize_options o = {.struct_bytes = sizeof o, .each = each, .user = f,
                             .iterations = (int64_t)j->set->train[BP_TRAIN_EPOCHS]};
    bp_method method = (bp_method)j->set->train[BP_TRAIN_OPTIMIZER] - FIT_LBFGS + BP_METHOD_LBFGS;
    j->fitted.struct_bytes = sizeof j->fitted;
    f->b = bar_begin(j, &f->p);
    listen_to_signals(true);
    bp_status st = bp_model_fit(j->model, j->train, method, j->set->train[BP_TRAIN_L2], &o,
                                &j->fitted);
    listen_to_signals(false);
    bar_end(&f->b);
    return st == BP_ERR_STOPPED && f->waited ? BP_OK : st;
}

bp_status fit_and_finish(job *j, diary *d)
{
    fit f = {.j = j, .d = d, .p = {.epoch_steps = 1}, .began = run_clock()};
    TRY(check_options(j));
    TRY(diary_open(d));
    tell_what_is_done(j);
    bp_status st = run(&f);
    bool stopped = st == BP_ERR_STOPPED;
    if (!stopped && st == BP_OK && !j->set->quiet)
        talk(j, "%s\n", f.waited ? "--patience is over" : bp_stop_text(j->fitted.stop));
    if (f.best && (st == BP_OK || stopped)) {
        bp_status back = bp_model_restore(j->model, f.best);
        st = back == BP_OK ? st : back;
    }
    bp_snapshot_free(f.best);
    return st == BP_OK || stopped ? finish(j, d, stopped, &f.p) : st;
}
