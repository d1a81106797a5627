/* One step of online learning: a sample is written, the net takes one step of gradient descent on
 * its squared error, and the host reads the loss. Beside FANN and KANN where they are built in.
 *
 *     bench_online [--rounds N] [--json FILE]
 *
 * All learn the same samples from the same weights, by one thread and in turn: a round of ours, a
 * round of each peer, and again. Figures are medians of the rounds, with least and most, a JSON
 * line a row. Ours is a recorded plan; the same step, called; and a plan of the mean of the squared
 * errors, whose sample comes as two tensors: two writes. The mean of the losses of the first steps
 * must agree, since the update rule is the same: FANN's rate is of half the squared error, KANN's
 * and ours, where so said, of a mean; FANN's slope of tanh is that at 0.98 for outputs beyond it,
 * which is as much as it may differ by. Those of the plan and of the step that is called agree by
 * bits. Status 1 where they do not, or where a step of ours has asked for memory.
 *
 * Then the same nets predict the samples, one by one, by bp_model_predict, fann_run, kann_apply1. */
#include <bpcuda/bpcuda.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "online.h"
#include "timing.h"

enum { MOST_ROUNDS = 999, EQUAL_STEPS = 2000, OURS = 3, LEARNERS = OURS + 2 }; /* the most */

static const online_net nets[] = {{4, 16, 1}, {2, 16, 2}, {16, 64, 4}};

static int rounds = 31;
static FILE *json;

/* --- ours ------------------------------------------------------------------------------------ */

typedef struct ours {
    bp_context *ctx;
    bp_params *params;
    bp_optimizer *sgd;
    bp_tensor *sample, *x, *target, *loss, *w[2], *b[2]; /* the sample as one, or as two */
    int64_t in;
    bp_plan *plan; /* NULL: the step is called */
} ours;

static void check(bp_status st, bp_context *ctx)
{
    if (st == BP_OK)
        return;
    fprintf(stderr, "bench_online: %s\n", bp_error_text(ctx));
    exit(1);
}

static bp_status learn(bp_context *ctx, void *user)
{
    ours *o = user;
    bp_tensor *x = o->sample ? bp_slice(o->sample, 1, 0, o->in, 1) : o->x;
    bp_tensor *t = o->sample ? bp_slice(o->sample, 1, o->in, INT64_MAX, 1) : o->target;
    bp_tensor *y = bp_linear(bp_tanh(bp_linear(x, o->w[0], o->b[0])), o->w[1], o->b[1]);
    bp_tensor *loss = bp_mse_loss(y, t, o->sample ? BP_SUM : BP_MEAN);
    bp_status st = bp_backward(ctx, loss);
    if (st == BP_OK)
        st = bp_copy_into(o->loss, loss);
    return st == BP_OK ? bp_optimizer_step(o->sgd) : st;
}

static void *open_ours(const online_net *net, const online_start *start, int planned,
                       int apart)
{
    ours *o = calloc(1, sizeof *o);
    int64_t from[] = {net->in, net->hidden}, to[] = {net->hidden, net->out};
    check(bp_open("cpu", &o->ctx), o->ctx);
    check(bp_set_threads(o->ctx, 1), o->ctx);
    check(bp_params_create(o->ctx, BP_F32, &o->params), o->ctx);
    for (int i = 0; i < 2; i++) {
        const char *names[] = {"w0", "w1", "b0", "b1"};
        o->w[i] = bp_param(o->params, names[i], BP_SHAPE(to[i], from[i]), BP_INIT_ZERO);
        o->b[i] = bp_param(o->params, names[2 + i], BP_SHAPE(to[i]), BP_INIT_ZERO);
    }
    o->in = net->in;
    if (apart) {
        o->x = bp_tensor_create(o->ctx, BP_F32, BP_SHAPE(1, net->in));
        o->target = bp_tensor_create(o->ctx, BP_F32, BP_SHAPE(1, net->out));
    } else {
        o->sample = bp_tensor_create(o->ctx, BP_F32, BP_SHAPE(1, net->in + net->out));
    }
    o->loss = bp_tensor_create(o->ctx, BP_F32, BP_SCALAR);
    check(bp_sgd_create(o->params, apart ? ONLINE_RATE * net->out : ONLINE_RATE, 0, &o->sgd), o->ctx);
    if (planned)
        check(bp_plan_record(o->ctx, learn, o, &o->plan), o->ctx); /* and runs it: undone */
    for (int i = 0; i < 2; i++) {
        check(bp_write(o->w[i], start->w[i], (size_t)(to[i] * from[i]) * 4), o->ctx);
        check(bp_write(o->b[i], start->b[i], (size_t)to[i] * 4), o->ctx);
    }
    return o;
}

static void *open_plan(const online_net *net, const online_start *start)
{
    return open_ours(net, start, 1, 0);
}

