/* Gradient rules of a program's own: what they may return, and what they may do. What is left half
 * done: test_rules_left.c. */
#include "own_product.h"

#define CLAIM(name) Test(rules, name, .init = setup, .fini = teardown)

static bp_tensor *given; /* for it */
static bp_status seen;   /* by it */

/* --- what a rule returns --------------------------------------------------------------------- */

static bp_status give(bp_grad_call *c)
{
    c->dx[1] = given;
    return BP_OK;
}

/* The walk over sum(product(e^w, w)) fails with this text, and leaves no gradient. */
static void refused(bp_tensor *dx, bp_status status, const char *text)
{
    bp_tensor *init[] = {random_tensor(BP_SHAPE(3), 1)}, *w[1];
    bp_params *p = store_of(1, init, w);
    rule = give;
    given = dx;
    begin();
    cr_assert_eq(bp_backward(ctx, bp_sum(product(bp_exp(w[0]), w[0]))), status);
    end_with(status, text);
    cr_assert_null(bp_param_grad(p, 0));
    bp_params_free(p);
}

CLAIM(a_dx_that_does_not_fit_is_refused)
{
    refused(random_tensor(BP_SHAPE(2), 1), BP_ERR_SHAPE,
            "product: its gradient rule's dx[1] is f64 [2], and f64 [3] is wanted");
    refused(random_tensor(BP_SHAPE(1, 3), 1), BP_ERR_SHAPE,
            "product: its gradient rule's dx[1] is f64 [1,3], and f64 [3] is wanted");
    refused(tensor_in(ctx, BP_F32, BP_SHAPE(3), NULL, 1), BP_ERR_DTYPE,
            "product: its gradient rule's dx[1] is f32 [3], and f64 [3] is wanted");
    bp_tensor *stale = random_tensor(BP_SHAPE(3), 1);
    bp_free(stale);
    refused(stale, BP_ERR_ARG, "product: its gradient rule's dx[1] is a stale handle: its scope "
                               "has ended, or it was freed");
    bp_context *other;
    cr_assert_eq(bp_open("cpu", &other), BP_OK);
    refused(tensor_in(other, BP_F64, BP_SHAPE(3), NULL, 1), BP_ERR_DEVICE,
            "product: its gradient rule's dx[1] belongs to another context");
    bp_close(other);
}

static bp_status as_they_are(bp_grad_call *c)
{
    cr_assert_not(c->need[0]);
    c->dx[0] = given; /* not asked for: nobody looks at it */
    c->dx[1] = c->in[0];
    return BP_OK;
}

static bp_status one_for_both(bp_grad_call *c)
{
    c->dx[0] = c->dx[1] = c->dout[0];
    return BP_OK;
}

CLAIM(a_rule_may_return_what_it_was_given)
{
    bp_tensor *a = TENSOR(BP_SHAPE(2), 3, 4), *b = TENSOR(BP_SHAPE(2), 5, 6), *dx[2];
    begin();
    rule = as_they_are;
    given = NUMBER(9);
    bp_tensor *x = bp_require_grad(b), *y = bp_add(product(a, x), product(a, x));
    OK(bp_grad(ctx, bp_sum(y), NUMBER(1), &x, 1, 0, dx));
    cr_assert_eq(at(dx[0], 1), 8);
    OK(bp_add_into(dx[0], given));
    cr_assert_eq(at(a, 1), 4, "a copy, not the input itself");
    rule = one_for_both;
    bp_tensor *two[] = {bp_require_grad(a), bp_require_grad(b)};
    y = bp_mul(bp_add(product(two[0], two[1]), two[1]), a);
    OK(bp_grad(ctx, bp_sum(y), NUMBER(1), two, 2, 0, dx));
    cr_assert_eq(at(dx[0], 0), 3);
    cr_assert_eq(at(dx[1], 0), 6);
    end();
}

