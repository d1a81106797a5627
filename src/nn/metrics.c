/* Metrics of a model on a data set, on the host in f64, from the outputs: a chunk of rows at a time
 * comes from the device. model.h says what each number is. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/params.h"
#include "nn/nn.h"

typedef struct scored { /* for AUC: a score, and whether it is of the positive kind */
    double score;
    bool positive;
} scored;

typedef struct measuring {
    bp_model *model;
    bp_data *data;
    const char *who;
    int32_t top;
    int64_t rows, k;    /* rows of the set; outputs */
    int64_t first, n;   /* rows of the chunk */
    float *y;           /* [chunk, k]: outputs */
    void *t;            /* [chunk] i32, or [chunk, k] f32 */
    double *column;     /* [k, 4]: sums of d = t - t of row 0, of d^2, e^2 and |e|, e the error */
    double *start;      /* [k]: targets of row 0 */
    int64_t *counts;    /* [k, k]: confusion */
    scored *score;      /* [columns, rows] */
    double loss, weight, right, top_right;
} measuring;

/* --- sums over the rows ---------------------------------------------------------------------- */

/* (f - target)^2 / 2 of a tanh output: model.h. */
static double tanh_loss(double z, bool on)
{
    double off = BPI_TANH_SIZE * tanh(2 * z / 3) - (on ? BPI_TANH_TARGET : -BPI_TANH_TARGET);
    return off * off / 2;
}

/* Logits of one row against its class: the loss, and how many come before the class's own. */
static void class_row(measuring *w, const float *z, int32_t class, double weight, int64_t row)
{
    double sum = 0, most = z[0];
    int64_t before = 0, best = 0;
    for (int64_t j = 0; j < w->k; j++) {
        most = fmax(most, (double)z[j]);
        best = z[j] > z[best] ? j : best;
        before += z[j] > z[class] || (z[j] == z[class] && j < class);
    }
    for (int64_t j = 0; j < w->k; j++)
        sum += w->model->tanh ? tanh_loss(z[j], j == class) : exp((double)z[j] - most);
    w->loss += weight * (w->model->tanh ? sum : log(sum) + most - (double)z[class]);
    w->right += before == 0;
    w->top_right += before < w->top;
    if (w->counts)
        w->counts[class * w->k + best]++;
    if (w->score)
        w->score[row] = (scored){(double)z[1] - (double)z[0], class == 1};
}

static void label_row(measuring *w, const float *z, const float *t, double weight, int64_t row)
{
    for (int64_t j = 0; j < w->k; j++) {
        double x = z[j], on = t[j];
        double loss = w->model->tanh ? tanh_loss(x, on > 0)
                                     : fmax(x, 0) - x * on + log1p(exp(-fabs(x)));
        w->loss += weight * loss / (double)w->k;
        w->right += ((x > 0) == (on > 0)) / (double)w->k;
        if (w->score)
            w->score[j * w->rows + row] = (scored){x, on > 0};
    }
}

/* Both normalised; errors are told in the targets' units. */
static void real_row(measuring *w, const float *y, const float *t, double weight, int64_t row)
{
    const double *scale = w->model->out.host + w->k;
    for (int64_t j = 0; j < w->k; j++) {
        double *sum = w->column + 4 * j, e = ((double)y[j] - (double)t[j]) / scale[j];
        if (row == 0)
            w->start[j] = t[j];
        double d = ((double)t[j] - w->start[j]) / scale[j];
        w->loss += weight * e * e / (double)w->k;
        sum[0] += d;
        sum[1] += d * d;
        sum[2] += e * e;
        sum[3] += fabs(e);
    }
}

/* --- chunks ---------------------------------------------------------------------------------- */

/* Outputs, targets and weights of a chunk, in a scope without gradients. */
static bp_status read_chunk(bp_context *ctx, void *user)
{
    measuring *w = user;
    bp_model *m = w->model;
    bp_tensor *index = bp_arange(ctx, BP_I32, (double)w->first, 1, w->n);
    bp_tensor *y = bp_model_logits(m, w->data, index, 0), *t = bp_data_labels(w->data);
    t = m->task == BP_TASK_CLASSES ? bp_gather(t, index) : bpi_normal_rows(&m->out, t, index);
    BPI_TRY(bp_read(t, w->t, (size_t)(m->task == BP_TASK_CLASSES ? w->n : w->n * w->k) * 4));
    return bp_read(y, w->y, (size_t)(w->n * w->k) * sizeof *w->y);
}

