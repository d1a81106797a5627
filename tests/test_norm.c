/* The softmax family and the norms beyond the table of cases: what is refused, by name; rows at the
 * edges; batch norm's running statistics, which follow the steps that are taken. */
#include "suite.h"

#define CLAIM(name) Test(norm, name, .init = setup, .fini = teardown)

/* The call is refused in a scope of its own; this is in its text. */
static void refused(bp_tensor *y, bp_status status, const char *text)
{
    cr_assert_null(y);
    cr_assert_eq(bp_scope_end(ctx), status, "%s", bp_error_text(ctx));
    cr_assert(strstr(bp_error_text(ctx), text), "\"%s\" is not in: %s", text, bp_error_text(ctx));
}
#define REFUSES(call, status, text) refused((begin(), (call)), status, text)

CLAIM(what_does_not_fit_is_named_with_what_was_wanted)
{
    bp_tensor *x = random_tensor(BP_SHAPE(2, 6), 0), *g = random_tensor(BP_SHAPE(6), 1);
    bp_tensor *four = random_tensor(BP_SHAPE(4), 2), *s = NUMBER(1), *m = NULL, *v = NULL;
    bp_tensor *f = tensor_in(ctx, BP_F32, BP_SHAPE(6), NULL, 3), *i = INTS(BP_SHAPE(2), 0, 1);
    bp_tensor *none = random_tensor(BP_SHAPE(3, 0), 0), *one = random_tensor(BP_SHAPE(1, 6), 0);
    REFUSES(bp_softmax(none, 1), BP_ERR_SHAPE, "softmax: x [3,0] has nothing along axis 1");
    REFUSES(bp_softmax(x, 2), BP_ERR_SHAPE, "softmax: x [2,6] has no axis 2");
    REFUSES(bp_log_softmax(x, -3), BP_ERR_SHAPE, "log_softmax: x [2,6] has no axis -3");
    REFUSES(bp_layer_norm(x, four, g, 0), BP_ERR_SHAPE,
            "layer_norm: x [2,6] and gain [4]: the last sizes of x are wanted");
    REFUSES(bp_layer_norm(x, g, four, 0), BP_ERR_SHAPE, "x [2,6] and bias [4]");
    REFUSES(bp_layer_norm(x, s, g, 0), BP_ERR_SHAPE, "x [2,6] and gain []");
    REFUSES(bp_layer_norm(x, f, g, 0), BP_ERR_DTYPE, "x is f64 and gain is f32");
    REFUSES(bp_layer_norm(x, g, g, -1), BP_ERR_ARG, "eps -1 is not a number from 0 on");
    REFUSES(bp_layer_norm(x, g, g, NAN), BP_ERR_ARG, "eps");
    REFUSES(bp_rms_norm(x, four, 0), BP_ERR_SHAPE, "rms_norm: x [2,6] and gain [4]");
    REFUSES(bp_standardize(x, 3, 0), BP_ERR_SHAPE, "standardize: x [2,6] has no last 3 axes");
    REFUSES(bp_standardize(x, 0, 0), BP_ERR_SHAPE, "no last 0 axes");
    REFUSES(bp_standardize(s, 1, 0), BP_ERR_SHAPE, "x [] has no last 1 axes");
    REFUSES(bp_standardize(none, 1, 0), BP_ERR_SHAPE, "x [3,0] has nothing along the axis");
    REFUSES(bp_standardize(i, 1, 0), BP_ERR_DTYPE, "x is i32");
    REFUSES(bp_group_norm(x, 4, g, g, 0), BP_ERR_ARG,
            "group_norm: 4 groups do not divide the 6 channels of x [2,6]");
    REFUSES(bp_group_norm(x, 0, g, g, 0), BP_ERR_ARG, "0 groups");
    REFUSES(bp_group_norm(x, 2, four, g, 0), BP_ERR_SHAPE, "gain [4], bias [6]");
    REFUSES(bp_group_norm(g, 2, g, g, 0), BP_ERR_SHAPE, "x [6]");
    REFUSES(bp_group_norm(x, 2, g, g, -1), BP_ERR_ARG, "group_norm: eps -1");
    REFUSES(bp_group_norm(x, 2, f, g, 0), BP_ERR_DTYPE, "group_norm: x is f64, gain is f32");
    REFUSES(bp_group_norm(bp_slice(bp_unsqueeze(x, 2), 2, 0, 0, 1), 2, g, g, 0), BP_ERR_SHAPE,
            "group_norm: x [2,6,0] has nothing in its groups");
    REFUSES(bp_batch_norm(g, g, g, 0, &m, &v), BP_ERR_SHAPE,
            "batch_norm: x [6]: [N,..,C] is wanted");
    REFUSES(bp_batch_norm(x, four, g, 0, &m, &v), BP_ERR_SHAPE, "x [2,6] and gain [4]");
    REFUSES(bp_batch_norm(x, g, f, 0, &m, &v), BP_ERR_DTYPE, "x is f64 and bias is f32");
    REFUSES(bp_batch_norm(one, g, g, 0, &m, &v), BP_ERR_SHAPE, "at least 2 rows");
    REFUSES(bp_batch_norm(x, g, g, 0, &m, NULL), BP_ERR_ARG, "batch_norm: variance is NULL");
    REFUSES(bp_batch_norm_with(x, g, g, four, g, 0), BP_ERR_SHAPE,
            "batch_norm_with: x [2,6] and mean [4]");
    REFUSES(bp_batch_norm_with(x, g, g, g, f, 0), BP_ERR_DTYPE, "variance is f32");
    cr_assert(!m && !v);
    begin();
    cr_assert(bp_layer_norm(x, g, g, 0) && bp_batch_norm(x, g, g, 0, &m, &v) && m && v);
    end();
}

