/* Gradients against signed central differences in f64, four points, h = x / 1000:
 *
 *     f' = (8 (f(x + h) - f(x - h)) - (f(x + 2h) - f(x - 2h))) / 12h, f = sum of y * weights
 *
 * Where h and h / 2 disagree there is a kink between them; such values are left out, and must be
 * few. bp_backward into a store is then held to bp_grad, once and accumulated. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "readers.h"

typedef struct job {
    const op_case *c;
    bp_tensor *t[BP_MAX_IO];
    values *y; /* where the step puts output 0 */
} job;

static bp_status forward(bp_context *ctx, void *user)
{
    (void)ctx;
    job *j = user;
    bp_tensor *seen[BP_MAX_IO] = {NULL}, *out[BP_MAX_IO];
    for (int i = 0; i < j->c->n_in; i++)
        seen[i] = op_seen(j->c, i, j->t[i]);
    bool done = op_builder(j->c->builder)(j->c, BP_F64, seen, out) && tensor_values(out[0], j->y);
    return done ? BP_OK : BP_ERR_STATE;
}

/* f(with value i of input k + d) - f(with it - d): by elements, so that what does not change
 * cancels exactly. */
static double difference(bp_context *ctx, job *j, int k, values *in, int64_t i, double d)
{
    values y[2] = {{0}};
    double x = in->v[i], sum = 0;
    bool done = true;
    for (int s = 0; s < 2; s++) {
        in->v[i] = x + (s ? -d : d);
        j->y = &y[s];
        done = done && tensor_fill(j->t[k], in) && bp_run(ctx, BP_NO_GRAD, forward, j) == BP_OK;
    }
    in->v[i] = x;
    done = done && tensor_fill(j->t[k], in);
    for (int64_t e = 0; e < y[0].n && done; e++)
        sum += (y[0].v[e] - y[1].v[e]) * case_weight(0, e);
    values_free(y, 2);
    return done ? sum : NAN;
}

static double slope(bp_context *ctx, job *j, int k, values *in, int64_t i, double h)
{
    return (8 * difference(ctx, j, k, in, i, h) - difference(ctx, j, k, in, i, 2 * h)) / (12 * h);
}

static bool near(double a, double b)
{
    return fabs(a - b) <= 1e-7 * fmax(fabs(a), fabs(b)) + 1e-9;
}

static void differences(bp_context *ctx, const op_case *c, values *in, const results *r)
{
    job j = {.c = c};
    if (bp_seed(ctx, 7) != BP_OK || !case_tensors(ctx, c, BP_F64, in, j.t))
        check_failed_case("gradients", c, "%s", bp_error_text(ctx));
    for (int k = 0; k < c->n_in; k++) {
        int64_t n = in[k].n, samples = c->flags & CASE_BIG ? 3 : n <= 40 ? n : 12, kinks = 0;
        if (!case_differentiable(c, k) || r->grad[k].n != n)
            continue;
        for (int64_t s = 0; s < samples; s++) {
            int64_t i = samples == n ? s : (int64_t)(op_random((uint64_t)k, s) * (double)n);
            double h = 1e-3 * fmax(fabs(in[k].v[i]), 0.02), got = r->grad[k].v[i];
            double want = slope(ctx, &j, k, &in[k], i, h);
            reader_checks++;
            if (near(got, want))
                continue;
            double half = slope(ctx, &j, k, &in[k], i, h / 2);
            if (near(got, half) || fabs(half - want) > 1e-4 * fabs(want))
                kinks++;
            else
                check_failed_case("gradients", c, "input %d, value %lld: %.12g, differences say "
                                  "%.12g", k, (long long)i, got, want);
        }
        if (kinks > samples / 5 + 1)
            check_failed_case("gradients", c, "input %d: %lld kinks in %lld samples", k,
                              (long long)kinks, (long long)samples);
    }
    for (int k = 0; k < c->n_in; k++)
        bp_free(j.t[k]);
}

/* --- into a store ---------------------------------------------------------------------------- */

typedef struct store_job {
    const op_case *c;
    bp_tensor *t[BP_MAX_IO];
} store_job;

