/* The diagonal of the Gauss-Newton matrix of a chain's loss, layer by layer from its end (LeCun,
 * Bottou, Orr, Mueller, "Efficient BackProp", 1998, 7 and 9.1). With h the second derivative of the
 * loss by what a layer gives, and cross terms left out,
 *
 *     y = f(a)       h(a) = f'(a)^2 h(y)
 *     a = W x + b    h(W)_ij = h(a)_i x_j^2    h(b) = h(a)    h(x)_j = sum over i of W_ij^2 h(a)_i
 *
 * so that each layer is asked for the gradient of itself, with x or W squared, which is true of
 * convolutions and of shared weights, whose parts add up, as well. */
#include <math.h>

#include "autograd/apply.h"
#include "core/context.h"
#include "core/params.h"
#include "nn/nn.h"
#include "optim/optim.h"

typedef struct diagonal {
    bp_model *m;
    bp_data *data;
    bp_tensor *index;
    double share;
    bp_optimizer *opt;
    bp_status st;
} diagonal;

static bool padded(const bpi_layer *at)
{
    const int32_t *pad = at->how.pad;
    return pad[0] || pad[1] || pad[2] || pad[3];
}

/* Why the recursion has no rule for a layer; NULL: it has. */
static const char *foreign(const bpi_layer *at)
{
    switch (at->kind) {
    case BPI_DENSE:
    case BPI_ACTIVATION:
    case BPI_IMAGE:
    case BPI_CONV:
    case BPI_MAX_POOL:
    case BPI_GLOBAL_POOL:
    case BPI_DROPOUT: return NULL;
    case BPI_AVG_POOL: return padded(at) ? "a padded mean" : NULL;
    case BPI_RESIDUAL:
    case BPI_END: return "a residual group";
    default: return "a norm";
    }
}

bp_status bpi_diagonal_fits(const bp_model *m, const char *who)
{
    if (!m->layers)
        return bpi_fail(m->ctx, BP_ERR_STATE, "%s: the forward pass is a program's own; second "
                        "derivatives want a stack of layers", who);
    if (m->members > 1)
        return bpi_fail(m->ctx, BP_ERR_STATE, "%s: an ensemble; second derivatives want one stack "
                        "of layers", who);
    for (int32_t i = 0; i < m->layers->n; i++)
        if (foreign(&m->layers->layer[i]))
            return bpi_fail(m->ctx, BP_ERR_STATE, "%s: layers \"%s\" hold %s: the recursion of "
                            "second derivatives goes through dense layers, convolutions, pools, "
                            "activations and dropout", who, m->layers->text,
                            foreign(&m->layers->layer[i]));
    return BP_OK;
}

/* --- a layer --------------------------------------------------------------------------------- */

static bp_tensor *rows_of(const bpi_layer *at, bp_tensor *x)
{
    int64_t n = bp_shape_of(x).dim[0];
    return at->kind == BPI_DENSE ? bp_reshape(x, BP_SHAPE(n, at->in)) : x;
}

/* y of a layer, with these weights. */
static bp_tensor *through(const bpi_layer *at, bp_tensor *x, bp_tensor *weight, bp_tensor *bias)
{
    int64_t n = bp_shape_of(x).dim[0];
    switch (at->kind) {
    case BPI_DENSE: return bp_linear(rows_of(at, x), weight, bias);
    case BPI_CONV: return bp_conv2d(x, weight, bias, at->how);
    case BPI_IMAGE:
        return bp_reshape(x, BP_SHAPE(n, at->to.height, at->to.width, at->to.channels));
    case BPI_MAX_POOL: return bp_max_pool(x, at->window[0], at->window[1], at->how, NULL);
    case BPI_AVG_POOL: return bp_avg_pool(x, at->window[0], at->window[1], at->how);
    case BPI_GLOBAL_POOL: return bp_global_avg_pool(x);
    case BPI_ACTIVATION:
        return at->activation->plain ? at->activation->plain(x)
                                     : at->activation->with(x, at->number);
    default: return bp_reshape(x, bp_shape_of(x)); /* dropout */
    }
}

/* Numbers that a mean has the same part of: it is squared. */
static double part(const bpi_layer *at)
{
    return at->kind == BPI_AVG_POOL      ? 1 / ((double)at->window[0] * at->window[1])
           : at->kind == BPI_GLOBAL_POOL ? 1 / ((double)at->from.height * (double)at->from.width)
                                         : 1;
}

/* The gradient by n leaves of y, from dy. */
static bp_status gradient(bp_context *ctx, bp_tensor *y, bp_tensor *dy, bp_tensor **leaf, int32_t n,
                          bp_tensor **g)
{
    if (!y || !dy)
        return ctx->pending;
    return bp_grad(ctx, y, bp_reshape(dy, bp_shape_of(y)), leaf, n, 0, g);
}

/* h of the optimiser's, of the parameter that is this tensor: (1 - share) h + share now. */
static bp_status take(diagonal *d, bp_tensor *param, bp_tensor *now)
{
    bp_params *p = bp_model_params(d->m);
    int32_t i = 0;
    while (bp_param_at(p, i) != param)
        i++;
    bp_tensor *square = bpi_optimizer_moment(d->opt, 0, i);
    bp_tensor *h = bp_scale(bp_reshape(now, bp_shape_of(param)), d->share);
    if (d->share < 1)
        h = bp_add(h, bp_scale(bp_sqrt(square), 1 - d->share));
    return square && h ? bp_copy_into(square, bp_square(h)) : d->m->ctx->pending;
}

