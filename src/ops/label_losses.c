/* Losses of labels with weights of classes, label smoothing and a label that is ignored, and of
 * soft targets: a loss a row, then the reduction. Of logits it is a kernel of
 * src/cpu/cross_entropy.c, whose composition is for second derivatives and gradients by weights and
 * targets; of logarithms it is public calls. What is called without them is cross_entropy.c and
 * nll_loss.c. */
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

/* -logp at the labels times their weights, smoothed: a loss a row; 0 where a label is ignored,
 * whatever is there. *count: the weights of the labels. logp [N, C, ...], labels [N, ...]. */
static bp_tensor *pick(bp_context *ctx, bp_tensor *logp, bp_tensor *labels, bp_tensor *weights,
                       double smoothing, int32_t ignored, bp_tensor **count)
{
    const bp_dtype real = bp_dtype_of(logp);
    const bp_shape all = bp_shape_of(logp);
    bp_tensor *kept = bp_not_equal(labels, bp_full(ctx, BP_I32, BP_SCALAR, ignored));
    bp_tensor *label = bp_mul(labels, kept), *none = bp_full(ctx, real, BP_SCALAR, 0);
    bp_tensor *each = bp_neg(bp_take_along(logp, 1, bp_unsqueeze(label, 1)));
    each = bp_reshape(each, bp_shape_of(labels));
    kept = *count = bp_cast(kept, real);
    if (weights) { /* no weight may meet what an ignored row holds: 0 Inf is NaN in a gradient */
        bp_tensor *weight = bp_where(kept, bp_take(weights, 0, label), none);
        each = bp_mul(bp_where(kept, each, none), weight);
        *count = weight;
    }
    if (smoothing > 0) {
        bp_shape classes = {all.ndim - 1, {all.dim[1], 1, 1, 1, 1, 1, 1}};
        if (weights)
            logp = bp_mul(bp_where(bp_unsqueeze(kept, 1), logp, none),
                          bp_reshape(weights, classes));
        bp_tensor *flat = bp_scale(bp_sum_axes(logp, BP_AXIS(1), 0),
                                   -smoothing / (double)all.dim[1]);
        each = bp_add(bp_scale(each, 1 - smoothing), flat);
    }
    return bp_where(kept, each, none);
}

/* The same of soft targets. */
static bp_tensor *soft(bp_tensor *logp, bp_tensor *targets)
{
    return bp_neg(bp_sum_axes(bp_mul(logp, targets), BP_AXIS(1), 0));
}

/* --- of logits: a kernel over rows ----------------------------------------------------------- */

static bp_status infer(const bp_view *in, bp_view *out, const void *params, char *why)
{
    (void)why; /* the callers have checked all */
    bpi_view_packed(&out[0], in[0].dtype, BP_SHAPE(in[0].shape.dim[0]));
    if (!((const bpi_cross_entropy_params *)params)->soft)
        out[1] = out[0];
    return BP_OK;
}

static bp_status compose(bp_context *ctx, bp_tensor *const *in, const void *params,
                         bp_tensor **out)
{
    const bpi_cross_entropy_params *p = params;
    bp_tensor *logp = bp_log_softmax(in[0], 1);
    if (p->soft)
        out[0] = soft(logp, in[1]);
    else
        out[0] = pick(ctx, logp, in[1], p->weighted ? in[2] : NULL, p->smoothing, p->ignored,
                      &out[1]);
    return out[0] ? BP_OK : ctx->pending;
}

static bp_status gradient(bp_grad_call *c)
{
    if (!c->dout[0] || c->need[1] || (c->n_in > 2 && c->need[2])) /* targets, weights */
        return bpi_compose_gradient(bpi_inside(c));
    bp_tensor *in[4] = {c->dout[0], c->in[0], c->in[1], c->n_in > 2 ? c->in[2] : NULL};
    c->dx[0] = bpi_fresh_packed(c->ctx, bpi_view_of(c->dout[0])->dtype, c->in_shape[0],
                                BPI_OWNER_SCOPE);
    return c->dx[0] ? bpi_dispatch(c->ctx, BPI_OP_cross_entropy_with, BPI_BACKWARD, in, c->n_in + 1,
                                   c->dx, 1, c->params, sizeof(bpi_cross_entropy_params))
                    : c->ctx->pending;
}

