/* L-BFGS and Levenberg-Marquardt on small functions, and what cannot be minimised: minimize.h. */
#include "suite.h"

#define CLAIM(name) Test(minimize, name, .init = setup, .fini = teardown)

typedef bp_status (*minimiser)(bp_params *, bp_objective_fn, void *, const bp_minimize_options *,
                               bp_found *);

/* --- small functions ------------------------------------------------------------------------- */

typedef struct world {
    bp_params *store;
    bp_tensor *w, *other;
    int calls, bad_from;
} world;

static world make(bp_dtype dtype, int64_t n, const double *from)
{
    world made = {0};
    OK(bp_params_create(ctx, dtype, &made.store));
    made.w = bp_param(made.store, "w", BP_SHAPE(n), BP_INIT_ZERO);
    made.other = bp_param_constant(made.store, "other", BP_SHAPE(2), 7);
    bp_tensor *first = tensor_in(ctx, dtype, BP_SHAPE(n), from, 0);
    OK(bp_copy_into(made.w, first));
    bp_free(first);
    return made;
}

/* Rosenbrock's function as residuals: 10 (w[i + 1] - w[i]^2) and 1 - w[i]. */
static bp_tensor *valley(bp_context *c, void *user)
{
    world *v = user;
    (void)c;
    v->calls++;
    bp_tensor *low = bp_slice(v->w, 0, 0, -1, 1), *high = bp_slice(v->w, 0, 1, INT64_MAX, 1);
    bp_tensor *bend = bp_scale(bp_sub(high, bp_square(low)), 10);
    return bp_concat((bp_tensor *[]){bend, bp_shift(bp_neg(low), 1)}, 2, 0);
}

static bp_tensor *valley_loss(bp_context *c, void *user)
{
    return bp_scale(bp_sum(bp_square(valley(c, user))), 0.5);
}

static void is_at(bp_tensor *w, double wanted, double tolerance)
{
    for (int64_t i = 0; i < bp_shape_count(bp_shape_of(w)); i++)
        cr_expect_float_eq(at(w, i), wanted, tolerance, "[%d] is %.12g", (int)i, at(w, i));
}

/* More residuals than parameters: columns; as many: rows. What nothing depends on stays. */
CLAIM(valleys_are_followed)
{
    const double from[8] = {-1.2, 1}; /* from there four and more have another minimum */
    for (int64_t n = 2; n <= 6; n += 2) {
        const double *at_first = n == 2 ? from : from + 2;
        world a = make(BP_F64, n, at_first), b = make(BP_F64, n, at_first);
        bp_found found = {.struct_bytes = sizeof found};
        OK(bp_lbfgs(a.store, valley_loss, &a, NULL, &found));
        cr_expect_eq(found.stop, BP_STOP_GRADIENT, "%s", bp_stop_text(found.stop));
        cr_expect_eq(found.evaluations, a.calls);
        is_at(a.w, 1, 1e-7);
        OK(bp_levenberg_marquardt(b.store, valley, &b, NULL, &found));
        cr_expect_eq(found.evaluations, b.calls);
        is_at(b.w, 1, 1e-9);
        OK(bp_copy_into(b.w, tensor_in(ctx, BP_F64, BP_SHAPE(n), at_first, 0)));
        b.calls = 0;
        OK(bp_gauss_newton(b.store, valley, &b, NULL, &found));
        cr_expect_eq(found.evaluations, b.calls);
        is_at(b.w, 1, 1e-7);
        is_at(a.other, 7, 0);
        is_at(b.other, 7, 0);
        bp_params_free(a.store);
        bp_params_free(b.store);
    }
}

static bp_tensor *plane(bp_context *c, void *user)
{
    world *v = user;
    (void)c;
    return bp_shift(bp_sum(v->w), -3); /* one residual, a scalar */
}

CLAIM(fewer_residuals_than_parameters_have_an_answer)
{
    world v = make(BP_F64, 3, (const double[]){0, 0, 0});
    bp_found found = {.struct_bytes = sizeof found};
    OK(bp_levenberg_marquardt(v.store, plane, &v, NULL, &found));
    is_at(v.w, 1, 1e-9);
    OK(bp_levenberg_marquardt(v.store, plane, &v, NULL, &found)); /* it is there */
    cr_expect_eq(found.iterations, 0);
    cr_expect_eq(found.stop, BP_STOP_GRADIENT);
    is_at(v.other, 7, 0);
    bp_params_free(v.store);
}

