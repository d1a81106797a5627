/* What happens after an epoch: the loss of the rows that validate, the best weights so far, and
 * whether to go on. */
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
    if (!measured(t))
        return BP_OK;
    BPI_TRY(bpi_params_materialize(t->params));
    t->n_best = bp_param_count(t->params);
    t->best = bpi_host_alloc(t->ctx, (size_t)t->n_best * sizeof *t->best);
    if (!t->best)
        return bpi_fail(t->ctx, BP_ERR_NOMEM, "trainer_run: out of memory");
    for (int32_t i = 0; i < t->n_best; i++) {
        bp_tensor *p = bp_param_at(t->params, i);
        t->best[i] = bp_tensor_create(t->ctx, bp_dtype_of(p), bp_shape_of(p));
        if (!t->best[i])
            return BP_ERR_NOMEM;
    }
    return BP_OK;
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

static bp_status keep_best(bp_trainer *t)
{
    for (int32_t i = 0; t->best && i < t->n_best; i++)
        BPI_TRY(bp_copy_into(t->best[i], bp_param_at(t->params, i)));
    return BP_OK;
}

bp_status bpi_train_measure(bp_trainer *t)
{
    bp_progress *p = &t->now.progress;
    bp_data *data = measured(t);
    double loss = p->loss, accuracy = 0;
    if (data)
        BPI_TRY(bpi_data_drain(data)); /* a ring's */
    if (data && bp_data_rows(data) < 1)
        return bpi_fail(t->ctx, BP_ERR_STATE, "trainer_run: the data that validate have no rows "
                        "yet");
    if (data && t->model)
        BPI_TRY(bp_model_evaluate(t->model, data, &loss, &accuracy));
    else if (data)
        BPI_TRY(own_loss(t, data, &loss));
    bool better = p->best_epoch == 0 ? isfinite(loss) : loss < p->best_loss;
    if (better)
        BPI_TRY(keep_best(t));
    if (data) {
        p->valid_loss = loss;
        p->valid_accuracy = accuracy;
    }
    if (better) {
        p->best_loss = loss;
        p->best_epoch = t->now.epoch;
    }
    t->now.bad_epochs = better ? 0 : t->now.bad_epochs + 1;
    return bp_schedule_tell(t->schedule, loss);
}

bool bpi_train_done(const bp_trainer *t)
{
    double patience = t->now.option[BP_TRAIN_PATIENCE];
    return (double)t->now.epoch >= t->now.option[BP_TRAIN_EPOCHS] ||
           (patience > 0 && (double)t->now.bad_epochs >= patience);
}

static bp_status best(bp_trainer *t)
{
    if (!t->best || t->now.progress.best_epoch == 0)
        return bpi_fail(t->ctx, BP_ERR_STATE, "trainer_best: no epoch was measured on data that "
                        "validate");
    for (int32_t i = 0; i < t->n_best; i++)
        BPI_TRY(bp_copy_into(bp_param_at(t->params, i), t->best[i]));
    return BP_OK;
}

bp_status bp_trainer_best(bp_trainer *t)
{
    BPI_LEADS(t, "trainer_best: trainer");
    BPI_INSIDE(t->ctx, best(t));
}
