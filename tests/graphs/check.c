/* Holds the gradients of a random graph to four-point differences in f64, of the loss and of its
 * first gradients; to each other, by bp_grad and bp_backward, fused and in primitives, in one walk
 * and in several; to a recorded plan, by bits; and f32 to f64.
 *
 * Differences are left out where h and h / 2 disagree: a kink lies between. */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "graphs.h"

int64_t graph_compared, graph_skipped;
double graph_worst_f32;

typedef struct check {
    graph_run r;
    int n_leaves, n; /* wanted: leaves, then results of ops, then the first leaf again */
    int want[MAX_VALUES];
    values d[MAX_VALUES]; /* their gradients */
    double scale;         /* the largest number among values and gradients */
    bool failed;
} check;

static void fail(check *c, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    printf("FAILED graph %llu: ", (unsigned long long)c->r.g->seed);
    vprintf(format, args);
    printf("\n");
    va_end(args);
    c->failed = true;
}

static void gradients(check *c, const char *what, int n, uint32_t flags, values *d)
{
    if (!graph_gradients(&c->r, c->want, n, flags, d))
        fail(c, "%s: %s", what, bp_error_text(c->r.ctx));
}

/* Numbers of value `i`: equal up to a part of the largest number of the graph. */
static double compare(check *c, const char *what, int i, const values *got, const values *want,
                      double part)
{
    double worst = 0;
    for (int64_t e = 0; e < want->n && !c->failed; e++) {
        double error = got->n == want->n ? fabs(got->v[e] - want->v[e]) / (part * c->scale) : NAN;
        graph_compared++;
        if (!(error <= 1))
            fail(c, "%s: value %d, element %lld: %.17g, not %.17g", what, i, (long long)e,
                 got->n == want->n ? got->v[e] : NAN, want->v[e]);
        worst = fmax(worst, error);
    }
    return worst;
}

/* The same kernels, or the same sums in another order: some dozens of roundings of f64. */
static const double ROUNDINGS = 1e-14;

static void again(check *c, const char *what, bool composed, uint32_t flags)
{
    values d[MAX_VALUES] = {{0}};
    if (c->failed)
        return;
    c->r.composed = composed;
    gradients(c, what, c->n, flags, d);
    c->r.composed = false;
    for (int k = 0; k < c->n && !c->failed; k++)
        compare(c, what, c->want[k], &d[k], &c->d[k], ROUNDINGS);
    values_free(d, MAX_VALUES);
}

/* --- bp_backward ----------------------------------------------------------------------------- */

static bool walk(check *c, uint32_t keep)
{
    bp_context *ctx = c->r.ctx;
    bool done = bp_scope_begin(ctx, 0) == BP_OK && graph_draw_to(ctx, 0) && graph_build(&c->r);
    bp_tensor *loss = c->r.t[c->r.g->n - 1];
    done = done && (!keep || bp_backward_keep(ctx, loss) == BP_OK) &&
           bp_backward(ctx, loss) == BP_OK;
    if (bp_scope_end(ctx) != BP_OK || !done)
        fail(c, "backward: %s", bp_error_text(ctx));
    return !c->failed;
}

/* The store holds `times` the gradients that bp_grad found. */
static void stored(check *c, const char *what, double times)
{
    const graph *g = c->r.g;
    for (int i = 0; i < g->n && !c->failed; i++)
        if (g->value[i].kind == FROZEN && graph_stored(&c->r, i))
            fail(c, "%s: value %d is frozen and has a gradient", what, i);
    for (int k = 0; k < c->n_leaves && !c->failed; k++) {
        bp_tensor *t = graph_stored(&c->r, c->want[k]);
        values got = {0}, want = {c->d[k].n, calloc((size_t)c->d[k].n + 1, sizeof(double))};
        if (g->value[c->want[k]].kind == PARAM) {
            if (t && !tensor_values(t, &got))
                fail(c, "%s: %s", what, bp_error_text(c->r.ctx));
            for (int64_t e = 0; e < want.n && want.v; e++)
                want.v[e] = times * c->d[k].v[e];
            compare(c, what, c->want[k], t ? &got : &want, &want, times * ROUNDINGS);
            for (int64_t e = 0; e < want.n && !t; e++)
                if (want.v[e] != 0)
                    fail(c, "%s: value %d has no gradient", what, c->want[k]);
        }
        values_free(&got, 1);
        values_free(&want, 1);
    }
}