static void *open_mean(const online_net *net, const online_start *start)
{
    return open_ours(net, start, 1, 1);
}

static void *open_eager(const online_net *net, const online_start *start)
{
    return open_ours(net, start, 0, 0);
}

static float step_ours(void *self, const online_sample *s, const online_net *net)
{
    ours *o = self;
    float loss = NAN;
    bp_status st;
    if (o->sample)
        st = bp_write(o->sample, s->numbers, (size_t)(net->in + net->out) * 4);
    else if ((st = bp_write(o->x, s->numbers, (size_t)net->in * 4)) == BP_OK)
        st = bp_write(o->target, s->numbers + net->in, (size_t)net->out * 4);
    if (st == BP_OK)
        st = o->plan ? bp_plan_replay(o->plan, 1) : bp_run(o->ctx, 0, learn, o);
    if (st == BP_OK)
        st = bp_read(o->loss, &loss, sizeof loss);
    check(st, o->ctx);
    return o->sample ? loss : loss * (float)net->out;
}

/* The context comes first in all of ours. */
static long long allocations_of(void *self)
{
    bp_stats stats;
    bp_get_stats(*(bp_context **)self, &stats);
    return stats.allocations;
}

static void close_ours(void *self)
{
    ours *o = self;
    bp_plan_free(o->plan);
    bp_optimizer_free(o->sgd);
    bp_params_free(o->params);
    bp_close(o->ctx);
    free(o);
}

typedef struct model {
    bp_context *ctx;
    bp_model *model;
} model;

static void *open_model(const online_net *net, const online_start *start)
{
    model *m = calloc(1, sizeof *m);
    char layers[16];
    const int size[] = {net->in, net->hidden, net->out};
    snprintf(layers, sizeof layers, "%d tanh", net->hidden);
    check(bp_open("cpu", &m->ctx), m->ctx);
    check(bp_set_threads(m->ctx, 1), m->ctx);
    check(bp_model_create_as(m->ctx, net->in, layers, BP_TASK_REGRESSION, net->out, &m->model),
          m->ctx);
    for (int i = 0; i < 2; i++) {
        bp_params *p = bp_model_params(m->model);
        check(bp_write(bp_param_at(p, 2 * i), start->w[i], (size_t)(size[i] * size[i + 1]) * 4),
              m->ctx);
        check(bp_write(bp_param_at(p, 2 * i + 1), start->b[i], (size_t)size[i + 1] * 4), m->ctx);
    }
    return m;
}

static float predict_model(void *self, const online_sample *s, const online_net *net)
{
    model *m = self;
    float y[ONLINE_MOST];
    (void)net;
    check(bp_model_predict(m->model, s->numbers, 1, y), m->ctx);
    return y[0];
}

static void close_model(void *self)
{
    model *m = self;
    bp_model_free(m->model);
    bp_close(m->ctx);
    free(m);
}

/* --- rounds ---------------------------------------------------------------------------------- */

/* The first `ours` of them are; each gives what the first one gives: but for rounding, or by bits. */
typedef struct race {
    const char *bench;
    int ours;
    const char *bits; /* the learner whose numbers are the first one's by bits */
    online_learner learner[LEARNERS];
} race;

static const race learning = {"online", OURS, "bpcuda, eager", {
    {"bpcuda, plan", open_plan, step_ours, close_ours},
    {"bpcuda, eager", open_eager, step_ours, close_ours},
    {"bpcuda, mean", open_mean, step_ours, close_ours},
#ifdef BPI_HAVE_FANN
    {"fann", online_fann_open, online_fann_step, online_fann_close},
#endif
#ifdef BPI_HAVE_KANN
    {"kann", online_kann_open, online_kann_step, online_kann_close},
#endif
}};
static const race predicting = {"predict", 1, "", {
    {"bpcuda", open_model, predict_model, close_model},
#ifdef BPI_HAVE_FANN
    {"fann", online_fann_open, online_fann_predict, online_fann_close},
#endif
#ifdef BPI_HAVE_KANN
    {"kann", online_kann_open, online_kann_predict, online_kann_close},
#endif
}};

static online_sample samples[ONLINE_SAMPLES];

static float number(void)
{
    static uint32_t state = 1;
    state = state * 1664525u + 1013904223u;
    return (float)(state >> 8) / (float)(1 << 24) - 0.5f;
}

static void choose(online_start *start, const online_net *net)
{
    for (int i = 0; i < net->hidden * net->in; i++)
        start->w[0][i] = number() / sqrtf((float)net->in);
    for (int i = 0; i < net->out * net->hidden; i++)
        start->w[1][i] = number() / sqrtf((float)net->hidden);
    for (int i = 0; i < net->hidden; i++)
        start->b[0][i] = 0.1f * number();
    for (int i = 0; i < net->out; i++)
        start->b[1][i] = 0.1f * number();
    for (int k = 0; k < ONLINE_SAMPLES; k++) {
        float sum = 0;
        for (int i = 0; i < net->in; i++)
            sum += samples[k].numbers[i] = 2 * number();
        for (int i = 0; i < net->out; i++)
            samples[k].numbers[net->in + i] = sinf(sum + (float)i) / 2;
    }
}

