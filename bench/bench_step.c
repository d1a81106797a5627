/* Whole training steps of dense classifiers: forward, cross-entropy, backward, Adam; eager and
 * replayed from a plan, on random data.
 *
 *     bench_step [--threads N] [--json FILE]
 *
 * The floor of a row is its operations over the product rate of this run (the best of a few large
 * products) plus Adam's bytes (28 a parameter) over the copy rate of this run (64 MiB, counted
 * read + write). Data that fit a cache can pass below it. Medians of rounds, with least and most;
 * the losses after 50 equal steps, eager and replayed, must agree by bits or the row is void. */
#include <bpcuda/bpcuda.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { ROUNDS = 9, MAX_LAYERS = 4, EQUAL_STEPS = 50 };

typedef struct config {
    const char *name;
    int layers; /* sizes of size[0 .. layers], inputs first */
    int64_t size[MAX_LAYERS + 1], batch;
    double dropout;
} config;

static const config configs[] = {
    {"C1 2-16-2 b8", 2, {2, 16, 2}, 8, 0},
    {"C2 10-45-45-10 b128", 3, {10, 45, 45, 10}, 128, 0},
    {"C3 784-128-10 b32", 2, {784, 128, 10}, 32, 0},
    {"C4 784-512-10 b32", 2, {784, 512, 10}, 32, 0},
    {"C4 784-512-10 b128", 2, {784, 512, 10}, 128, 0},
    {"C5 784-512-512-10 b128 dropout 0.2", 3, {784, 512, 512, 10}, 128, 0.2},
    {"C6 784-2048-2048-10 b512", 3, {784, 2048, 2048, 10}, 512, 0},
};

typedef struct problem {
    const config *c;
    bp_context *ctx;
    bp_params *params;
    bp_optimizer *adam;
    bp_tensor *x, *labels, *loss, *w[MAX_LAYERS], *b[MAX_LAYERS];
    bp_plan *plan;
} problem;

static double peak_flops, copy_bytes; /* a second */

static void check(bp_status st, bp_context *ctx)
{
    if (st == BP_OK)
        return;
    fprintf(stderr, "bench_step: %s\n", bp_error_text(ctx));
    exit(1);
}

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

static bp_status step(bp_context *ctx, void *user)
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

static void fill(bp_context *ctx, bp_tensor *t, int classes)
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

