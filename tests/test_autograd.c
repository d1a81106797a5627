/* Reverse mode over any DAG: shared inputs, windows and accumulation, what is and is not computed,
 * and what it refuses. Values against formulas; whole ops are held to differences elsewhere. */
#include "suite.h"

#define CLAIM(name) Test(autograd, name, .init = setup, .fini = teardown)

/* dy = 1 of y's shape, and bp_grad of one x. */
static bp_tensor *grad_of(bp_tensor *y, bp_tensor *x, uint32_t flags)
{
    bp_tensor *one = bp_tensor_create(ctx, BP_F64, bp_shape_of(y)), *dx;
    OK(bp_add_into(one, NUMBER(1)));
    OK(bp_grad(ctx, y, one, &x, 1, flags, &dx));
    return dx;
}

CLAIM(fan_out_adds_up)
{
    begin();
    bp_tensor *x = bp_require_grad(TENSOR(BP_SHAPE(2), 3, -5));
    bp_tensor *y = bp_add(bp_add(bp_mul(x, x), x), bp_add(x, x));
    bp_tensor *dx = grad_of(y, x, 0);
    cr_assert_eq(at(dx, 0), 9);
    cr_assert_eq(at(dx, 1), -7);
    end();
}

CLAIM(a_diamond_is_walked_once_in_order)
{
    begin();
    bp_tensor *x = bp_require_grad(NUMBER(0.3)), *a = bp_exp(x);
    bp_tensor *y = bp_mul(bp_scale(a, 2), bp_mul(a, a)); /* 2 e^3x */
    bp_tensor *dx = grad_of(y, x, BP_KEEP_GRAPH), *da = grad_of(y, a, 0); /* interior */
    cr_assert_float_eq(at(dx, 0), 6 * exp(0.9), 1e-13);
    cr_assert_float_eq(at(da, 0), 6 * exp(0.6), 1e-13);
    end();
}

CLAIM(a_deep_chain_is_fine)
{
    begin();
    bp_tensor *x = bp_require_grad(NUMBER(1)), *y = x;
    for (int i = 0; i < 2000; i++)
        y = bp_scale(y, i % 2 ? 2 : 0.5);
    cr_assert_eq(at(grad_of(y, x, 0), 0), 1);
    end();
}

CLAIM(several_targets_come_together_and_zeros_where_nothing_leads)
{
    begin();
    bp_tensor *x = bp_require_grad(NUMBER(2)), *u = bp_require_grad(TENSOR(BP_SHAPE(2), 1, 1));
    bp_tensor *m = bp_mul(x, x), *y = bp_mul(m, x), *one = NUMBER(1);
    bp_tensor *later = bp_scale(y, 3);
    bp_tensor *want[] = {x, u, m, y, x, later}, *dx[6];
    OK(bp_grad(ctx, y, one, want, 6, 0, dx));
    cr_assert_eq(at(dx[0], 0), 12);
    cr_assert_eq(bp_shape_of(dx[1]).dim[0], 2);
    cr_assert_eq(at(dx[1], 1), 0);
    cr_assert_eq(at(dx[2], 0), 2);
    cr_assert_eq(at(dx[3], 0), 1);
    cr_assert_eq(at(dx[4], 0), 12, "the same one twice");
    cr_assert_eq(at(dx[5], 0), 0, "made after y");
    end();
}

CLAIM(shared_weights_get_the_sum_of_their_uses)
{
    bp_tensor *init[] = {random_tensor(BP_SHAPE(4, 4), 1), random_tensor(BP_SHAPE(4, 4), 1)};
    bp_tensor *w[2], *x = random_tensor(BP_SHAPE(3, 4), 2), *sum;
    bp_params *p = store_of(2, init, w);
    begin();
    OK(bp_backward(ctx, bp_sum(bp_matmul(bp_relu(bp_matmul(x, w[0])), w[1]))));
    sum = bp_keep(bp_add(bp_param_grad(p, 0), bp_param_grad(p, 1)));
    end();
    OK(bp_grad_clear(p));
    begin();
    OK(bp_backward(ctx, bp_sum(bp_matmul(bp_relu(bp_matmul(x, w[0])), w[0]))));
    same(bp_param_grad(p, 0), sum, 1e-14);
    cr_assert_null(bp_param_grad(p, 1), "nothing reached the other one");
    end();
    bp_params_free(p);
}

