/* A data set for a model: whether it fits, and the normalisers, (x - shift) scale, a shift and a
 * scale a column, in f64: of the inputs, and of real targets. What mixes columns: decorrelate.c.
 *
 * No threshold stands in it, and f64 has room for the squares of what f32 can hold: a column times
 * a power of two gives the same numbers, bit by bit. */
#include <math.h>
#include <string.h>

#include "data/data.h"
#include "nn/nn.h"

static const char *const task_name[] = {[BP_TASK_CLASSES] = "classes",
                                        [BP_TASK_REGRESSION] = "regression",
                                        [BP_TASK_LABELS] = "labels"};

const char *bp_task_name(bp_task task)
{
    return task >= BP_TASK_CLASSES && task <= BP_TASK_LABELS ? task_name[task] : "?";
}

static bool targets_fit(const bp_model *m, const bp_data *data)
{
    bool many = m->task == BP_TASK_CLASSES ? bp_data_outputs(data) <= m->outputs
                                           : bp_data_outputs(data) == m->outputs;
    return many && bp_data_targets(data) == (m->task == BP_TASK_CLASSES      ? BP_TARGETS_CLASSES
                                             : m->task == BP_TASK_REGRESSION ? BP_TARGETS_REAL
                                                                             : BP_TARGETS_LABELS);
}

bp_status bpi_model_fits(const bp_model *m, bp_data *data, const char *who)
{
    static const char *const target[] = {"no targets", "classes", "real targets", "labels"};
    if (!data)
        return bpi_fail(m->ctx, BP_ERR_ARG, "%s: data is NULL", who);
    bp_tensor *x = bp_data_samples(data);
    if (x && bp_context_of(x) != m->ctx)
        return bpi_fail(m->ctx, BP_ERR_DEVICE, "%s: the data set belongs to another context", who);
    if (x && bp_data_cols(data) == m->inputs && targets_fit(m, data))
        return BP_OK;
    return bpi_fail(m->ctx, BP_ERR_SHAPE,
                    "%s: data of %lld columns and %lld %s for %lld inputs and %lld %s", who,
                    (long long)bp_data_cols(data), (long long)bp_data_outputs(data),
                    target[bp_data_targets(data)], (long long)m->inputs, (long long)m->outputs,
                    m->task == BP_TASK_REGRESSION ? "real targets" : bp_task_name(m->task));
}

bp_status bpi_model_measures(const bp_model *m, bp_data *data, const char *who)
{
    BPI_TRY(bpi_model_fits(m, data, who));
    if (bpi_data_is_source(data))
        return bpi_fail(m->ctx, BP_ERR_STATE, "%s: a source has no rows of its own", who);
    if (bp_data_rows(data) < 1)
        return bpi_fail(m->ctx, BP_ERR_STATE, "%s: the data set has no rows yet", who);
    return BP_OK;
}

static const char *const name[] = {[BP_NORMALIZE_DEFAULT] = "default",
                                   [BP_NORMALIZE_NONE] = "none",
                                   [BP_NORMALIZE_GLOBAL] = "global",
                                   [BP_NORMALIZE_COLUMN] = "column",
                                   [BP_NORMALIZE_MINMAX] = "minmax",
                                   [BP_NORMALIZE_PCA] = "pca",
                                   [BP_NORMALIZE_ZCA] = "zca"};
enum { N_NAMES = sizeof name / sizeof *name, DECORRELATED_MAX = 2048 };

const char *bp_normalize_name(bp_normalize how)
{
    return how >= 0 && how < N_NAMES ? name[how] : "?";
}

bool bpi_normalize_read(const char *text, bp_normalize *how)
{
    for (*how = 0; *how < N_NAMES; ++*how)
        if (!strcmp(text, name[*how]))
            return true;
    return false;
}

static bp_normalize default_for(const bp_data *data)
{
    return bpi_data_images(data) ? BP_NORMALIZE_GLOBAL : BP_NORMALIZE_COLUMN;
}

static double value_at(const void *x, bp_dtype dtype, int64_t i)
{
    return dtype == BP_U8 ? ((const uint8_t *)x)[i] : (double)((const float *)x)[i];
}

/* Turns variances into scales, 0 into `constant`. */
static void scales(double *v, int64_t cols, bool global, double constant)
{
    double all = 0;
    for (int64_t j = 0; j < cols; j++)
        all += v[j] / (double)cols;
    for (int64_t j = 0; j < cols; j++)
        v[j] = v[j] > 0 ? 1 / sqrt(global ? all : v[j]) : constant;
}

/* --- the normaliser of the targets ----------------------------------------------------------- */

