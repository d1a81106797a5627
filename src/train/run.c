/* The training loop. A step is a plan, recorded once for full batches and once for the rest, and
 * replayed after that. What changes from step to step lives on the device: the number of the step
 * in its epoch, which finds the rows and the rate in tables that are uploaded once an epoch, and
 * the sums of loss and correct rows, which are read once an epoch. */
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "core/context.h"
#include "core/plan.h"
#include "core/params.h"
#include "data/data.h"
#include "optim/optim.h"
#include "train/train.h"

enum { STEPS_AHEAD = 8 }; /* steps given to the device before a look at the clock */
enum { TEXT_MAX = 512 };  /* of an error that a callback finds */

/* --- a step ------------------------------------------------------------------------------- */

static bool is_full(const bp_trainer *t)
{
    return t->now.step < t->cut.full;
}

/* Rows begin .. end of the step's batch: loss, gradients, and what is told of them. */
static bp_status part_of_step(bp_trainer *t, bp_tensor *index, int64_t begin, int64_t end,
                              int64_t rows)
{
    bp_context *ctx = t->ctx;
    bool all = end - begin == rows;
    bp_batch batch = {.ctx = ctx, .data = t->train, .rows = end - begin, .training = true,
                      .index = all ? index : bp_slice(index, 0, begin, end, 1),
                      .whole = all && bpi_train_arrives(t)};
    double share = (double)(end - begin) / (double)rows;
    double weight = (double)(end - begin) / (double)t->cut.batch;
    bpi_step_loss l;
    BPI_TRY(bpi_batch_loss(t, &batch, &l));
    if (!all && l.weight) { /* its mean counts by its rows' weights */
        bp_tensor *whole = bp_sum(bp_cast(bp_gather(bpi_data_weights(t->train), index), BP_F64));
        bp_tensor *by = bp_div(l.weight, bp_clamp(whole, DBL_MIN, DBL_MAX));
        l.loss = bp_mul(l.loss, bp_cast(by, bp_dtype_of(l.loss)));
    } else if (!all) {
        l.loss = bp_scale(l.loss, share);
    }
    BPI_TRY(bp_backward(ctx, l.loss));
    bp_tensor *told = bp_cast(l.told, BP_F64);
    if (l.weight) {
        bp_tensor *sum = bp_cast(l.weight, BP_F64);
        BPI_TRY(bp_add_into(t->weight, sum));
        BPI_TRY(bp_add_into(t->loss, bp_scale(bp_mul(told, sum), 1 / (double)t->cut.batch)));
    } else {
        BPI_TRY(bp_add_into(t->loss, weight == 1 ? told : bp_scale(told, weight)));
    }
    return l.correct ? bp_add_into(t->correct, bp_cast(l.correct, BP_F64)) : BP_OK;
}

bp_tensor *bpi_train_index(bp_trainer *t)
{
    if (!is_full(t) || !t->batches)
        return t->rest;
    return bp_reshape(bp_gather(t->batches, t->at), BP_SHAPE(t->cut.batch));
}

/* The weights go into their mean. */
static bp_status average(bp_trainer *t, bp_tensor *share)
{
    bp_tensor *part[BPI_OPTIMIZER_TENSORS];
    const char *name[BPI_OPTIMIZER_TENSORS];
    bpi_optimizer_tensors(t->opt, part, name); /* the first is its state */
    return bpi_params_average_flat(t->params, t->mean, part[0], share);
}

