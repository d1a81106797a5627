/* A model fitted to a whole data set by the minimisers, in f64: a store and layers like the model's
 * own hold the digits that its f32 has no room for, and the model gets them rounded after each
 * iteration. Dropout is left out. */
#include <math.h>

#include "core/context.h"
#include "core/params.h"
#include "minimize/minimize.h"
#include "train/train.h"

typedef struct fit {
    bp_model *m;
    bp_data *data;
    bp_params *params; /* f64 */
    bp_layers *layers;
    bp_tensor *x, *t;  /* f64 [N, inputs]; labels i32 [N], or f64 [N, outputs] */
    bp_tensor *root;   /* f64 [N, 1]: of twice a row's part in the mean, over the outputs */
    double l2;
    bp_found_fn each;
    void *user;
    bp_status st;
} fit;

static void end(fit *f)
{
    bp_layers_free(f->layers);
    bp_params_free(f->params);
    bp_free(f->x);
    bp_free(f->t);
    bp_free(f->root);
}

/* --- the objective --------------------------------------------------------------------------- */

static bp_tensor *outputs(fit *f)
{
    return bpi_layers_consume(f->layers, bp_reshape(f->x, bp_shape_of(f->x)), false);
}

/* Weights, which alone have two sizes or more, and the root of l2 w^2 / 2 as residuals. */
static bool decays(const fit *f, int32_t i)
{
    return f->l2 > 0 && bp_shape_of(bp_param_at(f->params, i)).ndim > 1;
}

static bp_tensor *loss(bp_context *ctx, void *user)
{
    fit *f = user;
    bp_tensor *y = outputs(f), *each, *sum;
    if (f->m->task == BP_TASK_CLASSES)
        each = bp_reshape(bp_cross_entropy_with(y, f->t, 0, -1, BP_EACH), bp_shape_of(f->root));
    else if (f->m->task == BP_TASK_LABELS)
        each = bp_sigmoid_cross_entropy(y, f->t);
    else
        each = bp_squared_error(y, f->t);
    sum = bp_scale(bp_sum(bp_mul(each, bp_square(f->root))), 0.5);
    for (int32_t i = 0; i < bp_param_count(f->params); i++)
        if (decays(f, i))
            sum = bp_add(sum, bp_scale(bp_sum(bp_square(bp_param_at(f->params, i))), f->l2 / 2));
    return ctx->pending == BP_OK ? sum : NULL;
}

static bp_tensor *residuals(bp_context *ctx, void *user)
{
    fit *f = user;
    bp_tensor *all = bp_mul(bp_sub(outputs(f), f->t), f->root);
    if (!all)
        return NULL;
    all = bp_reshape(all, BP_SHAPE(bp_shape_count(bp_shape_of(all))));
    for (int32_t i = 0; i < bp_param_count(f->params); i++) {
        bp_tensor *w = bp_param_at(f->params, i);
        if (!decays(f, i))
            continue;
        w = bp_reshape(bp_scale(w, sqrt(f->l2)), BP_SHAPE(bp_shape_count(bp_shape_of(w))));
        all = bp_concat((bp_tensor *[]){all, w}, 2, 0);
    }
    return ctx->pending == BP_OK ? all : NULL;
}

/* --- what it is made of ---------------------------------------------------------------------- */

/* Parameters to the f64 store, or back. */
static bp_status copy_params(fit *f, bool back)
{
    bp_params *own = bp_model_params(f->m);
    for (int32_t i = 0; i < bp_param_count(own); i++) {
        bp_tensor *narrow = bp_param_at(own, i), *wide = bp_param_at(f->params, i);
        BPI_TRY(back ? bp_copy_into(narrow, bp_cast(wide, BP_F32))
                     : bp_copy_into(wide, bp_cast(narrow, BP_F64)));
    }
    return BP_OK;
}

static bp_status back_step(bp_context *ctx, void *user)
{
    fit *f = user;
    (void)ctx;
    return f->st = copy_params(f, true);
}

static bp_status copy_back(fit *f)
{
    bp_status st = bp_run(f->m->ctx, BP_NO_GRAD, back_step, f);
    return st != BP_OK ? st : f->st;
}

/* The root of 2 w / (the sum of w) / columns: halves of squares add up to the model's loss. */
static bp_tensor *root_of_shares(const fit *f, bp_tensor *index, int64_t n)
{
    double columns = f->m->task == BP_TASK_CLASSES ? 1 : (double)f->m->outputs;
    bp_tensor *w = bpi_data_weights(f->data);
    w = w ? bp_cast(bp_gather(w, index), BP_F64) : bp_full(f->m->ctx, BP_F64, BP_SHAPE(n), 1);
    return bp_sqrt(bp_scale(bp_div(w, bp_sum(w)), 2 / columns));
}

static bp_status keep(bp_context *ctx, bp_tensor *made, bp_shape shape, bp_tensor **to)
{
    if (!made || !(*to = bp_tensor_create(ctx, bp_dtype_of(made), shape)))
        return ctx->pending != BP_OK ? ctx->pending : BP_ERR_NOMEM;
    return bp_copy_into(*to, bp_reshape(made, shape));
}

