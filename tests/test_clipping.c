/* Clipping by value and by norm, and groups of parameters: what a step takes of a gradient and of a
 * parameter, in how many launches. Trajectories with them: test_trajectories.c. */
#include <float.h>

#include "suite.h"

#define CLAIM(name) Test(clipping, name, .init = setup, .fini = teardown)

enum { MOST = 24 };

/* loss = sum of w g: the gradient of each w is its g. */
typedef struct problem {
    bp_params *params;
    bp_tensor *w[MOST], *g[MOST];
    bp_optimizer *opt;
    int n;
} problem;

static bp_status backward(bp_context *c, void *user)
{
    problem *p = user;
    bp_tensor *loss = NULL;
    for (int i = 0; i < p->n; i++) {
        bp_tensor *part = bp_sum(bp_mul(p->w[i], p->g[i]));
        loss = loss ? bp_add(loss, part) : part;
    }
    return bp_backward(c, loss);
}

static bp_status step(bp_context *c, void *user)
{
    bp_status st = backward(c, user);
    return st == BP_OK ? bp_optimizer_step(((problem *)user)->opt) : st;
}

/* n parameters "p0", "p1", ... of this shape, 0 at the start, with random gradients. */
static problem open_problem(bp_dtype dtype, int n, bp_shape shape, bp_optimizer_kind kind,
                            double lr)
{
    problem p = {.n = n};
    OK(bp_params_create(ctx, dtype, &p.params));
    for (int i = 0; i < n; i++) {
        char name[16];
        snprintf(name, sizeof name, "p%d", i);
        cr_assert(p.w[i] = bp_param(p.params, name, shape, BP_INIT_ZERO));
        p.g[i] = tensor_in(ctx, dtype, shape, NULL, (uint64_t)i + 1);
    }
    OK(bp_optimizer_create(p.params, kind, lr, &p.opt));
    return p;
}

static void close_problem(problem *p)
{
    for (int i = 0; i < p->n; i++)
        bp_free(p->g[i]);
    bp_optimizer_free(p->opt);
    bp_params_free(p->params);
}

static void fill(bp_tensor *t, double first, double rest)
{
    values v = {bp_shape_count(bp_shape_of(t)), NULL};
    v.v = malloc((size_t)v.n * sizeof *v.v);
    for (int64_t i = 0; i < v.n; i++)
        v.v[i] = i ? rest : first;
    cr_assert(tensor_fill(t, &v));
    values_free(&v, 1);
}

static void steps(problem *p, int n)
{
    while (n-- > 0)
        OK(bp_run(ctx, 0, step, p));
}

static double norm_of(problem *p)
{
    return at(bp_optimizer_norm(p->opt), 0);
}

/* --- clipping ---------------------------------------------------------------------------- */

CLAIM(by_value_then_by_norm_then_decay)
{
    problem p = open_problem(BP_F64, 1, BP_SHAPE(1, 3), BP_SGD, 1);
    OK(bp_write(p.w[0], (double[]){10, 0, -10}, 24));
    OK(bp_write(p.g[0], (double[]){100, -3, 4}, 24));
    OK(bp_optimizer_set(p.opt, BP_OPT_CLIP_VALUE, 4));
    OK(bp_optimizer_set(p.opt, BP_OPT_CLIP_NORM, 0.5));
    OK(bp_optimizer_set(p.opt, BP_OPT_L2, 0.25));
    OK(bp_optimizer_set(p.opt, BP_OPT_L1, 1));
    steps(&p, 1);
    double norm = sqrt(16 + 9 + 16), f = 0.5 / norm;
    cr_assert_float_eq(norm_of(&p), norm, 1e-15);
    cr_assert_float_eq(at(p.w[0], 0), 10 - 4 * f - 2.5 - 1, 1e-15);
    cr_assert_float_eq(at(p.w[0], 1), 3 * f, 1e-15);
    cr_assert_float_eq(at(p.w[0], 2), -10 - 4 * f + 2.5 + 1, 1e-15);
    close_problem(&p);
}

