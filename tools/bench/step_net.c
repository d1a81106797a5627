/* The net of the benchmarks: its parameters, its data, one step of Adam. */
#include "step_net.h"

#include <stdlib.h>
#include <string.h>

#include "timing.h"

enum { ROUNDS = 9 };

bp_status step_net_fill(bp_tensor *t, int classes)
{
    size_t n = t ? (size_t)bp_shape_count(bp_shape_of(t)) : 0;
    int32_t *host = malloc(n * sizeof *host + 1);
    if (!t || !host)
        return free(host), BP_ERR_NOMEM;
    for (size_t i = 0; i < n; i++) {
        float f = (float)rand() / (float)RAND_MAX - 0.5f;
        if (classes)
            host[i] = rand() % classes;
        else
            memcpy(&host[i], &f, sizeof f);
    }
    bp_status st = bp_write(t, host, n * sizeof *host);
    free(host);
    return st;
}

bp_status step_net_create(step_net *net, bp_context *ctx, const step_config *c)
{
    *net = (step_net){.config = c, .ctx = ctx};
    bp_status st = bp_params_create(ctx, BP_F32, &net->params);
    for (int i = 0; i < c->layers && st == BP_OK; i++) {
        char name[32];
        snprintf(name, sizeof name, "w%d", i);
        net->w[i] = bp_param(net->params, name, BP_SHAPE(c->size[i + 1], c->size[i]), BP_INIT_HE);
        name[0] = 'b';
        net->b[i] = bp_param(net->params, name, BP_SHAPE(c->size[i + 1]), BP_INIT_ZERO);
        st = net->w[i] && net->b[i] ? BP_OK : BP_ERR_NOMEM;
    }
    net->x = bp_tensor_create(ctx, BP_F32, BP_SHAPE(c->batch, c->size[0]));
    net->labels = bp_tensor_create(ctx, BP_I32, BP_SHAPE(c->batch));
    net->loss = bp_tensor_create(ctx, BP_F32, BP_SCALAR);
    srand(1);
    if (st == BP_OK)
        st = step_net_fill(net->x, 0);
    if (st == BP_OK)
        st = step_net_fill(net->labels, (int)c->size[c->layers]);
    return st == BP_OK ? bp_adam_create(net->params, 1e-3, &net->adam) : st;
}

void step_net_free(step_net *net)
{
    bp_plan_free(net->plan);
    bp_optimizer_free(net->adam);
    bp_params_free(net->params);
    bp_free(net->x);
    bp_free(net->labels);
    bp_free(net->loss);
    *net = (step_net){0};
}

bp_status step_net_step(bp_context *ctx, void *user)
{
    step_net *net = user;
    bp_tensor *h = net->x;
    int last = net->config->layers - 1;
    for (int i = 0; i < last; i++)
        h = bp_linear_relu(h, net->w[i], net->b[i], net->config->dropout);
    bp_tensor *loss = bp_cross_entropy(bp_linear(h, net->w[last], net->b[last]), net->labels);
    bp_status st = bp_backward(ctx, loss);
    if (st == BP_OK)
        st = bp_copy_into(net->loss, loss);
    return st == BP_OK ? bp_optimizer_step(net->adam) : st;
}

bp_status step_net_run(step_net *net, int64_t times)
{
    if (net->plan)
        return bp_plan_replay(net->plan, times);
    bp_status st = BP_OK;
    for (int64_t i = 0; i < times && st == BP_OK; i++)
        st = bp_run(net->ctx, 0, step_net_step, net);
    return st;
}

bp_status step_net_time(step_net *net, double round_seconds, double out[3])
{
    double round[ROUNDS], from = seconds();
    int64_t times = 1;
    bp_status st = BP_OK;
    for (int r = -1; r < ROUNDS && st == BP_OK; r++) {
        st = step_net_run(net, times);
        if (st == BP_OK)
            st = bp_sync(net->ctx);
        double t = (seconds() - from) / (double)times;
        if (r < 0)
            times = (int64_t)(round_seconds / t) + 1;
        else
            round[r] = t;
        from = seconds();
    }
    if (st != BP_OK)
        return st;
    qsort(round, ROUNDS, sizeof *round, ascending);
    out[0] = round[ROUNDS / 2];
    out[1] = round[0];
    out[2] = round[ROUNDS - 1];
    return BP_OK;
}

double step_net_floor(const step_config *c, double flops, double bytes)
{
    double products = 0, params = 0;
    for (int i = 0; i < c->layers; i++) {
        double w = (double)(c->size[i] * c->size[i + 1]);
        products += w * (double)c->batch * (i ? 3 : 2);
        params += w + (double)c->size[i + 1];
    }
    return 2 * products / flops + 28 * params / bytes;
}

static bp_status write_tensor(bp_tensor *t, FILE *to)
{
    size_t n = (size_t)bp_shape_count(bp_shape_of(t));
    int integers = bp_dtype_of(t) == BP_I32;
    float *host = malloc(n * sizeof *host);
    if (!host)
        return BP_ERR_NOMEM;
    bp_status st = bp_read(t, host, n * sizeof *host);
    for (size_t i = 0; i < n && integers; i++) {
        int32_t label;
        memcpy(&label, &host[i], sizeof label);
        host[i] = (float)label;
    }
    if (st == BP_OK && fwrite(host, sizeof *host, n, to) != n)
        st = BP_ERR_IO;
    free(host);
    return st;
}

bp_status step_net_write(step_net *net, FILE *to)
{
    bp_status st = write_tensor(net->x, to);
    if (st == BP_OK)
        st = write_tensor(net->labels, to);
    for (int i = 0; i < net->config->layers && st == BP_OK; i++) {
        st = write_tensor(net->w[i], to);
        if (st == BP_OK)
            st = write_tensor(net->b[i], to);
    }
    return st;
}
