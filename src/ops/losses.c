/* Losses in public calls, each one a formula behind a check of its operands, and what they share:
 * weights and the reduction. Those of labels: label_losses.c. */
#include <math.h>

#include "core/tensor.h"
#include "ops/losses.h"

/* --- what they share ------------------------------------------------------------------------- */

bool bpi_reduction_ok(bp_context *ctx, const char *who, bp_reduction how)
{
    if (how == BP_EACH || how == BP_SUM || how == BP_MEAN)
        return true;
    bpi_fail(ctx, BP_ERR_ARG, "%s: reduction %d: BP_EACH, BP_SUM or BP_MEAN is wanted", who,
             (int)how);
    return false;
}

/* Leaves the context: the end of a loss. */
static bp_tensor *end(bp_context *ctx, bp_tensor *each, bp_reduction how)
{
    bp_tensor *y = how == BP_EACH ? each : how == BP_SUM ? bp_sum(each) : bp_mean(each);
    bpi_leave(ctx);
    return y;
}

static const char *const names[] = {"x", "t", "variance"};

/* All n are real, of one dtype and of x's shape. */
static bool alike(bp_context *ctx, const char *who, bp_tensor *const *in, int n,
                  const char *const *name)
{
    const bp_view *x = bpi_view_of(in[0]);
    for (int i = 0; i < n; i++) {
        const bp_view *v = bpi_view_of(in[i]);
        if (!bpi_is_real(v->dtype) || v->dtype != x->dtype)
            bpi_fail(ctx, BP_ERR_DTYPE, "%s: %s is %s and %s is %s: equal and real dtypes are "
                     "wanted", who, name[0], bp_dtype_name(x->dtype), name[i],
                     bp_dtype_name(v->dtype));
        else if (!bpi_same_shape(&v->shape, &x->shape))
            bpi_fail(ctx, BP_ERR_SHAPE, "%s: %s %s and %s %s: equal shapes are wanted", who,
                     name[0], bpi_shape_str(&x->shape).s, name[i], bpi_shape_str(&v->shape).s);
        else
            continue;
        return false;
    }
    return true;
}

/* Begins a loss of x and t; NULL: it returns NULL. */
static bp_context *begin(const char *who, const char *none, bp_tensor *x, bp_tensor *t,
                         bp_reduction how)
{
    bp_tensor *in[] = {x, t};
    bp_context *ctx = bpi_begin(NULL, who, none, in, 2);
    if (!ctx || (bpi_reduction_ok(ctx, who, how) && alike(ctx, who, in, 2, names)))
        return ctx;
    bpi_leave(ctx);
    return NULL;
}
#define BEGIN(name) begin(name, name ": input 0 is NULL", x, t, how)

/* Fails, and leaves the context, unless a number holds. */
static bool wanted(bp_context *ctx, const char *who, bool holds, const char *what, double number,
                   const char *range)
{
    if (!holds) {
        bpi_fail(ctx, BP_ERR_ARG, "%s: %s %g is not %s", who, what, number, range);
        bpi_leave(ctx);
    }
    return holds;
}

bp_tensor *bpi_weigh(bp_tensor *each, bp_tensor *weights, bp_reduction how)
{
    bp_tensor *all = bp_mul(each, weights);
    if (how != BP_MEAN)
        return how == BP_SUM ? bp_sum(all) : all;
    return bp_div(bp_sum(all), bp_sum(bp_expand(weights, bp_shape_of(each))));
}

bp_tensor *bp_weighted_loss(bp_tensor *each, bp_tensor *weights, bp_reduction how)
{
    bp_context *ctx = BPI_BEGIN("weighted_loss", ((bp_tensor *[]){each, weights}), 2);
    if (!ctx)
        return NULL;
    const bp_view *x = bpi_view_of(each), *w = bpi_view_of(weights);
    bp_shape rows = w->shape;
    bp_tensor *y = NULL;
    bool fits = rows.ndim <= x->shape.ndim;
    for (int i = 0; i < rows.ndim && fits; i++)
        fits = rows.dim[i] == x->shape.dim[i] || rows.dim[i] == 1;
    if (!bpi_is_real(x->dtype) || w->dtype != x->dtype)
        bpi_fail(ctx, BP_ERR_DTYPE, "weighted_loss: losses are %s and weights %s: equal and real "
                 "dtypes are wanted", bp_dtype_name(x->dtype), bp_dtype_name(w->dtype));
    else if (!fits)
        bpi_fail(ctx, BP_ERR_SHAPE, "weighted_loss: losses %s and weights %s: sizes of the first "
                 "axes, or 1, are wanted", bpi_shape_str(&x->shape).s, bpi_shape_str(&w->shape).s);
    else if (bpi_reduction_ok(ctx, "weighted_loss", how)) {
        while (rows.ndim < x->shape.ndim)
            rows.dim[rows.ndim++] = 1;
        y = bpi_weigh(each, bp_reshape(weights, rows), how);
    }
    bpi_leave(ctx);
    return y;
}

/* --- differences ----------------------------------------------------------------------------- */

