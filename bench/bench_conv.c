/* Convolutions, pools, batch norm and whole steps of two networks on one device, against a matrix
 * product and a copy of the same run; bench/peers/torch_conv.py asks for one round at a time and
 * gives PyTorch the same rows in between.
 *
 *     bench_conv [--threads N] [--device NAME] [--only PREFIX] [--names] [--serve]
 *
 * A row is one op: a layer forward (bias and ReLU with it), its gradient by the image or by the
 * filters; a pool, forward or back; batch norm over N, H, W; or a step with Adam, replayed. Beside
 * its time stands its floor: the longer of its multiply-adds at the product's rate and its bytes at
 * the copy's, and the part of it that was reached. With --threads 1 time is that thread's own,
 * whatever else the machine does. --serve answers each name on the standard input with a line: the
 * seconds of a call, the median of some, multiply-adds and bytes; --names says which there are. */
#include <bpcuda/bpcuda.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "timing.h"

enum { PRODUCT, COPY, LAYER, NET, MAX, MEAN, NORM }; /* kinds of rows */
enum { FORWARD, INPUT, FILTER, BACK, WAYS };        /* what of one */
static const char *const way_name[WAYS] = {"forward", "input", "filter", "back"};

typedef struct row {
    const char *name; /* the peer reads sizes from it */
    int kind, ways;   /* a set of bits */
    int64_t n, h, w, c, o, r;
    bp_window how;
} row;

#define ALL (1 << FORWARD | 1 << INPUT | 1 << FILTER)
#define BOTH (1 << FORWARD | 1 << BACK)
#define SAME(n) {.pad = {n, n, n, n}}
#define PLAIN {.groups = 1}
static const row rows[] = {
    {"product 1024", PRODUCT, 1, 1024, 1, 1, 1024, 1024, 1, PLAIN},
    {"copy", COPY, 1, 64, 28, 28, 32, 32, 1, PLAIN},
    {"layer 64x28x28x1 5x5 6 p2", LAYER, ALL, 64, 28, 28, 1, 6, 5, SAME(2)},
    {"layer 64x14x14x6 5x5 16", LAYER, ALL, 64, 14, 14, 6, 16, 5, PLAIN},
    {"layer 64x28x28x1 3x3 32 p1", LAYER, ALL, 64, 28, 28, 1, 32, 3, SAME(1)},
    {"layer 64x14x14x32 3x3 64 p1", LAYER, ALL, 64, 14, 14, 32, 64, 3, SAME(1)},
    {"layer 64x32x32x3 3x3 32 p1", LAYER, ALL, 64, 32, 32, 3, 32, 3, SAME(1)},
    {"layer 16x56x56x64 3x3 64 p1", LAYER, ALL, 16, 56, 56, 64, 64, 3, SAME(1)},
    {"layer 16x56x56x64 1x1 64", LAYER, ALL, 16, 56, 56, 64, 64, 1, PLAIN},
    {"layer 16x56x56x64 3x3 128 p1 s2", LAYER, ALL, 16, 56, 56, 64, 128, 3,
     {.stride = {2, 2}, .pad = {1, 1, 1, 1}}},
    {"layer 16x14x14x256 3x3 256 p1", LAYER, ALL, 16, 14, 14, 256, 256, 3, SAME(1)},
    {"layer 16x56x56x64 3x3 64 p1 g64", LAYER, ALL, 16, 56, 56, 64, 64, 3,
     {.pad = {1, 1, 1, 1}, .groups = 64}},
    {"net lenet 64x28x28x1", NET, 1, 64, 28, 28, 1, 0, 1, PLAIN},
    {"net cnn 64x28x28x1", NET, 1, 64, 28, 28, 1, 1, 1, PLAIN},
    {"max 64x28x28x32", MAX, BOTH, 64, 28, 28, 32, 32, 2, PLAIN},
    {"max 16x56x56x64", MAX, BOTH, 16, 56, 56, 64, 64, 2, PLAIN},
    {"mean 64x28x28x32", MEAN, BOTH, 64, 28, 28, 32, 32, 2, PLAIN},
    {"norm 64x28x28x32", NORM, BOTH, 64, 28, 28, 32, 32, 1, PLAIN},
    {"norm 16x56x56x64", NORM, BOTH, 16, 56, 56, 64, 64, 1, PLAIN},
};
enum { ROW_COUNT = sizeof rows / sizeof *rows, ROUNDS = 9 };

/* What `o` of a network's row says; multiply-adds of a step for an image, without the first dx. */
static const struct net {
    const char *layers;
    double products;
} nets[] = {
    {"28x28x1 conv5x5=6 relu pool=2 conv5x5=16,pad=0 relu pool=2 120 relu 84 relu 10", 1131960},
    {"28x28x1 conv3x3=32 relu pool=2 conv3x3=64 relu pool=2 128 relu 10", 12497664},
};

typedef struct problem {
    const row *r;
    int way;
    bp_context *ctx;
    bp_tensor *x, *w, *b, *y; /* y is dy, too */
    bp_params *params;        /* of a network, and what trains it */
    bp_layers *layers;
    bp_optimizer *adam;
    bp_plan *plan;
} problem;

