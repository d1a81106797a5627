/* Which rows an epoch has, in which order, and how they come to the device: as a table of row
 * numbers, uploaded once an epoch, in which a step finds its batch by its number. The batches of a
 * source lie in its columns already: all of them have the same row numbers. */
#include <math.h>

#include "data/data.h"
#include "train/train.h"

static bp_rows way(const bp_trainer *t)
{
    return (bp_rows)t->now.option[BP_TRAIN_ROWS];
}

bool bpi_train_arrives(const bp_trainer *t)
{
    return bpi_data_is_source(t->train);
}

static bool drawn(const bp_trainer *t)
{
    bp_rows how = way(t);
    return bpi_data_is_ring(t->train) || how == BP_ROWS_WEIGHTED || how == BP_ROWS_BALANCED ||
           how == BP_ROWS_BY_ERROR;
}

/* --- wishes about batches ----------------------------------------------------------------- */

static bpi_wish wish(const bp_trainer *t)
{
    return (bpi_wish){way(t), (int64_t)t->now.option[BP_TRAIN_BATCH_CLASSES],
                      (int64_t)t->now.option[BP_TRAIN_BATCH_PER_CLASS]};
}

/* Whether a composer makes the order. */
static bool composed(const bp_trainer *t)
{
    bpi_wish w = wish(t);
    return w.way == BP_ROWS_STRATIFIED || (w.way == BP_ROWS_SHUFFLED && w.least > 1) ||
           (w.way == BP_ROWS_SHUFFLED && w.each > 1) ||
           (w.way == BP_ROWS_BALANCED && (w.least || w.each));
}

/* Rows of the last batch, at least. */
static int64_t least_rest(const bp_trainer *t)
{
    bpi_wish w = wish(t);
    return w.way == BP_ROWS_STRATIFIED ? 1 : (w.least ? w.least : 1) * (w.each ? w.each : 1);
}

static bp_status check_wish(bp_trainer *t)
{
    bpi_wish w = wish(t);
    bool ours = !t->rows_fn && !bpi_train_arrives(t) && !bpi_data_is_ring(t->train);
    bool ways = w.way == BP_ROWS_SHUFFLED || w.way == BP_ROWS_STRATIFIED ||
                w.way == BP_ROWS_BALANCED;
    const char *what = w.way == BP_ROWS_STRATIFIED ? "rows is stratified"
                       : w.least                   ? "batch_classes is set"
                       : w.each                    ? "batch_per_class is set" : NULL;
    if (way(t) == BP_ROWS_BALANCED && bp_data_classes(t->train) < 1)
        return bpi_fail(t->ctx, BP_ERR_STATE, "trainer_run: balanced rows want data with classes");
    if (!what)
        return BP_OK;
    if (bp_data_classes(t->train) < 1)
        return bpi_fail(t->ctx, BP_ERR_STATE, "trainer_run: %s, and the data have no classes",
                        what);
    if (!ours || !ways)
        return bpi_fail(t->ctx, BP_ERR_STATE, "trainer_run: %s, and the rows %s: it is for rows of "
                        "a set that are shuffled, stratified or balanced", what,
                        !ours ? "are the program's" : "come in another way");
    return BP_OK;
}

static bp_status check_by_error(bp_trainer *t)
{
    const char *why = t->rows_fn ? "a function of the program's gives the rows"
                      : !t->model ? "the loss is a function of the program's"
                      : bpi_train_arrives(t) || bpi_data_is_ring(t->train) ? "the rows arrive"
                      : bpi_data_weights(t->train) ? "the data have a column weight" : NULL;
    return !why ? BP_OK
                : bpi_fail(t->ctx, BP_ERR_STATE, "trainer_run: rows are drawn by-error, and %s: the "
                           "task of a model is wanted, on a set without weights", why);
}

/* --- cutting an epoch --------------------------------------------------------------------- */

