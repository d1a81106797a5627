/* A batch, as a loss function sees it, and the loss: of a function of the user's, or of a model. */
#include <stdio.h>
#include <string.h>

#include "core/view.h"
#include "train/train.h"

static int32_t find(bp_batch *b, const char *name)
{
    for (int32_t i = 0; i < bp_data_columns(b->data); i++)
        if (!strcmp(bp_data_column_name(b->data, i), name))
            return i;
    char all[200] = "";
    for (int32_t i = 0; i < bp_data_columns(b->data); i++) {
        const char *other = bp_data_column_name(b->data, i);
        size_t n = strlen(all);
        snprintf(all + n, sizeof all - n, "%s%s", i ? ", " : "", other);
    }
    bpi_fail(b->ctx, BP_ERR_ARG, "batch_column: there is no column %.64s; the data have %s", name,
             all);
    return -1;
}

static bp_tensor *column(bp_batch *b, const char *name)
{
    int32_t i = find(b, name);
    if (i < 0)
        return NULL;
    bp_tensor *unknown = NULL, **known = i < BPI_COLUMNS_KNOWN ? &b->column[i] : &unknown;
    if (!*known) {
        bp_tensor *all = bp_data_column(b->data, name);
        *known = b->whole ? all : bp_gather(all, b->index);
    }
    return *known;
}

bp_tensor *bp_batch_column(bp_batch *b, const char *name)
{
    if (!b || !name)
        bpi_tell_thread(BP_ERR_ARG, b ? "batch_column: name is NULL"
                                      : "batch_column: batch is NULL");
    if (!b || !name || bpi_enter(b->ctx) != BP_OK)
        return NULL;
    bp_tensor *t = column(b, name);
    bpi_leave(b->ctx);
    return t;
}

bp_tensor *bp_batch_index(bp_batch *b)
{
    return b ? b->index : NULL;
}

int64_t bp_batch_rows(const bp_batch *b)
{
    return b ? b->rows : 0;
}

int32_t bp_batch_training(const bp_batch *b)
{
    return b ? b->training : 0;
}

static bp_status of_function(bp_trainer *t, bp_batch *b, bpi_step_loss *l)
{
    BPI_CALLBACK(callback);
    bpi_callback_begin(&callback, t->ctx, false);
    l->loss = l->told = t->loss_fn(t->ctx, b, t->loss_user);
    BPI_TRY(bpi_callback_over(&callback, "trainer_run"));
    if (!l->loss)
        return bpi_fail(t->ctx, BP_ERR_STATE, "trainer_run: the loss function returned NULL");
    bp_shape shape = bp_shape_of(l->loss);
    bp_dtype dtype = bp_dtype_of(l->loss);
    if (shape.ndim == 0 && (dtype == BP_F32 || dtype == BP_F64))
        return BP_OK;
    return bpi_fail(t->ctx, BP_ERR_SHAPE,
                    "trainer_run: the loss is %s %s; a real scalar, the mean over the batch, is "
                    "wanted", bp_dtype_name(dtype), bpi_shape_str(&shape).s);
}

bp_status bpi_batch_loss(bp_trainer *t, bp_batch *b, bpi_step_loss *l)
{
    *l = (bpi_step_loss){0};
    return t->model ? bpi_model_step_loss(t->model, b->data, b->index,
                                          b->training ? t->importance : NULL, b->training, l)
                    : of_function(t, b, l);
}
