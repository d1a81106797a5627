/* Products with Jacobians and Hessians, Jacobians, and the check of a gradient: derive.h. */
#include "suite.h"

#define CLAIM(name) Test(derive, name, .init = setup, .fini = teardown)

/* e^(a b^T / 2) + (a b^T)^2, [2,2] of a [2,3] and b [2,3]; the sum of its squares. */
static bp_tensor *curved(bp_context *c, bp_tensor *const *x, void *user)
{
    bp_tensor *product = bp_matmul(x[0], bp_transpose(x[1], 0, 1));
    (void)c, (void)user;
    return bp_add(bp_exp(bp_scale(product, 0.5)), bp_mul(product, product));
}

static bp_tensor *curved_sum(bp_context *c, bp_tensor *const *x, void *user)
{
    bp_tensor *y = curved(c, x, user);
    return bp_sum(bp_mul(y, y));
}

static bp_tensor *of_matrix(bp_context *c, bp_tensor *const *x, void *user)
{
    (void)c;
    return bp_matmul(user, x[0]);
}

static void read_all(bp_tensor *t, double *to, int64_t n)
{
    OK(bp_read_f64(t, to, n));
}

CLAIM(the_jacobian_of_a_product_is_the_matrix)
{
    bp_tensor *a = random_tensor(BP_SHAPE(3, 4), 1), *x = random_tensor(BP_SHAPE(4, 2), 2), *j, *y;
    double matrix[12], m[48];
    begin();
    OK(bp_jacobian(ctx, of_matrix, a, &x, 1, &y, &j));
    bp_shape s = bp_shape_of(j);
    cr_assert(s.ndim == 4 && s.dim[0] == 3 && s.dim[1] == 2 && s.dim[2] == 4 && s.dim[3] == 2);
    same(y, bp_matmul(a, x), 0);
    read_all(a, matrix, 12);
    read_all(j, m, 48);
    for (int i = 0; i < 48; i++) /* d y[i,k] / d x[l,m] = a[i,l] where k = m */
        cr_assert_eq(m[i], i / 8 % 2 == i % 2 ? matrix[i / 16 * 4 + i / 2 % 4] : 0);
    end();
}

CLAIM(products_agree_with_the_jacobian)
{
    bp_tensor *x[2], *v[2], *dy = random_tensor(BP_SHAPE(2, 2), 9), *j[2], *dx[2], *jv, *y;
    double m[24], d[4], p[6], moved[4] = {0}, got[6];
    for (int i = 0; i < 2; i++) {
        x[i] = random_tensor(BP_SHAPE(2, 3), (uint64_t)i);
        v[i] = random_tensor(BP_SHAPE(2, 3), (uint64_t)(i + 5));
    }
    read_all(dy, d, 4);
    begin();
    OK(bp_jacobian(ctx, curved, NULL, x, 2, NULL, j));
    OK(bp_vjp(ctx, curved, NULL, x, 2, dy, &y, dx));
    OK(bp_jvp(ctx, curved, NULL, x, v, 2, NULL, &jv));
    same(y, curved(ctx, x, NULL), 0);
    for (int k = 0; k < 2; k++) {
        read_all(j[k], m, 24);
        read_all(v[k], p, 6);
        read_all(dx[k], got, 6);
        for (int e = 0; e < 6; e++) {
            double back = 0;
            for (int i = 0; i < 4; i++) {
                back += d[i] * m[i * 6 + e];
                moved[i] += m[i * 6 + e] * p[e];
            }
            cr_assert_float_eq(got[e], back, 1e-13);
        }
    }
    read_all(jv, got, 4);
    for (int i = 0; i < 4; i++)
        cr_assert_float_eq(got[i], moved[i], 1e-13);
    end();
}

