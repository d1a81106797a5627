/* The training loop. A step is a plan, recorded once for full batches and once for the rest, and
 * replayed after that. What changes from step to step lives on the device: the number of the step
 * in its epoch, which finds the rows and the rate in tables that are uploaded once an epoch, and
 * the sums of loss and correct rows, which are read once an epoch. */
#include <math.h>
#include <stdatomic.h>
#include <time.h>

#include "core/plan.h"
#include "nn/nn.h"
#include "train/epoch.h"

enum { OPTIONS = 8, STEPS_AHEAD = 8 }; /* steps given to the device before a look at the clock */

struct bp_trainer {
    bp_context *ctx;
    bpi_late late;
    bp_model *model;
    bp_data *data;
    double option[OPTIONS]; /* by number */
    atomic_bool stop;
    bool ready; /* all below exists */
    bpi_epoch cut;
    int64_t steps;               /* of an epoch */
    int32_t *label, *order;      /* [rows] */
    int32_t *scratch;            /* [rows]: of the order */
    double *rate;                /* [steps] */
    bp_optimizer *opt;
    bp_tensor *batches, *rest;   /* the order: i32 [full, batch], i32 [rest] */
    bp_tensor *rates, *at, *one; /* f64 [steps]; the step in the epoch and 1, i32 [1] */
    bp_tensor *loss, *correct;   /* sums over the epoch: f64 []; loss counts full batches */
    bp_plan *plan[2];            /* of a full batch, of the rest */
    int64_t epoch, step;         /* where the loop is */
    bp_progress progress;
};