bp_status bpi_model_set_targets(bp_model *m, const double *both)
{
    size_t bytes = (size_t)m->outputs * sizeof(double);
    double *square = bpi_host_alloc(m->ctx, bytes);
    if (!square)
        return bpi_fail(m->ctx, BP_ERR_NOMEM, "model_normalize: out of memory");
    for (int64_t j = 0; j < m->outputs; j++)
        square[j] = 1 / both[m->outputs + j] / both[m->outputs + j];
    bp_status st = bp_write(m->square, square, bytes);
    if (st == BP_OK)
        st = bpi_normalizer_set(&m->out, both, NULL);
    bpi_host_free(m->ctx, square, bytes);
    return st;
}

/* --- measuring a set ------------------------------------------------------------------------ */

/* A column of a set on its way through the host, some rows at a time. */
typedef struct columns {
    bp_context *ctx;
    bp_tensor *values; /* [rows, ...] */
    bp_dtype dtype;
    int64_t rows, cols, chunk; /* rows at a time */
    void *x;                   /* [chunk, cols] */
    double *first, *mean, *variance; /* [cols]: row 0; what comes of it */
} columns;

static bp_status read_rows(const columns *c, int64_t begin, int64_t n)
{
    BPI_TRY(bp_scope_begin(c->ctx, BP_NO_GRAD));
    bp_status st = bp_read(bp_slice(c->values, 0, begin, begin + n, 1), c->x,
                           (size_t)(n * c->cols) * bp_dtype_bytes(c->dtype));
    bp_status end = bp_scope_end(c->ctx);
    return st != BP_OK ? st : end;
}

/* Sums over some rows: of what is relative to row 0, or of squares about the mean. */
static void add_rows(const columns *c, int64_t n, bool squares)
{
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < c->cols; j++) {
            double x = value_at(c->x, c->dtype, i * c->cols + j), d = x - c->mean[j];
            if (squares)
                c->variance[j] += d * d;
            else
                c->mean[j] += x - c->first[j];
        }
}

/* Means relative to the first row, so that a column that does not vary has variance 0 exactly;
 * then variances. Both are zeros before. */
static bp_status moments(const columns *c)
{
    BPI_TRY(read_rows(c, 0, 1));
    for (int64_t j = 0; j < c->cols; j++)
        c->first[j] = value_at(c->x, c->dtype, j);
    for (int squares = 0; squares < 2; squares++) {
        for (int64_t i = 0; i < c->rows; i += c->chunk) {
            int64_t n = c->rows - i < c->chunk ? c->rows - i : c->chunk;
            BPI_TRY(read_rows(c, i, n));
            add_rows(c, n, squares);
        }
        for (int64_t j = 0; j < c->cols; j++)
            if (squares)
                c->variance[j] /= (double)c->rows;
            else
                c->mean[j] = c->mean[j] / (double)c->rows + c->first[j];
    }
    for (int64_t j = 0; j < c->cols; j++)
        if (!isfinite(c->mean[j]) || !isfinite(c->variance[j])) /* written since it was checked */
            return bpi_fail(c->ctx, BP_ERR_NONFINITE, "model_normalize: column %lld holds a number "
                            "that is not finite", (long long)j);
    return BP_OK;
}

/* The middle between the smallest and the largest, and what makes 1 of the way to either. */
static bp_status bounds(const columns *c)
{
    double *low = c->mean, *high = c->variance;
    for (int64_t i = 0; i < c->rows; i += c->chunk) {
        int64_t n = c->rows - i < c->chunk ? c->rows - i : c->chunk;
        BPI_TRY(read_rows(c, i, n));
        for (int64_t e = 0; e < n * c->cols; e++) {
            double x = value_at(c->x, c->dtype, e);
            int64_t j = e % c->cols;
            bool first = i == 0 && e < c->cols;
            low[j] = first || x < low[j] ? x : low[j];
            high[j] = first || x > high[j] ? x : high[j];
        }
    }
    for (int64_t j = 0; j < c->cols; j++) {
        double half = (high[j] - low[j]) / 2;
        low[j] += half;
        high[j] = half > 0 ? 1 / half : 0;
    }
    return BP_OK;
}

