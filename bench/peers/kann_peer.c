/* KANN (github.com/attractivechaos/kann) as a contender of compare.py: kann_cost, which gives a
 * mean loss and its gradients, by kann_mt's threads where there is a batch; kann_apply1. The
 * steps of SGD and Adam are written here, since KANN leaves them to its user but for RMSprop. */
#include <kann.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "online.h"
#include "timing.h"

/* w and b of each layer, in order: KANN keeps its variables so. */
static void set_variables(kann_t *net, const float *const *from)
{
    for (int i = 0, k = 0; i < net->n; i++)
        if (kad_is_var(net->v[i])) {
            memcpy(net->v[i]->x, from[k++], (size_t)kad_len(net->v[i]) * sizeof(float));
        }
}

/* --- one sample ------------------------------------------------------------------------------ */

typedef struct learner {
    kann_t *net;
    float x[ONLINE_MOST], target[ONLINE_MOST];
    int size;
} learner;

static void *open_learner(const online_start *start)
{
    learner *l = calloc(1, sizeof *l);
    if (!l)
        return NULL;
    float *x = l->x, *target = l->target;
    kad_node_t *h = kad_tanh(kann_layer_dense(kann_layer_input(start->in), start->hidden));
    l->net = kann_new(kann_layer_cost(h, start->out, KANN_C_MSE), 0);
    l->size = kann_size_var(l->net);
    kann_set_batch_size(l->net, 1);
    kann_feed_bind(l->net, KANN_F_IN, 0, &x);
    kann_feed_bind(l->net, KANN_F_TRUTH, 0, &target);
    set_variables(l->net, (const float *[]){start->w[0], start->b[0], start->w[1], start->b[1]});
    return l;
}

static float learn(void *self, const online_start *start, const float *sample)
{
    learner *l = self;
    memcpy(l->x, sample, (size_t)start->in * sizeof(float));
    memcpy(l->target, sample + start->in, (size_t)start->out * sizeof(float));
    float loss = kann_cost(l->net, 0, 1), rate = (float)(ONLINE_RATE * start->out), *w = l->net->x;
    const float *g = l->net->g;
    for (int i = 0; i < l->size; i++)
        w[i] -= rate * g[i];
    return loss * (float)start->out;
}

static float predict(void *self, const online_start *start, const float *sample)
{
    learner *l = self;
    (void)start;
    return *kann_apply1(l->net, (float *)sample);
}

static void close_learner(void *self)
{
    learner *l = self;
    kann_delete(l->net);
    free(l);
}

static const char *open_online(const work *w, void **self)
{
    static const online_learner learns = {open_learner, learn, close_learner};
    static const online_learner predicts = {open_learner, predict, close_learner};
    return online_open(w, strcmp(w->kind, "online") ? &predicts : &learns, false, self);
}

/* --- batches --------------------------------------------------------------------------------- */

typedef struct steps {
    kann_t *net;
    float *x, *truth, *m, *v; /* truth: a 1 a row */
    int size;
    int64_t taken;
} steps;

static float *numbers(int64_t count, FILE *from)
{
    float *p = calloc((size_t)count, sizeof *p);
    if (p && from && fread(p, sizeof *p, (size_t)count, from) != (size_t)count)
        return free(p), NULL;
    return p;
}

/* Seconds of a loss and its gradients, which leave the net as it is. */
static double cost_seconds(kann_t *net)
{
    double from = seconds(), took;
    int64_t calls = 0;
    do {
        kann_cost(net, 0, 1);
        took = seconds() - from;
        calls++;
    } while (took < 0.01 || calls < 3);
    return took / (double)calls;
}

/* Many threads or one, whichever is faster: on a small net they cost more than they do. */
static void choose_threads(kann_t *net, int threads, int batch)
{
    double one = cost_seconds(net);
    kann_mt(net, threads, batch);
    if (threads > 1 && cost_seconds(net) > one)
        kann_mt(net, 1, batch);
}

static const char *open_steps(const work *w, void **self)
{
    const int64_t batch = atoll(w->word[1]), *size = w->size, classes = size[w->layers];
    const float dropout = (float)atof(w->word[2]);
    float *start[2 * WORK_LAYERS];
    steps *s = calloc(1, sizeof *s);
    if (w->layers < 1 || batch < 1 || !s || !w->start)
        return free(s), "a step wants sizes, a batch and a file to start from";
    s->x = numbers(batch * size[0], w->start);
    s->truth = numbers(batch * classes, NULL);
    float *labels = numbers(batch, w->start);
    kad_node_t *h = kann_layer_input((int)size[0]);
    for (int i = 0; i < w->layers; i++) {
        start[2 * i] = numbers(size[i] * size[i + 1], w->start);
        start[2 * i + 1] = numbers(size[i + 1], w->start);
        if (i < w->layers - 1)
            h = kad_relu(kann_layer_dense(h, (int)size[i + 1]));
        if (i < w->layers - 1 && dropout > 0)
            h = kann_layer_dropout(h, dropout);
        if (!start[2 * i + 1]) /* the last to be read of those that can be short */
            return "what it starts from is too short";
    }
    for (int64_t i = 0; i < batch; i++)
        s->truth[i * classes + (int64_t)labels[i]] = 1;
    s->net = kann_new(kann_layer_cost(h, (int)classes, KANN_C_CEM), 0);
    s->size = kann_size_var(s->net);
    s->m = numbers(s->size, NULL);
    s->v = numbers(s->size, NULL);
    set_variables(s->net, (const float *const *)start);
    kann_switch(s->net, 1);
    kann_set_batch_size(s->net, (int)batch);
    kann_feed_bind(s->net, KANN_F_IN, 0, &s->x);
    kann_feed_bind(s->net, KANN_F_TRUTH, 0, &s->truth);
    choose_threads(s->net, w->threads, (int)batch);
    for (int i = 0; i < 2 * w->layers; i++)
        free(start[i]);
    free(labels);
    *self = s;
    return NULL;
}

static void adam(steps *s)
{
    const float *restrict g = s->net->g;
    float *restrict w = s->net->x, *restrict m = s->m, *restrict v = s->v;
    const double t = (double)++s->taken;
    const float rate = (float)(1e-3 / (1 - pow(0.9, t)));
    const float scale = (float)(1 / sqrt(1 - pow(0.999, t)));
    for (int i = 0; i < s->size; i++) {
        m[i] = 0.9f * m[i] + 0.1f * g[i];
        v[i] = 0.999f * v[i] + 0.001f * g[i] * g[i];
        w[i] -= rate * m[i] / (sqrtf(v[i]) * scale + 1e-8f);
    }
}

static float take(void *self, int64_t count)
{
    steps *s = self;
    float loss = 0;
    for (int64_t i = 0; i < count; i++) {
        loss = kann_cost(s->net, 0, 1);
        adam(s);
    }
    return loss;
}

static double run_steps(void *self, int64_t calls)
{
    double from = seconds();
    take(self, calls);
    return seconds() - from;
}

static void close_steps(void *self)
{
    steps *s = self;
    kann_delete(s->net);
    free(s->x), free(s->truth), free(s->m), free(s->v);
    free(s);
}

static const contender online = {open_online, online_loss, online_run, online_close};
static const contender batches = {open_steps, take, run_steps, close_steps};

static const contender *find(const char *kind)
{
    if (!strcmp(kind, "step"))
        return &batches;
    return !strcmp(kind, "online") || !strcmp(kind, "predict") ? &online : NULL;
}

int main(int argc, char **argv)
{
    return contender_serve(argc, argv, find);
}