CLAIM(a_rule_may_return_the_gradient_that_it_adds_to)
{
    bp_tensor *init[] = {TENSOR(BP_SHAPE(2, 2), 1, 2, 3, 4)}, *w[1];
    bp_params *p = store_of(1, init, w);
    begin();
    OK(bp_backward(ctx, bp_sum(bp_mul(w[0], init[0]))));
    rule = give;
    given = bp_param_grad(p, 0);
    OK(bp_backward(ctx, bp_sum(product(init[0], w[0]))));
    cr_assert_eq(at(bp_param_grad(p, 0), 1), 4);
    given = bp_transpose(bp_param_grad(p, 0), 0, 1);
    OK(bp_backward(ctx, bp_sum(product(init[0], w[0]))));
    cr_assert_eq(at(bp_param_grad(p, 0), 1), 10);
    cr_assert_eq(at(bp_param_grad(p, 0), 2), 10);
    end();
    bp_params_free(p);
}

/* --- what a rule does ------------------------------------------------------------------------ */

/* The gradient of a graph of its own. */
static bp_status by_differentiating(bp_grad_call *c)
{
    bp_tensor *x[2];
    for (int i = 0; i < 2; i++)
        x[i] = bp_require_grad(c->in[i]);
    return bp_grad(c->ctx, bp_mul(x[0], x[1]), c->dout[0], x, 2, 0, c->dx);
}

/* The same, in a scope of its own, and through a gradient that is differentiated in turn:
 * s = sum u (a b), so ds/du = a b. */
static bp_status by_differentiating_twice(bp_grad_call *c)
{
    bp_tensor *x[2], *u = bp_require_grad(c->dout[0]), *du;
    for (int i = 0; i < 2; i++)
        x[i] = bp_require_grad(c->in[i]);
    bp_tensor *s = bp_mul(u, bp_mul(x[0], x[1])), *one = bp_exp(bp_scale(c->dout[0], 0));
    bp_status st = bp_grad(c->ctx, s, one, &u, 1, BP_CREATE_GRAPH, &du);
    return st != BP_OK ? st : bp_grad(c->ctx, du, c->dout[0], x, 2, 0, c->dx);
}

/* First and second derivatives of a graph whose inputs meet in several places. */
static void derivatives(bp_tensor *a, bp_tensor *b, int same_input, bp_tensor **d)
{
    begin();
    bp_tensor *x[] = {bp_require_grad(a), bp_require_grad(b)}, *dx[2];
    bp_tensor *y = product(bp_exp(x[0]), x[same_input ? 0 : 1]);
    y = product(product(y, y), bp_add(y, x[1]));
    OK(bp_grad(ctx, bp_sum(y), NUMBER(1), x, 2, BP_CREATE_GRAPH, dx));
    OK(bp_grad(ctx, bp_sum(bp_mul(dx[0], bp_add(dx[1], x[1]))), NUMBER(1), x, 2, BP_KEEP_GRAPH,
               d + 2));
    OK(bp_grad(ctx, bp_sum(y), NUMBER(1), x, 2, 0, d));
    for (int i = 0; i < 4; i++)
        cr_assert(bp_keep(d[i]));
    end();
}

CLAIM(a_rule_may_differentiate_what_it_computes)
{
    bp_tensor *a = random_tensor(BP_SHAPE(3), 1), *b = random_tensor(BP_SHAPE(3), 2);
    for (int same_input = 0; same_input < 2; same_input++) {
        bp_tensor *want[4], *got[2][4];
        rule = right;
        derivatives(a, b, same_input, want);
        rule = by_differentiating;
        derivatives(a, b, same_input, got[0]);
        rule = by_differentiating_twice;
        derivatives(a, b, same_input, got[1]);
        for (int i = 0; i < 8; i++)
            same(got[i / 4][i % 4], want[i % 4], 1e-13);
    }
}

CLAIM(a_rules_graph_goes_into_no_store)
{
    bp_tensor *init[] = {NUMBER(2), NUMBER(3)}, *w[2];
    bp_params *p = store_of(2, init, w);
    rule = by_differentiating;
    for (int times = 1; times <= 2; times++) {
        begin();
        bp_tensor *y = product(w[0], bp_mul(w[0], w[1]));
        OK(bp_backward(ctx, bp_add(y, bp_mul(y, w[1])))); /* a^2 b (1 + b) */
        cr_assert_eq(at(bp_param_grad(p, 0), 0), times * 48);
        cr_assert_eq(at(bp_param_grad(p, 1), 0), times * 28);
        end();
    }
    bp_params_free(p);
}

