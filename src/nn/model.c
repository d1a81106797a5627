/* Models: making one, its forward pass, and what it is asked on the host. The normaliser:
 * normalize.c; files: model_file.c. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "core/params.h"
#include "nn/nn.h"

enum { ROWS = 1024 }; /* rows of one pass of predict and evaluate */

/* --- making one -------------------------------------------------------------------------- */

static bp_status build(bp_model *m, const char *layers)
{
    BPI_TRY(bp_params_create(m->ctx, BP_F32, &m->params));
    BPI_TRY(bpi_layers_create(m->params, "", m->inputs, layers, m->classes, &m->layers));
    m->shift = bp_tensor_create(m->ctx, BP_F64, BP_SHAPE(m->inputs));
    m->scale = bp_tensor_create(m->ctx, BP_F64, BP_SHAPE(m->inputs));
    return m->shift && m->scale ? bpi_model_raw(m) : BP_ERR_NOMEM;
}

static bp_status create(bp_context *ctx, int64_t inputs, const char *layers, int32_t classes,
                        bp_model **out)
{
    BPI_TRY(bpi_given(ctx, layers, "model_create: layers"));
    BPI_TRY(bpi_given(ctx, out, "model_create: model"));
    if (inputs < 1 || inputs > BPI_WIDTH_MAX || classes < 1 || classes > BPI_WIDTH_MAX)
        return bpi_fail(ctx, BP_ERR_ARG,
                        "model_create: %lld inputs, %d classes: 1 to %d are wanted",
                        (long long)inputs, (int)classes, BPI_WIDTH_MAX);
    bp_model *m = bpi_object_alloc(ctx, sizeof *m);
    if (!m)
        return bpi_fail(ctx, BP_ERR_NOMEM, "model_create: out of memory");
    m->ctx = ctx;
    m->inputs = inputs;
    m->classes = classes;
    bp_status st = build(m, layers);
    if (st == BP_OK)
        *out = m;
    else
        bp_model_free(m);
    return st;
}

bp_status bp_model_create(bp_context *ctx, int64_t inputs, const char *layers, int32_t classes,
                          bp_model **model)
{
    if (model)
        *model = NULL;
    BPI_INSIDE(ctx, create(ctx, inputs, layers, classes, model));
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
    bp_free(m->shift);
    bp_free(m->scale);
    bp_layers_free(m->layers);
    bp_params_free(m->params);
    bpi_object_free(ctx, m, sizeof *m);
    bpi_leave(ctx);
}

/* --- the forward pass -------------------------------------------------------------------- */

static bp_tensor *normal(bp_model *m, bp_tensor *samples, bp_tensor *index)
{
    return bp_gather_normalized(samples, index, m->shift, m->scale, BP_F32);
}

bp_tensor *bp_model_logits(bp_model *m, bp_data *data, bp_tensor *index, int32_t training)
{
    const char *who = "model_logits";
    bp_context *ctx = m ? m->ctx : bp_context_of(data ? bp_data_labels(data) : index);
    if (m && data && index)
        return bpi_layers_consume(m->layers, normal(m, bp_data_samples(data), index), training != 0);
    if (!ctx) {
        bpi_tell_thread(BP_ERR_ARG, "model_logits: model is NULL");
    } else if (bpi_enter(ctx) == BP_OK) {
        bpi_fail(ctx, BP_ERR_ARG, "%s: %s is NULL", who, !m ? "model" : !data ? "data" : "index");
        bpi_leave(ctx);
    }
    return NULL;
}

/* Up to ROWS rows of predict or evaluate, in a scope without gradients. */
typedef struct pass {
    bp_model *model;
    const float *x; /* [n, inputs], or */
    bp_data *data;  /* rows first .. first + n */
    int64_t first, n;
    float *p; /* [n, classes] */
    bp_tensor *loss, *correct; /* sums over all rows, f64 [] */
} pass;

/* i32 [n]: first, first + 1, ... */
static bp_tensor *rows_from(bp_context *ctx, int64_t first, int64_t n)
{
    int32_t row[ROWS];
    for (int32_t i = 0; i < n; i++)
        row[i] = (int32_t)first + i;
    bp_tensor *index = bp_tensor_create(ctx, BP_I32, BP_SHAPE(n));
    if (!index || bp_write(index, row, (size_t)n * sizeof *row) == BP_OK)
        return index;
    bp_free(index);
    return NULL;
}

static bp_status predict_rows(bp_context *ctx, void *user)
{
    pass *w = user;
    bp_model *m = w->model;
    bp_tensor *x = bp_tensor_create(ctx, BP_F32, BP_SHAPE(w->n, m->inputs));
    bp_tensor *index = rows_from(ctx, 0, w->n);
    bp_status st = BP_ERR_NOMEM;
    if (x && index)
        st = bp_write(x, w->x, (size_t)(w->n * m->inputs) * sizeof(float));
    if (st == BP_OK) {
        bp_tensor *p = bp_exp(bp_log_softmax(bpi_layers_consume(m->layers, normal(m, x, index), false), 1));
        st = p ? bp_read(p, w->p, (size_t)(w->n * m->classes) * sizeof(float)) : BP_ERR_STATE;
    }
    bp_free(index);
    bp_free(x);
    return st;
}

