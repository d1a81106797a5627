/* `bpcuda bench`, as a table or as one JSON object. */
#include "bench.h"

#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "device_rows.h"
#include "step_net.h"
#include "timing.h"

enum { OPENINGS = 21, IMAGES = 60000, IMAGE = 784, CLASSES = 10 };

static const step_config nets[] = {
    {"2-16-2, batch 8", 2, {2, 16, 2}, 8, 0, 0},
    {"784-128-10, batch 32", 2, {784, 128, 10}, 32, 0, 0},
    {"784-512-512-10, batch 128, dropout 0.2", 3, {784, 512, 512, 10}, 128, 0.2, 0},
};

typedef struct bench {
    const bench_settings *set;
    FILE *out;
    char *text;
    size_t room;
    double copy_rate, product_rate;
} bench;

static bp_status failed(bench *b, bp_context *ctx, bp_status st)
{
    const char *why = bp_error_text(ctx);
    snprintf(b->text, b->room, "bench: %s", *why ? why : bp_status_name(st));
    bp_close(ctx);
    return st;
}

static bp_status opened(bench *b, bp_context **ctx)
{
    bp_status st = bp_open(b->set->device, ctx);
    if (st == BP_OK && !strncmp(bp_device_text(*ctx), "cpu", 3))
        st = bp_set_threads(*ctx, b->set->threads);
    return st == BP_OK ? BP_OK : failed(b, *ctx, st);
}

/* --- memory: an epoch over data of MNIST's size, which stay in memory ------------------------ */

static bp_status train(bp_context *ctx, const uint8_t *x, const int32_t *labels)
{
    bp_data *data = NULL;
    bp_model *model = NULL;
    bp_trainer *trainer = NULL;
    int32_t finished;
    bp_status st = bp_data_create(ctx, BP_U8, x, labels, IMAGES, IMAGE, CLASSES, &data);
    if (st == BP_OK)
        st = bp_model_create(ctx, IMAGE, "128 relu", CLASSES, &model);
    if (st == BP_OK)
        st = bp_trainer_create(model, data, &trainer);
    if (st == BP_OK)
        st = bp_trainer_set(trainer, BP_TRAIN_BATCH, 128);
    if (st == BP_OK)
        st = bp_trainer_set(trainer, BP_TRAIN_EPOCHS, 1);
    if (st == BP_OK)
        st = bp_trainer_run(trainer, -1, -1, &finished);
    bp_trainer_free(trainer);
    bp_model_free(model);
    bp_data_free(data);
    return st;
}

/* The data themselves are the program's: what it holds counts, as it would in any other. */
static bp_status train_alone(int threads)
{
    uint8_t *x = malloc((size_t)IMAGES * IMAGE);
    int32_t *labels = malloc(IMAGES * sizeof *labels);
    bp_context *ctx = NULL;
    bp_status st = x && labels ? bp_open("cpu", &ctx) : BP_ERR_NOMEM;
    for (size_t i = 0; i < (size_t)IMAGES * IMAGE && x; i++)
        x[i] = (uint8_t)(i * 2654435761u >> 24);
    for (int i = 0; i < IMAGES && labels; i++)
        labels[i] = i % CLASSES;
    if (st == BP_OK)
        st = bp_set_threads(ctx, threads);
    if (st == BP_OK)
        st = train(ctx, x, labels);
    bp_close(ctx);
    free(labels);
    free(x);
    return st;
}

static bp_status memory_of_training(bench *b, double *bytes)
{
    struct rusage used;
    int status = 0;
    fflush(b->out); /* or the child has it as well */
    pid_t child = fork();
    if (child == 0)
        _exit((int)train_alone(b->set->threads));
    if (child < 0 || wait4(child, &status, 0, &used) < 0 || status != 0) {
        snprintf(b->text, b->room, "bench: the process that trains %s",
                 child < 0 ? "cannot be started" : "has failed");
        return BP_ERR_NOMEM;
    }
#if defined(__APPLE__)
    *bytes = (double)used.ru_maxrss;
#else
    *bytes = (double)used.ru_maxrss * 1024;
#endif
    return BP_OK;
}

/* --- the others ------------------------------------------------------------------------------ */

