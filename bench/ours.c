/* bpcuda as a contender of compare.py (contender.h): training steps here, the rest in ours_*.c.
 *
 *     bench_ours --threads N
 *
 * A step is replayed from a plan. */
#include "ours.h"

#include <stdlib.h>
#include <string.h>

#include "step_net.h"
#include "timing.h"

void check(bp_status st, bp_context *ctx)
{
    if (st == BP_OK)
        return;
    const char *text = bp_error_text(ctx);
    fprintf(stderr, "bench_ours: %s\n", *text ? text : bp_status_name(st));
    exit(1);
}

bp_context *opened(int threads)
{
    bp_context *ctx;
    bp_status st = bp_open("cpu", &ctx);
    check(st, ctx);
    check(bp_set_threads(ctx, threads), ctx);
    return ctx;
}

typedef struct steps {
    step_config config;
    step_net net;
    int64_t recorded; /* steps that recording the plan has taken, not yet counted */
} steps;

static const char *open_steps(const work *w, void **self)
{
    if (w->layers < 1)
        return "a step wants sizes";
    steps *s = calloc(1, sizeof *s);
    bp_context *ctx = opened(w->threads);
    check(s ? BP_OK : BP_ERR_NOMEM, ctx);
    s->config = (step_config){.layers = w->layers, .batch = atoll(w->word[1]),
                              .dropout = atof(w->word[2])};
    memcpy(s->config.size, w->size, sizeof s->config.size);
    check(step_net_create(&s->net, ctx, &s->config), ctx);
    if (w->start)
        check(step_net_write(&s->net, w->start), ctx);
    check(bp_plan_record(ctx, step_net_step, &s->net, &s->net.plan), ctx);
    s->recorded = 1;
    *self = s;
    return NULL;
}

static float loss_of_steps(void *self, int64_t count)
{
    steps *s = self;
    float loss;
    check(step_net_run(&s->net, count - s->recorded), s->net.ctx);
    s->recorded = 0;
    check(bp_read(s->net.loss, &loss, sizeof loss), s->net.ctx);
    return loss;
}

static double run_steps(void *self, int64_t calls)
{
    steps *s = self;
    double from = seconds();
    check(step_net_run(&s->net, calls), s->net.ctx);
    check(bp_sync(s->net.ctx), s->net.ctx);
    return seconds() - from;
}

static void close_steps(void *self)
{
    steps *s = self;
    bp_context *ctx = s->net.ctx;
    step_net_free(&s->net);
    bp_close(ctx);
    free(s);
}

static const contender ours_step = {open_steps, loss_of_steps, run_steps, close_steps};

static const contender *find(const char *kind)
{
    static const struct {
        const char *kind;
        const contender *who;
    } all[] = {{"step", &ours_step},       {"online", &ours_online}, {"predict", &ours_predict},
               {"op", &ours_op},           {"one", &ours_one},       {"adam", &ours_adam},
               {"copy", &ours_copy},       {"product", &ours_product}};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (!strcmp(all[i].kind, kind))
            return all[i].who;
    return NULL;
}

int main(int argc, char **argv)
{
    return contender_serve(argc, argv, find);
}
