/* What mixes the columns of samples: the matrix of PCA and ZCA, from the covariance of columns that
 * have a mean of 0 already; its use; and normalised rows on the host, forth and back. model.h has
 * the formulas. The covariance is a product of f64, made on the device some rows at a time, so that
 * the set need not fit beside itself. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "core/tensor.h"
#include "minimize/minimize.h"
#include "nn/eigen.h"
#include "nn/nn.h"

static const double LEAST = 0.01; /* is added to variances, whose mean is about 1 */

/* --- the covariance ------------------------------------------------------------------------- */

typedef struct gathering {
    const bpi_normalizer *columns;
    bp_tensor *x, *sum; /* the samples; f64 [n, n] */
    int64_t first, rows;
} gathering;

static bp_status add_rows(bp_context *ctx, void *user)
{
    gathering *g = user;
    bp_tensor *index = bp_arange(ctx, BP_I32, (double)g->first, 1, g->rows);
    bp_tensor *x = bp_cast(bpi_normal_rows(g->columns, g->x, index), BP_F64);
    return bp_add_into(g->sum, bp_matmul(bp_transpose(x, 0, 1), x));
}

static bp_status covariance(bp_model *m, bp_data *data, const bpi_normalizer *columns, double *to)
{
    int64_t n = m->inputs, rows = bp_data_rows(data), most = bpi_model_rows(m);
    gathering g = {columns, bp_data_samples(data),
                   bp_tensor_create(m->ctx, BP_F64, BP_SHAPE(n, n)), 0, 0};
    bp_status st = g.sum ? BP_OK : BP_ERR_NOMEM;
    for (; g.first < rows && st == BP_OK; g.first += most) {
        g.rows = rows - g.first < most ? rows - g.first : most;
        st = bp_run(m->ctx, BP_NO_GRAD, add_rows, &g);
    }
    if (st == BP_OK)
        st = bp_read(g.sum, to, (size_t)(n * n) * sizeof *to);
    bp_free(g.sum);
    for (int64_t i = 0; i < n * n && st == BP_OK; i++)
        to[i] /= (double)rows;
    return st;
}

/* --- the matrix ------------------------------------------------------------------------------ */

/* From the eigenvectors, a row each: a column of them a component, or with `back` turned back. */
static void fill(const double *vector, const double *value, double *row, bool back, int64_t n,
                 float *matrix)
{
    for (int64_t i = 0; i < n; i++) {
        memset(row, 0, (size_t)n * sizeof *row);
        for (int64_t k = 0; k < n; k++) {
            const double *v = vector + k * n;
            double part = v[i] / sqrt(fmax(value[k], 0) + LEAST);
            if (back)
                for (int64_t j = 0; j < n; j++)
                    row[j] += part * v[j];
            else
                row[k] = part;
        }
        for (int64_t j = 0; j < n; j++)
            matrix[i * n + j] = (float)row[j];
    }
}

static bp_status make(bp_model *m, bp_data *data, bp_normalize how, const bpi_normalizer *columns,
                      double *room, float *matrix)
{
    int64_t n = m->inputs;
    double *a = room, *vector = a + n * n, *value = vector + n * n, *rest = value + n;
    BPI_TRY(covariance(m, data, columns, a));
    for (int64_t i = 0; i < n * n; i++)
        if (!isfinite(a[i])) /* written since it was checked */
            return bpi_fail(m->ctx, BP_ERR_NONFINITE, "model_normalize: the covariance of columns "
                            "%lld and %lld is %g", (long long)(i / n), (long long)(i % n), a[i]);
    if (!bpi_eigen(a, vector, value, rest, n))
        return bpi_fail(m->ctx, BP_ERR_STATE, "model_normalize: the eigenvectors of %lld columns "
                        "were not found", (long long)n);
    fill(vector, value, rest, how == BP_NORMALIZE_ZCA, n, matrix);
    return BP_OK;
}

bp_status bpi_decorrelate(bp_model *m, bp_data *data, bp_normalize how, const double *both,
                          float *matrix)
{
    int64_t n = m->inputs;
    size_t bytes = (size_t)(2 * n * n + 3 * n) * sizeof(double);
    double *room = bpi_host_alloc(m->ctx, bytes);
    bpi_normalizer columns = {0};
    bp_status st = room ? bpi_normalizer_create(m->ctx, n, &columns)
                        : bpi_fail(m->ctx, BP_ERR_NOMEM, "model_normalize: out of memory");
    if (st == BP_OK)
        st = bpi_normalizer_set(&columns, both, NULL);
    if (st == BP_OK)
        st = make(m, data, how, &columns, room, matrix);
    bpi_normalizer_free(m->ctx, &columns);
    bpi_host_free(m->ctx, room, bytes);
    return st;
}

bp_tensor *bp_model_decorrelation(bp_model *m)
{
    return m ? m->in.matrix : NULL;
}

/* --- forth ----------------------------------------------------------------------------------- */

typedef struct pass {
    bp_model *model;
    const float *x;
    float *y;
    int64_t rows;
} pass;

