/* Rognvaldsson's estimate of the weight decay, |g| / |w|: g is the gradient of the mean loss over
 * all rows that train, w the weights, both of rank 2 and more. The gradient is added up some rows
 * at a time, as the parts of a batch are. */
#include <math.h>

#include "core/params.h"
#include "core/rng.h"
#include "core/tensor.h"
#include "data/data.h"
#include "train/train.h"

typedef struct pass {
    bp_trainer *t;
    int64_t first, n, rows;
    double squares[2]; /* of the gradient, of the weights */
} pass;

static bp_status add_rows(bp_context *ctx, void *user)
{
    pass *p = user;
    bp_trainer *t = p->t;
    bp_batch batch = {.ctx = ctx, .data = t->train, .rows = p->n,
                      .index = bp_arange(ctx, BP_I32, (double)p->first, 1, p->n)};
    bpi_step_loss l;
    BPI_TRY(bpi_batch_loss(t, &batch, &l));
    if (l.weight) { /* its mean counts by its rows' weights */
        bp_tensor *all = bp_sum(bp_cast(bpi_data_weights(t->train), BP_F64));
        l.loss = bp_mul(l.loss, bp_cast(bp_div(l.weight, all), bp_dtype_of(l.loss)));
    } else {
        l.loss = bp_scale(l.loss, (double)p->n / (double)p->rows);
    }
    return bp_backward(ctx, l.loss);
}

static bp_status add_squares(bp_context *ctx, void *user)
{
    pass *p = user;
    bp_params *params = p->t->params;
    (void)ctx;
    for (int32_t i = 0; i < bp_param_count(params); i++) {
        bp_tensor *w = bp_param_at(params, i), *g = bp_param_grad(params, i);
        double both[2];
        if (!g || bp_shape_of(w).ndim < 2)
            continue;
        bp_tensor *sums[] = {bp_sum_squares(bp_cast(g, BP_F64)),
                             bp_sum_squares(bp_cast(w, BP_F64))};
        BPI_TRY(bp_read_all(p->t->ctx, sums, 2, both, 2));
        p->squares[0] += both[0];
        p->squares[1] += both[1];
    }
    return BP_OK;
}

static bp_status measure(bp_trainer *t, pass *p)
{
    int64_t batch = (int64_t)t->now.option[BP_TRAIN_BATCH];
    bp_status st = bp_grad_clear(t->params);
    for (; st == BP_OK && p->first < p->rows; p->first += batch) {
        p->n = p->rows - p->first < batch ? p->rows - p->first : batch;
        st = bp_run(t->ctx, 0, add_rows, p);
    }
    if (st == BP_OK)
        st = bp_run(t->ctx, BP_NO_GRAD, add_squares, p);
    bp_status end = bp_grad_clear(t->params);
    return st != BP_OK ? st : end;
}

static bp_status decay(bp_trainer *t, double *l2)
{
    BPI_TRY(bpi_given(t->ctx, l2, "trainer_decay: l2"));
    BPI_TRY(bpi_train_prepare(t));
    if (bpi_train_arrives(t))
        return bpi_fail(t->ctx, BP_ERR_STATE, "trainer_decay: a source has no rows of its own");
    pass p = {.t = t, .rows = bp_data_rows(t->train)};
    if (p.rows < 1)
        return bpi_fail(t->ctx, BP_ERR_STATE, "trainer_decay: the data set has no rows yet");
    bpi_rng_saved rng; /* passes move the stream on, and looking is no step */
    BPI_TRY(bpi_rng_save(t->ctx, &rng));
    bp_status st = measure(t, &p), end = bpi_rng_restore(t->ctx, &rng);
    if (st != BP_OK || end != BP_OK)
        return st != BP_OK ? st : end;
    double found = sqrt(p.squares[0] / p.squares[1]);
    if (!isfinite(found))
        return bpi_fail(t->ctx, BP_ERR_NONFINITE, "trainer_decay: the gradient's norm is %g, that "
                        "of the weights %g", sqrt(p.squares[0]), sqrt(p.squares[1]));
    *l2 = found;
    return BP_OK;
}

bp_status bp_trainer_decay(bp_trainer *t, double *l2)
{
    if (l2)
        *l2 = 0;
    BPI_LEADS(t, "trainer_decay: trainer");
    BPI_INSIDE(t->ctx, decay(t, l2));
}