static bp_status remembers(bp_grad_call *c)
{
    given = c->in[0];
    return right(c);
}

CLAIM(what_a_rule_was_given_is_stale_when_the_walk_has_passed)
{
    bp_tensor *two = NUMBER(2), *one = NUMBER(1), *dx;
    rule = remembers;
    begin();
    bp_tensor *x = bp_require_grad(two), *y = product(x, bp_exp(x));
    OK(bp_grad(ctx, y, one, &x, 1, 0, &dx));
    for (int i = 0; i < 10; i++)
        cr_assert(bp_scale(x, i));
    cr_assert_null(bp_exp(given));
    end_with(BP_ERR_ARG, "exp: input 0 is a stale handle: its scope has ended, or it was freed");
}

/* --- what it may not ------------------------------------------------------------------------- */

static bp_tensor *outer[2], *weight;

static bp_status walks_on(bp_grad_call *c)
{
    return seen = bp_grad(c->ctx, outer[0], c->dout[0], &outer[1], 1, 0, c->dx);
}

static bp_status wants_its_input(bp_grad_call *c)
{
    bp_tensor *x = bp_require_grad(c->in[0]);
    return seen = bp_grad(c->ctx, bp_mul(x, c->in[1]), c->dout[0], &c->in[1], 1, 0, c->dx);
}

static bp_status wants_a_parameter(bp_grad_call *c)
{
    bp_tensor *x = bp_require_grad(c->in[0]);
    return seen = bp_grad(c->ctx, bp_mul(x, weight), c->dout[0], &weight, 1, 0, c->dx);
}

static bp_status walks_to_the_store(bp_grad_call *c)
{
    return seen = bp_backward(c->ctx, bp_require_grad(c->in[0]));
}

static bp_status ends_too_many(bp_grad_call *c)
{
    return seen = bp_scope_end(c->ctx);
}

static bp_status leaves_one_open(bp_grad_call *c)
{
    seen = bp_scope_begin(c->ctx, 0);
    return right(c);
}

static void forbidden(bp_status (*what)(bp_grad_call *), uint32_t flags, const char *text)
{
    bp_tensor *init[] = {NUMBER(2)}, *two = NUMBER(2), *one = NUMBER(1), *dx;
    bp_params *p = store_of(1, init, &weight);
    rule = what;
    begin();
    bp_tensor *x = bp_require_grad(two);
    outer[1] = bp_mul(bp_exp(x), weight);
    outer[0] = bp_mul(outer[1], x);
    bp_tensor *y = product(outer[0], x);
    cr_assert_eq(bp_grad(ctx, y, one, &x, 1, flags, &dx), BP_ERR_STATE);
    end_with(BP_ERR_STATE, text);
    begin(); /* the context is whole */
    rule = right;
    x = bp_require_grad(two);
    OK(bp_grad(ctx, product(x, bp_scale(x, 3)), one, &x, 1, flags, &dx));
    cr_assert_eq(at(dx, 0), 12);
    end();
    bp_params_free(p);
}

CLAIM(a_rule_may_not_reach_into_the_graph_that_is_walked)
{
    for (uint32_t flags = 0; flags <= BP_CREATE_GRAPH; flags += BP_CREATE_GRAPH) {
        forbidden(walks_on, flags, "grad: the gradient rule of product wants the gradient of a "
                                   "value that it did not compute itself");
        forbidden(wants_its_input, flags,
                  "grad: the gradient rule of product wants a gradient by x[0], which it did not "
                  "make itself: take bp_require_grad() of it");
        forbidden(wants_a_parameter, flags,
                  "grad: the gradient rule of product wants a gradient by x[0], which it did not "
                  "make itself: take bp_require_grad() of it");
        forbidden(walks_to_the_store, flags, "backward: called from the gradient rule of product");
        forbidden(ends_too_many, flags, "scope_end: a gradient rule has not begun this scope");
        forbidden(leaves_one_open, flags, "product: the function that it called left a scope open");
    }
}
