/* Faults that kernels find: told by the next call that waits, and nothing is spoilt. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "device.h"

static bp_status gather_bad(bp_context *c, void *user)
{
    (void)c;
    bp_tensor **t = user;
    return bp_gather(t[0], t[1]) ? BP_OK : BP_ERR_STATE;
}

typedef struct scatter {
    bp_tensor *x, *index, *y;
} scatter;

static bp_status scatter_bad(bp_context *c, void *user)
{
    (void)c;
    scatter *s = user;
    return bp_copy_into(s->y, bp_scatter_rows(s->x, s->index, bp_shape_of(s->y).dim[0]));
}

/* Indices that go to rows 0 1 2 0 1 2 ..., two of them bad, not in the order of their values. */
static void scatter_faults(void)
{
    enum { N = 300001, ROWS = 3, LOW = 270000, HIGH = 290000 };
    static int32_t index[N];
    static float x[N];
    float y[ROWS], want[ROWS] = {0};
    for (int i = 0; i < N; i++) {
        index[i] = i == LOW ? ROWS : i == HIGH ? -7 : i % ROWS;
        x[i] = (float)(i % 1024) - 500;
        if (i != LOW && i != HIGH)
            want[i % ROWS] += x[i];
    }
    scatter s = {bp_tensor_create(ctx, BP_F32, BP_SHAPE(N)),
                 bp_tensor_create(ctx, BP_I32, BP_SHAPE(N)),
                 bp_tensor_create(ctx, BP_F32, BP_SHAPE(ROWS))};
    check(s.x && s.index && s.y && bp_write(s.x, x, sizeof x) == BP_OK &&
          bp_write(s.index, index, sizeof index) == BP_OK &&
          bp_run(ctx, BP_NO_GRAD, scatter_bad, &s) == BP_OK && bp_sync(ctx) == BP_ERR_RANGE &&
          !strcmp(bp_error_text(ctx), "scatter_rows: index 3 is out of range"),
          "scatter_rows says the first bad index in memory");
    check(bp_read(s.y, y, sizeof y) == BP_OK && !memcmp(y, want, sizeof y), "and leaves it out");
    bp_free(s.y);
    s.y = bp_tensor_create(ctx, BP_F32, BP_SHAPE(0));
    check(s.y && bp_run(ctx, BP_NO_GRAD, scatter_bad, &s) == BP_OK &&
          bp_sync(ctx) == BP_ERR_RANGE &&
          !strcmp(bp_error_text(ctx), "scatter_rows: index 0 is out of range"),
          "where there is no row every index is bad");
    bp_free(s.x);
    bp_free(s.index);
    bp_free(s.y);
}

/* loss = sum(w c): the gradient is c. */
static bp_status product_step(bp_context *c, void *user)
{
    mlp *m = user;
    bp_status st = bp_backward(c, bp_sum(bp_mul(m->w[0], m->x)));
    return st == BP_OK ? bp_optimizer_step(m->adam) : st;
}

/* What a step with this gradient at two places says. */
static int says(mlp *m, float gradient, const char *text)
{
    float c[HIDDEN];
    for (int i = 0; i < HIDDEN; i++)
        c[i] = i == 199 || i == 399 ? gradient : 0;
    int good = bp_write(m->x, c, sizeof c) == BP_OK && bp_run(ctx, 0, product_step, m) == BP_OK;
    bp_status st = bp_sync(ctx);
    if (strcmp(text, bp_error_text(ctx)))
        printf("       \"%s\"\n", bp_error_text(ctx));
    return good && st == BP_ERR_NONFINITE && !strcmp(text, bp_error_text(ctx));
}