#define OP(op_name, inputs, outputs)                                                               \
    {                                                                                              \
        .def = {.name = op_name, .n_in = inputs, .n_out = outputs,                                 \
                .params_bytes = sizeof(bpi_cross_entropy_params), .saves_in = (1 << inputs) - 1,   \
                .infer = infer, .gradient = gradient},                                             \
        .id = BPI_OP_cross_entropy_with, .compose = compose,                                       \
    }
const bp_op bpi_op_cross_entropy_with = OP("cross_entropy_with", 2, 2);
static const bp_op with_weights = OP("cross_entropy_weighted", 3, 2);
static const bp_op of_targets = OP("cross_entropy_soft", 2, 1);

/* Whether the classes of a row are neighbours, so that rows_of need not move them. */
static bool has_rows(bp_tensor *x)
{
    const bp_view *v = bpi_view_of(x);
    return v->shape.ndim == 2 || v->stride[1] == 1;
}

/* [N, C, ...] -> [rows, C]. */
static bp_tensor *rows_of(bp_tensor *x)
{
    const bp_shape s = bp_shape_of(x);
    bp_shape order = {s.ndim, {0}};
    int64_t rows = s.dim[0];
    for (int i = 2; i < s.ndim; i++) {
        order.dim[i - 1] = i;
        rows *= s.dim[i];
    }
    order.dim[s.ndim - 1] = 1;
    return s.ndim == 2 ? x : bp_reshape(bp_permute(x, order), BP_SHAPE(rows, s.dim[1]));
}

static bp_tensor *of_rows(bp_context *ctx, bp_tensor *x, const labelled *l, bp_tensor **count)
{
    const bp_shape shape = bp_shape_of(l->labels);
    const bpi_cross_entropy_params p = {l->smoothing, l->ignored, l->weights != NULL, 0, 0};
    bp_tensor *labels = bp_reshape(l->labels, BP_SHAPE(bp_shape_count(shape)));
    bp_tensor *in[] = {rows_of(x), labels, l->weights}, *out[BP_MAX_IO];
    bpi_apply(l->weights ? &with_weights : &bpi_op_cross_entropy_with, in, &p, out);
    *count = l->weights && bpi_asks_grad(ctx, l->weights) ? out[1] : bp_detach(out[1]);
    return bp_reshape(out[0], shape);
}

/* --- the calls ------------------------------------------------------------------------------- */

static bp_tensor *of_labels(const char *none, bp_tensor *x, bool logits, const labelled *l,
                            int n_in)
{
    bp_tensor *in[] = {x, l->labels, l->weights}, *y = NULL, *count = NULL;
    bp_context *ctx = bpi_begin(NULL, l->who, none, in, n_in);
    if (!ctx)
        return NULL;
    if (fits(ctx, x, l))
        y = logits && has_rows(x)
                ? of_rows(ctx, x, l, &count)
                : pick(ctx, logits ? bp_log_softmax(x, 1) : x, l->labels, l->weights, l->smoothing,
                       l->ignored, &count);
    if (l->how != BP_EACH)
        y = l->how == BP_SUM ? bp_sum(y) : bp_div(bp_sum(y), bp_sum(count));
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
        const bpi_cross_entropy_params p = {.soft = 1};
        if (has_rows(logits)) {
            bp_shape rows = x->shape;
            for (int i = 1; i < rows.ndim - 1; i++)
                rows.dim[i] = rows.dim[i + 1];
            rows.ndim--;
            y = bp_reshape(bpi_apply2(&of_targets, rows_of(logits), rows_of(targets), &p), rows);
        } else {
            y = soft(bp_log_softmax(logits, 1), targets);
        }
        y = how == BP_EACH ? y : how == BP_SUM ? bp_sum(y) : bp_mean(y);
    }
    bpi_leave(ctx);
    return y;
}
