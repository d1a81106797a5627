/* Losses of labels with weights of classes, label smoothing and a label that is ignored, and of
 * soft targets, in public calls. What is called without them is cross_entropy.c and nll_loss.c. */
#include "core/tensor.h"
#include "ops/losses.h"

typedef struct labelled {
    const char *who;
    bp_tensor *labels, *weights; /* weights [C] or NULL */
    double smoothing;
    int32_t ignored;
    bp_reduction how;
} labelled;

/* x [N, C, ...] is real, labels [N, ...] i32, weights [C] of x's dtype. */
static bool fits(bp_context *ctx, bp_tensor *x, const labelled *l)
{
    const bp_view *v = bpi_view_of(x), *i = bpi_view_of(l->labels);
    const bp_view *w = l->weights ? bpi_view_of(l->weights) : NULL;
    bool shapes = v->shape.ndim >= 2 && i->shape.ndim == v->shape.ndim - 1 && v->shape.dim[1] >= 1;
    for (int k = 0; shapes && k < i->shape.ndim; k++)
        shapes = i->shape.dim[k] == v->shape.dim[k ? k + 1 : 0];
    if (!bpi_is_real(v->dtype) || i->dtype != BP_I32)
        bpi_fail(ctx, BP_ERR_DTYPE, "%s: x is %s and labels %s: real and i32 are wanted", l->who,
                 bp_dtype_name(v->dtype), bp_dtype_name(i->dtype));
    else if (!shapes)
        bpi_fail(ctx, BP_ERR_SHAPE, "%s: x %s and labels %s: [N,C,...] and [N,...] are wanted, "
                 "C >= 1", l->who, bpi_shape_str(&v->shape).s, bpi_shape_str(&i->shape).s);
    else if (w && w->dtype != v->dtype)
        bpi_fail(ctx, BP_ERR_DTYPE, "%s: x is %s and weights %s: equal dtypes are wanted", l->who,
                 bp_dtype_name(v->dtype), bp_dtype_name(w->dtype));
    else if (w && (w->shape.ndim != 1 || w->shape.dim[0] != v->shape.dim[1]))
        bpi_fail(ctx, BP_ERR_SHAPE, "%s: x %s and weights %s: [N,C,...] and [C] are wanted", l->who,
                 bpi_shape_str(&v->shape).s, bpi_shape_str(&w->shape).s);
    else if (!(l->smoothing >= 0 && l->smoothing <= 1))
        bpi_fail(ctx, BP_ERR_ARG, "%s: label smoothing %g is not in [0, 1]", l->who, l->smoothing);
    else
        return bpi_reduction_ok(ctx, l->who, l->how);
    return false;
}

/* -logp at the labels times the weight, smoothed; 0 where a label is ignored, whatever is there. */
static bp_tensor *loss(bp_context *ctx, bp_tensor *logp, const labelled *l)
{
    const bp_dtype real = bp_dtype_of(logp);
    const bp_shape shape = bp_shape_of(l->labels), all = bp_shape_of(logp);
    bp_tensor *zero = bp_full(ctx, real, BP_SCALAR, 0);
    bp_tensor *kept = bp_not_equal(l->labels, bp_full(ctx, BP_I32, BP_SCALAR, l->ignored));
    bp_tensor *label = bp_mul(l->labels, kept), *count = bp_cast(kept, real);
    bp_tensor *each = bp_neg(bp_take_along(logp, 1, bp_unsqueeze(label, 1)));
    each = bp_reshape(each, shape);
    if (l->weights) {
        bp_tensor *weight = bp_take(l->weights, 0, label);
        each = bp_mul(each, weight);
        count = bp_mul(count, weight);
    }
    if (l->smoothing > 0) {
        bp_shape classes = {all.ndim - 1, {all.dim[1], 1, 1, 1, 1, 1, 1}};
        bp_tensor *weighted = l->weights ? bp_mul(logp, bp_reshape(l->weights, classes)) : logp;
        bp_tensor *flat = bp_scale(bp_sum_axes(weighted, BP_AXIS(1), 0),
                                   -l->smoothing / (double)all.dim[1]);
        each = bp_add(bp_scale(each, 1 - l->smoothing), flat);
    }
    each = bp_where(bp_cast(kept, real), each, zero);
    if (l->how == BP_EACH)
        return each;
    return l->how == BP_SUM ? bp_sum(each) : bp_div(bp_sum(each), bp_sum(count));
}