/* What a plan records. The small calls stand together: a GPU takes neighbours as one. */
static bp_status train_step(bp_context *ctx, void *user)
{
    bp_trainer *t = user;
    int64_t rows = is_full(t) ? t->cut.batch : t->cut.rest;
    int64_t parts = (int64_t)t->now.option[BP_TRAIN_PARTS];
    parts = parts < rows ? parts : rows;
    bp_tensor *rate = bp_reshape(bp_gather(t->rates, t->at), BP_SCALAR);
    BPI_TRY(bp_copy_into(bp_optimizer_rate(t->opt), rate));
    bp_tensor *share = t->mean ? bp_reshape(bp_gather(t->shares, t->at), BP_SCALAR) : NULL;
    bp_tensor *index = bpi_train_index(t);
    for (int64_t i = 0; i < parts; i++) {
        BPI_TRY(bp_scope_begin(ctx, 0)); /* the memory of a part ends with it */
        bp_status st = part_of_step(t, index, i * rows / parts, (i + 1) * rows / parts, rows);
        bp_status end = bp_scope_end(ctx);
        BPI_TRY(st);
        BPI_TRY(end);
    }
    BPI_TRY(bp_add_into(t->at, t->one));
    BPI_TRY(bp_optimizer_step(t->opt));
    double most = t->now.option[BP_TRAIN_MAX_NORM];
    BPI_TRY(most > 0 ? bp_max_norm(t->params, "*", most) : BP_OK);
    return share ? average(t, share) : BP_OK;
}

/* --- an epoch ----------------------------------------------------------------------------- */

/* s of trainer.h, of each step of the epoch. */
static bp_status upload_shares(bp_trainer *t)
{
    double least = 1 - t->now.option[BP_TRAIN_AVERAGE], *share = t->rate + t->steps;
    int64_t before = ((int64_t)t->now.option[BP_TRAIN_AVERAGE_FROM] - 1) * t->steps;
    for (int64_t i = 0; i < t->steps; i++) {
        double n = (double)(t->now.epoch * t->steps + i + 1 - before);
        share[i] = n <= 1 ? 1 : fmax(least, 1 / n);
    }
    return bp_write(t->shares, share, (size_t)t->steps * sizeof *share);
}

static bp_status upload_rates(bp_trainer *t)
{
    int64_t all = t->now.planned * t->steps;
    BPI_TRY(bp_schedule_fill(t->schedule, t->now.epoch * t->steps, t->steps, t->steps, all,
                             t->rate));
    for (int64_t i = 0; i < t->steps; i++)
        t->rate[i] *= t->now.option[BP_TRAIN_LR];
    BPI_TRY(bp_write(t->rates, t->rate, (size_t)t->steps * sizeof *t->rate));
    t->stale = false;
    return t->mean ? upload_shares(t) : BP_OK;
}

/* Sums of an epoch that goes on after a resume stay. */
static bp_status begin_epoch(bp_trainer *t)
{
    int32_t at = 0;
    double zero = 0;
    BPI_TRY(bpi_train_order(t));
    BPI_TRY(upload_rates(t));
    if (t->now.step == 0) {
        BPI_TRY(bp_write(t->at, &at, sizeof at));
        BPI_TRY(bp_write(t->loss, &zero, sizeof zero));
        BPI_TRY(bp_write(t->correct, &zero, sizeof zero));
        BPI_TRY(bp_write(t->weight, &zero, sizeof zero));
    }
    BPI_TRY(bpi_train_diagonal(t));
    t->begun = true;
    return BP_OK;
}

/* A failure leaves the epoch at its end, and the next run tries that again. */
static bp_status end_epoch(bp_trainer *t)
{
    bp_progress *p = &t->now.progress;
    double sum[3];
    BPI_TRY(bp_read_all(t->ctx, (bp_tensor *[]){t->loss, t->correct, t->weight}, 3, sum, 3));
    p->loss = sum[0] * (double)t->cut.batch / (sum[2] > 0 ? sum[2] : (double)t->cut.rows);
    p->accuracy = sum[1] / (double)t->cut.rows;
    p->epoch = ++t->now.epoch;
    bp_status st = bpi_train_measure(t);
    if (st != BP_OK) {
        p->epoch = --t->now.epoch;
        return st;
    }
    t->now.step = 0;
    t->begun = false;
    t->refused = !isfinite(p->loss);
    return t->refused ? bpi_fail(t->ctx, BP_ERR_NONFINITE, "trainer_run: the mean loss of epoch "
                                 "%lld is %g", (long long)p->epoch,
                                 isnan(p->loss) ? (double)NAN : p->loss) /* no sign */
                      : BP_OK;
}