CLAIM(a_hessian_times_a_vector_needs_no_hessian)
{
    bp_tensor *x[2], *v[2], *hv[2], *g[2], *h[2], *leaf[2], *again[2];
    double m[36], p[6], got[6];
    for (int i = 0; i < 2; i++) {
        x[i] = random_tensor(BP_SHAPE(2, 3), (uint64_t)i);
        v[i] = random_tensor(BP_SHAPE(2, 3), (uint64_t)(i + 5));
    }
    begin();
    OK(bp_hvp(ctx, curved_sum, NULL, x, v, 2, NULL, hv));
    for (int i = 0; i < 2; i++)
        leaf[i] = bp_require_grad(x[i]);
    bp_tensor *y = curved_sum(ctx, leaf, NULL);
    OK(bp_hvp_of(ctx, y, leaf, v, 2, BP_KEEP_GRAPH, again));
    OK(bp_grad_scalar(ctx, y, leaf, 2, BP_CREATE_GRAPH, g));
    for (int i = 0; i < 2; i++) {
        double want[6] = {0};
        OK(bp_jacobian_of(ctx, g[i], leaf, 2, BP_KEEP_GRAPH, h));
        for (int k = 0; k < 2; k++) {
            read_all(h[k], m, 36);
            read_all(v[k], p, 6);
            for (int e = 0; e < 36; e++)
                want[e / 6] += m[e] * p[e % 6];
        }
        read_all(hv[i], got, 6);
        for (int e = 0; e < 6; e++)
            cr_assert_float_eq(got[e], want[e], 1e-11 * fabs(want[e]) + 1e-12);
        same(again[i], hv[i], 0);
    }
    end();
}

CLAIM(parameters_are_x_like_any)
{
    bp_tensor *value = random_tensor(BP_SHAPE(3, 2), 1), *w, *x = random_tensor(BP_SHAPE(4, 2), 2);
    bp_tensor *j, *jv, *v = random_tensor(BP_SHAPE(3, 2), 3);
    bp_params *p = store_of(1, &value, &w);
    begin();
    bp_tensor *y = bp_elu(bp_matmul(x, bp_transpose(w, 0, 1)), 1);
    OK(bp_jacobian_of(ctx, y, &w, 1, BP_KEEP_GRAPH, &j));
    OK(bp_jvp_of(ctx, y, &w, &v, 1, 0, &jv));
    bp_tensor *flat = bp_matmul(bp_reshape(j, BP_SHAPE(12, 6)), bp_reshape(v, BP_SHAPE(6, 1)));
    same(bp_reshape(jv, BP_SHAPE(12, 1)), flat, 1e-14);
    cr_assert_null(bp_param_grad(p, 0), "their gradients stay as they are");
    end();
    bp_params_free(p);
}

static bp_tensor *square_sum(bp_context *c, bp_tensor *const *x, void *user)
{
    (void)c, (void)user;
    return bp_scale(bp_sum(bp_mul(x[0], x[0])), 0.5);
}

static bp_tensor *triple_sum(bp_context *c, bp_tensor *const *x, void *user)
{
    (void)c, (void)user;
    return bp_scale(bp_sum(x[0]), 3);
}

CLAIM(what_is_linear_has_a_hessian_of_zeros)
{
    bp_tensor *x = TENSOR(BP_SHAPE(2), INFINITY, NAN), *v = TENSOR(BP_SHAPE(2), 1, 2), *hv, *one;
    begin();
    OK(bp_hvp(ctx, triple_sum, NULL, &x, &v, 1, &one, &hv));
    cr_assert(at(hv, 0) == 0 && at(hv, 1) == 0);
    OK(bp_hvp(ctx, square_sum, NULL, &x, &v, 1, NULL, &hv));
    cr_assert(at(hv, 0) == 1 && at(hv, 1) == 2, "I v");
    OK(bp_jvp(ctx, triple_sum, NULL, &v, &v, 1, NULL, &one));
    cr_assert_eq(at(one, 0), 9);
    end();
}

