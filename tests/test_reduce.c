/* Reductions: what they refuse, sizes 0 and 1, integers, what NaN and infinity do to long rows. */
#include "suite.h"

#define CLAIM(name) Test(reduce, name, .init = setup, .fini = teardown)

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
    REFUSED(BP_ERR_SHAPE, "argmin: no such axis of [2,3]", bp_argmin(m, -3));
    REFUSED(BP_ERR_SHAPE, "argmin: no such axis of []", bp_argmin(s, 0));
    REFUSED(BP_ERR_DTYPE, "norm_l2: x is i32, not f32 or f64", bp_norm_l2(i));
    REFUSED(BP_ERR_DTYPE, "logsumexp: x is i32, not f32 or f64", bp_logsumexp(i));
    REFUSED(BP_ERR_DTYPE, "variance: x is i32, not f32 or f64", bp_variance(i, 0));
    REFUSED(BP_ERR_ARG, "variance: correction is 2: 0 or 1 is wanted", bp_variance(m, 2));
    REFUSED(BP_ERR_ARG, "std: correction is -1: 0 or 1 is wanted", bp_std_axes(m, 1, -1, 0));
    REFUSED(BP_ERR_SHAPE, "cumsum: axis 2 of [2,3]", bp_cumsum(m, 2, 0));
    REFUSED(BP_ERR_SHAPE, "cumsum: axis -3 of [2,3]", bp_cumsum(m, -3, 0));
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

/* What `op` of n elements, `step` apart, must be. */
static double expected(int op, const double *x, int64_t n, int64_t step)
{
    double sum = 0, squares = 0, terms = 0;
    int64_t best = 0;
    for (int64_t i = 0; i < n; i++) {
        sum += x[i * step];
        best = x[i * step] > x[best * step] ? i : best;
    }
    for (int64_t i = 0; i < n; i++) {
        squares += (x[i * step] - sum / (double)n) * (x[i * step] - sum / (double)n);
        terms += exp(x[i * step] - x[best * step]);
    }
    return op == 0 ? sum : op == 1 ? squares / (double)n : op == 2 ? x[best * step]
         : op == 3 ? (double)best : x[best * step] + log(terms);
}

/* Runs and strips, long and short, whole and with a rest, as they lie and through a buffer. */
CLAIM(each_way_through_memory_gives_the_same)
{
    static const int64_t sizes[] = {1, 3, 10, 33, 100, 255, 257, 1034};
    static double x[1034 * 1034], y[1034];
    static int32_t place[1034];
    for (int64_t i = 0; i < 1034 * 1034; i++)
        x[i] = (double)((i * 7919) % 10007) / 1000 - 5; /* with equal ones */
    for (int c = 0; c < 64 * 4; c++) {
        const int64_t rows = sizes[c % 8], cols = sizes[c / 8 % 8];
        const int axis = c / 64 % 2, turned = c / 128;
        const int64_t n = axis ? cols : rows, outputs = axis ? rows : cols;
        bp_tensor *t = tensor_in(ctx, BP_F64, BP_SHAPE(rows, cols), x, 0);
        for (int op = 0; op < 5; op++) {
            begin();
            bp_tensor *v = turned ? bp_transpose(t, 0, 1) : t;
            const int a = axis ^ turned;
            const uint32_t axes = BP_AXIS(a);
            bp_tensor *r = op == 0 ? bp_sum_axes(v, axes, 0)
                         : op == 1 ? bp_variance_axes(v, axes, 0, 0)
                         : op == 2 ? bp_max_axes(v, axes, 0) : op == 3 ? bp_argmax(v, a)
                         : bp_logsumexp_axes(v, axes, 0);
            OK(op == 3 ? bp_read(r, place, (size_t)outputs * 4)
                       : bp_read(r, y, (size_t)outputs * 8));
            end();
            for (int64_t i = 0; i < outputs; i++) {
                const double want = expected(op, axis ? x + i * cols : x + i, n, axis ? 1 : cols);
                const double got = op == 3 ? place[i] : y[i];
                cr_assert(fabs(got - want) <= 1e-11 * (1 + fabs(want)),
                          "op %d of [%d,%d] along %d, turned %d: %d is %g, not %g", op, (int)rows,
                          (int)cols, axis, turned, (int)i, got, want);
            }
        }
        bp_free(t);
    }
}

CLAIM(the_mean_of_ones_is_one_and_axes_count_from_both_ends)
{
    for (int64_t n = 1; n < 200; n++) {
        double mean;
        begin();
        OK(bp_read_f64(bp_mean(bp_full(ctx, n % 2 ? BP_F32 : BP_F64, BP_SHAPE(n), 1)), &mean, 1));
        cr_assert_eq(mean, 1, "%d", (int)n);
        end();
    }
    begin();
    bp_tensor *x = bp_uniform(ctx, BP_F64, BP_SHAPE(2, 3), 0, 1), *index;
    bp_tensor *ends[] = {bp_cumsum(x, -1, 0),     bp_cumsum(x, 1, 0),      bp_softmax(x, -2),
                         bp_softmax(x, 0),        bp_log_softmax(x, -1),   bp_log_softmax(x, 1),
                         bp_sort(x, -1, 0, NULL), bp_sort(x, 1, 0, NULL),
                         bp_top_k(x, 2, -2, 0, &index), bp_top_k(x, 2, 0, 0, &index),
                         bp_cast(bp_argmax(x, -1), BP_F64), bp_cast(bp_argmax(x, 1), BP_F64),
                         bp_permute(x, BP_SHAPE(-1, 0)), bp_transpose(x, 0, 1)};
    for (int i = 0; i < 14; i += 2) {
        double a[6], b[6];
        int64_t n = bp_shape_count(bp_shape_of(ends[i]));
        OK(bp_read_f64(ends[i], a, n));
        OK(bp_read_f64(ends[i + 1], b, n));
        cr_assert_arr_eq(a, b, (size_t)n * sizeof *a, "%d", i);
    }
    end();
}

CLAIM(sums_along_rows_of_more_than_a_cache_count_ones)
{
    enum { ROWS = 1030, COLS = 4099, ALL = ROWS * COLS };
    double *sums = malloc(ALL * sizeof *sums);
    for (int reverse = 0; reverse < 2; reverse++) {
        begin();
        OK(bp_read_f64(bp_cumsum(bp_full(ctx, BP_F32, BP_SHAPE(ROWS, COLS), 1), 1, reverse), sums,
                       ALL));
        int wrong = 0;
        for (int i = 0; i < ALL; i++)
            wrong += sums[i] != (reverse ? COLS - i % COLS : i % COLS + 1);
        cr_assert_eq(wrong, 0, "reverse %d", reverse);
        end();
    }
    free(sums);
}
