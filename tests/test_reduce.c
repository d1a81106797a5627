/* Reductions: what they refuse, sizes 0 and 1, integers, what NaN and infinity do to long rows. */
#include "suite.h"

#define CLAIM(name) Test(reduce, name, .init = setup, .fini = teardown)

/* `call`, in a scope of its own, is refused with this text. */
#define REFUSED(status, text, call)   \
    do {                              \
        begin();                      \
        cr_assert_null(call);         \
        end_with(status, text);       \
    } while (0)

CLAIM(what_does_not_fit_is_named)
{
    bp_tensor *m = random_tensor(BP_SHAPE(2, 3), 0), *none = random_tensor(BP_SHAPE(2, 0), 1);
    bp_tensor *i = INTS(BP_SHAPE(3), 0, 1, 0), *s = NUMBER(1);
    REFUSED(BP_ERR_SHAPE, "sum: axes 0x4 of [2,3]", bp_sum_axes(m, BP_AXIS(2), 0));
    REFUSED(BP_ERR_SHAPE, "sum: axes 0x80000000 of [2,3]", bp_sum_axes(m, BP_AXIS(31), 0));
    REFUSED(BP_ERR_SHAPE, "max: x [2,0] has nothing along axis 1", bp_max(none));
    REFUSED(BP_ERR_SHAPE, "min: x [2,0] has nothing along axis 1", bp_min_axes(none, 2, 1));
    REFUSED(BP_ERR_SHAPE, "argmax: x [2,0] has nothing along axis 1", bp_argmax(none, 1));
    REFUSED(BP_ERR_SHAPE, "argmax: no such axis of [2,3]", bp_argmax(m, 2));
    REFUSED(BP_ERR_SHAPE, "argmin: no such axis of [2,3]", bp_argmin(m, -1));
    REFUSED(BP_ERR_SHAPE, "argmin: no such axis of []", bp_argmin(s, 0));
    REFUSED(BP_ERR_DTYPE, "norm_l2: x is i32, not f32 or f64", bp_norm_l2(i));
    REFUSED(BP_ERR_DTYPE, "logsumexp: x is i32, not f32 or f64", bp_logsumexp(i));
    REFUSED(BP_ERR_DTYPE, "variance: x is i32, not f32 or f64", bp_variance(i, 0));
    REFUSED(BP_ERR_ARG, "variance: correction is 2: 0 or 1 is wanted", bp_variance(m, 2));
    REFUSED(BP_ERR_ARG, "std: correction is -1: 0 or 1 is wanted", bp_std_axes(m, 1, -1, 0));
    REFUSED(BP_ERR_SHAPE, "cumsum: axis 2 of [2,3]", bp_cumsum(m, 2, 0));
    REFUSED(BP_ERR_SHAPE, "cumsum: axis -1 of [2,3]", bp_cumsum(m, -1, 0));
    REFUSED(BP_ERR_DTYPE, "sort: x is i32, not f32 or f64", bp_sort(i, 0, 0, NULL));
    REFUSED(BP_ERR_SHAPE, "sort: no such axis of [2,3]", bp_sort(m, 2, 0, NULL));
    REFUSED(BP_ERR_SHAPE, "top_k: x [2,3]: the first 4 of 3", bp_top_k(m, 4, 1, 0, NULL));
    REFUSED(BP_ERR_SHAPE, "top_k: x [2,3]: the first -1 of 3", bp_top_k(m, -1, 1, 0, NULL));
    REFUSED(BP_ERR_SHAPE, "top_k: no such axis of []", bp_top_k(s, 1, 0, 0, NULL));
    REFUSED(BP_ERR_DTYPE, "cumsum: x is i32, not f32 or f64", bp_cumsum(i, 0, 0));
}

static double number(bp_tensor *t)
{
    double v = -99;
    int32_t n = -99;
    if (bp_dtype_of(t) == BP_I32)
        cr_assert_eq(bp_read(t, &n, sizeof n), BP_OK, "%s", bp_error_text(ctx));
    else
        cr_assert_eq(bp_read(t, &v, sizeof v), BP_OK, "%s", bp_error_text(ctx));
    return bp_dtype_of(t) == BP_I32 ? n : v;
}