CLAIM(a_norm_below_the_limit_and_one_of_0_change_nothing)
{
    problem p = open_problem(BP_F32, 2, BP_SHAPE(3), BP_SGD, 1);
    fill(p.g[0], 3, 0);
    fill(p.g[1], 4, 0);
    steps(&p, 1);
    cr_assert_eq(norm_of(&p), 0, "nobody asked for it");
    OK(bp_optimizer_set(p.opt, BP_OPT_CLIP_NORM, INFINITY));
    steps(&p, 1);
    cr_assert(norm_of(&p) == 5 && at(p.w[0], 0) == -6 && at(p.w[1], 0) == -8);
    OK(bp_optimizer_set(p.opt, BP_OPT_CLIP_NORM, 5));
    steps(&p, 1);
    cr_assert(norm_of(&p) == 5 && at(p.w[0], 0) == -9 && at(p.w[1], 0) == -12);
    OK(bp_optimizer_set(p.opt, BP_OPT_CLIP_NORM, 2.5));
    steps(&p, 1);
    cr_assert(norm_of(&p) == 5 && at(p.w[0], 0) == -10.5 && at(p.w[1], 0) == -14);
    fill(p.g[0], 0, 0);
    fill(p.g[1], 0, 0);
    steps(&p, 1);
    cr_assert(norm_of(&p) == 0 && at(p.w[0], 0) == -10.5);
    OK(bp_sync(ctx));
    close_problem(&p);
}

/* Gradients whose squares, and whose sum, are beyond what their dtype and f64 hold. */
CLAIM(a_norm_does_not_overflow)
{
    static const double large[] = {3e38, 1.5e308};
    for (int f64 = 0; f64 < 2; f64++)
        for (bp_optimizer_kind kind = BP_SGD; kind <= BP_DIAGONAL_LM; kind++) {
            problem p = open_problem(f64 ? BP_F64 : BP_F32, 1, BP_SHAPE(100), kind, 1);
            fill(p.g[0], large[f64], large[f64]);
            OK(bp_optimizer_set(p.opt, BP_OPT_CLIP_NORM, 1));
            steps(&p, 1);
            OK(bp_sync(ctx));
            cr_assert(f64 ? isinf(norm_of(&p)) : fabs(norm_of(&p) / 3e39 - 1) < 1e-6);
            /* each gradient is 0.1 */
            double w = kind == BP_SGD ? 0.1 : kind == BP_NESTEROV ? 0.19
                       : kind == BP_RMSPROP ? 10 : 1;
            cr_assert_float_eq(at(p.w[0], 7), -w, 1e-5 * w, "kind %d, f64 %d: %g", (int)kind, f64,
                               at(p.w[0], 7));
            close_problem(&p);
        }
}

CLAIM(what_is_clipped_is_not_too_large_but_nan_and_infinity_are_refused)
{
    for (int by_norm = 0; by_norm < 2; by_norm++) {
        problem p = open_problem(BP_F32, 2, BP_SHAPE(40), BP_ADAM, 0.5);
        fill(p.g[0], 1e30, 1);
        steps(&p, 1);
        cr_assert_eq(bp_sync(ctx), BP_ERR_NONFINITE);
        OK(bp_optimizer_set(p.opt, by_norm ? BP_OPT_CLIP_NORM : BP_OPT_CLIP_VALUE, 1e25));
        steps(&p, 1);
        cr_assert_eq(bp_sync(ctx), BP_ERR_NONFINITE, "1e25 would be too large still");
        OK(bp_optimizer_set(p.opt, by_norm ? BP_OPT_CLIP_NORM : BP_OPT_CLIP_VALUE, 1));
        steps(&p, 1);
        OK(bp_sync(ctx));
        cr_assert_float_eq(at(p.w[0], 0), -0.5, 1e-6);
        double norm = norm_of(&p);
        static const double bad[] = {NAN, INFINITY, -INFINITY};
        for (int i = 0; i < 3; i++) {
            fill(p.g[1], 1, bad[i]);
            steps(&p, 1);
            cr_assert_eq(bp_sync(ctx), BP_ERR_NONFINITE);
            cr_assert(strstr(bp_error_text(ctx), "the gradient of p1 [1] is"), "%s",
                      bp_error_text(ctx));
        }
        cr_assert_float_eq(at(p.w[0], 0), -0.5, 1e-6);
        cr_assert_eq(norm_of(&p), norm, "of the last step that was taken");
        close_problem(&p);
    }
}

/* More than one block, several launches: the norm is that of a sum in f64, in the same bits with
 * any number of threads, replayed or not. */
