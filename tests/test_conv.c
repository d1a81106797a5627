/* Convolutions and pools: what a wrong call is told, which of equals a pool takes, what NaN does,
 * and that a step of such layers is a plan. */
#include "suite.h"

#define CLAIM(name) Test(conv, name, .init = setup, .fini = teardown)

/* Refused on every device, by the shape rule. */
#define NO_CONV(text, x_shape, w_shape, ...)                                                    \
    do {                                                                                        \
        bp_tensor *x = random_tensor(x_shape, 0), *w = random_tensor(w_shape, 1);               \
        REFUSED(BP_ERR_SHAPE, text, bp_conv2d_unbiased(x, w, ((bp_window){__VA_ARGS__})));      \
        bp_free(x);                                                                             \
        bp_free(w);                                                                             \
    } while (0)

CLAIM(channels_and_groups_must_fit)
{
    NO_CONV("conv2d_unbiased: x [64,28,28,3], w [32,3,3,1]: 3 channels in 1 group want [32,R,S,3]",
            BP_SHAPE(64, 28, 28, 3), BP_SHAPE(32, 3, 3, 1), .groups = 0);
    NO_CONV("conv2d_unbiased: x [2,8,8,6], w [4,3,3,6]: 6 channels in 2 groups want [4,R,S,3]",
            BP_SHAPE(2, 8, 8, 6), BP_SHAPE(4, 3, 3, 6), .groups = 2);
    NO_CONV("conv2d_unbiased: x [2,8,8,6], w [4,3,3,1]: 4 groups do not divide 6 channels",
            BP_SHAPE(2, 8, 8, 6), BP_SHAPE(4, 3, 3, 1), .groups = 4);
    NO_CONV("conv2d_unbiased: x [2,8,8,6], w [4,3,3,1]: 6 groups do not divide 4 filters",
            BP_SHAPE(2, 8, 8, 6), BP_SHAPE(4, 3, 3, 1), .groups = 6);
    NO_CONV("conv2d_unbiased: x [8,8,6]: [N,H,W,C] is wanted, of sizes from 1 (N: 0) to 2^31 - 1",
            BP_SHAPE(8, 8, 6), BP_SHAPE(4, 3, 3, 6), .groups = 1);
    NO_CONV("conv2d_unbiased: x [2,8,8,6], w [4,3,3]: filters [O,R,S,C/groups] are wanted, of "
            "sizes from 1 to 2^31 - 1", BP_SHAPE(2, 8, 8, 6), BP_SHAPE(4, 3, 3), .groups = 1);
    NO_CONV("conv2d_unbiased: x [2,0,8,6]: [N,H,W,C] is wanted, of sizes from 1 (N: 0) to 2^31 - 1",
            BP_SHAPE(2, 0, 8, 6), BP_SHAPE(4, 3, 3, 6), .groups = 1);
    bp_tensor *x = random_tensor(BP_SHAPE(2, 5, 5, 3), 0), *b = random_tensor(BP_SHAPE(3), 1);
    bp_tensor *w = random_tensor(BP_SHAPE(4, 3, 3, 3), 2);
    bp_tensor *f = tensor_in(ctx, BP_F32, BP_SHAPE(4), NULL, 3);
    REFUSED(BP_ERR_SHAPE, "conv2d_relu: w [4,3,3,3], b [3]: a bias [4] is wanted",
            bp_conv2d_relu(x, w, b, (bp_window){0}));
    REFUSED(BP_ERR_DTYPE, "conv2d: x is f64, b is f32: equal and real dtypes are wanted",
            bp_conv2d(x, w, f, (bp_window){0}));
    bp_free(x), bp_free(b), bp_free(w), bp_free(f);
}

CLAIM(a_window_must_have_a_place)
{
    NO_CONV("conv2d_unbiased: x [1,4,9,2]: a window over 5 rows has no place in 4, padding "
            "included",
            BP_SHAPE(1, 4, 9, 2), BP_SHAPE(3, 5, 5, 2), .groups = 1);
    NO_CONV("conv2d_unbiased: x [1,9,4,2]: a window over 7 columns has no place in 6, padding "
            "included",
            BP_SHAPE(1, 9, 4, 2), BP_SHAPE(3, 3, 3, 2), .dilation = {1, 3}, .pad = {0, 1, 0, 1});
    NO_CONV("conv2d_unbiased: x [1,4,4,1]: y would have 2147483648 rows, more than 2^31 - 1",
            BP_SHAPE(1, 4, 4, 1), BP_SHAPE(1, 1, 1, 1), .pad = {INT32_MAX - 3, 0, 0, 0});
    bp_tensor *x = random_tensor(BP_SHAPE(1, 4, 4, 2), 0);
    bp_tensor *w = random_tensor(BP_SHAPE(3, 3, 3, 2), 1);
    REFUSED(BP_ERR_ARG, "conv2d_unbiased: a stride of -1 across: 1 or more is wanted",
            bp_conv2d_unbiased(x, w, (bp_window){.stride = {1, -1}}));
    REFUSED(BP_ERR_ARG, "conv2d_unbiased: a dilation of -2 down: 1 or more is wanted",
            bp_conv2d_unbiased(x, w, (bp_window){.dilation = {-2, 1}}));
    REFUSED(BP_ERR_ARG, "conv2d_unbiased: padding of -1 at the bottom: 0 or more is wanted",
            bp_conv2d_unbiased(x, w, (bp_window){.pad = {0, 0, -1, 0}}));
    REFUSED(BP_ERR_ARG, "conv2d_unbiased: -2 groups: 1 or more are wanted",
            bp_conv2d_unbiased(x, w, (bp_window){.groups = -2}));
    bp_free(x), bp_free(w);
}

