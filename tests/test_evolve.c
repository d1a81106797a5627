/* Evolution strategies: how fast they are, what they can do without a gradient, and that threads
 * change nothing: evolve.h. */
#include "suite.h"

#define CLAIM(name) Test(evolve, name, .init = setup, .fini = teardown)
#define EVOLVE(...) ((bp_evolve_options){.struct_bytes = sizeof(bp_evolve_options), __VA_ARGS__})

typedef bp_status (*strategy)(bp_context *, bp_cost_fn, void *, double *, int64_t,
                              const bp_evolve_options *, bp_found *);
static const strategy both[] = {bp_cma_es_host, bp_es_host};

static double sphere(void *user, const double *x, int64_t n)
{
    double sum = 0;
    (void)user;
    for (int64_t i = 0; i < n; i++)
        sum += x[i] * x[i];
    return sum;
}

static double rosenbrock(void *user, const double *x, int64_t n)
{
    double sum = 0;
    (void)user;
    for (int64_t i = 0; i + 1 < n; i++)
        sum += 100 * pow(x[i] * x[i] - x[i + 1], 2) + pow(x[i] - 1, 2);
    return sum;
}

static double rastrigin(void *user, const double *x, int64_t n)
{
    double sum = 10 * (double)n;
    (void)user;
    for (int64_t i = 0; i < n; i++)
        sum += x[i] * x[i] - 10 * cos(2 * 3.14159265358979323846 * x[i]);
    return sum;
}

/* The median of 11 seeds' evaluations to 1e-8; the start is x everywhere. */
static double median(bp_cost_fn cost, int64_t n, double from, bp_evolve_options o)
{
    double all[11], x[20];
    for (int seed = 0; seed < 11; seed++) {
        bp_found found = {.struct_bytes = sizeof found};
        for (int64_t i = 0; i < n; i++)
            x[i] = from;
        o.seed = (uint64_t)seed;
        OK(bp_cma_es_host(ctx, cost, NULL, x, n, &o, &found));
        double evaluations = found.stop == BP_STOP_TARGET ? (double)found.evaluations : 1e9;
        int at = seed;
        for (; at > 0 && all[at - 1] > evaluations; at--)
            all[at] = all[at - 1];
        all[at] = evaluations;
        cr_expect(found.stop != BP_STOP_TARGET || cost(NULL, x, n) == found.value);
    }
    return all[5];
}

/* Medians of the cma package, 4.5.0, from the same starts, of 21 seeds. */
CLAIM(cma_es_takes_as_many_evaluations_as_cma)
{
    bp_evolve_options o = EVOLVE(.deviation = 0.5, .has_target = 1, .target = 1e-8);
    const struct { bp_cost_fn cost; int64_t n; double from, cma; } cases[] = {
        {sphere, 5, 1, 664}, {sphere, 20, 1, 2508}, {rosenbrock, 5, 0, 1712},
        {rosenbrock, 10, 0, 4990}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        double ours = median(cases[i].cost, cases[i].n, cases[i].from, o);
        cr_expect(ours > 0.8 * cases[i].cma && ours < 1.2 * cases[i].cma, "%.0f, not %.0f", ours,
                  cases[i].cma);
    }
    o = EVOLVE(.deviation = 2, .has_target = 1, .target = 1e-8, .restarts = 9,
               .evaluations = 1000000);
    cr_expect_lt(median(rastrigin, 5, 3, o), 40000);
}

CLAIM(both_come_to_the_least)
{
    for (int kind = 0; kind < 2; kind++)
        for (int64_t n = 1; n <= 3; n++) {
            double x[3] = {2, -1, 0.5};
            bp_found found = {.struct_bytes = sizeof found};
            bp_evolve_options o = EVOLVE(.seed = 3, .value = -1, .evaluations = 100000);
            OK(both[kind](ctx, sphere, NULL, x, n, &o, &found));
            cr_expect_eq(found.stop, BP_STOP_STEP, "%s", bp_stop_text(found.stop));
            cr_expect(found.value < 1e-18 && found.value == sphere(NULL, x, n));
            cr_expect(kind == 0 || found.step < 1e-11);
        }
}

