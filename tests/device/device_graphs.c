/* Steps that a device replays as one graph: the bits of calls, nothing that waits, few nodes. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "device.h"

static void one_graph(double dropout, int64_t most_nodes)
{
    mlp eager, replayed;
    bp_plan *plan = NULL;
    bp_stats before, after;
    int good = mlp_open(&eager, dropout);
    for (int i = 0; i < 12 && good; i++)
        good = bp_run(ctx, 0, mlp_step, &eager) == BP_OK;
    float *want = mlp_weights(&eager);
    good = good && mlp_open(&replayed, dropout) && bp_run(ctx, 0, mlp_step, &replayed) == BP_OK &&
           bp_plan_record(ctx, mlp_step, &replayed, &plan) == BP_OK;
    bp_get_stats(ctx, &before);
    good = good && bp_plan_replay(plan, 1) == BP_OK && bp_plan_replay(plan, 9) == BP_OK;
    bp_get_stats(ctx, &after);
    check(good, "784-512-10 trains, called and replayed");
    check(after.waits == before.waits && after.allocations == before.allocations,
          "a replay waits for nothing and allocates nothing");
    float *got = mlp_weights(&replayed), loss = 0;
    check(want && got && !memcmp(want, got, (HIDDEN * IN + OUT * HIDDEN) * sizeof *got),
          "replays give the bits of calls");
    check(bp_read(replayed.loss, &loss, sizeof loss) == BP_OK && loss > 0 && loss < 2.3,
          "the loss has fallen");
    printf("       %lld kernels, %lld graph nodes, dropout %g\n", (long long)bp_plan_kernels(plan),
           (long long)bp_plan_nodes(plan), dropout);
    if (!strncmp(name, "sim", 3)) /* another library may take more kernels for a product */
        check(bp_plan_nodes(plan) <= most_nodes, "a step has as few nodes as it should");
    free(want);
    free(got);
    bp_plan_free(plan);
    mlp_close(&eager);
    mlp_close(&replayed);
}

/* A step of the trainer's kind: rows, labels and rate by the number of the step, sums in f64. */
typedef struct loop {
    bp_model *model;
    bp_data *data;
    bp_optimizer *adam;
    bp_tensor *rates, *batches, *at, *one, *loss, *correct;
} loop;

static bp_status loop_step(bp_context *c, void *user)
{
    loop *l = user;
    bp_tensor *rate = bp_reshape(bp_gather(l->rates, l->at), BP_SCALAR), *correct;
    bp_status st = bp_copy_into(bp_optimizer_rate(l->adam), rate);
    bp_tensor *index = bp_reshape(bp_gather(l->batches, l->at), BP_SHAPE(BATCH));
    bp_tensor *labels = bp_gather(bp_data_labels(l->data), index);
    bp_tensor *loss =
        bp_cross_entropy_correct(bp_model_logits(l->model, l->data, index, 1), labels, &correct);
    st = st == BP_OK ? bp_backward(c, loss) : st;
    st = st == BP_OK ? bp_add_into(l->loss, bp_cast(loss, BP_F64)) : st;
    st = st == BP_OK ? bp_add_into(l->correct, bp_cast(correct, BP_F64)) : st;
    st = st == BP_OK ? bp_add_into(l->at, l->one) : st;
    return st == BP_OK ? bp_optimizer_step(l->adam) : st;
}

static void trainer_graph(void)
{
    enum { STEPS = 10 };
    loop l = {0};
    bp_plan *plan = NULL;
    int32_t order[STEPS * BATCH], zero = 0, one = 1;
    double rate[STEPS], sums[2] = {0, 0};
    for (int i = 0; i < STEPS * BATCH; i++)
        order[i] = i;
    for (int i = 0; i < STEPS; i++)
        rate[i] = 0.01;
    int good = bp_data_digits(ctx, &l.data) == BP_OK &&
               bp_model_create(ctx, 64, "512 relu", OUT, &l.model) == BP_OK &&
               bp_model_normalize(l.model, l.data) == BP_OK &&
               bp_adam_create(bp_model_params(l.model), 0.01, &l.adam) == BP_OK;
    l.rates = bp_tensor_create(ctx, BP_F64, BP_SHAPE(STEPS));
    l.batches = bp_tensor_create(ctx, BP_I32, BP_SHAPE(STEPS, BATCH));
    l.at = bp_tensor_create(ctx, BP_I32, BP_SHAPE(1));
    l.one = bp_tensor_create(ctx, BP_I32, BP_SHAPE(1));
    l.loss = bp_tensor_create(ctx, BP_F64, BP_SCALAR);
    l.correct = bp_tensor_create(ctx, BP_F64, BP_SCALAR);
    good = good && l.correct && bp_write(l.rates, rate, sizeof rate) == BP_OK &&
           bp_write(l.batches, order, sizeof order) == BP_OK &&
           bp_write(l.at, &zero, sizeof zero) == BP_OK &&
           bp_write(l.one, &one, sizeof one) == BP_OK &&
           bp_plan_record(ctx, loop_step, &l, &plan) == BP_OK &&
           bp_plan_replay(plan, STEPS - 1) == BP_OK &&
           bp_read(l.loss, &sums[0], sizeof sums[0]) == BP_OK &&
           bp_read(l.correct, &sums[1], sizeof sums[1]) == BP_OK;
    check(good && sums[0] > 0 && sums[0] < 2.4 * STEPS && sums[1] == floor(sums[1]) &&
          sums[1] > STEPS * BATCH / 4, "a step that finds its rows and adds up in f64 is replayed");
    printf("       %lld kernels, %lld graph nodes\n", (long long)bp_plan_kernels(plan),
           (long long)bp_plan_nodes(plan));
    if (!strncmp(name, "sim", 3))
        check(bp_plan_nodes(plan) <= 11, "and has as few nodes as it should");
    bp_plan_free(plan);
    bp_optimizer_free(l.adam);
    bp_model_free(l.model);
    bp_data_free(l.data);
    bp_tensor *all[] = {l.rates, l.batches, l.at, l.one, l.loss, l.correct};
    for (int i = 0; i < 6; i++)
        bp_free(all[i]);
}

void graphs(void)
{
    one_graph(0, 9);    /* the hidden layer's ReLU is a node after its product */
    one_graph(0.2, 10); /* dropout draws in that node, and advances the stream */
    trainer_graph();
}