static bp_status samples_finite(const bp_model *m, const float *x, int64_t n)
{
    for (int64_t i = 0; i < n * m->inputs; i++)
        if (!isfinite(x[i]))
            return bpi_fail(m->ctx, BP_ERR_NONFINITE,
                            "model_predict: row %lld, column %lld is %g; finite numbers are wanted",
                            (long long)(i / m->inputs), (long long)(i % m->inputs), (double)x[i]);
    return BP_OK;
}

static bp_status predict(bp_model *m, const float *x, int64_t n, float *p)
{
    if (n < 0 || n > INT64_MAX / 8 / (m->inputs > m->classes ? m->inputs : m->classes))
        return bpi_fail(m->ctx, BP_ERR_ARG, "model_predict: %lld samples", (long long)n);
    if (n > 0)
        BPI_TRY(bpi_given(m->ctx, x, "model_predict: x"));
    if (n > 0)
        BPI_TRY(bpi_given(m->ctx, p, "model_predict: p"));
    BPI_TRY(samples_finite(m, x, n));
    BPI_TRY(bpi_params_finite(m->params, "model_predict"));
    for (int64_t i = 0; i < n; i += ROWS) {
        pass w = {.model = m, .x = x + i * m->inputs, .n = n - i < ROWS ? n - i : ROWS,
                  .p = p + i * m->classes};
        BPI_TRY(bp_run(m->ctx, BP_NO_GRAD, predict_rows, &w));
    }
    for (int64_t i = 0; i < n * m->classes; i++)
        if (!isfinite(p[i]))
            return bpi_fail(m->ctx, BP_ERR_NONFINITE,
                            "model_predict: row %lld: numbers leave the range of f32 on the way",
                            (long long)(i / m->classes));
    return BP_OK;
}

bp_status bp_model_predict(bp_model *m, const float *x, int64_t n, float *p)
{
    BPI_LEADS(m, "model_predict: model");
    BPI_INSIDE(m->ctx, predict(m, x, n, p));
}

static bp_status evaluate_rows(bp_context *ctx, void *user)
{
    pass *w = user;
    bp_tensor *index = rows_from(ctx, w->first, w->n), *right = NULL;
    bp_status st = BP_ERR_NOMEM;
    if (index) {
        bp_tensor *logits = bp_model_logits(w->model, w->data, index, 0);
        bp_tensor *labels = bp_gather(bp_data_labels(w->data), index);
        bp_tensor *mean = bp_cross_entropy_correct(logits, labels, &right);
        st = bp_add_into(w->loss, bp_scale(bp_cast(mean, BP_F64), (double)w->n));
    }
    if (st == BP_OK)
        st = bp_add_into(w->correct, bp_cast(right, BP_F64));
    bp_free(index);
    return st;
}

static bp_status evaluate(bp_model *m, bp_data *data, double *loss, double *accuracy)
{
    BPI_TRY(bpi_given(m->ctx, loss, "model_evaluate: loss"));
    BPI_TRY(bpi_given(m->ctx, accuracy, "model_evaluate: accuracy"));
    BPI_TRY(bpi_model_fits(m, data, "model_evaluate"));
    BPI_TRY(bpi_params_finite(m->params, "model_evaluate"));
    int64_t rows = bp_data_rows(data);
    pass w = {.model = m, .data = data};
    w.loss = bp_tensor_create(m->ctx, BP_F64, BP_SCALAR);
    w.correct = bp_tensor_create(m->ctx, BP_F64, BP_SCALAR);
    bp_status st = w.loss && w.correct ? BP_OK : BP_ERR_NOMEM;
    for (; w.first < rows && st == BP_OK; w.first += ROWS) {
        w.n = rows - w.first < ROWS ? rows - w.first : ROWS;
        st = bp_run(m->ctx, BP_NO_GRAD, evaluate_rows, &w);
    }
    double sum[2] = {0};
    if (st == BP_OK)
        st = bp_read(w.loss, &sum[0], sizeof sum[0]);
    if (st == BP_OK)
        st = bp_read(w.correct, &sum[1], sizeof sum[1]);
    if (st == BP_OK && !isfinite(sum[0]))
        st = bpi_fail(m->ctx, BP_ERR_NONFINITE,
                      "model_evaluate: numbers leave the range of f32 on the way: the loss is %g",
                      sum[0]);
    if (st == BP_OK) {
        *loss = sum[0] / (double)rows;
        *accuracy = sum[1] / (double)rows;
    }
    bp_free(w.loss);
    bp_free(w.correct);
    return st;
}

bp_status bp_model_evaluate(bp_model *m, bp_data *data, double *loss, double *accuracy)
{
    if (loss)
        *loss = 0;
    if (accuracy)
        *accuracy = 0;
    BPI_LEADS(m, "model_evaluate: model");
    BPI_INSIDE(m->ctx, evaluate(m, data, loss, accuracy));
}

/* --- looking at one ---------------------------------------------------------------------- */

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

int32_t bp_model_classes(const bp_model *m)
{
    return m ? m->classes : 0;
}

const char *bp_model_layers(const bp_model *m)
{
    return m ? m->layers->text : NULL;
}
