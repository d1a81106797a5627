/* Numbers at the ends of what a dtype holds, far from 0, and where an operand is no number: values
 * and gradients, by the kernels and in the form that can be differentiated again. */
#include "suite.h"
#include <float.h>

#define CLAIM(name) Test(range, name, .init = setup, .fini = teardown)

/* dx of the sum of y dy; with `graph` in the form that can be differentiated. */
static bp_tensor *slope(bp_tensor *y, bp_tensor *dy, bp_tensor *x, int graph)
{
    bp_tensor *dx;
    OK(bp_grad(ctx, y, dy, &x, 1, graph ? BP_CREATE_GRAPH : 0, &dx));
    return dx;
}

static bp_tensor *all(bp_dtype dtype, bp_shape shape, double value)
{
    return bp_full(ctx, dtype, shape, value);
}

/* Numbers, which are NaN where those are. */
static void are(bp_tensor *t, int n, const double *wanted)
{
    for (int i = 0; i < n; i++) {
        const double v = at(t, i);
        cr_assert(v == wanted[i] || (v != v && wanted[i] != wanted[i]), "[%d] %.17g, not %.17g", i,
                  v, wanted[i]);
    }
}

/* Every element. */
static void each_is(bp_tensor *t, double wanted, double tolerance)
{
    values v = {0};
    cr_assert(t && tensor_values(t, &v), "%s", bp_error_text(ctx));
    for (int64_t i = 0; i < v.n; i++)
        cr_assert(fabs(v.v[i] - wanted) <= tolerance, "[%d] %.17g, not %.17g", (int)i, v.v[i],
                  wanted);
    values_free(&v, 1);
}

CLAIM(equal_elements_become_the_bias_however_large_they_are)
{
    static const struct {
        bp_dtype dtype;
        int64_t n;
        double value;
    } row[] = {{BP_F32, 5, 3e38}, {BP_F32, 17, 3e38}, {BP_F32, 1001, 1e37}, {BP_F32, 1001, -3e38},
               {BP_F64, 7, 1e300}, {BP_F64, 101, 1.7e308}, {BP_F64, 1001, -1e160}};
    for (size_t k = 0; k < sizeof row / sizeof *row; k++) {
        const bp_dtype t = row[k].dtype;
        const int64_t n = row[k].n;
        bp_tensor *mean, *variance;
        begin();
        bp_tensor *x = bp_require_grad(all(t, BP_SHAPE(n, 2), row[k].value));
        bp_tensor *r = bp_require_grad(all(t, BP_SHAPE(2, n), row[k].value));
        bp_tensor *gain = all(t, BP_SHAPE(n), 3), *bias = all(t, BP_SHAPE(n), 0.5);
        bp_tensor *gain2 = all(t, BP_SHAPE(2), 3), *bias2 = all(t, BP_SHAPE(2), 0.5);
        bp_tensor *y = bp_layer_norm(r, gain, bias, 1e-5);
        each_is(y, 0.5, 0);
        each_is(slope(y, all(t, BP_SHAPE(2, n), 2), r, 0), 0, t == BP_F32 ? 1e-3 : 1e-12);
        each_is(bp_standardize(r, 2, 1e-5), 0, 0);
        each_is(bp_group_norm(bp_reshape(x, BP_SHAPE(n, 2)), 1, gain2, bias2, 1e-5), 0.5, 0);
        each_is(bp_group_norm(bp_reshape(r, BP_SHAPE(1, 2, n)), 1, gain2, bias2, 1e-5), 0.5, 0);
        y = bp_batch_norm(x, gain2, bias2, 1e-5, &mean, &variance);
        each_is(y, 0.5, 0);
        each_is(variance, 0, 0);
        each_is(mean, at(x, 0), 0);
        each_is(slope(y, all(t, BP_SHAPE(n, 2), 2), x, 0), 0, t == BP_F32 ? 1e-3 : 1e-12);
        end();
    }
}

/* Their root is 0, and 1 / 0 infinite, where squares are taken in f32. */
CLAIM(elements_whose_squares_are_nothing_keep_their_sign)
{
    begin();
    bp_tensor *r = all(BP_F32, BP_SHAPE(2, 33), -1e-30), *gain = all(BP_F32, BP_SHAPE(33), 1);
    bp_tensor *y = bp_rms_norm(r, gain, 0);
    for (int i = 0; i < 66; i++)
        cr_assert_lt(at(y, i), -0.5, "%d: %g", i, at(y, i));
    end();
}

