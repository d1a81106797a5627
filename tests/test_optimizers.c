/* Optimisers: what moves, what does not, and what happens on a gradient that is not finite or an
 * index out of range. Trajectories are held to PyTorch's in support/golden.c. */
#include <float.h>

#include "suite.h"

#define CLAIM(name) Test(optimizers, name, .init = setup, .fini = teardown)

/* loss = sum(w g): its gradient is g. */
static void step_with(bp_optimizer *o, int n, bp_tensor **w, bp_tensor **g)
{
    begin();
    bp_tensor *loss = bp_sum(bp_mul(w[0], g[0]));
    for (int i = 1; i < n; i++)
        loss = bp_add(loss, bp_sum(bp_mul(w[i], g[i])));
    OK(bp_backward(ctx, loss));
    OK(bp_optimizer_step(o));
    end();
}

CLAIM(sgd_with_momentum_is_its_formula)
{
    bp_tensor *init[] = {NUMBER(1)}, *w[1], *g[] = {NUMBER(2)};
    bp_params *p = store_of(1, init, w);
    bp_optimizer *o;
    double u = 0, x = 1;
    int64_t steps;
    OK(bp_sgd_create(p, 0.1, 0.5, &o));
    for (int i = 0; i < 5; i++) {
        step_with(o, 1, w, g);
        u = 0.5 * u + 2;
        x -= 0.1 * u;
        cr_assert_float_eq(at(w[0], 0), x, 1e-15);
    }
    OK(bp_optimizer_steps(o, &steps));
    cr_assert_eq(steps, 5);
    bp_optimizer_free(o);
    bp_params_free(p);
}

CLAIM(the_rate_is_a_tensor_that_a_schedule_writes)
{
    bp_tensor *init[] = {NUMBER(1)}, *w[1], *g[] = {NUMBER(1)};
    bp_params *p = store_of(1, init, w);
    bp_optimizer *o;
    OK(bp_sgd_create(p, 0.5, 0, &o));
    cr_assert_eq(bp_dtype_of(bp_optimizer_rate(o)), BP_F64);
    cr_assert_eq(at(bp_optimizer_rate(o), 0), 0.5);
    step_with(o, 1, w, g);
    OK(bp_copy_into(bp_optimizer_rate(o), NUMBER(0.25)));
    step_with(o, 1, w, g);
    OK(bp_optimizer_set(o, BP_OPT_LR, 0.125));
    step_with(o, 1, w, g);
    cr_assert_eq(at(w[0], 0), 0.125);
    bp_optimizer_free(o);
    bp_params_free(p);
}

CLAIM(l1_and_l2_act_on_weights_from_their_step_on)
{
    bp_tensor *init[] = {TENSOR(BP_SHAPE(1, 3), 4, -2, 0), TENSOR(BP_SHAPE(1), 8)}, *w[2];
    bp_tensor *zero[] = {TENSOR(BP_SHAPE(1, 3), 0, 0, 0), TENSOR(BP_SHAPE(1), 0)};
    bp_params *p = store_of(2, init, w);
    bp_optimizer *o;
    OK(bp_sgd_create(p, 1, 0, &o));
    OK(bp_optimizer_set(o, BP_OPT_L2, 0.25));
    OK(bp_optimizer_set(o, BP_OPT_L1, 0.5));
    OK(bp_optimizer_set(o, BP_OPT_DECAY_FROM, 2));
    step_with(o, 2, w, zero);
    cr_assert_eq(at(w[0], 0), 4);
    step_with(o, 2, w, zero);
    cr_assert_eq(at(w[0], 0), 4 - 0.25 * 4 - 0.5);
    cr_assert_eq(at(w[0], 1), -2 + 0.25 * 2 + 0.5);
    cr_assert_eq(at(w[0], 2), 0, "sign(0) is 0");
    cr_assert_eq(at(w[1], 0), 8, "a bias does not decay");
    bp_optimizer_free(o);
    bp_params_free(p);
}

