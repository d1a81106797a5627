/* linear_relu hands its gradient to the layer before; and derivatives of derivatives. The hand-over
 * must not show: whoever reads the value between two layers, gradients are those of the
 * primitives. */
#include "suite.h"

#define CLAIM(name) Test(handover, name, .init = setup, .fini = teardown)

enum { ROWS = 9, WIDE = 6, N = 5 };

/* How the value between two layers is also read. */
typedef enum reader {
    NOBODY, BY_THE_LOSS, BY_A_LAYER, AS_A_TARGET, BY_A_DEAD_BRANCH, READERS
} reader;

static bp_tensor *layer(bp_tensor *x, bp_tensor *w, bp_tensor *b, double p, bool fused)
{
    if (fused)
        return bp_linear_relu(x, w, b, p);
    return bp_dropout(bp_relu(bp_add(bp_matmul(x, bp_transpose(w, 0, 1)), b)), p);
}

static void gradients(reader how, bool fused, bp_tensor *const *given, bp_tensor **dx)
{
    bp_tensor *x[N], *h, *y, *want[N + 1];
    OK(bp_seed(ctx, 3));
    begin();
    for (int i = 0; i < N; i++)
        want[i] = x[i] = bp_require_grad(given[i]);
    want[N] = h = layer(x[0], x[1], x[2], 0.25, fused);
    y = layer(h, x[3], x[4], 0.5, fused);
    if (how == BY_A_LAYER)
        y = bp_add(y, layer(h, x[1], x[2], 0, fused));
    if (how == BY_A_DEAD_BRANCH)
        cr_assert(bp_exp(h));
    bp_tensor *loss = bp_sum(bp_mul(y, y));
    if (how == BY_THE_LOSS)
        loss = bp_add(loss, bp_sum(bp_mul(h, given[5])));
    OK(bp_grad(ctx, loss, given[6], want, how == AS_A_TARGET ? N + 1 : N, 0, dx));
    for (int i = 0; i < (how == AS_A_TARGET ? N + 1 : N); i++)
        bp_keep(dx[i]);
    end();
}

CLAIM(gradients_are_those_of_the_primitives_whoever_reads_between)
{
    bp_tensor *given[] = {random_tensor(BP_SHAPE(ROWS, WIDE), 1),
                          random_tensor(BP_SHAPE(WIDE, WIDE), 2), random_tensor(BP_SHAPE(WIDE), 3),
                          random_tensor(BP_SHAPE(WIDE, WIDE), 4), random_tensor(BP_SHAPE(WIDE), 5),
                          random_tensor(BP_SHAPE(ROWS, WIDE), 6), NUMBER(1)};
    for (reader how = NOBODY; how < READERS; how++) {
        bp_tensor *a[N + 1], *b[N + 1];
        gradients(how, true, given, a);
        gradients(how, false, given, b);
        for (int i = 0; i < (how == AS_A_TARGET ? N + 1 : N); i++)
            same(a[i], b[i], 1e-13);
    }
}

CLAIM(a_kept_graph_hands_over_the_same_every_time)
{
    bp_tensor *init[] = {random_tensor(BP_SHAPE(WIDE, WIDE), 1), random_tensor(BP_SHAPE(WIDE), 2)};
    bp_tensor *w[2], *x = random_tensor(BP_SHAPE(ROWS, WIDE), 3);
    bp_params *p = store_of(2, init, w);
    begin();
    bp_tensor *y = bp_linear_relu(bp_linear_relu(x, w[0], w[1], 0.2), w[0], w[1], 0.2);
    bp_tensor *loss = bp_sum(bp_mul(y, y));
    OK(bp_backward_keep(ctx, loss));
    bp_tensor *once = bp_scale(bp_param_grad(p, 0), 2);
    OK(bp_backward_keep(ctx, loss));
    same(bp_param_grad(p, 0), once, 1e-15);
    end();
    bp_params_free(p);
}

/* --- derivatives of derivatives -------------------------------------------------------------- */

static bp_tensor *first(bp_tensor *y, bp_tensor *x, uint32_t flags)
{
    bp_tensor *dx;
    OK(bp_grad(ctx, y, NUMBER(1), &x, 1, flags, &dx));
    return dx;
}