static void clear(check *c)
{
    for (int k = 0; k < STORES; k++)
        if (bp_grad_clear(c->r.store[k]) != BP_OK)
            fail(c, "grad_clear");
}

/* Scales what is data, as another batch would. */
static void another_batch(check *c, double factor)
{
    const graph *g = c->r.g;
    for (int i = 0; i < g->n; i++) {
        values v = {g->value[i].v.n, malloc(((size_t)g->value[i].v.n + 1) * sizeof(double))};
        for (int64_t e = 0; e < v.n; e++)
            v.v[e] = g->value[i].v.v[e] * factor;
        if (g->value[i].kind == DATA && !tensor_fill(c->r.leaf[i], &v))
            fail(c, "data: %s", bp_error_text(c->r.ctx));
        values_free(&v, 1);
    }
}

static void micro_batches(check *c)
{
    values sum[MAX_VALUES] = {{0}}, got = {0};
    for (int batch = 0; batch < 6 && !c->failed; batch++) { /* one by one, then together */
        if (batch < 4)
            clear(c);
        another_batch(c, 1 + 0.01 * (batch % 3));
        walk(c, 0);
        for (int k = 0; k < c->n_leaves && batch < 3 && !c->failed; k++) {
            bp_tensor *t = graph_stored(&c->r, c->want[k]);
            if (!t || !tensor_values(t, &got))
                continue;
            if (!sum[k].v)
                sum[k] = (values){got.n, calloc((size_t)got.n + 1, sizeof(double))};
            for (int64_t e = 0; e < got.n; e++)
                sum[k].v[e] += got.v[e];
            values_free(&got, 1);
        }
    }
    for (int k = 0; k < c->n_leaves && !c->failed; k++) {
        bp_tensor *t = graph_stored(&c->r, c->want[k]);
        if (t && tensor_values(t, &got))
            compare(c, "micro-batches", c->want[k], &got, &sum[k], 10 * ROUNDINGS);
        else if (t || sum[k].v)
            fail(c, "micro-batches: value %d", c->want[k]);
        values_free(&got, 1);
    }
    values_free(sum, MAX_VALUES);
    another_batch(c, 1);
}

/* --- differences ----------------------------------------------------------------------------- */

/* The loss, or the weighted sum of its gradients. */
static double function(check *c, bool of_gradients)
{
    values d[MAX_VALUES] = {{0}}, loss = {0};
    double f = 0;
    if (of_gradients) {
        gradients(c, "differences", c->n_leaves, 0, d);
        for (int k = 0; k < c->n_leaves; k++)
            for (int64_t e = 0; e < d[k].n; e++)
                f += d[k].v[e] * graph_weight(k, e);
    } else {
        bool done = bp_scope_begin(c->r.ctx, BP_NO_GRAD) == BP_OK && graph_draw_to(c->r.ctx, 0) &&
                    graph_build(&c->r) && tensor_values(c->r.t[c->r.g->n - 1], &loss);
        if (bp_scope_end(c->r.ctx) != BP_OK || !done)
            fail(c, "forward: %s", bp_error_text(c->r.ctx));
        f = done ? loss.v[0] : NAN;
    }
    values_free(d, MAX_VALUES);
    values_free(&loss, 1);
    return f;
}

static double slope(check *c, int i, int64_t e, double h, bool of_gradients)
{
    static const double step[] = {1, -1, 2, -2}, factor[] = {8, -8, -1, 1};
    values *v = (values *)&c->r.g->value[i].v;
    double x = v->v[e], sum = 0;
    for (int k = 0; k < 4 && !c->failed; k++) {
        v->v[e] = x + step[k] * h;
        if (!tensor_fill(c->r.leaf[i], v))
            fail(c, "differences: %s", bp_error_text(c->r.ctx));
        sum += factor[k] * function(c, of_gradients);
    }
    v->v[e] = x;
    if (!tensor_fill(c->r.leaf[i], v))
        fail(c, "differences: %s", bp_error_text(c->r.ctx));
    return sum / (12 * h);
}