/* Rows that the columns have room for. */
static int64_t room(const bp_trainer *t)
{
    const char *first = bp_data_column_name(t->train, 0);
    return first ? bp_shape_of(bp_data_column(t->train, first)).dim[0] : 0;
}

bp_status bpi_train_cut(bp_trainer *t, bpi_epoch *cut)
{
    int64_t rows = room(t), batch = (int64_t)t->now.option[BP_TRAIN_BATCH];
    int64_t steps = (int64_t)t->now.option[BP_TRAIN_EPOCH_STEPS];
    if (rows < 1)
        return bpi_fail(t->ctx, BP_ERR_STATE, "trainer_run: the data set has no rows");
    BPI_TRY(check_wish(t));
    if (way(t) == BP_ROWS_BY_ERROR)
        BPI_TRY(check_by_error(t));
    bool free = drawn(t) || t->rows_fn || bpi_train_arrives(t);
    if (steps > 0 && !free)
        return bpi_fail(t->ctx, BP_ERR_ARG,
                        "trainer_run: epoch_steps is %lld, but each row comes once: it is for rows "
                        "that are drawn", (long long)steps);
    if (bpi_train_arrives(t)) {
        steps = steps ? steps : bpi_source_batches(t->train);
        *cut = (bpi_epoch){steps * rows, rows, steps, 0};
    } else if (free && (steps || drawn(t))) {
        steps = steps ? steps : (rows + batch - 1) / batch;
        if (steps > INT32_MAX / batch)
            return bpi_fail(t->ctx, BP_ERR_ARG, "trainer_run: %lld steps of %lld rows are too many "
                            "for an epoch", (long long)steps, (long long)batch);
        *cut = (bpi_epoch){steps * batch, batch, steps, 0};
    } else {
        *cut = bpi_epoch_cut(rows, batch, least_rest(t));
    }
    return BP_OK;
}

/* A source's row numbers are 0, 1, ... in every batch: `rest` holds them. */
static bp_status prepare_source(bp_trainer *t)
{
    t->rest = bp_tensor_create(t->ctx, BP_I32, BP_SHAPE(t->cut.batch));
    t->n_order = t->cut.batch;
    t->order = bpi_host_alloc(t->ctx, (size_t)t->n_order * sizeof *t->order);
    if (!t->rest || !t->order)
        return bpi_fail(t->ctx, BP_ERR_NOMEM, "trainer_run: out of memory");
    for (int64_t i = 0; i < t->cut.batch; i++)
        t->order[i] = (int32_t)i;
    return bp_write(t->rest, t->order, (size_t)t->cut.batch * sizeof *t->order);
}

bp_status bpi_train_rows_prepare(bp_trainer *t)
{
    if (bpi_train_arrives(t))
        return prepare_source(t);
    bool classes = bp_data_classes(t->train) > 0;
    t->most_rows = room(t);
    t->n_order = t->cut.rows;
    t->order = bpi_host_alloc(t->ctx, (size_t)t->n_order * sizeof *t->order);
    if (classes)
        t->label = bpi_host_alloc(t->ctx, (size_t)t->most_rows * sizeof *t->label);
    bool mended = classes && !drawn(t) && !composed(t) && wish(t).least != 1;
    if (mended)
        t->scratch = bpi_host_alloc(t->ctx, (size_t)t->cut.rows * sizeof *t->scratch);
    if (drawn(t))
        t->cumulative = bpi_host_alloc(t->ctx, (size_t)t->most_rows * sizeof *t->cumulative);
    if (!t->order || (classes && !t->label) || (mended && !t->scratch) ||
        (drawn(t) && !t->cumulative))
        return bpi_fail(t->ctx, BP_ERR_NOMEM, "trainer_run: no memory for %lld rows",
                        (long long)t->most_rows);
    t->batches = bp_tensor_create(t->ctx, BP_I32, BP_SHAPE(t->cut.full, t->cut.batch));
    t->rest = bp_tensor_create(t->ctx, BP_I32, BP_SHAPE(t->cut.rest));
    if (way(t) == BP_ROWS_BY_ERROR)
        t->importance = bp_tensor_create(t->ctx, BP_F32, BP_SHAPE(t->most_rows));
    if (!t->batches || !t->rest || (way(t) == BP_ROWS_BY_ERROR && !t->importance))
        return BP_ERR_NOMEM;
    if (!classes)
        return BP_OK;
    BPI_TRY(bp_read(bp_data_labels(t->train), t->label, (size_t)t->most_rows * sizeof *t->label));
    bpi_wish w = wish(t);
    return !composed(t) ? BP_OK
                        : bpi_composer_create(t->ctx, &w, &t->cut, t->label, t->most_rows,
                                              bp_data_classes(t->train), &t->composer);
}

