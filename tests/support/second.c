/* Second derivatives. With g = d(y * dy)/dx made under BP_CREATE_GRAPH and s = sum of g * weights:
 * the gradient of s by x and by dy against four-point differences of s, whose g comes from the fast
 * rules. So a fused rule and its composition are also held to each other. */
#include <math.h>
#include <string.h>

#include "readers.h"

enum { INPUTS = BP_MAX_IO + 1, SAMPLES = 8 }; /* the op's, and dy */

typedef struct job {
    const op_case *c;
    bp_tensor *t[INPUTS]; /* the last: dy */
    bool second;          /* compute the gradient of s too */
    values g[BP_MAX_IO], h[INPUTS];
} job;

static bool wanted(const op_case *c, int k)
{
    return k == BP_MAX_IO || case_differentiable(c, k);
}

/* sum over inputs of sum(g[i] * weights), differentiable. */
static bp_tensor *weighted(bp_tensor **g, bp_tensor **w, int n)
{
    bp_tensor *s = NULL;
    for (int i = 0; i < n; i++) {
        w[i] = case_weights(g[i], (uint64_t)i + 1);
        bp_tensor *part = bp_sum(bp_mul(g[i], w[i]));
        s = i ? bp_add(s, part) : part;
    }
    return s;
}

static bp_status step(bp_context *ctx, void *user)
{
    job *j = user;
    const op_case *c = j->c;
    bp_tensor *x[INPUTS], *seen[BP_MAX_IO], *out[BP_MAX_IO], *leaf[INPUTS], *g[INPUTS], *h[INPUTS];
    bp_tensor *w[BP_MAX_IO] = {NULL}, *one = NULL;
    int n = 0;
    for (int k = 0; k < c->n_in; k++) {
        leaf[k] = wanted(c, k) ? bp_require_grad(j->t[k]) : j->t[k];
        seen[k] = op_seen(c, k, leaf[k]);
        if (wanted(c, k))
            x[n++] = leaf[k];
    }
    if (!op_builder(c->builder)(c, BP_F64, seen, out))
        return BP_ERR_STATE;
    if (!j->t[BP_MAX_IO])
        j->t[BP_MAX_IO] = case_weights(out[0], 0);
    x[n] = bp_require_grad(j->t[BP_MAX_IO]);
    bp_status st = bp_grad(ctx, out[0], x[n], x, n, j->second ? BP_CREATE_GRAPH : 0, g);
    for (int k = 0, i = 0; k < c->n_in && st == BP_OK; k++)
        if (wanted(c, k) && !tensor_values(g[i++], &j->g[k]))
            st = BP_ERR_STATE;
    if (st == BP_OK && j->second) {
        bp_tensor *s = weighted(g, w, n);
        one = s ? case_weights(s, 99) : NULL;
        double unit = 1;
        st = one ? bp_write(one, &unit, sizeof unit) : BP_ERR_STATE;
        if (st == BP_OK)
            st = bp_grad(ctx, s, one, x, n + 1, 0, h);
        for (int k = 0, i = 0; k < INPUTS && st == BP_OK; k++)
            if (k == BP_MAX_IO || (k < c->n_in && wanted(c, k)))
                st = tensor_values(h[i++], &j->h[k]) ? BP_OK : BP_ERR_STATE;
        for (int i = 0; i < n; i++)
            bp_free(w[i]);
        bp_free(one);
    }
    return st;
}

static bool run(bp_context *ctx, job *j)
{
    values_free(j->g, BP_MAX_IO);
    return bp_seed(ctx, 7) == BP_OK && bp_run(ctx, 0, step, j) == BP_OK;
}

/* s(x + d) - s(x - d), by elements. */
static double difference(bp_context *ctx, job *j, int k, values *in, int64_t i, double d)
{
    values kept[BP_MAX_IO] = {{0}};
    double x = in->v[i], sum = 0;
    in->v[i] = x + d;
    bool done = tensor_fill(j->t[k], in) && run(ctx, j);
    memcpy(kept, j->g, sizeof kept);
    memset(j->g, 0, sizeof j->g);
    in->v[i] = x - d;
    done = done && tensor_fill(j->t[k], in) && run(ctx, j);
    in->v[i] = x;
    done = done && tensor_fill(j->t[k], in);
    for (int m = 0, w = 0; m < j->c->n_in && done; m++)
        if (wanted(j->c, m)) {
            w++;
            for (int64_t e = 0; e < kept[m].n; e++)
                sum += (kept[m].v[e] - j->g[m].v[e]) * case_weight((uint64_t)w, e);
        }
    values_free(kept, BP_MAX_IO);
    return done ? sum : NAN;
}

static void compare(bp_context *ctx, job *j, values *in)
{
    j->second = false;
    for (int k = 0; k < INPUTS; k++) {
        if (k < BP_MAX_IO && (k >= j->c->n_in || !wanted(j->c, k)))
            continue;
        int64_t n = in[k].n, samples = n < SAMPLES ? n : SAMPLES, kinks = 0;
        for (int64_t s = 0; s < samples; s++) {
            int64_t i = n <= SAMPLES ? s : (int64_t)(op_random((uint64_t)k + 5, s) * (double)n);
            double h = 1e-3 * fmax(fabs(in[k].v[i]), 0.02), got = j->h[k].v[i], want[2];
            for (int half = 0; half < 2; half++, h /= 2)
                want[half] = (8 * difference(ctx, j, k, &in[k], i, h) -
                              difference(ctx, j, k, &in[k], i, 2 * h)) / (12 * h);
            reader_checks++;
            if (fabs(got - want[1]) <= 1e-6 * fabs(want[1]) + 1e-8)
                continue;
            if (fabs(want[1] - want[0]) > 1e-3 * fabs(want[0]))
                kinks++;
            else
                check_failed_case("second", j->c, "by %s %d, value %lld: %.12g, differences say "
                                  "%.12g", k < BP_MAX_IO ? "input" : "dy", k, (long long)i, got,
                                  want[1]);
        }
        if (kinks > samples / 4)
            check_failed_case("second", j->c, "%lld kinks in %lld samples of input %d",
                              (long long)kinks, (long long)samples, k);
    }
}

void read_second(void)
{
    bp_context *ctx;
    if (bp_open(test_device(), &ctx) != BP_OK)
        check_failed_case("second", &op_cases[0], "%s", bp_error_text(ctx));
    for (int i = 0; i < op_cases_n; i++) {
        const op_case *c = &op_cases[i];
        job j = {.c = c, .second = true};
        values in[INPUTS] = {{0}};
        bool any = false;
        for (int k = 0; k < c->n_in; k++)
            any |= case_differentiable(c, k);
        if (!any || c->flags & (CASE_BIG | CASE_KINK) || !strcmp(c->builder, "cast_other"))
            continue;
        case_inputs(c, false, in);
        if (case_tensors(ctx, c, BP_F64, in, j.t) && run(ctx, &j) &&
            tensor_values(j.t[BP_MAX_IO], &in[BP_MAX_IO]))
            compare(ctx, &j, in);
        else
            check_failed_case("second", c, "%s", bp_error_text(ctx));
        for (int k = 0; k < INPUTS; k++)
            bp_free(j.t[k]);
        values_free(j.g, BP_MAX_IO);
        values_free(j.h, INPUTS);
        values_free(in, INPUTS);
    }
    bp_close(ctx);
}
