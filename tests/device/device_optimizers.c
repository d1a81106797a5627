/* Every kind of optimiser on the device, with all that a step can do: clipping by value and by
 * norm, L2, decay from a step on, a group, a gap; held against the CPU, and replayed. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "device.h"
#include "op_cases.h"

enum { PARAMS = 4, STEPS = 12, MOST = 70001 };
static const bp_shape shape[PARAMS] = {{2, {300, 33}}, {1, {5}}, {1, {MOST}}, {3, {3, 5, 7}}};

typedef struct problem {
    bp_params *params;
    bp_tensor *w[PARAMS], *g[PARAMS];
    bp_optimizer *opt;
} problem;

/* The gradient of each w is its g. */
static bp_status step(bp_context *c, void *user)
{
    problem *p = user;
    bp_tensor *loss = NULL;
    for (int i = 0; i < PARAMS; i++) {
        bp_tensor *part = bp_sum(bp_mul(p->w[i], p->g[i]));
        loss = loss ? bp_add(loss, part) : part;
    }
    bp_status st = bp_backward(c, loss);
    return st == BP_OK ? bp_optimizer_step(p->opt) : st;
}

static bool fill(bp_tensor *t, bp_dtype dtype, uint64_t seed)
{
    int64_t n = bp_shape_count(bp_shape_of(t));
    double *d = malloc((size_t)n * sizeof *d);
    for (int64_t i = 0; d && i < n; i++) {
        d[i] = 2 * op_random(seed, i) - 1;
        if (dtype == BP_F32)
            ((float *)d)[i] = (float)d[i];
    }
    bp_status st = d ? bp_write(t, d, (size_t)n * bp_dtype_bytes(dtype)) : BP_ERR_NOMEM;
    free(d);
    return st == BP_OK;
}

static bool open_problem(problem *p, bp_context *c, bp_dtype dtype, bp_optimizer_kind kind)
{
    static const char *const names[PARAMS] = {"a.weight", "a.bias", "b.bias", "b.weight"};
    static const bp_group group = {.rate = 0.5, .l2 = 0.125};
    bool good = bp_params_create(c, dtype, &p->params) == BP_OK;
    for (int i = 0; i < PARAMS && good; i++)
        good = (p->w[i] = bp_param(p->params, names[i], shape[i], BP_INIT_ZERO)) &&
               (p->g[i] = bp_tensor_create(c, dtype, shape[i])) &&
               fill(p->g[i], dtype, (uint64_t)i);
    good = good && bp_optimizer_create(p->params, kind, 0.01, &p->opt) == BP_OK;
    for (int i = 0; i < PARAMS && good; i++)
        good = fill(p->w[i], dtype, 10 + (uint64_t)i);
    return good && bp_optimizer_set(p->opt, BP_OPT_CLIP_VALUE, 0.75) == BP_OK &&
           bp_optimizer_set(p->opt, BP_OPT_CLIP_NORM, 50) == BP_OK &&
           bp_optimizer_set(p->opt, BP_OPT_L2, 0.01) == BP_OK &&
           bp_optimizer_set(p->opt, BP_OPT_WEIGHT_DECAY, 0.1) == BP_OK &&
           bp_optimizer_set(p->opt, BP_OPT_DECAY_FROM, 3) == BP_OK &&
           bp_optimizer_group(p->opt, "b.w*", &group) == BP_OK &&
           bp_param_freeze(p->params, 1, 1) == BP_OK;
}

static void close_problem(problem *p)
{
    bp_optimizer_free(p->opt);
    bp_params_free(p->params);
    for (int i = 0; i < PARAMS; i++)
        bp_free(p->g[i]);
}

/* The weights after all steps, and the norm; false where something failed. */
static bool run(bp_context *c, bp_dtype dtype, bp_optimizer_kind kind, bool replays,
                double w[PARAMS][MOST], double *norm)
{
    problem p = {0};
    bp_plan *plan = NULL;
    bool good = open_problem(&p, c, dtype, kind);
    if (replays && good)
        good = bp_plan_record(c, step, &p, &plan) == BP_OK &&
               bp_plan_replay(plan, STEPS - 1) == BP_OK;
    for (int i = 0; i < STEPS && !replays && good; i++)
        good = bp_run(c, 0, step, &p) == BP_OK;
    for (int i = 0; i < PARAMS && good; i++)
        good = bp_read_f64(p.w[i], w[i], bp_shape_count(shape[i])) == BP_OK;
    good = good && bp_read(bp_optimizer_norm(p.opt), norm, sizeof *norm) == BP_OK;
    if (!good)
        printf("%s: %s\n", bp_optimizer_name(kind), bp_error_text(c));
    bp_plan_free(plan);
    close_problem(&p);
    return good;
}

static double worst_of(double a[PARAMS][MOST], double b[PARAMS][MOST])
{
    double worst = 0;
    for (int i = 0; i < PARAMS; i++)
        for (int64_t k = 0; k < bp_shape_count(shape[i]); k++)
            worst = fmax(worst, fabs(a[i][k] - b[i][k]));
    return worst;
}

/* A step rounds some 20 times, of numbers below 4; a GPU contracts some of them. */
void optimizers(void)
{
    static double device[PARAMS][MOST], replayed[PARAMS][MOST], cpu[PARAMS][MOST];
    bp_context *host;
    if (bp_open("cpu", &host) != BP_OK) {
        check(0, "the CPU opens");
        return;
    }
    for (int f64 = 0; f64 < 2; f64++)
        for (bp_optimizer_kind kind = BP_SGD; kind <= BP_LION; kind++) {
            bp_dtype dtype = f64 ? BP_F64 : BP_F32;
            double norm[3], most = STEPS * 20 * 4 * (f64 ? 0x1p-53 : 0x1p-24);
            bool good = run(ctx, dtype, kind, false, device, &norm[0]) &&
                        run(ctx, dtype, kind, true, replayed, &norm[1]) &&
                        run(host, dtype, kind, false, cpu, &norm[2]);
            double worst = worst_of(device, cpu);
            if (!(good && worst <= most && fabs(norm[0] - norm[2]) <= 1e-12 * norm[2]))
                printf("%s: off by %g of %g, norms %.17g and %.17g\n", bp_optimizer_name(kind),
                       worst, most, norm[0], norm[2]);
            check(good && worst <= most && fabs(norm[0] - norm[2]) <= 1e-12 * norm[2],
                  f64 ? "an optimiser in f64 is the CPU's" : "an optimiser in f32 is the CPU's");
            check(good && norm[0] == norm[1] && memcmp(device, replayed, sizeof device) == 0,
                  "and the same bits where it is replayed");
        }
    bp_close(host);
}
