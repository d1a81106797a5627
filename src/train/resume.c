/* A trainer's checkpoint: the parameters, the optimiser, the schedule's memory, sums and counters.
 * The order of the rows, the rates and all draws follow from numbers that are in it. */
#include <string.h>

#include "core/params.h"
#include "optim/optim.h"
#include "train/train.h"

static const char state_name[] = "trainer";

/* Once the optimiser is there: "best" where rows validate, "average" where a mean is taken. */
bp_status bpi_train_checkpoint_prepare(bp_trainer *t)
{
    bp_checkpoint *c = t->checkpoint;
    BPI_TRY(bp_checkpoint_params(c, "params", t->params));
    BPI_TRY(bp_checkpoint_optimizer(c, "optimizer", t->opt));
    BPI_TRY(bp_checkpoint_bytes(c, state_name, &t->now, sizeof t->now));
    BPI_TRY(bp_checkpoint_bytes(c, "schedule", bpi_schedule_state_of(t->schedule),
                                sizeof(bpi_schedule_state)));
    BPI_TRY(bp_checkpoint_tensor(c, "sum/loss", t->loss));
    BPI_TRY(bp_checkpoint_tensor(c, "sum/correct", t->correct));
    BPI_TRY(bp_checkpoint_tensor(c, "sum/weight", t->weight));
    if (t->importance)
        BPI_TRY(bp_checkpoint_tensor(c, "importance", t->importance));
    BPI_TRY(bp_checkpoint_tensor(c, "step", t->at));
    if (t->best)
        BPI_TRY(bp_checkpoint_tensor(c, "best", t->best));
    if (t->mean)
        BPI_TRY(bp_checkpoint_tensor(c, "average", t->mean));
    t->now.rows = bpi_train_arrives(t) ? t->cut.batch : t->cut.rows;
    t->now.columns = bp_data_columns(t->train);
    t->now.progress.epoch_steps = t->steps;
    if (t->model)
        bpi_model_digest(t->model, t->now.model);
    return BP_OK;
}

bp_checkpoint *bp_trainer_checkpoint(bp_trainer *t)
{
    return t ? t->checkpoint : NULL;
}

static bp_status save(bp_trainer *t, const char *path, int32_t keep)
{
    BPI_TRY(bpi_train_prepare(t));
    return bp_checkpoint_save(t->checkpoint, path, keep);
}

bp_status bp_trainer_save(bp_trainer *t, const char *path, int32_t keep)
{
    BPI_LEADS(t, "trainer_save: trainer");
    BPI_INSIDE(t->ctx, save(t, path, keep));
}

/* Before anything changes: whether the file is of a trainer like this one. */
static bp_status fits(void *user, const char *path, const void *bytes)
{
    bp_trainer *t = user;
    bpi_train_state file;
    memcpy(&file, bytes, sizeof file);
    bool sane = file.epoch >= 0 && file.step >= 0 && file.step <= t->steps && file.planned >= 1 &&
                file.bad_epochs >= 0 && file.rises >= 0 && file.told >= 0 && file.told <= file.epoch &&
                file.progress.steps == file.epoch * t->steps + file.step;
    for (int i = 1; i < BPI_TRAIN_OPTIONS; i++) {
        bool may = i == BP_TRAIN_EPOCHS || i == BP_TRAIN_LR || i == BP_TRAIN_PATIENCE;
        if (!may && file.option[i] != t->now.option[i])
            return bpi_fail(t->ctx, BP_ERR_FORMAT, "%s: %s was %.16g; it is %.16g now", path,
                            bpi_train_options[i].name, file.option[i], t->now.option[i]);
    }
    if (strncmp(file.schedule, t->now.schedule, sizeof file.schedule) != 0)
        return bpi_fail(t->ctx, BP_ERR_FORMAT, "%s: the schedule was \"%.*s\"; it is \"%s\" now",
                        path, (int)sizeof file.schedule - 1, file.schedule, t->now.schedule);
    if (strncmp(file.augment, t->now.augment, sizeof file.augment) != 0)
        return bpi_fail(t->ctx, BP_ERR_FORMAT, "%s: images were augmented by \"%.*s\"; they are by "
                        "\"%s\" now", path, (int)sizeof file.augment - 1, file.augment,
                        t->now.augment);
    static const char *const part[] = {"layers", "normalisers (or the data that set them)",
                                       "names of classes and columns"};
    if (file.rows != t->now.rows || file.columns != t->now.columns)
        return bpi_fail(t->ctx, BP_ERR_FORMAT, "%s: the data had %lld rows an epoch and %lld "
                        "columns; they have %lld and %lld", path, (long long)file.rows,
                        (long long)file.columns, (long long)t->now.rows,
                        (long long)t->now.columns);
    for (int i = 0; i < BPI_DIGESTS; i++)
        if (file.model[i] != t->now.model[i])
            return bpi_fail(t->ctx, BP_ERR_FORMAT, "%s: the model's %s were others than now", path,
                            part[i]);
    return sane ? BP_OK : bpi_fail(t->ctx, BP_ERR_FORMAT, "%s: its counters contradict each other",
                                   path);
}

static bp_status resume(bp_trainer *t, const char *path)
{
    if (t->now.progress.steps > 0 || t->begun)
        return bpi_fail(t->ctx, BP_ERR_STATE, "trainer_resume: this trainer has run already");
    BPI_TRY(bpi_train_prepare(t));
    double epochs = t->now.option[BP_TRAIN_EPOCHS];
    BPI_TRY(bpi_checkpoint_load(t->checkpoint, path, state_name, fits, t));
    t->now.option[BP_TRAIN_EPOCHS] = epochs;
    t->saved_at = t->now.progress.steps;
    return BP_OK;
}

bp_status bp_trainer_resume(bp_trainer *t, const char *path)
{
    BPI_LEADS(t, "trainer_resume: trainer");
    BPI_INSIDE(t->ctx, resume(t, path));
}