CLAIM(over_no_elements)
{
    bp_tensor *none = random_tensor(BP_SHAPE(0, 3), 0);
    begin();
    cr_assert_eq(number(bp_sum(none)), 0);
    cr_assert_eq(number(bp_norm_l2(none)), 0);
    cr_assert_eq(number(bp_logsumexp(none)), -INFINITY);
    cr_assert(isnan(number(bp_mean(none))));
    cr_assert(isnan(number(bp_variance(none, 0))));
    cr_assert(isnan(number(bp_std(none, 1))));
    cr_assert_eq(number(bp_count_nonzero(none)), 0);
    cr_assert_eq(number(bp_any(none)), 0);
    cr_assert_eq(number(bp_all(none)), 1);
    bp_shape kept = bp_shape_of(bp_max_axes(none, BP_AXIS(1), 1));
    cr_assert(kept.ndim == 2 && kept.dim[0] == 0 && kept.dim[1] == 1);
    end();
}

CLAIM(integers_stay_integers_and_are_held_at_their_ends)
{
    bp_tensor *i = INTS(BP_SHAPE(3), 2000000000, -7, 2000000000);
    begin();
    cr_assert_eq(number(bp_sum(i)), INT32_MAX);
    cr_assert_eq(number(bp_max(i)), 2000000000);
    cr_assert_eq(number(bp_min(i)), -7);
    cr_assert_eq(number(bp_argmax(i, 0)), 0);
    cr_assert_eq(number(bp_argmin(i, 0)), 1);
    cr_assert_eq(bp_dtype_of(bp_mean(i)), BP_F64);
    cr_assert_float_eq(number(bp_mean(i)), 3999999993.0 / 3, 1e-6);
    end();
}

CLAIM(a_place_has_no_gradient_and_asks_for_none)
{
    bp_tensor *m = random_tensor(BP_SHAPE(2, 3), 0), *dx;
    begin();
    bp_tensor *x = bp_require_grad(m);
    bp_tensor *y = bp_sum(bp_gather(x, bp_argmax(x, 0)));
    bp_tensor *one = NUMBER(1);
    cr_assert_eq(bp_grad(ctx, y, one, &x, 1, 0, &dx), BP_OK, "%s", bp_error_text(ctx));
    cr_assert_eq(number(bp_sum(dx)), 9);
    end();
}

/* Far from 0, where the mean of the squares less the square of the mean would have no digit. */
CLAIM(a_variance_does_not_cancel)
{
    enum { N = 100000 };
    static double x[N];
    for (int i = 0; i < N; i++)
        x[i] = 1e9 + i % 2;
    x[0] = 1e9 + 1;
    bp_tensor *t = tensor_in(ctx, BP_F64, BP_SHAPE(N), x, 0);
    begin();
    cr_assert_float_eq(number(bp_variance(t, 0)), 0.25, 1e-9);
    cr_assert_float_eq(number(bp_std(t, 0)), 0.5, 1e-9);
    end();
}

CLAIM(a_norm_has_no_overflow_in_f32_and_no_gradient_at_0)
{
    float big[2] = {3e30f, 4e30f}, f;
    bp_tensor *zero = tensor_in(ctx, BP_F64, BP_SHAPE(3), (double[3]){0}, 0), *dx;
    bp_tensor *t = bp_tensor_create(ctx, BP_F32, BP_SHAPE(2));
    cr_assert_eq(bp_write(t, big, sizeof big), BP_OK);
    begin();
    cr_assert_eq(bp_read(bp_norm_l2(t), &f, sizeof f), BP_OK);
    cr_assert_float_eq(f / 5e30f, 1, 1e-6);
    bp_tensor *x = bp_require_grad(zero), *one = NUMBER(1);
    cr_assert_eq(bp_grad(ctx, bp_norm_l2(x), one, &x, 1, 0, &dx), BP_OK);
    cr_assert_eq(number(bp_norm_l1(dx)), 0);
    end();
    bp_free(t);
}
