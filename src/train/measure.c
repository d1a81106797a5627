/* What happens after an epoch: the loss of the rows that validate, with the mean of the weights
 * where one is taken, the best weights so far, and whether to go on. */
#include <math.h>

#include "core/params.h"
#include "data/data.h"
#include "train/train.h"

static bp_data *measured(const bp_trainer *t)
{
    return t->part[1] ? t->part[1] : t->valid;
}

bp_status bpi_train_measure_prepare(bp_trainer *t)
{
    static const bp_train_option wants[] = {BP_TRAIN_STOP_GL, BP_TRAIN_STOP_PQ, BP_TRAIN_STOP_UP};
    for (size_t i = 0; i < sizeof wants / sizeof *wants; i++)
        if (t->now.option[wants[i]] > 0 && !measured(t))
            return bpi_fail(t->ctx, BP_ERR_STATE, "trainer_run: %s is set, and no data validate",
                            bpi_train_options[wants[i]].name);
    t->now.strip_least = t->now.strip_end = INFINITY;
    if (!measured(t))
        return BP_OK;
    t->best = bpi_params_flat(t->params);
    t->raw = t->mean ? bpi_params_flat(t->params) : NULL;
    return t->best && (t->raw || !t->mean) ? BP_OK : BP_ERR_NOMEM;
}

/* The loss function over all rows, a batch at a time. */
typedef struct pass {
    bp_trainer *t;
    bp_batch batch;
    int64_t first;
    bp_tensor *sum; /* f64 [] */
} pass;

static bp_status one_batch(bp_context *ctx, void *user)
{
    pass *w = user;
    bpi_step_loss l;
    w->batch.index = bp_arange(ctx, BP_I32, (double)w->first, 1, w->batch.rows);
    BPI_TRY(bpi_batch_loss(w->t, &w->batch, &l));
    return bp_add_into(w->sum, bp_scale(bp_cast(l.told, BP_F64), (double)w->batch.rows));
}

static bp_status own_loss(bp_trainer *t, bp_data *data, double *loss)
{
    int64_t rows = bp_data_rows(data), batch = (int64_t)t->now.option[BP_TRAIN_BATCH];
    pass w = {.t = t, .sum = bp_tensor_create(t->ctx, BP_F64, BP_SCALAR)};
    bp_status st = w.sum ? BP_OK : BP_ERR_NOMEM;
    for (; w.first < rows && st == BP_OK; w.first += batch) {
        w.batch = (bp_batch){.ctx = t->ctx, .data = data,
                             .rows = rows - w.first < batch ? rows - w.first : batch};
        st = bp_run(t->ctx, BP_NO_GRAD, one_batch, &w);
    }
    if (st == BP_OK)
        st = bp_read(w.sum, loss, sizeof *loss);
    *loss /= (double)rows;
    bp_free(w.sum);
    return st;
}

/* --- early stopping ------------------------------------------------------------------------ */

/* Which of Prechelt's criteria ends the run: trainer.h has the formulas. */
static bp_train_option stops(bp_trainer *t, double train, double valid)
{
    const double *option = t->now.option, best = t->now.progress.best_loss;
    double k = option[BP_TRAIN_STOP_STRIP];
    double lost = valid > best ? 100 * (valid - best) / fabs(best) : 0;
    t->now.strip_sum += train;
    t->now.strip_least = fmin(t->now.strip_least, train);
    if (option[BP_TRAIN_STOP_GL] > 0 && lost > option[BP_TRAIN_STOP_GL])
        return BP_TRAIN_STOP_GL;
    if (t->now.epoch % (int64_t)k != 0)
        return 0;
    double least = t->now.strip_least, above = t->now.strip_sum / k - least;
    double progress = above > 0 ? 1000 * above / fabs(least) : 0;
    t->now.rises = valid > t->now.strip_end ? t->now.rises + 1 : 0;
    t->now.strip_end = valid;
    t->now.strip_sum = 0;
    t->now.strip_least = INFINITY;
    if (option[BP_TRAIN_STOP_PQ] > 0 && lost > option[BP_TRAIN_STOP_PQ] * progress)
        return BP_TRAIN_STOP_PQ;
    bool up = option[BP_TRAIN_STOP_UP] > 0 && (double)t->now.rises >= option[BP_TRAIN_STOP_UP];
    return up ? BP_TRAIN_STOP_UP : 0;
}