CLAIM(micro_batches_add_up_to_the_big_batch)
{
    bp_tensor *init[] = {random_tensor(BP_SHAPE(5, 3), 1), random_tensor(BP_SHAPE(5), 2)}, *w[2];
    bp_tensor *x = random_tensor(BP_SHAPE(8, 3), 3), *big[2];
    bp_tensor *labels = INTS(BP_SHAPE(8), 0, 1, 2, 3, 4, 0, 1, 2);
    bp_params *p = store_of(2, init, w);
    begin();
    OK(bp_backward(ctx, bp_cross_entropy(bp_linear(x, w[0], w[1]), labels)));
    for (int i = 0; i < 2; i++)
        big[i] = bp_keep(bp_scale(bp_param_grad(p, i), 1));
    end();
    OK(bp_grad_clear(p));
    for (int k = 0; k < 4; k++) {
        bp_tensor *rows = INTS(BP_SHAPE(2), 2 * k, 2 * k + 1);
        begin();
        bp_tensor *y = bp_linear(bp_gather(x, rows), w[0], w[1]);
        OK(bp_backward(ctx, bp_scale(bp_cross_entropy(y, bp_gather(labels, rows)), 0.25)));
        end();
    }
    for (int i = 0; i < 2; i++)
        same(bp_param_grad(p, i), big[i], 1e-14);
    bp_params_free(p);
}

CLAIM(a_window_opens_with_a_write_and_closes_with_the_step_or_a_clear)
{
    bp_tensor *init[] = {NUMBER(2)}, *w[1];
    bp_params *p = store_of(1, init, w);
    bp_optimizer *o;
    OK(bp_sgd_create(p, 0.5, 0, &o));
    cr_assert_null(bp_param_grad(p, 0), "nothing arrived yet");
    for (int round = 0; round < 3; round++) {
        double value = at(w[0], 0);
        for (int k = 1; k <= 2; k++) {
            begin();
            OK(bp_backward(ctx, bp_scale(w[0], 3)));
            end();
            cr_assert_eq(at(bp_param_grad(p, 0), 0), 3 * k);
        }
        if (round == 1) {
            OK(bp_grad_clear(p));
        } else {
            OK(bp_optimizer_step(o));
            value -= 3;
        }
        cr_assert_null(bp_param_grad(p, 0));
        cr_assert_eq(at(w[0], 0), value);
    }
    bp_optimizer_free(o);
    bp_params_free(p);
}

CLAIM(a_parameter_that_nothing_reached_is_skipped_by_the_step)
{
    bp_tensor *init[] = {TENSOR(BP_SHAPE(2, 2), 1, 2, 3, 4), TENSOR(BP_SHAPE(3), 5, 6, 7),
                         TENSOR(BP_SHAPE(2), 8, 9)}, *w[3];
    bp_params *p = store_of(3, init, w);
    bp_optimizer *o;
    OK(bp_adam_create(p, 0.1, &o));
    begin(); /* all move, and get moments */
    OK(bp_backward(ctx, bp_add(bp_sum(w[0]), bp_add(bp_sum(w[1]), bp_sum(w[2])))));
    OK(bp_optimizer_step(o));
    end();
    double before = at(w[1], 1);
    begin();
    OK(bp_backward(ctx, bp_add(bp_sum(w[0]), bp_sum(w[2]))));
    OK(bp_optimizer_step(o));
    end();
    cr_assert_eq(at(w[1], 1), before, "its momentum does not move it");
    cr_assert_lt(at(w[0], 0), 0.85);
    cr_assert_lt(at(w[2], 1), 8.85);
    bp_optimizer_free(o);
    bp_params_free(p);
}

CLAIM(a_frozen_parameter_asks_for_no_gradient)
{
    bp_tensor *init[] = {NUMBER(2), NUMBER(3)}, *w[2];
    bp_params *p = store_of(2, init, w);
    OK(bp_param_freeze(p, 0, 1));
    cr_assert_eq(bp_param_freeze(p, 7, 1), BP_ERR_ARG);
    TEXT("param_freeze: no parameter 7 among 2");
    begin();
    OK(bp_backward(ctx, bp_mul(w[0], w[1])));
    cr_assert_null(bp_param_grad(p, 0));
    cr_assert_eq(at(bp_param_grad(p, 1), 0), 2);
    cr_assert_eq(bp_backward(ctx, bp_scale(w[0], 2)), BP_ERR_STATE, "nothing asks");
    end_with(BP_ERR_STATE, "backward: the value has no history: nothing in it asked for a "
                           "gradient, or it was computed without one");
    OK(bp_grad_clear(p));
    OK(bp_param_freeze(p, 0, 0));
    begin();
    OK(bp_backward(ctx, bp_mul(w[0], w[1])));
    cr_assert_eq(at(bp_param_grad(p, 0), 0), 3);
    end();
    bp_params_free(p);
}

