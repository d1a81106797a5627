/* What an optimiser stores stays finite, and nothing that went wrong is left untold: a step that
 * cannot be taken changes nothing and says why, the steps after it run. */
#include "core/context.h"
#include "core/params.h"
#include "suite.h"

#define CLAIM(name) Test(finite, name, .init = setup, .fini = teardown)

/* loss = sum(w c): the gradient of w is c. */
typedef struct problem {
    bp_params *params;
    bp_tensor *w, *c;
    bp_optimizer *opt;
} problem;

static problem open_problem(bp_dtype dtype, const char *name, bp_shape shape, bool adam, double lr)
{
    problem p = {0};
    OK(bp_params_create(ctx, dtype, &p.params));
    cr_assert(bp_param(p.params, "first", BP_SHAPE(5), BP_INIT_ONE));
    cr_assert(p.w = bp_param(p.params, name, shape, BP_INIT_ONE));
    cr_assert(p.c = bp_tensor_create(ctx, dtype, shape));
    OK(adam ? bp_adam_create(p.params, lr, &p.opt) : bp_sgd_create(p.params, lr, 0.5, &p.opt));
    return p;
}

static void close_problem(problem *p)
{
    bp_optimizer_free(p->opt);
    bp_params_free(p->params);
    bp_free(p->c);
}

static bp_status step(bp_context *c, void *user)
{
    problem *p = user;
    bp_status st = bp_backward(c, bp_sum(bp_mul(p->w, p->c)));
    return st == BP_OK ? bp_optimizer_step(p->opt) : st;
}

/* The gradient: `usual` everywhere but at element i. */
static void gradient(problem *p, double usual, int64_t i, double value)
{
    values v = {bp_shape_count(bp_shape_of(p->c)), NULL};
    v.v = malloc((size_t)v.n * sizeof *v.v);
    for (int64_t k = 0; k < v.n; k++)
        v.v[k] = k == i ? value : usual;
    cr_assert(tensor_fill(p->c, &v));
    values_free(&v, 1);
}

static void steps(problem *p, int n)
{
    while (n-- > 0)
        OK(bp_run(ctx, 0, step, p));
}

static void told(bp_status status, const char *text)
{
    cr_expect_eq(bp_sync(ctx), status, "%s", bp_error_text(ctx));
    TEXT(text);
    OK(bp_sync(ctx));
}

static int64_t counted(problem *p)
{
    int64_t n;
    OK(bp_optimizer_steps(p->opt, &n));
    return n;
}

CLAIM(a_refused_step_names_step_and_element_and_how_many_more_did_nothing)
{
    problem p = open_problem(BP_F32, "layer2.weight", BP_SHAPE(4, 7), true, 0.01);
    problem clean = open_problem(BP_F32, "layer2.weight", BP_SHAPE(4, 7), true, 0.01);
    gradient(&clean, 1, 0, 1);
    steps(&clean, 20);
    gradient(&p, 1, 0, 1);
    steps(&p, 16);
    gradient(&p, 1, 3 * 7 + 5, NAN);
    steps(&p, 1);
    gradient(&p, 1, 0, INFINITY);
    steps(&p, 3);
    gradient(&p, 1, 0, 1); /* good ones between run */
    steps(&p, 2);
    gradient(&p, 1, 2, -INFINITY);
    steps(&p, 1);
    told(BP_ERR_NONFINITE, "optimizer_step: step 17: the gradient of layer2.weight [3,5] is NaN; "
                           "nothing was changed; 4 later steps did nothing either");
    cr_assert_eq(counted(&p), 18);
    gradient(&p, 1, 0, 1);
    steps(&p, 2);
    same(p.w, clean.w, 0);
    steps(&p, 1);
    gradient(&p, 1, 6, INFINITY);
    steps(&p, 2);
    told(BP_ERR_NONFINITE, "optimizer_step: step 22: the gradient of layer2.weight [0,6] is "
                           "infinite; nothing was changed; 1 later step did nothing either");
    close_problem(&p);
    close_problem(&clean);
}

CLAIM(elements_are_named_in_every_rank)
{
    static const bp_shape shape[] = {{0, {0}}, {1, {9}}, {3, {2, 3, 4}}};
    static const char *const name[] = {"w", "w [8]", "w [1,2,3]"};
    for (int i = 0; i < 3; i++) {
        char text[128];
        problem p = open_problem(BP_F64, "w", shape[i], false, 0.1);
        gradient(&p, 0, bp_shape_count(shape[i]) - 1, NAN);
        steps(&p, 1);
        snprintf(text, sizeof text, "optimizer_step: step 1: the gradient of %s is NaN; nothing "
                                    "was changed", name[i]);
        told(BP_ERR_NONFINITE, text);
        close_problem(&p);
    }
}