/* both: n means, n variances, or what `how` makes of them. */
static bp_status measure(bp_model *m, bp_tensor *values, int64_t rows, int64_t n,
                         bp_status (*how)(const columns *), double *both)
{
    enum { BYTES = 1 << 20 };
    bp_context *ctx = m->ctx;
    columns c = {.ctx = ctx, .values = values, .dtype = bp_dtype_of(values), .cols = n,
                 .rows = rows, .mean = both, .variance = both + n};
    size_t row = (size_t)n * bp_dtype_bytes(c.dtype), first = (size_t)n * sizeof *c.first;
    c.chunk = row < BYTES ? BYTES / (int64_t)row : 1;
    c.chunk = c.chunk < c.rows ? c.chunk : c.rows;
    c.x = bpi_host_alloc(ctx, (size_t)c.chunk * row);
    c.first = bpi_host_alloc(ctx, first);
    bp_status st = c.x && c.first
                       ? how(&c)
                       : bpi_fail(ctx, BP_ERR_NOMEM, "model_normalize: out of memory");
    bpi_host_free(ctx, c.first, first);
    bpi_host_free(ctx, c.x, (size_t)c.chunk * row);
    return st;
}

/* Sets the normaliser of the inputs, and for regression that of the targets: all is measured before
 * any is set. */
static bp_status set(bp_model *m, bp_data *data, bp_normalize how, double *in, double *out,
                     float *matrix)
{
    bp_tensor *x = bp_data_samples(data);
    bp_normalize base = !matrix ? how : default_for(data);
    if (base == BP_NORMALIZE_MINMAX) {
        BPI_TRY(measure(m, x, bp_data_rows(data), m->inputs, bounds, in));
    } else if (base != BP_NORMALIZE_NONE) {
        BPI_TRY(measure(m, x, bp_data_rows(data), m->inputs, moments, in));
        scales(in + m->inputs, m->inputs, base == BP_NORMALIZE_GLOBAL, 0);
    }
    if (matrix)
        BPI_TRY(bpi_decorrelate(m, data, how, in, matrix));
    for (int64_t j = 0; how == BP_NORMALIZE_NONE && j < m->inputs; j++)
        in[m->inputs + j] = 1;
    if (m->task == BP_TASK_REGRESSION) {
        BPI_TRY(measure(m, bp_data_labels(data), bp_data_rows(data), m->outputs, moments, out));
        scales(out + m->outputs, m->outputs, false, 1);
        BPI_TRY(bpi_model_set_targets(m, out));
    }
    return bpi_normalizer_set(&m->in, in, matrix);
}

/* --- the call ------------------------------------------------------------------------------- */

static bp_status normalize(bp_model *m, bp_data *data, bp_normalize how)
{
    bp_context *ctx = m->ctx;
    if (how < 0 || how >= N_NAMES)
        return bpi_fail(ctx, BP_ERR_ARG, "model_normalize: there is no way %d", (int)how);
    BPI_TRY(bpi_model_measures(m, data, "model_normalize"));
    bool mixes = how >= BP_NORMALIZE_PCA;
    if (mixes && m->inputs > DECORRELATED_MAX)
        return bpi_fail(ctx, BP_ERR_UNSUPPORTED, "model_normalize: %lld inputs; %s is for at most "
                        "%d", (long long)m->inputs, name[how], DECORRELATED_MAX);
    if (how == BP_NORMALIZE_DEFAULT)
        how = default_for(data);
    bpi_texts names[BPI_NAMES];
    size_t numbers = 2 * (size_t)(m->inputs + m->outputs) * sizeof(double);
    size_t bytes = numbers + (mixes ? (size_t)(m->inputs * m->inputs) * sizeof(float) : 0);
    BPI_TRY(bpi_names_of_data(m, data, BPI_CLASS_NAMES, &names[BPI_CLASS_NAMES]));
    bp_status st = bpi_names_of_data(m, data, BPI_FEATURE_NAMES, &names[BPI_FEATURE_NAMES]);
    double *room = st == BP_OK ? bpi_host_alloc(ctx, bytes) : NULL;
    if (st == BP_OK)
        st = room ? set(m, data, how, room, room + 2 * m->inputs,
                        mixes ? (float *)((char *)room + numbers) : NULL)
                  : bpi_fail(ctx, BP_ERR_NOMEM, "model_normalize: out of memory");
    bpi_host_free(ctx, room, bytes);
    if (st == BP_OK)
        m->how = how;
    for (int i = 0; i < BPI_NAMES; i++)
        if (st == BP_OK && names[i].text)
            bpi_model_take_names(m, i, &names[i]);
        else
            bpi_texts_free(ctx, &names[i]);
    return st;
}

bp_status bp_model_normalize_as(bp_model *m, const bp_data *data, bp_normalize how)
{
    BPI_LEADS(m, "model_normalize: model");
    BPI_INSIDE(m->ctx, normalize(m, (bp_data *)data, how)); /* which only reads it */
}

bp_status bp_model_normalize(bp_model *m, const bp_data *data)
{
    return bp_model_normalize_as(m, data, BP_NORMALIZE_DEFAULT);
}

bp_normalize bp_model_normalized(const bp_model *m)
{
    return m ? m->how : BP_NORMALIZE_DEFAULT;
}
