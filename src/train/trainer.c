/* A trainer: making one, and what it is told before it runs; train.h says where the rest is. */
#include <math.h>
#include <string.h>

#include "core/params.h"
#include "data/data.h"
#include "ops/augment.h"
#include "optim/optim.h"
#include "train/train.h"

const bpi_train_option bpi_train_options[BPI_TRAIN_OPTIONS] = {
#define BPI_OPTION(number, name, start, min, max, integer, words, text) \
    [number] = {#name, start, min, max, integer},
#include "train/options.def"
};

/* --- making one --------------------------------------------------------------------------- */

static void destroy(bp_trainer *t);

static bp_status create(bp_context *ctx, const bp_trainer *made, bp_trainer **out)
{
    BPI_TRY(bpi_given(ctx, out, "trainer_create: trainer"));
    bp_trainer *t = bpi_object_alloc(ctx, sizeof *t);
    if (!t)
        return bpi_fail(ctx, BP_ERR_NOMEM, "trainer_create: out of memory");
    *t = *made;
    t->ctx = ctx;
    atomic_init(&t->stop, false);
    for (int i = 0; i < BPI_TRAIN_OPTIONS; i++)
        t->now.option[i] = bpi_train_options[i].start;
    strcpy(t->now.schedule, "cosine=0.01");
    bp_status st = bp_checkpoint_create(ctx, &t->checkpoint);
    if (st == BP_OK)
        st = bp_schedule_create(ctx, t->now.schedule, &t->schedule);
    if (st == BP_OK)
        *out = t;
    else
        destroy(t);
    return st;
}

static bp_status create_for_model(bp_model *model, bp_data *data, bp_trainer **out)
{
    BPI_TRY(bpi_model_fits(model, data, "trainer_create"));
    return create(bp_model_context(model),
                  &(bp_trainer){.model = model, .params = bp_model_params(model), .data = data,
                                .train = data}, out);
}

bp_status bp_trainer_create(bp_model *model, bp_data *data, bp_trainer **trainer)
{
    if (trainer)
        *trainer = NULL;
    BPI_LEADS(model, "trainer_create: model");
    BPI_INSIDE(bp_model_context(model), create_for_model(model, data, trainer));
}

static bp_status create_with(bp_params *params, bp_data *data, bp_loss_fn loss, void *user,
                             bp_trainer **out)
{
    bp_context *ctx = params->ctx;
    BPI_TRY(bpi_given(ctx, data, "trainer_create_with: data"));
    BPI_TRY(bpi_given(ctx, (const void *)(uintptr_t)loss, "trainer_create_with: loss"));
    if (bpi_data_context(data) != ctx)
        return bpi_fail(ctx, BP_ERR_DEVICE, "trainer_create_with: the data set belongs to another "
                        "context");
    return create(ctx, &(bp_trainer){.params = params, .data = data, .train = data,
                                     .loss_fn = loss, .loss_user = user}, out);
}

bp_status bp_trainer_create_with(bp_params *params, bp_data *data, bp_loss_fn loss, void *user,
                                 bp_trainer **trainer)
{
    if (trainer)
        *trainer = NULL;
    BPI_LEADS(params, "trainer_create_with: params");
    BPI_INSIDE(params->ctx, create_with(params, data, loss, user, trainer));
}

/* --- its end ------------------------------------------------------------------------------ */

static void free_path(bp_trainer *t)
{
    bpi_host_free(t->ctx, t->save_path, t->save_path ? strlen(t->save_path) + 1 : 0);
    t->save_path = NULL;
}

static void destroy(bp_trainer *t)
{
    if (t->checkpoint)
        bpi_train_release(t);
    if (!t->own_schedule)
        bp_schedule_free(t->schedule);
    bp_checkpoint_free(t->checkpoint);
    free_path(t);
    bpi_object_free(t->ctx, t, sizeof *t);
}

static void free_late(bpi_late *late)
{
    bp_trainer *t = (bp_trainer *)((char *)late - offsetof(bp_trainer, late));
    t->running = false;
    bp_trainer_free(t);
}

void bp_trainer_free(bp_trainer *t)
{
    if (!t || !bpi_enter_to_free(t->ctx, &t->late, free_late))
        return;
    bp_context *ctx = t->ctx;
    if (t->running) /* by one of its callbacks */
        bpi_free_at_end(ctx, &t->late, free_late);
    else
        destroy(t);
    bpi_leave(ctx);
}

/* --- what it is told ---------------------------------------------------------------------- */

static bp_status not_ready(bp_trainer *t, const char *what)
{
    return t->ready ? bpi_fail(t->ctx, BP_ERR_STATE, "%s after the first run", what) : BP_OK;
}

static bp_status set(bp_trainer *t, bp_train_option option, double value)
{
    if (option < 1 || option >= BPI_TRAIN_OPTIONS)
        return bpi_fail(t->ctx, BP_ERR_ARG, "trainer_set: there is no option %d", (int)option);
    const bpi_train_option *o = &bpi_train_options[option];
    bool any_time = option == BP_TRAIN_EPOCHS || option == BP_TRAIN_LR ||
                    option == BP_TRAIN_PATIENCE;
    if (t->ready && !any_time)
        return bpi_fail(t->ctx, BP_ERR_STATE, "trainer_set: %s after the first run", o->name);
    if (!(value >= o->min && value <= o->max) || (o->integer && value != floor(value)))
        return bpi_fail(t->ctx, BP_ERR_ARG,
                        "trainer_set: %s cannot be %.16g; %s from %.16g to %.16g is wanted",
                        o->name, value, o->integer ? "an integer" : "a number", o->min, o->max);
    t->now.option[option] = value;
    t->stale = true;
    return BP_OK;
}

bp_status bp_trainer_set(bp_trainer *t, bp_train_option option, double value)
{
    BPI_LEADS(t, "trainer_set: trainer");
    BPI_INSIDE(t->ctx, set(t, option, value));
}

static void take_schedule(bp_trainer *t, bp_schedule *schedule, bool own, const char *text)
{
    if (!t->own_schedule)
        bp_schedule_free(t->schedule);
    t->schedule = schedule;
    t->own_schedule = own;
    memset(t->now.schedule, 0, sizeof t->now.schedule);
    strcpy(t->now.schedule, text);
}

static bp_status schedule_text(bp_trainer *t, const char *text)
{
    bp_schedule *schedule;
    BPI_TRY(bpi_given(t->ctx, text, "trainer_schedule: text"));
    BPI_TRY(not_ready(t, "trainer_schedule:"));
    if (strlen(text) >= BPI_SCHEDULE_TEXT)
        return bpi_fail(t->ctx, BP_ERR_FORMAT, "trainer_schedule: the text is longer than %d bytes",
                        BPI_SCHEDULE_TEXT - 1);
    BPI_TRY(bp_schedule_create(t->ctx, text, &schedule));
    take_schedule(t, schedule, false, text);
    return BP_OK;
}

bp_status bp_trainer_schedule(bp_trainer *t, const char *text)
{
    BPI_LEADS(t, "trainer_schedule: trainer");
    BPI_INSIDE(t->ctx, schedule_text(t, text));
}

static bp_status schedule_own(bp_trainer *t, bp_schedule *schedule)
{
    BPI_TRY(bpi_given(t->ctx, schedule, "trainer_schedule_own: schedule"));
    BPI_TRY(not_ready(t, "trainer_schedule_own:"));
    if (bpi_schedule_context(schedule) != t->ctx)
        return bpi_fail(t->ctx, BP_ERR_DEVICE, "trainer_schedule_own: it belongs to another "
                        "context");
    take_schedule(t, schedule, true, "a program's own");
    return BP_OK;
}

bp_status bp_trainer_schedule_own(bp_trainer *t, bp_schedule *schedule)
{
    BPI_LEADS(t, "trainer_schedule_own: trainer");
    BPI_INSIDE(t->ctx, schedule_own(t, schedule));
}

static bp_status augment(bp_trainer *t, const char *text)
{
    bpi_augment_params params;
    char why[160];
    BPI_TRY(bpi_given(t->ctx, text, "trainer_augment: text"));
    BPI_TRY(not_ready(t, "trainer_augment:"));
    if (!t->model)
        return bpi_fail(t->ctx, BP_ERR_STATE, "trainer_augment: the loss is a function of the "
                        "program's: bp_augment is for it to call");
    if (strlen(text) >= BPI_AUGMENT_TEXT)
        return bpi_fail(t->ctx, BP_ERR_FORMAT, "trainer_augment: the text is longer than %d bytes",
                        BPI_AUGMENT_TEXT - 1);
    bpi_image is = bpi_model_image(t->model, t->data);
    if (is.height == 0 && *text)
        return bpi_fail(t->ctx, BP_ERR_SHAPE, "trainer_augment: rows of %lld numbers are no images: "
                        "HxWxC before the layers, or data that are images, say that they are",
                        (long long)bp_data_cols(t->data));
    bp_status st = bpi_augment_read(text, &params, why);
    if (st == BP_OK && *text)
        st = bpi_augment_fits(&params, is.height, is.width, why);
    if (st != BP_OK)
        return bpi_fail(t->ctx, st, "trainer_augment: %s", why);
    memset(t->now.augment, 0, sizeof t->now.augment);
    strcpy(t->now.augment, text);
    return BP_OK;
}

bp_status bp_trainer_augment(bp_trainer *t, const char *text)
{
    BPI_LEADS(t, "trainer_augment: trainer");
    BPI_INSIDE(t->ctx, augment(t, text));
}

static bp_status rows(bp_trainer *t, bp_rows_fn fn, void *user)
{
    BPI_TRY(bpi_given(t->ctx, (const void *)(uintptr_t)fn, "trainer_rows: rows"));
    BPI_TRY(not_ready(t, "trainer_rows:"));
    t->rows_fn = fn;
    t->rows_user = user;
    return BP_OK;
}

bp_status bp_trainer_rows(bp_trainer *t, bp_rows_fn fn, void *user)
{
    BPI_LEADS(t, "trainer_rows: trainer");
    BPI_INSIDE(t->ctx, rows(t, fn, user));
}

static bp_status own_optimizer(bp_trainer *t, bp_optimizer *opt)
{
    BPI_TRY(bpi_given(t->ctx, opt, "trainer_optimizer: opt"));
    BPI_TRY(not_ready(t, "trainer_optimizer:"));
    if (bpi_optimizer_params(opt) != t->params)
        return bpi_fail(t->ctx, BP_ERR_ARG, "trainer_optimizer: it is of another store");
    t->opt = opt;
    t->own_optimizer = true;
    return BP_OK;
}

bp_status bp_trainer_optimizer(bp_trainer *t, bp_optimizer *opt)
{
    BPI_LEADS(t, "trainer_optimizer: trainer");
    BPI_INSIDE(t->ctx, own_optimizer(t, opt));
}

static bp_status validate(bp_trainer *t, bp_data *data)
{
    BPI_TRY(bpi_given(t->ctx, data, "trainer_validate: data"));
    BPI_TRY(not_ready(t, "trainer_validate:"));
    if (t->model)
        BPI_TRY(bpi_model_fits(t->model, data, "trainer_validate"));
    if (bpi_data_is_source(data))
        return bpi_fail(t->ctx, BP_ERR_STATE, "trainer_validate: a source has no rows of its own");
    if (bpi_data_context(data) != t->ctx)
        return bpi_fail(t->ctx, BP_ERR_DEVICE, "trainer_validate: the data set belongs to another "
                        "context");
    t->valid = data;
    return BP_OK;
}

bp_status bp_trainer_validate(bp_trainer *t, bp_data *data)
{
    BPI_LEADS(t, "trainer_validate: trainer");
    BPI_INSIDE(t->ctx, validate(t, data));
}

static bp_status listen(bp_trainer_fn *place, void **user_place, bp_trainer_fn fn, void *user)
{
    *place = fn;
    *user_place = user;
    return BP_OK;
}

bp_status bp_trainer_on_step(bp_trainer *t, bp_trainer_fn fn, void *user)
{
    BPI_LEADS(t, "trainer_on_step: trainer");
    BPI_INSIDE(t->ctx, listen(&t->on_step, &t->step_user, fn, user));
}

bp_status bp_trainer_on_epoch(bp_trainer *t, bp_trainer_fn fn, void *user)
{
    BPI_LEADS(t, "trainer_on_epoch: trainer");
    BPI_INSIDE(t->ctx, listen(&t->on_epoch, &t->epoch_user, fn, user));
}

static bp_status save_every(bp_trainer *t, int64_t steps, const char *path, int32_t keep)
{
    char *copy = NULL;
    if (steps < 0 || (steps > 0 && keep < 1))
        return bpi_fail(t->ctx, BP_ERR_ARG, "trainer_save_every: %lld steps, keep %d: 0 or more "
                        "and 1 or more are wanted", (long long)steps, (int)keep);
    if (steps > 0) {
        BPI_TRY(bpi_given(t->ctx, path, "trainer_save_every: path"));
        copy = bpi_host_alloc(t->ctx, strlen(path) + 1);
        if (!copy)
            return bpi_fail(t->ctx, BP_ERR_NOMEM, "trainer_save_every: out of memory");
        strcpy(copy, path);
    }
    free_path(t);
    t->save_path = copy;
    t->save_every = steps;
    t->save_keep = keep;
    return BP_OK;
}

bp_status bp_trainer_save_every(bp_trainer *t, int64_t steps, const char *path, int32_t keep)
{
    BPI_LEADS(t, "trainer_save_every: trainer");
    BPI_INSIDE(t->ctx, save_every(t, steps, path, keep));
}

void bp_progress_of(const bp_trainer *t, bp_progress *progress, size_t struct_bytes)
{
    bp_progress now_at = {0};
    if (t)
        now_at = t->now.progress;
    if (t && !t->ready) {
        bpi_epoch cut = bpi_epoch_cut(bp_data_rows(t->data),
                                      (int64_t)t->now.option[BP_TRAIN_BATCH], 1);
        now_at.epoch_steps = bpi_epoch_steps(&cut);
    }
    bpi_give_struct(progress, struct_bytes, &now_at, sizeof now_at);
}