/* The way of one weight by Adam's formula, where step 11 has another gradient. */
static double adam_in_f64(double outlier, int n)
{
    double m = 0, v = 0, w = 1, b1 = 1, b2 = 1;
    for (int t = 1; t <= n; t++) {
        double g = t == 11 ? outlier : 1;
        m = 0.9 * m + 0.1 * g, v = 0.999 * v + 0.001 * g * g, b1 *= 0.9, b2 *= 0.999;
        w -= 0.01 * (m / (1 - b1)) / (sqrt(v / (1 - b2)) + 1e-8);
    }
    return w;
}

CLAIM(a_large_gradient_is_taken_as_the_formula_has_it_or_refused)
{
    static const struct {
        bp_dtype dtype;
        double outlier;
        bool taken;
    } row[] = {{BP_F32, 1e10, true}, {BP_F32, 1e19, true}, {BP_F32, 1e21, false},
               {BP_F32, 3e38, false}, {BP_F64, 1e150, true}, {BP_F64, 1e155, false}};
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        problem p = open_problem(row[i].dtype, "w", BP_SHAPE(1), true, 0.01);
        bp_plan *plan;
        gradient(&p, 1, 0, 1);
        OK(bp_plan_record(ctx, step, &p, &plan));
        OK(bp_plan_replay(plan, 9));
        gradient(&p, 1, 0, row[i].outlier);
        OK(bp_plan_replay(plan, 1));
        gradient(&p, 1, 0, 1);
        OK(bp_plan_replay(plan, 500));
        if (!row[i].taken)
            told(BP_ERR_NONFINITE, "optimizer_step: step 11: the gradient of w [0] is too large to "
                                   "be stored; nothing was changed");
        double want = row[i].taken ? adam_in_f64(row[i].outlier, 511) : adam_in_f64(1, 510);
        cr_expect_float_eq(at(p.w, 0), want, 1e-3 * fabs(1 - want), "%g", row[i].outlier);
        bp_plan_free(plan);
        close_problem(&p);
    }
}

CLAIM(an_index_and_a_gradient_are_both_told)
{
    problem p = open_problem(BP_F32, "w", BP_SHAPE(2), true, 0.01);
    bp_tensor *table = random_tensor(BP_SHAPE(3, 2), 1), *bad = INTS(BP_SHAPE(2), 0, 9);
    for (int both = 0; both < 2; both++) {
        gradient(&p, 1, 0, 1);
        begin(); /* outside any step: the next one is refused */
        cr_assert(bp_gather(table, bad));
        end();
        if (!both)
            steps(&p, 1);
        gradient(&p, 1, 1, NAN);
        steps(&p, 2);
        told(BP_ERR_RANGE,
             both ? "gather: index 9 is out of range; step 2 changed nothing; optimizer_step: step "
                    "2: the gradient of w [1] is NaN; nothing was changed; 1 later step did nothing "
                    "either"
                  : "gather: index 9 is out of range; step 1 changed nothing; optimizer_step: step "
                    "1: the gradient of w [1] is NaN; nothing was changed; 1 later step did nothing "
                    "either");
        gradient(&p, 1, 0, 1);
        steps(&p, 1);
        cr_assert_eq(counted(&p), 1 + both);
    }
    close_problem(&p);
}

CLAIM(an_error_in_the_same_scope_does_not_hide_what_kernels_found)
{
    bp_tensor *m = random_tensor(BP_SHAPE(2, 3), 0);
    begin();
    cr_assert(bp_gather(m, INTS(BP_SHAPE(1), 7)));
    cr_assert_null(bp_matmul(m, m));
    cr_assert_eq(bp_sync(ctx), BP_ERR_SHAPE);
    cr_assert_eq(bp_scope_end(ctx), BP_ERR_SHAPE);
    told(BP_ERR_RANGE, "gather: index 7 is out of range");
}

CLAIM(a_rate_from_a_schedule_is_checked_on_the_device)
{
    static const double bad[] = {NAN, INFINITY, -0.1, 1e38};
    problem p = open_problem(BP_F32, "w", BP_SHAPE(2), true, 0.01);
    gradient(&p, 1, 0, 1);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        OK(bp_copy_into(bp_optimizer_rate(p.opt), NUMBER(bad[i])));
        steps(&p, 2);
        told(BP_ERR_NONFINITE, "optimizer_step: step 1: the rate is negative, NaN or too large; "
                               "nothing was changed; 1 later step did nothing either");
        cr_assert_eq(at(p.w, 0), 1);
    }
    OK(bp_copy_into(bp_optimizer_rate(p.opt), NUMBER(0))); /* where a warm-up begins */
    steps(&p, 1);
    OK(bp_copy_into(bp_optimizer_rate(p.opt), NUMBER(0.25)));
    steps(&p, 1);
    OK(bp_sync(ctx));
    cr_assert_float_eq(at(p.w, 0), 0.75, 1e-6);
    close_problem(&p);
}

