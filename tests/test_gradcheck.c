/* bp_gradcheck: that it passes what is right, finds what is wrong, and leaves all as it was. */
#include "suite.h"

#define CLAIM(name) Test(gradcheck, name, .init = setup, .fini = teardown)

static bp_gradcheck_report checked(bp_function f, void *user, bp_tensor *const *x, int32_t n,
                                   int64_t directions)
{
    bp_gradcheck_report r = {.struct_bytes = sizeof r};
    OK(bp_gradcheck(ctx, f, user, x, n, directions, &r));
    return r;
}

static bp_tensor *network(bp_context *c, bp_tensor *const *x, void *user)
{
    bp_tensor *h = bp_elu(bp_linear(x[0], x[1], x[2]), 1);
    (void)c;
    return bp_log_softmax(user ? bp_dropout(h, 0.5) : h, 1);
}

CLAIM(what_is_right_passes)
{
    bp_tensor *x[3] = {random_tensor(BP_SHAPE(5, 3), 1), random_tensor(BP_SHAPE(4, 3), 2),
                       random_tensor(BP_SHAPE(4), 3)};
    bp_gradcheck_report r = checked(network, NULL, x, 3, 0);
    cr_assert(r.checked == 15 + 12 + 4 && r.wrong == 0 && r.kinks == 0);
    cr_assert(r.input >= 0 && fabs(r.analytic - r.numeric) < 1e-8);
    r = checked(network, NULL, x, 3, 7);
    cr_assert(r.checked == 7 && r.wrong == 0 && r.kinks == 0 && r.input == -1 && r.index >= 0);
}

/* y is a gradient itself: 3 x^2. */
static bp_tensor *slope_of_cube(bp_context *c, bp_tensor *const *x, void *user)
{
    bp_tensor *dx, *cubes = bp_mul(x[0], bp_square(x[0]));
    (void)user;
    return bp_grad_scalar(c, bp_sum(cubes), x, 1, BP_CREATE_GRAPH, &dx) == BP_OK ? dx : NULL;
}

CLAIM(a_function_may_differentiate)
{
    bp_tensor *x = random_tensor(BP_SHAPE(3), 1);
    bp_gradcheck_report r = checked(slope_of_cube, NULL, &x, 1, 0);
    cr_assert(r.checked == 3 && r.wrong == 0 && r.kinks == 0);
    bp_free(x);
}

/* --- an op with a wrong gradient ------------------------------------------------------------- */

static bp_status like(const bp_view *in, bp_view *out, const void *params, char *why)
{
    (void)params, (void)why;
    *out = *in;
    return BP_OK;
}

static bp_status square_kernel(bp_exec *ex, const bp_view *in, const bp_view *out,
                               const void *params)
{
    const double *x = in->data;
    double *y = out->data;
    (void)ex, (void)params;
    for (int64_t i = 0; i < bp_shape_count(in->shape); i++)
        y[i] = x[i] * x[i];
    return BP_OK;
}

/* dx = 2 dy x, times `factor` of each element. */
static bp_tensor *factor;

static bp_status square_gradient(bp_grad_call *c)
{
    c->dx[0] = bp_mul(bp_scale(bp_mul(c->dout[0], c->in[0]), 2), factor);
    return BP_OK;
}

static bp_tensor *square(bp_context *c, bp_tensor *const *x, void *user)
{
    (void)c;
    return bp_op_apply(user, (bp_tensor *[]){x[1]}, NULL, NULL);
}

Test(gradcheck, the_wrong_element_is_named)
{
    OK(bp_open("cpu", &ctx)); /* the op has a kernel for it alone */
    bp_op_def def = {.struct_bytes = sizeof def, .name = "square", .n_in = 1, .n_out = 1,
                     .saves_in = 1, .infer = like, .forward = square_kernel,
                     .gradient = square_gradient};
    bp_tensor *x[2] = {random_tensor(BP_SHAPE(3), 1), TENSOR(BP_SHAPE(4), 1, -2, 3, 0.5)};
    bp_op *op;
    OK(bp_op_register(ctx, &def, &op));
    factor = TENSOR(BP_SHAPE(4), 1, 1, 1, 1);
    cr_assert_eq(checked(square, op, x, 2, 0).wrong, 0);
    factor = TENSOR(BP_SHAPE(4), 1, 1.001, 1, -1);
    bp_gradcheck_report r = checked(square, op, x, 2, 0);
    cr_assert(r.checked == 7 && r.wrong == 2 && r.kinks == 0);
    cr_assert(r.input == 1 && r.index == 3, "the sign is worse");
    cr_assert_float_eq(r.analytic, -r.numeric, 1e-8);
    cr_assert_eq(checked(square, op, x, 2, 5).wrong, 5);
    factor = TENSOR(BP_SHAPE(4), 1, 1, NAN, 1);
    r = checked(square, op, x, 2, 0);
    cr_assert(r.wrong == 1 && r.index == 2 && isnan(r.analytic));
    bp_close(ctx);
}

/* --- what is no function of x alone, or has kinks -------------------------------------------- */

static bp_tensor *rectified(bp_context *c, bp_tensor *const *x, void *user)
{
    (void)c, (void)user;
    return bp_relu(x[0]);
}