/* A step, or up to `most` of them where the device takes several at a time; *steps of them. */
static bp_status next_steps(bp_trainer *t, int64_t most, int64_t *steps)
{
    bool eager = t->now.option[BP_TRAIN_EAGER] != 0;
    bool alone = t->on_step || bpi_train_arrives(t) || bpi_data_is_ring(t->train);
    bp_plan **plan = &t->plan[!is_full(t)];
    int64_t left = is_full(t) ? t->cut.full - t->now.step : 1;
    *steps = 0;
    if (!t->begun && t->now.step < t->steps)
        BPI_TRY(begin_epoch(t));
    if (t->now.step == t->steps)
        return BP_OK;
    if (t->stale)
        BPI_TRY(upload_rates(t));
    BPI_TRY(bpi_train_next(t));
    if (t->now.progress.steps == 0)
        BPI_TRY(bpi_train_symmetric(t));
    int32_t form = t->model ? bpi_model_form(t->model) : 0, *had = &t->form[!is_full(t)];
    if (*plan && (!bpi_plan_holds(*plan) || *had != form)) {
        bp_plan_free(*plan); /* a parameter was frozen, or samples are decorrelated now, say */
        *plan = NULL;
    }
    *had = form;
    *steps = alone || bp_plan_nodes(*plan) == 0 ? 1 : left < most ? left : most;
    bp_status st = eager ? bp_run(t->ctx, 0, train_step, t)
                 : *plan ? bp_plan_replay(*plan, *steps)
                         : bp_plan_record(t->ctx, train_step, t, plan);
    if (st != BP_OK)
        return st;
    t->now.progress.steps += *steps;
    t->now.step += *steps;
    t->now.progress.rate = t->rate[t->now.step - 1];
    return BP_OK;
}

bp_status bpi_train_step(bp_trainer *t)
{
    int64_t steps;
    if (t->now.step == t->steps) {
        t->now.step = 0;
        t->now.epoch++;
        t->begun = false;
    }
    return next_steps(t, 1, &steps);
}

/* --- between ------------------------------------------------------------------------------ */

static bp_status call(bp_trainer *t, bp_trainer_fn fn, void *user, const char *what)
{
    if (!fn)
        return BP_OK;
    bp_progress progress = t->now.progress;
    char before[TEXT_MAX];
    snprintf(before, sizeof before, "%s", bp_error_text(t->ctx));
    BPI_CALLBACK(callback);
    bpi_callback_begin(&callback, t->ctx, false);
    bp_status st = fn(t, &progress, user);
    BPI_TRY(bpi_callback_over(&callback, "trainer_run"));
    if (st == BP_OK || strcmp(before, bp_error_text(t->ctx)) != 0) /* it is told already */
        return st;
    return bpi_fail(t->ctx, st, "trainer_run: the callback for %s returned \"%s\"", what,
                    bp_status_name(st));
}

static bp_status save(bp_trainer *t)
{
    bool due = t->now.progress.steps - t->saved_at >= t->save_every || bpi_train_done(t);
    if (!t->save_every || !due || t->saved_at == t->now.progress.steps)
        return BP_OK;
    BPI_TRY(bp_trainer_save(t, t->save_path, t->save_keep));
    t->saved_at = t->now.progress.steps;
    return BP_OK;
}

/* Steps until the next save. */
static int64_t next_save(const bp_trainer *t)
{
    int64_t left = t->save_every - (t->now.progress.steps - t->saved_at);
    return left > 1 ? left : 1;
}

