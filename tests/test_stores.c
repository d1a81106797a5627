/* Parameter stores as wholes: frozen by name, copied, averaged. */
#include "core/params.h"
#include "suite.h"

#define CLAIM(name) Test(stores, name, .init = setup, .fini = teardown)

static bp_params *store(bp_dtype dtype)
{
    bp_params *p;
    OK(bp_params_create(ctx, dtype, &p));
    return p;
}

/* --- by name ---------------------------------------------------------------------------------- */

CLAIM(names_match_patterns)
{
    static const char *const yes[][2] = {
        {"*", ""}, {"", ""}, {"*", "x"}, {"a*", "a"}, {"*.bias", "layer1.bias"}, {"?", "x"},
        {"layer?.*", "layer1.weight"}, {"*a*b", "xaxabb"}, {"**x", "x"}, {"a*a", "aa"},
        {"*ab*ab*", "xabyabz"}, {"?*?", "ab"}};
    static const char *const no[][2] = {
        {"", "x"}, {"?", ""}, {"a", "ab"}, {"*.bias", "layer1.bias2"}, {"a*a", "a"}, {"?*?", "a"},
        {"layer1", "layer1.weight"}, {"*ab*ab*", "xab"}};
    for (size_t i = 0; i < sizeof yes / sizeof *yes; i++)
        cr_assert(bpi_name_matches(yes[i][0], yes[i][1]), "%s %s", yes[i][0], yes[i][1]);
    for (size_t i = 0; i < sizeof no / sizeof *no; i++)
        cr_assert_not(bpi_name_matches(no[i][0], no[i][1]), "%s %s", no[i][0], no[i][1]);
}

static bp_status squares(bp_context *c, void *user)
{
    bp_tensor *sum = NULL;
    bp_params *p = user;
    for (int32_t i = 0; i < bp_param_count(p); i++) {
        bp_tensor *w = bp_param_at(p, i), *s = bp_sum(bp_mul(w, w));
        sum = sum ? bp_add(sum, s) : s;
    }
    return bp_backward(c, sum);
}

CLAIM(parameters_are_frozen_by_pattern)
{
    static const char *const name[] = {"a.weight", "a.bias", "b.weight", "b.bias"};
    bp_params *p = store(BP_F64);
    for (int i = 0; i < 4; i++) {
        cr_assert(bp_param(p, name[i], BP_SHAPE(2, 2), BP_INIT_ONE));
        cr_assert_eq(bp_param_index(p, name[i]), i);
    }
    cr_assert_eq(bp_param_index(p, "b"), -1);
    OK(bp_params_freeze(p, "a.*", 1));
    OK(bp_params_freeze(p, "?.bias", 1));
    OK(bp_params_freeze(p, "a.bias", 0));
    OK(bp_run(ctx, 0, squares, p));
    for (int i = 0; i < 4; i++)
        cr_assert_eq(bp_param_grad(p, i) != NULL, i == 1 || i == 2, "%s", name[i]);
    cr_assert_eq(bp_params_freeze(p, "c.*", 1), BP_ERR_ARG);
    TEXT("params_freeze: no parameter is named c.*: of 4 the first is a.weight");
    bp_params *none = store(BP_F32);
    cr_assert_eq(bp_params_freeze(none, "*", 1), BP_ERR_ARG);
    TEXT("params_freeze: no parameter is named *: the store has none");
    bp_params_free(none);
    bp_params_free(p);
}

/* --- copied, averaged ------------------------------------------------------------------------- */

/* A matrix with a pitch, a vector and a number, by this seed. */
static bp_params *net_in(bp_context *c, bp_dtype dtype, uint64_t seed)
{
    bp_params *p;
    values v;
    bp_shape shape[] = {BP_SHAPE(3, 256), BP_SHAPE(5), BP_SCALAR};
    cr_assert_eq(bp_params_create(c, dtype, &p), BP_OK);
    for (int i = 0; i < 3; i++)
        cr_assert(bp_param(p, (const char *[]){"w", "b", "s"}[i], shape[i], BP_INIT_ZERO));
    for (int i = 0; i < 3; i++) {
        bp_tensor *t = tensor_in(c, dtype, shape[i], NULL, seed + (uint64_t)i);
        cr_assert_eq(bp_copy_into(bp_param_at(p, i), t), BP_OK);
        cr_assert(tensor_values(bp_param_at(p, i), &v) && v.v[0] != 0);
        values_free(&v, 1);
        bp_free(t);
    }
    return p;
}

static void equal(bp_params *p, bp_params *q)
{
    for (int i = 0; i < bp_param_count(p); i++)
        same(bp_param_at(p, i), bp_param_at(q, i), 0);
}

static int64_t kernels(void)
{
    bp_stats s;
    bp_get_stats(ctx, &s);
    return s.kernels;
}