/* A program may have written to the labels since they were checked. */
static bp_status class_in_range(const measuring *w, int32_t class, int64_t row)
{
    if (class >= 0 && class < w->k)
        return BP_OK;
    return bpi_fail(w->model->ctx, BP_ERR_RANGE, "%s: class %d of row %lld is not in 0 .. %lld",
                    w->who, (int)class, (long long)row, (long long)w->k - 1);
}

static bp_status add_chunk(measuring *w, const float *weights)
{
    bp_task task = w->model->task;
    const int32_t *class = w->t;
    for (int64_t i = 0; i < w->n; i++) {
        const float *y = w->y + i * w->k;
        int64_t row = w->first + i;
        double weight = weights ? (double)weights[row] : 1;
        w->weight += weight;
        for (int64_t j = 0; j < w->k; j++)
            if (!isfinite(y[j]))
                return bpi_fail(w->model->ctx, BP_ERR_NONFINITE, "%s: row %lld: numbers leave the "
                                "range of f32 on the way", w->who, (long long)row);
        if (task == BP_TASK_CLASSES)
            BPI_TRY(class_in_range(w, class[i], row));
        if (task == BP_TASK_CLASSES)
            class_row(w, y, class[i], weight, row);
        else if (task == BP_TASK_LABELS)
            label_row(w, y, (const float *)w->t + i * w->k, weight, row);
        else
            real_row(w, y, (const float *)w->t + i * w->k, weight, row);
    }
    return BP_OK;
}

static bp_status run_chunks(measuring *w, const float *weights)
{
    int64_t most = bpi_model_rows(w->model);
    for (w->first = 0; w->first < w->rows; w->first += most) {
        w->n = w->rows - w->first < most ? w->rows - w->first : most;
        BPI_TRY(bp_run(w->model->ctx, BP_NO_GRAD, read_chunk, w));
        BPI_TRY(add_chunk(w, weights));
    }
    return BP_OK;
}

/* --- what comes of the sums ------------------------------------------------------------------ */

static int by_score(const void *a, const void *b)
{
    double x = ((const scored *)a)->score, y = ((const scored *)b)->score;
    return x < y ? -1 : x > y;
}

/* The share of pairs of one positive and one negative row that the scores put in order, equal ones
 * half (Mann, Whitney, 1947): from the ranks, where equal scores share the mean of theirs. */
static double auc_of(scored *s, int64_t n)
{
    double positive = 0, ranks = 0;
    qsort(s, (size_t)n, sizeof *s, by_score);
    for (int64_t i = 0, end; i < n; i = end) {
        double here = 0;
        for (end = i; end < n && s[end].score == s[i].score; end++)
            here += s[end].positive;
        ranks += here * ((double)(i + end + 1) / 2);
        positive += here;
    }
    double negative = (double)n - positive;
    return (ranks - positive * (positive + 1) / 2) / (positive * negative); /* 0 / 0 is NaN */
}

/* The mean over the columns that have both kinds. */
static double mean_auc(measuring *w, int64_t columns)
{
    double sum = 0, n = 0;
    for (int64_t j = 0; w->score && j < columns; j++) {
        double one = auc_of(w->score + j * w->rows, w->rows);
        if (!isnan(one)) {
            sum += one;
            n++;
        }
    }
    return sum / n;
}

static void real_metrics(const measuring *w, bp_metrics *out)
{
    double n = (double)w->rows, r2 = 0, varies = 0;
    out->mse = out->mae = 0;
    for (int64_t j = 0; j < w->k; j++) {
        const double *sum = w->column + 4 * j;
        double variance = sum[1] / n - sum[0] / n * (sum[0] / n);
        out->mse += sum[2] / n / (double)w->k;
        out->mae += sum[3] / n / (double)w->k;
        if (variance > 0) {
            r2 += 1 - sum[2] / n / variance;
            varies++;
        }
    }
    out->r2 = r2 / varies;
}

static void conclude(measuring *w, bp_metrics *out)
{
    bp_task task = w->model->task;
    double n = (double)w->rows;
    out->loss = w->weight > 0 ? w->loss / w->weight : 0;
    if (task == BP_TASK_REGRESSION) {
        real_metrics(w, out);
        return;
    }
    out->accuracy = w->right / n;
    if (task == BP_TASK_CLASSES)
        out->top = w->top_right / n;
    out->auc = mean_auc(w, task == BP_TASK_LABELS ? w->k : 1);
}

/* --- the calls ------------------------------------------------------------------------------- */