static void updates(void)
{
    mlp m = {0};
    float w[HIDDEN];
    double bad = NAN;
    int good = bp_params_create(ctx, BP_F32, &m.params) == BP_OK;
    m.w[0] = bp_param(m.params, "w", BP_SHAPE(2, HIDDEN / 2), BP_INIT_ONE);
    m.x = bp_tensor_create(ctx, BP_F32, BP_SHAPE(2, HIDDEN / 2));
    bp_tensor *rate = bp_tensor_create(ctx, BP_F64, BP_SCALAR);
    good = good && m.w[0] && m.x && rate && bp_sgd_create(m.params, 1e30, 0, &m.adam) == BP_OK;
    check(good && says(&m, 1e10f, "optimizer_step: step 1: the update of w [0,199] would overflow "
                                  "and was held back"),
          "an update that overflows is held back, and told");
    check(says(&m, -INFINITY, "optimizer_step: step 2: the gradient of w [0,199] is infinite; "
                              "nothing was changed") &&
          says(&m, 3e38f, "optimizer_step: step 2: the gradient of w [0,199] is too large to "
                          "be stored; nothing was changed"),
          "what is wrong with a gradient is told");
    check(bp_write(rate, &bad, sizeof bad) == BP_OK &&
          bp_copy_into(bp_optimizer_rate(m.adam), rate) == BP_OK &&
          says(&m, 1, "optimizer_step: step 2: the rate is negative, NaN or too large; nothing was "
                      "changed"), "so is a rate that is none");
    check(bp_optimizer_set(m.adam, BP_OPT_LR, 1e-3) == BP_OK &&
          bp_optimizer_set(m.adam, BP_OPT_L2, 1.6e38) == BP_OK &&
          says(&m, 3e37f, "optimizer_step: step 2: the update of w [0,199] would overflow and was "
                          "held back"), "and decay that overflows");
    good = bp_read(m.w[0], w, sizeof w) == BP_OK;
    for (int i = 0; i < HIDDEN; i++)
        good = good && isfinite(w[i]);
    check(good, "and all that is stored is finite");
    bp_free(rate);
    mlp_close(&m);
}

void faults(void)
{
    mlp m;
    int32_t labels[BATCH] = {0}, index[300] = {0};
    check(mlp_open(&m, 0), "a problem is made");
    float *before = mlp_weights(&m);
    labels[77] = 10;
    labels[99] = -3;
    check(bp_write(m.labels, labels, sizeof labels) == BP_OK &&
          bp_run(ctx, 0, mlp_step, &m) == BP_OK, "a bad label stops no call");
    check(bp_sync(ctx) == BP_ERR_RANGE, "the next wait says it");
    check(!strcmp(bp_error_text(ctx),
                  "cross_entropy: index 10 is out of range; step 1 changed nothing"),
          "and names op and value, the first in memory");
    float *after = mlp_weights(&m);
    check(before && after && !memcmp(before, after, HIDDEN * IN * sizeof *after),
          "the optimiser has changed nothing");
    labels[77] = labels[99] = 0;
    check(bp_write(m.labels, labels, sizeof labels) == BP_OK && bp_sync(ctx) == BP_OK &&
          bp_run(ctx, 0, mlp_step, &m) == BP_OK && bp_sync(ctx) == BP_OK, "then it goes on");
    bp_tensor *t[2] = {bp_tensor_create(ctx, BP_F32, BP_SHAPE(7, 1000)),
                       bp_tensor_create(ctx, BP_I32, BP_SHAPE(300))};
    index[200] = 7;
    index[250] = 1 << 30;
    check(bp_write(t[1], index, sizeof index) == BP_OK && bp_run(ctx, 0, gather_bad, t) == BP_OK &&
          bp_sync(ctx) == BP_ERR_RANGE &&
          !strcmp(bp_error_text(ctx), "gather: index 7 is out of range"), "gather says its own");
    float nan[OUT] = {NAN};
    check(bp_write(m.b[1], nan, sizeof nan) == BP_OK && bp_run(ctx, 0, mlp_step, &m) == BP_OK &&
          bp_run(ctx, 0, mlp_step, &m) == BP_OK && bp_sync(ctx) == BP_ERR_NONFINITE &&
          !strcmp(bp_error_text(ctx), "optimizer_step: step 2: the gradient of w0 [0,0] is NaN; "
                                      "nothing was changed; 1 later step did nothing either"),
          "a step that is not finite is told, with its first element");
    updates();
    bp_free(t[0]);
    bp_free(t[1]);
    free(before);
    free(after);
    mlp_close(&m);
    scatter_faults();
}