CLAIM(f32_ends_where_its_digits_do)
{
    world v = make(BP_F32, 4, (const double[4]){0});
    OK(bp_lbfgs(v.store, valley_loss, &v, NULL, NULL));
    is_at(v.w, 1, 1e-3);
    OK(bp_copy_into(v.w, tensor_in(ctx, BP_F32, BP_SHAPE(4), (const double[4]){0}, 0)));
    OK(bp_levenberg_marquardt(v.store, valley, &v, NULL, NULL));
    is_at(v.w, 1, 1e-5);
    bp_params_free(v.store);
}

/* w - ln w, which is NaN below 0: the first step goes there. */
static bp_tensor *half_a_line(bp_context *c, void *user)
{
    world *v = user;
    (void)c;
    return bp_sum(bp_sub(v->w, bp_log(v->w)));
}

CLAIM(steps_to_nowhere_are_cut)
{
    world v = make(BP_F64, 1, (const double[]){20});
    bp_minimize_options options = {.struct_bytes = sizeof options};
    OK(bp_lbfgs(v.store, half_a_line, &v, &options, NULL));
    is_at(v.w, 1, 1e-7);
    bp_params_free(v.store);
}

/* NaN from some call on. */
static bp_tensor *breaks(bp_context *c, void *user)
{
    world *v = user;
    bp_tensor *y = valley(c, user);
    return v->calls > v->bad_from ? bp_scale(bp_log(bp_scale(bp_square(y), -1)), 1) : y;
}

static bp_tensor *breaks_loss(bp_context *c, void *user)
{
    return bp_scale(bp_sum(bp_square(breaks(c, user))), 0.5);
}

CLAIM(what_is_not_a_number_leaves_the_best_so_far)
{
    static const double from[2] = {-1.2, 1};
    static const minimiser all[] = {bp_levenberg_marquardt, bp_lbfgs, bp_gauss_newton};
    for (int kind = 0; kind < 3; kind++)
        for (int bad_from = 0; bad_from < 14; bad_from += 4) {
            world v = make(BP_F64, 2, from);
            double best[2];
            v.bad_from = bad_from;
            bp_found found = {.struct_bytes = sizeof found};
            bp_objective_fn f = kind == 1 ? breaks_loss : breaks;
            bp_status st = all[kind](v.store, f, &v, NULL, &found);
            cr_assert_eq(st, BP_ERR_NONFINITE, "%d %d", kind, bad_from);
            cr_expect_eq(found.stop, BP_STOP_NONE);
            OK(bp_read_f64(v.w, best, 2));
            double bend = 10 * (best[1] - best[0] * best[0]), rest = 1 - best[0];
            if (bad_from)
                cr_expect_float_eq(found.value, 0.5 * (bend * bend + rest * rest), 1e-12);
            else
                cr_expect(best[0] == from[0] && best[1] == from[1] && isnan(found.value));
            v.bad_from = INT32_MAX; /* the same again, from there */
            OK(all[kind](v.store, f, &v, NULL, NULL));
            is_at(v.w, 1, 1e-7);
            bp_params_free(v.store);
        }
}

static bp_status stops_at_three(bp_context *c, const bp_found *now, void *user)
{
    world *v = user;
    (void)c;
    if (now->iterations < 3)
        return BP_OK;
    v->bad_from = (int)now->iterations;
    return BP_ERR_STOPPED;
}

CLAIM(a_callback_ends_it)
{
    static const char *const name[] = {"lbfgs", "levenberg_marquardt", "gauss_newton"};
    minimiser all[] = {bp_lbfgs, bp_levenberg_marquardt, bp_gauss_newton};
    for (int kind = 0; kind < 3; kind++) {
        char text[96];
        world v = make(BP_F64, 2, (const double[]){-1.2, 1});
        bp_minimize_options o = {.struct_bytes = sizeof o, .each = stops_at_three, .user = &v};
        bp_found found = {.struct_bytes = sizeof found};
        bp_objective_fn f = kind ? valley : valley_loss;
        cr_assert_eq(all[kind](v.store, f, &v, &o, &found), BP_ERR_STOPPED);
        cr_expect(found.iterations == 3 && v.bad_from == 3);
        snprintf(text, sizeof text, "%s: the callback of iteration 3 returned \"stopped\"",
                 name[kind]);
        TEXT(text);
        o = (bp_minimize_options){.struct_bytes = sizeof o, .iterations = 2};
        OK(all[kind](v.store, f, &v, &o, &found));
        cr_expect(found.iterations == 2 && found.stop == BP_STOP_LIMIT);
        bp_params_free(v.store);
    }
}

