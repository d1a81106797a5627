/* Parameter stores as a whole: how they start, frozen by name. */
#include "core/params.h"
#include "suite.h"

#define CLAIM(name) Test(stores, name, .init = setup, .fini = teardown)

static bp_params *store(bp_dtype dtype)
{
    bp_params *p;
    OK(bp_params_create(ctx, dtype, &p));
    return p;
}

/* --- initial values --------------------------------------------------------------------------- */

/* Means of x, x^2, x^4 over the deviation, and the largest, of a [1000, 50] or of its filters. */
static void moments(bp_init init, bp_shape shape, double deviation, double m[4])
{
    bp_params *p = store(BP_F64);
    values v;
    cr_assert(tensor_values(bp_param(p, "w", shape, init), &v));
    for (int k = 0; k < 4; k++)
        m[k] = 0;
    for (int64_t i = 0; i < v.n; i++) {
        double x = v.v[i] / deviation, square = x * x;
        m[0] += x / (double)v.n;
        m[1] += square / (double)v.n;
        m[2] += square * square / (double)v.n;
        m[3] = fmax(m[3], fabs(x));
    }
    values_free(&v, 1);
    bp_params_free(p);
}

CLAIM(initial_values_have_the_mean_and_variance_of_their_names)
{
    const bp_shape matrix = BP_SHAPE(1000, 50), filters = BP_SHAPE(100, 5, 5, 20);
    const struct { bp_init init; bp_shape shape; double variance; } of[] = {
        {BP_INIT_LECUN, matrix, 1.0 / 50}, {BP_INIT_HE, matrix, 2.0 / 50},
        {BP_INIT_GLOROT, matrix, 2.0 / 1050}, {BP_INIT_LECUN_NORMAL, matrix, 1.0 / 50},
        {BP_INIT_HE_NORMAL, matrix, 2.0 / 50}, {BP_INIT_GLOROT_NORMAL, matrix, 2.0 / 1050},
        {BP_INIT_HE, filters, 2.0 / 500}, {BP_INIT_GLOROT, filters, 2.0 / (500 + 2500)},
        {BP_INIT_GLOROT_NORMAL, filters, 2.0 / (500 + 2500)}};
    for (size_t i = 0; i < sizeof of / sizeof *of; i++) {
        bool normal = of[i].init >= BP_INIT_LECUN_NORMAL;
        double m[4], fourth = normal ? 3 : 1.8;
        moments(of[i].init, of[i].shape, sqrt(of[i].variance), m);
        /* of 50,000 draws, 4 and a half deviations of each mean */
        cr_assert_lt(fabs(m[0]), 0.02, "%d: mean %g", (int)i, m[0]);
        cr_assert_lt(fabs(m[1] - 1), normal ? 0.029 : 0.018, "%d: variance %g", (int)i, m[1]);
        cr_assert_lt(fabs(m[2] - fourth), normal ? 0.2 : 0.05, "%d: fourth %g", (int)i, m[2]);
        cr_assert(normal ? m[3] > 3.8 && m[3] < 6.34 : m[3] <= sqrt(3) && m[3] > 1.73, "%d: %g",
                  (int)i, m[3]);
    }
}

/* The inner products of the rows of an [n, m], or of the columns of an [m, n], against 1 and 0. */
static double off(const values *v, int64_t rows, int64_t cols)
{
    int64_t n = rows < cols ? rows : cols, m = v->n / n, along = rows < cols ? 1 : cols;
    int64_t apart = rows < cols ? cols : 1;
    double worst = 0;
    for (int64_t a = 0; a < n; a++)
        for (int64_t b = 0; b <= a; b++) {
            double sum = a == b ? -1 : 0;
            for (int64_t i = 0; i < m; i++)
                sum += v->v[a * apart + i * along] * v->v[b * apart + i * along];
            worst = fmax(worst, fabs(sum));
        }
    return worst;
}