CLAIM(a_hessian_vector_product_of_a_cube_is_6xv)
{
    bp_tensor *v = TENSOR(BP_SHAPE(3), 1, -2, 0.5);
    begin();
    bp_tensor *x = bp_require_grad(TENSOR(BP_SHAPE(3), 1, 2, -3));
    bp_tensor *y = bp_sum(bp_mul(bp_mul(x, x), x));
    bp_tensor *g = first(y, x, BP_CREATE_GRAPH);
    bp_tensor *hv = first(bp_sum(bp_mul(g, v)), x, 0);
    cr_assert_eq(at(hv, 0), 6);
    cr_assert_eq(at(hv, 1), -24);
    cr_assert_eq(at(hv, 2), -9);
    end();
}

CLAIM(the_hessian_of_a_quadratic_form_is_a_plus_its_transpose)
{
    bp_tensor *a = random_tensor(BP_SHAPE(4, 4), 1), *v = random_tensor(BP_SHAPE(4, 1), 2);
    begin();
    bp_tensor *x = bp_require_grad(random_tensor(BP_SHAPE(4, 1), 3));
    bp_tensor *y = bp_sum(bp_mul(x, bp_matmul(a, x)));
    bp_tensor *g = first(y, x, BP_CREATE_GRAPH);
    bp_tensor *hv = first(bp_sum(bp_mul(g, v)), x, 0);
    same(hv, bp_matmul(bp_add(a, bp_transpose(a, 0, 1)), v), 1e-14);
    end();
}

CLAIM(third_derivatives_work_too)
{
    begin();
    bp_tensor *x = bp_require_grad(NUMBER(2)), *y = bp_mul(bp_mul(x, x), bp_mul(x, x));
    bp_tensor *d1 = first(y, x, BP_CREATE_GRAPH), *d2 = first(d1, x, BP_CREATE_GRAPH);
    bp_tensor *d3 = first(d2, x, BP_CREATE_GRAPH);
    cr_assert_eq(at(d1, 0), 32);
    cr_assert_eq(at(d2, 0), 48);
    cr_assert_eq(at(d3, 0), 48);
    cr_assert_eq(at(first(d3, x, 0), 0), 24);
    end();
}

CLAIM(the_hessian_of_cross_entropy_is_diag_p_minus_pp)
{
    bp_tensor *labels = INTS(BP_SHAPE(1), 2), *v = TENSOR(BP_SHAPE(1, 3), 1, -1, 0.5);
    double z[] = {0.2, -0.7, 1.1}, vv[] = {1, -1, 0.5}, p[3], sum = 0, pv = 0;
    for (int i = 0; i < 3; i++)
        sum += p[i] = exp(z[i]);
    for (int i = 0; i < 3; i++)
        pv += (p[i] /= sum) * vv[i];
    begin();
    bp_tensor *x = bp_require_grad(TENSOR(BP_SHAPE(1, 3), 0.2, -0.7, 1.1));
    bp_tensor *g = first(bp_cross_entropy(x, labels), x, BP_CREATE_GRAPH);
    bp_tensor *hv = first(bp_sum(bp_mul(g, v)), x, 0);
    for (int i = 0; i < 3; i++)
        cr_assert_float_eq(at(hv, i), p[i] * (vv[i] - pv), 1e-14);
    end();
}

CLAIM(a_gradient_penalty_trains_a_parameter)
{
    bp_tensor *init[] = {TENSOR(BP_SHAPE(1, 2), 3, -1), TENSOR(BP_SHAPE(1), 0)}, *w[2];
    bp_params *p = store_of(2, init, w);
    begin(); /* y = w x: |dy/dx|^2 = |w|^2, whose gradient by w is 2w for each row */
    bp_tensor *x = bp_require_grad(random_tensor(BP_SHAPE(5, 2), 4));
    bp_tensor *g = first(bp_sum(bp_linear(x, w[0], w[1])), x, BP_CREATE_GRAPH);
    OK(bp_backward(ctx, bp_sum(bp_mul(g, g))));
    cr_assert_float_eq(at(bp_param_grad(p, 0), 0), 30, 1e-13);
    cr_assert_float_eq(at(bp_param_grad(p, 0), 1), -10, 1e-13);
    end();
    bp_params_free(p);
}

CLAIM(gradients_made_without_create_graph_have_no_history)
{
    bp_tensor *dx;
    begin();
    bp_tensor *x = bp_require_grad(NUMBER(2)), *g = first(bp_mul(x, x), x, 0);
    cr_assert_eq(bp_grad(ctx, g, NUMBER(1), &x, 1, 0, &dx), BP_ERR_STATE);
    cr_assert_eq(bp_scope_end(ctx), BP_ERR_STATE);
}