static bp_status train(bp_context *ctx, void *user)
{
    store_job *j = user;
    bp_tensor *seen[BP_MAX_IO] = {NULL}, *out[BP_MAX_IO];
    for (int i = 0; i < j->c->n_in; i++)
        seen[i] = op_seen(j->c, i, j->t[i]);
    if (!op_builder(j->c->builder)(j->c, BP_F64, seen, out))
        return BP_ERR_STATE;
    bp_tensor *w = case_weights(out[0], 0);
    bp_status st = bp_backward(ctx, bp_sum(bp_mul(w, out[0])));
    bp_free(w);
    return st;
}

static void compare_store(bp_context *ctx, const op_case *c, bp_params *p, const results *r,
                          int times)
{
    const op_tolerance tol = {64, 1024, "the same kernels, perhaps in another order"};
    int32_t at = 0;
    for (int k = 0; k < c->n_in; k++) {
        values got = {0}, want = r->grad[k];
        if (!case_differentiable(c, k))
            continue;
        bp_tensor *g = bp_param_grad(p, at++);
        if (!g || !tensor_values(g, &got)) {
            check_failed_case("gradients", c, "no gradient in the store: %s", bp_error_text(ctx));
        } else {
            for (int64_t i = 0; i < got.n; i++)
                got.v[i] /= times;
            check_values("gradients", c, times > 1 ? "accumulated in the store" : "in the store",
                         &got, &want, BP_F64, tol);
        }
        values_free(&got, 1);
    }
}

static void into_store(bp_context *ctx, const op_case *c, const values *in, const results *r)
{
    static const char *const name[] = {"a", "b", "c", "d"};
    store_job j = {.c = c};
    bp_params *p = NULL;
    bool done = case_tensors(ctx, c, BP_F64, in, j.t) && !bp_params_create(ctx, BP_F64, &p);
    bp_tensor *plain[BP_MAX_IO];
    memcpy(plain, j.t, sizeof plain);
    for (int k = 0; k < c->n_in && done; k++)
        if (case_differentiable(c, k))
            done = (j.t[k] = bp_param(p, name[k], c->in[k].shape, BP_INIT_ZERO)) != NULL;
    for (int k = 0; k < c->n_in && done; k++)
        if (case_differentiable(c, k))
            done = tensor_fill(j.t[k], &in[k]);
    for (int times = 1; times <= 2 && done; times++) {
        done = bp_seed(ctx, 7) == BP_OK && bp_run(ctx, 0, train, &j) == BP_OK;
        if (done)
            compare_store(ctx, c, p, r, times);
    }
    if (!done)
        check_failed_case("gradients", c, "into a store: %s", bp_error_text(ctx));
    bp_params_free(p);
    for (int k = 0; k < c->n_in; k++)
        bp_free(plain[k]);
}

void read_gradients(void)
{
    bp_context *ctx;
    if (bp_open(test_device(), &ctx) != BP_OK)
        check_failed_case("gradients", &op_cases[0], "%s", bp_error_text(ctx));
    for (int i = 0; i < op_cases_n; i++) {
        const op_case *c = &op_cases[i];
        values in[BP_MAX_IO] = {{0}};
        results r;
        bool any = false, empty = false;
        for (int k = 0; k < c->n_in; k++) {
            any |= case_differentiable(c, k);
            empty |= bp_shape_count(c->in[k].shape) == 0;
        }
        if (!any || !strcmp(c->builder, "cast_other")) /* casting to f32 is a staircase */
            continue;
        case_inputs(c, false, in);
        if (case_run(ctx, c, BP_F64, in, RUN_GRADIENTS, &r)) {
            if (!(c->flags & CASE_KINK))
                differences(ctx, c, in, &r);
            if (!empty) /* a parameter is never empty */
                into_store(ctx, c, in, &r);
        } else {
            check_failed_case("gradients", c, "%s", bp_error_text(ctx));
        }
        results_free(&r);
        values_free(in, BP_MAX_IO);
    }
    bp_close(ctx);
}
