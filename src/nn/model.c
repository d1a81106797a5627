/* Models: making one, its forward pass, what it is asked on the host. Its losses: task.c; what it
 * predicts: predict.c; the normalisers: normalize.c; files: model_file.c. */
#include <stdio.h>
#include <string.h>

#include "core/tensor.h"
#include "core/view.h"
#include "nn/nn.h"

/* --- making one -------------------------------------------------------------------------- */

/* What a model is made from: layers, or a function of the program's. */
typedef struct recipe {
    const char *who, *layers;
    bp_forward_fn own;
    void *user;
    int64_t inputs, outputs;
    bp_task task;
    char image[64]; /* a word before the layers, or "" */
    int32_t members; /* 0 is 1 */
} recipe;

static bp_status build(bp_model *m, const recipe *r)
{
    bp_context *ctx = m->ctx;
    BPI_TRY(bp_params_create(ctx, BP_F32, &m->params));
    if (r->layers && m->members > 1)
        BPI_TRY(bpi_members_create(m, r->image, r->layers));
    else if (r->layers)
        BPI_TRY(bpi_layers_create(m->params, "", m->inputs, r->image, r->layers, m->outputs,
                                  &m->layers));
    m->how = BP_NORMALIZE_NONE;
    m->square = bp_tensor_create(ctx, BP_F64, BP_SHAPE(m->outputs));
    BPI_TRY(m->square ? BP_OK : BP_ERR_NOMEM);
    BPI_TRY(bpi_normalizer_create(ctx, m->inputs, &m->in));
    BPI_TRY(bpi_normalizer_create(ctx, m->outputs, &m->out));
    return bpi_model_set_targets(m, m->out.host);
}

static bp_status create(bp_context *ctx, const recipe *r, bp_model **out)
{
    bool classes = r->task == BP_TASK_CLASSES;
    if (r->task < BP_TASK_CLASSES || r->task > BP_TASK_LABELS)
        return bpi_fail(ctx, BP_ERR_ARG, "%s: there is no task %d", r->who, (int)r->task);
    if (r->inputs < 1 || r->inputs > BPI_WIDTH_MAX || r->outputs < 1 ||
        r->outputs > BPI_WIDTH_MAX)
        return bpi_fail(ctx, BP_ERR_ARG, "%s: %lld inputs, %lld %s: 1 to %d are wanted", r->who,
                        (long long)r->inputs, (long long)r->outputs,
                        classes ? "classes" : "outputs", BPI_WIDTH_MAX);
    bp_model *m = bpi_object_alloc(ctx, sizeof *m);
    if (!m)
        return bpi_fail(ctx, BP_ERR_NOMEM, "%s: out of memory", r->who);
    m->ctx = ctx;
    m->inputs = r->inputs;
    m->outputs = r->outputs;
    m->task = r->task;
    m->members = r->members > 1 ? r->members : 1;
    m->own = r->own;
    m->user = r->user;
    bp_status st = build(m, r);
    if (st == BP_OK)
        *out = m;
    else
        bp_model_free(m);
    return st;
}

/* NULL leads to an error that names the argument: `what` names the layers or the function. */
static bp_status make(bp_context *ctx, const recipe *r, const void *given, const char *what,
                      bp_model **out, const char *model)
{
    BPI_TRY(bpi_given(ctx, given, what));
    BPI_TRY(bpi_given(ctx, out, model));
    return create(ctx, r, out);
}

bp_status bp_model_create(bp_context *ctx, int64_t inputs, const char *layers, int32_t classes,
                          bp_model **model)
{
    recipe r = {"model_create", layers, NULL, NULL, inputs, classes, BP_TASK_CLASSES, "", 1};
    if (model)
        *model = NULL;
    BPI_INSIDE(ctx, make(ctx, &r, layers, "model_create: layers", model, "model_create: model"));
}

bp_status bp_model_create_as(bp_context *ctx, int64_t inputs, const char *layers, bp_task task,
                             int64_t outputs, bp_model **model)
{
    recipe r = {"model_create_as", layers, NULL, NULL, inputs, outputs, task, "", 1};
    if (model)
        *model = NULL;
    BPI_INSIDE(ctx, make(ctx, &r, layers, "model_create_as: layers", model,
                         "model_create_as: model"));
}

