/* Whole training steps of dense classifiers (step_net.c), eager and replayed from a plan.
 *
 *     bench_step [--threads N] [--json FILE] [--device NAME] [--dump FILE] [--quick]
 *
 * On the CPU the rows are C1 to C6; on another device G1 and G2, with the host's time for a replay
 * that nobody waits for (G6). --quick cuts the sizes for a simulated device. --dump writes what
 * others need for the same steps, a row after a row, f32: x, labels, each w and b, and the
 * loss that came out. The floor of a row is its operations over the product rate of this run (the
 * best of a few) plus Adam's bytes (28 a parameter) over its copy rate (read + write); data that
 * fit a cache can pass below it. Medians of rounds, with least and most; the losses after 50 equal
 * steps, eager and replayed, must agree by bits or the row is void. */
#include <bpcuda/bpcuda.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "step_net.h"
#include "timing.h"

enum { ROUNDS = 9, EQUAL_STEPS = 50, QUEUED = 200 };

static const step_config cpu_configs[] = {
    {"C1 2-16-2 b8", 2, {2, 16, 2}, 8, 0, 0},
    {"C2 10-45-45-10 b128", 3, {10, 45, 45, 10}, 128, 0, 0},
    {"C3 784-128-10 b32", 2, {784, 128, 10}, 32, 0, 0},
    {"C4 784-512-10 b32", 2, {784, 512, 10}, 32, 0, 0},
    {"C4 784-512-10 b128", 2, {784, 512, 10}, 128, 0, 0},
    {"C5 784-512-512-10 b128 dropout 0.2", 3, {784, 512, 512, 10}, 128, 0.2, 0},
    {"C6 784-2048-2048-10 b512", 3, {784, 2048, 2048, 10}, 512, 0, 0},
};

static const step_config device_configs[] = {
    {"G1 784-512-10 b128", 2, {784, 512, 10}, 128, 0, 0},
    {"G1 784-512-10 b128 TF32", 2, {784, 512, 10}, 128, 0, 1},
    {"G2 4 x 4096 b8192 TF32", 4, {4096, 4096, 4096, 4096, 4096}, 8192, 0, 1},
};

static const step_config quick_configs[] = {
    {"G1 784-512-10 b128", 2, {24, 16, 10}, 8, 0, 0},
    {"G1 784-512-10 b128 TF32", 2, {24, 16, 10}, 8, 0, 1},
    {"G2 4 x 4096 b8192 TF32", 4, {32, 32, 32, 32, 32}, 16, 0, 1},
};

static double peak_flops[2], copy_bytes; /* a second; [1] of TF32 */
static const char *device = "cpu";
static int threads = 2, quick;
static FILE *json, *dump;

static int on_cpu(void)
{
    return !strncmp(device, "cpu", 3);
}

static void check(bp_status st, bp_context *ctx)
{
    if (st == BP_OK)
        return;
    fprintf(stderr, "bench_step: %s\n", bp_error_text(ctx));
    exit(1);
}

static bp_context *opened(int tf32)
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

static int cpu_rows(void)
{
    return on_cpu() && !quick;
}

/* Queues steps; `finish` waits for them. */
static void run(step_net *p, int64_t times)
{
    check(step_net_run(p, times), p->ctx);
}

static void finish(step_net *p)
{
    check(bp_sync(p->ctx), p->ctx);
}

/* Median, least and most seconds of a step. */
static void measure(step_net *p, double out[3])
{
    check(step_net_time(p, quick ? 0 : 0.1, out), p->ctx);
}

/* The host's seconds for a replay of one step that it does not wait for: the median of rounds of at
 * most 200, fewer where that many take long. *waits counts those that the library made. */
