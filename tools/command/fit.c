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

static void tell_what_is_left_out(const job *j)
{
    char word[32];
    if (strstr(bp_model_layers(j->model), "dropout"))
        talk(j, "--optimizer %s leaves dropout out: the loss must be the same each time\n",
             option_word(&options[BP_TRAIN_OPTIMIZER], j->set->train[BP_TRAIN_OPTIMIZER], word));
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
    listen_to_signals();
    bp_status st = bp_model_fit(j->model, j->train, method, j->set->train[BP_TRAIN_L2], &o,
                                &j->fitted);
    bar_end(&f->b);
    if (st != BP_ERR_STOPPED || !f->waited)
        return st;
    f->p.stopped_by = BP_TRAIN_PATIENCE;
    return BP_OK;
}

bp_status fit_and_finish(job *j, diary *d)
{
    fit f = {.j = j, .d = d, .p = {.epoch_steps = 1}, .began = run_clock()};
    tell_what_is_left_out(j);
    TRY(diary_open(d));
    tell_what_is_done(j);
    bp_status st = run(&f);
    bool stopped = st == BP_ERR_STOPPED;
    if (st == BP_OK && !f.waited)
        talk(j, "%s\n", bp_stop_text(j->fitted.stop));
    if (f.best && (st == BP_OK || stopped)) {
        bp_status back = bp_model_restore(j->model, f.best);
        st = back == BP_OK ? st : back;
    }
    bp_snapshot_free(f.best);
    return st == BP_OK || stopped ? finish(j, d, stopped, &f.p) : st;
}
