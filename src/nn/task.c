/* What a model's task is about: the loss of a batch, in a program's own step or in the trainer's,
 * and the mean over a data set.
 *
 * Targets of regression are normalised, as the outputs are; their loss is reported in units of the
 * targets: with e_j the mean squared error of column j, sum_j e_j / scale_j^2 over the columns. */
#include <float.h>
#include <math.h>
#include <string.h>

#include "core/params.h"
#include "core/tensor.h"
#include "core/view.h"
#include "nn/nn.h"

/* --- losses of tensors -------------------------------------------------------------------- */

/* What each row [n] adds to a mean: w / sum w (f32 may have no room for the sum). Weights that are
 * all 0 give 0. */
static bp_tensor *shares_of(bp_tensor *w, bp_tensor **sum_of_weights)
{
    bp_tensor *wide = bp_cast(w, BP_F64), *sum = bp_sum(wide);
    if (sum_of_weights)
        *sum_of_weights = sum;
    return bp_cast(bp_div(wide, bp_clamp(sum, DBL_MIN, DBL_MAX)), BP_F32);
}

/* The mean of a batch, by the rows' shares of it where they are given: of losses a row [N], or of
 * each column [N, k], which are [k] then. */
static bp_tensor *mean_of_rows(bp_tensor *each, bp_tensor *share)
{
    bp_shape is = bp_shape_of(each);
    if (!share)
        return bp_mean_axes(each, BP_AXIS(0), 0);
    if (is.ndim == 2)
        share = bp_reshape(share, BP_SHAPE(is.dim[0], 1));
    return bp_sum_axes(bp_mul(each, share), BP_AXIS(0), 0);
}

/* Rows of the targets as the loss wants them: labels i32, or numbers, normalised and f32. */
static bp_tensor *targets_of(const bp_model *m, bp_tensor *targets, bp_tensor *index)
{
    return m->task == BP_TASK_CLASSES ? bp_gather(targets, index)
                                      : bpi_normal_rows(&m->out, targets, index);
}

/* (f - target)^2 / 2 of tanh outputs: model.h. */
static bp_tensor *tanh_loss(const bp_model *m, bp_tensor *outputs, bp_tensor *t)
{
    bool classes = m->task == BP_TASK_CLASSES;
    bp_tensor *on = classes ? bp_one_hot(t, m->outputs, BP_F32) : t;
    bp_tensor *target = bp_shift(bp_scale(on, 2 * BPI_TANH_TARGET), -BPI_TANH_TARGET);
    bp_tensor *each = bp_scale(bp_squared_error(bp_scaled_tanh(outputs, 0), target), 0.5);
    return classes ? bp_sum_axes(each, BP_AXIS(1), 0) : each;
}

/* The loss of each row and column, [n, k]; of classes of each row, [n]. */
static bp_tensor *each_loss(const bp_model *m, bp_tensor *outputs, bp_tensor *t)
{
    if (m->tanh)
        return tanh_loss(m, outputs, t);
    return m->task == BP_TASK_CLASSES  ? bp_cross_entropy_with(outputs, t, 0, -1, BP_EACH)
           : m->task == BP_TASK_LABELS ? bp_sigmoid_cross_entropy(outputs, t)
                                       : bp_squared_error(outputs, t);
}

/* Whether targets fit outputs, which are [N, outputs]; a vector [N] stands for [N, 1]. */
static bool fit(const bp_model *m, bp_tensor *outputs, bp_tensor **targets, const char *who)
{
    if (bpi_given(m->ctx, outputs, "model_loss: outputs") != BP_OK ||
        bpi_given(m->ctx, *targets, "model_loss: targets") != BP_OK ||
        bpi_usable(m->ctx, outputs, who, "outputs") != BP_OK ||
        bpi_usable(m->ctx, *targets, who, "targets") != BP_OK)
        return false;
    bp_shape y = bp_shape_of(outputs), t = bp_shape_of(*targets);
    int64_t n = y.ndim ? y.dim[0] : 0;
    bool wide = y.ndim == 2 && y.dim[1] == m->outputs && t.ndim >= 1 && t.dim[0] == n;
    int64_t count = m->task == BP_TASK_CLASSES ? n : n * m->outputs;
    if (wide && (m->task != BP_TASK_CLASSES || t.ndim == 1) && bp_shape_count(t) == count) {
        if (m->task != BP_TASK_CLASSES && t.ndim != 2)
            *targets = bp_reshape(*targets, BP_SHAPE(n, m->outputs));
        return *targets != NULL;
    }
    bpi_fail(m->ctx, BP_ERR_SHAPE, "%s: outputs %s and targets %s; [N,%lld] and %s are wanted", who,
             bpi_shape_str(&y).s, bpi_shape_str(&t).s, (long long)m->outputs,
             m->task == BP_TASK_CLASSES ? "labels [N]" : "as many numbers");
    return false;
}

