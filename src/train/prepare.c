/* What a trainer needs to run, made before its first step: tensors, optimiser, the data's parts. A
 * failure takes all of it back, and the call can be made again. */
#include "core/params.h"
#include "train/train.h"

static void free_tensor(bp_tensor **t)
{
    bp_free(*t);
    *t = NULL;
}

/* All that bpi_train_prepare made. What the trainer was given may be gone. */
void bpi_train_release(bp_trainer *t)
{
    for (int i = 0; i < 2; i++) {
        bp_plan_free(t->plan[i]);
        t->plan[i] = NULL;
        bp_data_free(t->part[i]);
        t->part[i] = NULL;
    }
    if (t->given)
        bpi_checkpoint_cut(t->checkpoint, t->given);
    if (!t->own_optimizer) {
        bp_optimizer_free(t->opt);
        t->opt = NULL;
    }
    bp_tensor **tensor[] = {&t->batches, &t->rest, &t->rates,  &t->at,
                            &t->one,     &t->loss, &t->correct, &t->weight,
                            &t->importance, &t->shares, &t->mean, &t->raw, &t->best};
    for (size_t i = 0; i < sizeof tensor / sizeof *tensor; i++)
        free_tensor(tensor[i]);
    bpi_composer_free(t->ctx, t->composer);
    bpi_host_free(t->ctx, t->order, (size_t)t->n_order * sizeof *t->order);
    bpi_host_free(t->ctx, t->scratch, (size_t)t->cut.rows * sizeof *t->scratch);
    bpi_host_free(t->ctx, t->label, (size_t)t->most_rows * sizeof *t->label);
    bpi_host_free(t->ctx, t->cumulative, (size_t)t->most_rows * sizeof *t->cumulative);
    bpi_host_free(t->ctx, t->rate, 2 * (size_t)t->steps * sizeof *t->rate);
    t->label = t->order = t->scratch = NULL;
    t->cumulative = t->rate = NULL;
    t->composer = NULL;
    t->train = t->data;
    t->ready = false;
}

static bp_status allocate(bp_trainer *t)
{
    bp_context *ctx = t->ctx;
    int32_t one = 1;
    BPI_TRY(bpi_train_rows_prepare(t));
    t->rate = bpi_host_alloc(ctx, 2 * (size_t)t->steps * sizeof *t->rate);
    if (!t->rate)
        return bpi_fail(ctx, BP_ERR_NOMEM, "trainer_run: no memory for %lld steps",
                        (long long)t->steps);
    t->rates = bp_tensor_create(ctx, BP_F64, BP_SHAPE(t->steps));
    t->at = bp_tensor_create(ctx, BP_I32, BP_SHAPE(1));
    t->one = bp_tensor_create(ctx, BP_I32, BP_SHAPE(1));
    t->loss = bp_tensor_create(ctx, BP_F64, BP_SCALAR);
    t->correct = bp_tensor_create(ctx, BP_F64, BP_SCALAR);
    t->weight = bp_tensor_create(ctx, BP_F64, BP_SCALAR);
    if (!t->rates || !t->at || !t->one || !t->loss || !t->correct || !t->weight)
        return BP_ERR_NOMEM;
    return bp_write(t->one, &one, sizeof one);
}

/* The mean begins as the weights. */
static bp_status mean(bp_trainer *t)
{
    if (t->now.option[BP_TRAIN_AVERAGE] == 0)
        return BP_OK;
    t->shares = bp_tensor_create(t->ctx, BP_F64, BP_SHAPE(t->steps));
    t->mean = bpi_params_flat(t->params);
    return t->shares && t->mean ? bpi_params_take(t->params, t->mean) : BP_ERR_NOMEM;
}

/* The optimiser of the options. */
static bp_status optimizer(bp_trainer *t)
{
    const double *option = t->now.option;
    static const struct { bp_optimizer_option to; bp_train_option from; } same[] = {
        {BP_OPT_L1, BP_TRAIN_L1}, {BP_OPT_L2, BP_TRAIN_L2}, {BP_OPT_CLIP_NORM, BP_TRAIN_CLIP_NORM},
        {BP_OPT_WEIGHT_DECAY, BP_TRAIN_WEIGHT_DECAY}};
    BPI_TRY(bp_optimizer_create(t->params, (bp_optimizer_kind)option[BP_TRAIN_OPTIMIZER],
                                option[BP_TRAIN_LR], &t->opt));
    for (size_t i = 0; i < sizeof same / sizeof *same; i++)
        if (option[same[i].from] != 0)
            BPI_TRY(bp_optimizer_set(t->opt, same[i].to, option[same[i].from]));
    if (option[BP_TRAIN_OPTIMIZER] == BP_DIAGONAL_LM)
        BPI_TRY(bp_optimizer_set(t->opt, BP_OPT_EPS, option[BP_TRAIN_MU]));
    return bp_optimizer_set(t->opt, BP_OPT_DECAY_FROM,
                            (option[BP_TRAIN_DECAY_FROM] - 1) * (double)t->steps + 1);
}

/* What an optimiser of the program's own has as options of its own. */
static bp_status leaves_it_alone(bp_trainer *t)
{
    static const bp_train_option its[] = {BP_TRAIN_L1, BP_TRAIN_L2, BP_TRAIN_DECAY_FROM,
                                          BP_TRAIN_OPTIMIZER, BP_TRAIN_CLIP_NORM,
                                          BP_TRAIN_WEIGHT_DECAY, BP_TRAIN_MU, BP_TRAIN_FAN_IN};
    for (size_t i = 0; i < sizeof its / sizeof *its; i++) {
        const bpi_train_option *o = &bpi_train_options[its[i]];
        if (t->now.option[its[i]] != o->start)
            return bpi_fail(t->ctx, BP_ERR_STATE, "trainer_run: %s is set, and the optimiser is "
                            "the program's: set it there", o->name);
    }
    return BP_OK;
}

static bp_status hold_out(bp_trainer *t)
{
    double share = t->now.option[BP_TRAIN_HOLD_OUT];
    if (share == 0)
        return BP_OK;
    if (t->valid)
        return bpi_fail(t->ctx, BP_ERR_STATE, "trainer_run: a share is held out, and other data "
                        "are to validate: one of the two is wanted");
    BPI_TRY(bp_data_split(t->data, share, (uint64_t)t->now.option[BP_TRAIN_SEED], &t->part[0],
                          &t->part[1]));
    t->train = t->part[0];
    return BP_OK;
}

static bp_status prepare(bp_trainer *t)
{
    t->given = bpi_checkpoint_size(t->checkpoint);
    t->now.planned = (int64_t)t->now.option[BP_TRAIN_EPOCHS];
    BPI_TRY(hold_out(t));
    BPI_TRY(bpi_train_cut(t, &t->cut));
    t->steps = bpi_epoch_steps(&t->cut);
    BPI_TRY(allocate(t));
    BPI_TRY(t->own_optimizer ? leaves_it_alone(t) : optimizer(t));
    BPI_TRY(mean(t));
    BPI_TRY(bpi_train_rates_prepare(t));
    BPI_TRY(bpi_train_measure_prepare(t));
    return bpi_train_checkpoint_prepare(t);
}

bp_status bpi_train_prepare(bp_trainer *t)
{
    bp_status st = t->ready ? BP_OK : prepare(t);
    t->ready = st == BP_OK;
    if (st != BP_OK)
        bpi_train_release(t);
    return st;
}