/* Once an epoch, also where a callback for its last step has ended the run. */
static bp_status tell_epoch(bp_trainer *t)
{
    if (t->now.told >= t->now.epoch)
        return BP_OK;
    t->now.told = t->now.epoch;
    return call(t, t->on_epoch, t->epoch_user, "epochs");
}

/* Steps, then what follows them. */
static bp_status advance(bp_trainer *t, int64_t most, int64_t *steps)
{
    BPI_TRY(next_steps(t, most, steps));
    bool ended = t->now.step == t->steps;
    if (ended)
        BPI_TRY(end_epoch(t));
    if (*steps > 0)
        BPI_TRY(call(t, t->on_step, t->step_user, "steps"));
    BPI_TRY(tell_epoch(t));
    return save(t);
}

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

static bp_status loop(bp_trainer *t, int64_t max_steps, double max_seconds, int32_t *done)
{
    double start = now();
    bool stopped = false;
    if (isnan(max_seconds))
        return bpi_fail(t->ctx, BP_ERR_ARG, "trainer_run: max_seconds is NaN");
    t->refused = false;
    t->ctx->refused_step = 0;
    BPI_TRY(bpi_train_prepare(t));
    BPI_TRY(bp_grad_clear(t->params));
    BPI_TRY(bp_optimizer_steps(t->opt, &t->base_count));
    t->base_steps = t->now.progress.steps;
    BPI_TRY(tell_epoch(t));
    int64_t i = 0, steps, synced = 0;
    for (; !(*done = bpi_train_done(t)); i += steps) {
        int64_t most = max_steps < 0 || max_steps - i > STEPS_AHEAD ? STEPS_AHEAD : max_steps - i;
        if (t->save_every && most > next_save(t))
            most = next_save(t);
        stopped = atomic_exchange(&t->stop, false);
        if (max_seconds >= 0 && i - synced >= STEPS_AHEAD) {
            BPI_TRY(bp_sync(t->ctx));
            synced = i;
        }
        if (stopped || most <= 0 || (max_seconds >= 0 && now() - start >= max_seconds))
            break;
        BPI_TRY(advance(t, most, &steps));
    }
    BPI_TRY(bp_sync(t->ctx));
    if (*done)
        BPI_TRY(save(t)); /* where the last one failed */
    return stopped ? bpi_fail(t->ctx, BP_ERR_STOPPED, "trainer_run: stopped after step %lld",
                              (long long)t->now.progress.steps)
                   : BP_OK;
}

/* Also where a callback is left by an exception. */
static void over(bp_trainer **running)
{
    (*running)->running = false;
}

static bp_status run(bp_trainer *t, int64_t max_steps, double max_seconds, int32_t *done)
{
    BPI_TRY(bpi_given(t->ctx, done, "trainer_run: done"));
    if (t->running && t->ctx->callbacks > t->callbacks) /* else it was left by a jump */
        return bpi_fail(t->ctx, BP_ERR_STATE, "trainer_run: called by a callback of this trainer");
    double start = now();
    t->running = true;
    t->callbacks = t->ctx->callbacks;
    __attribute__((cleanup(over), unused)) bp_trainer *running = t;
    bp_status st = loop(t, max_steps, max_seconds, done);
    if (t->ready && bpi_train_arrives(t))
        bpi_source_rest(t->train); /* what it calls is not called behind the run */
    if (st == BP_ERR_NONFINITE && (t->refused || t->ctx->refused_step))
        st = bpi_train_explain(t);
    t->now.progress.seconds += now() - start;
    return st;
}

bp_status bp_trainer_run(bp_trainer *t, int64_t max_steps, double max_seconds, int32_t *done)
{
    if (done)
        *done = 0;
    BPI_LEADS(t, "trainer_run: trainer");
    BPI_INSIDE(t->ctx, run(t, max_steps, max_seconds, done));
}

void bp_trainer_stop(bp_trainer *t)
{
    if (t)
        atomic_store(&t->stop, true);
}