static bp_status create_for(bp_data *data, const char *layers, bp_model **out)
{
    static const bp_task of[] = {[BP_TARGETS_CLASSES] = BP_TASK_CLASSES,
                                 [BP_TARGETS_REAL] = BP_TASK_REGRESSION,
                                 [BP_TARGETS_LABELS] = BP_TASK_LABELS};
    bp_context *ctx = bpi_data_context(data);
    recipe r = {"model_create_for", layers, NULL, NULL, bp_data_cols(data), bp_data_outputs(data),
                of[bp_data_targets(data)], "", 1};
    BPI_TRY(bpi_given(ctx, layers, "model_create_for: layers"));
    BPI_TRY(bpi_given(ctx, out, "model_create_for: model"));
    if (!r.task || !r.inputs)
        return bpi_fail(ctx, BP_ERR_STATE, "model_create_for: the data have no \"%s\"",
                        r.inputs ? "y" : "x");
    bp_shape x = bp_shape_of(bp_data_samples(data));
    if ((x.ndim == 3 || x.ndim == 4) && bpi_begins_with_images(layers))
        snprintf(r.image, sizeof r.image, "%lldx%lldx%lld", (long long)x.dim[1],
                 (long long)x.dim[2], (long long)(x.ndim == 4 ? x.dim[3] : 1));
    return create(ctx, &r, out);
}

bp_status bp_model_create_for(const bp_data *data, const char *layers, bp_model **model)
{
    if (model)
        *model = NULL;
    BPI_LEADS(data, "model_create_for: data");
    BPI_INSIDE(bpi_data_context(data), create_for((bp_data *)data, layers, model)); /* it looks */
}

bp_status bp_model_own(bp_context *ctx, int64_t inputs, bp_task task, int64_t outputs,
                       bp_forward_fn forward, void *user, bp_model **model)
{
    recipe r = {"model_own", NULL, forward, user, inputs, outputs, task, "", 1};
    const void *given = forward ? &forward : NULL;
    if (model)
        *model = NULL;
    BPI_INSIDE(ctx, make(ctx, &r, given, "model_own: forward", model, "model_own: model"));
}

bp_status bpi_model_create(bp_context *ctx, const bpi_description *d, const char *who,
                           bp_model **model)
{
    recipe r = {who, d->layers, NULL, NULL, d->inputs, d->outputs, d->task, "", d->members};
    return create(ctx, &r, model);
}

bp_status bpi_model_is(const bp_model *m, const bpi_description *d, const char *who)
{
    const char *layers = bp_model_layers(m);
    if (d->task != m->task || d->inputs != m->inputs || d->outputs != m->outputs)
        return bpi_fail(m->ctx, BP_ERR_FORMAT,
                        "%s: %s of %lld inputs and %lld outputs; the model is %s of %lld and %lld",
                        who, bp_task_name(d->task), (long long)d->inputs, (long long)d->outputs,
                        bp_task_name(m->task), (long long)m->inputs, (long long)m->outputs);
    if (d->members != m->members)
        return bpi_fail(m->ctx, BP_ERR_FORMAT, "%s: has %d members; the model has %d", who,
                        (int)d->members, (int)m->members);
    if (d->layers ? !layers || strcmp(layers, d->layers) : layers != NULL)
        return bpi_fail(m->ctx, BP_ERR_FORMAT, "%s: its layers are \"%s\"; the model's are \"%s\"",
                        who, d->layers ? d->layers : "of its own", layers ? layers : "its own");
    return BP_OK;
}

static void free_late(bpi_late *late)
{
    bp_model_free((bp_model *)((char *)late - offsetof(bp_model, late)));
}

void bp_model_free(bp_model *m)
{
    if (!m || !bpi_enter_to_free(m->ctx, &m->late, free_late))
        return;
    bp_context *ctx = m->ctx;
    bp_plan_free(m->plan);
    bp_free(m->sample);
    bp_free(m->answer);
    bp_free(m->square);
    bpi_normalizer_free(ctx, &m->in);
    bpi_normalizer_free(ctx, &m->out);
    for (int32_t i = 1; m->member && i < m->members; i++)
        bp_layers_free(m->member[i]);
    bpi_host_free(ctx, m->member, (size_t)m->members * sizeof *m->member);
    bp_layers_free(m->layers);
    bp_params_free(m->params);
    bpi_host_free(ctx, m->row, (size_t)m->inputs * sizeof *m->row);
    for (int i = 0; i < BPI_NAMES; i++)
        bpi_texts_free(ctx, &m->names[i]);
    bpi_object_free(ctx, m, sizeof *m);
    bpi_leave(ctx);
}

/* --- the forward pass -------------------------------------------------------------------- */

/* The program's own; what it gives must fit. */
static bp_tensor *own_forward(bp_model *m, bp_tensor *x, bool training)
{
    BPI_CALLBACK(callback);
    bpi_callback_begin(&callback, m->ctx, false);
    bp_tensor *y = m->own(m, x, training, m->user);
    if (bpi_callback_over(&callback, "model_forward") != BP_OK)
        return NULL;
    if (!y) {
        bpi_fail(m->ctx, BP_ERR_STATE, "model_forward: the function of bp_model_own gave NULL");
        return NULL;
    }
    if (bpi_usable(m->ctx, y, "model_forward", "what the function of bp_model_own gave") != BP_OK)
        return NULL;
    bp_shape is = bp_shape_of(y);
    if (bp_dtype_of(y) == BP_F32 && is.ndim == 2 && is.dim[1] == m->outputs)
        return y;
    bpi_fail(m->ctx, BP_ERR_SHAPE,
             "model_forward: the function of bp_model_own gave %s %s; f32 [N,%lld] is wanted",
             bp_dtype_name(bp_dtype_of(y)), bpi_shape_str(&is).s, (long long)m->outputs);
    return NULL;
}