/* Rows whose squares overflow f32 while their deviation does not. */
CLAIM(elements_whose_squares_overflow_are_standardized)
{
    const double unit = 1e30, off[4] = {-1.5, -0.5, 0.5, 1.5}, eps = 1e-6;
    const double scale = sqrt(1.25), root = sqrt((1.5 * 1.5 + 0.5 * 0.5) / 2);
    double v[8];
    for (int i = 0; i < 8; i++)
        v[i] = unit * off[i % 4];
    bp_tensor *mean, *variance, *x = tensor_in(ctx, BP_F32, BP_SHAPE(2, 4), v, 0);
    begin();
    bp_tensor *ones = all(BP_F32, BP_SHAPE(4), 1), *two = bp_transpose(x, 0, 1);
    bp_tensor *o2 = all(BP_F32, BP_SHAPE(2), 1);
    bp_tensor *y[3] = {bp_standardize(x, 1, 1e-5), bp_rms_norm(x, ones, 1e-5),
                       bp_batch_norm(two, o2, bp_scale(o2, 0), 1e-5, &mean, &variance)};
    for (int i = 0; i < 8; i++) {
        cr_assert_float_eq(at(y[0], i), off[i % 4] / scale, eps);
        cr_assert_float_eq(at(y[1], i), off[i % 4] / root, eps);
        cr_assert_float_eq(at(y[2], i), off[i / 2] / scale, eps);
    }
    each_is(mean, 0, unit * eps);
    end();
    bp_free(x);
}

CLAIM(the_gradient_of_a_variance_far_from_0_adds_up_to_0)
{
    enum { N = 1000 };
    double v[N];
    for (int i = 0; i < N; i++)
        v[i] = 1e6 + 3 * op_random(3, i);
    bp_tensor *t = tensor_in(ctx, BP_F32, BP_SHAPE(N), v, 0);
    for (int graph = 0; graph < 2; graph++)
        for (int root = 0; root < 2; root++) {
            begin();
            bp_tensor *x = bp_require_grad(t), *one = all(BP_F32, BP_SCALAR, 1);
            bp_tensor *y = root ? bp_std(x, 1) : bp_variance(x, 1);
            double sum = at(bp_sum(bp_cast(slope(y, one, x, graph), BP_F64)), 0);
            cr_assert_lt(fabs(sum), 1e-6, "%d %d: %g", graph, root, sum);
            end();
        }
    bp_free(t);
}

CLAIM(the_gradient_of_a_norm_is_right_where_it_is_subnormal)
{
    const double v[2] = {1e-40, 1e-40}, s[2] = {1, -1};
    bp_tensor *t = tensor_in(ctx, BP_F32, BP_SHAPE(2), v, 0);
    bp_tensor *signs = tensor_in(ctx, BP_F32, BP_SHAPE(2), s, 0);
    for (int graph = 0; graph < 2; graph++) {
        begin();
        bp_tensor *x = bp_require_grad(t), *one = all(BP_F32, BP_SCALAR, 1);
        each_is(slope(bp_norm_l2(x), one, x, graph), sqrt(0.5), 1e-4);
        bp_tensor *dx = slope(bp_std(bp_mul(x, signs), 0), one, x, graph); /* x signs / (2 y) */
        each_is(dx, 0.5, 1e-4);
        end();
    }
    bp_free(t);
    bp_free(signs);
}

/* A root has no slope at 0: 0 is what it is given, the first time and the second. */
CLAIM(at_0_a_norm_and_a_deviation_have_no_second_derivative_either)
{
    bp_tensor *zero = TENSOR(BP_SHAPE(3), 0, 0, 0), *dy = TENSOR(BP_SHAPE(3), 1, 2, 3);
    bp_tensor *one = NUMBER(1);
    for (int op = 0; op < 2; op++) {
        begin();
        bp_tensor *x = bp_require_grad(zero);
        bp_tensor *dx = slope(op ? bp_std(x, 0) : bp_norm_l2(x), one, x, 1);
        each_is(dx, 0, 0);
        each_is(slope(dx, dy, x, 0), 0, 0);
        end();
    }
    bp_free(zero);
    bp_free(dy);
    bp_free(one);
}