CLAIM(orthogonal_matrices_are)
{
    static const bp_shape shape[] = {{2, {64, 64}}, {2, {9, 100}}, {2, {100, 9}}, {4, {7, 3, 3, 5}},
                                     {4, {90, 3, 3, 5}}, {2, {300, 300}}, {1, {12}}, {2, {1, 1}}};
    for (int dtype = BP_F32; dtype <= BP_F64; dtype++)
        for (size_t i = 0; i < sizeof shape / sizeof *shape; i++) {
            bp_params *p = store(dtype);
            values v;
            int64_t rows = shape[i].dim[0];
            cr_assert(tensor_values(bp_param(p, "w", shape[i], BP_INIT_ORTHOGONAL), &v));
            double worst = off(&v, rows, v.n / rows);
            cr_assert_lt(worst, dtype == BP_F32 ? 1e-6 : 1e-13, "%d: %g", (int)i, worst);
            values_free(&v, 1);
            bp_params_free(p);
        }
}

/* Of a rotation that is drawn evenly the mean of each element is 0, its variance 1 / n: the
 * diagonal is where a sign that is left to the algorithm would show. */
CLAIM(orthogonal_matrices_favour_no_sign)
{
    enum { TIMES = 400, N = 4 };
    double sum[N * N] = {0}, square[N * N] = {0};
    for (int k = 0; k < TIMES; k++) {
        bp_params *p = store(BP_F64);
        values v;
        cr_assert(tensor_values(bp_param(p, "w", BP_SHAPE(N, N), BP_INIT_ORTHOGONAL), &v));
        for (int i = 0; i < N * N; i++) {
            sum[i] += v.v[i] / TIMES;
            square[i] += v.v[i] * v.v[i] / TIMES;
        }
        values_free(&v, 1);
        bp_params_free(p);
    }
    for (int i = 0; i < N * N; i++) {
        cr_assert_lt(fabs(sum[i]), 4 * 0.5 / 20, "element %d: mean %g", i, sum[i]);
        cr_assert_lt(fabs(square[i] - 0.25), 0.06, "element %d: %g", i, square[i]);
    }
}

/* FNV-1a over the bits of a store of one seed: the same on every machine, for ever. */
static uint64_t bits_of(bp_init init, bp_dtype dtype)
{
    bp_params *p = store(dtype);
    static unsigned char bytes[8 * 13 * 33];
    bp_tensor *w = bp_param(p, "w", BP_SHAPE(13, 33), init);
    uint64_t hash = 0xcbf29ce484222325u;
    size_t n = 13 * 33 * bp_dtype_bytes(dtype);
    OK(bp_seed(ctx, 7));
    OK(bp_read(w, bytes, n));
    for (size_t i = 0; i < n; i++)
        hash = (hash ^ bytes[i]) * 0x100000001b3u;
    bp_params_free(p);
    return hash;
}

CLAIM(initial_values_have_the_same_bits_everywhere)
{
    static const uint64_t wanted[][2] = {
        {0xd449a7d9ce95c5b5, 0xd051d28d5abd6545}, {0x1608bb988bb10638, 0x9802f9ea1cf33ff8},
        {0x8c77c7c9ce99dd7f, 0x989ca7adf4f26937}, {0x24dff2c1171951f5, 0x84e0cf80f80a7d18},
        {0x270e20c6d7b7673f, 0x0ee63172dcc02752}, {0x4280247859ae536f, 0x9b60cf8cafc93cce},
        {0x7ddc0a04c30cbf2f, 0xf38d26931d065815}, {0xacdaa95c16e5e071, 0x6ae10b355bd5070f},
        {0x150df5b907792e3b, 0xae6337ecd295f3e0}};
    for (bp_init i = BP_INIT_ZERO; i <= BP_INIT_ORTHOGONAL; i++) {
        cr_assert_eq(bits_of(i, BP_F32), wanted[i][0], "%d", (int)i);
        cr_assert_eq(bits_of(i, BP_F64), wanted[i][1], "%d", (int)i);
    }
}

/* --- a function of one's own ------------------------------------------------------------------ */

typedef struct filler {
    bp_params *params;
    bp_tensor *other, *t;
    bp_status returns, called;
    double step, bad;
    int calls;
    bool frees;
} filler;

