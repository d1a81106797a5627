/* The learner of bench_online by KANN (github.com/attractivechaos/kann): kann_cost, which gives
 * the mean of the squared errors and its gradients, and the step, which KANN leaves to its user but
 * for RMSprop. */
#include <kann.h>
#include <stdlib.h>
#include <string.h>

#include "online.h"

typedef struct learner {
    kann_t *net;
    float x[ONLINE_MOST], target[ONLINE_MOST];
    int size;
} learner;

void *online_kann_open(const online_net *net, const online_start *start)
{
    learner *l = calloc(1, sizeof *l);
    float *x = l->x, *target = l->target;
    const float *from[] = {start->w[0], start->b[0], start->w[1], start->b[1]};
    kad_node_t *h = kad_tanh(kann_layer_dense(kann_layer_input(net->in), net->hidden));
    l->net = kann_new(kann_layer_cost(h, net->out, KANN_C_MSE), 0);
    l->size = kann_size_var(l->net);
    kann_set_batch_size(l->net, 1);
    kann_feed_bind(l->net, KANN_F_IN, 0, &x);
    kann_feed_bind(l->net, KANN_F_TRUTH, 0, &target);
    for (int i = 0, k = 0; i < l->net->n; i++)
        if (kad_is_var(l->net->v[i])) {
            memcpy(l->net->v[i]->x, from[k++], (size_t)kad_len(l->net->v[i]) * sizeof(float));
        }
    return l;
}

float online_kann_step(void *self, const online_sample *s, const online_net *net)
{
    learner *l = self;
    memcpy(l->x, s->numbers, (size_t)net->in * sizeof(float));
    memcpy(l->target, s->numbers + net->in, (size_t)net->out * sizeof(float));
    float loss = kann_cost(l->net, 0, 1), rate = (float)(ONLINE_RATE * net->out), *w = l->net->x;
    const float *g = l->net->g;
    for (int i = 0; i < l->size; i++)
        w[i] -= rate * g[i];
    return loss * (float)net->out;
}

float online_kann_predict(void *self, const online_sample *s, const online_net *net)
{
    learner *l = self;
    (void)net;
    return *kann_apply1(l->net, (float *)s->numbers);
}

void online_kann_close(void *self)
{
    learner *l = self;
    kann_delete(l->net);
    free(l);
}
