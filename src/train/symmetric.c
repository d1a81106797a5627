/* Units that would stay one: those of a weight whose rows are all equal, and to which the first
 * batch gives equal gradients. Where no weight has equal rows, that is a look at two rows each. */
#include "core/params.h"
#include "core/rng.h"
#include "core/view.h"
#include "train/train.h"

/* What is asked of a weight, or its gradient: whether its first rows are all the same. */
typedef struct question {
    bp_tensor *of; /* [rows, ...] */
    int64_t rows;
    double differ; /* the sum of |row - row 0| */
} question;

static bp_status ask(bp_context *ctx, void *user)
{
    question *q = user;
    (void)ctx;
    bp_tensor *some = bp_slice(q->of, 0, 0, q->rows, 1), *first = bp_slice(q->of, 0, 0, 1, 1);
    return bp_read_f64(bp_sum(bp_abs(bp_sub(some, first))), &q->differ, 1);
}

static bp_status rows_equal(bp_trainer *t, bp_tensor *of, bool *equal)
{
    int64_t rows = bp_shape_of(of).dim[0];
    question q = {of, 2, 0};
    BPI_TRY(bp_run(t->ctx, BP_NO_GRAD, ask, &q));
    q.rows = rows;
    if (q.differ == 0 && rows > 2)
        BPI_TRY(bp_run(t->ctx, BP_NO_GRAD, ask, &q));
    *equal = q.differ == 0;
    return BP_OK;
}

/* Whether parameter i is a weight of several units that are all the same. */
static bp_status equal_units(bp_trainer *t, int32_t i, bool *equal)
{
    const bpi_segment *s = &t->params->segment[i];
    *equal = false;
    if (s->frozen || s->shape.ndim < 2 || s->shape.dim[0] < 2 || bp_shape_count(s->shape) == 0)
        return BP_OK;
    return rows_equal(t, bp_param_at(t->params, i), equal);
}

/* The gradients of the first batch. A function of the program's may take other rows where it does
 * not train. */
static bp_status gradients(bp_context *ctx, void *user)
{
    bp_trainer *t = user;
    bp_tensor *index = bpi_train_index(t);
    bp_batch batch = {.ctx = ctx, .data = t->train, .index = index, .training = t->loss_fn != NULL,
                      .rows = t->cut.full ? t->cut.batch : t->cut.rest,
                      .whole = bpi_train_arrives(t)};
    bpi_step_loss l;
    BPI_TRY(bpi_batch_loss(t, &batch, &l));
    return bp_backward(ctx, l.loss);
}

/* The draws of the run are those that it would have without. */
static bp_status run_gradients(bp_trainer *t)
{
    bpi_rng_saved rng;
    BPI_TRY(bpi_rng_save(t->ctx, &rng));
    bp_status st = bp_run(t->ctx, 0, gradients, t);
    bp_status back = bpi_rng_restore(t->ctx, &rng);
    return st != BP_OK ? st : back;
}

static bp_status stays_equal(bp_trainer *t, int32_t i)
{
    const bpi_segment *s = &t->params->segment[i];
    bp_tensor *grad = bp_param_grad(t->params, i);
    bool equal = false;
    BPI_TRY(equal_units(t, i, &equal));
    if (equal && grad)
        BPI_TRY(rows_equal(t, grad, &equal));
    if (!equal || !grad)
        return BP_OK;
    return bpi_fail(t->ctx, BP_ERR_STATE, "trainer_run: the %lld units of %s %s begin with equal "
                    "weights and get equal gradients: they would stay one unit. Weights that are "
                    "drawn are wanted, or the option symmetric", (long long)s->shape.dim[0],
                    s->name, bpi_shape_str(&s->shape).s);
}

bp_status bpi_train_symmetric(bp_trainer *t)
{
    bool any = false, equal;
    bp_status st = BP_OK;
    if (t->now.option[BP_TRAIN_SYMMETRIC] != 0)
        return BP_OK;
    for (int32_t i = 0; i < bp_param_count(t->params) && !any; i++) {
        BPI_TRY(equal_units(t, i, &equal));
        any |= equal;
    }
    if (!any)
        return BP_OK;
    BPI_TRY(run_gradients(t));
    for (int32_t i = 0; i < bp_param_count(t->params) && st == BP_OK; i++)
        st = stays_equal(t, i);
    bp_status cleared = bp_grad_clear(t->params);
    return st != BP_OK ? st : cleared;
}