CLAIM(sizes_of_zero_and_one_are_sizes)
{
    bp_tensor *none = random_tensor(BP_SHAPE(0, 2), 0), *a = random_tensor(BP_SHAPE(2, 0), 1), *j;
    bp_tensor *one = NUMBER(3), *wide = random_tensor(BP_SHAPE(3, 2), 2), *jv;
    begin();
    OK(bp_jacobian(ctx, of_matrix, a, &none, 1, NULL, &j)); /* [2,2] of nothing */
    cr_assert_eq(bp_shape_of(j).ndim, 4);
    cr_assert_eq(bp_shape_count(bp_shape_of(j)), 0);
    OK(bp_jvp(ctx, of_matrix, a, &none, &none, 1, NULL, &jv));
    cr_assert(bp_shape_of(jv).dim[0] == 2 && at(jv, 3) == 0);
    bp_tensor *tall = random_tensor(BP_SHAPE(0, 3), 3);
    OK(bp_jacobian(ctx, of_matrix, tall, &wide, 1, NULL, &j)); /* nothing of [3,2] */
    cr_assert(bp_shape_of(j).dim[0] == 0 && bp_shape_of(j).dim[2] == 3);
    OK(bp_jacobian(ctx, square_sum, NULL, &one, 1, NULL, &j));
    cr_assert(bp_shape_of(j).ndim == 0 && at(j, 0) == 3);
    end();
}

CLAIM(nothing_but_the_results_is_left)
{
    bp_tensor *x[2], *j[2], *y;
    bp_stats before, after;
    for (int i = 0; i < 2; i++)
        x[i] = random_tensor(BP_SHAPE(20, 30), (uint64_t)i);
    begin();
    bp_get_stats(ctx, &before);
    OK(bp_hvp(ctx, curved_sum, NULL, x, x, 2, &y, j));
    for (int i = 0; i < 2; i++)
        bp_free(j[i]);
    bp_free(y);
    bp_get_stats(ctx, &after);
    cr_assert_eq(before.bytes, after.bytes);
    end();
}

typedef struct lengths {
    bp_tensor *x, *v, *to;
} lengths;

static bp_status moving(bp_context *c, void *user)
{
    lengths *l = user;
    bp_tensor *jv, *j;
    bp_status st = bp_jvp(c, curved_sum, NULL, (bp_tensor *[]){l->x, l->x},
                          (bp_tensor *[]){l->v, l->v}, 2, NULL, &jv);
    if (st == BP_OK)
        st = bp_jacobian(c, of_matrix, l->x, &l->v, 1, NULL, &j);
    return st == BP_OK ? bp_copy_into(l->to, bp_add(jv, bp_sum(j))) : st;
}

CLAIM(a_plan_records_them)
{
    lengths l = {random_tensor(BP_SHAPE(3, 3), 1), random_tensor(BP_SHAPE(3, 3), 2), NUMBER(0)};
    bp_tensor *other = random_tensor(BP_SHAPE(3, 3), 3);
    bp_plan *plan;
    OK(bp_plan_record(ctx, moving, &l, &plan));
    OK(bp_copy_into(l.x, other));
    OK(bp_plan_replay(plan, 1));
    double replayed = at(l.to, 0);
    OK(bp_run(ctx, 0, moving, &l));
    cr_assert_eq(replayed, at(l.to, 0));
    bp_plan_free(plan);
}

CLAIM(a_loss_needs_no_tensor_of_ones)
{
    bp_tensor *of = TENSOR(BP_SHAPE(2), 3, 4), *one = NUMBER(1), *a, *b, *dd;
    begin();
    bp_tensor *x = bp_require_grad(of), *y = square_sum(ctx, &x, NULL);
    OK(bp_grad(ctx, y, one, &x, 1, BP_KEEP_GRAPH, &a));
    OK(bp_grad_scalar(ctx, y, &x, 1, BP_CREATE_GRAPH, &b));
    same(b, a, 0);
    bp_tensor *length = bp_sum(bp_mul(b, b));
    OK(bp_grad_scalar(ctx, length, &x, 1, 0, &dd));
    cr_assert(at(dd, 0) == 6 && at(dd, 1) == 8);
    cr_assert_eq(bp_grad_scalar(ctx, x, &x, 1, 0, &dd), BP_ERR_SHAPE);
    cr_assert_null(dd);
    end_with(BP_ERR_SHAPE, "grad_scalar: y has shape [2], not one element");
}

/* --- wrong calls ----------------------------------------------------------------------------- */

static bp_tensor *no_tensor(bp_context *c, bp_tensor *const *x, void *user)
{
    (void)c, (void)x, (void)user;
    return NULL;
}

static bp_tensor *constant(bp_context *c, bp_tensor *const *x, void *user)
{
    (void)c, (void)x;
    return user;
}