static double host_seconds(step_net *p, double step_seconds, int64_t *waits)
{
    double round[ROUNDS];
    int64_t calls = (int64_t)(0.2 / step_seconds) + 1;
    calls = calls < QUEUED ? calls : QUEUED;
    *waits = 0;
    for (int r = 0; r < ROUNDS; r++) {
        bp_stats before, after;
        bp_get_stats(p->ctx, &before);
        double t = seconds();
        for (int64_t i = 0; i < calls; i++)
            run(p, 1);
        round[r] = (seconds() - t) / (double)calls;
        bp_get_stats(p->ctx, &after);
        *waits += after.waits - before.waits;
        finish(p);
    }
    qsort(round, ROUNDS, sizeof *round, ascending);
    return round[ROUNDS / 2];
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
        check(bp_sync(ctx), ctx);
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

static void measure_products(int tf32)
{
    bp_context *ctx = opened(tf32);
    int64_t most = quick ? 64 : cpu_rows() ? 2048 : 8192;
    for (int64_t n = most / 4; n <= most; n *= 2) {
        bp_tensor *m[2] = {bp_tensor_create(ctx, BP_F32, BP_SHAPE(n, n + 16)),
                           bp_tensor_create(ctx, BP_F32, BP_SHAPE(n + 16, n))};
        check(step_net_fill(m[0], 0), ctx);
        check(step_net_fill(m[1], 0), ctx);
        double rate = 2.0 * (double)(n * n * (n + 16)) / best_of(ctx, product, m);
        peak_flops[tf32] = rate > peak_flops[tf32] ? rate : peak_flops[tf32];
    }
    bp_close(ctx);
}

static void measure_copy(void)
{
    bp_context *ctx = opened(0);
    int64_t n = quick ? 16 << 10 : cpu_rows() ? 16 << 20 : 64 << 20;
    bp_tensor *m[2] = {bp_tensor_create(ctx, BP_F32, BP_SHAPE(n)),
                       bp_tensor_create(ctx, BP_F32, BP_SHAPE(n))};
    copy_bytes = 8.0 * (double)n / best_of(ctx, copy, m);
    bp_close(ctx);
}

/* What only a device that is not the CPU has to say of a row. */
static void device_columns(step_net *p, double step_seconds, double loss, const bp_stats *before)
{
    bp_stats now;
    int64_t waits;
    double host = host_seconds(p, step_seconds, &waits);
    bp_get_stats(p->ctx, &now);
    long long allocations = now.allocations - before->allocations, nodes = bp_plan_nodes(p->plan);
    printf("%-36s host %.2f us  nodes %lld  waits %lld  allocations %lld  peak %.1f MB\n", "",
           host * 1e6, nodes, (long long)waits, allocations, (double)now.peak_bytes / 1e6);
    if (json)
        fprintf(json, ", \"host_us\": %.3f, \"nodes\": %lld, \"waits\": %lld, "
                      "\"allocations\": %lld, \"peak_bytes\": %lld, \"loss\": %.9g",
                host * 1e6, nodes, (long long)waits, allocations, (long long)now.peak_bytes, loss);
}

static void report(const step_config *c, const double eager[3], const double plan[3])
{
    double floor = step_net_floor(c, peak_flops[c->tf32], copy_bytes);
    printf("%-36s eager %9.2f us  replay %9.2f (%.2f - %.2f)  floor %9.2f  %.2f x floor\n", c->name,
           eager[0] * 1e6, plan[0] * 1e6, plan[1] * 1e6, plan[2] * 1e6, floor * 1e6,
           plan[0] / floor);
    if (json)
        fprintf(json, "\n    {\"row\": \"%s\", \"eager_us\": %.2f, \"replay_us\": %.2f, "
                      "\"least_us\": %.2f, \"most_us\": %.2f, \"floor_us\": %.2f, "
                      "\"times_floor\": %.3f",
                c->name, eager[0] * 1e6, plan[0] * 1e6, plan[1] * 1e6, plan[2] * 1e6, floor * 1e6,
                plan[0] / floor);
}

static void set_up(step_net *p, const step_config *c)
{
    bp_context *ctx = opened(c->tf32);
    check(step_net_create(p, ctx, c), ctx);
}

static void tear_down(step_net *p)
{
    bp_context *ctx = p->ctx;
    step_net_free(p);
    bp_close(ctx);
}

/* 1 if the row is void. */
static int row(const step_config *c)
{
    step_net p;
    float loss[2];
    double eager[3], plan[3];
    bp_stats before;
    set_up(&p, c);
    if (dump)
        check(step_net_write(&p, dump), p.ctx);
    run(&p, EQUAL_STEPS);
    check(bp_read(p.loss, &loss[0], sizeof *loss), p.ctx);
    measure(&p, eager);
    tear_down(&p);
    if (dump)
        fwrite(&loss[0], sizeof *loss, 1, dump);
    set_up(&p, c);
    check(bp_plan_record(p.ctx, step_net_step, &p, &p.plan), p.ctx);
    bp_get_stats(p.ctx, &before);
    run(&p, EQUAL_STEPS - 1);
    check(bp_read(p.loss, &loss[1], sizeof *loss), p.ctx);
    measure(&p, plan);
    int differ = memcmp(&loss[0], &loss[1], sizeof *loss) != 0;
    if (differ) {
        printf("%-36s void: losses %g and %g differ\n", c->name, (double)loss[0], (double)loss[1]);
        if (json)
            fprintf(json, "\n    {\"row\": \"%s\", \"failed\": \"losses %.9g and %.9g differ\"",
                    c->name, (double)loss[0], (double)loss[1]);
    } else {
        report(c, eager, plan);
        if (!cpu_rows())
            device_columns(&p, plan[0], (double)loss[0], &before);
    }
    if (json)
        fprintf(json, "}");
    tear_down(&p);
    return differ;
}

static const char *options(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        const char *value = i + 1 < argc ? argv[i + 1] : NULL;
        if (!strcmp(argv[i], "--quick"))
            quick = 1;
        else if (!value)
            return argv[i];
        else if (!strcmp(argv[i], "--threads"))
            threads = atoi(argv[++i]);
        else if (!strcmp(argv[i], "--device"))
            device = argv[++i];
        else if (!strcmp(argv[i], "--json") && (json = fopen(value, "w")))
            i++;
        else if (!strcmp(argv[i], "--dump") && (dump = fopen(value, "wb")))
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
        fprintf(stderr, "bench_step: %s is not an option, or lacks its value\n", wrong);
        return 2;
    }
    const step_config *configs = cpu_rows() ? cpu_configs : quick ? quick_configs : device_configs;
    size_t count = cpu_rows() ? sizeof cpu_configs / sizeof *cpu_configs
                              : sizeof device_configs / sizeof *device_configs;
    bp_context *ctx = opened(0);
    measure_products(0);
    if (!cpu_rows())
        measure_products(1);
    measure_copy();
    printf("%s; products %.1f GFLOP/s, copy %.1f GB/s\n", bp_device_text(ctx), peak_flops[0] / 1e9,
           copy_bytes / 1e9);
    if (!cpu_rows())
        printf("TF32 products %.1f GFLOP/s\n", peak_flops[1] / 1e9);
    if (json)
        fprintf(json, "{\"bench\": \"step\", \"device\": \"%s\", \"compiler\": \"%s\", "
                      "\"gemm_gflops\": %.1f, \"copy_gbytes\": %.1f, ",
                bp_device_text(ctx), __VERSION__, peak_flops[0] / 1e9, copy_bytes / 1e9);
    if (json && !cpu_rows())
        fprintf(json, "\"gemm_tf32_gflops\": %.1f, ", peak_flops[1] / 1e9);
    if (json)
        fprintf(json, "\"rows\": [");
    bp_close(ctx);
    int failed = 0;
    for (size_t i = 0; i < count; i++) {
        failed |= row(&configs[i]);
        fflush(stdout);
        if (json)
            fprintf(json, i + 1 < count ? "," : "\n]}\n");
        if (json)
            fflush(json);
    }
    if (json)
        fclose(json);
    if (dump)
        fclose(dump);
    return failed;
}