CLAIM(gradients_by_hand_must_fit_too)
{
    bp_tensor *y = random_tensor(BP_SHAPE(1, 3, 3, 4), 0);
    bp_tensor *w = random_tensor(BP_SHAPE(4, 3, 3, 2), 1);
    bp_tensor *x = random_tensor(BP_SHAPE(1, 5, 5, 2), 2);
    REFUSED(BP_ERR_SHAPE, "conv2d_input: y [1,3,3,4]: images of 6 x 5 give [1,4,3,4]",
            bp_conv2d_input(y, w, 6, 5, (bp_window){0}));
    REFUSED(BP_ERR_SHAPE, "conv2d_input: x [1,0,5,2]: [N,H,W,C] is wanted, of sizes from 1 (N: 0) "
            "to 2^31 - 1", bp_conv2d_input(y, w, 0, 5, (bp_window){0}));
    REFUSED(BP_ERR_SHAPE, "conv2d_filter: y [1,3,3,4]: images of 5 x 5 give [1,4,4,4]",
            bp_conv2d_filter(y, x, 2, 2, (bp_window){0}));
    REFUSED(BP_ERR_SHAPE, "conv2d_filter: x [1,5,5,2], w [4,3,3,2]: 3 groups do not divide 2 "
            "channels", bp_conv2d_filter(y, x, 3, 3, (bp_window){.groups = 3}));
    bp_free(y), bp_free(w), bp_free(x);
}

CLAIM(a_pool_takes_the_first_of_equals_and_any_nan)
{
    bp_tensor *x = TENSOR(BP_SHAPE(1, 2, 6, 1), 3, 1, 1, 2, -INFINITY, -INFINITY,
                          3, 3, 2, NAN, -INFINITY, NAN), *places;
    begin();
    bp_tensor *y = bp_max_pool(x, 2, 2, (bp_window){0}, &places);
    cr_assert_eq(at(y, 0), 3);
    cr_assert(isnan(at(y, 1)) && isnan(at(y, 2)));
    cr_assert_eq(at(places, 0), 0);
    cr_assert_eq(at(places, 1), 3);
    cr_assert_eq(at(places, 2), 3);
    cr_assert_eq(bp_dtype_of(places), BP_U8);
    cr_assert_eq(at(bp_max_pick(x, places, 2, 2, (bp_window){0}), 0), 3);
    y = bp_max_pool(bp_slice(x, 2, 4, 5, 1), 2, 1, (bp_window){0}, NULL);
    cr_assert_eq(at(y, 0), -INFINITY);
    end();
    bp_free(x);
}