/* Above 2,000 numbers the covariance is a diagonal: no matrix is made. */
CLAIM(many_numbers_take_a_diagonal)
{
    static double x[2500];
    bp_stats before, after;
    for (int i = 0; i < 2500; i++)
        x[i] = 1;
    bp_get_stats(ctx, &before);
    bp_evolve_options o = EVOLVE(.evaluations = 20000);
    bp_found found = {.struct_bytes = sizeof found};
    OK(bp_cma_es_host(ctx, sphere, NULL, x, 2500, &o, &found));
    bp_get_stats(ctx, &after);
    cr_expect_eq(found.stop, BP_STOP_LIMIT);
    cr_expect_lt(found.value, 0.5 * 2500, "%g", found.value);
}

/* --- a store, and ops without a gradient ------------------------------------------------------ */

enum { PIXELS = 64, UNITS = 4 };

typedef struct brain {
    bp_params *store;
    bp_tensor *w, *b, *v, *c, *x, *y;
    int64_t rows;
} brain;

/* 1 where the digit is a 1: every unit is 0 or 1. */
static bp_tensor *told(brain *n)
{
    bp_tensor *h = bp_threshold(bp_linear(n->x, n->w, n->b), 0);
    return bp_threshold(bp_linear(h, n->v, n->c), 0);
}

static bp_tensor *wrong(bp_context *c, void *user)
{
    brain *n = user;
    (void)c;
    return bp_mean(bp_not_equal(told(n), n->y));
}

/* The zeros and ones of the digits: every fifth in *held, the others in *n. */
static void split(brain *n, brain *held)
{
    static float all[5000][PIXELS], x[2][1000][PIXELS], y[2][1000];
    static int32_t label[5000];
    bp_data *data;
    OK(bp_data_digits(ctx, &data));
    int64_t rows = bp_data_rows(data), count[2] = {0};
    cr_assert_leq(rows, 5000);
    OK(bp_read_f32(bp_data_column(data, "x"), all[0], rows * PIXELS));
    OK(bp_read(bp_data_column(data, "y"), label, (size_t)rows * sizeof *label));
    bp_data_free(data);
    for (int64_t i = 0, of = 0; i < rows; i++) {
        if (label[i] > 1)
            continue;
        int part = of++ % 5 == 4;
        for (int k = 0; k < PIXELS; k++)
            x[part][count[part]][k] = all[i][k] / 16;
        y[part][count[part]++] = (float)label[i];
    }
    brain *to[2] = {n, held};
    for (int part = 0; part < 2; part++) {
        to[part]->rows = count[part];
        to[part]->x = bp_tensor_create(ctx, BP_F32, BP_SHAPE(count[part], PIXELS));
        to[part]->y = bp_tensor_create(ctx, BP_F32, BP_SHAPE(count[part], 1));
        OK(bp_write(to[part]->x, x[part], (size_t)count[part] * sizeof **x));
        OK(bp_write(to[part]->y, y[part], (size_t)count[part] * sizeof **y));
    }
}

static void declare(brain *n, bp_dtype dtype)
{
    OK(bp_params_create(ctx, dtype, &n->store));
    n->w = bp_param(n->store, "w", BP_SHAPE(UNITS, PIXELS), BP_INIT_LECUN);
    n->b = bp_param(n->store, "b", BP_SHAPE(UNITS), BP_INIT_ZERO);
    n->v = bp_param(n->store, "v", BP_SHAPE(1, UNITS), BP_INIT_LECUN);
    n->c = bp_param(n->store, "c", BP_SHAPE(1), BP_INIT_ZERO);
}

static double read_share(bp_objective_fn f, brain *n)
{
    double share;
    begin();
    OK(bp_read_f64(f(ctx, n), &share, 1));
    end();
    return share;
}

