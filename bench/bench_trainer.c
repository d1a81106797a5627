/* What a trainer adds to a loop that its user would write: the same net, data, optimiser and batch;
 * epochs of one and of the other in turn, in one context each.
 *
 *     bench_trainer [--seconds S] [--device D] [--threads N]
 *
 * By hand: an order is drawn and uploaded once an epoch; a step gathers its rows, normalised, and
 * labels, takes loss and gradients, adds the loss to a sum, moves on, and is replayed from a plan.
 * The trainer counts the rows that are right and follows a schedule besides. JSON lines:
 * medians, lowest and highest of a step, in microseconds, and what the trainer adds. */
#include <bpcuda/bpcuda.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "timing.h"

enum { STEPS = 100, MOST = 400, HIDDEN_MAX = 2, CLASSES = 10, INPUTS = 784 };

static const struct config {
    const char *name, *layers;
    int64_t width[HIDDEN_MAX]; /* 0: none */
    double dropout;
    int64_t batch;
} configs[] = {
    {"784-128-10", "128 relu", {128, 0}, 0, 32},
    {"784-512-512-10", "512 relu dropout=0.2 512 relu dropout=0.2", {512, 512}, 0.2, 128},
};

static const char *device = "cpu";
static double limit = 10;
static int threads = 2;

static void check(bp_status st, bp_context *ctx)
{
    if (st == BP_OK)
        return;
    fprintf(stderr, "bench_trainer: %s\n", bp_error_text(ctx));
    exit(1);
}

typedef struct side {
    const struct config *c;
    bp_context *ctx;
    bp_data *data;
    bp_model *model;
    bp_trainer *trainer;
    bp_params *params;
    bp_optimizer *adam;
    bp_tensor *order, *at, *one, *sum, *shift, *scale, *w[HIDDEN_MAX + 1], *b[HIDDEN_MAX + 1];
    int layers;
    bp_plan *plan;
    int32_t *rows;
} side;

static void open_side(side *s, const struct config *c)
{
    int64_t rows = STEPS * c->batch;
    float *x = malloc((size_t)(rows * INPUTS) * sizeof *x);
    int32_t *label = malloc((size_t)rows * sizeof *label);
    *s = (side){.c = c};
    for (int64_t i = 0; i < rows * INPUTS; i++)
        x[i] = (float)rand() / (float)RAND_MAX - 0.5f;
    for (int64_t i = 0; i < rows; i++)
        label[i] = rand() % CLASSES;
    bp_status st = bp_open(device, &s->ctx);
    check(st, s->ctx);
    if (!strncmp(device, "cpu", 3))
        check(bp_set_threads(s->ctx, threads), s->ctx);
    check(bp_data_create(s->ctx, BP_F32, x, label, rows, INPUTS, CLASSES, &s->data), s->ctx);
    free(x);
    free(label);
}

static void make_trainer(side *s)
{
    check(bp_model_create(s->ctx, INPUTS, s->c->layers, CLASSES, &s->model), s->ctx);
    check(bp_model_normalize(s->model, s->data), s->ctx);
    check(bp_trainer_create(s->model, s->data, &s->trainer), s->ctx);
    check(bp_trainer_set(s->trainer, BP_TRAIN_BATCH, (double)s->c->batch), s->ctx);
    check(bp_trainer_set(s->trainer, BP_TRAIN_EPOCHS, 1e6), s->ctx);
}

static void make_by_hand(side *s)
{
    int32_t one = 1;
    int64_t in = INPUTS, batch = s->c->batch;
    check(bp_params_create(s->ctx, BP_F32, &s->params), s->ctx);
    for (int more = 1; more; s->layers++) {
        char name[2][8];
        more = s->layers < HIDDEN_MAX && s->c->width[s->layers];
        int64_t out = more ? s->c->width[s->layers] : CLASSES;
        snprintf(name[0], sizeof name[0], "w%d", s->layers);
        snprintf(name[1], sizeof name[1], "b%d", s->layers);
        s->w[s->layers] = bp_param(s->params, name[0], BP_SHAPE(out, in), BP_INIT_HE);
        s->b[s->layers] = bp_param(s->params, name[1], BP_SHAPE(out), BP_INIT_ZERO);
        in = out;
    }
    check(bp_adam_create(s->params, 0.005, &s->adam), s->ctx);
    s->order = bp_tensor_create(s->ctx, BP_I32, BP_SHAPE(STEPS, batch));
    s->at = bp_tensor_create(s->ctx, BP_I32, BP_SHAPE(1));
    s->one = bp_tensor_create(s->ctx, BP_I32, BP_SHAPE(1));
    s->sum = bp_tensor_create(s->ctx, BP_F64, BP_SCALAR);
    s->shift = bp_tensor_create(s->ctx, BP_F64, BP_SHAPE(INPUTS));
    s->scale = bp_tensor_create(s->ctx, BP_F64, BP_SHAPE(INPUTS));
    double scale[INPUTS];
    for (int i = 0; i < INPUTS; i++)
        scale[i] = 3.4641016151377544; /* of uniform numbers in [-1/2, 1/2) */
    check(bp_write(s->scale, scale, sizeof scale), s->ctx);
    s->rows = malloc((size_t)(STEPS * batch) * sizeof *s->rows);
    check(bp_write(s->one, &one, sizeof one), s->ctx);
}