static const char *device = "cpu", *only = "";
static int threads, serve, names;

static void check(bp_status st, bp_context *ctx)
{
    if (st != BP_OK) {
        fprintf(stderr, "bench_conv: %s\n", bp_error_text(ctx));
        exit(1);
    }
}

static bp_tensor *filled(bp_context *ctx, bp_shape shape)
{
    const int64_t n = bp_shape_count(shape);
    bp_tensor *t = bp_tensor_create(ctx, BP_F32, shape);
    float *host = t ? malloc((size_t)n * sizeof *host) : NULL;
    if (!host)
        check(BP_ERR_NOMEM, ctx);
    for (int64_t i = 0; i < n; i++)
        host[i] = (float)rand() / (float)RAND_MAX * 2 - 1;
    check(bp_write(t, host, (size_t)n * sizeof *host), ctx);
    free(host);
    return t;
}

/* The sizes of y, down or across. */
static int64_t made(const row *r, int i)
{
    const int64_t size = i ? r->w : r->h;
    const int stride = r->kind == MAX || r->kind == MEAN ? (int)r->r
                       : r->how.stride[i] ? r->how.stride[i] : 1;
    return (size + r->how.pad[i] + r->how.pad[2 + i] - r->r) / stride + 1;
}

static bp_status step(bp_context *ctx, void *user)
{
    const problem *p = user;
    bp_tensor *y = bp_layers_forward(p->layers, bp_reshape(p->x, BP_SHAPE(64, 28 * 28)), 1);
    bp_status st = bp_backward(ctx, bp_cross_entropy(y, p->y));
    return st != BP_OK ? st : bp_optimizer_step(p->adam);
}

static void set_up_net(problem *p)
{
    check(bp_params_create(p->ctx, BP_F32, &p->params), p->ctx);
    check(bp_layers_create(p->params, "", 28 * 28, nets[p->r->o].layers, &p->layers), p->ctx);
    check(bp_adam_create(p->params, 1e-9, &p->adam), p->ctx); /* learnt, gradients are denormal */
    p->y = bp_tensor_create(p->ctx, BP_I32, BP_SHAPE(p->r->n));
    int32_t labels[64];
    for (int i = 0; i < 64; i++)
        labels[i] = i % 10;
    check(bp_write(p->y, labels, sizeof labels), p->ctx);
    check(bp_plan_record(p->ctx, step, p, &p->plan), p->ctx);
}

static void tear_down(problem *p)
{
    bp_plan_free(p->plan);
    bp_optimizer_free(p->adam);
    bp_layers_free(p->layers);
    bp_params_free(p->params);
    bp_close(p->ctx);
}

static void set_up(problem *p)
{
    const row *r = p->r;
    const int64_t groups = r->how.groups ? r->how.groups : 1;
    check(bp_open(device, &p->ctx), p->ctx);
    if (threads)
        check(bp_set_threads(p->ctx, threads), p->ctx);
    p->x = filled(p->ctx, BP_SHAPE(r->n, r->h, r->w, r->c));
    if (r->kind == NET) {
        set_up_net(p);
        return;
    }
    p->w = filled(p->ctx, BP_SHAPE(r->o, r->r, r->r, r->c / groups));
    p->b = filled(p->ctx, BP_SHAPE(r->o));
    p->y = filled(p->ctx, BP_SHAPE(r->n, made(r, 0), made(r, 1), r->o));
}

static bp_tensor *forward(const problem *p, bp_tensor *x)
{
    bp_tensor *places, *mean, *variance;
    switch (p->r->kind) {
    case MAX: return bp_max_pool(x, p->r->r, p->r->r, p->r->how, &places);
    case MEAN: return bp_avg_pool(x, p->r->r, p->r->r, p->r->how);
    case NORM: return bp_batch_norm(x, p->b, p->b, 1e-5, &mean, &variance);
    default: return bp_conv2d_relu(x, p->w, p->b, p->r->how);
    }
}

/* A gradient, with what comes before it: pools and norms keep something for it. */
static bp_status back(bp_context *ctx, const problem *p)
{
    bp_tensor *x = bp_require_grad(p->x), *dx;
    return bp_grad(ctx, forward(p, x), p->y, &x, 1, 0, &dx);
}

static bp_status call(bp_context *ctx, void *user)
{
    const problem *p = user;
    const row *r = p->r;
    bp_tensor *y = NULL;
    if (r->kind == COPY)
        return bp_copy_into(p->y, p->x);
    if (p->way == BACK)
        return back(ctx, p);
    if (r->kind == PRODUCT)
        y = bp_matmul(bp_reshape(p->x, BP_SHAPE(r->n, r->c)),
                      bp_reshape(p->w, BP_SHAPE(r->o, r->c)));
    else if (p->way == INPUT)
        y = bp_conv2d_input(p->y, p->w, r->h, r->w, r->how);
    else if (p->way == FILTER)
        y = bp_conv2d_filter(p->y, p->x, r->r, r->r, r->how);
    else
        y = forward(p, p->x);
    return y ? BP_OK : BP_ERR_ARG;
}

