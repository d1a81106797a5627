/* Losses: what they refuse, batches of none, far logits, what NaN and infinity do, the form that
 * weights give them. Values and gradients: the table of cases and the golden values. */
#include "suite.h"

#define CLAIM(name) Test(losses, name, .init = setup, .fini = teardown)

CLAIM(operands_that_do_not_fit_are_named)
{
    bp_tensor *x = random_tensor(BP_SHAPE(2, 3), 0), *t = random_tensor(BP_SHAPE(2, 1), 1);
    bp_tensor *f = tensor_in(ctx, BP_F32, BP_SHAPE(2, 3), NULL, 2);
    bp_tensor *w = random_tensor(BP_SHAPE(3), 3);
    bp_tensor *i = INTS(BP_SHAPE(2, 3), 0, 1, 0, 1, 0, 1);
    REFUSED(BP_ERR_SHAPE, "mse_loss: x [2,3] and t [2,1]: equal shapes are wanted",
            bp_mse_loss(x, t, BP_MEAN));
    REFUSED(BP_ERR_DTYPE, "l1_loss: x is f64 and t is f32: equal and real dtypes are wanted",
            bp_l1_loss(x, f, BP_MEAN));
    REFUSED(BP_ERR_DTYPE, "mse_loss: x is i32 and x is i32: equal and real dtypes are wanted",
            bp_mse_loss(i, i, BP_MEAN));
    REFUSED(BP_ERR_ARG, "mse_loss: reduction 7: BP_EACH, BP_SUM or BP_MEAN is wanted",
            bp_mse_loss(x, x, (bp_reduction)7));
    REFUSED(BP_ERR_ARG, "huber_loss: delta 0 is not a number above 0",
            bp_huber_loss(x, x, 0, BP_MEAN));
    REFUSED(BP_ERR_ARG, "smooth_l1_loss: beta -1 is not a number from 0 on",
            bp_smooth_l1_loss(x, x, -1, BP_MEAN));
    REFUSED(BP_ERR_ARG, "gaussian_nll_loss: eps 0 is not a number above 0",
            bp_gaussian_nll_loss(x, x, x, 0, BP_MEAN));
    REFUSED(BP_ERR_SHAPE, "gaussian_nll_loss: x [2,3] and variance [3]: equal shapes are wanted",
            bp_gaussian_nll_loss(x, x, w, 1, BP_MEAN));
    REFUSED(BP_ERR_ARG, "poisson_rate_nll_loss: eps nan is not a number from 0 on",
            bp_poisson_rate_nll_loss(x, x, NAN, BP_MEAN));
    REFUSED(BP_ERR_SHAPE, "binary_cross_entropy_weighted: weight [2,3] does not broadcast to x "
            "[2,1]", bp_binary_cross_entropy_weighted(t, t, x, BP_MEAN));
    REFUSED(BP_ERR_SHAPE, "cosine_embedding_loss: a [2,3] and t [3]: [N,D] and [N] are wanted",
            bp_cosine_embedding_loss(x, x, w, 0, BP_MEAN));
    REFUSED(BP_ERR_SHAPE, "triplet_margin_loss: anchor [3]: [N,D] is wanted",
            bp_triplet_margin_loss(w, w, w, 1, BP_MEAN));
    REFUSED(BP_ERR_SHAPE, "triplet_margin_loss: anchor [2,3] and negative [2,1]: equal shapes are "
            "wanted", bp_triplet_margin_loss(x, x, t, 1, BP_MEAN));
    REFUSED(BP_ERR_SHAPE, "weighted_loss: losses [2,3] and weights [3]: sizes of the first axes, "
            "or 1, are wanted", bp_weighted_loss(x, w, BP_MEAN));
    for (int k = 0; k < 5; k++)
        bp_free((bp_tensor *[]){x, t, f, w, i}[k]);
}

