/* Ensembles: a model with several chains of layers, whose answer is the mean of theirs. Losses,
 * metrics and predictions do not know of it: its outputs (members.c) are those of a single model
 * with that answer. model.h has the formulas. */
#include <string.h>

#include "core/view.h"
#include "nn/nn.h"

/* --- making one -------------------------------------------------------------------------- */

/* Whether model i can be a member beside the first. */
static bp_status fits(bp_context *ctx, bp_model *const *models, int32_t i)
{
    const bp_model *m = models[i], *first = models[0];
    const char *who = "model_ensemble";
    if (!m)
        return bpi_fail(ctx, BP_ERR_ARG, "%s: model %d is NULL", who, (int)i);
    if (m->ctx != ctx)
        return bpi_fail(ctx, BP_ERR_DEVICE, "%s: model %d belongs to another context", who, (int)i);
    if (!m->layers || m->members > 1)
        return bpi_fail(ctx, BP_ERR_ARG, "%s: model %d is %s; one of a text of layers is wanted",
                        who, (int)i, m->layers ? "an ensemble itself" : "a program's own function");
    bool like = m->task == first->task && m->inputs == first->inputs &&
                m->outputs == first->outputs;
    if (!like || strcmp(m->layers->text, first->layers->text))
        return bpi_fail(ctx, BP_ERR_FORMAT, "%s: model %d is %s of %lld inputs, layers \"%.200s\" "
                        "and %lld outputs; model 0 is %s of %lld, \"%.200s\" and %lld", who, (int)i,
                        bp_task_name(m->task), (long long)m->inputs, m->layers->text,
                        (long long)m->outputs, bp_task_name(first->task),
                        (long long)first->inputs, first->layers->text, (long long)first->outputs);
    if (m->tanh)
        return bpi_fail(ctx, BP_ERR_ARG, "%s: model %d has targets of tanh outputs, whose answers "
                        "have no mean that such outputs could give", who, (int)i);
    if (m->in.digest != first->in.digest || m->out.digest != first->out.digest)
        return bpi_fail(ctx, BP_ERR_FORMAT, "%s: model %d has another normaliser than model 0: "
                        "normalise all by the same data", who, (int)i);
    return BP_OK;
}

static bp_status copy_normalizer(bp_model *m, const bp_model *from)
{
    size_t bytes = (size_t)(m->inputs * m->inputs) * sizeof(float);
    if (!from->in.matrix)
        return bpi_normalizer_set(&m->in, from->in.host, NULL);
    float *matrix = bpi_host_alloc(m->ctx, bytes);
    if (!matrix)
        return bpi_fail(m->ctx, BP_ERR_NOMEM, "model_ensemble: out of memory");
    bp_status st = bp_read(from->in.matrix, matrix, bytes);
    if (st == BP_OK)
        st = bpi_normalizer_set(&m->in, from->in.host, matrix);
    bpi_host_free(m->ctx, matrix, bytes);
    return st;
}

static bp_status fill(bp_model *m, bp_model *const *models)
{
    const bp_model *first = models[0];
    int32_t n = bp_param_count(first->params);
    for (int32_t i = 0; i < m->members; i++)
        for (int32_t k = 0; k < n; k++)
            BPI_TRY(bp_copy_into(bp_param_at(m->params, i * n + k),
                                 bp_param_at(models[i]->params, k)));
    BPI_TRY(bpi_model_set_targets(m, first->out.host));
    BPI_TRY(copy_normalizer(m, first));
    m->how = first->how;
    for (int i = 0; i < BPI_NAMES; i++) {
        bpi_texts names = {0};
        if (!first->names[i].text)
            continue;
        BPI_TRY(bpi_texts_take(m->ctx, "model_ensemble", first->names[i].bytes, &names));
        memcpy(names.text, first->names[i].text, first->names[i].bytes);
        bpi_model_take_names(m, i, &names);
    }
    return BP_OK;
}

static bp_status ensemble(bp_context *ctx, bp_model *const *models, int32_t n, bp_model **out)
{
    bp_model *m;
    BPI_TRY(bpi_given(ctx, models, "model_ensemble: models"));
    BPI_TRY(bpi_given(ctx, out, "model_ensemble: ensemble"));
    if (n < 1 || n > BPI_MEMBERS_MOST)
        return bpi_fail(ctx, BP_ERR_ARG, "model_ensemble: %d models; 1 to %d are wanted", (int)n,
                        BPI_MEMBERS_MOST);
    for (int32_t i = 0; i < n; i++)
        BPI_TRY(fits(ctx, models, i));
    bpi_description d = {.inputs = models[0]->inputs, .outputs = models[0]->outputs, .members = n,
                         .task = models[0]->task, .layers = models[0]->layers->text};
    BPI_TRY(bpi_model_create(ctx, &d, "model_ensemble", &m));
    bp_status st = fill(m, models);
    if (st == BP_OK)
        *out = m;
    else
        bp_model_free(m);
    return st;
}

bp_status bp_model_ensemble(bp_context *ctx, bp_model *const *models, int32_t n, bp_model **out)
{
    if (out)
        *out = NULL;
    BPI_INSIDE(ctx, ensemble(ctx, models, n, out));
}

/* --- how far the members are apart ---------------------------------------------------------- */

typedef struct pass {
    bp_model *model;
    const float *x; /* [n, inputs] */
    int64_t n;
    float *spread; /* [n, outputs] */
} pass;

static bp_status spread_rows(bp_context *ctx, void *user)
{
    pass *w = user;
    bp_model *m = w->model;
    bp_tensor *x;
    (void)ctx;
    BPI_TRY(bpi_model_rows_in(m, w->x, w->n, &x));
    bp_tensor *y = bpi_members_each(m, x, false);
    bp_tensor *rows = bp_reshape(y, BP_SHAPE(m->members * w->n, m->outputs));
    bp_tensor *all = bp_reshape(bpi_model_answer(m, rows),
                                BP_SHAPE(m->members, w->n, m->outputs));
    return bp_read_f32(bp_std_axes(all, BP_AXIS(0), 1, 0), w->spread, w->n * m->outputs);
}

static bp_status spread(bp_model *m, const float *x, int64_t n, float *p, float *to)
{
    const double *scale = m->out.host + m->outputs;
    if (n > 0)
        BPI_TRY(bpi_given(m->ctx, to, "model_predict_spread: spread"));
    BPI_TRY(bpi_model_predict(m, "model_predict_spread", x, n, p)); /* looks at all else */
    if (n == 0)
        return BP_OK;
    if (m->members == 1) {
        memset(to, 0, (size_t)(n * m->outputs) * sizeof *to);
        return BP_OK;
    }
    int64_t most = bpi_model_rows(m);
    for (int64_t i = 0; i < n; i += most) {
        pass w = {.model = m, .x = x + i * m->inputs, .spread = to + i * m->outputs,
                  .n = n - i < most ? n - i : most};
        BPI_TRY(bp_run(m->ctx, BP_NO_GRAD, spread_rows, &w));
    }
    for (int64_t i = 0; i < n * m->outputs; i++)
        to[i] = (float)((double)to[i] / scale[i % m->outputs]); /* 1 but for regression */
    return BP_OK;
}

bp_status bp_model_predict_spread(bp_model *m, const float *x, int64_t n, float *p, float *to)
{
    BPI_LEADS(m, "model_predict_spread: model");
    BPI_INSIDE(m->ctx, spread(m, x, n, p, to));
}
