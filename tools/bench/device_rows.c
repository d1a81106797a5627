/* The rows of device_rows.h, and what they are made of: random tensors and parameters, and a call.
 * A row of an op is its forward pass or both; every one of them is in a table at the end. */
#include "device_rows.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int quick;

enum {
    GATHERS = 64,        /* calls of a plan whose call is shorter than a launch */
    RANDOM = 1 << 20,    /* bytes drawn; a tensor repeats them */
    QUICK_COUNT = 16384, /* elements, or the width where that is more */
    QUICK_DIVISOR = 128
};
enum { DY = 1, BIAS = 2, LABELS = 4, TARGET = 8 }; /* what a row needs beside x */

/* --- random tensors -------------------------------------------------------------------------- */

static void draw(void *host, bp_dtype dtype, size_t count, int classes)
{
    for (size_t i = 0; i < count; i++) {
        if (dtype == BP_F32)
            ((float *)host)[i] = (float)rand() / (float)RAND_MAX - 0.5f;
        else if (dtype == BP_F64)
            ((double *)host)[i] = (double)rand() / RAND_MAX - 0.5;
        else if (dtype == BP_I32)
            ((int32_t *)host)[i] = rand() % classes;
        else
            ((uint8_t *)host)[i] = (uint8_t)(rand() % classes);
    }
}

/* Reals in [-0.5, 0.5), or integers below `classes`; nothing after a failure. */
static bp_tensor *make_random(problem *p, bp_dtype dtype, bp_shape shape, int classes)
{
    size_t bytes = (size_t)bp_shape_count(shape) * bp_dtype_bytes(dtype);
    size_t drawn = bytes < RANDOM ? bytes : RANDOM;
    bp_tensor *t = p->made == BP_OK ? bp_tensor_create(p->ctx, dtype, shape) : NULL;
    char *host = t ? malloc(bytes) : NULL;
    if (!host) {
        p->made = BP_ERR_NOMEM;
        return NULL;
    }
    draw(host, dtype, drawn / bp_dtype_bytes(dtype), classes);
    for (size_t done = drawn; done < bytes; done += drawn)
        memcpy(host + done, host, bytes - done < drawn ? bytes - done : drawn);
    p->made = bp_write(t, host, bytes);
    free(host);
    return t;
}

static bp_tensor *make_like(problem *p, bp_tensor *t, int copied)
{
    bp_tensor *made = t ? bp_tensor_create(p->ctx, bp_dtype_of(t), bp_shape_of(t)) : NULL;
    p->made = !made ? BP_ERR_NOMEM : copied ? bp_copy_into(made, t) : BP_OK;
    return made;
}

static int64_t shrunk(int64_t n)
{
    return !quick ? n : n > QUICK_DIVISOR ? n / QUICK_DIVISOR : 1;
}

static void make_op(problem *p)
{
    int64_t rows = p->row->size[0], cols = p->row->size[1];
    if (quick)
        rows = cols < QUICK_COUNT ? QUICK_COUNT / cols : 1;
    p->count = (double)(rows * cols);
    p->x[0] = make_random(p, BP_F32, BP_SHAPE(rows, cols), 0);
    for (int i = 1; i < BUFFERS && p->made == BP_OK; i++)
        p->x[i] = make_like(p, p->x[0], 1);
    for (int i = 0; i < BUFFERS && p->made == BP_OK && p->row->needs & TARGET; i++)
        p->target[i] = make_like(p, p->x[0], 0);
    if (p->row->needs & DY)
        p->dy = make_random(p, BP_F32, BP_SHAPE(rows, cols), 0);
    if (p->row->needs & BIAS)
        p->bias = make_random(p, BP_F32, BP_SHAPE(cols), 0);
    if (p->row->needs & LABELS)
        p->labels = make_random(p, BP_I32, BP_SHAPE(rows), (int)cols);
}

static void make_product(problem *p)
{
    p->side = shrunk(p->row->size[0]);
    p->count = (double)(p->side * p->side);
    if (p->row->needs & ROW_TF32)
        p->made = bp_set_precision(p->ctx, BP_PRECISION_TF32);
    for (int i = 0; i < BUFFERS; i++)
        p->x[i] = make_random(p, BP_F32, BP_SHAPE(p->side, p->side), 0);
}

