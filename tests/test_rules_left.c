/* Gradient rules of a program's own that leave the walk, or fail in it: what is taken back. */
#include <setjmp.h>

#include "own_product.h"

#define CLAIM(name) Test(rules_left, name, .init = setup, .fini = teardown)

static jmp_buf away;
static bool leaves;

/* The gradient of the second input has arrived when the first op's rule is called. */
static bp_status may_leave(bp_grad_call *c)
{
    if (leaves)
        longjmp(away, 1);
    return right(c);
}

static bp_status product_step(bp_context *c, void *user)
{
    bp_tensor **w = user;
    return bp_backward(c, bp_sum(bp_mul(product(w[0], w[0]), w[1])));
}

CLAIM(a_walk_that_a_rule_has_left_by_a_jump_is_taken_back)
{
    bp_tensor *init[] = {NUMBER(3), NUMBER(5)}, *w[2];
    bp_params *p = store_of(2, init, w);
    rule = may_leave;
    leaves = true;
    if (!setjmp(away))
        (void)!bp_run(ctx, 0, product_step, w);
    while (bp_scope_end(ctx) != BP_ERR_STATE)
        continue;
    cr_assert_null(bp_param_grad(p, 1));
    leaves = false;
    OK(bp_run(ctx, 0, product_step, w));
    cr_assert_eq(at(bp_param_grad(p, 0), 0), 30);
    cr_assert_eq(at(bp_param_grad(p, 1), 0), 9);
    bp_params_free(p);
}

/* bp_grad over a graph whose rule leaves. */
static bp_status asks_for_gradient(bp_context *c, void *user)
{
    bp_tensor *x = bp_require_grad(user), *dx;
    return bp_grad(c, product(x, x), user, &x, 1, 0, &dx);
}

CLAIM(a_walk_of_bp_grad_that_is_left_touches_no_store)
{
    bp_tensor *init[] = {NUMBER(3), NUMBER(5)}, *w[2];
    bp_params *p = store_of(2, init, w);
    rule = may_leave;
    leaves = false;
    OK(bp_run(ctx, 0, product_step, w));
    bp_params *untouched = store_of(1, init, w); /* no walk has reached it */
    bp_optimizer *o;
    OK(bp_sgd_create(untouched, 0.5, 0, &o));
    leaves = true;
    if (!setjmp(away))
        (void)!bp_run(ctx, 0, asks_for_gradient, init[0]);
    while (bp_scope_end(ctx) != BP_ERR_STATE)
        continue;
    cr_assert_eq(at(bp_param_grad(p, 1), 0), 9);
    OK(bp_optimizer_step(o));
    bp_optimizer_free(o);
    bp_params_free(untouched);
    bp_params_free(p);
}

static bool fails;

static bp_status may_fail(bp_exec *ex, const bp_view *in, const bp_view *out, const void *params)
{
    return fails ? BP_ERR_STOPPED : product_forward(ex, in, out, params);
}

/* The kernel that may fail is one of the walk. */
static bp_status by_failing_kernel(bp_grad_call *c)
{
    static const bp_op_def def = {.struct_bytes = sizeof def, .name = "may_fail", .n_in = 2,
                                  .n_out = 1, .infer = product_infer, .forward = may_fail};
    bp_op *op;
    OK(bp_op_register(ctx, &def, &op));
    for (int i = 0; i < 2; i++)
        c->dx[i] = bp_op_apply(op, (bp_tensor *[]){c->dout[0], c->in[1 - i]}, NULL, NULL);
    return BP_OK;
}

CLAIM(gradients_that_a_failed_replay_may_have_added_to_are_invalid)
{
    bp_tensor *init[] = {NUMBER(3), NUMBER(5)}, *w[2];
    bp_params *p = store_of(2, init, w);
    bp_optimizer *o;
    bp_plan *plan;
    OK(bp_sgd_create(p, 0.5, 0, &o));
    rule = by_failing_kernel;
    fails = false;
    OK(bp_run(ctx, 0, product_step, w));
    OK(bp_plan_record(ctx, product_step, w, &plan));
    cr_assert_eq(at(bp_param_grad(p, 1), 0), 18);
    fails = true;
    cr_assert_eq(bp_plan_replay(plan, 1), BP_ERR_STOPPED);
    cr_assert_null(bp_param_grad(p, 1));
    cr_assert_eq(bp_optimizer_step(o), BP_ERR_STATE);
    TEXT("optimizer_step: the last backward failed; call bp_grad_clear first");
    cr_assert_eq(at(w[1], 0), 5);
    bp_plan_free(plan);
    bp_optimizer_free(o);
    bp_params_free(p);
}
