/* A chain of layers: its parameters in a store, and its forward pass. Its text: layers_text.c. */
#include "nn/layers.h"

#include <stdio.h>
#include <string.h>

#include "core/params.h"

enum { PREFIX_MAX = 256 };

/* --- making one -------------------------------------------------------------------------- */

static bool is_pool(const bpi_layer *at)
{
    return at->kind == BPI_MAX_POOL || at->kind == BPI_AVG_POOL;
}

/* He before a rectifier, LeCun otherwise. */
static bp_init init_of(const bp_layers *l, int32_t i)
{
    do
        i++;
    while (i < l->n && (l->layer[i].kind == BPI_DROPOUT || is_pool(&l->layer[i])));
    bool rectified = i < l->n && l->layer[i].kind == BPI_ACTIVATION &&
                     l->layer[i].activation->rectifies;
    return rectified ? BP_INIT_HE : BP_INIT_LECUN;
}

typedef struct declaring {
    bp_params *params;
    const char *prefix;
    int dense, norms; /* how many there were */
} declaring;

static bp_tensor *declare(const declaring *d, const char *kind, int number, const char *what,
                          bp_shape shape, bp_init init)
{
    char name[PREFIX_MAX + 32];
    snprintf(name, sizeof name, "%s%s%d.%s", d->prefix, kind, number, what);
    return bp_param(d->params, name, shape, init);
}

static bp_status declare_norm(declaring *d, bpi_layer *to, bp_shape row)
{
    d->norms++;
    to->weight = declare(d, "norm", d->norms, "gain", row, BP_INIT_ONE);
    if (to->kind != BPI_RMSNORM)
        to->bias = declare(d, "norm", d->norms, "bias", row, BP_INIT_ZERO);
    if (to->kind == BPI_BATCHNORM) {
        to->mean = declare(d, "norm", d->norms, "mean", row, BP_INIT_ZERO);
        to->variance = declare(d, "norm", d->norms, "variance", row, BP_INIT_ONE);
    }
    if (to->mean && to->variance) {
        bpi_param_as_buffer(to->mean);
        bpi_param_as_buffer(to->variance);
    }
    bool all = to->weight && (to->bias || to->kind == BPI_RMSNORM) &&
               ((to->mean && to->variance) || to->kind != BPI_BATCHNORM);
    return all ? BP_OK : BP_ERR_NOMEM;
}

static bp_status declare_layer(declaring *d, const bp_layers *l, int32_t i, bpi_layer *to)
{
    bp_shape row = BP_SHAPE(to->to.channels ? to->to.channels : to->width);
    if (to->kind == BPI_DENSE || to->kind == BPI_CONV) {
        bp_shape weight = BP_SHAPE(row.dim[0], to->window[0], to->window[1],
                                   to->from.channels / (to->how.groups ? to->how.groups : 1));
        d->dense++;
        to->weight = declare(d, "layer", d->dense, "weight",
                             to->kind == BPI_CONV ? weight : BP_SHAPE(to->width, to->in),
                             init_of(l, i));
        to->bias = declare(d, "layer", d->dense, "bias", row, BP_INIT_ZERO);
        return to->weight && to->bias ? BP_OK : BP_ERR_NOMEM;
    }
    bool norm = to->kind >= BPI_LAYERNORM && to->kind <= BPI_BATCHNORM;
    return norm ? declare_norm(d, to, row) : BP_OK;
}

/* All of the parameters, or none. In a scope, which keeps the error of the one that failed. */
static bp_status declare_all(bp_layers *l, bp_params *params, const char *prefix)
{
    declaring d = {.params = params, .prefix = prefix};
    int32_t before = bp_param_count(params);
    bp_status st = bp_scope_begin(l->ctx, BP_NO_GRAD);
    if (st != BP_OK)
        return st;
    for (int32_t i = 0; i < l->n && st == BP_OK; i++)
        st = declare_layer(&d, l, i, &l->layer[i]);
    if (st != BP_OK) {
        bpi_params_undeclare(params, before);
        st = bpi_fail(l->ctx, st, "layers_create: out of memory");
    }
    bp_status end = bp_scope_end(l->ctx);
    return st != BP_OK ? st : end;
}

