/* A table for every task, and models of it. */
#ifndef BPI_TEST_TASK_TABLE_H
#define BPI_TEST_TASK_TABLE_H

#include "suite.h"

enum { N = 50, COLS = 6, K = 3 };

/* Samples, real targets of very different units (the last does not vary), labels, classes. */
typedef struct table {
    float x[N * COLS], real[N * K], weight[N];
    uint8_t label[N * K];
    int32_t class[N];
} table;

static inline table made(uint64_t seed)
{
    table t;
    for (int i = 0; i < N * COLS; i++)
        t.x[i] = (float)(10 * op_random(seed, i) - 3);
    for (int i = 0; i < N; i++) {
        const float *x = &t.x[COLS * i];
        t.real[K * i] = 1e6f * (x[0] + 0.5f * x[1]);
        t.real[K * i + 1] = 1e-6f * (x[2] - x[3]) + 5e-6f;
        t.real[K * i + 2] = 7;
        t.weight[i] = (float)(i % 4);
        t.class[i] = (x[0] > 2) + (x[1] > 2);
        for (int j = 0; j < K; j++)
            t.label[K * i + j] = x[j] > 1 + j;
    }
    return t;
}

static inline bp_data *set_of(const table *t, bp_task task, bool weighted)
{
    bp_data *d;
    OK(bp_data_table(ctx, N, &d));
    OK(bp_data_add(d, "x", BP_F32, BP_SHAPE(2, COLS / 2), t->x));
    if (task == BP_TASK_CLASSES)
        OK(bp_data_add_classes(d, t->class, K, (const char *const[]){"a", "b, \"c\"", "\xc3\xa9"}));
    else if (task == BP_TASK_REGRESSION)
        OK(bp_data_add(d, "y", BP_F32, BP_SHAPE(K), t->real));
    else
        OK(bp_data_add(d, "y", BP_U8, BP_SHAPE(K), t->label));
    if (weighted)
        OK(bp_data_add(d, "weight", BP_F32, BP_SCALAR, t->weight));
    return d;
}

static inline bp_model *model_of(bp_task task)
{
    bp_model *m;
    OK(bp_seed(ctx, 3));
    OK(bp_model_create_as(ctx, COLS, "8 tanh", task, K, &m));
    return m;
}

/* A forward pass of the program's; user: int *, its calls. */
static inline bp_tensor *two_layers(bp_model *m, bp_tensor *x, int32_t training, void *user)
{
    bp_params *p = bp_model_params(m);
    (void)training, ++*(int *)user;
    bp_tensor *h = bp_tanh(bp_linear(x, bp_param_at(p, 0), bp_param_at(p, 1)));
    return bp_linear(h, bp_param_at(p, 2), bp_param_at(p, 3));
}

#endif