static void make_gather(problem *p)
{
    int64_t batch = p->row->size[0], cols = p->row->size[1], rows = shrunk(p->row->size[2]);
    p->count = (double)(batch * cols);
    p->calls = quick ? BUFFERS : GATHERS;
    p->table = make_random(p, BP_U8, BP_SHAPE(rows, cols), 256);
    for (int i = 0; i < BUFFERS; i++)
        p->x[i] = make_random(p, BP_I32, BP_SHAPE(batch), (int)rows);
    p->shift = make_random(p, BP_F64, BP_SHAPE(cols), 0);
    p->scale = make_random(p, BP_F64, BP_SHAPE(cols), 0);
}

/* Next to no work, many times. */
static void make_nodes(problem *p)
{
    p->count = 16;
    p->calls = (int)p->row->size[0];
    for (int i = 0; i < BUFFERS; i++)
        p->x[i] = make_random(p, BP_F32, BP_SHAPE(16), 0);
}

/* A chain of linear layers, so that one product writes the gradients of two parameters. The rate is
 * next to nothing: a thousand steps leave the net as it is. */
static void make_adam(problem *p)
{
    const int64_t *width = p->row->size;
    int layers = p->row->layers;
    /* A draw of 512 M would take longer than the row. */
    bp_init init = layers > 1 ? BP_INIT_LECUN : BP_INIT_ZERO;
    p->calls = 1;
    p->made = bp_params_create(p->ctx, BP_F32, &p->params);
    for (int i = 0; i < layers; i++) {
        char name[32];
        int64_t in = shrunk(width[i > 0]), out = shrunk(width[i < layers - 1 ? 1 : 2]);
        snprintf(name, sizeof name, "w%d", i);
        bp_param(p->params, name, BP_SHAPE(out, in), init);
        name[0] = 'b';
        bp_param(p->params, name, BP_SHAPE(out), BP_INIT_ZERO);
        p->count += (double)(out * in + out);
    }
    p->x[0] = make_random(p, BP_F32, BP_SHAPE(8, shrunk(width[0])), 0);
    if (p->made == BP_OK)
        p->made = bp_adam_create(p->params, 1e-12, &p->adam);
}

/* --- calls ----------------------------------------------------------------------------------- */

static bp_status copy(problem *p, int i)
{
    return bp_copy_into(p->target[i], p->x[i]);
}

/* What an op makes ends with the call's scope, and an error of it is the scope's. */
static bp_status forward(problem *p, int i)
{
    p->row->op(p, i);
    return BP_OK;
}

/* With a bias, its gradient: that of x is dy itself. */
static bp_status both_ways(problem *p, int i)
{
    bp_tensor **from = p->bias ? &p->bias : &p->x[i], *kept = *from, *leaf = bp_require_grad(kept);
    bp_tensor *dleaf;
    *from = leaf;
    bp_status st = bp_grad(p->ctx, p->row->op(p, i), p->dy, &leaf, 1, 0, &dleaf);
    *from = kept;
    return st;
}

/* The loss makes its gradient on the way; the walk back starts with dy = 1 and has no work. */
static bp_status loss_both_ways(problem *p, int i)
{
    return bp_backward(p->ctx, bp_cross_entropy(bp_require_grad(p->x[i]), p->labels));
}

static bp_status gradients(problem *p)
{
    bp_tensor *h = p->x[0];
    for (int32_t i = 0; i < bp_param_count(p->params); i += 2)
        h = bp_linear(h, bp_param_at(p->params, i), bp_param_at(p->params, i + 1));
    return bp_backward(p->ctx, bp_sum(h));
}

static bp_status adam(problem *p, int i)
{
    (void)i;
    bp_status st = gradients(p);
    return st == BP_OK ? bp_optimizer_step(p->adam) : st;
}

static bp_status no_adam(problem *p, int i)
{
    (void)i;
    bp_status st = gradients(p);
    return st == BP_OK ? bp_grad_clear(p->params) : st;
}

static bp_tensor *product(problem *p, int i)
{
    return bp_matmul(p->x[i], p->x[(i + 1) % BUFFERS]);
}

static bp_tensor *relu(problem *p, int i)
{
    return bp_relu(p->x[i]);
}

static bp_tensor *node(problem *p, int i)
{
    return bp_relu(p->x[i % BUFFERS]);
}

static bp_tensor *add_bias(problem *p, int i)
{
    return bp_add(p->x[i], p->bias);
}