static bp_status openings(bench *b, double *median)
{
    double t[OPENINGS];
    for (int i = 0; i < OPENINGS; i++) {
        bp_context *ctx;
        t[i] = seconds();
        bp_status st = opened(b, &ctx);
        if (st != BP_OK)
            return st;
        t[i] = seconds() - t[i];
        bp_close(ctx);
    }
    qsort(t, OPENINGS, sizeof *t, ascending);
    *median = t[OPENINGS / 2];
    return BP_OK;
}

static bp_status kernels(bench *b)
{
    bp_context *ctx;
    bp_status st = opened(b, &ctx);
    if (st != BP_OK)
        return st;
    const row *first = device_rows(ctx);
    bp_close(ctx);
    device_run run = {.device = b->set->device, .threads = b->set->threads};
    *(b->set->json ? &run.json : &run.table) = b->out;
    bool all = true;
    for (const row *w = first; w->name; w++)
        all &= device_row_run(&run, w);
    b->copy_rate = run.copy_rate;
    b->product_rate = run.product_rate;
    if (!all)
        snprintf(b->text, b->room, "bench: a kernel has failed");
    return all ? BP_OK : BP_ERR_DEVICE;
}

static bp_status steps(bench *b, const step_config *c)
{
    step_net net;
    double t[3];
    bp_context *ctx;
    bp_status st = opened(b, &ctx);
    if (st != BP_OK)
        return st;
    st = step_net_create(&net, ctx, c);
    if (st == BP_OK)
        st = bp_plan_record(ctx, step_net_step, &net, &net.plan);
    if (st == BP_OK)
        st = step_net_time(&net, 0.1, t);
    step_net_free(&net);
    if (st != BP_OK)
        return failed(b, ctx, st);
    bp_close(ctx);
    double rate = (double)c->batch / t[0];
    double of_floor = step_net_floor(c, b->product_rate, b->copy_rate) / t[0];
    if (b->set->json)
        fprintf(b->out, "%s\n    {\"net\": \"%s\", \"us\": %.3f, \"least_us\": %.3f, "
                        "\"most_us\": %.3f, \"samples_per_second\": %.0f, \"of_floor\": %.3f}",
                c == nets ? "" : ",", c->name, t[0] * 1e6, t[1] * 1e6, t[2] * 1e6, rate, of_floor);
    else
        fprintf(b->out, "%-46s %10.2f us (%.2f - %.2f)  %.0f samples/s, %.2f of the floor\n",
                c->name, t[0] * 1e6, t[1] * 1e6, t[2] * 1e6, rate, of_floor);
    fflush(b->out);
    return BP_OK;
}

static bp_status heading(bench *b, double bytes, double start)
{
    bp_context *ctx;
    bp_status st = opened(b, &ctx);
    if (st != BP_OK)
        return st;
    fprintf(b->out,
            b->set->json ? "{\"bench\": \"machine\", \"version\": \"%s\", \"device\": \"%s\", "
                           "\"peak_memory_bytes\": %.0f, \"start_us\": %.1f,\n  \"kernels\": ["
                         : "bpcuda %s, %s\nmost memory of a process that trains on MNIST's size: "
                           "%.1f MB\nbp_open: %.1f us\n\nkernels: median (least - most)\n",
            bp_version(), bp_device_text(ctx), b->set->json ? bytes : bytes / 1e6, start * 1e6);
    bp_close(ctx);
    return BP_OK;
}

bp_status bench_run(const bench_settings *set, FILE *out, char *text, size_t room)
{
    bench b = {.set = set, .out = out, .text = text, .room = room};
    if (!strncmp(set->device, "sim", 3)) {
        snprintf(text, room, "bench: %.40s is simulated: it has no speed of its own", set->device);
        return BP_ERR_UNSUPPORTED;
    }
    double bytes, start;
    bp_status st = memory_of_training(&b, &bytes);
    if (st == BP_OK)
        st = openings(&b, &start);
    if (st == BP_OK)
        st = heading(&b, bytes, start);
    if (st == BP_OK)
        st = kernels(&b);
    if (st != BP_OK)
        return st;
    fprintf(out, set->json ? "],\n  \"steps\": [" : "\ntraining steps, replayed from a plan\n");
    for (size_t i = 0; i < sizeof nets / sizeof *nets && st == BP_OK; i++)
        st = steps(&b, &nets[i]);
    if (st == BP_OK && set->json)
        fprintf(out, "]}\n");
    return st;
}
