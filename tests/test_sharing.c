/* One tensor at several inputs of an op, at several places of a graph, or among the wanted values
 * more than once; and what else looks at the memory that a walk back reads and writes. */
#include "suite.h"

#define CLAIM(name) Test(sharing, name, .init = setup, .fini = teardown)

static bp_tensor *squares(bp_tensor *y)
{
    return bp_sum(bp_mul(y, y));
}

/* bp_grad of a scalar y, kept. */
static void grads(bp_tensor *y, bp_tensor *const *x, int n, uint32_t flags, bp_tensor **dx)
{
    OK(bp_grad(ctx, y, NUMBER(1), x, n, flags, dx));
    for (int i = 0; i < n; i++)
        cr_assert(bp_keep(dx[i]));
}

/* --- at several inputs of one op ------------------------------------------------------------- */

CLAIM(a_weight_that_is_also_the_input_of_its_layer_gets_both_gradients)
{
    bp_tensor *init[] = {random_tensor(BP_SHAPE(4, 4), 1), random_tensor(BP_SHAPE(4), 2)};
    bp_tensor *w[2], *x[2], *want[2];
    bp_params *p = store_of(2, init, w);
    begin();
    for (int i = 0; i < 2; i++)
        x[i] = bp_require_grad(init[i]);
    bp_tensor *y = bp_add(bp_matmul(x[0], bp_transpose(x[0], 0, 1)), x[1]);
    grads(squares(y), x, 2, 0, want);
    end();
    for (int times = 1; times <= 3; times++) { /* the first writes, the others add */
        begin();
        OK(bp_backward(ctx, squares(bp_linear(w[0], w[0], w[1]))));
        for (int i = 0; i < 2; i++)
            same(bp_param_grad(p, i), bp_scale(want[i], times), 1e-13);
        end();
    }
    bp_params_free(p);
}

/* loss of a fused op whose inputs a, b, c may be one tensor, in the fused form or in primitives. */
static bp_tensor *normalized(bp_tensor *const *in, bp_tensor *rows, bool fused)
{
    bp_tensor *y = fused ? bp_gather_normalized(in[0], rows, in[1], in[2], BP_F64)
                         : bp_mul(bp_add(bp_gather(in[0], rows), bp_scale(in[1], -1)), in[2]);
    return squares(y);
}

CLAIM(a_composed_gradient_is_not_doubled_where_inputs_are_one_tensor)
{
    bp_tensor *rows = INTS(BP_SHAPE(5), 0, 2, 1, 1, 0), *got[4], *want[4];
    bp_tensor *table = random_tensor(BP_SHAPE(3, 3), 1), *both = random_tensor(BP_SHAPE(3), 2);
    for (int form = 0; form < 2; form++)
        for (uint32_t flags = 0; flags <= BP_CREATE_GRAPH; flags += BP_CREATE_GRAPH) {
            begin();
            bp_tensor *x[] = {bp_require_grad(table), bp_require_grad(both)};
            bp_tensor *loss = normalized((bp_tensor *[]){x[0], x[1], x[1]}, rows, form);
            grads(loss, x, 2, flags, form ? got : want);
            end();
            begin();
            bp_tensor *s = bp_require_grad(table), *b = bp_require_grad(both);
            bp_tensor *y = form ? bp_linear_relu(s, s, b, 0)
                                : bp_relu(bp_add(bp_matmul(s, bp_transpose(s, 0, 1)), b));
            grads(squares(y), (bp_tensor *[]){s, b}, 2, flags, (form ? got : want) + 2);
            end();
            for (int i = 0; i < 4 && form; i++)
                same(got[i], want[i], 1e-13);
        }
}

CLAIM(a_parameter_and_a_view_of_it_meet_in_one_gradient)
{
    bp_tensor *init[] = {random_tensor(BP_SHAPE(4, 4), 1), random_tensor(BP_SHAPE(4), 2)}, *w[2];
    bp_params *p = store_of(2, init, w);
    begin();
    bp_tensor *x = bp_require_grad(init[0]), *b = bp_require_grad(init[1]), *want;
    bp_tensor *y = bp_add(bp_matmul(bp_transpose(x, 0, 1), bp_transpose(x, 0, 1)), b);
    grads(squares(bp_mul(y, x)), &x, 1, 0, &want);
    y = bp_linear(bp_transpose(w[0], 0, 1), w[0], w[1]);
    OK(bp_backward(ctx, squares(bp_mul(y, bp_reshape(w[0], BP_SHAPE(4, 4))))));
    same(bp_param_grad(p, 0), want, 1e-13);
    end();
    bp_params_free(p);
}

/* --- several times among the wanted values --------------------------------------------------- */

