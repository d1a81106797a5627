/* Ours, online: a sample is written, a recorded step replayed and its loss read; or a model
 * predicts. By one thread. */
#include <math.h>
#include <stdlib.h>

#include "online.h"
#include "ours.h"

typedef struct learner {
    bp_context *ctx;
    bp_params *params;
    bp_optimizer *sgd;
    bp_tensor *sample, *loss, *w[2], *b[2]; /* the sample: x, then the target */
    int64_t in;
    bp_plan *plan;
} learner;

static bp_status learn(bp_context *ctx, void *user)
{
    learner *l = user;
    bp_tensor *x = bp_slice(l->sample, 1, 0, l->in, 1);
    bp_tensor *target = bp_slice(l->sample, 1, l->in, INT64_MAX, 1);
    bp_tensor *y = bp_linear(bp_tanh(bp_linear(x, l->w[0], l->b[0])), l->w[1], l->b[1]);
    bp_tensor *loss = bp_mse_loss(y, target, BP_SUM);
    bp_status st = bp_backward(ctx, loss);
    if (st == BP_OK)
        st = bp_copy_into(l->loss, loss);
    return st == BP_OK ? bp_optimizer_step(l->sgd) : st;
}

static void *open_learner(const online_start *start)
{
    learner *l = calloc(1, sizeof *l);
    const int64_t from[] = {start->in, start->hidden}, to[] = {start->hidden, start->out};
    l->ctx = opened(1);
    check(bp_params_create(l->ctx, BP_F32, &l->params), l->ctx);
    for (int i = 0; i < 2; i++) {
        const char *names[] = {"w0", "w1", "b0", "b1"};
        l->w[i] = bp_param(l->params, names[i], BP_SHAPE(to[i], from[i]), BP_INIT_ZERO);
        l->b[i] = bp_param(l->params, names[2 + i], BP_SHAPE(to[i]), BP_INIT_ZERO);
    }
    l->in = start->in;
    l->sample = bp_tensor_create(l->ctx, BP_F32, BP_SHAPE(1, start->in + start->out));
    l->loss = bp_tensor_create(l->ctx, BP_F32, BP_SCALAR);
    check(bp_sgd_create(l->params, ONLINE_RATE, 0, &l->sgd), l->ctx);
    check(bp_plan_record(l->ctx, learn, l, &l->plan), l->ctx); /* and runs it: undone */
    for (int i = 0; i < 2; i++) {
        check(bp_write(l->w[i], start->w[i], (size_t)(to[i] * from[i]) * sizeof(float)), l->ctx);
        check(bp_write(l->b[i], start->b[i], (size_t)to[i] * sizeof(float)), l->ctx);
    }
    return l;
}

static float step(void *self, const online_start *start, const float *sample)
{
    learner *l = self;
    float loss = NAN;
    bp_status st = bp_write(l->sample, sample, (size_t)(start->in + start->out) * sizeof *sample);
    if (st == BP_OK)
        st = bp_plan_replay(l->plan, 1);
    if (st == BP_OK)
        st = bp_read(l->loss, &loss, sizeof loss);
    check(st, l->ctx);
    return loss;
}

static void close_learner(void *self)
{
    learner *l = self;
    bp_plan_free(l->plan);
    bp_optimizer_free(l->sgd);
    bp_params_free(l->params);
    bp_close(l->ctx);
    free(l);
}

typedef struct predictor {
    bp_context *ctx;
    bp_model *model;
} predictor;

static void *open_predictor(const online_start *start)
{
    predictor *p = calloc(1, sizeof *p);
    char layers[16];
    const int size[] = {start->in, start->hidden, start->out};
    snprintf(layers, sizeof layers, "%d tanh", start->hidden);
    p->ctx = opened(1);
    check(bp_model_create_as(p->ctx, start->in, layers, BP_TASK_REGRESSION, start->out, &p->model),
          p->ctx);
    bp_params *params = bp_model_params(p->model);
    for (int i = 0; i < 2; i++) {
        size_t count = (size_t)(size[i] * size[i + 1]), bytes = sizeof(float);
        check(bp_write(bp_param_at(params, 2 * i), start->w[i], count * bytes), p->ctx);
        check(bp_write(bp_param_at(params, 2 * i + 1), start->b[i], (size_t)size[i + 1] * bytes),
              p->ctx);
    }
    return p;
}

static float predict(void *self, const online_start *start, const float *sample)
{
    predictor *p = self;
    float y[ONLINE_MOST];
    (void)start;
    check(bp_model_predict(p->model, sample, 1, y), p->ctx);
    return y[0];
}

static void close_predictor(void *self)
{
    predictor *p = self;
    bp_model_free(p->model);
    bp_close(p->ctx);
    free(p);
}

static const char *open_online(const work *w, void **self)
{
    static const online_learner way = {open_learner, step, close_learner};
    return online_open(w, &way, true, self);
}

static const char *open_predict(const work *w, void **self)
{
    static const online_learner way = {open_predictor, predict, close_predictor};
    return online_open(w, &way, true, self);
}

const contender ours_online = {open_online, online_loss, online_run, online_close};
const contender ours_predict = {open_predict, online_loss, online_run, online_close};