CLAIM(detach_is_a_constant)
{
    begin();
    bp_tensor *x = bp_require_grad(NUMBER(3)), *y = bp_mul(x, bp_detach(x));
    cr_assert_eq(at(grad_of(y, x, 0), 0), 3);
    end();
}

CLAIM(a_graph_is_used_once_unless_it_is_kept)
{
    bp_tensor *init[] = {NUMBER(2)}, *w[1];
    bp_params *p = store_of(1, init, w);
    begin();
    bp_tensor *loss = bp_mul(w[0], w[0]);
    OK(bp_backward_keep(ctx, loss));
    OK(bp_backward(ctx, loss));
    cr_assert_eq(at(bp_param_grad(p, 0), 0), 8);
    cr_assert_eq(bp_backward(ctx, loss), BP_ERR_STATE);
    end_with(BP_ERR_STATE, "mul: the graph behind this value was already used; keep it with "
                           "bp_backward_keep or BP_KEEP_GRAPH");
    bp_params_free(p);
}

CLAIM(a_kept_cross_entropy_gives_the_same_gradient_every_time)
{
    bp_tensor *labels = INTS(BP_SHAPE(4), 0, 1, 2, 0), *one = NUMBER(1), *a, *b, *c;
    begin();
    bp_tensor *x = bp_require_grad(random_tensor(BP_SHAPE(4, 3), 1));
    bp_tensor *loss = bp_scale(bp_cross_entropy(x, labels), 0.3);
    OK(bp_grad(ctx, loss, one, &x, 1, BP_KEEP_GRAPH, &a));
    a = bp_scale(a, 1); /* apart from what the next walk may write to */
    OK(bp_grad(ctx, loss, one, &x, 1, BP_KEEP_GRAPH, &b));
    OK(bp_grad(ctx, loss, one, &x, 1, 0, &c));
    same(b, a, 0);
    same(c, a, 1e-15);
    end();
}

CLAIM(a_value_changed_after_it_was_saved_is_named_with_its_writer)
{
    bp_tensor *init[] = {NUMBER(2)}, *w[1], *x = NUMBER(5), *other = NUMBER(6);
    bp_params *p = store_of(1, init, w);
    double v = 7;
    begin();
    bp_tensor *y = bp_mul(x, w[0]);
    OK(bp_copy_into(x, other));
    cr_assert_eq(bp_backward(ctx, y), BP_ERR_STATE);
    end_with(BP_ERR_STATE, "mul: its input 0 was changed by copy_into after it was saved for the "
                           "gradient");
    OK(bp_grad_clear(p));
    begin();
    y = bp_exp(bp_mul(x, w[0]));
    OK(bp_write(y, &v, sizeof v));
    cr_assert_eq(bp_backward(ctx, y), BP_ERR_STATE);
    end_with(BP_ERR_STATE, "exp: its output 0 was changed by write after it was saved for the "
                           "gradient");
    OK(bp_grad_clear(p));
    begin(); /* what no rule saved may change */
    y = bp_add(x, w[0]);
    OK(bp_copy_into(x, other));
    OK(bp_backward(ctx, y));
    end();
    bp_params_free(p);
}

CLAIM(a_step_inside_the_graph_is_seen_by_the_next_backward)
{
    bp_tensor *init[] = {NUMBER(2)}, *w[1];
    bp_params *p = store_of(1, init, w);
    bp_optimizer *o;
    OK(bp_sgd_create(p, 0.1, 0, &o));
    begin();
    bp_tensor *y = bp_mul(w[0], w[0]);
    OK(bp_backward_keep(ctx, y));
    OK(bp_optimizer_step(o));
    cr_assert_eq(bp_backward(ctx, y), BP_ERR_STATE);
    end_with(BP_ERR_STATE, "mul: its input 0 was changed by optimizer_step after it was saved for "
                           "the gradient");
    bp_optimizer_free(o);
    bp_params_free(p);
}