CLAIM(numbers_that_overflow_in_the_dtype_of_the_store_are_refused)
{
    static const struct {
        bool adam;
        bp_optimizer_option option;
        double value;
        bool f32, f64; /* taken */
    } row[] = {{true, BP_OPT_LR, INFINITY, false, false}, {true, BP_OPT_LR, 1e38, false, true},
               {false, BP_OPT_LR, 1e38, true, true},      {false, BP_OPT_LR, 1e39, false, true},
               {true, BP_OPT_L1, INFINITY, false, false}, {true, BP_OPT_L2, 1e39, false, true},
               {true, BP_OPT_EPS, INFINITY, false, false}, {true, BP_OPT_EPS, 1e-60, false, true},
               {true, BP_OPT_BETA2, 0.999999, true, true},
               {true, BP_OPT_BETA2, 1 - 1e-9, false, true},
               {false, BP_OPT_MOMENTUM, 1 - 1e-9, false, true},
               {false, BP_OPT_DECAY_FROM, INFINITY, true, true}};
    for (size_t i = 0; i < sizeof row / sizeof *row; i++)
        for (int f64 = 0; f64 < 2; f64++) {
            problem p = open_problem(f64 ? BP_F64 : BP_F32, "w", BP_SHAPE(1), row[i].adam, 0.1);
            bool taken = f64 ? row[i].f64 : row[i].f32;
            bp_optimizer *o = NULL;
            cr_expect_eq(bp_optimizer_set(p.opt, row[i].option, row[i].value),
                         taken ? BP_OK : BP_ERR_ARG, "row %d, f64 %d", (int)i, f64);
            if (row[i].option == BP_OPT_LR)
                cr_expect_eq(row[i].adam ? bp_adam_create(p.params, row[i].value, &o)
                                         : bp_sgd_create(p.params, row[i].value, 0, &o),
                             taken ? BP_OK : BP_ERR_ARG);
            bp_optimizer_free(o);
            close_problem(&p);
        }
    bp_params *params;
    bp_optimizer *o;
    OK(bp_params_create(ctx, BP_F32, &params));
    cr_assert(bp_param(params, "w", BP_SHAPE(1), BP_INIT_ONE));
    cr_assert_eq(bp_sgd_create(params, INFINITY, 0, &o), BP_ERR_ARG);
    TEXT("optimizer_create: the rate inf is not above 0 and at most 3.40282e+38");
    cr_assert_eq(bp_sgd_create(params, 1, 1 - 1e-9, &o), BP_ERR_ARG);
    bp_params_free(params);
}

CLAIM(a_weight_at_the_end_of_the_range_stays_and_the_others_move)
{
    for (int threads = 1; threads <= 3; threads++) {
        enum { N = 40000 };
        OK(bp_set_threads(ctx, threads));
        problem p = open_problem(BP_F32, "w", BP_SHAPE(N), false, 1e30);
        values v;
        gradient(&p, 1e-30, 30001, 1e10);
        steps(&p, 1);
        gradient(&p, 1e-30, 12345, -1e10);
        steps(&p, 1);
        told(BP_ERR_NONFINITE, "optimizer_step: step 1: the update of w [30001] would overflow and "
                               "was held back");
        cr_assert(tensor_values(p.w, &v));
        for (int i = 0; i < N; i++)
            cr_assert_float_eq(v.v[i], i == 30001 || i == 12345 ? v.v[i] : 1 - 1 - 1.5, 1e-5);
        cr_assert(v.v[30001] == 1 && v.v[12345] == 0);
        values_free(&v, 1);
        cr_assert_eq(counted(&p), 2);
        close_problem(&p);
    }
}

CLAIM(decay_that_overflows_is_cut_off_and_told)
{
    for (int adam = 0; adam < 2; adam++) {
        problem p = open_problem(BP_F32, "w", BP_SHAPE(1, 2), adam, 1e-3);
        float start[2] = {1e30f, 1};
        OK(bp_write(p.w, start, sizeof start));
        OK(bp_optimizer_set(p.opt, BP_OPT_L2, 1e10));
        gradient(&p, 1, 0, 1);
        steps(&p, 1);
        told(BP_ERR_NONFINITE, "optimizer_step: step 1: the update of w [0,0] would overflow and "
                               "was held back");
        cr_assert(isfinite(at(p.w, 0)) && at(p.w, 1) < 1);
        close_problem(&p);
    }
}