CLAIM(kinks_are_counted_and_not_judged)
{
    bp_tensor *x = TENSOR(BP_SHAPE(4), 1, 0, -1, 1e-6);
    bp_gradcheck_report r = checked(rectified, NULL, &x, 1, 0);
    cr_assert(r.checked == 4 && r.wrong == 0 && r.kinks == 2, "%d %d at %d", (int)r.kinks,
              (int)r.wrong, (int)r.index);
}

static bp_tensor *drifting(bp_context *c, bp_tensor *const *x, void *user)
{
    int *calls = user;
    (void)c;
    return bp_scale(x[0], 1 + 0.1 * (++*calls % 7));
}

CLAIM(a_function_that_drifts_is_all_kinks)
{
    int calls = 0;
    bp_tensor *x = random_tensor(BP_SHAPE(4), 0);
    bp_gradcheck_report r = checked(drifting, &calls, &x, 1, 0);
    cr_assert(r.kinks + r.wrong == 4);
}

static void mask(double *to)
{
    bp_tensor *x = random_tensor(BP_SHAPE(16), 0);
    OK(bp_read_f64(bp_dropout(x, 0.5), to, 16));
}

CLAIM(dropout_draws_the_same_in_every_call_and_the_stream_stays)
{
    bp_tensor *x[3] = {random_tensor(BP_SHAPE(5, 3), 1), random_tensor(BP_SHAPE(4, 3), 2),
                       random_tensor(BP_SHAPE(4), 3)};
    double before[16], after[16];
    OK(bp_seed(ctx, 4));
    begin();
    mask(before);
    end();
    OK(bp_seed(ctx, 4));
    cr_assert_eq(checked(network, "dropout", x, 3, 0).wrong, 0);
    begin();
    mask(after);
    cr_assert_eq(memcmp(before, after, sizeof before), 0);
    bp_gradcheck_report r = checked(network, "dropout", x, 3, 0);
    cr_assert(r.wrong == 0 && r.kinks == 0);
    end();
}

/* --- wrong calls ----------------------------------------------------------------------------- */

static bp_tensor *narrow_of(bp_context *c, bp_tensor *const *x, void *user)
{
    (void)c, (void)user;
    return bp_cast(x[0], BP_F32);
}

static bp_tensor *no_tensor(bp_context *c, bp_tensor *const *x, void *user)
{
    (void)c, (void)x, (void)user;
    return NULL;
}

static bp_tensor *ends_scopes(bp_context *c, bp_tensor *const *x, void *user)
{
    (void)user, (void)x;
    while (bp_scope_end(c) == BP_OK)
        ;
    return NULL;
}

static bp_status checks(bp_context *c, void *user)
{
    bp_gradcheck_report r = {.struct_bytes = sizeof r};
    return bp_gradcheck(c, rectified, NULL, user, 1, 0, &r);
}

CLAIM(a_wrong_call_is_told)
{
    bp_tensor *x = TENSOR(BP_SHAPE(2), 1, 2), *f32 = tensor_in(ctx, BP_F32, BP_SHAPE(2), NULL, 0);
    bp_gradcheck_report r = {.struct_bytes = sizeof r, .checked = 77};
    bp_plan *plan;
    cr_assert_eq(bp_gradcheck(ctx, rectified, NULL, &f32, 1, 0, &r), BP_ERR_DTYPE);
    TEXT("gradcheck: x[0] is f32; f64 is wanted");
    cr_assert_eq(bp_gradcheck(ctx, narrow_of, NULL, &x, 1, 0, &r), BP_ERR_DTYPE);
    TEXT("gradcheck: the function gives f32; f64 is wanted");
    cr_assert_eq(bp_gradcheck(ctx, no_tensor, NULL, &x, 1, 0, &r), BP_ERR_ARG);
    TEXT("gradcheck: what the function gives is NULL");
    cr_assert_eq(bp_gradcheck(ctx, rectified, NULL, &x, 1, -1, &r), BP_ERR_ARG);
    TEXT("gradcheck: 1 tensors and -1 directions; 1 to 64, and 0 or more, are wanted");
    cr_assert_eq(bp_gradcheck(ctx, ends_scopes, NULL, &x, 1, 0, &r), BP_ERR_STATE);
    cr_assert_eq(bp_plan_record(ctx, checks, &x, &plan), BP_ERR_STATE);
    TEXT("gradcheck: not while a plan is recorded");
    r.struct_bytes = 0;
    r.checked = 77;
    cr_assert_eq(bp_gradcheck(ctx, rectified, NULL, &x, 1, 0, &r), BP_ERR_ARG);
    TEXT("gradcheck: struct_bytes is 0, not the size of the report");
    cr_assert_eq(r.checked, 77, "of a size that cannot be, nothing is touched");
    r.struct_bytes = sizeof r;
    cr_assert_eq(bp_gradcheck(ctx, rectified, NULL, &x, 1, -1, &r), BP_ERR_ARG);
    cr_assert(r.checked == 0 && r.struct_bytes == sizeof r, "a failure leaves no other's report");
    bp_tensor *none = random_tensor(BP_SHAPE(0, 3), 0);
    cr_assert_eq(checked(rectified, NULL, &none, 1, 0).checked, 0);
    cr_assert_eq(checked(rectified, NULL, &none, 1, 2).wrong, 0);
}