CLAIM(labels_that_do_not_fit_are_named)
{
    bp_tensor *x = random_tensor(BP_SHAPE(2, 3), 0), *none = random_tensor(BP_SHAPE(2, 0), 1);
    bp_tensor *i = INTS(BP_SHAPE(2), 0, 1), *j = INTS(BP_SHAPE(3), 0, 1, 0);
    bp_tensor *w = random_tensor(BP_SHAPE(2), 2);
    REFUSED(BP_ERR_SHAPE, "cross_entropy_with: x [2,3] and labels [3]: [N,C,...] and [N,...] are "
            "wanted, C >= 1", bp_cross_entropy_with(x, j, 0, -1, BP_MEAN));
    REFUSED(BP_ERR_SHAPE, "nll_loss_with: x [2,0] and labels [2]: [N,C,...] and [N,...] are "
            "wanted, C >= 1", bp_nll_loss_with(none, i, -1, BP_MEAN));
    REFUSED(BP_ERR_DTYPE, "nll_loss_with: x is f64 and labels f64: real and i32 are wanted",
            bp_nll_loss_with(x, w, -1, BP_MEAN));
    REFUSED(BP_ERR_SHAPE, "cross_entropy_weighted: x [2,3] and weights [2]: [N,C,...] and [C] are "
            "wanted", bp_cross_entropy_weighted(x, i, w, 0, -1, BP_MEAN));
    REFUSED(BP_ERR_ARG, "cross_entropy_with: label smoothing 1.5 is not in [0, 1]",
            bp_cross_entropy_with(x, i, 1.5, -1, BP_MEAN));
    REFUSED(BP_ERR_SHAPE, "cross_entropy_soft: logits [2,3] and targets [2]: [N,C,...] both is "
            "wanted, C >= 1", bp_cross_entropy_soft(x, w, BP_MEAN));
    for (int k = 0; k < 5; k++)
        bp_free((bp_tensor *[]){x, none, i, j, w}[k]);
}

CLAIM(a_label_out_of_range_is_told_unless_it_is_ignored)
{
    bp_tensor *x = random_tensor(BP_SHAPE(2, 3), 0), *i = INTS(BP_SHAPE(2), 1, -100);
    begin();
    cr_assert(isfinite(at(bp_cross_entropy_with(x, i, 0.1, -100, BP_MEAN), 0)));
    end();
    begin();
    double v;
    bp_tensor *y = bp_cross_entropy_with(x, i, 0.1, -1, BP_MEAN);
    cr_assert_eq(bp_read_f64(y, &v, 1), BP_ERR_RANGE);
    cr_assert(strstr(bp_error_text(ctx), "-100"), "%s", bp_error_text(ctx));
    cr_assert_eq(bp_scope_end(ctx), BP_ERR_RANGE);
    bp_free(x);
    bp_free(i);
}

CLAIM(a_row_that_is_ignored_may_hold_anything)
{
    bp_tensor *x = TENSOR(BP_SHAPE(2, 2), NAN, INFINITY, 1, 2), *i = INTS(BP_SHAPE(2), 7, 1), *dx;
    begin();
    bp_tensor *leaf = bp_require_grad(x), *y = bp_nll_loss_with(leaf, i, 7, BP_MEAN);
    OK(bp_grad_scalar(ctx, y, &leaf, 1, BP_KEEP_GRAPH, &dx));
    cr_assert_eq(at(y, 0), -2);
    cr_assert_eq(at(dx, 0), 0);
    cr_assert_eq(at(dx, 3), -1);
    end();
    bp_free(x);
    bp_free(i);
}

/* Neither what an ignored row holds nor the weight of class 0, where it is looked up, reaches the
 * gradient of the weights: it is that of the other row alone. */