/* Room for all of it, and a pass over the rows. */
static bp_status run(measuring *w, bool scores, bp_metrics *out)
{
    bp_context *ctx = w->model->ctx;
    bp_task task = w->model->task;
    int64_t most = bpi_model_rows(w->model), chunk = w->rows < most ? w->rows : most;
    int64_t columns = task == BP_TASK_LABELS ? w->k : task == BP_TASK_CLASSES && w->k == 2;
    size_t y = (size_t)(chunk * w->k) * 4, sums = 5 * (size_t)w->k * sizeof(double);
    size_t score = (size_t)(scores ? columns * w->rows : 0) * sizeof *w->score;
    bp_tensor *weight = bpi_data_weights(w->data);
    size_t weights = weight ? (size_t)bp_shape_of(weight).dim[0] * sizeof(float) : 0; /* a ring's */
    float *by = weight ? bpi_host_alloc(ctx, weights) : NULL;
    w->y = bpi_host_alloc(ctx, y);
    w->t = bpi_host_alloc(ctx, y);
    w->column = bpi_host_alloc(ctx, sums);
    w->start = w->column ? w->column + 4 * w->k : NULL;
    w->score = score ? bpi_host_alloc(ctx, score) : NULL;
    bp_status st = BP_OK;
    if (!w->y || !w->t || !w->column || (score && !w->score) || (weight && !by))
        st = bpi_fail(ctx, BP_ERR_NOMEM, "%s: no memory for %lld rows of %lld outputs", w->who,
                      (long long)w->rows, (long long)w->k);
    if (st == BP_OK && weight)
        st = bp_read(weight, by, weights);
    if (st == BP_OK)
        st = run_chunks(w, by);
    if (st == BP_OK)
        conclude(w, out);
    bpi_host_free(ctx, w->score, score);
    bpi_host_free(ctx, w->column, sums);
    bpi_host_free(ctx, w->t, y);
    bpi_host_free(ctx, w->y, y);
    bpi_host_free(ctx, by, weights);
    return st;
}

static bp_status measure(bp_model *m, bp_data *data, int32_t top, bp_metrics *out)
{
    BPI_TRY(bpi_model_measures(m, data, "model_measure"));
    if (top < 1)
        return bpi_fail(m->ctx, BP_ERR_ARG, "model_measure: the %d largest; 1 or more are wanted",
                        (int)top);
    BPI_TRY(bpi_params_finite(m->params, "model_measure"));
    measuring w = {.who = "model_measure", .model = m, .data = data, .top = top,
                   .rows = bp_data_rows(data), .k = m->outputs};
    return run(&w, true, out);
}

bp_status bp_model_measure_of(bp_model *m, bp_data *data, int32_t top, bp_metrics *metrics,
                              size_t struct_bytes)
{
    bp_metrics all = {NAN, NAN, NAN, NAN, NAN, NAN, NAN}, none = {0};
    bpi_give_struct(metrics, struct_bytes, &none, sizeof none);
    BPI_LEADS(m, "model_measure: model");
    BPI_TRY(bpi_enter(m->ctx));
    bp_status st = bpi_given(m->ctx, metrics, "model_measure: metrics");
    if (st == BP_OK)
        st = measure(m, data, top, &all);
    if (st == BP_OK)
        bpi_give_struct(metrics, struct_bytes, &all, sizeof all);
    bpi_leave(m->ctx);
    return st;
}

static bp_status confusion(bp_model *m, bp_data *data, int64_t *counts)
{
    bp_metrics unused;
    BPI_TRY(bpi_given(m->ctx, counts, "model_confusion: counts"));
    if (m->task != BP_TASK_CLASSES)
        return bpi_fail(m->ctx, BP_ERR_ARG, "model_confusion: a model of %s; of classes is wanted",
                        bp_task_name(m->task));
    BPI_TRY(bpi_model_measures(m, data, "model_confusion"));
    BPI_TRY(bpi_params_finite(m->params, "model_confusion"));
    measuring w = {.who = "model_confusion", .model = m, .data = data, .top = 1,
                   .rows = bp_data_rows(data), .k = m->outputs, .counts = counts};
    memset(counts, 0, (size_t)(w.k * w.k) * sizeof *counts);
    return run(&w, false, &unused);
}

bp_status bp_model_confusion(bp_model *m, bp_data *data, int64_t *counts)
{
    BPI_LEADS(m, "model_confusion: model");
    BPI_INSIDE(m->ctx, confusion(m, data, counts));
}