/* Running sums of what each row weighs. */
static bp_status running_sums(bp_trainer *t, int64_t rows)
{
    double *sum = t->cumulative, all = 0;
    for (int64_t i = 0; i < rows; i++) {
        if (!(sum[i] >= 0) || !isfinite(sum[i]))
            return bpi_fail(t->ctx, BP_ERR_RANGE,
                            "trainer_run: row %lld of the column sampling is %g; numbers from 0 on "
                            "are wanted", (long long)i, sum[i]);
        all += sum[i];
        sum[i] = all;
    }
    return all > 0 && isfinite(all)
               ? BP_OK
               : bpi_fail(t->ctx, BP_ERR_RANGE, "trainer_run: the sum of the column sampling is %g",
                          all);
}

/* Each class alike, and each row of a class. */
static bp_status balance(bp_trainer *t, int64_t rows)
{
    int32_t classes = bp_data_classes(t->train);
    size_t bytes = (size_t)classes * sizeof(int64_t);
    int64_t *count = bpi_host_alloc(t->ctx, bytes);
    if (!count)
        return bpi_fail(t->ctx, BP_ERR_NOMEM, "trainer_run: out of memory");
    for (int64_t i = 0; i < rows; i++)
        count[t->label[i]]++;
    for (int64_t i = 0; i < rows; i++)
        t->cumulative[i] = 1 / (double)count[t->label[i]];
    bpi_host_free(t->ctx, count, bytes);
    return running_sums(t, rows);
}

/* What rows drawn by their error count, 1 / (N p): it is what a checkpoint holds of them. */
static bp_status weigh(bp_trainer *t, int64_t rows)
{
    double *loss = t->cumulative, sum = 0, e = t->now.option[BP_TRAIN_EMPHASIS];
    size_t bytes = (size_t)rows * sizeof(float);
    BPI_TRY(bpi_model_row_losses(t->model, t->train, loss));
    for (int64_t i = 0; i < rows; i++) {
        if (!isfinite(loss[i]))
            return bpi_fail(t->ctx, BP_ERR_NONFINITE, "trainer_run: the loss of row %lld is %g",
                            (long long)i, loss[i]);
        sum += loss[i];
    }
    float *counts = bpi_host_alloc(t->ctx, bytes);
    if (!counts)
        return bpi_fail(t->ctx, BP_ERR_NOMEM, "trainer_run: out of memory");
    for (int64_t i = 0; i < rows; i++)
        counts[i] = (float)(sum > 0 ? 1 / (1 - e + e * loss[i] / sum * (double)rows) : 1);
    bp_status st = bp_write(t->importance, counts, bytes);
    bpi_host_free(t->ctx, counts, bytes);
    return st;
}

static bp_status by_error(bp_trainer *t, int64_t rows)
{
    if (t->now.step == 0) /* else it goes on with those that it began with */
        BPI_TRY(weigh(t, rows));
    BPI_TRY(bp_read_f64(t->importance, t->cumulative, rows));
    for (int64_t i = 0; i < rows; i++)
        t->cumulative[i] = 1 / t->cumulative[i];
    return running_sums(t, rows);
}

