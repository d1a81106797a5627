/* Kernels on one device, each against the copy rate of the same run: rows G3, G4, G5 and G7, the
 * copy itself, the product's peak, and what a node of a plan costs. Public calls only.
 *
 *     bench_device [--device NAME] [--only PREFIX,...] [--json FILE] [--quick]
 *
 * A row is a plan of several calls that take turns over buffers larger than any cache together;
 * replays of it are queued, then waited for. `bytes` is the least that the formula can move, and
 * time is per call: median, least and most of the rounds. What is part of the step but not of the
 * row (Adam needs a gradient) is a second plan, timed in turn with the first and taken off.
 * --quick cuts the sizes for a device that is only simulated. bench/peers has the same rows. */
#include <bpcuda/bpcuda.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    BUFFERS = 4,
    GATHERS = 64,        /* calls of a plan whose call is shorter than a launch */
    ROUNDS = 9,
    RANDOM = 1 << 20,    /* bytes drawn; a tensor repeats them */
    QUICK_COUNT = 16384, /* elements, or the width where that is more */
    QUICK_DIVISOR = 128
};
enum { DY = 1, BIAS = 2, LABELS = 4, TARGET = 8, TF32 = 16 }; /* what a row needs beside x */

typedef struct problem problem;
typedef bp_status (*call_fn)(problem *, int i);

typedef struct row {
    const char *name;
    void (*make)(problem *);
    call_fn call, minus; /* minus, if there is one, is part of call and not of the row */
    bp_tensor *(*op)(problem *, int i);
    int needs;
    double bytes;    /* an element of size[0] x size[1], or a parameter */
    int64_t size[3]; /* rows and columns; or widths of the first, middle and last layers */
    int layers;
} row;

struct problem {
    bp_context *ctx;
    const row *row;
    bp_status made; /* whether all that is wanted could be made */
    int64_t side;   /* of a product */
    double count;   /* elements or parameters of one call */
    int calls;      /* of a step */
    bp_tensor *x[BUFFERS], *target[BUFFERS], *dy, *bias, *labels, *table, *shift, *scale;
    bp_params *params;
    bp_optimizer *adam;
    double seconds[3]; /* the result: median, least, most */
    int64_t nodes, allocations, peak_bytes;
};

static const char *device = "cpu", *only = "";
static int quick;
static FILE *json;
static double copy_rate; /* bytes a second */

static double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

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
    if (p->row->needs & TF32)
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

static bp_status all_calls(problem *p, call_fn call)
{
    for (int i = 0; i < p->calls; i++) {
        bp_status st = bp_scope_begin(p->ctx, 0);
        if (st != BP_OK)
            return st;
        st = call(p, i);
        bp_status end = bp_scope_end(p->ctx);
        if (st != BP_OK || end != BP_OK)
            return st != BP_OK ? st : end;
    }
    return BP_OK;
}

static bp_status step(bp_context *ctx, void *user)
{
    problem *p = user;
    (void)ctx;
    return all_calls(p, p->row->call);
}