bp_status bpi_layers_create(bp_params *params, const char *prefix, int64_t inputs, const char *head,
                            const char *text, int64_t last, bp_layers **out)
{
    bp_context *ctx = params->ctx;
    if (inputs < 1 || inputs > BPI_WIDTH_MAX)
        return bpi_fail(ctx, BP_ERR_ARG, "layers_create: %lld inputs; 1 to %d are wanted",
                        (long long)inputs, BPI_WIDTH_MAX);
    if (strlen(prefix) > PREFIX_MAX)
        return bpi_fail(ctx, BP_ERR_ARG, "layers_create: a prefix of %zu bytes; at most %d",
                        strlen(prefix), PREFIX_MAX);
    bp_layers *l = bpi_object_alloc(ctx, sizeof *l);
    if (!l)
        return bpi_fail(ctx, BP_ERR_NOMEM, "layers_create: out of memory");
    l->ctx = ctx;
    l->inputs = inputs;
    bp_status st = bpi_layers_parse(l, head, text, last);
    if (st == BP_OK)
        st = declare_all(l, params, prefix);
    if (st == BP_OK)
        *out = l;
    else
        bpi_object_free(ctx, l, sizeof *l);
    return st;
}

static bp_status create(bp_params *params, const char *prefix, int64_t inputs, const char *text,
                        bp_layers **out)
{
    BPI_TRY(bpi_given(params->ctx, prefix, "layers_create: prefix"));
    BPI_TRY(bpi_given(params->ctx, text, "layers_create: text"));
    BPI_TRY(bpi_given(params->ctx, out, "layers_create: layers"));
    return bpi_layers_create(params, prefix, inputs, "", text, 0, out);
}

bp_status bp_layers_create(bp_params *params, const char *prefix, int64_t inputs, const char *text,
                           bp_layers **layers)
{
    if (layers)
        *layers = NULL;
    BPI_LEADS(params, "layers_create: params");
    BPI_INSIDE(params->ctx, create(params, prefix, inputs, text, layers));
}

static void free_late(bpi_late *late)
{
    bp_layers_free((bp_layers *)((char *)late - offsetof(bp_layers, late)));
}

void bp_layers_free(bp_layers *l)
{
    if (!l || !bpi_enter_to_free(l->ctx, &l->late, free_late))
        return;
    bp_context *ctx = l->ctx;
    bpi_object_free(ctx, l, sizeof *l);
    bpi_leave(ctx);
}

int64_t bp_layers_outputs(const bp_layers *l)
{
    return l ? l->outputs : 0;
}

/* --- the forward pass -------------------------------------------------------------------- */

static bp_tensor *chain(const bp_layers *l, int32_t *i, bp_tensor *x, bool owned, bool training);

static bp_tensor *as_rows(bp_tensor *x, int64_t n)
{
    return bp_reshape(x, BP_SHAPE(bp_shape_of(x).dim[0], n));
}

static bool is_relu(const bp_layers *l, int32_t i)
{
    const bpi_layer *at = &l->layer[i];
    return i < l->n && at->kind == BPI_ACTIVATION && at->activation->plain == bp_relu;
}

static bp_tensor *dense(const bp_layers *l, int32_t *i, bp_tensor *x, bool training)
{
    const bpi_layer *at = &l->layer[*i];
    if (!is_relu(l, *i + 1))
        return bp_linear(x, at->weight, at->bias);
    bool drops = *i + 2 < l->n && at[2].kind == BPI_DROPOUT;
    *i += 1 + drops;
    return bp_linear_relu(x, at->weight, at->bias, drops && training ? at[2].number : 0);
}

/* A dense layer of images takes their rows of numbers. */
static bp_tensor *flattened(const bp_layers *l, int32_t *i, bp_tensor *x, bool training)
{
    if (!l->layer[*i].from.channels)
        return dense(l, i, x, training);
    bp_tensor *row = as_rows(x, l->layer[*i].in), *y = dense(l, i, row, training);
    bp_free(row);
    return y;
}

/* ReLU and a pool behind it: the other way round they give the same, and their gradient, of the few
 * numbers that the pool leaves; and the many before it need not be kept. */
static bool is_relu_of_pool(const bp_layers *l, int32_t i)
{
    return is_relu(l, i) && i + 1 < l->n && l->layer[i + 1].kind == BPI_MAX_POOL;
}

static bp_tensor *max_pool(const bpi_layer *at, bp_tensor *x)
{
    return bp_max_pool(x, at->window[0], at->window[1], at->how, NULL);
}

static bp_tensor *activation(const bp_layers *l, int32_t *i, bp_tensor *x)
{
    const bpi_layer *at = &l->layer[*i];
    if (!is_relu_of_pool(l, *i))
        return at->activation->plain ? at->activation->plain(x)
                                     : at->activation->with(x, at->number);
    bp_tensor *most = max_pool(&l->layer[++*i], x), *y = bp_relu(most);
    bp_free(most);
    return y;
}

static bp_tensor *convolved(const bp_layers *l, int32_t *i, bp_tensor *x)
{
    const bpi_layer *at = &l->layer[*i];
    if (!is_relu(l, *i + 1) || is_relu_of_pool(l, *i + 1))
        return bp_conv2d(x, at->weight, at->bias, at->how);
    ++*i;
    return bp_conv2d_relu(x, at->weight, at->bias, at->how);
}