CLAIM(hard_thresholds_are_trained)
{
    brain n, held;
    split(&n, &held);
    declare(&n, BP_F32);
    bp_found found = {.struct_bytes = sizeof found};
    bp_evolve_options o = EVOLVE(.evaluations = 6000, .has_target = 1, .seed = 1);
    OK(bp_cma_es(n.store, wrong, &n, &o, &found));
    cr_expect_float_eq(found.value, read_share(wrong, &n), 1e-7);
    held.w = n.w, held.b = n.b, held.v = n.v, held.c = n.c;
    cr_expect_gt(1 - read_share(wrong, &held), 0.95, "%g of %d", read_share(wrong, &held),
                 (int)held.rows);
    bp_params_free(n.store);
}

/* --- bits ------------------------------------------------------------------------------------- */

CLAIM(threads_do_not_change_a_bit)
{
    double first[2][7], x[7];
    for (int threads = 1; threads <= 4; threads++) {
        OK(bp_set_threads(ctx, threads));
        for (int kind = 0; kind < 2; kind++) {
            double *to = threads == 1 ? first[kind] : x;
            bp_evolve_options o = EVOLVE(.evaluations = 3000, .seed = 9, .restarts = 2);
            for (int i = 0; i < 7; i++)
                to[i] = i;
            OK(both[kind](ctx, rosenbrock, NULL, to, 7, &o, NULL));
            cr_expect(threads == 1 || memcmp(x, first[kind], sizeof x) == 0);
            o.seed = 10;
            for (int i = 0; i < 7 && threads > 1; i++)
                x[i] = i;
            OK(both[kind](ctx, rosenbrock, NULL, x, 7, &o, NULL));
            cr_expect(threads == 1 || memcmp(x, first[kind], sizeof x) != 0);
        }
    }
}

static bp_tensor *stored_sphere(bp_context *c, void *user)
{
    (void)c;
    return bp_sum(bp_square(((brain *)user)->w));
}

/* The same candidates, whether a store or the host has the numbers. */
CLAIM(a_store_is_searched_as_numbers_are)
{
    double x[UNITS * PIXELS], y[UNITS * PIXELS];
    brain n;
    declare(&n, BP_F64);
    for (int i = 1; i < 4; i++)
        OK(bp_param_freeze(n.store, i, 1));
    OK(bp_read_f64(n.w, x, UNITS * PIXELS));
    bp_evolve_options o = EVOLVE(.evaluations = 2000);
    bp_found a = {.struct_bytes = sizeof a}, b = a;
    OK(bp_es(n.store, stored_sphere, &n, &o, &a));
    OK(bp_es_host(ctx, sphere, NULL, x, UNITS * PIXELS, &o, &b));
    OK(bp_read_f64(n.w, y, UNITS * PIXELS));
    cr_expect_float_eq(a.value, b.value, 1e-9 * b.value);
    for (int i = 0; i < UNITS * PIXELS; i++)
        cr_assert_float_eq(x[i], y[i], 1e-9);
    cr_expect(a.evaluations == b.evaluations && a.population == 20);
    bp_params_free(n.store);
}

/* --- what goes wrong -------------------------------------------------------------------------- */

static double breaks(void *user, const double *x, int64_t n)
{
    double y = sphere(NULL, x, n);
    return y < *(double *)user ? (double)NAN : y;
}

static double half(void *user, const double *x, int64_t n)
{
    return x[0] < 0.5 ? (double)INFINITY : sphere(user, x, n);
}