/* Which of the kinds 1 .. 8 take an option, as the digits of a number. */
CLAIM(options_are_checked)
{
    static const struct {
        bp_optimizer_option option;
        double bad, good;
        int kinds;
    } row[] = {{BP_OPT_LR, 0, 0.1, 12345678},       {BP_OPT_LR, NAN, 1, 12345678},
               {BP_OPT_BETA1, 1, 0, 347},          {BP_OPT_BETA2, -0.1, 0.5, 347},
               {BP_OPT_EPS, 0, 1e-3, 34568},        {BP_OPT_MOMENTUM, 1, 0.9, 12},
               {BP_OPT_ALPHA, 1, 0.9, 5},          {BP_OPT_L1, -1, 0, 12345678},
               {BP_OPT_L2, NAN, 0.5, 12345678},     {BP_OPT_DECAY_FROM, 0, 10, 12345678},
               {BP_OPT_CLIP_VALUE, -1, 0, 12345678}, {BP_OPT_CLIP_VALUE, INFINITY, 1, 12345678},
               {BP_OPT_CLIP_NORM, -1, 0, 12345678}, {BP_OPT_CLIP_NORM, NAN, INFINITY, 12345678},
               {BP_OPT_WEIGHT_DECAY, -1, 0, 12345678}, {0, 0, 0, 0}, {13, 0, 0, 0}, {99, 0, 0, 0},
               {-1, 0, 0, 0}};
    bp_tensor *init[] = {NUMBER(1)}, *w[1];
    bp_params *p = store_of(1, init, w);
    bp_optimizer *o, *none;
    for (bp_optimizer_kind kind = 1; kind <= BP_DIAGONAL_LM; kind++) {
        OK(bp_optimizer_create(p, kind, 0.1, &o));
        cr_assert_eq(bp_optimizer_kind_of(o), kind);
        for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
            bool has = false;
            for (int k = row[i].kinds; k > 0; k /= 10)
                has |= k % 10 == kind;
            cr_assert_eq(bp_optimizer_set(o, row[i].option, row[i].bad), BP_ERR_ARG, "%d", (int)i);
            cr_assert_eq(bp_optimizer_set(o, row[i].option, row[i].good), has ? BP_OK : BP_ERR_ARG,
                         "kind %d, row %d", (int)kind, (int)i);
        }
        bp_optimizer_free(o);
    }
    cr_assert_eq(bp_adam_create(p, -1, &none), BP_ERR_ARG);
    cr_assert_null(none);
    cr_assert_eq(bp_sgd_create(p, 0.1, 1, &none), BP_ERR_ARG);
    cr_assert_eq(bp_optimizer_create(p, 9, 0.1, &none), BP_ERR_ARG);
    TEXT("optimizer_create: there is no kind 9");
    cr_assert_eq(bp_optimizer_create(p, 0, 0.1, &none), BP_ERR_ARG);
    cr_assert_str_eq(bp_optimizer_name(BP_NESTEROV), "nesterov");
    cr_assert_str_eq(bp_optimizer_name(0), "?");
    cr_assert_eq(bp_optimizer_step(NULL), BP_ERR_ARG);
    bp_optimizer_free(NULL);
    bp_params_free(p);
}

CLAIM(decay_of_weights_takes_them_down_beside_the_update)
{
    bp_tensor *init[] = {TENSOR(BP_SHAPE(1, 2), 4, -2), TENSOR(BP_SHAPE(1), 8)}, *w[2];
    bp_tensor *g[] = {TENSOR(BP_SHAPE(1, 2), 0, 2), TENSOR(BP_SHAPE(1), 0)};
    bp_params *p = store_of(2, init, w);
    bp_optimizer *o;
    OK(bp_optimizer_create(p, BP_LION, 0.5, &o));
    OK(bp_optimizer_set(o, BP_OPT_WEIGHT_DECAY, 0.25));
    OK(bp_optimizer_set(o, BP_OPT_DECAY_FROM, 2));
    step_with(o, 2, w, g);
    cr_assert(at(w[0], 0) == 4 && at(w[0], 1) == -2.5 && at(w[1], 0) == 8);
    step_with(o, 2, w, g);
    cr_assert_eq(at(w[0], 0), 4 * 0.875);
    cr_assert_eq(at(w[0], 1), -2.5 * 0.875 - 0.5);
    cr_assert_eq(at(w[1], 0), 8, "a bias does not decay");
    bp_optimizer_free(o);
    bp_params_free(p);
}