static bp_status normal_rows(bp_context *ctx, void *user)
{
    pass *p = user;
    bp_model *m = p->model;
    size_t bytes = (size_t)(p->rows * m->inputs) * sizeof(float);
    bp_tensor *x = bp_tensor_create(ctx, BP_F32, BP_SHAPE(p->rows, m->inputs));
    bp_tensor *index = bp_arange(ctx, BP_I32, 0, 1, p->rows);
    bp_status st = x ? bp_write(x, p->x, bytes) : BP_ERR_NOMEM;
    if (st == BP_OK)
        st = bp_read(bpi_normal_rows(&m->in, x, index), p->y, bytes);
    bp_free(x);
    return st;
}

static bp_status check_rows(const bp_model *m, const char *who, const float *x, int64_t n,
                            const float *y, const char *names[2])
{
    char what[64];
    if (n < 0 || n > INT64_MAX / 8 / m->inputs)
        return bpi_fail(m->ctx, BP_ERR_ARG, "%s: %lld rows", who, (long long)n);
    for (int i = 0; i < 2 && n > 0; i++) {
        snprintf(what, sizeof what, "%s: %s", who, names[i]);
        BPI_TRY(bpi_given(m->ctx, i ? y : x, what));
    }
    return BP_OK;
}

static bp_status normalized_of(bp_model *m, const float *x, int64_t n, float *y)
{
    int64_t most = bpi_model_rows(m);
    BPI_TRY(check_rows(m, "model_normalized_of", x, n, y, (const char *[]){"x", "y"}));
    for (int64_t i = 0; i < n; i += most) {
        pass p = {m, x + i * m->inputs, y + i * m->inputs, n - i < most ? n - i : most};
        BPI_TRY(bp_run(m->ctx, BP_NO_GRAD, normal_rows, &p));
    }
    return BP_OK;
}

bp_status bp_model_normalized_of(bp_model *m, const float *x, int64_t n, float *y)
{
    BPI_LEADS(m, "model_normalized_of: model");
    BPI_INSIDE(m->ctx, normalized_of(m, x, n, y));
}

/* --- back ------------------------------------------------------------------------------------ */

/* Solves x M = y by (M M^T) x^T = M y^T: M M^T, whose root the matrix is, is far from singular. */
typedef struct solver {
    float *m;                 /* [n, n] */
    double *square, *l, *row; /* [n, n], [n, n], [n] */
} solver;

static bp_status prepare(bp_model *m, double *room, solver *s)
{
    int64_t n = m->inputs;
    *s = (solver){(float *)(room + 2 * n * n + n), room, room + n * n, room + 2 * n * n};
    BPI_TRY(bp_read(m->in.matrix, s->m, (size_t)(n * n) * sizeof *s->m));
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j <= i; j++) {
            double sum = 0;
            for (int64_t k = 0; k < n; k++)
                sum += (double)s->m[i * n + k] * (double)s->m[j * n + k];
            s->square[i * n + j] = sum;
        }
    return bpi_cholesky(s->square, s->l, n)
               ? BP_OK : bpi_fail(m->ctx, BP_ERR_STATE, "model_raw_of: the matrix is singular");
}

static void unturn(const solver *s, const float *y, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        s->row[i] = 0;
        for (int64_t k = 0; k < n; k++)
            s->row[i] += (double)s->m[i * n + k] * (double)y[k];
    }
    bpi_cholesky_solve(s->l, s->row, n);
}

static bp_status raw_of(bp_model *m, const float *y, int64_t n, float *x)
{
    const double *shift = m->in.host, *scale = shift + m->inputs;
    int64_t cols = m->inputs;
    size_t bytes = m->in.matrix ? (size_t)(cols * (5 * cols / 2 + 2)) * sizeof(double) : 0;
    BPI_TRY(check_rows(m, "model_raw_of", y, n, x, (const char *[]){"y", "x"}));
    double *room = bytes ? bpi_host_alloc(m->ctx, bytes) : NULL;
    solver s = {0};
    bp_status st = bytes && !room ? bpi_fail(m->ctx, BP_ERR_NOMEM, "model_raw_of: out of memory")
                                  : BP_OK;
    if (st == BP_OK && bytes && n > 0)
        st = prepare(m, room, &s);
    for (int64_t i = 0; i < n && st == BP_OK; i++, y += cols, x += cols) {
        if (bytes)
            unturn(&s, y, cols);
        for (int64_t j = 0; j < cols; j++) {
            double at = bytes ? s.row[j] : (double)y[j];
            x[j] = (float)(scale[j] > 0 ? at / scale[j] + shift[j] : shift[j]);
        }
    }
    bpi_host_free(m->ctx, room, bytes);
    return st;
}

bp_status bp_model_raw_of(bp_model *m, const float *y, int64_t n, float *x)
{
    BPI_LEADS(m, "model_raw_of: model");
    BPI_INSIDE(m->ctx, raw_of(m, y, n, x));
}