CLAIM(an_ignored_row_leaves_the_gradient_of_weights_alone)
{
    bp_tensor *x = TENSOR(BP_SHAPE(2, 3), -INFINITY, 0, 1, 1, 2, 3), *i = INTS(BP_SHAPE(2), -9, 1);
    bp_tensor *w[] = {TENSOR(BP_SHAPE(3), 1, 2, 3), TENSOR(BP_SHAPE(3), INFINITY, 2, 3)};
    for (int k = 0; k < 12; k++) {
        const int form = k / 2;
        const double smoothing = form >= 3 ? 0.3 : 0;
        const bp_reduction how = k % 2 ? BP_MEAN : BP_SUM;
        begin();
        bp_tensor *leaf = bp_require_grad(w[form == 2]), *y[2], *dw[2];
        for (int one = 0; one < 2; one++) {
            bp_tensor *rows = bp_slice(x, 0, one, 2, 1);
            bp_tensor *label = bp_slice(i, 0, one, 2, 1);
            if (form % 2) { /* classes that are no neighbours */
                rows = bp_scale(bp_unsqueeze(bp_transpose(rows, 0, 1), 0), 1);
                label = bp_unsqueeze(label, 0);
            }
            y[one] = form == 5
                         ? bp_nll_loss_weighted(rows, label, leaf, -9, how)
                         : bp_cross_entropy_weighted(rows, label, leaf, smoothing, -9, how);
            OK(bp_grad_scalar(ctx, y[one], &leaf, 1, BP_KEEP_GRAPH, &dw[one]));
        }
        /* A GPU adds up one column in another order than two. */
        cr_assert(fabs(at(y[0], 0) - at(y[1], 0)) <= 1e-14, "%d: %g", k, at(y[0], 0));
        for (int c = 0; c < 3; c++)
            cr_assert(fabs(at(dw[0], c) - at(dw[1], c)) <= 1e-14, "%d, %d: %g, %g", k, c,
                      at(dw[0], c), at(dw[1], c));
        end();
    }
    bp_free(x);
    bp_free(i);
    bp_free(w[0]);
    bp_free(w[1]);
}

/* The weights 1, -(C + 1), 0, ... smoothed by a half give targets whose sum is 0. */
CLAIM(weights_that_cancel_leave_the_gradient_of_the_label)
{
    enum { C = 256 };
    double v[C] = {1};
    for (int c = 4; c <= C; c *= 64) {
        v[1] = -(c + 1);
        bp_tensor *x = random_tensor(BP_SHAPE(1, c), 0), *i = INTS(BP_SHAPE(1), 0), *dx;
        bp_tensor *w = tensor_in(ctx, BP_F64, BP_SHAPE(c), v, 0);
        begin();
        bp_tensor *leaf = bp_require_grad(x);
        bp_tensor *y = bp_cross_entropy_weighted(leaf, i, w, 0.5, -1, BP_SUM);
        OK(bp_grad_scalar(ctx, y, &leaf, 1, 0, &dx));
        for (int j = 0; j < c; j++)
            cr_assert_float_eq(at(dx, j), j > 1 ? 0 : (j ? 0.5 : -0.5) - 0.5 * (1 - 2 * j) / c,
                               1e-14, "%d of %d: %g", j, c, at(dx, j));
        end();
        bp_free(x);
        bp_free(i);
        bp_free(w);
    }
}

CLAIM(the_mean_of_no_losses_is_nan_and_their_sum_0)
{
    bp_tensor *x = random_tensor(BP_SHAPE(0, 3), 0), *i = INTS(BP_SHAPE(0), 0);
    bp_tensor *w = random_tensor(BP_SHAPE(0), 1);
    begin();
    cr_assert(isnan(at(bp_mse_loss(x, x, BP_MEAN), 0)));
    cr_assert_eq(at(bp_mse_loss(x, x, BP_SUM), 0), 0);
    cr_assert_eq(bp_shape_of(bp_mse_loss(x, x, BP_EACH)).dim[0], 0);
    cr_assert(isnan(at(bp_cross_entropy_with(x, i, 0.1, -1, BP_MEAN), 0)));
    cr_assert_eq(at(bp_cross_entropy_with(x, i, 0.1, -1, BP_SUM), 0), 0);
    cr_assert(isnan(at(bp_weighted_loss(bp_l1_loss(x, x, BP_EACH), w, BP_MEAN), 0)));
    end();
    bp_free(x);
    bp_free(i);
    bp_free(w);
}

/* Losses and gradients keep their digits where a logit is far on either side of its target. */
CLAIM(far_logits_lose_nothing)
{
    bp_tensor *x = TENSOR(BP_SHAPE(4), 1e4, -1e4, 50, -50), *t = TENSOR(BP_SHAPE(4), 0, 1, 1, 0);
    bp_tensor *dx;
    begin();
    bp_tensor *leaf = bp_require_grad(x), *y = bp_binary_cross_entropy(leaf, t, BP_EACH);
    OK(bp_grad_scalar(ctx, bp_sum(y), &leaf, 1, BP_KEEP_GRAPH, &dx));
    cr_assert_eq(at(y, 0), 1e4);
    cr_assert_eq(at(y, 1), 1e4);
    cr_assert_float_eq(at(y, 2) / exp(-50), 1, 1e-14);
    cr_assert_float_eq(at(y, 3) / exp(-50), 1, 1e-14);
    cr_assert_float_eq(at(dx, 2) / -exp(-50), 1, 1e-14);
    cr_assert_float_eq(at(dx, 3) / exp(-50), 1, 1e-14);
    end();
    bp_free(x);
    bp_free(t);
}

