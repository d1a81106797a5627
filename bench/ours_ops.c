/* Ours, op by op: forward or with the gradient, Adam, a copy, a product, an op on one number. */
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "ours.h"
#include "timing.h"

enum { X2 = 1, BIAS = 2, COLUMN = 4, GAIN = 8, LABELS = 16, QKV = 32, ONES_A_SCOPE = 1000 };

typedef struct job job;

typedef struct op {
    const char *name;
    bp_tensor *(*call)(job *);
    int needs; /* besides x */
} op;

struct job {
    bp_context *ctx;
    const op *op;
    bool back;
    bp_tensor *x, *x2, *bias, *column, *gain, *labels, *dy, *q[3];
    bp_params *params;
    bp_optimizer *adam;
};

#define OP(name, expr)             \
    static bp_tensor *name(job *p) \
    {                              \
        return (expr);             \
    }
OP(relu, bp_relu(p->x))
OP(exponential, bp_exp(p->x))
OP(elu, bp_elu(p->x, 1))
OP(tangent, bp_tanh(p->x))
OP(sigmoid, bp_sigmoid(p->x))
OP(gelu, bp_gelu(p->x))
OP(sine, bp_sin(p->x))
OP(power, bp_power(p->x, 2.5))
OP(add, bp_add(p->x, p->x2))
OP(mul, bp_mul(p->x, p->x2))
OP(bias, bp_add(p->x, p->bias))
OP(column, bp_add(p->x, p->column))
OP(transposed, bp_relu(bp_transpose(p->x, 0, 1)))
OP(add_transposed, bp_add(p->x, bp_transpose(p->x2, 0, 1)))
OP(sum, bp_sum(p->x))
OP(sum_rows, bp_sum_axes(p->x, BP_AXIS(1), 0))
OP(sum_columns, bp_sum_axes(p->x, BP_AXIS(0), 0))
OP(max_rows, bp_max_axes(p->x, BP_AXIS(1), 0))
OP(max_columns, bp_max_axes(p->x, BP_AXIS(0), 0))
OP(variance, bp_variance_axes(p->x, BP_AXIS(1), 1, 0))
OP(argmax, bp_argmax(p->x, 1))
OP(logsumexp, bp_logsumexp_axes(p->x, BP_AXIS(1), 0))
OP(cumsum, bp_cumsum(p->x, 1, 0))
OP(concat, bp_concat((bp_tensor *[]){p->x, p->x2}, 2, 1))
OP(softmax, bp_softmax(p->x, 1))
OP(softmax_columns, bp_softmax(p->x, 0))
OP(log_softmax, bp_log_softmax(p->x, 1))
OP(layer_norm, bp_layer_norm(p->x, p->gain, p->bias, 1e-5))
OP(cross_entropy, bp_cross_entropy(p->x, p->labels))
OP(attention, bp_attention(p->q[0], p->q[1], p->q[2], 0, 0))
OP(dropout, bp_dropout(p->x, 0.2))
OP(uniform, bp_uniform(p->ctx, BP_F32, bp_shape_of(p->x), 0, 1))
OP(normal, bp_normal(p->ctx, BP_F32, bp_shape_of(p->x), 0, 1))
OP(product, bp_matmul(p->x, p->x2))

static const op ops[] = {
    {"relu", relu, 0},
    {"exp", exponential, 0},
    {"elu", elu, 0},
    {"tanh", tangent, 0},
    {"sigmoid", sigmoid, 0},
    {"gelu", gelu, 0},
    {"sin", sine, 0},
    {"power", power, 0},
    {"add", add, X2},
    {"mul", mul, X2},
    {"bias", bias, BIAS},
    {"column", column, COLUMN},
    {"relu-transposed", transposed, 0},
    {"add-transposed", add_transposed, X2},
    {"sum", sum, 0},
    {"sum-rows", sum_rows, 0},
    {"sum-columns", sum_columns, 0},
    {"max-rows", max_rows, 0},
    {"max-columns", max_columns, 0},
    {"variance-rows", variance, 0},
    {"argmax-rows", argmax, 0},
    {"logsumexp-rows", logsumexp, 0},
    {"cumsum-rows", cumsum, 0},
    {"concat-columns", concat, X2},
    {"softmax", softmax, 0},
    {"softmax-columns", softmax_columns, 0},
    {"log-softmax", log_softmax, 0},
    {"layer-norm", layer_norm, GAIN | BIAS},
    {"cross-entropy", cross_entropy, LABELS},
    {"attention", attention, QKV},
    {"dropout", dropout, 0},
    {"uniform", uniform, 0},
    {"normal", normal, 0},
};
static const op one = {"one", relu, 0}, square = {"product", product, X2};