static bp_tensor *dropout(problem *p, int i)
{
    return bp_dropout(p->x[i], 0.2);
}

static bp_tensor *log_softmax(problem *p, int i)
{
    return bp_log_softmax(p->x[i], 1);
}

static bp_tensor *gather(problem *p, int i)
{
    return bp_gather_normalized(p->table, p->x[i % BUFFERS], p->shift, p->scale, BP_F32);
}

static bp_tensor *softmax(problem *p, int i)
{
    return bp_softmax(p->x[i], 1);
}

#define BOTH(name, op, needs, forward_bytes, bytes, rows, cols)                            \
    {name, make_op, forward, NULL, op, (needs) & ~DY, forward_bytes, {rows, cols, 0}, 0},  \
    {name " forward+backward", make_op, both_ways, NULL, op, needs, bytes, {rows, cols, 0}, 0}
#define G4(width) \
    BOTH("G4 log-softmax " #width, log_softmax, DY, 8, 20, (64 << 20) / width, width)
#define COPY(name, rows, cols) \
    {name, make_op, copy, NULL, NULL, TARGET, 8, {rows, cols, 0}, 0}
#define PRODUCT(name, side, needs) \
    {name, make_product, forward, NULL, product, needs, 12, {side, 0, 0}, 0}
#define NODES(count) \
    {"node, " #count " of a plan", make_nodes, forward, NULL, node, 0, 8, {count, 0, 0}, 0}
#define ADAM(name, first, middle, last, layers) \
    {name, make_adam, adam, no_adam, NULL, 0, 28, {first, middle, last}, layers}
#define CROSS_ENTROPY(name, rows, cols) \
    {name, make_op, loss_both_ways, NULL, NULL, LABELS, 8, {rows, cols, 0}, 0}
#define GATHER(name) \
    {name, make_gather, forward, NULL, gather, 0, 5, {128, 784, 60000}, 0}

static const row gpu_rows[] = {
    COPY("copy 256 MB", 8192, 8192),
    PRODUCT("product 4096", 4096, 0),
    PRODUCT("product 8192", 8192, 0),
    PRODUCT("product 4096 TF32", 4096, ROW_TF32),
    PRODUCT("product 8192 TF32", 8192, ROW_TF32),
    NODES(1), NODES(10), NODES(100),
    ADAM("G3 Adam 512 M", 32768, 0, 16384, 1),
    ADAM("G3 Adam 11 M in 160", 370, 370, 370, 80),
    ADAM("G3 Adam 0.4 M in 4", 784, 512, 10, 2),
    CROSS_ENTROPY("G4 cross-entropy 8192x50304 forward+backward", 8192, 50304),
    G4(256), G4(1024), G4(4096), G4(16384), G4(65536), G4(131072),
    BOTH("G5 ReLU", relu, DY, 8, 20, 8192, 8192),
    BOTH("G5 bias", add_bias, BIAS | DY, 8, 12, 8192, 8192),
    BOTH("G5 dropout", dropout, DY, 8, 16, 8192, 8192),
    GATHER("G7 gather-normalise 128x784"),
    {0},
};

static const row cpu_rows[] = {
    COPY("copy 64 MB", 4096, 4096),
    PRODUCT("product 512", 512, 0),
    PRODUCT("product 2048", 2048, 0),
    NODES(1), NODES(10), NODES(100),
    ADAM("Adam 10 M", 4096, 0, 2560, 1),
    ADAM("Adam 0.4 M in 4", 784, 512, 10, 2),
    CROSS_ENTROPY("cross-entropy 4096x1000 forward+backward", 4096, 1000),
    BOTH("softmax 4096x1000", softmax, DY, 8, 20, 4096, 1000),
    BOTH("log-softmax 4096x1000", log_softmax, DY, 8, 20, 4096, 1000),
    BOTH("log-softmax 512x50257", log_softmax, DY, 8, 20, 512, 50257),
    BOTH("ReLU 16 M", relu, DY, 8, 20, 4096, 4096),
    BOTH("bias 16 M", add_bias, BIAS | DY, 8, 12, 4096, 4096),
    BOTH("dropout 16 M", dropout, DY, 8, 16, 4096, 4096),
    GATHER("gather-normalise 128x784"),
    {0},
};

const row *device_rows(bp_context *ctx)
{
    return strncmp(bp_device_text(ctx), "cpu", 3) ? gpu_rows : cpu_rows;
}