static bp_status set_up(fit *f)
{
    bp_model *m = f->m;
    bp_context *ctx = m->ctx;
    int64_t n = bp_data_rows(f->data);
    bp_tensor *index = bp_arange(ctx, BP_I32, 0, 1, n), *t = bp_data_labels(f->data);
    bool classes = m->task == BP_TASK_CLASSES;
    BPI_TRY(copy_params(f, false));
    BPI_TRY(keep(ctx, bp_cast(bpi_normal_rows(&m->in, bp_data_samples(f->data), index), BP_F64),
                 BP_SHAPE(n, m->inputs), &f->x));
    t = classes ? bp_gather(t, index) : bp_cast(bpi_normal_rows(&m->out, t, index), BP_F64);
    BPI_TRY(keep(ctx, t, classes ? BP_SHAPE(n) : BP_SHAPE(n, m->outputs), &f->t));
    return keep(ctx, root_of_shares(f, index, n), BP_SHAPE(n, 1), &f->root);
}

static bp_status set_up_step(bp_context *ctx, void *user)
{
    fit *f = user;
    (void)ctx;
    return f->st = set_up(f);
}

static bp_status open(fit *f)
{
    bp_model *m = f->m;
    BPI_TRY(bpi_model_measures(m, f->data, "model_fit"));
    if (!m->layers)
        return bpi_fail(m->ctx, BP_ERR_STATE, "model_fit: the forward pass is a program's own: "
                        "minimize.h takes its store and its loss");
    if (m->members > 1)
        return bpi_fail(m->ctx, BP_ERR_STATE, "model_fit: an ensemble of %d: its members are fitted "
                        "one by one, before they are one model", (int)m->members);
    BPI_TRY(bpi_params_materialize(m->params));
    BPI_TRY(bp_params_create(m->ctx, BP_F64, &f->params));
    BPI_TRY(bpi_layers_create(f->params, "", m->inputs, "", m->layers->text, m->outputs,
                              &f->layers));
    BPI_TRY(bpi_params_materialize(f->params));
    for (int32_t i = 0; i < bp_param_count(f->params); i++)
        BPI_TRY(bp_param_freeze(f->params, i, m->params->segment[i].frozen));
    bp_status st = bp_run(m->ctx, BP_NO_GRAD, set_up_step, f);
    return st != BP_OK ? st : f->st;
}

/* --- the call -------------------------------------------------------------------------------- */

static bp_status tell(bp_context *ctx, const bp_found *now, void *user)
{
    fit *f = user;
    BPI_TRY(copy_back(f));
    return f->each ? f->each(ctx, now, f->user) : BP_OK;
}

static bp_status run(bp_model *m, bp_data *data, bp_method method, double l2,
                     const bp_minimize_options *options, bp_found *found)
{
    __attribute__((cleanup(end))) fit f = {.m = m, .data = data, .l2 = l2};
    bp_minimize_options o = {0};
    BPI_TRY(bpi_result_fits(m->ctx, "model_fit", "the result", found, sizeof *found));
    BPI_TRY(bpi_minimize_ready(m->ctx, "model_fit"));
    BPI_TRY(bpi_options(m->ctx, "model_fit", &o, sizeof o, options));
    if (method < BP_METHOD_LBFGS || method > BP_METHOD_GAUSS_NEWTON)
        return bpi_fail(m->ctx, BP_ERR_ARG, "model_fit: there is no method %d", (int)method);
    if (!(l2 >= 0 && isfinite(l2)))
        return bpi_fail(m->ctx, BP_ERR_ARG, "model_fit: l2 is %g; a number from 0 is wanted", l2);
    if (method != BP_METHOD_LBFGS && m->task != BP_TASK_REGRESSION)
        return bpi_fail(m->ctx, BP_ERR_ARG, "model_fit: %s is for squared errors, and the task is "
                        "%s, whose loss is a cross-entropy: L-BFGS takes it",
                        method == BP_METHOD_GAUSS_NEWTON ? "Gauss-Newton" : "Levenberg-Marquardt",
                        bp_task_name(m->task));
    BPI_TRY(open(&f));
    f.each = o.each;
    f.user = o.user;
    o.struct_bytes = sizeof o;
    o.each = tell;
    o.user = &f;
    bp_status st = method == BP_METHOD_LBFGS ? bp_lbfgs(f.params, loss, &f, &o, found)
                   : method == BP_METHOD_LEVENBERG_MARQUARDT
                       ? bp_levenberg_marquardt(f.params, residuals, &f, &o, found)
                       : bp_gauss_newton(f.params, residuals, &f, &o, found);
    bp_status back = copy_back(&f);
    return st != BP_OK ? st : back;
}

bp_status bp_model_fit(bp_model *m, bp_data *data, bp_method method, double l2,
                       const bp_minimize_options *options, bp_found *result)
{
    bpi_result_begin(result, sizeof *result);
    BPI_LEADS(m, "model_fit: model");
    BPI_INSIDE(m->ctx, run(m, data, method, l2, options, result));
}