static bp_status step_without(bp_context *ctx, void *user)
{
    problem *p = user;
    (void)ctx;
    return all_calls(p, p->row->minus);
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

#define LOG_SOFTMAX(width)                                                                         \
    {"G4 log-softmax " #width, make_op, forward, NULL, log_softmax, 0, 8,                          \
     {(64 << 20) / width, width, 0}, 0},                                                           \
    {"G4 log-softmax " #width " forward+backward", make_op, both_ways, NULL, log_softmax, DY, 20,  \
     {(64 << 20) / width, width, 0}, 0}

/* The copy comes first: it is what the others are held against. */
static const row rows[] = {
    {"copy 256 MB", make_op, copy, NULL, NULL, TARGET, 8, {8192, 8192, 0}, 0},
    {"product 4096", make_product, forward, NULL, product, 0, 12, {4096, 0, 0}, 0},
    {"product 8192", make_product, forward, NULL, product, 0, 12, {8192, 0, 0}, 0},
    {"product 4096 TF32", make_product, forward, NULL, product, TF32, 12, {4096, 0, 0}, 0},
    {"product 8192 TF32", make_product, forward, NULL, product, TF32, 12, {8192, 0, 0}, 0},
    {"node, 1 of a plan", make_nodes, forward, NULL, node, 0, 8, {1, 0, 0}, 0},
    {"node, 10 of a plan", make_nodes, forward, NULL, node, 0, 8, {10, 0, 0}, 0},
    {"node, 100 of a plan", make_nodes, forward, NULL, node, 0, 8, {100, 0, 0}, 0},
    {"G3 Adam 512 M", make_adam, adam, no_adam, NULL, 0, 28, {32768, 0, 16384}, 1},
    {"G3 Adam 11 M in 160", make_adam, adam, no_adam, NULL, 0, 28, {370, 370, 370}, 80},
    {"G3 Adam 0.4 M in 4", make_adam, adam, no_adam, NULL, 0, 28, {784, 512, 10}, 2},
    {"G4 cross-entropy 8192x50304 forward+backward", make_op, loss_both_ways, NULL, NULL, LABELS, 8,
     {8192, 50304, 0}, 0},
    LOG_SOFTMAX(256),
    LOG_SOFTMAX(1024),
    LOG_SOFTMAX(4096),
    LOG_SOFTMAX(16384),
    LOG_SOFTMAX(65536),
    LOG_SOFTMAX(131072),
    {"G5 ReLU", make_op, forward, NULL, relu, 0, 8, {8192, 8192, 0}, 0},
    {"G5 ReLU forward+backward", make_op, both_ways, NULL, relu, DY, 20, {8192, 8192, 0}, 0},
    {"G5 bias", make_op, forward, NULL, add_bias, BIAS, 8, {8192, 8192, 0}, 0},
    {"G5 bias forward+backward", make_op, both_ways, NULL, add_bias, BIAS | DY, 12,
     {8192, 8192, 0}, 0},
    {"G5 dropout", make_op, forward, NULL, dropout, 0, 8, {8192, 8192, 0}, 0},
    {"G5 dropout forward+backward", make_op, both_ways, NULL, dropout, DY, 16, {8192, 8192, 0}, 0},
    {"G7 gather-normalise 128x784", make_gather, forward, NULL, gather, 0, 5, {128, 784, 60000}, 0},
};

/* --- measuring ------------------------------------------------------------------------------- */

static bp_status timed(problem *p, bp_plan *plan, int64_t times, double *out)
{
    double t = seconds();
    bp_status st = bp_plan_replay(plan, times);
    if (st == BP_OK)
        st = bp_sync(p->ctx);
    *out = seconds() - t;
    return st;
}

static bp_status measure_plans(problem *p, bp_plan *plan, bp_plan *minus)
{
    int rounds = quick ? 3 : ROUNDS;
    double round[ROUNDS], less = 0;
    bp_status st = timed(p, plan, 2, &round[0]);
    int64_t times = 1 + (quick ? 0 : (int64_t)(0.05 / round[0] * 2));
    bp_stats before, after;
    bp_get_stats(p->ctx, &before);
    for (int i = 0; i < rounds && st == BP_OK; i++) {
        st = timed(p, plan, times, &round[i]);
        if (st == BP_OK && minus)
            st = timed(p, minus, times, &less);
        round[i] = (round[i] - less) / (double)(times * p->calls);
    }
    bp_get_stats(p->ctx, &after);
    qsort(round, (size_t)rounds, sizeof *round, ascending);
    p->seconds[0] = round[rounds / 2];
    p->seconds[1] = round[0];
    p->seconds[2] = round[rounds - 1];
    p->nodes = bp_plan_nodes(plan);
    p->allocations = after.allocations - before.allocations;
    p->peak_bytes = after.peak_bytes;
    return st;
}

static bp_status measure(problem *p)
{
    bp_plan *plan = NULL, *minus = NULL;
    p->row->make(p);
    bp_status st = p->made;
    if (st == BP_OK)
        st = bp_plan_record(p->ctx, step, p, &plan);
    if (st == BP_OK && p->row->minus)
        st = bp_plan_record(p->ctx, step_without, p, &minus);
    if (st == BP_OK)
        st = measure_plans(p, plan, minus);
    bp_plan_free(minus);
    bp_plan_free(plan);
    bp_optimizer_free(p->adam);
    bp_params_free(p->params);
    return st;
}

static void report(const problem *p)
{
    const row *w = p->row;
    double bytes = w->bytes * p->count, rate = bytes / p->seconds[0];
    double flops = 2 * p->count * (double)p->side / p->seconds[0];
    if (w == rows)
        copy_rate = rate;
    double of_copy = copy_rate > 0 ? rate / copy_rate : 0;
    printf("%-46s %10.2f us (%.2f - %.2f)", w->name, p->seconds[0] * 1e6, p->seconds[1] * 1e6,
           p->seconds[2] * 1e6);
    if (flops > 0)
        printf("  %8.2f TFLOP/s\n", flops / 1e12);
    else
        printf("  %8.1f GB/s  %.3f of copy\n", rate / 1e9, of_copy);
    if (!json)
        return;
    fprintf(json, "\n    {\"row\": \"%s\", \"us\": %.3f, \"least_us\": %.3f, \"most_us\": %.3f, "
                  "\"bytes\": %.0f, \"gbytes\": %.1f, \"of_copy\": %.4f, ",
            w->name, p->seconds[0] * 1e6, p->seconds[1] * 1e6, p->seconds[2] * 1e6, bytes,
            rate / 1e9, of_copy);
    if (flops > 0)
        fprintf(json, "\"tflops\": %.3f, ", flops / 1e12);
    fprintf(json, "\"nodes\": %lld, \"allocations\": %lld, \"peak_bytes\": %lld}",
            (long long)p->nodes, (long long)p->allocations, (long long)p->peak_bytes);
}

/* 1 if the row failed; a device without the memory for it has not run it. */
static int run(const row *w)
{
    problem p = {.row = w, .calls = BUFFERS};
    bp_status st = bp_open(device, &p.ctx);
    if (st == BP_OK)
        st = measure(&p);
    if (json && w > rows)
        fprintf(json, ",");
    if (st == BP_OK) {
        report(&p);
    } else {
        const char *how = st == BP_ERR_NOMEM ? "not_run" : "failed", *why = bp_error_text(p.ctx);
        why = *why ? why : bp_status_name(st);
        printf("%-46s %s: %s\n", w->name, how, why);
        if (json)
            fprintf(json, "\n    {\"row\": \"%s\", \"%s\": \"%s\"}", w->name, how, why);
    }
    fflush(stdout);
    if (json)
        fflush(json);
    bp_close(p.ctx);
    return st != BP_OK && st != BP_ERR_NOMEM;
}

/* Whether --only names the row, by how it begins; the copy is always there. */
static int wanted(const row *w)
{
    for (const char *p = only; w > rows; p++) {
        size_t n = strcspn(p, ",");
        if (!strncmp(w->name, p, n))
            return 1;
        p += n;
        if (!*p)
            return 0;
    }
    return 1;
}

static const char *options(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        const char *value = i + 1 < argc ? argv[i + 1] : NULL;
        if (!strcmp(argv[i], "--quick"))
            quick = 1;
        else if (!value)
            return argv[i];
        else if (!strcmp(argv[i], "--device"))
            device = argv[++i];
        else if (!strcmp(argv[i], "--only"))
            only = argv[++i];
        else if (!strcmp(argv[i], "--json") && (json = fopen(value, "w")))
            i++;
        else
            return argv[i];
    }
    return NULL;
}

int main(int argc, char **argv)
{
    const char *wrong = options(argc, argv);
    if (wrong) {
        fprintf(stderr, "bench_device: %s is not an option, or lacks its value\n", wrong);
        return 2;
    }
    bp_context *ctx;
    if (bp_open(device, &ctx) != BP_OK) {
        fprintf(stderr, "bench_device: %s\n", bp_error_text(ctx));
        return 1;
    }
    printf("%s\n", bp_device_text(ctx));
    if (json)
        fprintf(json, "{\"bench\": \"device\", \"device\": \"%s\", \"compiler\": \"%s\", "
                      "\"quick\": %s, \"rows\": [",
                bp_device_text(ctx), __VERSION__, quick ? "true" : "false");
    bp_close(ctx);
    int failed = 0;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (wanted(&rows[i]))
            failed |= run(&rows[i]);
    if (json) {
        fprintf(json, "\n]}\n");
        fclose(json);
    }
    return failed;
}