/* softplus(-x) - softplus(x) would lose them near 0. */
CLAIM(the_gradient_by_a_target_is_the_logit)
{
    bp_tensor *x = TENSOR(BP_SHAPE(3), 1e-12, -3e-9, 0.5), *t = TENSOR(BP_SHAPE(3), 0, 1, 0.25);
    bp_tensor *dt;
    begin();
    bp_tensor *leaf = bp_require_grad(t), *y = bp_binary_cross_entropy(x, leaf, BP_SUM);
    OK(bp_grad_scalar(ctx, y, &leaf, 1, 0, &dt));
    for (int i = 0; i < 3; i++)
        cr_assert_eq(at(dt, i), -at(x, i));
    end();
    bp_free(x);
    bp_free(t);
}

CLAIM(a_variance_below_eps_is_eps_and_still_learns)
{
    bp_tensor *x = TENSOR(BP_SHAPE(2), 1, 1), *t = TENSOR(BP_SHAPE(2), 3, 3), *dv;
    bp_tensor *v = TENSOR(BP_SHAPE(2), 0, 0.5);
    begin();
    bp_tensor *leaf = bp_require_grad(v), *y = bp_gaussian_nll_loss(x, t, leaf, 0.5, BP_EACH);
    OK(bp_grad_scalar(ctx, bp_sum(y), &leaf, 1, BP_KEEP_GRAPH, &dv));
    cr_assert_eq(at(y, 0), at(y, 1));
    cr_assert_eq(at(dv, 0), at(dv, 1));
    cr_assert_float_eq(at(dv, 0), 0.5 * (2 - 16), 1e-14);
    end();
    bp_free(x);
    bp_free(t);
    bp_free(v);
}

CLAIM(nan_is_not_hidden)
{
    bp_tensor *x = TENSOR(BP_SHAPE(1), NAN), *t = TENSOR(BP_SHAPE(1), 1);
    begin();
    cr_assert(isnan(at(bp_mse_loss(x, t, BP_SUM), 0)));
    cr_assert(isnan(at(bp_huber_loss(x, t, 1, BP_SUM), 0)));
    cr_assert(isnan(at(bp_hinge_loss(x, t, 1, BP_SUM), 0)));
    cr_assert(isnan(at(bp_binary_cross_entropy(x, t, BP_SUM), 0)));
    cr_assert(isnan(at(bp_kl_div_loss(t, x, BP_SUM), 0)));
    cr_assert(isnan(at(bp_gaussian_nll_loss(t, t, x, 1, BP_SUM), 0)));
    end();
    bp_free(x);
    bp_free(t);
}

CLAIM(a_wide_row_is_correct_if_its_label_is_the_first_of_the_largest)
{
    static const int32_t widths[] = {16384, 50257, 131072};
    for (int k = 0; k < 3; k++) {
        const int32_t width = widths[k], first = width - width / 3;
        double *x = calloc(4 * (size_t)width, sizeof *x);
        cr_assert_not_null(x);
        for (int row = 0; row < 4; row++)
            x[row * width + first] = x[row * width + width - 1] = 3;
        bp_tensor *logits = tensor_in(ctx, BP_F64, BP_SHAPE(4, width), x, 0);
        bp_tensor *labels = INTS(BP_SHAPE(4), first, width - 1, first, 0);
        begin();
        bp_tensor *correct;
        bp_tensor *loss = bp_cross_entropy_correct(logits, labels, &correct);
        const double all = log(width - 2 + 2 * exp(3));
        cr_assert_eq(at(correct, 0), 2);
        cr_assert_float_eq(at(loss, 0), all - 9.0 / 4, 1e-12 * all);
        end();
        bp_free(logits);
        bp_free(labels);
        free(x);
    }
}