/* In training by the batch, whose statistics the store is told for its next step; else, and where
 * they are frozen, by the running ones. */
static bp_tensor *batch_norm(const bpi_layer *at, bp_tensor *x, bool training)
{
    bp_tensor *mean, *variance;
    if (!training || bpi_param_is_frozen(at->mean) || bpi_param_is_frozen(at->variance))
        return bp_batch_norm_with(x, at->weight, at->bias, at->mean, at->variance, at->number);
    bp_tensor *y = bp_batch_norm(x, at->weight, at->bias, at->number, &mean, &variance);
    if (y && (bpi_buffer_tell(at->mean, mean) != BP_OK ||
              bpi_buffer_tell(at->variance, variance) != BP_OK)) {
        bp_free(y);
        y = NULL;
    }
    bp_free(mean);
    bp_free(variance);
    return y;
}

/* The inputs, rows or images already, as images. */
static bp_tensor *as_images(const bpi_image *to, bp_tensor *x)
{
    int64_t rows = bp_shape_of(x).dim[0];
    return bp_reshape(x, BP_SHAPE(rows, to->height, to->width, to->channels));
}

/* y of layer *i; *i moves to the last that it has taken along. What changes nothing gives x. */
static bp_tensor *layer(const bp_layers *l, int32_t *i, bp_tensor *x, bool training)
{
    const bpi_layer *at = &l->layer[*i];
    switch (at->kind) {
    case BPI_DENSE:
        return flattened(l, i, x, training);
    case BPI_IMAGE:
        return as_images(&at->to, x);
    case BPI_CONV:
        return convolved(l, i, x);
    case BPI_MAX_POOL:
        return max_pool(at, x);
    case BPI_AVG_POOL:
        return bp_avg_pool(x, at->window[0], at->window[1], at->how);
    case BPI_GLOBAL_POOL:
        return bp_global_avg_pool(x);
    case BPI_ACTIVATION:
        return activation(l, i, x);
    case BPI_LAYERNORM:
        return bp_layer_norm(x, at->weight, at->bias, at->number);
    case BPI_RMSNORM:
        return bp_rms_norm(x, at->weight, at->number);
    case BPI_BATCHNORM:
        return batch_norm(at, x, training);
    case BPI_DROPOUT:
        return training ? bp_dropout(x, at->number) : x;
    default: break;
    }
    ++*i;
    bp_tensor *z = chain(l, i, x, false, training), *y = bp_add(x, z);
    if (z != x)
        bp_free(z);
    return y;
}

/* From layer *i to the end of its group, where *i stands then. Handles are freed as the pass goes
 * on, x too where it is owned: only what the gradient reads stays in memory. */
static bp_tensor *chain(const bp_layers *l, int32_t *i, bp_tensor *x, bool owned, bool training)
{
    for (; *i < l->n && l->layer[*i].kind != BPI_END; ++*i) {
        bp_tensor *y = layer(l, i, x, training);
        if (owned && y != x)
            bp_free(x);
        owned |= y != x;
        x = y;
    }
    return x;
}

/* An image at the end goes out as a row of numbers. */
static bp_tensor *whole(const bp_layers *l, bp_tensor *x, bool owned, bool training)
{
    int32_t i = 0;
    bp_tensor *y = chain(l, &i, x, owned, training);
    if (l->n == 0 || !l->layer[l->n - 1].to.channels)
        return y;
    bp_tensor *row = as_rows(y, l->outputs);
    bp_free(y);
    return row;
}

bp_tensor *bpi_layers_consume(const bp_layers *l, bp_tensor *x, bool training)
{
    return whole(l, x, true, training);
}

/* Images of as many numbers as the first layer takes, where that is not one of images. */
static bool are_images(const bp_layers *l, bp_tensor *x)
{
    bp_shape is = bp_shape_of(x);
    return is.ndim > 2 && bp_shape_count(is) == is.dim[0] * l->inputs &&
           (l->n == 0 || l->layer[0].kind != BPI_IMAGE);
}

bp_tensor *bp_layers_forward(bp_layers *l, bp_tensor *x, int32_t training)
{
    if (!l)
        bpi_tell_thread(BP_ERR_ARG, "layers_forward: layers is NULL");
    if (!l || bpi_enter(l->ctx) != BP_OK)
        return NULL;
    bool images = are_images(l, x);
    bp_tensor *y = whole(l, images ? as_rows(x, l->inputs) : x, images, training != 0);
    if (y == x) /* nothing was to be done: a handle of its own all the same */
        y = bp_reshape(x, bp_shape_of(x));
    bpi_leave(l->ctx);
    return y;
}