CLAIM(the_right_store_is_named_and_a_freed_one_is_not_followed)
{
    problem a = open_problem(BP_F32, "a", BP_SHAPE(2), true, 0.01);
    problem b = open_problem(BP_F32, "b", BP_SHAPE(2), true, 0.01);
    gradient(&a, 1, 0, 1);
    gradient(&b, 1, 1, NAN);
    for (int i = 0; i < 3; i++) {
        steps(&a, 1);
        steps(&b, 1);
    }
    told(BP_ERR_NONFINITE, "optimizer_step: step 1: the gradient of b [1] is NaN; nothing was "
                           "changed; 2 later steps did nothing either");
    cr_assert_eq(counted(&a), 3);
    steps(&b, 1);
    close_problem(&b);
    b = open_problem(BP_F32, "c", BP_SHAPE(2), true, 0.01); /* perhaps where b was */
    told(BP_ERR_NONFINITE, "optimizer_step: step 1: the gradient of a parameter is NaN; nothing "
                           "was changed");
    close_problem(&a);
    close_problem(&b);
}

/* --- all that is stored ---------------------------------------------------------------------- */

/* Whether the flat buffers of a store and its optimisers hold finite numbers only: tensors of the
 * library's own with as many elements as the store. */
static bool stored_finite(const bp_params *p)
{
    bool finite = true;
    int seen = 0;
    for (int64_t c = 0; c < ctx->n_slot_chunks; c++)
        for (int i = 1; i <= BPI_SLOT_CHUNK; i++) {
            bpi_tensor *slot = bpi_at((bp_tensor *)((char *)ctx->slot_chunk[c] + BPI_SLOT_BYTES * i -
                                                    1));
            bp_tensor *t = bpi_handle_of(slot);
            if (slot->owner != BPI_OWNER_LIBRARY || t == p->grads || slot->view.shape.ndim != 1 ||
                slot->view.shape.dim[0] != p->count || slot->view.dtype != p->dtype)
                continue;
            values v = {0};
            cr_assert(tensor_values(t, &v), "%s", bp_error_text(ctx));
            for (int64_t k = 0; k < v.n; k++)
                finite &= isfinite(v.v[k]) != 0;
            values_free(&v, 1);
            seen++;
        }
    cr_assert_geq(seen, 2, "values and moments");
    return finite;
}

static double nasty(uint64_t seed, int64_t i, bool f64)
{
    static const double some[] = {0, 1e-45, 1e-30, 1e-3, 1, 1e5, 1e18, 1.3e19, 1e20, 1e38, 3e38};
    double x = some[(int)(op_random(seed, i) * 11)] * (op_random(seed + 1, i) < 0.5 ? -1 : 1);
    return f64 && op_random(seed + 2, i) < 0.5 ? x * x * (x < 0 ? -1e232 : 1e232) : x;
}

CLAIM(nothing_that_is_stored_ever_stops_being_finite)
{
    enum { N = 64, RUNS = 160, STEPS = 12 };
    for (int run = 0; run < RUNS; run++) {
        bp_optimizer_kind kind = 1 + run % BP_DIAGONAL_LM;
        bool f64 = run / BP_DIAGONAL_LM % 2;
        problem p = open_problem(f64 ? BP_F64 : BP_F32, "w", BP_SHAPE(1, N), true, 1);
        bp_optimizer_free(p.opt);
        OK(bp_optimizer_create(p.params, kind, exp(-60 + 140 * op_random(9, run)), &p.opt));
        OK(bp_optimizer_set(p.opt, BP_OPT_WEIGHT_DECAY, run % 11 ? 0 : fabs(nasty(4, run, false))));
        OK(bp_optimizer_set(p.opt, BP_OPT_CLIP_VALUE, run % 4 == 1 ? 1e10 : 0));
        OK(bp_optimizer_set(p.opt, BP_OPT_CLIP_NORM, run % 4 == 2 ? 1e15 : 0));
        if (kind == BP_SGD)
            OK(bp_optimizer_set(p.opt, BP_OPT_MOMENTUM, 0.5));
        OK(bp_optimizer_set(p.opt, BP_OPT_L2, run % 3 ? 0 : fabs(nasty(5, run, false))));
        OK(bp_optimizer_set(p.opt, BP_OPT_L1, run % 5 ? 0 : fabs(nasty(6, run, false))));
        for (int t = 0; t < STEPS; t++) {
            values v = {N, malloc(N * sizeof(double))};
            for (int i = 0; i < N; i++) {
                double x = nasty((uint64_t)(100 * run + t), i, f64);
                v.v[i] = t % 3 ? x : fmin(fmax(x, -1.2e19), 1.2e19); /* some steps are taken */
            }
            cr_assert(tensor_fill(p.c, &v));
            steps(&p, 1);
            (void)!bp_sync(ctx);
            values_free(&v, 1);
            cr_assert(stored_finite(p.params), "run %d, step %d", run, t);
        }
        close_problem(&p);
    }
}