/* From h of its y to h of its x, and of its parameters on the way. */
static bp_status back_through(diagonal *d, const bpi_layer *at, bp_tensor *x, bp_tensor **h)
{
    bp_context *ctx = d->m->ctx;
    bp_tensor *leaf[2] = {bp_require_grad(x), NULL}, *g[2], *w = at->weight;
    if (w) {
        bp_tensor *own[2] = {bp_require_grad(bp_detach(w)), bp_require_grad(bp_detach(at->bias))};
        BPI_TRY(gradient(ctx, through(at, bp_square(x), own[0], own[1]), *h, own, 2, g));
        BPI_TRY(take(d, w, g[0]));
        BPI_TRY(take(d, at->bias, g[1]));
        w = bp_square(bp_detach(w));
    }
    bp_tensor *y = through(at, leaf[0], w, at->bias ? bp_detach(at->bias) : NULL);
    bool bends = at->kind == BPI_ACTIVATION;
    bp_tensor *dy = bends && y ? bp_full(ctx, bp_dtype_of(y), bp_shape_of(y), 1)
                               : bp_scale(*h, part(at));
    BPI_TRY(gradient(ctx, y, dy, leaf, 1, g));
    *h = bends ? bp_mul(bp_reshape(*h, bp_shape_of(x)), bp_square(g[0])) : g[0];
    return ctx->pending;
}

/* --- the chain ------------------------------------------------------------------------------- */

/* Of the mean loss by the outputs y [N, outputs]. */
static bp_tensor *at_the_end(const bp_model *m, bp_tensor *y)
{
    double rows = (double)bp_shape_of(y).dim[0];
    if (m->task == BP_TASK_REGRESSION)
        return bp_full(m->ctx, BP_F32, bp_shape_of(y), 2 / (rows * (double)m->outputs));
    bp_tensor *p = m->task == BP_TASK_CLASSES ? bp_softmax(y, 1) : bp_sigmoid(y);
    double columns = m->task == BP_TASK_CLASSES ? 1 : (double)m->outputs;
    return bp_scale(bp_sub(p, bp_square(p)), 1 / (rows * columns));
}

static bp_status walk(diagonal *d)
{
    const bp_layers *l = d->m->layers;
    bp_tensor *x[BPI_LAYERS_MAX + 1];
    x[0] = bpi_normal_rows(&d->m->in, bp_data_samples(d->data), d->index);
    for (int32_t i = 0; i < l->n; i++) {
        const bpi_layer *at = &l->layer[i];
        if (!x[i])
            return d->m->ctx->pending;
        x[i + 1] = bp_detach(through(at, x[i], at->weight ? bp_detach(at->weight) : NULL,
                                     at->bias ? bp_detach(at->bias) : NULL));
    }
    if (!x[l->n])
        return d->m->ctx->pending;
    bp_tensor *h = at_the_end(d->m, rows_of(&(bpi_layer){.kind = BPI_DENSE, .in = l->outputs},
                                            x[l->n]));
    for (int32_t i = l->n - 1; i >= 0; i--)
        BPI_TRY(back_through(d, &l->layer[i], x[i], &h));
    return BP_OK;
}

static bp_status step(bp_context *ctx, void *user)
{
    diagonal *d = user;
    (void)ctx;
    return d->st = walk(d);
}

bp_status bpi_model_diagonal(bp_model *m, bp_data *data, bp_tensor *index, double share,
                             bp_optimizer *opt)
{
    diagonal d = {m, data, index, share, opt, BP_OK};
    bp_status st = bp_run(m->ctx, 0, step, &d);
    return st != BP_OK ? st : d.st;
}

static bp_status diagonal_of(bp_model *m, bp_data *data, bp_tensor *index, double share,
                             bp_optimizer *opt)
{
    bp_context *ctx = m->ctx;
    BPI_TRY(bpi_given(ctx, index, "model_diagonal: index"));
    BPI_TRY(bpi_given(ctx, opt, "model_diagonal: opt"));
    BPI_TRY(bpi_model_measures(m, data, "model_diagonal"));
    BPI_TRY(bpi_diagonal_fits(m, "model_diagonal"));
    if (bp_optimizer_kind_of(opt) != BP_DIAGONAL_LM || bpi_optimizer_params(opt) != m->params)
        return bpi_fail(ctx, BP_ERR_ARG, "model_diagonal: the optimiser is %s of %s store; "
                        "diagonal-lm of the model's is wanted",
                        bp_optimizer_name(bp_optimizer_kind_of(opt)),
                        bpi_optimizer_params(opt) == m->params ? "the model's" : "another");
    if (!(share > 0 && share <= 1))
        return bpi_fail(ctx, BP_ERR_ARG, "model_diagonal: the share %g is not in (0, 1]", share);
    return bpi_model_diagonal(m, data, index, share, opt);
}

bp_status bp_model_diagonal(bp_model *m, bp_data *data, bp_tensor *index, double share,
                            bp_optimizer *opt)
{
    BPI_LEADS(m, "model_diagonal: model");
    BPI_INSIDE(m->ctx, diagonal_of(m, data, index, share, opt));
}
