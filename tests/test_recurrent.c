/* Recurrent cells: what they refuse, states that were not asked for, gates that are nearly shut. */
#include "suite.h"

#define CLAIM(name) Test(recurrent, name, .init = setup, .fini = teardown)

CLAIM(operands_that_do_not_fit_are_named)
{
    bp_tensor *x = random_tensor(BP_SHAPE(2, 3), 0), *h = random_tensor(BP_SHAPE(2, 4), 1);
    bp_tensor *wi = random_tensor(BP_SHAPE(16, 3), 2), *wh = random_tensor(BP_SHAPE(16, 4), 3);
    bp_tensor *b = random_tensor(BP_SHAPE(16), 4), *i = INTS(BP_SHAPE(2, 3), 0, 1, 0, 1, 0, 1);
    bp_tensor *f = tensor_in(ctx, BP_F32, BP_SHAPE(2, 4), NULL, 5), *c = b;
    REFUSED(BP_ERR_SHAPE, "lstm_cell: x [2,3], h [2,4] and c [2,3]: [2,4] is wanted",
            bp_lstm_cell(x, h, x, wi, wh, b, b, &c));
    cr_assert_null(c);
    REFUSED(BP_ERR_SHAPE, "lstm_cell: x [2,3], h [2,4] and w_hh [16,3]: [16,4] is wanted",
            bp_lstm_cell(x, h, h, wi, wi, b, b, &c));
    REFUSED(BP_ERR_SHAPE, "lstm_cell: x [16] and h [2,4]: [N,I] and [N,H] are wanted",
            bp_lstm_cell(b, h, h, wi, wi, b, b, &c));
    REFUSED(BP_ERR_SHAPE, "gru_cell: x [2,3], h [2,4] and w_ih [16,3]: [12,3] is wanted",
            bp_gru_cell(x, h, wi, wh, b, b));
    REFUSED(BP_ERR_SHAPE, "gru_cell: x [2,3] and h [16,3]: [N,I] and [N,H] are wanted",
            bp_gru_cell(x, wi, wi, wh, b, b));
    REFUSED(BP_ERR_DTYPE, "gru_cell: x is i32, not f32 or f64", bp_gru_cell(i, h, wi, wh, b, b));
    REFUSED(BP_ERR_DTYPE, "gru_cell: x is f64 and h is f32: equal dtypes are wanted",
            bp_gru_cell(x, f, wi, wh, b, b));
    REFUSED(BP_ERR_ARG, "lstm_cell: c_next is NULL",
            bp_lstm_cell(x, h, h, wi, wh, b, b, NULL));
    for (int k = 0; k < 7; k++)
        bp_free((bp_tensor *[]){x, h, wi, wh, b, i, f}[k]);
}

/* The argument k of a call is NULL, or has ended. */
CLAIM(the_argument_of_the_call_is_named)
{
    static const char *const names[] = {"x", "h", "c", "w_ih", "w_hh", "b_ih", "b_hh"};
    bp_tensor *ones = TENSOR(BP_SHAPE(1, 1), 1), *gone, *c_next;
    begin();
    gone = bp_neg(ones);
    end();
    for (int k = 0; k < 28; k++) {
        bp_tensor *t[7] = {ones, ones, ones, ones, ones, ones, ones}, *bad = k % 2 ? gone : NULL;
        const bool lstm = k < 14;
        const int i = k / 2 % 7;
        char text[96];
        if (!lstm && i == 2)
            continue; /* a GRU has no c */
        t[i] = bad;
        snprintf(text, sizeof text, "%s_cell: %s %s", lstm ? "lstm" : "gru", names[i],
                 bad ? "is a stale handle: its scope has ended, or it was freed" : "is NULL");
        begin();
        cr_assert_null(lstm ? bp_lstm_cell(t[0], t[1], t[2], t[3], t[4], t[5], t[6], &c_next)
                            : bp_gru_cell(t[0], t[1], t[3], t[4], t[5], t[6]));
        end_with(BP_ERR_ARG, text);
    }
    bp_free(ones);
}

/* A gate of 40 is 1 to the last bit, and its slope e^-40 has all its digits. */
CLAIM(a_gate_that_is_nearly_1_has_a_slope)
{
    bp_tensor *x = TENSOR(BP_SHAPE(1, 1), 40), *one = TENSOR(BP_SHAPE(1, 1), 1), *dx, *c;
    bp_tensor *w = TENSOR(BP_SHAPE(4, 1), 0, 1, 0, 0), *b = TENSOR(BP_SHAPE(4), 0, 0, 0, 0);
    bp_tensor *none = TENSOR(BP_SHAPE(4, 1), 0, 0, 0, 0);
    begin();
    bp_tensor *leaf = bp_require_grad(x);
    cr_assert(bp_lstm_cell(leaf, one, one, w, none, b, b, &c), "%s", bp_error_text(ctx));
    OK(bp_grad_scalar(ctx, bp_sum(c), &leaf, 1, 0, &dx)); /* no gradient to h' */
    cr_assert_float_eq(at(dx, 0) / exp(-40), 1, 1e-14);
    end();
    for (int k = 0; k < 5; k++)
        bp_free((bp_tensor *[]){x, one, w, none, b}[k]);
}

/* tanh of 10 is 1 to the last bit of f32, and its slope 4 e^-20 has all its digits. */
CLAIM(a_tanh_that_is_nearly_1_has_a_slope)
{
    const double zeros[4] = {0}, ten[4] = {10, 10, 10, 10};
    bp_tensor *none = tensor_in(ctx, BP_F32, BP_SHAPE(4, 1), zeros, 0);
    bp_tensor *none_3 = tensor_in(ctx, BP_F32, BP_SHAPE(3, 1), zeros, 0);
    bp_tensor *b = tensor_in(ctx, BP_F32, BP_SHAPE(4), ten, 0);
    bp_tensor *b_3 = tensor_in(ctx, BP_F32, BP_SHAPE(3), (double[]){0, 0, 10}, 0);
    bp_tensor *o = tensor_in(ctx, BP_F32, BP_SHAPE(1, 1), zeros, 0), *dx, *c;
    bp_tensor *far = tensor_in(ctx, BP_F32, BP_SHAPE(1, 1), ten, 0);
    begin();
    bp_tensor *leaf = bp_require_grad(b), *leaf_3 = bp_require_grad(b_3);
    cr_assert(bp_lstm_cell(o, o, o, none, none, leaf, b, &c), "%s", bp_error_text(ctx));
    OK(bp_grad_scalar(ctx, bp_sum(c), &leaf, 1, 0, &dx)); /* the gate is 10 + 10 */
    cr_assert_float_eq(at(dx, 2) / (4 * exp(-40)), 1, 1e-6);
    bp_tensor *state = bp_require_grad(far);
    bp_tensor *h = bp_lstm_cell(o, o, state, none, none, leaf, b, &c);
    OK(bp_grad_scalar(ctx, bp_sum(h), &state, 1, 0, &dx)); /* c' = 10 + tanh(20) = 11 */
    cr_assert_float_eq(at(dx, 0) / (4 * exp(-22)), 1, 1e-5);
    h = bp_gru_cell(o, o, none_3, none_3, leaf_3, bp_scale(leaf_3, 0));
    OK(bp_grad_scalar(ctx, bp_sum(h), &leaf_3, 1, 0, &dx)); /* the other half is h */
    cr_assert_float_eq(at(dx, 2) / (2 * exp(-20)), 1, 1e-6);
    end();
    for (int k = 0; k < 6; k++)
        bp_free((bp_tensor *[]){none, none_3, b, b_3, o, far}[k]);
}