bp_tensor *bp_mse_loss(bp_tensor *x, bp_tensor *t, bp_reduction how)
{
    bp_context *ctx = BEGIN("mse_loss");
    return ctx ? end(ctx, bp_squared_error(x, t), how) : NULL;
}

bp_tensor *bp_l1_loss(bp_tensor *x, bp_tensor *t, bp_reduction how)
{
    bp_context *ctx = BEGIN("l1_loss");
    return ctx ? end(ctx, bp_abs(bp_sub(x, t)), how) : NULL;
}

/* c (d - c / 2) with c = d held between -delta and delta: its gradient by d is c. */
static bp_tensor *huber(bp_tensor *d, double delta)
{
    bp_tensor *c = bp_clamp(d, -delta, delta);
    return bp_mul(c, bp_sub(d, bp_scale(c, 0.5)));
}

bp_tensor *bp_huber_loss(bp_tensor *x, bp_tensor *t, double delta, bp_reduction how)
{
    bp_context *ctx = BEGIN("huber_loss");
    if (!ctx || !wanted(ctx, "huber_loss", delta > 0, "delta", delta, "a number above 0"))
        return NULL;
    return end(ctx, huber(bp_sub(x, t), delta), how);
}

bp_tensor *bp_smooth_l1_loss(bp_tensor *x, bp_tensor *t, double beta, bp_reduction how)
{
    bp_context *ctx = BEGIN("smooth_l1_loss");
    if (!ctx || !wanted(ctx, "smooth_l1_loss", beta >= 0 && beta < INFINITY, "beta", beta,
                        "a number from 0 on"))
        return NULL;
    bp_tensor *d = bp_sub(x, t);
    return end(ctx, beta == 0 ? bp_abs(d) : bp_scale(huber(d, beta), 1 / beta), how);
}

/* --- of two classes -------------------------------------------------------------------------- */

bp_tensor *bp_hinge_loss(bp_tensor *x, bp_tensor *t, double margin, bp_reduction how)
{
    bp_context *ctx = BEGIN("hinge_loss");
    return ctx ? end(ctx, bp_relu(bp_shift(bp_neg(bp_mul(t, x)), margin)), how) : NULL;
}

bp_tensor *bp_binary_cross_entropy(bp_tensor *x, bp_tensor *t, bp_reduction how)
{
    bp_context *ctx = BEGIN("binary_cross_entropy");
    return ctx ? end(ctx, bp_sigmoid_cross_entropy(x, t), how) : NULL;
}

bp_tensor *bp_binary_cross_entropy_weighted(bp_tensor *x, bp_tensor *t, bp_tensor *positive,
                                            bp_reduction how)
{
    const char *who = "binary_cross_entropy_weighted";
    bp_tensor *in[] = {x, t, positive}, *y = NULL;
    bp_context *ctx = BPI_BEGIN("binary_cross_entropy_weighted", in, 3);
    if (!ctx)
        return NULL;
    const bp_view *v = bpi_view_of(x), *p = bpi_view_of(positive);
    bp_shape both;
    if (!bpi_reduction_ok(ctx, who, how) || !alike(ctx, who, in, 2, names))
        ;
    else if (p->dtype != v->dtype)
        bpi_fail(ctx, BP_ERR_DTYPE, "%s: x is %s and the weight %s: equal dtypes are wanted", who,
                 bp_dtype_name(v->dtype), bp_dtype_name(p->dtype));
    else if (!bpi_broadcast(&p->shape, &v->shape, &both) || !bpi_same_shape(&both, &v->shape))
        bpi_fail(ctx, BP_ERR_SHAPE, "%s: weight %s does not broadcast to x %s", who,
                 bpi_shape_str(&p->shape).s, bpi_shape_str(&v->shape).s);
    else { /* t p softplus(-x) + (1 - t) softplus(x): nothing cancels where t is 0 or 1 */
        bp_tensor *yes = bp_mul(bp_mul(t, positive), bp_softplus(bp_neg(x)));
        y = bp_add(yes, bp_mul(bp_shift(bp_neg(t), 1), bp_softplus(x)));
    }
    return end(ctx, y, how);
}

/* --- of distributions ------------------------------------------------------------------------ */

bp_tensor *bp_kl_div_loss(bp_tensor *x, bp_tensor *t, bp_reduction how)
{
    bp_context *ctx = BEGIN("kl_div_loss");
    if (!ctx)
        return NULL;
    bp_tensor *some = bp_add(t, bp_logical_not(t)); /* 1 for 0 */
    return end(ctx, bp_mul(t, bp_sub(bp_log(some), x)), how);
}

bp_tensor *bp_kl_div_log_loss(bp_tensor *x, bp_tensor *t, bp_reduction how)
{
    bp_context *ctx = BEGIN("kl_div_log_loss");
    return ctx ? end(ctx, bp_mul(bp_exp(t), bp_sub(t, x)), how) : NULL;
}

bp_tensor *bp_poisson_nll_loss(bp_tensor *x, bp_tensor *t, bp_reduction how)
{
    bp_context *ctx = BEGIN("poisson_nll_loss");
    return ctx ? end(ctx, bp_sub(bp_exp(x), bp_mul(t, x)), how) : NULL;
}