CLAIM(a_store_is_copied_by_one_kernel_and_between_contexts)
{
    bp_context *other;
    cr_assert_eq(bp_open("cpu:generic", &other), BP_OK);
    bp_params *p = net_in(ctx, BP_F32, 1), *q = net_in(ctx, BP_F32, 7);
    bp_params *r = net_in(other, BP_F32, 9);
    int64_t before = kernels();
    OK(bp_params_copy(q, p));
    cr_assert_eq(kernels(), before + 1);
    equal(q, p);
    cr_assert_eq(bp_params_copy(r, p), BP_OK, "%s", bp_error_text(other));
    equal(r, p);
    bp_params *s = net_in(ctx, BP_F32, 11);
    OK(bp_params_copy(s, r));
    equal(s, p);
    OK(bp_params_copy(s, s));
    equal(s, p);
    bp_params_free(p), bp_params_free(q), bp_params_free(r), bp_params_free(s);
    bp_close(other);
}

CLAIM(stores_that_differ_are_not_copied)
{
    bp_params *p = net_in(ctx, BP_F32, 1), *d = net_in(ctx, BP_F64, 1), *q = store(BP_F32);
    cr_assert_eq(bp_params_copy(p, d), BP_ERR_DTYPE);
    TEXT("params_copy: dst is f32, src is f64");
    bp_param(q, "w", BP_SHAPE(3, 256), BP_INIT_ONE);
    bp_param(q, "b", BP_SHAPE(6), BP_INIT_ONE);
    cr_assert_eq(bp_params_average(p, q, 0.5), BP_ERR_ARG);
    TEXT("params_average: dst has 3 parameters, src has 2");
    bp_param(q, "t", BP_SCALAR, BP_INIT_ONE);
    cr_assert_eq(bp_params_copy(q, p), BP_ERR_SHAPE);
    TEXT("params_copy: b is [6] in dst and [5] in src");
    bp_params_free(q);
    q = store(BP_F32);
    bp_param(q, "w", BP_SHAPE(3, 256), BP_INIT_ONE);
    bp_param(q, "c", BP_SHAPE(5), BP_INIT_ONE);
    bp_param(q, "s", BP_SCALAR, BP_INIT_ONE);
    cr_assert_eq(bp_params_copy(p, q), BP_ERR_ARG);
    TEXT("params_copy: parameter 1 is b in dst and c in src");
    cr_assert_eq(bp_params_average(p, p, 1.5), BP_ERR_ARG);
    TEXT("params_average: tau 1.5 is not in [0, 1]");
    cr_assert_eq(bp_params_average(p, p, NAN), BP_ERR_ARG);
    equal(p, p);
    bp_params_free(p), bp_params_free(q), bp_params_free(d);
}

CLAIM(an_average_moves_all_by_its_share_and_padding_stays_zero)
{
    for (int dtype = BP_F32; dtype <= BP_F64; dtype++) {
        bp_params *p = net_in(ctx, dtype, 1), *q = net_in(ctx, dtype, 7);
        values x[3], y[3], flat;
        for (int i = 0; i < 3; i++)
            cr_assert(tensor_values(bp_param_at(p, i), &x[i]) &&
                      tensor_values(bp_param_at(q, i), &y[i]));
        OK(bp_params_average(p, q, 0.25));
        double sum = 0, all = 0;
        for (int i = 0; i < 3; i++)
            for (int64_t e = 0; e < x[i].n; e++) {
                double wanted = x[i].v[e] + 0.25 * (y[i].v[e] - x[i].v[e]);
                double got = at(bp_param_at(p, i), e);
                cr_assert(fabs(got - wanted) <= (dtype == BP_F32 ? 1.2e-7 : 0), "%d, %d", i,
                          (int)e);
                sum += fabs(got);
                if (e == 300) /* a value each: reading is slow */
                    break;
            }
        cr_assert(tensor_values(p->values, &flat));
        for (int64_t e = 0; e < flat.n; e++)
            all += fabs(flat.v[e]);
        cr_assert(sum > 0 && all > sum);
        const bp_view *w = bpi_view_of(bp_param_at(p, 0));
        for (int64_t e = 256; e < w->stride[0]; e++)
            cr_assert_eq(flat.v[e], 0);
        OK(bp_params_average(p, q, 0));
        OK(bp_params_average(p, p, 0.5));
        cr_assert(fabs(at(bp_param_at(p, 2), 0) - (0.75 * x[2].v[0] + 0.25 * y[2].v[0])) < 1e-6);
        OK(bp_params_average(p, q, 1));
        equal(p, q);
        values_free(x, 3), values_free(y, 3), values_free(&flat, 1);
        bp_params_free(p), bp_params_free(q);
    }
}

CLAIM(a_graph_notices_that_its_store_was_copied_into)
{
    for (int how = 0; how < 4; how++) {
        bp_params *p = net_in(ctx, BP_F64, 1), *q = net_in(ctx, BP_F64, 7);
        bp_tensor *w = bp_param_at(p, 1);
        begin();
        bp_tensor *loss = bp_sum(bp_mul(w, w));
        OK(how == 0 ? bp_params_copy(p, q) : how == 1 ? bp_params_average(p, q, 0.5)
           : how == 2 ? bp_params_copy(p, p) : bp_params_average(q, p, 0.5));
        cr_assert_eq(bp_backward(ctx, loss), how < 2 ? BP_ERR_STATE : BP_OK);
        if (how < 2)
            end_with(BP_ERR_STATE, how ? "mul: its input 0 was changed by params_average after it "
                                         "was saved for the gradient"
                                       : "mul: its input 0 was changed by params_copy after it was "
                                         "saved for the gradient");
        else
            end();
        bp_params_free(p), bp_params_free(q);
    }
}