CLAIM(wanted_values_may_repeat_and_lead_to_each_other)
{
    begin();
    bp_tensor *x = bp_require_grad(TENSOR(BP_SHAPE(2), 3, -5)), *a = bp_mul(x, x);
    bp_tensor *y = bp_mul(bp_add(a, x), a), *dy = TENSOR(BP_SHAPE(2), 1, 1), *dx[6];
    bp_tensor *want[] = {a, x, y, a, x, y};
    OK(bp_grad(ctx, y, dy, want, 6, 0, dx));
    for (int k = 0; k < 6; k += 3) { /* y = x^4 + x^3 */
        cr_assert_eq(at(dx[k], 0), 2 * 9 + 3);
        cr_assert_eq(at(dx[k + 1], 0), 4 * 27 + 3 * 9);
        cr_assert_eq(at(dx[k + 1], 1), 4 * -125 + 3 * 25);
        cr_assert_eq(at(dx[k + 2], 1), 1);
    }
    end();
}

CLAIM(a_wanted_value_between_two_layers_is_not_handed_over)
{
    bp_tensor *s = random_tensor(BP_SHAPE(4, 4), 1), *c = random_tensor(BP_SHAPE(4), 2), *dx[2][3];
    for (int fused = 0; fused < 2; fused++) {
        begin();
        bp_tensor *w = bp_require_grad(s), *b = bp_require_grad(c), *h, *y;
        h = fused ? bp_linear_relu(w, w, b, 0)
                  : bp_relu(bp_add(bp_matmul(w, bp_transpose(w, 0, 1)), b));
        y = fused ? bp_linear(h, w, b) : bp_add(bp_matmul(h, bp_transpose(w, 0, 1)), b);
        grads(squares(y), (bp_tensor *[]){h, w, h}, 3, 0, dx[fused]);
        end();
    }
    for (int i = 0; i < 3; i++)
        same(dx[1][i], dx[0][i], 1e-13);
}

CLAIM(gradients_are_fresh_and_can_be_written_to)
{
    bp_tensor *dy = TENSOR(BP_SHAPE(2), 1, 2), *more = TENSOR(BP_SHAPE(2), 10, 10), *dx[4];
    for (uint32_t flags = 0; flags <= BP_CREATE_GRAPH; flags += BP_CREATE_GRAPH) {
        begin();
        bp_tensor *a = bp_require_grad(dy), *b = bp_require_grad(dy), *y = bp_add(a, b);
        OK(bp_grad(ctx, y, dy, (bp_tensor *[]){a, b, a, y}, 4, flags, dx));
        for (int i = 0; i < 4; i++)
            OK(bp_add_into(dx[i], more)); /* each is the only one to see it */
        for (int i = 0; i < 4; i++)
            cr_assert_eq(at(dx[i], 1), 12);
        cr_assert_eq(at(dy, 1), 2);
        OK(bp_grad(ctx, bp_sum(a), NUMBER(1), &a, 1, flags, dx));
        OK(bp_add_into(dx[0], more)); /* the gradient of a sum is no expanded view */
        cr_assert_eq(at(dx[0], 0), 11);
        end();
    }
}

CLAIM(what_leads_to_no_wanted_value_is_not_computed)
{
    bp_tensor *s = NUMBER(2), *one = NUMBER(1), *dx;
    begin();
    bp_tensor *x = bp_require_grad(s), *a = bp_exp(x), *y = bp_mul(a, a);
    OK(bp_add_into(a, one)); /* exp's own rule could not run any more */
    y = bp_scale(a, 3);
    OK(bp_grad(ctx, y, one, &a, 1, 0, &dx));
    cr_assert_eq(at(dx, 0), 3);
    end();
}

/* --- what the store sees --------------------------------------------------------------------- */

CLAIM(a_parameter_may_be_the_loss)
{
    bp_tensor *init[] = {NUMBER(2)}, *w[1];
    bp_params *p = store_of(1, init, w);
    begin();
    OK(bp_backward(ctx, w[0]));
    cr_assert_eq(at(bp_param_grad(p, 0), 0), 1);
    OK(bp_backward(ctx, w[0]));
    cr_assert_eq(at(bp_param_grad(p, 0), 0), 2);
    end();
    bp_params_free(p);
}

CLAIM(a_gradient_may_be_read_by_the_graph_that_adds_to_it)
{
    enum { N = 70 }; /* several tiles of a product */
    bp_tensor *init[] = {random_tensor(BP_SHAPE(N, N), 1), random_tensor(BP_SHAPE(N), 2)}, *w[2];
    bp_tensor *want[2];
    bp_params *p = store_of(2, init, w);
    for (int aliased = 0; aliased < 2; aliased++) {
        OK(bp_grad_clear(p));
        begin();
        OK(bp_backward(ctx, squares(bp_mul(w[0], w[0]))));
        bp_tensor *x = aliased ? bp_param_grad(p, 0) : bp_scale(bp_param_grad(p, 0), 1);
        OK(bp_backward(ctx, squares(bp_linear(x, w[0], w[1]))));
        for (int i = 0; i < 2; i++)
            if (aliased)
                same(bp_param_grad(p, i), want[i], 1e-13);
            else
                cr_assert(want[i] = bp_keep(bp_scale(bp_param_grad(p, i), 1)));
        end();
    }
    begin(); /* but not by a rule that comes after */
    bp_tensor *y = bp_mul(bp_mul(w[0], w[0]), bp_param_grad(p, 0));
    y = bp_add(y, bp_matmul(w[0], bp_param_grad(p, 0)));
    cr_assert_eq(bp_backward(ctx, squares(y)), BP_ERR_STATE);
    end_with(BP_ERR_STATE, "mul: its input 1 was changed by backward after it was saved for the "
                           "gradient");
    bp_params_free(p);
}

