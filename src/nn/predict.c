/* Predictions on the host. A batch goes through the ops as in a step. One sample goes through a
 * plan, from a buffer and into one that are kept: nothing is allocated after the first; the
 * normalisers, whose numbers the host has too, are applied there, as gather_normalized does it. */
#include <math.h>

#include "core/handle.h"
#include "core/params.h"
#include "core/plan.h"
#include "nn/nn.h"

bp_tensor *bpi_model_answer(const bp_model *m, bp_tensor *outputs)
{
    if (m->tanh)
        return bp_clamp(bp_shift(bp_scale(bp_scaled_tanh(outputs, 0), 0.5 / BPI_TANH_TARGET), 0.5),
                        0, 1);
    return m->task == BP_TASK_CLASSES  ? bp_exp(bp_log_softmax(outputs, 1))
           : m->task == BP_TASK_LABELS ? bp_sigmoid(outputs)
                                       : outputs;
}

/* Of n rows, as the device gave them: numbers in the targets' own units; all must be finite. */
static bp_status finish(const bp_model *m, const char *who, int64_t n, float *p)
{
    const double *shift = m->out.host, *scale = shift + m->outputs;
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < m->outputs; j++) {
            float *y = &p[i * m->outputs + j];
            if (m->task == BP_TASK_REGRESSION)
                *y = (float)((double)*y / scale[j] + shift[j]);
            if (!isfinite(*y))
                return bpi_fail(m->ctx, BP_ERR_NONFINITE, "%s: row %lld: numbers leave the range "
                                "of f32 on the way", who, (long long)i);
        }
    return BP_OK;
}

/* --- one sample ----------------------------------------------------------------------------- */

static bp_status predict_step(bp_context *ctx, void *user)
{
    bp_model *m = user;
    (void)ctx;
    bp_tensor *x = m->in.matrix ? bp_matmul(m->sample, m->in.matrix) : m->sample;
    bp_tensor *y = m->members > 1 ? bpi_members_through(m, x, false)
                                  : bp_layers_forward(m->layers, x, 0);
    return bp_copy_into(m->answer, bpi_model_answer(m, y));
}

/* The buffers, once. */
static bp_status prepare(bp_model *m)
{
    bp_context *ctx = m->ctx;
    if (!m->row)
        m->row = bpi_host_alloc(ctx, (size_t)m->inputs * sizeof *m->row);
    if (!m->row)
        return bpi_fail(ctx, BP_ERR_NOMEM, "model_predict: out of memory");
    if (!m->sample)
        m->sample = bp_tensor_create(ctx, BP_F32, BP_SHAPE(1, m->inputs));
    if (!m->answer)
        m->answer = bp_tensor_create(ctx, BP_F32, BP_SHAPE(1, m->outputs));
    return m->sample && m->answer ? BP_OK : BP_ERR_NOMEM;
}

static bp_status predict_one(bp_model *m, const float *x, float *p)
{
    const double *shift = m->in.host, *scale = shift + m->inputs;
    if (!m->plan)
        BPI_TRY(prepare(m));
    for (int64_t j = 0; j < m->inputs; j++)
        m->row[j] = (float)(((double)x[j] - shift[j]) * scale[j]);
    BPI_TRY(bpi_upload(m->ctx, bpi_view_of(m->sample)->data, m->row,
                       (size_t)m->inputs * sizeof *m->row));
    if (m->plan && (!bpi_plan_holds(m->plan) || m->plan_form != bpi_model_form(m))) {
        bp_plan_free(m->plan); /* the precision is another now, or what is around the layers */
        m->plan = NULL;
    }
    m->plan_form = bpi_model_form(m);
    BPI_TRY(m->plan ? bp_plan_replay(m->plan, 1)
                    : bpi_plan_record_still(m->ctx, predict_step, m, &m->plan));
    BPI_TRY(bpi_download(m->ctx, p, bpi_view_of(m->answer)->data,
                         (size_t)m->outputs * sizeof *p));
    return bp_sync(m->ctx); /* tells what earlier work found wrong, as every waiting call does */
}

/* --- many ------------------------------------------------------------------------------------ */

typedef struct pass {
    bp_model *model;
    const float *x; /* [n, inputs] */
    int64_t n;
    float *p; /* [n, outputs] */
} pass;

bp_status bpi_model_rows_in(bp_model *m, const float *rows, int64_t n, bp_tensor **normal)
{
    bp_tensor *x = bp_tensor_create(m->ctx, BP_F32, BP_SHAPE(n, m->inputs));
    bp_tensor *index = bpi_rows_from(m->ctx, 0, n);
    bp_status st = BP_ERR_NOMEM;
    if (x && index)
        st = bp_write(x, rows, (size_t)(n * m->inputs) * sizeof *rows);
    *normal = st == BP_OK ? bpi_normal_rows(&m->in, x, index) : NULL;
    bp_free(index);
    bp_free(x);
    return st;
}

static bp_status predict_rows(bp_context *ctx, void *user)
{
    pass *w = user;
    bp_model *m = w->model;
    bp_tensor *x;
    (void)ctx;
    BPI_TRY(bpi_model_rows_in(m, w->x, w->n, &x));
    bp_tensor *p = bpi_model_answer(m, bpi_model_through(m, x, false));
    return p ? bp_read(p, w->p, (size_t)(w->n * m->outputs) * sizeof(float)) : BP_ERR_STATE;
}

static bp_status samples_finite(const bp_model *m, const char *who, const float *x, int64_t n)
{
    for (int64_t i = 0; i < n * m->inputs; i++)
        if (!isfinite(x[i]))
            return bpi_fail(m->ctx, BP_ERR_NONFINITE,
                            "%s: row %lld, column %lld is %g; finite numbers are wanted", who,
                            (long long)(i / m->inputs), (long long)(i % m->inputs), (double)x[i]);
    return BP_OK;
}

bp_status bpi_model_predict(bp_model *m, const char *who, const float *x, int64_t n, float *p)
{
    if (n < 0 || n > INT64_MAX / 8 / (m->inputs > m->outputs ? m->inputs : m->outputs))
        return bpi_fail(m->ctx, BP_ERR_ARG, "%s: %lld samples", who, (long long)n);
    if (n > 0 && (!x || !p))
        return bpi_fail(m->ctx, BP_ERR_ARG, "%s: %s is NULL", who, x ? "p" : "x");
    BPI_TRY(samples_finite(m, who, x, n));
    BPI_TRY(bpi_params_finite(m->params, who));
    bool one = n == 1 && m->layers && bpi_plan_possible(m->ctx);
    if (one)
        BPI_TRY(predict_one(m, x, p));
    int64_t most = bpi_model_rows(m);
    for (int64_t i = 0; !one && i < n; i += most) {
        pass w = {.model = m, .x = x + i * m->inputs, .p = p + i * m->outputs,
                  .n = n - i < most ? n - i : most};
        BPI_TRY(bp_run(m->ctx, BP_NO_GRAD, predict_rows, &w));
    }
    return finish(m, who, n, p);
}

bp_status bp_model_predict(bp_model *m, const float *x, int64_t n, float *p)
{
    BPI_LEADS(m, "model_predict: model");
    BPI_INSIDE(m->ctx, bpi_model_predict(m, "model_predict", x, n, p));
}
