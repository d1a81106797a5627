/* Where a number that is not finite comes from: the loss of a batch's rows, computed again with the
 * weights as they are now, in a scope that looks at what each op makes. */
#include <stdio.h>

#include "core/context.h"
#include "train/train.h"

enum { TEXT_MAX = 512 };

typedef struct again {
    bp_trainer *t;
    bp_batch batch;
} again;

static bp_status loss_alone(bp_context *ctx, void *user)
{
    again *a = user;
    bpi_step_loss l;
    (void)ctx;
    return bpi_batch_loss(a->t, &a->batch, &l);
}

/* Step i of the epoch. */
static bp_status step_again(bp_trainer *t, int64_t i)
{
    int64_t rows = i < t->cut.full ? t->cut.batch : t->cut.rest;
    again a = {t, {.ctx = t->ctx, .data = t->train, .rows = rows, .training = true}};
    a.batch.index = bp_tensor_create(t->ctx, BP_I32, BP_SHAPE(rows));
    bp_status st = BP_ERR_NOMEM;
    if (a.batch.index)
        st = bp_write(a.batch.index, t->order + i * t->cut.batch, (size_t)rows * sizeof *t->order);
    if (st == BP_OK)
        st = bp_run(t->ctx, BP_NO_GRAD | BP_CHECK_FINITE, loss_alone, &a);
    bp_free(a.batch.index);
    return st;
}

bp_status bpi_train_explain(bp_trainer *t)
{
    char told[TEXT_MAX], op[TEXT_MAX];
    int64_t epoch = t->begun ? t->now.epoch : t->now.epoch - 1; /* the one that `order` is of */
    int64_t first = epoch * t->steps, refused = 0;              /* steps counted from 1 */
    if (t->ctx->refused_step) /* the optimiser counts what it took: all before the first refusal */
        refused = t->base_steps + t->ctx->refused_step - t->base_count;
    bool one = refused > first && refused <= first + t->steps;
    int64_t i = one ? refused - first - 1 : 0, end = one ? i + 1 : t->steps;
    snprintf(told, sizeof told, "%s", bp_error_text(t->ctx));
    bp_status st = BP_OK;
    for (; i < end && !bpi_train_arrives(t) && st == BP_OK; i++)
        st = step_again(t, i);
    snprintf(op, sizeof op, "%s", bp_error_text(t->ctx));
    if (st == BP_ERR_NONFINITE)
        return bpi_fail(t->ctx, st, "%s; computed again, step %lld of the run shows it first in %s",
                        told, (long long)(first + i), op);
    if (one)
        return bpi_fail(t->ctx, BP_ERR_NONFINITE, "%s; it was step %lld of the run", told,
                        (long long)refused);
    return bpi_fail(t->ctx, BP_ERR_NONFINITE, "%s", told);
}