/* Rows of f32 with what is between `lo` and `hi` in them, from a fixed stream. */
static bp_tensor *rows_between(int64_t n, int64_t c, double lo, double hi)
{
    values v = {n * c, malloc((size_t)(n * c) * sizeof(double))};
    for (int64_t i = 0; i < v.n; i++)
        v.v[i] = (float)(lo + (hi - lo) * op_random(9, i));
    bp_tensor *t = bp_tensor_create(ctx, BP_F32, BP_SHAPE(n, c));
    cr_assert(t && tensor_fill(t, &v));
    free(v.v);
    return t;
}

static void read_rows(bp_tensor *y, float *to, size_t count)
{
    OK(bp_read(y, to, count * sizeof *to));
}

static bp_tensor *by(int op, bp_tensor *x, bp_tensor *gain)
{
    return op == 0 ? bp_softmax(x, 1) : op == 1 ? bp_log_softmax(x, 1)
                                                : bp_layer_norm(x, gain, gain, 1e-5);
}

/* Large results are written past a CPU's caches; the terms e^x of a wide row of f32 are then found
 * twice, the first time to be summed up only: the sum differs by a rounding or two. */
static double wide_differ(bp_dtype type, bp_shape of)
{
    return type == BP_F32 && of.dim[1] > 4096 ? 2.4e-7 : 0;
}

CLAIM(rows_of_a_large_result_have_the_bits_of_those_of_a_small_one)
{
    const bp_shape shape[] = {BP_SHAPE(220, 20001), BP_SHAPE(1100, 4096), BP_SHAPE(1100, 2001)};
    for (int k = 0; k < 18 && !strncmp(test_device(), "cpu", 3); k++) {
        const bp_dtype type = k < 9 ? BP_F32 : BP_F64;
        const bp_shape all = shape[k % 3], one = BP_SHAPE(all.dim[1]);
        bp_tensor *x = tensor_in(ctx, type, all, NULL, 1), *dy = tensor_in(ctx, type, all, NULL, 2);
        bp_tensor *g = tensor_in(ctx, type, one, NULL, 3), *large[2], *small[2];
        begin();
        bp_tensor *gain = bp_require_grad(g), *of[] = {bp_require_grad(x), gain};
        bp_tensor *some[] = {bp_require_grad(bp_slice(x, 0, 50, 61, 1)), gain};
        bp_tensor *y = by(k / 3 % 3, of[0], gain), *y_some = by(k / 3 % 3, some[0], gain);
        OK(bp_grad(ctx, y, dy, of, 2, 0, large));
        OK(bp_grad(ctx, y_some, bp_slice(dy, 0, 50, 61, 1), some, 2, 0, small));
        const double differ = k / 3 % 3 ? 0 : wide_differ(type, all);
        same(bp_slice(y, 0, 50, 61, 1), y_some, differ);
        same(bp_slice(large[0], 0, 50, 61, 1), small[0], differ);
        end();
        bp_free(x);
        bp_free(dy);
        bp_free(g);
    }
}