/* Reals in [-2, 2], or integers below `classes`. */
static bp_tensor *filled(bp_context *ctx, bp_shape shape, int classes)
{
    int64_t n = bp_shape_count(shape);
    bp_tensor *t = bp_tensor_create(ctx, classes ? BP_I32 : BP_F32, shape);
    int32_t *host = t ? malloc((size_t)n * sizeof *host) : NULL;
    if (!host)
        check(BP_ERR_NOMEM, ctx);
    for (int64_t i = 0; i < n; i++) {
        float f = (float)rand() / (float)RAND_MAX * 4 - 2;
        if (classes)
            host[i] = rand() % classes;
        else
            memcpy(&host[i], &f, sizeof f);
    }
    check(bp_write(t, host, (size_t)n * sizeof *host), ctx);
    free(host);
    return t;
}

static job *job_of(const work *w, const op *o, int64_t rows, int64_t cols, bool back)
{
    job *p = calloc(1, sizeof *p);
    bp_context *ctx = opened(w->threads);
    check(p ? BP_OK : BP_ERR_NOMEM, ctx);
    *p = (job){.ctx = ctx, .op = o, .back = back};
    const bp_shape shape = BP_SHAPE(rows, cols), heads = BP_SHAPE(8, 8, 256, 64);
    if (!(o->needs & QKV))
        p->x = filled(ctx, shape, 0);
    if (o->needs & X2)
        p->x2 = filled(ctx, shape, 0);
    if (o->needs & BIAS)
        p->bias = filled(ctx, BP_SHAPE(cols), 0);
    if (o->needs & GAIN)
        p->gain = filled(ctx, BP_SHAPE(cols), 0);
    if (o->needs & COLUMN)
        p->column = filled(ctx, BP_SHAPE(rows, 1), 0);
    if (o->needs & LABELS)
        p->labels = filled(ctx, BP_SHAPE(rows), (int)cols);
    for (int i = 0; i < 3 && o->needs & QKV; i++)
        p->q[i] = filled(ctx, heads, 0);
    if (back && !(o->needs & LABELS)) /* a loss begins with 1 */
        p->dy = filled(ctx, o->needs & QKV ? heads : shape, 0);
    return p;
}

static const char *open_op(const work *w, void **self)
{
    const int64_t rows = atoll(w->word[1]), cols = atoll(w->word[2]);
    for (size_t i = 0; i < sizeof ops / sizeof *ops; i++)
        if (!strcmp(ops[i].name, w->word[0]) && rows > 0 && cols > 0) {
            *self = job_of(w, &ops[i], rows, cols, !strcmp(w->word[3], "back"));
            return NULL;
        }
    return "has no such op";
}

static const char *open_one(const work *w, void **self)
{
    *self = job_of(w, &one, 1, 1, !strcmp(w->word[0], "tape"));
    return NULL;
}

static const char *open_product(const work *w, void **self)
{
    *self = job_of(w, &square, atoll(w->word[0]), atoll(w->word[0]), false);
    return NULL;
}

/* In training gain and bias ask as well. */
static bp_status walk_back(job *p)
{
    job leaf = *p;
    bp_tensor *of[3], *dx[3];
    int n = 0;
    for (int i = 0; i < 3 && p->op->needs & QKV; i++)
        of[n++] = leaf.q[i] = bp_require_grad(p->q[i]);
    if (p->x)
        of[n++] = leaf.x = bp_require_grad(p->x);
    if (p->op->needs & GAIN) {
        of[n++] = leaf.gain = bp_require_grad(p->gain);
        of[n++] = leaf.bias = bp_require_grad(p->bias);
    }
    bp_tensor *y = p->op->call(&leaf);
    return p->dy ? bp_grad(p->ctx, y, p->dy, of, n, 0, dx)
                 : bp_grad_scalar(p->ctx, y, of, n, 0, dx);
}

