/* See sim_life.h: a convolution with a bias and ReLU in f32, its two gradients, and one in f64. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "readers.h"
#include "sim_life.h"
#include "test_sim.h"

enum { X, W, B, Y, DX, DW, X64, W64, B64, Y64, TENSORS };
static const int output[OUTPUTS] = {Y, DX, DW, Y64};

static bp_status work(bp_context *ctx, void *user)
{
    bp_tensor **t = user;
    const bp_window how = {.pad = {1, 1, 1, 1}};
    (void)ctx;
    const int64_t width = bp_shape_of(t[X]).dim[2];
    bp_status st[] = {bp_copy_into(t[Y], bp_conv2d_relu(t[X], t[W], t[B], how)),
                      bp_copy_into(t[DX], bp_conv2d_input(t[Y], t[W], 6, width, how)),
                      bp_copy_into(t[DW], bp_conv2d_filter(t[Y], t[X], 3, 3, how)),
                      bp_copy_into(t[Y64], bp_conv2d(t[X64], t[W64], t[B64], how))};
    return st[0] | st[1] | st[2] | st[3] ? BP_ERR_STATE : BP_OK; /* the first is pending */
}

static bp_status fill(bp_tensor *t, int seed)
{
    const int64_t n = bp_shape_count(bp_shape_of(t));
    values all = {n, malloc((size_t)n * sizeof(double))};
    for (int64_t i = 0; i < n; i++)
        all.v[i] = (float)(2 * op_random((uint64_t)seed, i) - 1);
    const int filled = tensor_fill(t, &all);
    values_free(&all, 1);
    return filled ? BP_OK : BP_ERR_STATE;
}

static bp_status begin(bp_context *ctx, int64_t width, bp_tensor **t)
{
    const bp_shape shape[TENSORS] = {BP_SHAPE(2, 6, width, 3), BP_SHAPE(4, 3, 3, 3), BP_SHAPE(4),
                                     BP_SHAPE(2, 6, width, 4), BP_SHAPE(2, 6, width, 3),
                                     BP_SHAPE(4, 3, 3, 3), BP_SHAPE(1, 4, 4, 2),
                                     BP_SHAPE(2, 3, 3, 2), BP_SHAPE(2), BP_SHAPE(1, 4, 4, 2)};
    bp_status st = BP_OK;
    for (int i = 0; i < TENSORS && st == BP_OK; i++) {
        t[i] = bp_tensor_create(ctx, i < X64 ? BP_F32 : BP_F64, shape[i]);
        st = t[i] ? fill(t[i], i) : BP_ERR_NOMEM;
    }
    return st;
}

static bp_status end(bp_context *ctx, bp_tensor **t, life *l)
{
    bp_status st = bp_sync(ctx);
    for (int i = 0; i < OUTPUTS && st == BP_OK; i++) {
        values v = {0};
        st = tensor_values(t[output[i]], &v) ? BP_OK : BP_ERR_DEVICE;
        for (int64_t k = 0; k < v.n; k++)
            l->value[i][k] = v.v[k];
        values_free(&v, 1);
    }
    return st;
}

life live(const char *file, int64_t width, int how)
{
    static life l;
    bp_context *ctx = NULL;
    bp_plan *plan = NULL;
    bp_tensor *t[TENSORS] = {NULL};
    const int64_t before = sim->calls("cudnnBackendFinalize:heuristic");
    l = (life){0};
    l.made = bp_open("sim:0", &ctx);
    if (l.made == BP_OK && how & TF32)
        l.made = bp_set_precision(ctx, BP_PRECISION_TF32);
    if (l.made == BP_OK && file)
        l.before = bp_share_plans(ctx, file);
    if (l.made == BP_OK)
        l.made = begin(ctx, width, t);
    if (l.made == BP_OK)
        l.made = how & RECORDED ? bp_plan_record(ctx, work, t, &plan)
                                : bp_run(ctx, BP_NO_GRAD, work, t);
    if (l.made == BP_OK && plan)
        l.made = bp_plan_replay(plan, 2);
    if (l.made == BP_OK)
        l.made = end(ctx, t, &l);
    if (l.made == BP_OK && file)
        l.after = bp_share_plans(ctx, file);
    snprintf(l.text, sizeof l.text, "%s", bp_error_text(ctx));
    l.asked = sim->calls("cudnnBackendFinalize:heuristic") - before;
    bp_plan_free(plan);
    for (int i = 0; i < TENSORS; i++)
        bp_free(t[i]);
    bp_close(ctx);
    return l;
}

static int within(const life *a, const life *b, double most)
{
    int good = a->made == BP_OK && b->made == BP_OK;
    for (int i = 0; i < OUTPUTS * MOST; i++)
        good &= fabs(a->value[i / MOST][i % MOST] - b->value[i / MOST][i % MOST]) <= most;
    return good;
}

int same(const life *a, const life *b)
{
    return within(a, b, 0);
}

int close_to(const life *a, const life *b)
{
    return within(a, b, 1e-4);
}