/* d[k]: by leaf k. At most `samples` elements of all. */
static void differences(check *c, const char *what, const values *d, bool of_gradients, int samples)
{
    int64_t total = 0;
    for (int k = 0; k < c->n_leaves; k++)
        total += d[k].n;
    for (int k = 0; k < c->n_leaves; k++)
        for (int64_t e = 0; e < d[k].n && !c->failed; e++) {
            if (op_random(c->r.g->seed + 2 + of_gradients, k * 100 + e) * (double)total > samples)
                continue;
            double h = 1e-3 * fmax(fabs(c->r.g->value[c->want[k]].v.v[e]), 0.25);
            double a = slope(c, c->want[k], e, h, of_gradients), got = d[k].v[e];
            double near = 1e-7 * c->scale;
            graph_compared++;
            if (fabs(a - got) <= near)
                continue;
            double b = slope(c, c->want[k], e, h / 2, of_gradients);
            if (fabs(b - got) > near && fabs(b - a) <= 20 * near)
                fail(c, "%s: value %d, element %lld: %.12g, differences say %.12g", what,
                     c->want[k], (long long)e, got, b);
            graph_skipped += fabs(b - got) > near;
        }
}

static void second(check *c, int samples)
{
    values h[MAX_VALUES] = {{0}};
    double first = c->scale;
    if (c->failed)
        return;
    if (!graph_second(&c->r, c->want, c->n_leaves, h))
        fail(c, "second: %s", bp_error_text(c->r.ctx));
    for (int k = 0; k < c->n_leaves && !c->failed; k++)
        for (int64_t e = 0; e < h[k].n; e++) {
            h[k].v[e] -= c->r.g->value[c->want[k]].v.v[e]; /* that graph_second adds */
            c->scale = fmax(c->scale, fabs(h[k].v[e]));
        }
    differences(c, "second derivatives", h, true, samples);
    c->scale = first;
    values_free(h, MAX_VALUES);
}

/* --- f32, and all of it ---------------------------------------------------------------------- */

/* The gradients in f32: some dozens of operations between a value and the loss, each of which
 * rounds a number no larger than the largest. */
static void single(check *c)
{
    check s = {.n_leaves = c->n_leaves, .n = c->n, .scale = c->scale};
    values d[MAX_VALUES] = {{0}};
    memcpy(s.want, c->want, sizeof s.want);
    if (c->failed)
        return;
    if (!graph_open(&s.r, c->r.ctx, c->r.g, BP_F32))
        fail(&s, "f32: %s", bp_error_text(c->r.ctx));
    else
        gradients(&s, "f32", s.n, 0, d);
    for (int k = 0; k < c->n && !s.failed; k++)
        graph_worst_f32 = fmax(graph_worst_f32,
                               compare(&s, "f32", c->want[k], &d[k], &c->d[k], 50 * 6e-8));
    c->failed |= s.failed;
    values_free(d, MAX_VALUES);
    graph_close(&s.r);
}

static double largest(const values *v, double so_far)
{
    for (int64_t e = 0; e < v->n; e++)
        so_far = fmax(so_far, fabs(v->v[e]));
    return so_far;
}

bool graph_check(bp_context *ctx, const graph *g, int samples)
{
    check c = {.scale = 1};
    if (!graph_open(&c.r, ctx, g, BP_F64)) {
        fail(&c, "%s", bp_error_text(ctx));
        return false;
    }
    c.n = graph_wanted(g, c.want, &c.n_leaves);
    gradients(&c, "grad", c.n, 0, c.d);
    for (int k = 0; k < c.n; k++)
        c.scale = largest(&c.d[k], c.scale);
    for (int i = 0; i < g->n; i++)
        c.scale = largest(&g->value[i].v, c.scale);
    again(&c, "in primitives", true, 0);
    again(&c, "create_graph", false, BP_CREATE_GRAPH);
    again(&c, "keep_graph", false, BP_KEEP_GRAPH);
    if (!c.failed && walk(&c, 0))
        stored(&c, "backward", 1);
    if (!c.failed && walk(&c, 1))
        stored(&c, "three walks", 3);
    differences(&c, "differences", c.d, false, samples);
    second(&c, samples);
    micro_batches(&c);
    single(&c);
    graph_close(&c.r);
    values_free(c.d, MAX_VALUES);
    return !c.failed && graph_replays(ctx, g) && graph_survives(g);
}