static void set_up(problem *p, const config *c, int threads)
{
    memset(p, 0, sizeof *p);
    p->c = c;
    check(bp_open("cpu", &p->ctx), p->ctx);
    check(bp_set_threads(p->ctx, threads), p->ctx);
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

static void tear_down(problem *p)
{
    bp_plan_free(p->plan);
    bp_optimizer_free(p->adam);
    bp_params_free(p->params);
    bp_close(p->ctx);
}

static void run(problem *p, int64_t times)
{
    if (p->plan) {
        check(bp_plan_replay(p->plan, times), p->ctx);
        return;
    }
    for (int64_t i = 0; i < times; i++)
        check(bp_run(p->ctx, 0, step, p), p->ctx);
}

/* Median, least and most seconds of a step. */
static void measure(problem *p, double out[3])
{
    double t = seconds(), round[ROUNDS];
    run(p, 1);
    int64_t times = (int64_t)(0.1 / (seconds() - t)) + 1;
    for (int r = 0; r < ROUNDS; r++) {
        t = seconds();
        run(p, times);
        round[r] = (seconds() - t) / (double)times;
    }
    qsort(round, ROUNDS, sizeof *round, ascending);
    out[0] = round[ROUNDS / 2];
    out[1] = round[0];
    out[2] = round[ROUNDS - 1];
}

static bp_status product(bp_context *ctx, void *user)
{
    bp_tensor **m = user;
    (void)ctx;
    return bp_matmul(m[0], m[1]) ? BP_OK : BP_ERR_ARG;
}

static double best_of(bp_context *ctx, bp_status (*what)(bp_context *, void *), void *user)
{
    double best = 1e9;
    for (int i = 0; i < 12; i++) {
        double t = seconds();
        check(bp_run(ctx, BP_NO_GRAD, what, user), ctx);
        t = seconds() - t;
        best = t < best ? t : best;
    }
    return best;
}

static bp_status copy(bp_context *ctx, void *user)
{
    bp_tensor **m = user;
    (void)ctx;
    return bp_copy_into(m[0], m[1]);
}

static void measure_machine(int threads)
{
    bp_context *ctx;
    check(bp_open("cpu", &ctx), ctx);
    check(bp_set_threads(ctx, threads), ctx);
    for (int64_t n = 512; n <= 2048; n *= 2) {
        bp_tensor *m[2] = {bp_tensor_create(ctx, BP_F32, BP_SHAPE(n, n + 16)),
                           bp_tensor_create(ctx, BP_F32, BP_SHAPE(n + 16, n))};
        fill(ctx, m[0], 0);
        fill(ctx, m[1], 0);
        double rate = 2.0 * (double)(n * n * (n + 16)) / best_of(ctx, product, m);
        peak_flops = rate > peak_flops ? rate : peak_flops;
    }
    int64_t n = 16 << 20;
    bp_tensor *m[2] = {bp_tensor_create(ctx, BP_F32, BP_SHAPE(n)),
                       bp_tensor_create(ctx, BP_F32, BP_SHAPE(n))};
    copy_bytes = 8.0 * (double)n / best_of(ctx, copy, m);
    bp_close(ctx);
}

/* Forward, weight gradient, and an input gradient for all layers but the first. */
static double floor_seconds(const config *c)
{
    double products = 0, params = 0;
    for (int i = 0; i < c->layers; i++) {
        double w = (double)(c->size[i] * c->size[i + 1]);
        products += w * (double)c->batch * (i ? 3 : 2);
        params += w + (double)c->size[i + 1];
    }
    return 2 * products / peak_flops + 28 * params / copy_bytes;
}

static void row(const config *c, int threads, FILE *json, int first)
{
    problem p;
    float loss[2];
    double eager[3], plan[3], floor = floor_seconds(c);
    for (int mode = 0; mode < 2; mode++) {
        set_up(&p, c, threads);
        if (mode)
            check(bp_plan_record(p.ctx, step, &p, &p.plan), p.ctx);
        run(&p, EQUAL_STEPS - mode);
        check(bp_read(p.loss, &loss[mode], sizeof *loss), p.ctx);
        measure(&p, mode ? plan : eager);
        tear_down(&p);
    }
    if (memcmp(&loss[0], &loss[1], sizeof *loss)) {
        printf("%-36s void: losses %g and %g differ\n", c->name, (double)loss[0], (double)loss[1]);
        return;
    }
    printf("%-36s eager %9.2f us  replay %9.2f (%.2f - %.2f)  floor %9.2f  %.2f x floor\n", c->name,
           eager[0] * 1e6, plan[0] * 1e6, plan[1] * 1e6, plan[2] * 1e6, floor * 1e6,
           plan[0] / floor);
    if (json)
        fprintf(json, "%s\n    {\"row\": \"%s\", \"eager_us\": %.2f, \"replay_us\": %.2f, "
                      "\"least_us\": %.2f, \"most_us\": %.2f, \"floor_us\": %.2f, "
                      "\"times_floor\": %.3f}",
                first ? "" : ",", c->name, eager[0] * 1e6, plan[0] * 1e6, plan[1] * 1e6,
                plan[2] * 1e6, floor * 1e6, plan[0] / floor);
}

int main(int argc, char **argv)
{
    int threads = 2;
    FILE *json = NULL;
    for (int i = 1; i + 1 < argc; i += 2) {
        if (!strcmp(argv[i], "--threads"))
            threads = atoi(argv[i + 1]);
        else if (!strcmp(argv[i], "--json"))
            json = fopen(argv[i + 1], "w");
    }
    bp_context *ctx;
    check(bp_open("cpu", &ctx), ctx);
    check(bp_set_threads(ctx, threads), ctx);
    measure_machine(threads);
    printf("%s; products %.1f GFLOP/s, copy %.1f GB/s\n", bp_device_text(ctx), peak_flops / 1e9,
           copy_bytes / 1e9);
    if (json)
        fprintf(json, "{\"bench\": \"step\", \"device\": \"%s\", \"compiler\": \"%s\", "
                      "\"gemm_gflops\": %.1f, \"copy_gbytes\": %.1f, \"rows\": [",
                bp_device_text(ctx), __VERSION__, peak_flops / 1e9, copy_bytes / 1e9);
    for (size_t i = 0; i < sizeof configs / sizeof *configs; i++)
        row(&configs[i], threads, json, i == 0);
    if (json) {
        fprintf(json, "\n]}\n");
        fclose(json);
    }
    bp_close(ctx);
    return 0;
}