bp_tensor *bp_poisson_rate_nll_loss(bp_tensor *x, bp_tensor *t, double eps, bp_reduction how)
{
    bp_context *ctx = BEGIN("poisson_rate_nll_loss");
    if (!ctx || !wanted(ctx, "poisson_rate_nll_loss", eps >= 0 && eps < INFINITY, "eps", eps,
                        "a number from 0 on"))
        return NULL;
    return end(ctx, bp_sub(x, bp_mul(t, bp_log(bp_shift(x, eps)))), how);
}

bp_tensor *bp_gaussian_nll_loss(bp_tensor *x, bp_tensor *t, bp_tensor *variance, double eps,
                                bp_reduction how)
{
    bp_tensor *in[] = {x, t, variance}, *y = NULL;
    bp_context *ctx = BPI_BEGIN("gaussian_nll_loss", in, 3);
    if (!ctx || !wanted(ctx, "gaussian_nll_loss", eps > 0 && eps < INFINITY, "eps", eps,
                        "a number above 0"))
        return NULL;
    if (bpi_reduction_ok(ctx, "gaussian_nll_loss", how) &&
        alike(ctx, "gaussian_nll_loss", in, 3, names)) {
        /* At least eps, and its gradient passes all the same. */
        bp_tensor *lacks = bp_relu(bp_shift(bp_neg(bp_detach(variance)), eps));
        bp_tensor *v = bp_add(variance, lacks);
        y = bp_scale(bp_add(bp_log(v), bp_div(bp_square(bp_sub(x, t)), v)), 0.5);
    }
    return end(ctx, y, how);
}

/* --- of rows --------------------------------------------------------------------------------- */

/* A row's sum, [N, D] -> [N]. */
static bp_tensor *over_rows(bp_tensor *x) { return bp_sum_axes(x, BP_AXIS(1), 0); }

bp_tensor *bp_cosine_embedding_loss(bp_tensor *a, bp_tensor *b, bp_tensor *t, double margin,
                                    bp_reduction how)
{
    static const char *const who = "cosine_embedding_loss", *const name[] = {"a", "b"};
    bp_tensor *in[] = {a, b, t}, *y = NULL;
    bp_context *ctx = BPI_BEGIN("cosine_embedding_loss", in, 3);
    if (!ctx)
        return NULL;
    const bp_view *v = bpi_view_of(a), *w = bpi_view_of(t);
    if (!bpi_reduction_ok(ctx, who, how) || !alike(ctx, who, in, 2, name))
        ;
    else if (v->shape.ndim != 2 || w->shape.ndim != 1 || w->shape.dim[0] != v->shape.dim[0])
        bpi_fail(ctx, BP_ERR_SHAPE, "%s: a %s and t %s: [N,D] and [N] are wanted", who,
                 bpi_shape_str(&v->shape).s, bpi_shape_str(&w->shape).s);
    else if (w->dtype != v->dtype)
        bpi_fail(ctx, BP_ERR_DTYPE, "%s: a is %s and t is %s: equal dtypes are wanted", who,
                 bp_dtype_name(v->dtype), bp_dtype_name(w->dtype));
    else {
        bp_tensor *scale_a = bp_rsqrt(bp_shift(over_rows(bp_square(a)), 1e-12));
        bp_tensor *scale_b = bp_rsqrt(bp_shift(over_rows(bp_square(b)), 1e-12));
        bp_tensor *cosine = bp_mul(bp_mul(over_rows(bp_mul(a, b)), scale_a), scale_b);
        y = bp_where(bp_threshold(bp_detach(t), 0), bp_shift(bp_neg(cosine), 1),
                     bp_relu(bp_shift(cosine, -margin)));
    }
    return end(ctx, y, how);
}

/* The length of a - b + 1e-6, PyTorch's pairwise distance. */
static bp_tensor *distance(bp_tensor *a, bp_tensor *b)
{
    return bp_norm_l2_axes(bp_shift(bp_sub(a, b), 1e-6), BP_AXIS(1), 0);
}

bp_tensor *bp_triplet_margin_loss(bp_tensor *anchor, bp_tensor *positive, bp_tensor *negative,
                                  double margin, bp_reduction how)
{
    static const char *const who = "triplet_margin_loss";
    static const char *const name[] = {"anchor", "positive", "negative"};
    bp_tensor *in[] = {anchor, positive, negative}, *y = NULL;
    bp_context *ctx = BPI_BEGIN("triplet_margin_loss", in, 3);
    if (!ctx)
        return NULL;
    if (!bpi_reduction_ok(ctx, who, how) || !alike(ctx, who, in, 3, name))
        ;
    else if (bpi_view_of(anchor)->shape.ndim != 2)
        bpi_fail(ctx, BP_ERR_SHAPE, "%s: anchor %s: [N,D] is wanted", who,
                 bpi_shape_str(&bpi_view_of(anchor)->shape).s);
    else
        y = bp_relu(bp_shift(bp_sub(distance(anchor, positive), distance(anchor, negative)),
                             margin));
    return end(ctx, y, how);
}
