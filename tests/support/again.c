/* Small programs in which every call that fails is tried again, once, as it was: readers.h. What
 * they leave is one digest, so that a run in which something failed can be held against one in
 * which nothing did. */
#include <stdio.h>
#include <stdlib.h>

#include "data/data.h"
#include "net.h"
#include "readers.h"

const char *const tried_name[] = {"steps", "a plan", "walk and update", "plans of them",
                                  "the trainer", "the trainer, of convolutions"};

typedef struct run {
    bp_context *ctx;
    tried *result;
} run;

static void digest(run *r, const void *p, size_t n)
{
    for (size_t i = 0; i < n; i++) /* FNV-1a */
        r->result->digest = (r->result->digest ^ ((const unsigned char *)p)[i]) * 1099511628211u;
}

/* Whether a call must be tried again. One failure is planned: a second one of a call is a bug. */
static bool failed(run *r, bp_status st, const char *call, int tries)
{
    if (st == BP_OK)
        return false;
    r->result->failures++;
    if (tries == 0)
        return true;
    printf("       %s failed again: %d \"%s\"\n", call, (int)st, bp_error_text(r->ctx));
    r->result->broken = true;
    return false;
}
#define AGAIN(call)                                             \
    for (int tries_ = 0; failed(r, (call), #call, tries_); tries_++) \
        continue
#define AGAIN_MADE(handle) AGAIN((handle) ? BP_OK : BP_ERR_NOMEM)

static void digest_tensor(run *r, bp_tensor *t)
{
    size_t bytes = (size_t)bp_shape_count(bp_shape_of(t)) * bp_dtype_bytes(bp_dtype_of(t));
    void *v = calloc(1, bytes);
    AGAIN(v ? bp_read(t, v, bytes) : BP_ERR_NOMEM);
    digest(r, v, bytes);
    free(v);
}

/* --- a step by hand, called and replayed ---------------------------------------------------- */

enum { ROWS = 1200, COLS = 40 }; /* its sums and its loss want scratch memory */

typedef struct hand {
    bp_params *store;
    bp_tensor *w, *b, *x, *labels, *loss, *sum;
    bp_optimizer *opt;
} hand;

/* Nothing here changes what is there before the walk back, which may fail. */
static bp_status forward_backward(bp_context *ctx, void *user)
{
    hand *h = user;
    bp_tensor *y = bp_linear_relu(h->x, h->w, h->b, 0.3);
    bp_tensor *loss = bp_cross_entropy(bp_dropout(y, 0.1), h->labels);
    bp_status st = bp_copy_into(h->sum, bp_sum(y));
    if (st == BP_OK)
        st = bp_copy_into(h->loss, loss);
    return st == BP_OK ? bp_backward(ctx, loss) : st;
}

static bp_status whole_step(bp_context *ctx, void *user)
{
    bp_status st = forward_backward(ctx, user);
    return st == BP_OK ? bp_optimizer_step(((hand *)user)->opt) : st;
}

/* A walk back that failed leaves gradients that are no good, and says so. */
static bp_status cleared(run *r, hand *h, bp_step_fn step)
{
    bp_status st = bp_grad_clear(h->store);
    return st == BP_OK ? bp_run(r->ctx, 0, step, h) : st;
}

static void make(run *r, hand *h)
{
    static float x[ROWS * COLS];
    static int32_t label[ROWS];
    for (int i = 0; i < ROWS * COLS; i++)
        x[i] = (float)(i * 37 % 64) / 32 - 1;
    for (int i = 0; i < ROWS; i++)
        label[i] = i * 7 % 33;
    AGAIN(bp_params_create(r->ctx, BP_F32, &h->store));
    AGAIN_MADE(h->w = bp_param(h->store, "w", BP_SHAPE(33, COLS), BP_INIT_HE));
    AGAIN_MADE(h->b = bp_param(h->store, "b", BP_SHAPE(33), BP_INIT_ZERO));
    AGAIN_MADE(h->x = bp_tensor_create(r->ctx, BP_F32, BP_SHAPE(ROWS, COLS)));
    AGAIN_MADE(h->labels = bp_tensor_create(r->ctx, BP_I32, BP_SHAPE(ROWS)));
    AGAIN_MADE(h->loss = bp_tensor_create(r->ctx, BP_F32, BP_SCALAR));
    AGAIN_MADE(h->sum = bp_tensor_create(r->ctx, BP_F32, BP_SCALAR));
    AGAIN(bp_write(h->x, x, sizeof x));
    AGAIN(bp_write(h->labels, label, sizeof label));
    AGAIN(bp_adam_create(h->store, 0.01, &h->opt));
    AGAIN(bp_optimizer_set(h->opt, BP_OPT_L2, 0.01));
}

static void end(run *r, hand *h)
{
    int64_t steps = 0;
    AGAIN(bp_optimizer_steps(h->opt, &steps));
    digest(r, &steps, sizeof steps);
    bp_tensor *t[] = {h->w, h->b, h->loss, h->sum};
    for (int i = 0; i < 4; i++)
        digest_tensor(r, t[i]);
    bp_optimizer_free(h->opt);
    bp_params_free(h->store);
    bp_tensor *mine[] = {h->x, h->labels, h->loss, h->sum};
    for (int i = 0; i < 4; i++)
        bp_free(mine[i]);
}

/* Four steps: called, or recorded and replayed; or the walk back and the update by themselves. */
static void by_hand(run *r, int how)
{
    hand h = {0};
    bp_plan *plan[2] = {NULL};
    AGAIN(bp_seed(r->ctx, 7));
    make(r, &h);
    if (how == TRIED_STEPS)
        for (int i = 0; i < 4; i++)
            AGAIN(cleared(r, &h, whole_step));
    if (how == TRIED_PLAN) {
        AGAIN(bp_plan_record(r->ctx, whole_step, &h, &plan[0]));
        AGAIN(bp_plan_replay(plan[0], 3));
    }
    for (int i = 0; i < 4 && how == TRIED_HALVES; i++) {
        AGAIN(cleared(r, &h, forward_backward));
        AGAIN(bp_optimizer_step(h.opt));
    }
    if (how == TRIED_PLANS) {
        AGAIN(bp_plan_record(r->ctx, forward_backward, &h, &plan[0]));
        AGAIN(bp_optimizer_step(h.opt));
        AGAIN(bp_plan_replay(plan[0], 1));
        AGAIN(bp_plan_record(r->ctx, net_update, &(net){.opt = h.opt}, &plan[1]));
        for (int i = 0; i < 2; i++) {
            AGAIN(bp_plan_replay(plan[0], 1));
            AGAIN(bp_plan_replay(plan[1], 1));
        }
    }
    bp_plan_free(plan[0]);
    bp_plan_free(plan[1]);
    end(r, &h);
}

/* --- the training layer --------------------------------------------------------------------- */

static int64_t count_up(void *user, int64_t batch, void *const *columns, int64_t rows)
{
    (void)user;
    for (int64_t i = 0; i < rows; i++)
        ((float *)columns[0])[i] = (float)(10 * batch + i);
    return rows;
}

static void arriving(run *r)
{
    bp_data *ring = NULL, *source = NULL;
    const float x[3] = {1, 2, 3};
    AGAIN(bp_data_ring(r->ctx, 4, &ring));
    AGAIN(bp_data_add(ring, "x", BP_F32, BP_SCALAR, NULL));
    AGAIN(bp_data_push(ring, 3, (const void *const[]){x}));
    AGAIN(bp_data_drain(ring));
    AGAIN(bp_data_source(r->ctx, 5, 2, count_up, NULL, &source));
    AGAIN(bp_data_add(source, "x", BP_F32, BP_SCALAR, NULL));
    AGAIN(bpi_source_next(source, 1, true));
    digest_tensor(r, bp_data_column(ring, "x"));
    digest_tensor(r, bp_data_column(source, "x"));
    bp_data_free(ring);
    bp_data_free(source);
}

static void layer(run *r, const char *text)
{
    static float x[100 * 6];
    static int32_t label[100];
    for (int i = 0; i < 100 * 6; i++)
        x[i] = (float)(i * 31 % 97) / 97;
    for (int i = 0; i < 100; i++)
        label[i] = i * i % 3;
    bp_data *all = NULL, *table = NULL, *part[2] = {NULL, NULL};
    bp_model *m = NULL;
    bp_trainer *t = NULL;
    int32_t done = 0;
    AGAIN(bp_seed(r->ctx, 3));
    AGAIN(bp_data_table(r->ctx, 100, &table));
    AGAIN(bp_data_add(table, "x", BP_F32, BP_SHAPE(2, 3), x));
    AGAIN(bp_data_add_classes(table, label, 3, (const char *const[]){"a", "b", "c"}));
    AGAIN(bp_data_split(table, 0.3, 1, &part[0], &part[1]));
    digest_tensor(r, bp_data_column(part[1], "x"));
    bp_data_free(part[0]);
    bp_data_free(part[1]);
    bp_data_free(table);
    arriving(r);
    AGAIN(bp_data_create(r->ctx, BP_F32, x, label, 100, 6, 3, &all));
    AGAIN(bp_model_create(r->ctx, 6, text, 3, &m));
    AGAIN(bp_model_normalize(m, all));
    AGAIN(bp_trainer_create(m, all, &t));
    AGAIN(bp_trainer_set(t, BP_TRAIN_BATCH, 32));
    AGAIN(bp_trainer_set(t, BP_TRAIN_EPOCHS, 3));
    while (!done && !r->result->broken)
        AGAIN(bp_trainer_run(t, 5, -1, &done));
    bp_progress p;
    bp_trainer_progress(t, &p);
    p.seconds = 0;
    digest(r, &p, sizeof p);
    for (int32_t i = 0; i < bp_param_count(bp_model_params(m)); i++)
        digest_tensor(r, bp_param_at(bp_model_params(m), i));
    bp_trainer_free(t);
    bp_model_free(m);
    bp_data_free(all);
}

tried tried_run(const char *device, const bp_hooks *hooks, int which)
{
    tried result = {.digest = 14695981039346656037u};
    run all = {.result = &result}, *r = &all;
    /* one that could not be opened is closed too */
    AGAIN((bp_close(r->ctx), bp_open_with(device, hooks, &r->ctx)));
    AGAIN(bp_set_threads(r->ctx, 1));
    if (which == TRIED_LAYER)
        layer(r, "12 relu dropout=0.1 8 elu");
    else if (which == TRIED_IMAGES)
        layer(r, "2x3x1 conv2x2=4 relu conv1x3=3,pad=0 8 elu");
    else
        by_hand(r, which);
    bp_close(r->ctx);
    return result;
}
