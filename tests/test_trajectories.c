/* Optimisers against PyTorch over 200 steps of a small net: tests/golden/trajectories.txt, written
 * by make_trajectories.py, which says what its lines mean. In f64 and f32, step by step and
 * replayed. */
#include "suite.h"

#define CLAIM(name) Test(trajectories, name, .init = setup, .fini = teardown)

enum { ROWS = 8, IN = 5, HIDDEN = 4, OUT = 3, PARAMS = 4, NUMBERS = 39, STEPS = 200 };
static const char *const param_name[PARAMS] = {"layer1.weight", "layer1.bias", "layer2.weight",
                                               "layer2.bias"};
static double file_x[ROWS * IN], file_y[ROWS * OUT], start[NUMBERS];

typedef struct net_of {
    bp_params *params;
    bp_tensor *x, *y, *p[PARAMS];
    bp_optimizer *opt;
} net_of;

static bp_shape shape_of(int i)
{
    return i == 0   ? BP_SHAPE(HIDDEN, IN)
           : i == 1 ? BP_SHAPE(HIDDEN)
           : i == 2 ? BP_SHAPE(OUT, HIDDEN)
                    : BP_SHAPE(OUT);
}

static bp_status step(bp_context *c, void *user)
{
    net_of *n = user;
    bp_tensor *h = bp_tanh(bp_linear(n->x, n->p[0], n->p[1]));
    bp_tensor *e = bp_sub(bp_linear(h, n->p[2], n->p[3]), n->y);
    bp_status st = bp_backward(c, bp_scale(bp_sum(bp_square(e)), 40.0 / (ROWS * OUT)));
    return st == BP_OK ? bp_optimizer_step(n->opt) : st;
}

static void open_net(net_of *n, bp_dtype dtype, bp_optimizer_kind kind, double lr)
{
    const double *at = start;
    OK(bp_params_create(ctx, dtype, &n->params));
    for (int i = 0; i < PARAMS; i++)
        n->p[i] = bp_param(n->params, param_name[i], shape_of(i), BP_INIT_ZERO);
    OK(bp_optimizer_create(n->params, kind, lr, &n->opt));
    for (int i = 0; i < PARAMS; i++) {
        values v = {bp_shape_count(shape_of(i)), (double *)at};
        cr_assert(tensor_fill(n->p[i], &v), "%s", bp_error_text(ctx));
        at += v.n;
    }
    n->x = tensor_in(ctx, dtype, BP_SHAPE(ROWS, IN), file_x, 0);
    n->y = tensor_in(ctx, dtype, BP_SHAPE(ROWS, OUT), file_y, 0);
}

static void close_net(net_of *n)
{
    bp_optimizer_free(n->opt);
    bp_params_free(n->params);
    bp_free(n->x);
    bp_free(n->y);
}

static void weights_of(net_of *n, double *to)
{
    for (int i = 0; i < PARAMS; i++) {
        values v;
        cr_assert(tensor_values(n->p[i], &v), "%s", bp_error_text(ctx));
        memcpy(to, v.v, (size_t)v.n * sizeof *to);
        to += v.n;
        values_free(&v, 1);
    }
}

/* --- the file ---------------------------------------------------------------------------- */

typedef struct run {
    char kind[16];
    double lr;
    struct { int number; double value; } option[8];
    struct { char pattern[32]; bp_group group; } group[4];
    int options, groups, shown[4], n_shown;
    double after[4][NUMBERS];
} run;

static FILE *file;

static double number(void)
{
    char word[40];
    cr_assert_eq(fscanf(file, "%39s", word), 1);
    return strtod(word, NULL);
}

static void numbers(double *to, int n)
{
    for (int i = 0; i < n; i++)
        to[i] = number();
}

static void open_file(void)
{
    file = fopen(BPI_GOLDEN_DIR "/trajectories.txt", "r");
    cr_assert(file);
    static const struct { double *to; int n; } data[] = {
        {file_x, ROWS * IN}, {file_y, ROWS * OUT}, {start, HIDDEN * IN},
        {start + HIDDEN * IN, HIDDEN}, {start + HIDDEN * (IN + 1), OUT * HIDDEN},
        {start + NUMBERS - OUT, OUT}};
    for (int i = 0; i < 6; i++) {
        (void)!fscanf(file, "%*s");
        numbers(data[i].to, data[i].n);
    }
    (void)!fscanf(file, "%*s"); /* "case" */
}