CLAIM(a_failed_backward_makes_the_step_refuse_until_the_gradients_are_cleared)
{
    bp_tensor *init[] = {NUMBER(2), NUMBER(3)}, *w[2], *x = NUMBER(5);
    bp_params *p = store_of(2, init, w);
    bp_optimizer *o;
    OK(bp_sgd_create(p, 0.1, 0, &o));
    begin();
    OK(bp_backward(ctx, bp_scale(w[1], 2)));
    bp_tensor *y = bp_mul(bp_mul(x, w[0]), w[1]); /* adds to w[1]'s gradient before it fails */
    OK(bp_add_into(x, x));
    cr_assert_eq(bp_backward(ctx, y), BP_ERR_STATE);
    cr_assert_eq(bp_optimizer_step(o), BP_ERR_STATE, "pending");
    cr_assert_eq(bp_scope_end(ctx), BP_ERR_STATE);
    cr_assert_null(bp_param_grad(p, 1));
    cr_assert_eq(bp_optimizer_step(o), BP_ERR_STATE);
    TEXT("optimizer_step: the last backward failed; call bp_grad_clear first");
    OK(bp_grad_clear(p));
    begin();
    OK(bp_backward(ctx, bp_mul(w[0], w[1])));
    OK(bp_optimizer_step(o));
    end();
    cr_assert_float_eq(at(w[0], 0), 2 - 0.3, 1e-15);
    bp_optimizer_free(o);
    bp_params_free(p);
}

CLAIM(backward_and_grad_refuse_what_they_cannot_use)
{
    bp_tensor *x = TENSOR(BP_SHAPE(2), 1, 2), *dx, *one = NUMBER(1);
    begin();
    bp_tensor *leaf = bp_require_grad(x), *y = bp_relu(leaf);
    cr_assert_eq(bp_backward(ctx, y), BP_ERR_SHAPE);
    end_with(BP_ERR_SHAPE, "backward: the loss has shape [2], not one element");
    begin();
    leaf = bp_require_grad(x);
    y = bp_sum(leaf);
    cr_assert_eq(bp_grad(ctx, y, x, &leaf, 1, 0, &dx), BP_ERR_SHAPE);
    cr_assert_null(dx);
    end_with(BP_ERR_SHAPE, "grad: dy is f64 [2] and y is f64 []: y's dtype and shape are wanted");
    begin();
    leaf = bp_require_grad(x);
    y = bp_cast(bp_sum(leaf), BP_F32);
    cr_assert_eq(bp_grad(ctx, y, one, &leaf, 1, 0, &dx), BP_ERR_SHAPE);
    end_with(BP_ERR_SHAPE, "grad: dy is f64 [] and y is f32 []: y's dtype and shape are wanted");
    begin();
    leaf = bp_require_grad(x);
    cr_assert_eq(bp_grad(ctx, bp_sum(leaf), one, &x, 1, 0, &dx), BP_ERR_ARG);
    end_with(BP_ERR_ARG, "grad: x[0] asks for no gradient");
    begin();
    cr_assert_eq(bp_backward(ctx, NULL), BP_ERR_ARG);
    cr_assert_eq(bp_scope_end(ctx), BP_ERR_ARG);
    begin();
    leaf = bp_require_grad(one);
    OK(bp_backward(ctx, bp_scale(leaf, 2))); /* a leaf that is no parameter: nothing to write */
    end();
}

CLAIM(bp_grad_leaves_the_stores_alone)
{
    bp_tensor *init[] = {NUMBER(2)}, *w[1], *dx;
    bp_params *p = store_of(1, init, w);
    begin();
    OK(bp_backward(ctx, bp_scale(w[0], 5)));
    OK(bp_grad(ctx, bp_mul(w[0], w[0]), NUMBER(1), &w[0], 1, 0, &dx));
    cr_assert_eq(at(dx, 0), 4);
    cr_assert_eq(at(bp_param_grad(p, 0), 0), 5);
    end();
    bp_params_free(p);
}

CLAIM(an_f32_loss_and_an_f64_path_meet_in_a_cast)
{
    bp_tensor *init[] = {NUMBER(3)}, *w[1];
    bp_params *p = store_of(1, init, w);
    begin();
    bp_tensor *y = bp_cast(bp_mul(w[0], w[0]), BP_F32);
    OK(bp_backward(ctx, bp_scale(y, 2)));
    cr_assert_eq(at(bp_param_grad(p, 0), 0), 12);
    end();
    bp_params_free(p);
}

CLAIM(flags_that_nobody_knows_are_refused)
{
    bp_tensor *x = NUMBER(3), *dx = NULL;
    begin();
    bp_tensor *leaf = bp_require_grad(x), *y = bp_scale(leaf, 3);
    cr_assert_eq(bp_grad(ctx, y, NUMBER(1), &leaf, 1, 8, &dx), BP_ERR_ARG);
    end_with(BP_ERR_ARG, "grad: unknown flags");
}