static bp_tensor *of_labels(const char *none, bp_tensor *x, bool logits, const labelled *l,
                            int n_in)
{
    bp_tensor *in[] = {x, l->labels, l->weights};
    bp_context *ctx = bpi_begin(NULL, l->who, none, in, n_in);
    if (!ctx)
        return NULL;
    bp_tensor *y = fits(ctx, x, l) ? loss(ctx, logits ? bp_log_softmax(x, 1) : x, l) : NULL;
    bpi_leave(ctx);
    return y;
}
#define OF_LABELS(name, x, logits, n_in, ...) \
    of_labels(name ": input 0 is NULL", x, logits, &(labelled){name, __VA_ARGS__}, n_in)

bp_tensor *bp_nll_loss_with(bp_tensor *logp, bp_tensor *labels, int32_t ignored, bp_reduction how)
{
    return OF_LABELS("nll_loss_with", logp, false, 2, labels, NULL, 0, ignored, how);
}

bp_tensor *bp_nll_loss_weighted(bp_tensor *logp, bp_tensor *labels, bp_tensor *weights,
                                int32_t ignored, bp_reduction how)
{
    return OF_LABELS("nll_loss_weighted", logp, false, 3, labels, weights, 0, ignored, how);
}

bp_tensor *bp_cross_entropy_with(bp_tensor *logits, bp_tensor *labels, double smoothing,
                                 int32_t ignored, bp_reduction how)
{
    return OF_LABELS("cross_entropy_with", logits, true, 2, labels, NULL, smoothing, ignored, how);
}

bp_tensor *bp_cross_entropy_weighted(bp_tensor *logits, bp_tensor *labels, bp_tensor *weights,
                                     double smoothing, int32_t ignored, bp_reduction how)
{
    return OF_LABELS("cross_entropy_weighted", logits, true, 3, labels, weights, smoothing, ignored,
                     how);
}

bp_tensor *bp_cross_entropy_soft(bp_tensor *logits, bp_tensor *targets, bp_reduction how)
{
    bp_context *ctx = BPI_BEGIN("cross_entropy_soft", ((bp_tensor *[]){logits, targets}), 2);
    if (!ctx)
        return NULL;
    const bp_view *x = bpi_view_of(logits), *t = bpi_view_of(targets);
    bp_tensor *y = NULL;
    if (!bpi_is_real(x->dtype) || t->dtype != x->dtype)
        bpi_fail(ctx, BP_ERR_DTYPE, "cross_entropy_soft: logits are %s and targets %s: equal and "
                 "real dtypes are wanted", bp_dtype_name(x->dtype), bp_dtype_name(t->dtype));
    else if (x->shape.ndim < 2 || x->shape.dim[1] < 1 || !bpi_same_shape(&x->shape, &t->shape))
        bpi_fail(ctx, BP_ERR_SHAPE, "cross_entropy_soft: logits %s and targets %s: [N,C,...] both "
                 "is wanted, C >= 1", bpi_shape_str(&x->shape).s, bpi_shape_str(&t->shape).s);
    else if (bpi_reduction_ok(ctx, "cross_entropy_soft", how)) {
        y = bp_neg(bp_sum_axes(bp_mul(bp_log_softmax(logits, 1), targets), BP_AXIS(1), 0));
        y = how == BP_EACH ? y : how == BP_SUM ? bp_sum(y) : bp_mean(y);
    }
    bpi_leave(ctx);
    return y;
}