/* From behind `case` to behind the next one; false at the end. */
static bool next_run(run *r)
{
    char word[16] = "case";
    memset(r, 0, sizeof *r);
    if (fscanf(file, "%15s", r->kind) != 1)
        return false;
    r->lr = number();
    while (fscanf(file, "%15s", word) == 1 && strcmp(word, "case") != 0)
        if (word[0] == 'o') {
            r->option[r->options].number = (int)number();
            r->option[r->options++].value = number();
        } else if (word[0] == 'g') {
            (void)!fscanf(file, "%31s", r->group[r->groups].pattern);
            numbers(&r->group[r->groups++].group.rate, 4);
        } else {
            r->shown[r->n_shown] = (int)number();
            numbers(r->after[r->n_shown++], NUMBERS);
        }
    return true;
}

static void open_run(net_of *n, const run *r, bp_dtype dtype)
{
    bp_optimizer_kind kind = 1;
    while (strcmp(bp_optimizer_name(kind), r->kind) != 0)
        cr_assert_str_neq(bp_optimizer_name(kind++), "?");
    open_net(n, dtype, kind, r->lr);
    for (int i = 0; i < r->options; i++)
        OK(bp_optimizer_set(n->opt, r->option[i].number, r->option[i].value));
    for (int i = 0; i < r->groups; i++)
        OK(bp_optimizer_group(n->opt, r->group[i].pattern, &r->group[i].group));
}

/* --- the claims -------------------------------------------------------------------------- */

static double worst_of(const double *got, const double *wanted)
{
    double worst = 0;
    for (int i = 0; i < NUMBERS; i++)
        worst = fmax(worst, fabs(got[i] - wanted[i]) / fmax(1, fabs(wanted[i])));
    return worst;
}

/* Step by step; the worst error of all that is shown. */
static double follow(const run *r, bp_dtype dtype, double *last)
{
    net_of n;
    double worst = 0;
    open_run(&n, r, dtype);
    for (int i = 1, k = 0; i <= STEPS; i++) {
        OK(bp_run(ctx, 0, step, &n));
        if (i != r->shown[k])
            continue;
        weights_of(&n, last);
        worst = fmax(worst, worst_of(last, r->after[k++]));
    }
    close_net(&n);
    return worst;
}

static void replay(const run *r, bp_dtype dtype, double *last)
{
    net_of n;
    bp_plan *plan;
    open_run(&n, r, dtype);
    OK(bp_plan_record(ctx, step, &n, &plan));
    OK(bp_plan_replay(plan, STEPS - 1));
    weights_of(&n, last);
    bp_plan_free(plan);
    close_net(&n);
}

static void follow_all(bp_dtype dtype, double most, double most_lion)
{
    run r;
    double last[NUMBERS], replayed[NUMBERS];
    bool seen[BP_LION + 1] = {false};
    int cases = 0;
    open_file();
    for (; next_run(&r); cases++) {
        double worst = follow(&r, dtype, last);
        double limit = strcmp(r.kind, "lion") ? most : most_lion;
        cr_assert(worst <= limit, "case %d, %s: off by %g", cases, r.kind, worst);
        replay(&r, dtype, replayed);
        cr_assert(memcmp(last, replayed, sizeof last) == 0, "case %d, %s: a replay has other bits",
                  cases, r.kind);
        for (int k = 1; k <= BP_LION; k++)
            seen[k] |= !strcmp(r.kind, bp_optimizer_name(k));
    }
    for (int k = 1; k <= BP_LION; k++)
        cr_assert(seen[k], "%s has no trajectory", bp_optimizer_name(k));
    fclose(file);
}

/* Nothing here lets an error grow: 200 steps of 50 roundings in a row, each of half an eps. */
CLAIM(f64_follows_pytorch_for_200_steps)
{
    follow_all(BP_F64, 200 * 50 * 0x1p-53, 200 * 50 * 0x1p-53);
}

/* Likewise; and where Lion's b1 m + (1 - b1) g is 0 but for rounding, the step may have the other
 * sign: 2 lr, which its next steps take back or not. */
CLAIM(f32_follows_pytorch_for_200_steps)
{
    follow_all(BP_F32, 200 * 50 * 0x1p-24, 200 * 50 * 0x1p-24 + 4 * 0.001);
}