/* 0, step, 2 step, ... */
static bp_status fill(void *user, double *value, int64_t count)
{
    filler *f = user;
    float x;
    f->calls++;
    for (int64_t i = 0; i < count; i++) {
        cr_assert_eq(value[i], 0);
        value[i] = f->step * (double)i;
    }
    if (f->bad != 0)
        value[count - 1] = f->bad;
    f->called = bp_read(f->t, &x, sizeof x);
    if (f->frees) {
        bp_free(f->other);
        bp_params_free(f->params);
    }
    return f->returns;
}

CLAIM(a_function_gives_values_row_by_row_and_constants_are_constant)
{
    bp_params *p = store(BP_F32);
    filler f = {.step = 0.5};
    bp_tensor *w = bp_param_with(p, "w", BP_SHAPE(3, 5), fill, &f);
    bp_tensor *c = bp_param_constant(p, "c", BP_SHAPE(2, 3), -1.5);
    f.t = w;
    cr_assert_eq(f.calls, 0);
    for (int i = 0; i < 15; i++)
        cr_assert_eq(at(w, i), 0.5 * i);
    for (int i = 0; i < 6; i++)
        cr_assert_eq(at(c, i), -1.5);
    cr_assert_eq(f.calls, 1);
    cr_assert_eq(f.called, BP_ERR_STATE, "it may call nothing");
    bp_params_free(p);
}

CLAIM(a_function_that_fails_is_told_and_the_store_can_be_used_again)
{
    bp_params *p = store(BP_F32);
    filler f = {.returns = BP_ERR_IO, .step = 1};
    float x[6];
    bp_param(p, "first", BP_SHAPE(4), BP_INIT_HE);
    bp_tensor *w = f.t = bp_param_with(p, "w", BP_SHAPE(2, 3), fill, &f);
    cr_assert_eq(bp_read(w, x, sizeof x), BP_ERR_IO);
    TEXT("param w: its function of initial values returned 10 (input/output error)");
    f.returns = BP_OK;
    f.bad = 1e39;
    cr_assert_eq(bp_read(w, x, sizeof x), BP_ERR_NONFINITE);
    TEXT("param w: its function of initial values gives 1e+39 for element 5, which is not finite "
         "in f32");
    f.bad = 0;
    OK(bp_read(w, x, sizeof x));
    cr_assert_eq(x[5], 5);
    cr_assert_eq(f.calls, 3);
    bp_params_free(p);
}

/* A tensor that an op at work has already looked at, and the store that is being filled. */
CLAIM(what_a_function_frees_goes_when_the_call_has_ended)
{
    for (int both = 0; both < 2; both++) {
        bp_params *p = store(BP_F64);
        filler f = {.step = 1, .frees = true, .params = both ? p : NULL};
        bp_tensor *w = bp_param_with(p, "w", BP_SHAPE(3), fill, &f);
        f.t = f.other = TENSOR(BP_SHAPE(3), 1, 2, 3);
        begin();
        bp_tensor *y = bp_mul(f.other, w);
        cr_assert(y, "%s", bp_error_text(ctx));
        cr_assert_eq(at(y, 2), 6);
        end();
        double x[3];
        cr_assert_eq(bp_read(f.other, x, sizeof x), BP_ERR_ARG, "it is gone");
        cr_assert_eq(bp_read(w, x, sizeof x), both ? BP_ERR_ARG : BP_OK);
        if (!both)
            bp_params_free(p);
    }
}

CLAIM(what_starts_wrong_is_refused)
{
    bp_params *p = store(BP_F32);
    cr_assert_null(bp_param_constant(p, "c", BP_SHAPE(2), 1e39));
    TEXT("param c: the constant 1e+39 is not finite in f32");
    cr_assert_null(bp_param_constant(p, "c", BP_SHAPE(2), NAN));
    cr_assert_null(bp_param_constant(p, "c", BP_SHAPE(0), 1));
    TEXT("param c: bad shape [0]");
    cr_assert_null(bp_param_with(p, "c", BP_SHAPE(2), NULL, NULL));
    TEXT("param_with: fill is NULL");
    cr_assert_null(bp_param(p, "c", BP_SHAPE(2), -1));
    TEXT("param c: unknown initialisation -1");
    cr_assert_eq(bp_param_count(p), 0);
    bp_params_free(p);
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
