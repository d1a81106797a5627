/* The net of bench_step: its context, its parameters and data, one step. */
#include "step_net.h"

#include <stdlib.h>
#include <string.h>

const char *device = "cpu";
int threads = 2;

int on_cpu(void)
{
    return !strncmp(device, "cpu", 3);
}

void check(bp_status st, bp_context *ctx)
{
    if (st == BP_OK)
        return;
    fprintf(stderr, "bench_step: %s\n", bp_error_text(ctx));
    exit(1);
}

bp_context *opened(int tf32)
{
    bp_context *ctx;
    bp_status st = bp_open(device, &ctx);
    check(st, ctx);
    if (on_cpu())
        check(bp_set_threads(ctx, threads), ctx);
    if (tf32)
        check(bp_set_precision(ctx, BP_PRECISION_TF32), ctx);
    return ctx;
}

void fill(bp_context *ctx, bp_tensor *t, int classes)
{
    int64_t n = bp_shape_count(bp_shape_of(t));
    int32_t *host = malloc((size_t)n * 4);
    for (int64_t i = 0; i < n; i++) {
        float f = (float)rand() / (float)RAND_MAX - 0.5f;
        if (classes)
            host[i] = rand() % classes;
        else
            memcpy(&host[i], &f, 4);
    }
    check(bp_write(t, host, (size_t)n * 4), ctx);
    free(host);
}

void set_up(problem *p, const config *c)
{
    memset(p, 0, sizeof *p);
    p->c = c;
    p->ctx = opened(c->tf32);
    check(bp_params_create(p->ctx, BP_F32, &p->params), p->ctx);
    for (int i = 0; i < c->layers; i++) {
        char name[32];
        snprintf(name, sizeof name, "w%d", i);
        p->w[i] = bp_param(p->params, name, BP_SHAPE(c->size[i + 1], c->size[i]), BP_INIT_HE);
        name[0] = 'b';
        p->b[i] = bp_param(p->params, name, BP_SHAPE(c->size[i + 1]), BP_INIT_ZERO);
    }
    p->x = bp_tensor_create(p->ctx, BP_F32, BP_SHAPE(c->batch, c->size[0]));
    p->labels = bp_tensor_create(p->ctx, BP_I32, BP_SHAPE(c->batch));
    p->loss = bp_tensor_create(p->ctx, BP_F32, BP_SCALAR);
    srand(1);
    fill(p->ctx, p->x, 0);
    fill(p->ctx, p->labels, (int)c->size[c->layers]);
    check(bp_adam_create(p->params, 1e-3, &p->adam), p->ctx);
}

void tear_down(problem *p)
{
    bp_plan_free(p->plan);
    bp_optimizer_free(p->adam);
    bp_params_free(p->params);
    bp_close(p->ctx);
}

bp_status step(bp_context *ctx, void *user)
{
    problem *p = user;
    bp_tensor *h = p->x;
    int last = p->c->layers - 1;
    for (int i = 0; i < last; i++)
        h = bp_linear_relu(h, p->w[i], p->b[i], p->c->dropout);
    bp_tensor *loss = bp_cross_entropy(bp_linear(h, p->w[last], p->b[last]), p->labels);
    bp_status st = bp_backward(ctx, loss);
    if (st == BP_OK)
        st = bp_copy_into(p->loss, loss);
    return st == BP_OK ? bp_optimizer_step(p->adam) : st;
}

static void write_dump(problem *p, bp_tensor *t, FILE *dump)
{
    size_t n = (size_t)bp_shape_count(bp_shape_of(t));
    int integers = bp_dtype_of(t) == BP_I32;
    float *host = malloc(n * 4);
    check(bp_read(t, host, n * 4), p->ctx);
    for (size_t i = 0; i < n && integers; i++) {
        int32_t label;
        memcpy(&label, &host[i], sizeof label);
        host[i] = (float)label;
    }
    fwrite(host, 4, n, dump);
    free(host);
}

void dump_start(problem *p, FILE *dump)
{
    write_dump(p, p->x, dump);
    write_dump(p, p->labels, dump);
    for (int i = 0; i < p->c->layers; i++) {
        write_dump(p, p->w[i], dump);
        write_dump(p, p->b[i], dump);
    }
}