bp_tensor *bpi_model_through(bp_model *m, bp_tensor *x, bool training)
{
    if (m->members > 1) {
        bp_tensor *y = bpi_members_through(m, x, training);
        bp_free(x);
        return y;
    }
    if (m->layers)
        return bpi_layers_consume(m->layers, x, training);
    return x ? own_forward(m, x, training) : NULL;
}

void bpi_model_drop(const bp_model *m, bp_tensor *outputs)
{
    if (m->layers)
        bp_free(outputs);
}

static bp_tensor *forward(bp_model *m, bp_tensor *x, bool training)
{
    if (bpi_given(m->ctx, x, "model_forward: x") != BP_OK ||
        bpi_usable(m->ctx, x, "model_forward", "x") != BP_OK)
        return NULL;
    bp_shape is = bp_shape_of(x);
    if (is.ndim < 1 || bp_shape_count(is) != is.dim[0] * m->inputs) {
        bpi_fail(m->ctx, BP_ERR_SHAPE,
                 "model_forward: x %s; [N, ...] with %lld elements a row is wanted",
                 bpi_shape_str(&is).s, (long long)m->inputs);
        return NULL;
    }
    bp_tensor *index = bp_arange(m->ctx, BP_I32, 0, 1, is.dim[0]);
    bp_tensor *normal = bpi_normal_rows(&m->in, x, index);
    bp_free(index);
    return bpi_model_through(m, normal, training);
}

bp_tensor *bp_model_forward(bp_model *m, bp_tensor *x, int32_t training)
{
    if (!m)
        bpi_tell_thread(BP_ERR_ARG, "model_forward: model is NULL");
    if (!m || bpi_enter(m->ctx) != BP_OK)
        return NULL;
    bp_tensor *y = forward(m, x, training != 0);
    bpi_leave(m->ctx);
    return y;
}

bp_tensor *bp_model_logits(bp_model *m, bp_data *data, bp_tensor *index, int32_t training)
{
    bp_context *ctx = m ? m->ctx : bp_context_of(data ? bp_data_samples(data) : index);
    if (!ctx)
        bpi_tell_thread(BP_ERR_ARG, "model_logits: model is NULL");
    if (!ctx || bpi_enter(ctx) != BP_OK)
        return NULL;
    bp_tensor *y = NULL;
    if (m && data && index)
        y = bpi_model_through(m, bpi_normal_rows(&m->in, bp_data_samples(data), index),
                              training != 0);
    else
        bpi_fail(ctx, BP_ERR_ARG, "model_logits: %s is NULL",
                 !m ? "model" : !data ? "data" : "index");
    bpi_leave(ctx);
    return y;
}

int32_t bpi_model_form(const bp_model *m)
{
    return (m->in.matrix != NULL) | m->tanh << 1;
}

static bp_status tanh_targets(bp_model *m, bool on)
{
    if (on && m->task == BP_TASK_REGRESSION)
        return bpi_fail(m->ctx, BP_ERR_ARG, "model_tanh_targets: the task is regression; classes or "
                        "labels are wanted");
    if (on && m->members > 1)
        return bpi_fail(m->ctx, BP_ERR_ARG, "model_tanh_targets: an ensemble has none");
    m->tanh = on;
    return BP_OK;
}

bp_status bp_model_tanh_targets(bp_model *m, int32_t on)
{
    BPI_LEADS(m, "model_tanh_targets: model");
    BPI_INSIDE(m->ctx, tanh_targets(m, on != 0));
}

/* --- looking at one ---------------------------------------------------------------------- */

int32_t bp_model_has_tanh_targets(const bp_model *m)
{
    return m ? m->tanh : 0;
}

bp_params *bp_model_params(bp_model *m)
{
    return m ? m->params : NULL;
}

bp_context *bp_model_context(bp_model *m)
{
    return m ? m->ctx : NULL;
}

int64_t bp_model_inputs(const bp_model *m)
{
    return m ? m->inputs : 0;
}

int64_t bp_model_outputs(const bp_model *m)
{
    return m ? m->outputs : 0;
}

bp_task bp_model_task(const bp_model *m)
{
    return m ? m->task : 0;
}

int32_t bp_model_classes(const bp_model *m)
{
    return m && m->task == BP_TASK_CLASSES ? (int32_t)m->outputs : 0;
}

const char *bp_model_layers(const bp_model *m)
{
    return m && m->layers ? m->layers->text : NULL;
}

int32_t bp_model_members(const bp_model *m)
{
    return m ? m->members : 0;
}