static bp_tensor *ends_scope(bp_context *c, bp_tensor *const *x, void *user)
{
    (void)user;
    return bp_scope_end(c) == BP_OK ? x[0] : NULL;
}

static bp_tensor *wide_of(bp_context *c, bp_tensor *const *x, void *user)
{
    (void)c, (void)user;
    return bp_reshape(x[0], BP_SHAPE(1, 1, 1, 1, 2));
}

CLAIM(a_wrong_call_is_told)
{
    bp_tensor *x = TENSOR(BP_SHAPE(2), 1, 2), *three = TENSOR(BP_SHAPE(3), 1, 2, 3), *y = x, *r = x;
    bp_tensor *narrow = tensor_in(ctx, BP_F32, BP_SHAPE(2), NULL, 0), *deep, *none = NULL;
    begin();
    cr_assert_eq(bp_vjp(ctx, no_tensor, NULL, &x, 1, x, &y, &r), BP_ERR_ARG);
    cr_assert(!y && !r);
    end_with(BP_ERR_ARG, "vjp: what the function gives is NULL");
    begin();
    cr_assert_eq(bp_vjp(ctx, constant, three, &x, 1, three, &y, &r), BP_ERR_STATE);
    end_with(BP_ERR_STATE, "grad: the value has no history: nothing in it asked for a gradient, or "
                           "it was computed without one");
    begin();
    cr_assert_eq(bp_jvp(ctx, square_sum, NULL, &x, &three, 1, NULL, &r), BP_ERR_SHAPE);
    end_with(BP_ERR_SHAPE, "jvp: v[0] is f64 [3], and x[0] is f64 [2]");
    begin();
    cr_assert_eq(bp_hvp(ctx, square_sum, NULL, &x, &narrow, 1, NULL, &r), BP_ERR_SHAPE);
    end_with(BP_ERR_SHAPE, "hvp: v[0] is f32 [2], and x[0] is f64 [2]");
    begin();
    cr_assert_eq(bp_jvp(ctx, square_sum, NULL, &x, &none, 1, NULL, &r), BP_ERR_ARG);
    end_with(BP_ERR_ARG, "jvp: v[0] is NULL");
    begin();
    cr_assert_eq(bp_jacobian(ctx, square_sum, NULL, &none, 1, NULL, &r), BP_ERR_ARG);
    end_with(BP_ERR_ARG, "jacobian: x[0] is NULL");
    begin();
    cr_assert_eq(bp_jacobian(ctx, square_sum, NULL, &x, 65, NULL, &r), BP_ERR_ARG);
    end_with(BP_ERR_ARG, "jacobian: 65 tensors; 1 to 64 are wanted");
    begin();
    deep = bp_reshape(x, BP_SHAPE(1, 1, 1, 2));
    cr_assert_eq(bp_jacobian(ctx, wide_of, NULL, &deep, 1, NULL, &r), BP_ERR_SHAPE);
    end_with(BP_ERR_SHAPE, "jacobian: y [1,1,1,1,2] and x[0] [1,1,1,2] have 9 sizes together; a "
                           "shape has at most 8");
    begin();
    cr_assert_eq(bp_hvp(ctx, wide_of, NULL, &x, &x, 1, NULL, &r), BP_ERR_SHAPE);
    end_with(BP_ERR_SHAPE, "grad_scalar: y has shape [1,1,1,1,2], not one element");
    begin();
    cr_assert_eq(bp_vjp(ctx, ends_scope, NULL, &x, 1, x, &y, &r), BP_ERR_STATE);
    end_with(BP_ERR_STATE, "vjp: the function that it called ended a scope that it had not begun");
    cr_assert_eq(bp_jvp(ctx, square_sum, NULL, &x, &x, 1, NULL, &r), BP_ERR_STATE);
    TEXT("jvp: outside any scope: call it in bp_run");
    cr_assert_eq(bp_jacobian_of(ctx, x, &x, 1, 0, &r), BP_ERR_STATE);
    TEXT("jacobian_of: outside any scope: call it in bp_run");
    begin();
    cr_assert_eq(bp_jacobian_of(ctx, x, &x, 1, 0, &r), BP_ERR_STATE, "x has no history");
    cr_assert_null(r);
    cr_assert_eq(bp_scope_end(ctx), BP_ERR_STATE);
}