static bool impatient(const bp_trainer *t)
{
    double patience = t->now.option[BP_TRAIN_PATIENCE];
    return patience > 0 && (double)t->now.bad_epochs >= patience;
}

bool bpi_train_done(const bp_trainer *t)
{
    bp_train_option by = t->now.progress.stopped_by;
    return (double)t->now.epoch >= t->now.option[BP_TRAIN_EPOCHS] ||
           (by && by != BP_TRAIN_PATIENCE) || impatient(t);
}

/* --- what is measured ---------------------------------------------------------------------- */

static bp_status loss_of_epoch(bp_trainer *t, double *loss, double *accuracy)
{
    bp_data *data = measured(t);
    if (!data)
        return BP_OK;
    BPI_TRY(bpi_data_drain(data)); /* a ring's */
    if (bp_data_rows(data) < 1)
        return bpi_fail(t->ctx, BP_ERR_STATE, "trainer_run: the data that validate have no rows "
                        "yet");
    return t->model ? bp_model_evaluate(t->model, data, loss, accuracy) : own_loss(t, data, loss);
}

static bool better(const bp_progress *p, double loss)
{
    return p->best_epoch == 0 ? isfinite(loss) : loss < p->best_loss;
}

/* With the mean of the weights in the store, where one is taken. */
static bp_status measure(bp_trainer *t, double *loss, double *accuracy)
{
    if (t->raw) {
        BPI_TRY(bpi_params_take(t->params, t->raw));
        BPI_TRY(bpi_params_give(t->params, t->mean, "trainer_run"));
    }
    bp_status st = loss_of_epoch(t, loss, accuracy), back = BP_OK;
    if (st == BP_OK && t->best && better(&t->now.progress, *loss))
        st = bpi_params_take(t->params, t->best);
    if (t->raw)
        back = bpi_params_give(t->params, t->raw, "trainer_run");
    return st != BP_OK ? st : back;
}

bp_status bpi_train_measure(bp_trainer *t)
{
    bp_progress *p = &t->now.progress;
    double loss = p->loss, accuracy = 0;
    BPI_TRY(measure(t, &loss, &accuracy));
    bool is_better = better(p, loss);
    if (measured(t)) {
        p->valid_loss = loss;
        p->valid_accuracy = accuracy;
    }
    if (is_better) {
        p->best_loss = loss;
        p->best_epoch = t->now.epoch;
    }
    t->now.bad_epochs = is_better ? 0 : t->now.bad_epochs + 1;
    BPI_TRY(bp_schedule_tell(t->schedule, loss));
    p->stopped_by = measured(t) ? stops(t, p->loss, loss) : 0;
    if (!p->stopped_by && impatient(t))
        p->stopped_by = BP_TRAIN_PATIENCE;
    return BP_OK;
}

/* --- into the store ------------------------------------------------------------------------ */

static bp_status best(bp_trainer *t)
{
    if (!t->best || t->now.progress.best_epoch == 0)
        return bpi_fail(t->ctx, BP_ERR_STATE, "trainer_best: no epoch was measured on data that "
                        "validate");
    return bpi_params_give(t->params, t->best, "trainer_best");
}

bp_status bp_trainer_best(bp_trainer *t)
{
    BPI_LEADS(t, "trainer_best: trainer");
    BPI_INSIDE(t->ctx, best(t));
}

static bp_status average(bp_trainer *t)
{
    if (!t->mean || t->now.progress.steps == 0)
        return bpi_fail(t->ctx, BP_ERR_STATE, "trainer_average: %s", t->now.option[BP_TRAIN_AVERAGE]
                        ? "no step was done" : "no mean of the weights is taken: average is 0");
    return bpi_params_give(t->params, t->mean, "trainer_average");
}

bp_status bp_trainer_average(bp_trainer *t)
{
    BPI_LEADS(t, "trainer_average: trainer");
    BPI_INSIDE(t->ctx, average(t));
}