/* The mean of the losses of so many steps. */
static double run(const online_learner *l, void *self, const online_net *net, int64_t steps)
{
    double sum = 0;
    for (int64_t i = 0; i < steps; i++)
        sum += (double)l->step(self, &samples[i % ONLINE_SAMPLES], net);
    return sum / (double)steps;
}

static void report(const char *bench, const online_net *net, const char *who, double *us,
                   double loss, double peer, long long allocations)
{
    char row[64];
    qsort(us, (size_t)rounds, sizeof *us, ascending);
    snprintf(row, sizeof row, "%d-%d-%d", net->in, net->hidden, net->out);
    printf("%-8s %-10s %-14s %8.3f us (%.3f - %.3f)  %.6f", bench, row, who, us[rounds / 2],
           us[0], us[rounds - 1], loss);
    printf(allocations < 0 ? "\n" : "  allocations %lld\n", allocations);
    if (!json)
        return;
    fprintf(json, "{\"bench\": \"%s\", \"row\": \"%s\", \"who\": \"%s\", \"us\": %.4f, "
                  "\"least_us\": %.4f, \"most_us\": %.4f, \"loss\": %.8g, \"ours\": %.8g", bench,
            row, who, us[rounds / 2], us[0], us[rounds - 1], loss, peer);
    fprintf(json, allocations < 0 ? "}\n" : ", \"allocations\": %lld}\n", allocations);
}

/* 1 if the row is void. */
static int row(const race *r, const online_net *net)
{
    static double us[LEARNERS][MOST_ROUNDS];
    static online_start start;
    void *self[LEARNERS] = {0};
    double loss[LEARNERS] = {0};
    long long before[OURS] = {0};
    int64_t steps[LEARNERS] = {0};
    int failed = 0, n = 0;
    choose(&start, net);
    for (const online_learner *l = r->learner; n < LEARNERS && l[n].name; n++) {
        self[n] = l[n].open(net, &start);
        loss[n] = run(&l[n], self[n], net, EQUAL_STEPS);
        double t = seconds();
        run(&l[n], self[n], net, EQUAL_STEPS);
        steps[n] = (int64_t)(0.01 * EQUAL_STEPS / (seconds() - t)) + 1; /* 10 ms */
    }
    for (int i = 0; i < r->ours; i++)
        before[i] = allocations_of(self[i]);
    for (int k = 0; k < rounds; k++)
        for (int i = 0; i < n; i++) {
            double t = seconds();
            run(&r->learner[i], self[i], net, steps[i]);
            us[i][k] = (seconds() - t) / (double)steps[i] * 1e6;
        }
    for (int i = 0; i < n; i++) {
        const online_learner *l = &r->learner[i];
        long long asked = i < r->ours ? allocations_of(self[i]) - before[i] : -1;
        double off = fabs((loss[i] - loss[0]) / loss[0]);
        report(r->bench, net, l->name, us[i], loss[i], loss[0], asked);
        if (!(off <= (strcmp(l->name, r->bits) ? ONLINE_AGREES : 0)) || asked > 0) {
            printf("%-8s void: the numbers differ by %g of ours, or memory was taken\n", "", off);
            failed = 1;
        }
        l->close(self[i]);
    }
    return failed;
}

int main(int argc, char **argv)
{
    int failed = 0;
    for (int i = 1; i < argc; i += 2) {
        if (i + 1 < argc && !strcmp(argv[i], "--rounds"))
            rounds = atoi(argv[i + 1]);
        else if (i + 1 < argc && !strcmp(argv[i], "--json"))
            json = fopen(argv[i + 1], "w");
        if (i + 1 == argc || rounds < 1 || rounds > MOST_ROUNDS ||
            (strcmp(argv[i], "--rounds") && !json)) {
            fprintf(stderr, "bench_online: %s is not an option, or lacks its value\n", argv[i]);
            return 2;
        }
    }
#ifndef BPI_HAVE_FANN
    printf("without FANN, which was not found when this was built\n");
#endif
#ifndef BPI_HAVE_KANN
    printf("without KANN, whose sources were not named when this was built (KANN_FOLDER)\n");
#endif
    for (size_t i = 0; i < sizeof nets / sizeof *nets; i++)
        failed |= row(&learning, &nets[i]);
    for (size_t i = 0; i < sizeof nets / sizeof *nets; i++)
        failed |= row(&predicting, &nets[i]);
    if (json)
        fclose(json);
    return failed;
}