CLAIM(a_parameter_frozen_after_its_use_gets_no_gradient)
{
    bp_tensor *init[] = {NUMBER(2), NUMBER(3)}, *w[2], *dx;
    bp_params *p = store_of(2, init, w);
    begin();
    bp_tensor *loss = bp_mul(w[0], w[1]);
    OK(bp_param_freeze(p, 0, 1));
    OK(bp_backward_keep(ctx, loss));
    cr_assert_null(bp_param_grad(p, 0));
    cr_assert_eq(at(bp_param_grad(p, 1), 0), 2);
    bp_tensor *y = bp_scale(w[0], 5); /* a constant from now on */
    OK(bp_param_freeze(p, 0, 0));
    OK(bp_backward(ctx, bp_mul(y, w[1])));
    cr_assert_null(bp_param_grad(p, 0));
    cr_assert_eq(at(bp_param_grad(p, 1), 0), 12);
    OK(bp_param_freeze(p, 0, 1));
    cr_assert_eq(bp_grad(ctx, loss, NUMBER(1), &w[0], 1, 0, &dx), BP_ERR_ARG);
    end_with(BP_ERR_ARG, "grad: x[0] asks for no gradient");
    bp_params_free(p);
}

/* --- a walk that fails ----------------------------------------------------------------------- */

/* loss = x w0 w1, whose walk fails once w1 has its gradient. */
static bp_status spoilt(bp_tensor *x, bp_tensor *const *w)
{
    bp_tensor *y = bp_mul(bp_mul(x, w[0]), w[1]);
    OK(bp_add_into(x, x));
    return bp_backward(ctx, y);
}

CLAIM(a_failed_backward_takes_back_what_it_wrote)
{
    bp_tensor *init[] = {NUMBER(2), NUMBER(3)}, *w[2], *x = NUMBER(5);
    bp_params *p = store_of(2, init, w);
    begin();
    OK(bp_backward(ctx, bp_scale(w[0], 7)));
    cr_assert_eq(spoilt(x, w), BP_ERR_STATE);
    cr_assert_eq(bp_scope_end(ctx), BP_ERR_STATE);
    cr_assert_eq(at(bp_param_grad(p, 0), 0), 7, "it added nothing to what was there");
    cr_assert_null(bp_param_grad(p, 1), "and its own is gone");
    begin();
    OK(bp_backward(ctx, bp_mul(bp_mul(x, w[0]), w[1])));
    cr_assert_eq(at(bp_param_grad(p, 0), 0), 37);
    cr_assert_eq(at(bp_param_grad(p, 1), 0), 20);
    end();
    bp_params_free(p);
}

/* --- what is changed behind the graph -------------------------------------------------------- */

CLAIM(a_change_through_any_alias_is_seen)
{
    bp_tensor *init[] = {random_tensor(BP_SHAPE(1, 3), 1)}, *w[1], *more = NUMBER(1);
    bp_tensor *x = random_tensor(BP_SHAPE(1, 3), 2);
    bp_params *p = store_of(1, init, w);
    for (int way = 0; way < 6; way++) {
        OK(bp_grad_clear(p));
        begin();
        bp_tensor *wide = bp_expand(way < 3 ? x : w[0], BP_SHAPE(4, 3));
        bp_tensor *y = bp_mul(wide, bp_add(w[0], x));
        bp_tensor *through[] = {x, bp_transpose(x, 0, 1), bp_reshape(x, BP_SHAPE(3)), w[0],
                                bp_param_at(p, 0), bp_reshape(w[0], BP_SHAPE(3))};
        OK(bp_add_into(through[way], more));
        cr_assert_eq(bp_backward(ctx, squares(y)), BP_ERR_STATE);
        end_with(BP_ERR_STATE, "mul: its input 0 was changed by add_into after it was saved for "
                               "the gradient");
    }
    bp_params_free(p);
}

CLAIM(the_random_stream_stays_while_a_scope_has_drawn_from_it)
{
    bp_tensor *x = random_tensor(BP_SHAPE(8), 1);
    begin();
    OK(bp_seed(ctx, 3));
    cr_assert(bp_dropout(x, 0.5));
    cr_assert_eq(bp_seed(ctx, 4), BP_ERR_STATE);
    end_with(BP_ERR_STATE, "seed: this scope has drawn already, and its gradients draw the same "
                           "again");
    OK(bp_seed(ctx, 4));
}