static const struct option {
    const char *name;
    double start, min, max;
    bool integer;
} options[OPTIONS] = {
#define BPI_OPTION(number, name, start, min, max, integer, text) \
    [number] = {#name, start, min, max, integer},
#include "train/options.def"
};

static bp_status create(bp_model *model, bp_data *data, bp_trainer **out)
{
    bp_context *ctx = bp_model_context(model);
    BPI_TRY(bpi_given(ctx, out, "trainer_create: trainer"));
    BPI_TRY(bpi_model_fits(model, data, "trainer_create"));
    bp_trainer *t = bpi_object_alloc(ctx, sizeof *t);
    if (!t)
        return bpi_fail(ctx, BP_ERR_NOMEM, "trainer_create: out of memory");
    t->ctx = ctx;
    t->model = model;
    t->data = data;
    atomic_init(&t->stop, false);
    for (int i = 0; i < OPTIONS; i++)
        t->option[i] = options[i].start;
    *out = t;
    return BP_OK;
}

bp_status bp_trainer_create(bp_model *model, bp_data *data, bp_trainer **trainer)
{
    if (trainer)
        *trainer = NULL;
    BPI_LEADS(model, "trainer_create: model");
    BPI_INSIDE(bp_model_context(model), create(model, data, trainer));
}

static bp_status set(bp_trainer *t, bp_train_option option, double value)
{
    if (option < 1 || option >= OPTIONS)
        return bpi_fail(t->ctx, BP_ERR_ARG, "trainer_set: there is no option %d", (int)option);
    const struct option *o = &options[option];
    if (t->ready)
        return bpi_fail(t->ctx, BP_ERR_STATE, "trainer_set: %s after the first run", o->name);
    if (!(value >= o->min && value <= o->max) || (o->integer && value != floor(value)))
        return bpi_fail(t->ctx, BP_ERR_ARG,
                        "trainer_set: %s cannot be %.16g; %s from %.16g to %.16g is wanted",
                        o->name, value, o->integer ? "an integer" : "a number", o->min, o->max);
    t->option[option] = value;
    return BP_OK;
}

bp_status bp_trainer_set(bp_trainer *t, bp_train_option option, double value)
{
    BPI_LEADS(t, "trainer_set: trainer");
    BPI_INSIDE(t->ctx, set(t, option, value));
}

/* --- memory ------------------------------------------------------------------------------ */

static void release(bp_trainer *t)
{
    bp_plan_free(t->plan[0]);
    bp_plan_free(t->plan[1]);
    t->plan[0] = t->plan[1] = NULL;
    bp_optimizer_free(t->opt);
    t->opt = NULL;
    bp_tensor **tensor[] = {&t->batches, &t->rest, &t->rates,  &t->at,
                            &t->one,     &t->loss, &t->correct};
    for (size_t i = 0; i < sizeof tensor / sizeof *tensor; i++) {
        bp_free(*tensor[i]);
        *tensor[i] = NULL;
    }
    bpi_host_free(t->ctx, t->label, (size_t)t->cut.rows * sizeof *t->label);
    bpi_host_free(t->ctx, t->order, (size_t)t->cut.rows * sizeof *t->order);
    bpi_host_free(t->ctx, t->scratch, (size_t)t->cut.rows * sizeof *t->scratch);
    bpi_host_free(t->ctx, t->rate, (size_t)t->steps * sizeof *t->rate);
    t->label = t->order = t->scratch = NULL;
    t->rate = NULL;
    t->ready = false;
}

static void free_late(bpi_late *late)
{
    bp_trainer_free((bp_trainer *)((char *)late - offsetof(bp_trainer, late)));
}

void bp_trainer_free(bp_trainer *t)
{
    if (!t || !bpi_enter_to_free(t->ctx, &t->late, free_late))
        return;
    bp_context *ctx = t->ctx;
    release(t);
    bpi_object_free(ctx, t, sizeof *t);
    bpi_leave(ctx);
}

static bp_status allocate(bp_trainer *t)
{
    bp_context *ctx = t->ctx;
    int32_t one = 1;
    t->label = bpi_host_alloc(ctx, (size_t)t->cut.rows * sizeof *t->label);
    t->order = bpi_host_alloc(ctx, (size_t)t->cut.rows * sizeof *t->order);
    t->scratch = bpi_host_alloc(ctx, (size_t)t->cut.rows * sizeof *t->scratch);
    t->rate = bpi_host_alloc(ctx, (size_t)t->steps * sizeof *t->rate);
    if (!t->label || !t->order || !t->scratch || !t->rate)
        return bpi_fail(ctx, BP_ERR_NOMEM, "trainer_run: no memory for %lld rows",
                        (long long)t->cut.rows);
    t->batches = bp_tensor_create(ctx, BP_I32, BP_SHAPE(t->cut.full, t->cut.batch));
    t->rest = bp_tensor_create(ctx, BP_I32, BP_SHAPE(t->cut.rest));
    t->rates = bp_tensor_create(ctx, BP_F64, BP_SHAPE(t->steps));
    t->at = bp_tensor_create(ctx, BP_I32, BP_SHAPE(1));
    t->one = bp_tensor_create(ctx, BP_I32, BP_SHAPE(1));
    t->loss = bp_tensor_create(ctx, BP_F64, BP_SCALAR);
    t->correct = bp_tensor_create(ctx, BP_F64, BP_SCALAR);
    if (!t->batches || !t->rest || !t->rates || !t->at || !t->one || !t->loss || !t->correct)
        return BP_ERR_NOMEM;
    BPI_TRY(bp_write(t->one, &one, sizeof one));
    return bp_read(bp_data_labels(t->data), t->label, (size_t)t->cut.rows * sizeof *t->label);
}

/* Once, before the first step. */
static bp_status prepare(bp_trainer *t)
{
    const double *option = t->option;
    t->cut = bpi_epoch_cut(bp_data_rows(t->data), (int64_t)option[BP_TRAIN_BATCH]);
    t->steps = bpi_epoch_steps(&t->cut);
    bp_status st = allocate(t);
    if (st == BP_OK)
        st = bp_adam_create(bp_model_params(t->model), option[BP_TRAIN_LR], &t->opt);
    if (st == BP_OK)
        st = bp_optimizer_set(t->opt, BP_OPT_L1, option[BP_TRAIN_L1]);
    if (st == BP_OK)
        st = bp_optimizer_set(t->opt, BP_OPT_L2, option[BP_TRAIN_L2]);
    if (st == BP_OK)
        st = bp_optimizer_set(t->opt, BP_OPT_DECAY_FROM,
                              (option[BP_TRAIN_DECAY_FROM] - 1) * (double)t->steps + 1);
    t->ready = st == BP_OK;
    if (st != BP_OK)
        release(t);
    return st;
}

/* --- the loop ---------------------------------------------------------------------------- */

/* A cosine from lr to lr / 100 over all steps (Loshchilov, Hutter: "SGDR", 2017). */
static void fill_rates(bp_trainer *t)
{
    double lr = t->option[BP_TRAIN_LR], all = t->option[BP_TRAIN_EPOCHS] * (double)t->steps;
    for (int64_t i = 0; i < t->steps; i++) {
        double x = all > 1 ? (double)(t->epoch * t->steps + i) / (all - 1) : 0;
        t->rate[i] = lr * (0.01 + 0.99 * 0.5 * (1 + cos(3.14159265358979323846 * x)));
    }
}

static bp_status begin_epoch(bp_trainer *t)
{
    const bpi_epoch *e = &t->cut;
    int32_t at = 0;
    double zero = 0;
    int64_t in_batches = e->full * e->batch;
    bpi_epoch_order(e, (uint64_t)t->option[BP_TRAIN_SEED], t->epoch, t->label, t->order,
                    t->scratch);
    fill_rates(t);
    BPI_TRY(bp_write(t->batches, t->order, (size_t)in_batches * sizeof *t->order));
    BPI_TRY(bp_write(t->rest, t->order + in_batches, (size_t)e->rest * sizeof *t->order));
    BPI_TRY(bp_write(t->rates, t->rate, (size_t)t->steps * sizeof *t->rate));
    BPI_TRY(bp_write(t->at, &at, sizeof at));
    BPI_TRY(bp_write(t->loss, &zero, sizeof zero));
    return bp_write(t->correct, &zero, sizeof zero);
}

/* What a plan records. The small calls stand together: a GPU takes neighbours as one. */
static bp_status train_step(bp_context *ctx, void *user)
{
    bp_trainer *t = user;
    bool full = t->step < t->cut.full;
    bp_tensor *rate = bp_reshape(bp_gather(t->rates, t->at), BP_SCALAR), *correct = NULL;
    BPI_TRY(bp_copy_into(bp_optimizer_rate(t->opt), rate));
    bp_tensor *index = full ? bp_reshape(bp_gather(t->batches, t->at), BP_SHAPE(t->cut.batch))
                            : t->rest;
    bp_tensor *labels = bp_gather(bp_data_labels(t->data), index);
    bp_tensor *logits = bp_model_logits(t->model, t->data, index, 1);
    bp_tensor *loss = bp_cross_entropy_correct(logits, labels, &correct);
    bp_free(logits);
    BPI_TRY(bp_backward(ctx, loss));
    loss = bp_cast(loss, BP_F64);
    if (!full)
        loss = bp_scale(loss, (double)t->cut.rest / (double)t->cut.batch);
    BPI_TRY(bp_add_into(t->loss, loss));
    BPI_TRY(bp_add_into(t->correct, bp_cast(correct, BP_F64)));
    BPI_TRY(bp_add_into(t->at, t->one));
    return bp_optimizer_step(t->opt);
}

static bp_status end_epoch(bp_trainer *t)
{
    double loss, correct;
    BPI_TRY(bp_read(t->loss, &loss, sizeof loss));
    BPI_TRY(bp_read(t->correct, &correct, sizeof correct));
    t->progress.epoch = ++t->epoch;
    t->step = 0;
    t->progress.loss = loss * (double)t->cut.batch / (double)t->cut.rows;
    t->progress.accuracy = correct / (double)t->cut.rows;
    return BP_OK;
}

/* A step, or up to `most` of them where the device takes several at a time; *steps of them. */
static bp_status next_steps(bp_trainer *t, int64_t most, int64_t *steps)
{
    bool full = t->step < t->cut.full;
    bp_plan **plan = &t->plan[!full];
    int64_t left = full ? t->cut.full - t->step : 1;
    *steps = 0;
    if (t->step == t->steps) /* its end failed */
        return end_epoch(t);
    if (t->step == 0)
        BPI_TRY(begin_epoch(t));
    if (*plan && !bpi_plan_holds(*plan)) { /* a parameter was frozen, say */
        bp_plan_free(*plan);
        *plan = NULL;
    }
    *steps = bp_plan_nodes(*plan) == 0 ? 1 : left < most ? left : most;
    BPI_TRY(*plan ? bp_plan_replay(*plan, *steps) : bp_plan_record(t->ctx, train_step, t, plan));
    t->progress.steps += *steps;
    t->step += *steps;
    return t->step == t->steps ? end_epoch(t) : BP_OK;
}

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

static bp_status loop(bp_trainer *t, int64_t max_steps, double max_seconds, int32_t *done)
{
    double start = now();
    bool stopped = false;
    if (isnan(max_seconds))
        return bpi_fail(t->ctx, BP_ERR_ARG, "trainer_run: max_seconds is NaN");
    if (!t->ready)
        BPI_TRY(prepare(t));
    BPI_TRY(bp_grad_clear(bp_model_params(t->model)));
    int64_t i = 0, steps, synced = 0;
    for (; !(*done = (double)t->epoch >= t->option[BP_TRAIN_EPOCHS]); i += steps) {
        int64_t most = max_steps < 0 || max_steps - i > STEPS_AHEAD ? STEPS_AHEAD : max_steps - i;
        stopped = atomic_exchange(&t->stop, false);
        if (max_seconds >= 0 && i - synced >= STEPS_AHEAD) {
            BPI_TRY(bp_sync(t->ctx));
            synced = i;
        }
        if (stopped || most <= 0 || (max_seconds >= 0 && now() - start >= max_seconds))
            break;
        BPI_TRY(next_steps(t, most, &steps));
    }
    BPI_TRY(bp_sync(t->ctx));
    return stopped ? bpi_fail(t->ctx, BP_ERR_STOPPED, "trainer_run: stopped after step %lld",
                              (long long)t->progress.steps)
                   : BP_OK;
}

bp_status bp_trainer_run(bp_trainer *t, int64_t max_steps, double max_seconds, int32_t *done)
{
    if (done)
        *done = 0;
    BPI_LEADS(t, "trainer_run: trainer");
    BPI_TRY(bpi_enter(t->ctx));
    double start = now();
    bp_status st = bpi_given(t->ctx, done, "trainer_run: done");
    if (st == BP_OK)
        st = loop(t, max_steps, max_seconds, done);
    t->progress.seconds += now() - start;
    bpi_leave(t->ctx);
    return st;
}

void bp_trainer_stop(bp_trainer *t)
{
    if (t)
        atomic_store(&t->stop, true);
}

void bp_progress_of(const bp_trainer *t, bp_progress *progress, size_t struct_bytes)
{
    bp_progress now_at = {0};
    if (t) {
        bpi_epoch cut = bpi_epoch_cut(bp_data_rows(t->data), (int64_t)t->option[BP_TRAIN_BATCH]);
        now_at = t->progress;
        now_at.epoch_steps = bpi_epoch_steps(&cut);
    }
    bpi_give_struct(progress, struct_bytes, &now_at, sizeof now_at);
}