/* Multiply-adds of a call, and the bytes that it cannot do without. */
static double work(const problem *p)
{
    const row *r = p->r;
    const int64_t groups = r->how.groups ? r->how.groups : 1;
    const double pixels = (double)(r->n * made(r, 0) * made(r, 1));
    const double each = (double)(r->o * r->r * r->r * r->c / groups);
    if (r->kind == NET)
        return (double)r->n * nets[r->o].products;
    return r->kind > LAYER || r->kind == COPY ? 0 : pixels * each;
}
static double bytes(const problem *p)
{
    if (p->r->kind == NET)
        return 0; /* next to its products */
    const double x = (double)bp_shape_count(bp_shape_of(p->x));
    const double y = (double)bp_shape_count(bp_shape_of(p->y));
    const double once = 4 * (x + y) + (p->r->kind == MAX ? y : 0);
    return p->way != BACK ? once : p->r->kind == NORM ? once + 12 * x : 2 * once;
}

static double now(void)
{
    struct timespec t;
    if (threads != 1)
        return seconds();
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Seconds of a call: the median of a few, of which each takes some milliseconds at least. */
static double one_round(problem *p)
{
    double t[ROUNDS];
    int64_t calls = 1;
    for (int i = 0; i < ROUNDS; i++) {
        const double from = now();
        for (int64_t k = 0; k < calls; k++)
            check(p->plan ? bp_plan_replay(p->plan, 1)
                          : bp_run(p->ctx, p->way == BACK ? 0 : BP_NO_GRAD, call, p), p->ctx);
        check(bp_sync(p->ctx), p->ctx);
        t[i] = (now() - from) / (double)calls;
        if (i == 0)
            calls = 1 + (int64_t)(5e-3 / t[0]);
    }
    qsort(t, ROUNDS, sizeof *t, ascending);
    return t[ROUNDS / 2];
}

/* Whether `name` is row i's, of some way; *p is it, not set up. */
static int find(const char *name, int i, problem *p)
{
    char full[96];
    *p = (problem){.r = &rows[i]};
    for (; p->way < WAYS; p->way++) {
        snprintf(full, sizeof full, "%s %s", rows[i].name, way_name[p->way]);
        if (rows[i].ways >> p->way & 1 && !strcmp(name, full))
            return 1;
    }
    return 0;
}

/* The product and the copy keep their operands: they can be asked for between any rounds. */
static void answer(void)
{
    char name[128], at[3][128] = {"", "", ""};
    problem p[3];
    while (fgets(name, sizeof name, stdin)) {
        name[strcspn(name, "\n")] = 0;
        for (int i = 0; i < ROW_COUNT; i++) {
            const int k = i < 2 ? i : 2;
            problem next;
            if (!find(name, i, &next))
                continue;
            if (strcmp(at[k], name)) {
                if (at[k][0])
                    tear_down(&p[k]);
                strcpy(at[k], name);
                p[k] = next;
                set_up(&p[k]);
                one_round(&p[k]);
            }
            printf("%.9g %.9g %.9g\n", one_round(&p[k]), work(&p[k]), bytes(&p[k]));
            fflush(stdout);
        }
    }
}

static void table(void)
{
    double rate[2] = {1, 1}; /* multiply-adds, bytes, a second */
    for (int i = 0; i < ROW_COUNT; i++)
        for (int way = 0; way < WAYS; way++) {
            problem p = {.r = &rows[i], .way = way};
            if (!(rows[i].ways >> way & 1) || (i > 1 && strncmp(rows[i].name, only, strlen(only))))
                continue;
            if (names) {
                printf("%s %s\n", rows[i].name, way_name[way]);
                continue;
            }
            set_up(&p);
            const double t = one_round(&p);
            if (i < 2)
                rate[i] = (i ? bytes(&p) : work(&p)) / t;
            const double products = work(&p) / rate[0], memory = i ? bytes(&p) / rate[1] : 0;
            const double floor = products > memory ? products : memory;
            printf("%-34s %-8s %9.3f ms  floor %9.3f  %.2f of it  %6.1f GFLOP/s\n", rows[i].name,
                   way_name[way], t * 1e3, floor * 1e3, floor / t, 2e-9 * work(&p) / t);
            fflush(stdout);
            tear_down(&p);
        }
}

int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++)
        if (!strcmp(argv[i], "--serve"))
            serve = 1;
        else if (!strcmp(argv[i], "--names"))
            names = 1;
        else if (i + 1 < argc && !strcmp(argv[i], "--threads"))
            threads = atoi(argv[++i]);
        else if (i + 1 < argc && !strcmp(argv[i], "--device"))
            device = argv[++i];
        else if (i + 1 < argc && !strcmp(argv[i], "--only"))
            only = argv[++i];
        else {
            fprintf(stderr, "bench_conv: %s is not an option, or lacks its value\n", argv[i]);
            return 2;
        }
    if (serve)
        answer();
    else
        table();
    return 0;
}
