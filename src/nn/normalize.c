/* A data set for a model: whether it fits, and the normaliser, (x - shift) scale, a shift and a
 * scale a column, in f64.
 *
 * No threshold stands in it, and f64 has room for the squares of what f32 can hold: a column times
 * a power of two gives the same numbers, bit by bit. */
#include <math.h>
#include <string.h>

#include "data/data.h"
#include "door/fpstate.h"
#include "nn/nn.h"

bp_status bpi_model_fits(const bp_model *m, bp_data *data, const char *who)
{
    if (!data)
        return bpi_fail(m->ctx, BP_ERR_ARG, "%s: data is NULL", who);
    if (bp_context_of(bp_data_labels(data)) != m->ctx)
        return bpi_fail(m->ctx, BP_ERR_DEVICE, "%s: the data set belongs to another context", who);
    if (bp_data_cols(data) == m->inputs && bp_data_classes(data) <= m->classes)
        return BP_OK;
    return bpi_fail(m->ctx, BP_ERR_SHAPE,
                    "%s: data of %lld columns and %d classes for %lld inputs and %d classes", who,
                    (long long)bp_data_cols(data), (int)bp_data_classes(data),
                    (long long)m->inputs, (int)m->classes);
}

static const char *const name[] = {[BP_NORMALIZE_DEFAULT] = "default",
                                   [BP_NORMALIZE_NONE] = "none",
                                   [BP_NORMALIZE_GLOBAL] = "global",
                                   [BP_NORMALIZE_COLUMN] = "column"};
enum { N_NAMES = sizeof name / sizeof *name };

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

static double value_at(const void *x, bp_dtype dtype, int64_t i)
{
    return dtype == BP_U8 ? ((const uint8_t *)x)[i] : (double)((const float *)x)[i];
}

/* Means relative to the first row, so that a column that does not vary has variance 0 exactly;
 * then variances. Both are zeros before. */
static void moments(const void *x, bp_dtype dtype, int64_t rows, int64_t cols, double *mean,
                    double *variance)
{
    for (int64_t i = 0; i < rows; i++)
        for (int64_t j = 0; j < cols; j++)
            mean[j] += value_at(x, dtype, i * cols + j) - value_at(x, dtype, j);
    for (int64_t j = 0; j < cols; j++)
        mean[j] = mean[j] / (double)rows + value_at(x, dtype, j);
    for (int64_t i = 0; i < rows; i++)
        for (int64_t j = 0; j < cols; j++) {
            double d = value_at(x, dtype, i * cols + j) - mean[j];
            variance[j] += d * d;
        }
    for (int64_t j = 0; j < cols; j++)
        variance[j] /= (double)rows;
}

/* Turns variances into scales. */
static void scales(double *v, int64_t cols, bool global)
{
    double all = 0;
    for (int64_t j = 0; j < cols; j++)
        all += v[j] / (double)cols;
    for (int64_t j = 0; j < cols; j++)
        v[j] = v[j] > 0 ? 1 / sqrt(global ? all : v[j]) : 0;
}

static bp_status measure(bp_model *m, bp_data *data, bool global, double *shift, double *scale)
{
    bp_tensor *samples = bp_data_samples(data);
    bp_dtype dtype = bp_dtype_of(samples);
    size_t bytes = (size_t)(bp_data_rows(data) * m->inputs) * bp_dtype_bytes(dtype);
    void *x = bpi_host_alloc(m->ctx, bytes);
    bp_status st = x ? bp_read(samples, x, bytes)
                     : bpi_fail(m->ctx, BP_ERR_NOMEM, "model_normalize: out of memory");
    if (st == BP_OK) {
        bpi_fp_state own = bpi_fp_enter();
        moments(x, dtype, bp_data_rows(data), m->inputs, shift, scale);
        scales(scale, m->inputs, global);
        bpi_fp_leave(own);
    }
    bpi_host_free(m->ctx, x, bytes);
    return st;
}

/* Sets the normaliser from `data`, or without one to what leaves samples as they are. */
static bp_status set(bp_model *m, bp_data *data, bp_normalize how)
{
    size_t bytes = (size_t)m->inputs * sizeof(double);
    double *shift = bpi_host_alloc(m->ctx, 2 * bytes), *scale = shift ? shift + m->inputs : NULL;
    bp_status st = BP_OK;
    if (!shift)
        st = bpi_fail(m->ctx, BP_ERR_NOMEM, "model_normalize: out of memory");
    else if (data)
        st = measure(m, data, how == BP_NORMALIZE_GLOBAL, shift, scale);
    for (int64_t j = 0; st == BP_OK && !data && j < m->inputs; j++)
        scale[j] = 1;
    if (st == BP_OK)
        st = bp_write(m->shift, shift, bytes);
    if (st == BP_OK)
        st = bp_write(m->scale, scale, bytes);
    if (st == BP_OK)
        m->how = how;
    bpi_host_free(m->ctx, shift, 2 * bytes);
    return st;
}

bp_status bpi_model_raw(bp_model *m)
{
    return set(m, NULL, BP_NORMALIZE_NONE);
}

static bp_status normalize(bp_model *m, bp_data *data, bp_normalize how)
{
    if (how < 0 || how >= N_NAMES)
        return bpi_fail(m->ctx, BP_ERR_ARG, "model_normalize: there is no way %d", (int)how);
    BPI_TRY(bpi_model_fits(m, data, "model_normalize"));
    if (how == BP_NORMALIZE_DEFAULT)
        how = bpi_data_images(data) ? BP_NORMALIZE_GLOBAL : BP_NORMALIZE_COLUMN;
    return set(m, how == BP_NORMALIZE_NONE ? NULL : data, how);
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
