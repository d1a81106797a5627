/* What rates follow from beside a schedule: the inputs of a layer's units, second derivatives, the
 * largest curvature of the loss. The range test: range.c. */
#include "core/rng.h"
#include "data/data.h"
#include "optim/optim.h"
#include "train/train.h"

enum { DIAGONAL_ROWS = 500, CURVATURE_ROWS = 1024 };

bp_status bpi_train_rates_prepare(bp_trainer *t)
{
    double power = t->now.option[BP_TRAIN_FAN_IN];
    if (bp_optimizer_kind_of(t->opt) == BP_DIAGONAL_LM && (!t->model || bpi_train_arrives(t)))
        return bpi_fail(t->ctx, BP_ERR_STATE, "trainer_run: diagonal-lm wants %s: second "
                        "derivatives are measured layer by layer on its rows",
                        t->model ? "data that are there, not a source" : "a model");
    if (bp_optimizer_kind_of(t->opt) == BP_DIAGONAL_LM)
        BPI_TRY(bpi_diagonal_fits(t->model, "trainer_run: diagonal-lm"));
    if (power == 0)
        return BP_OK;
    return t->model ? bp_model_fan_in(t->model, t->opt, power) : bp_optimizer_fan_in(t->opt, power);
}

/* Rows of the order from `first` on. */
static bp_status diagonal_of(bp_trainer *t, int64_t first, int64_t n, double share)
{
    bp_tensor *index = bp_tensor_create(t->ctx, BP_I32, BP_SHAPE(n));
    bp_status st = index ? bp_write(index, t->order + first, (size_t)n * sizeof *t->order)
                         : BP_ERR_NOMEM;
    if (st == BP_OK)
        st = bpi_model_diagonal(t->model, t->train, index, share, t->opt);
    bp_free(index);
    return st;
}

bp_status bpi_train_diagonal(bp_trainer *t)
{
    int64_t all = t->cut.rows < DIAGONAL_ROWS ? t->cut.rows : DIAGONAL_ROWS, batch = t->cut.batch;
    if (bp_optimizer_kind_of(t->opt) != BP_DIAGONAL_LM || t->now.step > 0)
        return BP_OK;
    for (int64_t first = 0; first < all; first += batch)
        BPI_TRY(diagonal_of(t, first, all - first < batch ? all - first : batch,
                            t->now.epoch + first == 0 ? 1 : 0.1));
    return BP_OK;
}

/* --- the largest curvature ------------------------------------------------------------------- */

typedef struct curved {
    bp_trainer *t;
    bp_batch batch;
} curved;

static bp_tensor *loss_of(bp_context *ctx, void *user)
{
    curved *c = user;
    bpi_step_loss l;
    (void)ctx;
    return bpi_batch_loss(c->t, &c->batch, &l) == BP_OK ? l.loss : NULL;
}

static bp_status measure(bp_trainer *t, bp_tensor *index, int64_t n, double tolerance,
                         int64_t products, bp_eigen *found)
{
    int64_t all = bp_data_rows(t->train);
    size_t bytes = (size_t)n * sizeof(int32_t);
    int32_t *row = bpi_host_alloc(t->ctx, bytes);
    if (!row || !index)
        return bpi_fail(t->ctx, BP_ERR_NOMEM, "trainer_curvature: out of memory");
    for (int64_t i = 0; i < n; i++)
        row[i] = (int32_t)(i * all / n);
    bp_status st = bp_write(index, row, bytes);
    bpi_host_free(t->ctx, row, bytes);
    curved c = {t, {.ctx = t->ctx, .data = t->train, .rows = n, .index = index}};
    if (st == BP_OK)
        st = bp_hessian_largest(t->params, loss_of, &c, tolerance, products, found);
    return st;
}

static bp_status curvature(bp_trainer *t, int64_t rows, double tolerance, int64_t products,
                           bp_eigen *found)
{
    int64_t all = bp_data_rows(t->train), n = rows ? rows : CURVATURE_ROWS;
    BPI_TRY(bpi_given(t->ctx, found, "trainer_curvature: found"));
    if (bpi_train_arrives(t) || all < 1)
        return bpi_fail(t->ctx, BP_ERR_STATE, "trainer_curvature: the data have no rows yet");
    if (rows < 0)
        return bpi_fail(t->ctx, BP_ERR_ARG, "trainer_curvature: %lld rows; 0 or more are wanted",
                        (long long)rows);
    n = n < all ? n : all;
    bpi_rng_saved rng; /* passes move the stream on, and looking is no step */
    BPI_TRY(bpi_rng_save(t->ctx, &rng));
    bp_tensor *index = bp_tensor_create(t->ctx, BP_I32, BP_SHAPE(n));
    bp_status st = measure(t, index, n, tolerance, products, found);
    bp_free(index);
    bp_status end = bpi_rng_restore(t->ctx, &rng);
    st = st != BP_OK ? st : end;
    if (st == BP_OK) {
        found->value += t->now.option[BP_TRAIN_L2];
        found->rate = found->value > 0 ? 1 / found->value : 0;
    }
    return st;
}

bp_status bp_trainer_curvature(bp_trainer *t, int64_t rows, double tolerance, int64_t products,
                               bp_eigen *found)
{
    bpi_result_begin(found, sizeof *found);
    BPI_LEADS(t, "trainer_curvature: trainer");
    BPI_INSIDE(t->ctx, curvature(t, rows, tolerance, products, found));
}