CLAIM(adagrad_goes_on_where_its_sum_has_no_room_left)
{
    bp_params *p;
    bp_optimizer *o;
    bp_tensor *w[1], *g[1];
    double at_end;
    OK(bp_params_create(ctx, BP_F32, &p));
    w[0] = bp_param(p, "w", BP_SHAPE(1), BP_INIT_ZERO);
    g[0] = tensor_in(ctx, BP_F32, BP_SHAPE(1), (double[]){1.3e19}, 0);
    OK(bp_optimizer_create(p, BP_ADAGRAD, 1, &o));
    for (int i = 0; i < 10; i++)
        step_with(o, 1, w, g);
    OK(bp_sync(ctx));
    at_end = at(w[0], 0); /* 2 steps of the formula, then 8 of g / sqrt(largest) */
    cr_assert_float_eq(at_end, -(1 + 1 / sqrt(2) + 8 * 1.3e19 / sqrt(FLT_MAX)), 1e-5);
    bp_optimizer_free(o);
    bp_params_free(p);
}

/* --- nothing moves on a fault ---------------------------------------------------------------- */

/* Trains `n` for three steps with `spoil` before the second; the others must be as if it had not
 * been: state and steps of a net that never took it. */
static void spoiled(bp_status status, const char *text, bp_status (*spoil)(bp_context *, void *))
{
    net n, clean;
    int64_t steps;
    OK(net_open(&n, ctx, BP_F32, 0));
    OK(bp_seed(ctx, 0)); /* the same weights */
    OK(net_open(&clean, ctx, BP_F32, 0));
    OK(net_train(&n, 0, 2));
    OK(net_train(&clean, 0, 2));
    uint64_t before = net_digest(&n);
    OK(net_batch(&n, 7));
    OK(bp_run(ctx, 0, spoil, &n));
    cr_assert_eq(bp_sync(ctx), status);
    TEXT(text);
    OK(bp_sync(ctx));
    cr_assert_eq(net_digest(&n), before, "no parameter moved");
    OK(bp_optimizer_steps(n.opt, &steps));
    cr_assert_eq(steps, 2);
    OK(net_train(&n, 2, 3)); /* moments neither, and the context is usable */
    OK(net_train(&clean, 2, 3));
    cr_assert_eq(net_digest(&n), net_digest(&clean));
    net_close(&n);
    net_close(&clean);
}

/* The step with its gradients times Inf, without the copy of the loss. */
static bp_status infinite(bp_context *c, void *user)
{
    net *n = user;
    bp_status st = bp_backward(c, bp_scale(net_loss(n), INFINITY));
    return st == BP_OK ? bp_optimizer_step(n->opt) : st;
}

static bp_status one_nan(bp_context *c, void *user)
{
    net *n = user;
    bp_tensor *b = bp_log(bp_add(bp_scale(bp_sum(n->b[2]), 0), bp_scale(bp_sum(n->b[1]), 0)));
    bp_tensor *loss = net_loss(n);
    bp_status st = bp_backward(c, bp_add(loss, bp_scale(b, 0)));
    return st == BP_OK ? bp_optimizer_step(n->opt) : st;
}

static bp_status bad_label(bp_context *c, void *user)
{
    net *n = user;
    bp_tensor *h = bp_gather(n->x, n->index);
    for (int i = 0; i < 2; i++)
        h = bp_linear_relu(h, n->w[i], n->b[i], 0);
    bp_status st = bp_backward(c, bp_cross_entropy(bp_linear(h, n->w[2], n->b[2]), n->index));
    return st == BP_OK ? bp_optimizer_step(n->opt) : st;
}

static bp_status bad_row(bp_context *c, void *user)
{
    net *n = user;
    bp_tensor *few = bp_gather(n->w[1], n->labels);      /* rows 0 .. 4 exist */
    bp_tensor *y = bp_gather(few, n->index), *bad = bp_gather(bp_reshape(n->b[2], BP_SHAPE(5, 1)),
                                                              n->index);
    bp_status st = bp_backward(c, bp_add(bp_sum(y), bp_sum(bad)));
    return st == BP_OK ? bp_optimizer_step(n->opt) : st;
}

CLAIM(an_infinite_gradient_changes_nothing_and_is_told_at_the_next_wait)
{
    spoiled(BP_ERR_NONFINITE, "optimizer_step: step 3: the gradient of layer1.weight [0,0] is NaN; "
                              "nothing was changed", infinite);
}