CLAIM(a_pool_says_what_it_lacks)
{
    bp_tensor *x = random_tensor(BP_SHAPE(1, 4, 4, 2), 0), *places;
    bp_tensor *big = random_tensor(BP_SHAPE(1, 20, 20, 1), 1);
    bp_tensor *k = INTS(BP_SHAPE(1, 2, 2, 2), 0, 0, 0, 0, 0, 0, 0, 0);
    begin();
    cr_assert_null(bp_max_pool(x, 2, 2, (bp_window){.pad = {2, 0, 0, 0}}, &places));
    cr_assert_null(places);
    end_with(BP_ERR_SHAPE, "max_pool: x [1,4,4,2]: padding 2 and 0 down leaves a window of 2 "
             "without a pixel");
    REFUSED(BP_ERR_SHAPE, "avg_pool: x [1,4,4,2]: padding 0 and 3 across leaves a window of 2 "
            "without a pixel",
            bp_avg_pool(x, 2, 2, (bp_window){.stride = {1, 1}, .pad = {0, 0, 0, 3}}));
    REFUSED(BP_ERR_SHAPE, "avg_pool: x [1,4,4,2]: padding 1 and 4 down leaves a window of 2 "
            "without a pixel",
            bp_avg_pool(x, 2, 2, (bp_window){.dilation = {5, 1}, .pad = {1, 0, 4, 0}}));
    REFUSED(BP_ERR_ARG, "avg_pool: 2 groups: a pool has none",
            bp_avg_pool(x, 2, 2, (bp_window){.groups = 2}));
    REFUSED(BP_ERR_SHAPE, "max_pool: a window of 17 x 16: at most 256 pixels are wanted",
            bp_max_pool(big, 17, 16, (bp_window){0}, &places));
    REFUSED(BP_ERR_SHAPE, "max_pool: a window of -1 rows: 1 to 2^31 - 1 are wanted",
            bp_max_pool(x, -1, 2, (bp_window){0}, NULL));
    REFUSED(BP_ERR_SHAPE, "avg_pool: a window of 0 rows: 1 to 2^31 - 1 are wanted",
            bp_avg_pool(x, 0, 2, (bp_window){0}));
    REFUSED(BP_ERR_DTYPE, "max_pick: places are i32 [1,2,2,2]: u8 [1,2,2,2] is wanted",
            bp_max_pick(x, k, 2, 2, (bp_window){0}));
    REFUSED(BP_ERR_DTYPE, "global_avg_pool: x is i32, not f32 or f64", bp_global_avg_pool(k));
    REFUSED(BP_ERR_ARG, "upsample_nearest: 0 x 2 times: 1 to 2^31 - 1 are wanted",
            bp_upsample_nearest(x, 0, 2));
    REFUSED(BP_ERR_ARG, "upsample_bilinear: images of 3 x -1: sizes from 1 to 2^31 - 1 are wanted",
            bp_upsample_bilinear(x, 3, -1));
    bp_free(x), bp_free(big), bp_free(k);
}

/* --- a step of such layers -------------------------------------------------------------------- */

typedef struct small_net {
    bp_tensor *x, *labels, *w, *b, *head, *head_b, *loss;
    bp_params *params;
    bp_optimizer *sgd;
} small_net;

static bp_status step(bp_context *c, void *user)
{
    small_net *n = user;
    bp_tensor *h = bp_conv2d_relu(n->x, n->w, n->b, (bp_window){.pad = {1, 1, 1, 1}});
    h = bp_max_pool(h, 2, 2, (bp_window){0}, NULL);
    bp_tensor *y = bp_linear(bp_reshape(h, BP_SHAPE(4, 3 * 3 * 5)), n->head, n->head_b);
    bp_tensor *loss = bp_cross_entropy(y, n->labels);
    bp_status st = bp_backward(c, loss);
    st = st == BP_OK ? bp_copy_into(n->loss, loss) : st;
    return st == BP_OK ? bp_optimizer_step(n->sgd) : st;
}

static void open_net(small_net *n)
{
    OK(bp_seed(ctx, 3));
    OK(bp_params_create(ctx, BP_F64, &n->params));
    n->w = bp_param(n->params, "w", BP_SHAPE(5, 3, 3, 2), BP_INIT_HE);
    n->b = bp_param(n->params, "b", BP_SHAPE(5), BP_INIT_ZERO);
    n->head = bp_param(n->params, "head", BP_SHAPE(3, 45), BP_INIT_LECUN);
    n->head_b = bp_param(n->params, "head_b", BP_SHAPE(3), BP_INIT_ZERO);
    n->x = random_tensor(BP_SHAPE(4, 6, 6, 2), 1);
    n->labels = INTS(BP_SHAPE(4), 0, 1, 2, 1);
    n->loss = NUMBER(0);
    OK(bp_sgd_create(n->params, 0.1, 0.9, &n->sgd));
}

static void close_net(small_net *n)
{
    bp_optimizer_free(n->sgd);
    bp_params_free(n->params);
    bp_free(n->x), bp_free(n->labels), bp_free(n->loss);
}

CLAIM(a_step_of_a_convolution_is_a_plan)
{
    double called, replayed;
    small_net n = {0};
    bp_plan *plan;
    open_net(&n);
    for (int i = 0; i < 30; i++)
        OK(bp_run(ctx, 0, step, &n));
    called = at(n.loss, 0);
    close_net(&n);
    open_net(&n);
    OK(bp_run(ctx, 0, step, &n));
    OK(bp_plan_record(ctx, step, &n, &plan));
    bp_stats before, after;
    bp_stats_of(ctx, &before, sizeof before);
    OK(bp_plan_replay(plan, 28));
    bp_stats_of(ctx, &after, sizeof after);
    replayed = at(n.loss, 0);
    bp_plan_free(plan);
    close_net(&n);
    cr_assert_eq(called, replayed, "%.17g and %.17g", called, replayed);
    cr_assert_lt(called, 0.1, "it learns: %g", called);
    cr_assert_eq(after.allocations, before.allocations);
}