CLAIM(the_norm_of_many_has_the_same_bits_whatever_the_threads)
{
    double first[3] = {0}, wanted = 0;
    for (int run = 0; run < 8; run++) {
        OK(bp_set_threads(ctx, run < 4 ? run + 1 : 3));
        problem p = open_problem(BP_F32, 20, BP_SHAPE(30001), BP_ADAMW, 0.01);
        OK(bp_optimizer_set(p.opt, BP_OPT_CLIP_NORM, 0.5));
        for (int i = 0; i < 20; i += 2) /* 10 ranges */
            OK(bp_param_freeze(p.params, i, 1));
        for (int i = 1; i < 20 && run == 0; i += 2) {
            values v;
            cr_assert(tensor_values(p.g[i], &v));
            for (int64_t k = 0; k < v.n; k++)
                wanted += v.v[k] * v.v[k];
            values_free(&v, 1);
        }
        bp_plan *plan = NULL;
        if (run >= 4) {
            OK(bp_plan_record(ctx, step, &p, &plan));
            OK(bp_plan_replay(plan, 2));
        } else {
            steps(&p, 3);
        }
        double now[3] = {norm_of(&p), at(p.w[19], 77), at(p.w[1], 30000)};
        cr_assert_float_eq(now[0], sqrt(wanted), 1e-12 * sqrt(wanted));
        cr_assert_eq(at(p.w[2], 5), 0, "a frozen one stays");
        if (run == 0)
            memcpy(first, now, sizeof now);
        cr_assert(memcmp(first, now, sizeof now) == 0, "run %d", run);
        cr_assert(now[1] != 0 && now[2] != 0);
        bp_plan_free(plan);
        close_problem(&p);
    }
}

CLAIM(a_plan_names_a_clipping_that_is_another_now)
{
    problem p = open_problem(BP_F32, 1, BP_SHAPE(3), BP_LION, 0.1);
    bp_plan *plan;
    OK(bp_optimizer_set(p.opt, BP_OPT_CLIP_NORM, 0.5));
    OK(bp_plan_record(ctx, step, &p, &plan));
    OK(bp_optimizer_set(p.opt, BP_OPT_CLIP_NORM, 2));
    cr_assert_eq(bp_plan_replay(plan, 1), BP_ERR_STATE);
    TEXT("plan_replay: the optimiser's option CLIP_NORM is 2, and was 0.5 when the plan was "
         "recorded");
    OK(bp_optimizer_set(p.opt, BP_OPT_CLIP_NORM, 0.5));
    OK(bp_plan_replay(plan, 1));
    bp_plan_free(plan);
    close_problem(&p);
}

/* --- groups ------------------------------------------------------------------------------ */

static int64_t kernels_of_a_step(problem *p)
{
    bp_stats before, after;
    OK(bp_run(ctx, 0, backward, p));
    bp_get_stats(ctx, &before);
    OK(bp_optimizer_step(p->opt));
    bp_get_stats(ctx, &after);
    return after.kernels - before.kernels;
}

CLAIM(equal_numbers_are_one_launch_wherever_they_lie)
{
    problem p = open_problem(BP_F64, 12, BP_SHAPE(1, 3), BP_SGD, 1);
    static const bp_group half = {.rate = 0.5}, decays = {.rate = 1, .l2 = 0.25};
    static const bp_group same = {.rate = 1};
    cr_assert_eq(kernels_of_a_step(&p), 2);
    OK(bp_optimizer_group(p.opt, "p?", &same)); /* the numbers that they have */
    cr_assert_eq(kernels_of_a_step(&p), 2);
    for (int i = 0; i < 12; i += 3) {
        char name[16];
        snprintf(name, sizeof name, "p%d", i);
        OK(bp_optimizer_group(p.opt, name, &half));
    }
    cr_assert_eq(kernels_of_a_step(&p), 3, "4 pieces of one group");
    OK(bp_optimizer_group(p.opt, "p1*", &decays));
    cr_assert_eq(kernels_of_a_step(&p), 4);
    double g0 = at(p.g[0], 1), g10 = at(p.g[10], 1);
    cr_assert_float_eq(at(p.w[0], 1), -3 * g0, 1e-15);
    cr_assert_float_eq(at(p.w[10], 1), -3 * g10 - g10 + 0.25 * 3 * g10, 1e-15);
    for (int i = 0; i < 12; i += 2)
        OK(bp_param_freeze(p.params, i, 1));
    OK(bp_optimizer_group(p.opt, "*", &same));
    cr_assert_eq(kernels_of_a_step(&p), 2);
    close_problem(&p);
}

CLAIM(more_pieces_than_a_launch_has_room_for_are_all_updated)
{
    problem p = open_problem(BP_F64, MOST, BP_SHAPE(2), BP_SGD, 1);
    static const bp_group half = {.rate = 0.5};
    for (int i = 0; i < MOST; i += 2) {
        char name[16];
        snprintf(name, sizeof name, "p%d", i);
        OK(bp_optimizer_group(p.opt, name, &half));
    }
    OK(bp_optimizer_set(p.opt, BP_OPT_CLIP_NORM, INFINITY));
    cr_assert_eq(kernels_of_a_step(&p), 1 + 2 * 2);
    for (int i = 0; i < MOST; i++)
        cr_assert_eq(at(p.w[i], 1), (i % 2 ? -1 : -0.5) * at(p.g[i], 1), "%d", i);
    close_problem(&p);
}