CLAIM(what_is_not_a_number_leaves_the_best_so_far)
{
    for (int kind = 0; kind < 2; kind++) {
        double x[4] = {1, 1, 1, 1}, limit = 0.01;
        bp_found found = {.struct_bytes = sizeof found};
        cr_assert_eq(both[kind](ctx, breaks, &limit, x, 4, NULL, &found), BP_ERR_NONFINITE);
        TEXT(kind ? "es_host: the value of a candidate is nan"
                  : "cma_es_host: the value of a candidate is nan");
        cr_expect(found.value == sphere(NULL, x, 4) && found.value < 4 && found.value >= 0.01);
        cr_expect_eq(found.stop, BP_STOP_NONE);
        limit = 100; /* at once */
        double same[4];
        memcpy(same, x, sizeof x);
        cr_assert_eq(both[kind](ctx, breaks, &limit, x, 4, NULL, &found), BP_ERR_NONFINITE);
        cr_expect(memcmp(same, x, sizeof x) == 0 && isnan(found.value));
        x[0] = 1;
        OK(both[kind](ctx, half, NULL, x, 4, NULL, &found)); /* refused candidates are no errors */
        cr_expect(x[0] >= 0.5 && found.value < 0.26, "%g", found.value);
    }
}

static bp_tensor *nothing(bp_context *c, void *user)
{
    (void)c, (void)user;
    return NULL;
}

static bp_status stop_at_two(bp_context *c, const bp_found *now, void *user)
{
    (void)c, (void)user;
    return now->iterations < 2 ? BP_OK : BP_ERR_STOPPED;
}

CLAIM(what_cannot_be_searched_is_told)
{
    double x[2] = {1, NAN};
    bp_found found = {.struct_bytes = sizeof found};
    bp_evolve_options o = EVOLVE(.population = 3);
    brain n;
    cr_assert_eq(bp_cma_es_host(ctx, sphere, NULL, x, 2, NULL, NULL), BP_ERR_NONFINITE);
    TEXT("cma_es_host: x[1] is nan at the start");
    cr_assert_eq(bp_cma_es_host(ctx, sphere, NULL, x, 0, NULL, NULL), BP_ERR_ARG);
    TEXT("cma_es_host: n is 0; 1 at least is wanted");
    cr_assert_eq(bp_cma_es_host(ctx, sphere, NULL, x, 1, &o, NULL), BP_ERR_ARG);
    TEXT("cma_es_host: a population of 3 is too small; 4 to 65536 are wanted");
    o = EVOLVE(.population = -1);
    cr_assert_eq(bp_es_host(ctx, sphere, NULL, x, 1, &o, NULL), BP_ERR_ARG);
    TEXT("es_host: a population of -1 is too small; 1 to 65536 are wanted");
    o = EVOLVE(.deviation = -1);
    cr_assert_eq(bp_es_host(ctx, sphere, NULL, x, 1, &o, NULL), BP_ERR_ARG);
    TEXT("es_host: the deviation is -1; a number above 0 is wanted");
    o = EVOLVE(.evaluations = -1);
    cr_assert_eq(bp_es_host(ctx, sphere, NULL, x, 1, &o, NULL), BP_ERR_ARG);
    TEXT("es_host: -1 evaluations, 0 restarts and the target 0; from 1, from 0 and a number are "
         "wanted");
    o = EVOLVE(.population = 1, .each = stop_at_two);
    cr_assert_eq(bp_es_host(ctx, sphere, NULL, x, 1, &o, &found), BP_ERR_STOPPED);
    TEXT("es_host: the callback of iteration 2 returned \"stopped\"");
    cr_expect(found.evaluations == 2 && found.value <= 1 && found.value == x[0] * x[0]);
    begin();
    cr_assert_eq(bp_es_host(ctx, sphere, NULL, x, 1, NULL, NULL), BP_ERR_STATE);
    end_with(BP_ERR_STATE, "es_host: in a scope: call it outside");
    declare(&n, BP_F32);
    cr_assert_eq(bp_cma_es(n.store, nothing, &n, NULL, NULL), BP_ERR_ARG);
    TEXT("cma_es: what the function gives is NULL");
    o = EVOLVE(.evaluations = 50);
    OK(bp_es(n.store, stored_sphere, &n, &o, NULL)); /* nothing is left of it */
    bp_params_free(n.store);
}