static bp_tensor *null_of(bp_context *c, void *user)
{
    (void)c, (void)user;
    return NULL;
}

static bp_tensor *pair_of(bp_context *c, void *user)
{
    (void)c;
    return bp_slice(((world *)user)->w, 0, 0, 2, 1);
}

static bp_tensor *none_of(bp_context *c, void *user)
{
    (void)c;
    return bp_slice(((world *)user)->w, 0, 0, 0, 1);
}

CLAIM(what_cannot_be_minimised_is_told)
{
    world v = make(BP_F64, 2, (const double[]){-1.2, 1});
    bp_minimize_options o = {.struct_bytes = sizeof o};
    bp_found found = {.struct_bytes = 3};
    cr_assert_eq(bp_lbfgs(v.store, null_of, &v, NULL, NULL), BP_ERR_ARG);
    TEXT("lbfgs: what the function gives is NULL");
    cr_assert_eq(bp_lbfgs(v.store, pair_of, &v, NULL, NULL), BP_ERR_SHAPE);
    TEXT("lbfgs: the function gives [2]; one number is wanted");
    cr_assert_eq(bp_levenberg_marquardt(v.store, none_of, &v, NULL, NULL), BP_ERR_SHAPE);
    TEXT("levenberg_marquardt: the function gives 0 residuals; one at least is wanted");
    cr_assert_eq(bp_lbfgs(v.store, valley_loss, &v, NULL, &found), BP_ERR_ARG);
    TEXT("lbfgs: struct_bytes is 3, not the size of the result");
    o.iterations = -1;
    cr_assert_eq(bp_lbfgs(v.store, valley_loss, &v, &o, NULL), BP_ERR_ARG);
    TEXT("lbfgs: -1 iterations; 0 or more are wanted");
    o = (bp_minimize_options){.struct_bytes = sizeof o, .damping = -1};
    cr_assert_eq(bp_levenberg_marquardt(v.store, valley, &v, &o, NULL), BP_ERR_ARG);
    TEXT("levenberg_marquardt: the damping is -1; 0, or a number above, is wanted");
    o = (bp_minimize_options){.struct_bytes = sizeof o, .gradient = NAN};
    cr_assert_eq(bp_lbfgs(v.store, valley_loss, &v, &o, NULL), BP_ERR_ARG);
    TEXT("lbfgs: the tolerance gradient is NaN");
    o.struct_bytes = 8;
    cr_assert_eq(bp_lbfgs(v.store, valley_loss, &v, &o, NULL), BP_ERR_ARG);
    TEXT("lbfgs: options: struct_bytes is 8, not the size of the struct");
    begin();
    cr_assert_eq(bp_lbfgs(v.store, valley_loss, &v, NULL, NULL), BP_ERR_STATE);
    end_with(BP_ERR_STATE, "lbfgs: in a scope: call it outside");
    cr_expect(at(v.w, 0) == -1.2 && at(v.w, 1) == 1);
    cr_assert_str_eq(bp_stop_text(-1), "?");
    cr_assert_str_eq(bp_stop_text(BP_STOP_PRECISION + 1), "?");
    bp_params_free(v.store);
}

static bp_status frees_its_store(bp_context *c, const bp_found *now, void *user)
{
    world *v = user;
    (void)c, (void)now;
    bp_params_free(v->store);
    v->store = NULL;
    return BP_OK;
}

CLAIM(a_store_that_a_callback_frees_is_told)
{
    minimiser all[] = {bp_lbfgs, bp_levenberg_marquardt, bp_gauss_newton};
    for (int kind = 0; kind < 3; kind++) {
        world v = make(BP_F64, 2, (const double[]){-1.2, 1});
        bp_minimize_options o = {.struct_bytes = sizeof o, .each = frees_its_store, .user = &v};
        cr_assert_eq(all[kind](v.store, kind ? valley : valley_loss, &v, &o, NULL), BP_ERR_ARG);
    }
}