static bp_status step(bp_context *ctx, void *user)
{
    side *s = user;
    bp_tensor *index = bp_reshape(bp_gather(s->order, s->at), BP_SHAPE(s->c->batch));
    bp_tensor *labels = bp_gather(bp_data_labels(s->data), index);
    bp_tensor *y = bp_gather_normalized(bp_data_samples(s->data), index, s->shift, s->scale,
                                        BP_F32);
    for (int i = 0; i < s->layers - 1; i++)
        y = bp_linear_relu(y, s->w[i], s->b[i], s->c->dropout);
    y = bp_linear(y, s->w[s->layers - 1], s->b[s->layers - 1]);
    bp_tensor *loss = bp_cross_entropy(y, labels);
    bp_status st = bp_backward(ctx, loss);
    if (st == BP_OK)
        st = bp_add_into(s->sum, bp_cast(loss, BP_F64));
    if (st == BP_OK)
        st = bp_add_into(s->at, s->one);
    return st == BP_OK ? bp_optimizer_step(s->adam) : st;
}

/* Seconds of a step, over an epoch. */
static double by_hand(side *s)
{
    int64_t n = STEPS * s->c->batch;
    int32_t at = 0;
    double sum = 0, begin = seconds();
    for (int64_t i = 0; i < n; i++)
        s->rows[i] = (int32_t)i;
    for (int64_t i = n - 1; i > 0; i--) {
        int64_t k = rand() % (i + 1);
        int32_t other = s->rows[k];
        s->rows[k] = s->rows[i];
        s->rows[i] = other;
    }
    check(bp_write(s->order, s->rows, (size_t)n * sizeof *s->rows), s->ctx);
    check(bp_write(s->at, &at, sizeof at), s->ctx);
    check(bp_write(s->sum, &sum, sizeof sum), s->ctx);
    if (s->plan)
        check(bp_plan_replay(s->plan, 1), s->ctx);
    else
        check(bp_plan_record(s->ctx, step, s, &s->plan), s->ctx);
    check(bp_plan_replay(s->plan, STEPS - 1), s->ctx);
    check(bp_read(s->sum, &sum, sizeof sum), s->ctx);
    return (seconds() - begin) / STEPS;
}

static double by_trainer(side *s)
{
    int32_t done;
    double begin = seconds();
    check(bp_trainer_run(s->trainer, STEPS, -1, &done), s->ctx);
    return (seconds() - begin) / STEPS;
}

static void close_side(side *s)
{
    bp_plan_free(s->plan);
    bp_trainer_free(s->trainer);
    bp_model_free(s->model);
    bp_optimizer_free(s->adam);
    bp_params_free(s->params);
    bp_data_free(s->data);
    free(s->rows);
    bp_close(s->ctx);
}

static void row(const struct config *c)
{
    side hand, trainer;
    double t[2][MOST], ratio[MOST], begin;
    int n = 0;
    open_side(&hand, c);
    make_by_hand(&hand);
    open_side(&trainer, c);
    make_trainer(&trainer);
    by_hand(&hand);
    by_trainer(&trainer);
    for (begin = seconds(); n < 3 || (n < MOST && seconds() - begin < limit); n++) {
        t[0][n] = by_hand(&hand);
        t[1][n] = by_trainer(&trainer);
        ratio[n] = t[1][n] / t[0][n];
    }
    qsort(t[0], (size_t)n, sizeof *t[0], ascending);
    qsort(t[1], (size_t)n, sizeof *t[1], ascending);
    qsort(ratio, (size_t)n, sizeof *ratio, ascending);
    printf("{\"bench\": \"trainer\", \"net\": \"%s\", \"batch\": %lld, \"epochs\": %d, "
           "\"hand_us\": %.2f, \"hand_lowest\": %.2f, \"hand_highest\": %.2f, "
           "\"trainer_us\": %.2f, \"trainer_lowest\": %.2f, \"trainer_highest\": %.2f, "
           "\"ratio\": %.4f, \"version\": \"%s\", \"device\": \"%s\"}\n",
           c->name, (long long)c->batch, n, 1e6 * t[0][n / 2], 1e6 * t[0][0], 1e6 * t[0][n - 1],
           1e6 * t[1][n / 2], 1e6 * t[1][0], 1e6 * t[1][n - 1], ratio[n / 2], bp_version(),
           bp_device_text(hand.ctx));
    fflush(stdout);
    close_side(&hand);
    close_side(&trainer);
}

int main(int argc, char **argv)
{
    for (int i = 1; i + 1 < argc; i += 2)
        if (!strcmp(argv[i], "--seconds"))
            limit = atof(argv[i + 1]);
        else if (!strcmp(argv[i], "--device"))
            device = argv[i + 1];
        else if (!strcmp(argv[i], "--threads"))
            threads = atoi(argv[i + 1]);
    for (size_t i = 0; i < sizeof configs / sizeof *configs; i++)
        row(&configs[i]);
    return 0;
}