CLAIM(a_plan_refuses_groups_that_came_later)
{
    problem p = open_problem(BP_F32, 3, BP_SHAPE(3), BP_ADAM, 0.1);
    bp_plan *plan;
    static const bp_group slow = {.rate = 0.01};
    OK(bp_optimizer_group(p.opt, "p1", &slow));
    OK(bp_plan_record(ctx, step, &p, &plan));
    OK(bp_plan_replay(plan, 1));
    cr_assert_float_eq(at(p.w[1], 0), 0.01 * at(p.w[0], 0) * at(p.g[1], 0) * at(p.g[0], 0) /
                                          fabs(at(p.g[1], 0) * at(p.g[0], 0)), 1e-6);
    OK(bp_optimizer_group(p.opt, "p2", &slow));
    cr_assert_eq(bp_plan_replay(plan, 1), BP_ERR_STATE);
    TEXT("plan_replay: the optimiser's groups are not those of the recording");
    bp_plan_free(plan);
    close_problem(&p);
}

CLAIM(a_wrong_group_is_refused)
{
    problem p = open_problem(BP_F32, 3, BP_SHAPE(3), BP_ADAM, 0.1);
    static const bp_group bad[] = {{0, 0, 0, 0}, {-1, 0, 0, 0}, {INFINITY, 0, 0, 0}, {1, -1, 0, 0},
                                   {1, 0, 1e39, 0}, {1, 0, 0, NAN}}, good = {.rate = 1};
    for (int i = 0; i < 6; i++)
        cr_assert_eq(bp_optimizer_group(p.opt, "*", &bad[i]), BP_ERR_ARG, "%d", i);
    cr_assert_eq(bp_optimizer_group(p.opt, "*", &bad[0]), BP_ERR_ARG);
    TEXT("optimizer_group: rate 0, l1 0, l2 0, weight_decay 0; a rate above 0, and others from 0 "
         "that are finite in f32, are wanted");
    cr_assert_eq(bp_optimizer_group(p.opt, "q*", &good), BP_ERR_ARG);
    TEXT("optimizer_group: no parameter is named q*: of 3 the first is p0");
    cr_assert_eq(bp_optimizer_group_of(p.opt, "*", &good, 8), BP_ERR_ARG);
    cr_assert_eq(kernels_of_a_step(&p), 2, "nothing was set");
    close_problem(&p);
}

/* --- means of weights -------------------------------------------------------------------- */

typedef struct averaged {
    problem p;
    bp_params *mean;
    bp_tensor *mean_0;
} averaged;

static bp_status average_step(bp_context *c, void *user)
{
    averaged *a = user;
    bp_status st = step(c, &a->p);
    st = st == BP_OK ? bp_params_average(a->mean, a->p.params, 0.25) : st;
    return st == BP_OK ? bp_average_into(a->p.opt, a->mean_0, a->p.w[0], 0.25) : st;
}

CLAIM(means_of_weights_are_a_part_of_a_plan)
{
    averaged a = {.p = open_problem(BP_F64, 2, BP_SHAPE(3), BP_SGD, 1)};
    bp_plan *plan;
    double w = 0, mean = 0, g = at(a.p.g[0], 1);
    OK(bp_params_create(ctx, BP_F64, &a.mean));
    for (int i = 0; i < 2; i++)
        cr_assert(bp_param(a.mean, bp_param_name(a.p.params, i), BP_SHAPE(3), BP_INIT_ZERO));
    OK(bp_params_copy(a.mean, a.p.params));
    a.mean_0 = TENSOR(BP_SHAPE(3), 0, 0, 0);
    OK(bp_plan_record(ctx, average_step, &a, &plan));
    OK(bp_plan_replay(plan, 9));
    for (int i = 0; i < 10; i++) {
        w -= g;
        mean += 0.25 * (w - mean);
    }
    cr_assert_float_eq(at(bp_param_at(a.mean, 0), 1), mean, 1e-14);
    cr_assert_float_eq(at(a.mean_0, 1), mean, 1e-14);
    bp_plan_free(plan);
    bp_params_free(a.mean);
    close_problem(&a.p);
}