static bp_tensor *loss_of(bp_model *m, bp_tensor *outputs, bp_tensor *targets, bp_tensor *w,
                          const char *who)
{
    if (!fit(m, outputs, &targets, who))
        return NULL;
    bp_tensor *share = w ? shares_of(w, NULL) : NULL;
    if (m->task == BP_TASK_CLASSES)
        return share || m->tanh ? mean_of_rows(each_loss(m, outputs, targets), share)
                                : bp_cross_entropy(outputs, targets);
    bp_tensor *index = bp_arange(m->ctx, BP_I32, 0, 1, bp_shape_of(outputs).dim[0]);
    bp_tensor *each = each_loss(m, outputs, targets_of(m, targets, index));
    bp_tensor *loss = bp_mean(mean_of_rows(each, share));
    bp_free(index);
    return loss;
}

bp_tensor *bp_model_loss(bp_model *m, bp_tensor *outputs, bp_tensor *targets)
{
    if (!m)
        bpi_tell_thread(BP_ERR_ARG, "model_loss: model is NULL");
    if (!m || bpi_enter(m->ctx) != BP_OK)
        return NULL;
    bp_tensor *loss = loss_of(m, outputs, targets, NULL, "model_loss");
    bpi_leave(m->ctx);
    return loss;
}

bp_tensor *bp_model_loss_weighted(bp_model *m, bp_tensor *outputs, bp_tensor *targets,
                                  bp_tensor *weights)
{
    if (!m)
        bpi_tell_thread(BP_ERR_ARG, "model_loss_weighted: model is NULL");
    if (!m || bpi_enter(m->ctx) != BP_OK)
        return NULL;
    bp_tensor *loss = NULL;
    if (bpi_given(m->ctx, weights, "model_loss_weighted: weights") == BP_OK)
        loss = loss_of(m, outputs, targets, weights, "model_loss_weighted");
    bpi_leave(m->ctx);
    return loss;
}

/* --- the loss of rows of a set -------------------------------------------------------------- */

bp_tensor *bpi_data_weights(bp_data *data)
{
    for (int32_t i = 0; i < bp_data_columns(data); i++)
        if (!strcmp(bp_data_column_name(data, i), "weight"))
            return bp_data_column(data, "weight");
    return NULL;
}

/* How many of `right`, [n] or [n, k], are 1, each row as it counts; f32 []. */
static bp_tensor *sum_of_right(bp_tensor *right, bp_tensor *counts)
{
    bp_shape is = bp_shape_of(right);
    right = bp_cast(right, BP_F32);
    if (counts && is.ndim == 2)
        counts = bp_reshape(counts, BP_SHAPE(is.dim[0], 1));
    return bp_sum(counts ? bp_mul(right, counts) : right);
}

static void classes_step(bp_model *m, bp_tensor *logits, bp_tensor *labels, bp_tensor *share,
                         bp_tensor *counts, bpi_step_loss *out)
{
    if (!share && !m->tanh) {
        out->loss = bp_cross_entropy_correct(logits, labels, &out->correct);
    } else {
        out->loss = mean_of_rows(each_loss(m, logits, labels), share);
        out->correct = sum_of_right(bp_equal(bp_argmax(logits, 1), labels), counts);
    }
    out->told = out->loss;
}

static void columns_step(bp_model *m, bp_tensor *y, bp_tensor *t, bp_tensor *share,
                         bp_tensor *counts, bpi_step_loss *out)
{
    bp_tensor *columns = mean_of_rows(each_loss(m, y, t), share);
    out->loss = out->told = bp_mean(columns);
    if (m->task == BP_TASK_REGRESSION)
        out->told = bp_mean(bp_mul(bp_cast(bp_detach(columns), BP_F64), m->square));
    else
        out->correct = bp_scale(sum_of_right(bp_equal(bp_threshold(bp_detach(y), 0), t), counts),
                                1 / (double)m->outputs);
}

bp_status bpi_model_step_loss(bp_model *m, bp_data *data, bp_tensor *index, bp_tensor *counts,
                              bool training, bpi_step_loss *out)
{
    *out = (bpi_step_loss){0};
    bp_tensor *w = bpi_data_weights(data), *share = NULL;
    if (w)
        share = shares_of(bp_gather(w, index), &out->weight);
    if (counts) {
        counts = bp_gather(counts, index);
        share = bp_scale(counts, 1 / (double)bp_shape_of(index).dim[0]);
    }
    bp_tensor *t = targets_of(m, bp_data_labels(data), index);
    bp_tensor *x = bpi_normal_rows(&m->in, bp_data_samples(data), index);
    bp_tensor *y = bpi_model_through(m, x, training);
    if (y && m->task == BP_TASK_CLASSES)
        classes_step(m, y, t, share, counts, out);
    else if (y)
        columns_step(m, y, t, share, counts, out);
    bpi_model_drop(m, y);
    bool right = out->correct || m->task == BP_TASK_REGRESSION;
    return out->loss && out->told && right
               ? BP_OK
               : bpi_fail(m->ctx, BP_ERR_STATE, "the loss of a batch could not be made");
}

/* --- each row ------------------------------------------------------------------------------- */

typedef struct rows_of {
    bp_model *model;
    bp_data *data;
    int64_t first, n;
    double *loss; /* [n] */
} rows_of;

