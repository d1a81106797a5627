/* Ops on one device, each against the copy rate of the same run; bench/peers/torch_ops.py asks for
 * one round at a time and gives PyTorch the same rows in between.
 *
 *     bench_ops [--threads N] [--device NAME] [--only PREFIX] [--names] [--serve]
 *
 * A row is an op forward, or forward and back from a dy. `bytes` are the least that the formula can
 * move for an element of x. --serve answers each name on the standard input with a line: the
 * seconds of a call, the median of some, and the bytes; --names says which there are; without them
 * every row is printed. */
#include <bpcuda/bpcuda.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "timing.h"

typedef struct problem {
    bp_context *ctx;
    bp_tensor *x, *x2, *out, *bias, *column, *gain, *labels, *dy, *q[3];
    bp_params *params;
    bp_optimizer *adam;
    int back;
} problem;

typedef struct row {
    const char *name;
    bp_tensor *(*op)(problem *);
    int64_t rows, cols;
    double bytes;
    int back;
} row;

#define OP(name, expr)                     \
    static bp_tensor *name(problem *p)     \
    {                                      \
        return (expr);                     \
    }
OP(relu, bp_relu(p->x))
OP(exponential, bp_exp(p->x))
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
OP(sum_cols, bp_sum_axes(p->x, BP_AXIS(0), 0))
OP(max_rows, bp_max_axes(p->x, BP_AXIS(1), 0))
OP(max_cols, bp_max_axes(p->x, BP_AXIS(0), 0))
OP(variance, bp_variance_axes(p->x, BP_AXIS(1), 1, 0))
OP(argmax, bp_argmax(p->x, 1))
OP(logsumexp, bp_logsumexp_axes(p->x, BP_AXIS(1), 0))
OP(cumsum, bp_cumsum(p->x, 1, 0))
OP(concat, bp_concat((bp_tensor *[]){p->x, p->x2}, 2, 1))
OP(softmax, bp_softmax(p->x, 1))
OP(softmax_cols, bp_softmax(p->x, 0))
OP(log_softmax, bp_log_softmax(p->x, 1))
OP(layer_norm, bp_layer_norm(p->x, p->gain, p->bias, 1e-5))
OP(cross_entropy, bp_cross_entropy(p->x, p->labels))
OP(attention, bp_attention(p->q[0], p->q[1], p->q[2], 0, 0))
OP(dropout, bp_dropout(p->x, 0.2))
OP(uniform, bp_uniform(p->ctx, BP_F32, bp_shape_of(p->x), 0, 1))
OP(normal, bp_normal(p->ctx, BP_F32, bp_shape_of(p->x), 0, 1))

#define BOTH(name, op, rows, cols, forward, both) \
    {name, op, rows, cols, forward, 0}, {name " back", op, rows, cols, both, 1}