/* An online network that learns to give 1, and a target that follows it. */
typedef struct follow {
    bp_params *online, *target;
    bp_optimizer *opt;
} follow;

static bp_status follow_step(bp_context *c, void *user)
{
    follow *f = user;
    bp_tensor *o = bp_param_at(f->online, 1), *t = bp_param_at(f->target, 1);
    bp_tensor *miss = bp_shift(bp_add(bp_mul(o, o), bp_detach(t)), -1);
    bp_status st = bp_backward(c, bp_sum(bp_mul(miss, miss)));
    if (st == BP_OK)
        st = bp_optimizer_step(f->opt);
    return st == BP_OK ? bp_params_average(f->target, f->online, 0.1) : st;
}

static follow follow_new(void)
{
    follow f = {net_in(ctx, BP_F64, 1), net_in(ctx, BP_F64, 7), NULL};
    OK(bp_adam_create(f.online, 0.01, &f.opt));
    return f;
}

static void follow_free(follow *f)
{
    bp_optimizer_free(f->opt);
    bp_params_free(f->online);
    bp_params_free(f->target);
}

CLAIM(a_target_network_follows_within_a_plan)
{
    follow f[2] = {follow_new(), follow_new()};
    bp_plan *plan;
    OK(bp_plan_record(ctx, follow_step, &f[0], &plan));
    OK(bp_plan_replay(plan, 19));
    for (int i = 0; i < 20; i++)
        OK(bp_run(ctx, 0, follow_step, &f[1]));
    equal(f[0].online, f[1].online);
    equal(f[0].target, f[1].target);
    begin(); /* what a graph has saved of the target is noticed */
    bp_tensor *w = bp_param_at(f[0].target, 1), *loss = bp_sum(bp_mul(w, w));
    OK(bp_scope_begin(ctx, 0));
    OK(bp_params_average(f[0].target, f[0].online, 0.1));
    OK(bp_scope_end(ctx));
    cr_assert_eq(bp_backward(ctx, loss), BP_ERR_STATE);
    cr_assert_eq(bp_scope_end(ctx), BP_ERR_STATE);
    OK(bp_grad_clear(f[0].target));
    OK(bp_plan_replay(plan, 1));
    bp_params_free(f[0].target);
    f[0].target = NULL;
    cr_assert_eq(bp_plan_replay(plan, 1), BP_ERR_STATE);
    TEXT("plan_replay: its parameter store was freed");
    bp_plan_free(plan);
    follow_free(&f[0]);
    follow_free(&f[1]);
}

static bp_status average_only(bp_context *c, void *user)
{
    (void)c;
    follow *f = user;
    return bp_params_average(f->target, f->online, 0.5);
}

static bp_status copy_only(bp_context *c, void *user)
{
    (void)c;
    follow *f = user;
    return bp_params_copy(f->target, f->online);
}

CLAIM(a_plan_refuses_what_it_cannot_hold)
{
    follow f = {net_in(ctx, BP_F64, 1), net_in(ctx, BP_F64, 7), NULL};
    bp_plan *plan;
    bp_context *other;
    OK(bp_plan_record(ctx, average_only, &f, &plan));
    bp_params_free(f.online); /* it is only read */
    cr_assert_eq(bp_plan_replay(plan, 1), BP_ERR_STATE);
    TEXT("plan_replay: its parameter store was freed");
    bp_plan_free(plan);
    cr_assert_eq(bp_open("cpu:generic", &other), BP_OK);
    f.online = net_in(other, BP_F64, 1);
    cr_assert_eq(bp_plan_record(ctx, copy_only, &f, &plan), BP_ERR_STATE);
    TEXT("params_copy: not while a plan is recorded");
    cr_assert_eq(bp_params_average(f.target, f.online, 0.5), BP_ERR_DEVICE);
    TEXT("params_average: src belongs to another context");
    bp_params_free(f.online);
    bp_close(other);
    f.online = store(BP_F64); /* not used yet */
    bp_param(f.online, "w", BP_SHAPE(3, 256), BP_INIT_ONE);
    bp_param(f.online, "b", BP_SHAPE(5), BP_INIT_ONE);
    bp_param(f.online, "s", BP_SCALAR, BP_INIT_ONE);
    cr_assert_eq(bp_plan_record(ctx, copy_only, &f, &plan), BP_ERR_STATE);
    TEXT("the first use of a parameter store: not while a plan is recorded");
    OK(bp_run(ctx, 0, copy_only, &f));
    OK(bp_plan_record(ctx, copy_only, &f, &plan));
    bp_plan_free(plan);
    follow_free(&f);
}