static bp_status read_losses(bp_context *ctx, void *user)
{
    rows_of *r = user;
    bp_model *m = r->model;
    bp_tensor *index = bp_arange(ctx, BP_I32, (double)r->first, 1, r->n);
    bp_tensor *y = bp_model_logits(m, r->data, index, 0);
    bp_tensor *each = each_loss(m, y, targets_of(m, bp_data_labels(r->data), index));
    if (m->task != BP_TASK_CLASSES)
        each = bp_mean_axes(each, BP_AXIS(1), 0);
    return bp_read_f64(each, r->loss, r->n);
}

bp_status bpi_model_row_losses(bp_model *m, bp_data *data, double *loss)
{
    int64_t rows = bp_data_rows(data), most = bpi_model_rows(m);
    for (int64_t i = 0; i < rows; i += most) {
        rows_of r = {m, data, i, rows - i < most ? rows - i : most, loss + i};
        BPI_TRY(bp_run(m->ctx, BP_NO_GRAD, read_losses, &r));
    }
    return BP_OK;
}

/* --- a whole set ---------------------------------------------------------------------------- */

bp_tensor *bpi_rows_from(bp_context *ctx, int64_t first, int64_t n)
{
    int32_t row[BPI_MODEL_ROWS];
    for (int32_t i = 0; i < n; i++)
        row[i] = (int32_t)first + i;
    bp_tensor *index = bp_tensor_create(ctx, BP_I32, BP_SHAPE(n));
    if (!index || bp_write(index, row, (size_t)n * sizeof *row) == BP_OK)
        return index;
    bp_free(index);
    return NULL;
}

/* Rows first .. first + n of a set, in a scope without gradients; sums over all rows, f64 []. */
typedef struct pass {
    bp_model *model;
    bp_data *data;
    int64_t first, n;
    bp_tensor *loss, *right, *weight;
} pass;

static bp_status add_batch(pass *p, const bpi_step_loss *step)
{
    bp_tensor *loss = bp_cast(step->told, BP_F64), *weight = NULL;
    if (step->weight)
        weight = bp_cast(step->weight, BP_F64);
    BPI_TRY(bp_add_into(p->loss, weight ? bp_mul(loss, weight) : bp_scale(loss, (double)p->n)));
    if (weight)
        BPI_TRY(bp_add_into(p->weight, weight));
    return step->correct ? bp_add_into(p->right, bp_cast(step->correct, BP_F64)) : BP_OK;
}

static bp_status evaluate_rows(bp_context *ctx, void *user)
{
    pass *p = user;
    bpi_step_loss step;
    bp_tensor *index = bpi_rows_from(ctx, p->first, p->n);
    if (!index)
        return BP_ERR_NOMEM;
    bp_status st = bpi_model_step_loss(p->model, p->data, index, NULL, false, &step);
    if (st == BP_OK)
        st = add_batch(p, &step);
    bp_free(index);
    return st;
}

static bp_status run_passes(pass *p, double *sum)
{
    bp_context *ctx = p->model->ctx;
    int64_t rows = bp_data_rows(p->data);
    bp_status st = p->loss && p->right && p->weight ? BP_OK : BP_ERR_NOMEM;
    int64_t most = bpi_model_rows(p->model);
    for (; p->first < rows && st == BP_OK; p->first += most) {
        p->n = rows - p->first < most ? rows - p->first : most;
        st = bp_run(ctx, BP_NO_GRAD, evaluate_rows, p);
    }
    return st != BP_OK ? st
                       : bp_read_all(ctx, (bp_tensor *[]){p->loss, p->right, p->weight}, 3, sum, 3);
}

static bp_status evaluate(bp_model *m, bp_data *data, double *loss, double *accuracy)
{
    bp_context *ctx = m->ctx;
    BPI_TRY(bpi_given(ctx, loss, "model_evaluate: loss"));
    BPI_TRY(bpi_given(ctx, accuracy, "model_evaluate: accuracy"));
    BPI_TRY(bpi_model_measures(m, data, "model_evaluate"));
    BPI_TRY(bpi_params_finite(m->params, "model_evaluate"));
    pass p = {.model = m, .data = data};
    p.loss = bp_tensor_create(ctx, BP_F64, BP_SCALAR);
    p.right = bp_tensor_create(ctx, BP_F64, BP_SCALAR);
    p.weight = bp_tensor_create(ctx, BP_F64, BP_SCALAR);
    double sum[3] = {0}, rows = (double)bp_data_rows(data);
    bp_status st = run_passes(&p, sum);
    if (st == BP_OK && !isfinite(sum[0]))
        st = bpi_fail(ctx, BP_ERR_NONFINITE,
                      "model_evaluate: numbers leave the range of f32 on the way: the loss is %g",
                      sum[0]);
    if (st == BP_OK) {
        *loss = bpi_data_weights(data) ? sum[0] / fmax(sum[2], DBL_MIN) : sum[0] / rows;
        *accuracy = sum[1] / rows;
    }
    bp_free(p.loss);
    bp_free(p.right);
    bp_free(p.weight);
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