CLAIM(losses_of_many_rows_have_the_bits_of_those_of_few)
{
    const bp_shape shape[] = {BP_SHAPE(220, 20001), BP_SHAPE(1100, 4096), BP_SHAPE(2200, 2001)};
    for (int k = 0; k < 12 && !strncmp(test_device(), "cpu", 3); k++) {
        const bp_shape all = shape[k % 3];
        const bp_dtype type = k < 6 ? BP_F32 : BP_F64;
        const double differ = wide_differ(type, all);
        bp_tensor *x = tensor_in(ctx, type, all, NULL, 1), *dx, *dsome;
        const double smoothing = k / 3 % 2 * 0.3;
        begin();
        bp_tensor *label = bp_argmax(bp_scale(x, -1), 1), *of = bp_require_grad(x);
        bp_tensor *some = bp_require_grad(bp_slice(x, 0, 50, 61, 1));
        bp_tensor *y = bp_cross_entropy_with(of, label, smoothing, -1, BP_EACH);
        bp_tensor *few = bp_slice(label, 0, 50, 61, 1);
        bp_tensor *y_some = bp_cross_entropy_with(some, few, smoothing, -1, BP_EACH);
        OK(bp_grad_scalar(ctx, bp_sum(y), &of, 1, 0, &dx));
        OK(bp_grad_scalar(ctx, bp_sum(y_some), &some, 1, 0, &dsome));
        same(bp_slice(y, 0, 50, 61, 1), y_some, differ);
        same(bp_slice(dx, 0, 50, 61, 1), dsome, differ);
        end();
        bp_free(x);
    }
}

CLAIM(formulas_and_masks_of_a_large_tensor_have_the_bits_of_those_of_a_part)
{
    const bp_shape shape[] = {BP_SHAPE(2200, 2001), BP_SHAPE(4600001)};
    for (int k = 0; k < 4 && !strncmp(test_device(), "cpu", 3); k++) {
        bp_tensor *x = tensor_in(ctx, k < 2 ? BP_F32 : BP_F64, shape[k % 2], NULL, 1), *y[2][3];
        for (int part = 0; part < 2; part++) {
            begin();
            OK(bp_seed(ctx, 7));
            bp_tensor *of = part ? bp_slice(x, 0, 0, 999, 1) : x, *all[3];
            all[0] = bp_dropout(of, 0.3);
            all[1] = bp_exp(of);
            all[2] = bp_gelu(of);
            for (int i = 0; i < 3; i++) {
                y[part][i] = bp_keep(bp_slice(all[i], 0, 0, 999, 1));
                cr_assert(y[part][i], "%s", bp_error_text(ctx));
            }
            end();
        }
        begin();
        for (int i = 0; i < 3; i++)
            same(y[0][i], y[1][i], 0);
        end();
        for (int i = 0; i < 6; i++)
            bp_free(y[i / 3][i % 3]);
        bp_free(x);
    }
}

/* A term in a wide row, and beside another one: every 1/32 of a power of 2 is among them. */
CLAIM(terms_of_a_softmax_keep_their_digits_however_small_they_are)
{
    enum { C = 4096 };
    static double v[2 * C], y[2 * C];
    for (int wide = 0; wide < 2; wide++) {
        double sum = 0;
        for (int j = 0; j < C; j++) {
            v[wide ? j : 2 * j] = (float)(-87.0 * j / C);
            sum += exp((float)(-87.0 * j / C));
        }
        for (int j = 0; j < C && !wide; j++)
            v[2 * j + 1] = 0;
        const bp_shape shape = wide ? BP_SHAPE(1, C) : BP_SHAPE(C, 2);
        bp_tensor *x = tensor_in(ctx, BP_F32, shape, v, 0);
        begin();
        bp_tensor *e = bp_cast(bp_softmax(x, 1), BP_F64);
        OK(bp_read(e, y, wide ? sizeof y / 2 : sizeof y));
        end();
        for (int j = 0; j < C; j++) {
            const double t = exp(v[wide ? j : 2 * j]), want = wide ? t / sum : t / (1 + t);
            const double got = y[wide ? j : 2 * j];
            cr_assert_lt(fabs(got - want), 3 * 0x1p-23 * want + 0x1p-126, "%d: %g, not %g", j,
                         got, want);
        }
        bp_free(x);
    }
}

CLAIM(equal_elements_become_the_bias_and_x_far_from_0_keeps_its_digits)
{
    enum { N = 3, C = 1001 };
    static float y[N * C], x[N * C];
    bp_tensor *same = rows_between(N, C, 0.1, 0.1), *far = rows_between(N, C, 9999.99, 10000.01);
    begin();
    read_rows(bp_standardize(same, 1, 1e-5), y, N * C);
    for (int i = 0; i < N * C; i++)
        cr_assert_lt(fabsf(y[i]), 1e-5f, "%d: %g", i, (double)y[i]);
    read_rows(far, x, N * C);
    read_rows(bp_standardize(far, 1, 0), y, N * C);
    for (int r = 0; r < N; r++) {
        double mean = 0, variance = 0;
        for (int j = 0; j < C; j++)
            mean += (double)x[r * C + j] / C;
        for (int j = 0; j < C; j++)
            variance += ((double)x[r * C + j] - mean) * ((double)x[r * C + j] - mean) / C;
        for (int j = 0; j < C; j++) {
            double want = ((double)x[r * C + j] - mean) / sqrt(variance);
            cr_assert_lt(fabs((double)y[r * C + j] - want), 4e-7 * (fabs(want) + 1), "%d, %d", r,
                         j);
        }
    }
    end();
}