/* -dy a / b^2, whose parts leave the range in one order or another. */
CLAIM(the_gradient_of_a_divisor_is_right_wherever_it_is_a_number)
{
    const double a[] = {0, 1e-310, 1e200, 1e-250, 1e250, 1e-300, 3};
    const double b[] = {1e-310, 1e-310, 1e100, 1e-200, 1e150, 1e-10, 2};
    const double dy[] = {2, 1e-300, 1e250, 1e-200, 1e-200, 1e290, 5};
    const double db[] = {0, -1e10, -1e250, -1e-50, -1e-250, -1e10, -3.75};
    bp_tensor *ta = tensor_in(ctx, BP_F64, BP_SHAPE(7), a, 0);
    bp_tensor *tb = tensor_in(ctx, BP_F64, BP_SHAPE(7), b, 0);
    bp_tensor *t = tensor_in(ctx, BP_F64, BP_SHAPE(7), dy, 0);
    begin();
    bp_tensor *x = bp_require_grad(tb), *got = slope(bp_div(ta, x), t, x, 0);
    for (int i = 0; i < 7; i++)
        cr_assert(fabs(at(got, i) - db[i]) <= 1e-14 * fabs(db[i]), "%d: %g, not %g", i, at(got, i),
                  db[i]);
    cr_assert_eq(at(slope(bp_div(ta, x), t, x, 1), 0), 0);
    end();
    bp_free(ta);
    bp_free(tb);
    bp_free(t);
}

/* e^(2 u), u up to 260 here: what u is off by is off |2 u| times as much in y. */
CLAIM(gelu_tanh_keeps_its_digits_far_below_0)
{
    static const double v[] = {-19, -10, -5, -2.5, -1}, y[] = {
        -3.6102852236777353864e-225, -1.2040923482098059937e-37, -2.2917961966295060456e-7,
        -0.015084266089998582079, -0.15880800939172329522}, dx[] = {
        -2.8456413831822844742e-223, -2.7576380638540316073e-36, -1.5463619875325945956e-6,
        -0.037951576212666182634, -0.08296408384578255514};
    bp_tensor *t = tensor_in(ctx, BP_F64, BP_SHAPE(5), v, 0);
    begin();
    bp_tensor *x = bp_require_grad(t), *got = bp_gelu_tanh(x), *ones = all(BP_F64, BP_SHAPE(5), 1);
    bp_tensor *form[2] = {slope(got, ones, x, 0), slope(bp_gelu_tanh(x), ones, x, 1)};
    for (int i = 0; i < 5; i++) {
        const double bend = fabs(1.6 * v[i] + 0.0714 * v[i] * v[i] * v[i]);
        const double error = (4 + 2 * bend) * 2.3e-16;
        cr_assert_lt(fabs(at(got, i) / y[i] - 1), error, "%g", v[i]);
        for (int k = 0; k < 2; k++)
            cr_assert_lt(fabs(at(form[k], i) / dx[i] - 1), 2 * error, "%g", v[i]);
    }
    end();
    bp_free(t);
}

/* As PyTorch has them, and C. */
CLAIM(powers_of_minus_infinity)
{
    static const double p[6] = {0.5, 2.5, 3, 2, -0.5, -3};
    const double wanted[6] = {INFINITY, INFINITY, -INFINITY, INFINITY, 0, -0.0};
    bp_tensor *t = tensor_in(ctx, BP_F64, BP_SHAPE(6), p, 0);
    begin();
    bp_tensor *x = all(BP_F64, BP_SCALAR, -INFINITY);
    are(bp_pow(x, t), 6, wanted);
    for (int i = 0; i < 6; i++)
        are(bp_power(x, p[i]), 1, &wanted[i]);
    end();
    bp_free(t);
}