CLAIM(a_nan_in_one_gradient_changes_nothing)
{
    spoiled(BP_ERR_NONFINITE, "optimizer_step: step 3: the gradient of layer2.bias [0] is NaN; "
                              "nothing was changed", one_nan);
}

CLAIM(a_label_out_of_range_changes_nothing_and_is_named)
{
    int32_t first = (7 * NET_BATCH) * 41 % NET_ROWS; /* of batch 7: not a class */
    char text[96];
    cr_assert_geq(first, NET_CLASSES);
    snprintf(text, sizeof text, "cross_entropy: index %d is out of range; step 3 changed nothing",
             (int)first);
    spoiled(BP_ERR_RANGE, text, bad_label);
}

CLAIM(a_row_out_of_range_changes_nothing_and_is_named)
{
    int32_t first = (7 * NET_BATCH) * 41 % NET_ROWS;
    char text[96];
    snprintf(text, sizeof text, "gather: index %d is out of range; step 3 changed nothing",
             (int)first);
    spoiled(BP_ERR_RANGE, text, bad_row);
}

CLAIM(every_kernel_that_takes_an_index_checks_it)
{
    bp_tensor *x = random_tensor(BP_SHAPE(3, 2), 1), *v = random_tensor(BP_SHAPE(2), 2);
    bp_tensor *bad = INTS(BP_SHAPE(3), 1, -1, 1), *s = NUMBER(1), *y[6];
    for (int what = 0; what < 6; what++) {
        begin();
        switch (what) {
        case 0: y[0] = bp_gather(x, bad); break;
        case 1: y[0] = bp_gather_normalized(x, bad, v, v, BP_F64); break;
        case 2: y[0] = bp_scatter_rows(x, bad, 2); break;
        case 3: y[0] = bp_nll_loss(x, bad); break;
        case 4: y[0] = bp_nll_spread(s, bad, 2); break;
        default: y[0] = bp_cross_entropy(x, bad);
        }
        cr_assert(y[0], "%s", bp_error_text(ctx));
        cr_assert_eq(bp_sync(ctx), BP_ERR_RANGE, "op %d", what);
        cr_assert(strstr(bp_error_text(ctx), ": index -1 is out of range"), "%s",
                  bp_error_text(ctx));
        cr_assert_eq(bp_scope_end(ctx), BP_ERR_RANGE);
        OK(bp_sync(ctx));
    }
    begin(); /* what stands in for a bad row */
    bp_tensor *rows = bp_keep(bp_gather(x, bad));
    end();
    cr_assert_eq(bp_sync(ctx), BP_ERR_RANGE);
    cr_assert_eq(at(rows, 2), 0);
    cr_assert_eq(at(rows, 4), at(x, 2));
}

CLAIM(a_read_reports_the_fault_too)
{
    bp_tensor *x = NUMBER(1), *rows;
    double v;
    begin();
    rows = bp_keep(bp_gather(TENSOR(BP_SHAPE(1), 5), INTS(BP_SHAPE(1), 9)));
    end();
    cr_assert(rows);
    cr_assert_eq(bp_read(x, &v, sizeof v), BP_ERR_RANGE, "of any tensor: it waits for all");
    TEXT("gather: index 9 is out of range");
    OK(bp_read(x, &v, sizeof v));
}

CLAIM(an_optimiser_outlives_its_store_and_says_so)
{
    bp_tensor *init[] = {NUMBER(1)}, *w[1], *g[] = {NUMBER(1)};
    bp_params *p = store_of(1, init, w);
    bp_optimizer *o, *later;
    int64_t steps;
    OK(bp_adam_create(p, 0.5, &o));
    step_with(o, 1, w, g);
    bp_params_free(p);
    p = store_of(1, init, w); /* not its own, wherever it lies */
    cr_assert_eq(bp_optimizer_step(o), BP_ERR_STATE);
    TEXT("optimizer_step: its parameter store was freed");
    OK(bp_optimizer_steps(o, &steps));
    cr_assert_eq(steps, 1);
    OK(bp_adam_create(p, 0.5, &later));
    bp_optimizer_free(o);
    step_with(later, 1, w, g);
    bp_optimizer_free(later);
    bp_params_free(p);
}