static bp_status once(bp_context *ctx, void *user)
{
    job *p = user;
    (void)ctx;
    if (p->back)
        return walk_back(p);
    return p->op->call(p) ? BP_OK : BP_ERR_ARG;
}

static double run_op(void *self, int64_t calls)
{
    job *p = self;
    double from = seconds();
    for (int64_t i = 0; i < calls; i++)
        check(bp_run(p->ctx, p->back ? 0 : BP_NO_GRAD, once, p), p->ctx);
    check(bp_sync(p->ctx), p->ctx);
    return seconds() - from;
}

static bp_status many(bp_context *ctx, void *user)
{
    job *p = user, leaf = *p;
    (void)ctx;
    if (p->back)
        leaf.x = bp_require_grad(p->x);
    for (int i = 0; i < ONES_A_SCOPE; i++)
        p->op->call(&leaf);
    return BP_OK;
}

/* The ops themselves, many in a scope, with what ending it costs. */
static double run_one(void *self, int64_t calls)
{
    job *p = self;
    int64_t scopes = (calls + ONES_A_SCOPE - 1) / ONES_A_SCOPE;
    double from = seconds();
    for (int64_t i = 0; i < scopes; i++)
        check(bp_run(p->ctx, p->back ? 0 : BP_NO_GRAD, many, p), p->ctx);
    return (seconds() - from) * (double)calls / (double)(scopes * ONES_A_SCOPE);
}

static void close_job(void *self)
{
    job *p = self;
    bp_context *ctx = p->ctx;
    bp_optimizer_free(p->adam);
    bp_params_free(p->params);
    free(p);
    bp_close(ctx); /* with all that is left in it */
}

/* --- Adam, and a copy ------------------------------------------------------------------------ */

static const char *open_adam(const work *w, void **self)
{
    job *p = calloc(1, sizeof *p);
    bp_context *ctx = opened(w->threads);
    check(p ? BP_OK : BP_ERR_NOMEM, ctx);
    p->ctx = ctx;
    check(bp_params_create(ctx, BP_F32, &p->params), ctx);
    if (!bp_param(p->params, "w", BP_SHAPE(atoll(w->word[0]) / 1000, 1000), BP_INIT_LECUN))
        check(BP_ERR_NOMEM, ctx);
    check(bp_adam_create(p->params, 1e-12, &p->adam), ctx);
    *self = p;
    return NULL;
}

static bp_status gradients(bp_context *ctx, void *user)
{
    job *p = user;
    bp_tensor *w = bp_param_at(p->params, 0), *x = bp_full(ctx, BP_F32, BP_SHAPE(1, 1000), 1e-3);
    bp_tensor *b = bp_full(ctx, BP_F32, BP_SHAPE(bp_shape_of(w).dim[0]), 0);
    return bp_backward(ctx, bp_sum(bp_linear(x, w, b)));
}

/* A step uses a gradient up, which is made outside of the time, by a product as most are: that it
 * is finite is known from there. */
static double run_adam(void *self, int64_t calls)
{
    job *p = self;
    double sum = 0;
    for (int64_t i = 0; i < calls; i++) {
        check(bp_run(p->ctx, 0, gradients, p), p->ctx);
        double from = seconds();
        check(bp_optimizer_step(p->adam), p->ctx);
        check(bp_sync(p->ctx), p->ctx);
        sum += seconds() - from;
    }
    return sum;
}

static const char *open_copy(const work *w, void **self)
{
    static const op plain = {"copy", NULL, X2};
    *self = job_of(w, &plain, atoll(w->word[0]), 1, false);
    return NULL;
}

static double run_copy(void *self, int64_t calls)
{
    job *p = self;
    double from = seconds();
    for (int64_t i = 0; i < calls; i++)
        check(bp_copy_into(p->x2, p->x), p->ctx);
    check(bp_sync(p->ctx), p->ctx);
    return seconds() - from;
}

const contender ours_op = {open_op, NULL, run_op, close_job};
const contender ours_one = {open_one, NULL, run_one, close_job};
const contender ours_adam = {open_adam, NULL, run_adam, close_job};
const contender ours_copy = {open_copy, NULL, run_copy, close_job};
const contender ours_product = {open_product, NULL, run_op, close_job};