static bp_status draw(bp_trainer *t)
{
    int64_t rows = bp_data_rows(t->train);
    if (rows < 1)
        return bpi_fail(t->ctx, BP_ERR_STATE, "trainer_run: the ring has no rows yet");
    bool ring = bpi_data_is_ring(t->train), plain = way(t) < BP_ROWS_WEIGHTED;
    if (ring && t->label)
        BPI_TRY(bp_read(bp_data_labels(t->train), t->label,
                        (size_t)t->most_rows * sizeof *t->label));
    if (way(t) == BP_ROWS_WEIGHTED) {
        bp_tensor *weight = bp_data_column(t->train, "sampling");
        if (!weight || bp_shape_count(bp_shape_of(weight)) != t->most_rows)
            return bpi_fail(t->ctx, BP_ERR_STATE, "trainer_run: weighted rows want a column "
                            "sampling, f32, one number a row");
        BPI_TRY(bp_read_f64(weight, t->cumulative, t->most_rows));
        BPI_TRY(running_sums(t, rows));
    } else if (way(t) == BP_ROWS_BALANCED) {
        BPI_TRY(balance(t, rows));
    } else if (way(t) == BP_ROWS_BY_ERROR) {
        BPI_TRY(by_error(t, rows));
    }
    bpi_sample_rows((uint64_t)t->now.option[BP_TRAIN_SEED], t->now.epoch,
                    plain ? NULL : t->cumulative, rows, t->order, t->cut.rows);
    return BP_OK;
}

static bp_status ask(bp_trainer *t)
{
    int64_t rows = bp_data_rows(t->train);
    BPI_CALLBACK(callback);
    bpi_callback_begin(&callback, t->ctx, false);
    bp_status st = t->rows_fn(t->rows_user, t->now.epoch, t->order, t->cut.rows);
    BPI_TRY(bpi_callback_over(&callback, "trainer_run"));
    if (st != BP_OK)
        return bpi_fail(t->ctx, st, "trainer_run: the function for rows returned %s",
                        bp_status_name(st));
    for (int64_t i = 0; i < t->cut.rows; i++)
        if (t->order[i] < 0 || t->order[i] >= rows)
            return bpi_fail(t->ctx, BP_ERR_RANGE,
                            "trainer_run: the function for rows gave row %d of %lld",
                            (int)t->order[i], (long long)rows);
    return BP_OK;
}

static bp_status host_order(bp_trainer *t)
{
    if (t->rows_fn)
        return ask(t);
    if (t->composer) {
        bpi_composer_order(t->composer, (uint64_t)t->now.option[BP_TRAIN_SEED], t->now.epoch, t->order);
        return BP_OK;
    }
    if (drawn(t))
        return draw(t);
    for (int64_t i = 0; i < t->cut.rows; i++)
        t->order[i] = (int32_t)i;
    if (way(t) == BP_ROWS_SHUFFLED)
        bpi_epoch_order(&t->cut, (uint64_t)t->now.option[BP_TRAIN_SEED], t->now.epoch,
                        t->scratch ? t->label : NULL, t->order, t->scratch);
    return BP_OK;
}

bp_status bpi_train_order(bp_trainer *t)
{
    if (bpi_train_arrives(t))
        return BP_OK;
    if (bpi_data_is_ring(t->train))
        BPI_TRY(bpi_data_drain(t->train));
    BPI_TRY(host_order(t));
    int64_t in_batches = t->cut.full * t->cut.batch;
    BPI_TRY(bp_write(t->batches, t->order, (size_t)in_batches * sizeof *t->order));
    return bp_write(t->rest, t->order + in_batches, (size_t)t->cut.rest * sizeof *t->order);
}

bp_status bpi_train_next(bp_trainer *t)
{
    if (bpi_train_arrives(t))
        return bpi_source_next(t->train, t->now.progress.steps,
                               (double)t->now.epoch < t->now.option[BP_TRAIN_EPOCHS] - 1 ||
                                   t->now.step + 1 < t->steps);
    return bpi_data_is_ring(t->train) ? bpi_data_drain(t->train) : BP_OK;
}