#define ROWS_OF(op, forward, both)                                \
    BOTH(#op " 4096x1000", op, 4096, 1000, forward, both),        \
        BOTH(#op " 4096x4096", op, 4096, 4096, forward, both),    \
        BOTH(#op " 512x50257", op, 512, 50257, forward, both)

static const row all_rows[] = {
    {"copy", NULL, 4096, 4096, 8, 0},
    BOTH("relu", relu, 4096, 4096, 8, 20),
    BOTH("exp", exponential, 4096, 4096, 8, 20),
    BOTH("tanh", tangent, 4096, 4096, 8, 20),
    BOTH("sigmoid", sigmoid, 4096, 4096, 8, 20),
    BOTH("gelu", gelu, 4096, 4096, 8, 20),
    BOTH("sin", sine, 4096, 4096, 8, 20),
    BOTH("power", power, 4096, 4096, 8, 20),
    {"add", add, 4096, 4096, 12, 0},
    {"mul", mul, 4096, 4096, 12, 0},
    {"bias", bias, 4096, 4096, 8, 0},
    {"column", column, 4096, 4096, 8, 0},
    {"relu transposed", transposed, 4096, 4096, 8, 0},
    {"add transposed", add_transposed, 4096, 4096, 12, 0},
    {"sum", sum, 4096, 4096, 4, 0},
    {"sum rows", sum_rows, 4096, 4096, 4, 0},
    {"sum columns", sum_cols, 4096, 4096, 4, 0},
    {"max rows", max_rows, 4096, 4096, 4, 0},
    {"max columns", max_cols, 4096, 4096, 4, 0},
    {"variance rows", variance, 4096, 4096, 4, 0},
    {"argmax rows", argmax, 4096, 4096, 4, 0},
    {"logsumexp rows", logsumexp, 4096, 4096, 4, 0},
    {"cumsum rows", cumsum, 4096, 4096, 8, 0},
    {"concat columns", concat, 4096, 4096, 16, 0},
    ROWS_OF(softmax, 8, 20),
    {"softmax columns 4096x1000", softmax_cols, 4096, 1000, 8, 0},
    ROWS_OF(log_softmax, 8, 20),
    ROWS_OF(layer_norm, 8, 20),
    ROWS_OF(cross_entropy, 4, 8),
    BOTH("attention B8 H8 T256 D64", attention, 8 * 8 * 256, 64, 0, 0),
    {"dropout", dropout, 4096, 4096, 8, 0},
    {"uniform", uniform, 4096, 4096, 4, 0},
    {"normal", normal, 4096, 4096, 4, 0},
    {"adam 10 M", NULL, 10000, 1000, 28, 2},
    {"adam 100 M", NULL, 100000, 1000, 28, 2},
};
enum { ROW_COUNT = sizeof all_rows / sizeof *all_rows, ROUNDS = 9, ADAM = 2 };

static const char *device = "cpu", *only = "";
static int threads, serve;

static void check(bp_status st, bp_context *ctx)
{
    if (st != BP_OK) {
        fprintf(stderr, "bench_ops: %s\n", bp_error_text(ctx));
        exit(1);
    }
}

static bp_tensor *filled(bp_context *ctx, bp_dtype dtype, bp_shape shape, int classes)
{
    int64_t n = bp_shape_count(shape);
    bp_tensor *t = bp_tensor_create(ctx, dtype, shape);
    char *host = t ? malloc((size_t)n * 4) : NULL;
    if (!host)
        check(BP_ERR_NOMEM, ctx);
    for (int64_t i = 0; i < n; i++)
        if (dtype == BP_F32)
            ((float *)host)[i] = (float)rand() / (float)RAND_MAX * 4 - 2;
        else
            ((int32_t *)host)[i] = rand() % classes;
    check(bp_write(t, host, (size_t)n * 4), ctx);
    free(host);
    return t;
}

static bp_status call(bp_context *ctx, void *user);
static const row *current;

static bp_status copy(problem *p)
{
    return bp_copy_into(p->out, p->x);
}

/* Adam is timed alone: the gradient stays in the store. */
static void set_up(problem *p, const row *r)
{
    memset(p, 0, sizeof *p);
    check(bp_open(device, &p->ctx), p->ctx);
    if (threads)
        check(bp_set_threads(p->ctx, threads), p->ctx);
    bp_shape shape = BP_SHAPE(r->rows, r->cols);
    p->back = r->back;
    if (r->back == ADAM) {
        check(bp_params_create(p->ctx, BP_F32, &p->params), p->ctx);
        check(bp_param(p->params, "w", shape, BP_INIT_LECUN) ? BP_OK : BP_ERR_NOMEM, p->ctx);
        check(bp_adam_create(p->params, 1e-12, &p->adam), p->ctx);
        return;
    }
    p->x = filled(p->ctx, BP_F32, shape, 0);
    p->x2 = filled(p->ctx, BP_F32, shape, 0);
    p->dy = filled(p->ctx, BP_F32, shape, 0);
    p->bias = filled(p->ctx, BP_F32, BP_SHAPE(r->cols), 0);
    p->column = filled(p->ctx, BP_F32, BP_SHAPE(r->rows, 1), 0);
    p->gain = filled(p->ctx, BP_F32, BP_SHAPE(r->cols), 0);
    p->labels = filled(p->ctx, BP_I32, BP_SHAPE(r->rows), (int)r->cols);
    p->out = filled(p->ctx, BP_F32, shape, 0);
    if (r->op == attention)
        for (int i = 0; i < 3; i++)
            p->q[i] = filled(p->ctx, BP_F32, BP_SHAPE(8, 8, 256, 64), 0);
    if (r->op == attention) {
        bp_free(p->dy);
        p->dy = filled(p->ctx, BP_F32, BP_SHAPE(8, 8, 256, 64), 0);
    }
}

/* In training gain and bias ask as well. */
static bp_status back(bp_context *ctx, problem *p, const row *r)
{
    bool qkv = r->op == attention, norm = r->op == layer_norm;
    problem leaf = *p;
    bp_tensor *of[3], *dx[3];
    int n = qkv || norm ? 3 : 1;
    if (qkv)
        for (int i = 0; i < 3; i++)
            of[i] = leaf.q[i] = bp_require_grad(p->q[i]);
    else
        of[0] = leaf.x = bp_require_grad(p->x);
    if (norm) {
        of[1] = leaf.gain = bp_require_grad(p->gain);
        of[2] = leaf.bias = bp_require_grad(p->bias);
    }
    bp_tensor *y = r->op(&leaf);
    return bp_shape_of(y).ndim == 0 ? bp_grad_scalar(ctx, y, of, n, 0, dx)
                                    : bp_grad(ctx, y, p->dy, of, n, 0, dx);
}

static bp_status call(bp_context *ctx, void *user)
{
    problem *p = user;
    if (p->adam)
        return bp_optimizer_step(p->adam);
    if (!current->op)
        return copy(p);
    if (p->back)
        return back(ctx, p, current);
    return current->op(p) ? BP_OK : BP_ERR_ARG;
}

static bp_status gradients(bp_context *ctx, void *user)
{
    problem *p = user;
    return bp_backward(ctx, bp_sum(bp_scale(bp_param_at(p->params, 0), 1e-3)));
}

/* Seconds of a call: the median of a few, of which each takes some milliseconds at least. A step of
 * Adam uses a gradient up, which is made outside of the time. */
static double one_round(problem *p)
{
    double t[ROUNDS];
    int64_t calls = 1;
    for (int i = 0; i < ROUNDS; i++) {
        if (p->adam)
            check(bp_run(p->ctx, 0, gradients, p), p->ctx);
        double from = seconds();
        for (int64_t k = 0; k < calls; k++)
            check(bp_run(p->ctx, p->back ? 0 : BP_NO_GRAD, call, p), p->ctx);
        check(bp_sync(p->ctx), p->ctx);
        t[i] = (seconds() - from) / (double)calls;
        if (i == 0 && !p->adam)
            calls = 1 + (int64_t)(5e-3 / t[0]);
    }
    qsort(t, ROUNDS, sizeof *t, ascending);
    return t[ROUNDS / 2];
}

static void tear_down(problem *p)
{
    bp_optimizer_free(p->adam);
    bp_params_free(p->params);
    bp_close(p->ctx); /* with all that is left in it */
}

/* The copy keeps its own operands, so that it can be asked for between any rounds. */
static void answer(void)
{
    char name[128];
    struct {
        problem p;
        const row *r;
    } of[2] = {0};
    while (fgets(name, sizeof name, stdin)) {
        name[strcspn(name, "\n")] = 0;
        for (int i = 0; i < ROW_COUNT; i++) {
            const row *r = &all_rows[i];
            const int k = i > 0;
            if (strcmp(name, r->name))
                continue;
            if (of[k].r != r) {
                if (of[k].r)
                    tear_down(&of[k].p);
                set_up(&of[k].p, r);
                of[k].r = r;
                current = r;
                one_round(&of[k].p);
            }
            current = r;
            printf("%.9g %.9g\n", one_round(&of[k].p), r->bytes * (double)(r->rows * r->cols));
            fflush(stdout);
        }
    }
}

int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++)
        if (!strcmp(argv[i], "--serve"))
            serve = 1;
        else if (!strcmp(argv[i], "--names")) {
            for (int k = 0; k < ROW_COUNT; k++)
                puts(all_rows[k].name);
            return 0;
        } else if (i + 1 < argc && !strcmp(argv[i], "--threads"))
            threads = atoi(argv[++i]);
        else if (i + 1 < argc && !strcmp(argv[i], "--device"))
            device = argv[++i];
        else if (i + 1 < argc && !strcmp(argv[i], "--only"))
            only = argv[++i];
        else {
            fprintf(stderr, "bench_ops: %s is not an option, or lacks its value\n", argv[i]);
            return 2;
        }
    double rate = 0;
    for (int i = 0; i < ROW_COUNT && !serve; i++) {
        const row *r = &all_rows[i];
        problem p;
        if (i && strncmp(r->name, only, strlen(only)))
            continue;
        set_up(&p, r);
        current = r;
        double t = one_round(&p), bytes = r->bytes * (double)(r->rows * r->cols);
        rate = i ? rate : bytes / t;
        printf("%-32s %10.3f ms", r->name, t * 1e3);
        printf(bytes > 0 ? "  %.2f of the copy rate\n" : "\n", bytes / t / rate);
        fflush(stdout);
        tear_down(&p);
    }
    if (serve)
        answer();
    return 0;
}