CLAIM(rows_with_no_finite_answer_are_NaN_and_spoil_no_other_row)
{
    static const double bad[] = {NAN, INFINITY, -INFINITY};
    double v[3 * 40];
    for (int k = 0; k < 3; k++) {
        for (int i = 0; i < 3 * 40; i++)
            v[i] = i % 7 - 3;
        v[40 + 11] = bad[k];
        bp_tensor *x = tensor_in(ctx, BP_F64, BP_SHAPE(3, 40), v, 0);
        bp_tensor *ones = bp_tensor_create(ctx, BP_F64, BP_SHAPE(40));
        double y[4][3 * 40];
        begin();
        OK(bp_read(bp_softmax(x, 1), y[0], sizeof y[0]));
        OK(bp_read(bp_log_softmax(x, 1), y[1], sizeof y[1]));
        OK(bp_read(bp_standardize(x, 1, 0), y[2], sizeof y[2]));
        OK(bp_read(bp_rms_norm(x, ones, 0), y[3], sizeof y[3]));
        end();
        for (int op = 0; op < 4; op++)
            for (int i = 0; i < 3 * 40; i++) {
                bool inside = i / 40 == 1;
                bool nan = op == 3 ? bad[k] != bad[k] || i == 51 : op > 1 || bad[k] != -INFINITY;
                if (op == 1 && k == 2 && i == 51)
                    cr_assert_eq(y[op][i], -INFINITY); /* e^-Inf is 0, and its logarithm this */
                else
                    cr_assert_eq(y[op][i] != y[op][i], inside && nan, "op %d, %g: %d is %g", op,
                                 bad[k], i, y[op][i]);
            }
    }
    for (int i = 0; i < 3 * 40; i++)
        v[i] = i / 40 == 1 ? -INFINITY : 1;
    bp_tensor *x = tensor_in(ctx, BP_F64, BP_SHAPE(3, 40), v, 0);
    begin();
    OK(bp_read(bp_softmax(x, 1), v, sizeof v));
    end();
    for (int i = 0; i < 3 * 40; i++)
        cr_assert(i / 40 == 1 ? v[i] != v[i] : fabs(v[i] - 1.0 / 40) < 1e-15, "%d: %g", i, v[i]);
}

/* --- running statistics --------------------------------------------------------------------- */

typedef struct normed {
    bp_params *params;
    bp_optimizer *opt;
    bp_tensor *x, *w, *gain, *bias, *mean, *variance; /* the last two: running */
} normed;

static bp_status step(bp_context *c, void *user)
{
    normed *n = user;
    bp_tensor *mean, *variance, *h = bp_matmul(n->x, n->w);
    bp_tensor *y = bp_batch_norm(h, n->gain, n->bias, 1e-5, &mean, &variance);
    bp_status st = bp_backward(c, bp_sum(bp_mul(bp_mul(y, y), y)));
    st = st == BP_OK ? bp_optimizer_step(n->opt) : st;
    st = st == BP_OK ? bp_average_into(n->opt, n->mean, mean, 0.25) : st;
    return st == BP_OK ? bp_average_into(n->opt, n->variance, variance, 0.25) : st;
}

static normed make(void)
{
    normed n = {.x = random_tensor(BP_SHAPE(8, 3), 4)};
    OK(bp_seed(ctx, 3));
    OK(bp_params_create(ctx, BP_F64, &n.params));
    n.w = bp_param(n.params, "w", BP_SHAPE(3, 5), BP_INIT_LECUN);
    n.gain = bp_param(n.params, "gain", BP_SHAPE(5), BP_INIT_ONE);
    n.bias = bp_param(n.params, "bias", BP_SHAPE(5), BP_INIT_ONE);
    OK(bp_adam_create(n.params, 0.01, &n.opt));
    n.mean = bp_tensor_create(ctx, BP_F64, BP_SHAPE(5));
    n.variance = bp_tensor_create(ctx, BP_F64, BP_SHAPE(5));
    return n;
}