CLAIM(choices_have_the_same_gradient_in_both_forms_where_an_operand_is_not_finite)
{
    const double inf = INFINITY, a[] = {NAN, 1, NAN, inf, -inf, 2, inf, 3e38};
    const double b[] = {1, NAN, NAN, inf, -inf, 2, -inf, -3e38}, ones[] = {1, 1, 1, 1, 1, 1, 1, 1};
    const double most[] = {1, 1, 1, 0.5, 0.5, 0.5, 1, 1}, least[] = {1, 1, 1, 0.5, 0.5, 0.5, 0, 0};
    const double v[] = {inf, -inf, NAN, 3, -3, 1.25}, zero[6] = {0}, free[] = {0, 0, 0, 1, 1, 1};
    const double held[] = {0, 0, 0, 0, 0, 1}, sixth[] = {0, 0, 0, 0, 0, 1.0 / 6};
    bp_tensor *ta = tensor_in(ctx, BP_F64, BP_SHAPE(8), a, 0);
    bp_tensor *tb = tensor_in(ctx, BP_F64, BP_SHAPE(8), b, 0);
    bp_tensor *t = tensor_in(ctx, BP_F64, BP_SHAPE(6), v, 0);
    bp_tensor *d = tensor_in(ctx, BP_F64, BP_SHAPE(8), ones, 0);
    for (int graph = 0; graph < 2; graph++) {
        begin();
        bp_tensor *x = bp_require_grad(ta), *y = bp_require_grad(tb), *z = bp_require_grad(t);
        bp_tensor *dy = bp_slice(d, 0, 0, 6, 1);
        are(slope(bp_maximum(x, tb), d, x, graph), 8, most);
        are(slope(bp_maximum(tb, x), d, x, graph), 8, most);
        are(slope(bp_minimum(x, tb), d, x, graph), 8, least);
        are(slope(bp_minimum(ta, y), d, y, graph), 6, least);
        are(slope(bp_clamp(z, -inf, inf), dy, z, graph), 6, free);
        are(slope(bp_clamp(z, -2, inf), dy, z, graph), 6, (double[]){0, 0, 0, 1, 0, 1});
        are(slope(bp_clamp(z, -3, 3), dy, z, graph), 6, held);
        are(slope(bp_clamp(z, inf, inf), dy, z, graph), 6, zero);
        are(slope(bp_hard_sigmoid(z), dy, z, graph), 6, sixth);
        are(slope(bp_abs(z), dy, z, graph), 6, (double[]){1, -1, 0, 1, -1, 1});
        are(slope(bp_relu(z), dy, z, graph), 6, (double[]){1, 0, 1, 1, 0, 1});
        are(slope(bp_elu(z, 0.5), dy, z, graph), 6, (double[]){1, 0, 1, 1, 0.5 * exp(-3), 1});
        end();
    }
    bp_free(ta);
    bp_free(tb);
    bp_free(t);
    bp_free(d);
}

CLAIM(gelu_tanh_is_a_line_far_out)
{
    const double far[] = {3e38, -3e38, 1e20, -1e20}, line[] = {1, 0, 1, 0};
    bp_tensor *t = tensor_in(ctx, BP_F32, BP_SHAPE(4), far, 0);
    for (int graph = 0; graph < 2; graph++) {
        begin();
        bp_tensor *x = bp_require_grad(t), *y = bp_gelu_tanh(x);
        are(y, 4, (double[]){(float)3e38, 0, (float)1e20, 0});
        are(slope(y, all(BP_F32, BP_SHAPE(4), 1), x, graph), 4, line);
        end();
    }
    bp_free(t);
}

/* A slope far from 1 has nothing of 1 in it, and dy far out does not become NaN. */
CLAIM(pieces_of_lines_have_the_gradient_of_the_piece_alone)
{
    const double v[] = {2, -2, 0, NAN}, far[] = {INFINITY, 3e38, 3, 1};
    const double factor[] = {1e8, -0.3f, 0, 3e-9f, 1e30f};
    bp_tensor *t = tensor_in(ctx, BP_F32, BP_SHAPE(4), v, 0), *z = tensor_in(ctx, BP_F32,
              BP_SHAPE(4), far, 0);
    for (int k = 0; k < 10; k++) {
        const double f = factor[k / 2];
        begin();
        bp_tensor *x = bp_require_grad(t), *one = all(BP_F32, BP_SHAPE(4), 1);
        are(slope(bp_leaky_relu(x, f), one, x, k % 2), 4, (double[]){1, f, f, f});
        are(slope(bp_elu(x, 0.25), z, x, k % 2), 1, (double[]){INFINITY});
        end();
    }
    bp_free(t);
    bp_free(z);
}