static void state_of(const normed *n, double to[25])
{
    OK(bp_read(n->mean, to, 5 * sizeof *to));
    OK(bp_read(n->variance, to + 5, 5 * sizeof *to));
    OK(bp_read(n->w, to + 10, 15 * sizeof *to));
}

static void drop(normed *n)
{
    bp_free(n->mean);
    bp_free(n->variance);
    bp_free(n->x);
    bp_optimizer_free(n->opt);
    bp_params_free(n->params);
}

CLAIM(running_statistics_are_those_of_the_batches_eager_and_replayed)
{
    double eager[25], replayed[25], h[40], w[15], x[24];
    normed n = make();
    OK(bp_read(n.w, w, sizeof w));
    OK(bp_read(n.x, x, sizeof x));
    OK(bp_run(ctx, 0, step, &n));
    state_of(&n, eager);
    for (int c = 0; c < 5; c++) {
        double mean = 0, squares = 0;
        for (int r = 0; r < 8; r++) {
            h[r] = x[3 * r] * w[c] + x[3 * r + 1] * w[5 + c] + x[3 * r + 2] * w[10 + c];
            mean += h[r] / 8;
        }
        for (int r = 0; r < 8; r++)
            squares += (h[r] - mean) * (h[r] - mean);
        cr_assert_float_eq(eager[c], 0.25 * mean, 1e-14);
        cr_assert_float_eq(eager[5 + c], 0.25 * squares / 7, 1e-14);
    }
    for (int i = 0; i < 9; i++)
        OK(bp_run(ctx, 0, step, &n));
    state_of(&n, eager);
    drop(&n);
    n = make();
    bp_plan *plan;
    OK(bp_plan_record(ctx, step, &n, &plan));
    OK(bp_plan_replay(plan, 9));
    state_of(&n, replayed);
    cr_assert_arr_eq(eager, replayed, sizeof eager);
    bp_plan_free(plan);
    drop(&n);
}

CLAIM(a_refused_step_leaves_the_running_statistics_and_the_next_one_moves_them)
{
    double before[25], after[25], x[24], bad[24];
    normed n = make();
    OK(bp_run(ctx, 0, step, &n));
    state_of(&n, before);
    OK(bp_read(n.x, x, sizeof x));
    memcpy(bad, x, sizeof x);
    bad[7] = INFINITY;
    OK(bp_write(n.x, bad, sizeof bad));
    OK(bp_run(ctx, 0, step, &n));
    cr_assert_eq(bp_sync(ctx), BP_ERR_NONFINITE);
    state_of(&n, after);
    cr_assert_arr_eq(before, after, sizeof before);
    OK(bp_write(n.x, x, sizeof x));
    OK(bp_run(ctx, 0, step, &n));
    state_of(&n, after);
    for (int i = 0; i < 25; i++)
        cr_assert(isfinite(after[i]) && after[i] != before[i], "%d: %g", i, after[i]);
    drop(&n);
}

CLAIM(an_average_is_refused_where_it_cannot_be_taken)
{
    normed n = make();
    bp_tensor *f = tensor_in(ctx, BP_F32, BP_SHAPE(5), NULL, 3);
    bp_tensor *three = random_tensor(BP_SHAPE(3), 1), *m = random_tensor(BP_SHAPE(5, 3), 1);
#define FAILS(status, text, call)                                  \
    begin();                                                       \
    cr_assert_eq((call), status, "%s", bp_error_text(ctx));        \
    cr_assert(strstr(bp_error_text(ctx), text), "%s", bp_error_text(ctx)); \
    cr_assert_eq(bp_scope_end(ctx), status)
    FAILS(BP_ERR_ARG, "average_into: the rate 1.5 is not in [0, 1]",
          bp_average_into(n.opt, n.mean, n.variance, 1.5));
    FAILS(BP_ERR_ARG, "the rate nan", bp_average_into(n.opt, n.mean, n.variance, NAN));
    FAILS(BP_ERR_SHAPE, "average_into: target [5] and source [3] do not fit",
          bp_average_into(n.opt, n.mean, three, 0.5));
    FAILS(BP_ERR_DTYPE, "target f64 and source f32", bp_average_into(n.opt, n.mean, f, 0.5));
    FAILS(BP_ERR_ARG, "average_into: the target has gaps",
          bp_average_into(n.opt, bp_transpose(m, 0, 1), random_tensor(BP_SHAPE(3, 5), 2), 0.5));
    FAILS(BP_ERR_ARG, "average_into: x is NULL", bp_average_into(n.opt, n.mean, NULL, 0.5));
    FAILS(BP_ERR_ARG, "average_into: average is NULL", bp_average_into(n.opt, NULL, f, 0.5));
    drop(&n);
}
