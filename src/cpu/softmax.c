/* softmax along an axis.
 *
 *     forward:   x -> y,      y = e^(x - max) / sum_j e^(x_j - max)
 *     backward:  dy, y -> dx, dx = y (dy - sum_j dy_j y_j)
 *
 * A row, or a strip of columns, is walked three times while it is in cache, backward twice; a row
 * the last time with the row that follows. Floor: 2 elements of memory traffic an element, backward
 * 3. The rule: src/ops/softmax.c. */
#include "cpu/softmax.h"

static void forward_short(const softmax_job *w, int64_t r, int64_t rows)
{
    const int64_t n = w->x.size;
    vec col[COLUMNS];
    load_columns(col, bpi_row(&w->x, r), w->x.pitch, n, rows);
    const vec sum = columns_exp(col, col, n, columns_max(col, n));
    for (int64_t j = 0; j < n; j++)
        col[j] = col[j] / sum;
    store_columns(bpi_row(&w->y, r), w->y.pitch, col, n, rows);
}

INLINE void forward_row(const softmax_job *w, int64_t r, real *room, late_row *l)
{
    const int64_t n = w->x.size;
    const real *x = bpi_row(&w->x, r);
    real *y = bpi_row(&w->y, r), *e = n <= PIECE ? room : y;
    const double sum = row_exp(1, LATE_TERMS, l, e, x, n, row_max(x, n), w->past ? x : y);
    *l = (late_row){.to = y, .from = e, .a = splat((real)(1 / sum)), .past = w->past};
    late_begin(LATE_TERMS, l, n);
}

/* To keep the terms of a wide row is as much traffic as to write it: they are found twice. */
INLINE void forward_wide(const softmax_job *w, int64_t r, real *room, late_row *l)
{
    const int64_t n = w->x.size;
    const real *x = bpi_row(&w->x, r);
    real *y = bpi_row(&w->y, r);
    const real max = row_max(x, n);
    (void)room;
    const double sum = row_exp(0, LATE_EXPS, l, NULL, x, n, max, x);
    *l = (late_row){.to = y, .from = x, .a = splat(max), .b = splat((real)(1 / sum)), .past = 1};
    late_begin(LATE_EXPS, l, n);
}

static void backward_short(const softmax_job *w, int64_t r, int64_t rows)
{
    const int64_t n = w->x.size;
    vec dy[COLUMNS], y[COLUMNS], sum = splat(0);
    load_columns(dy, bpi_row(&w->x, r), w->x.pitch, n, rows);
    load_columns(y, bpi_row(&w->y, r), w->y.pitch, n, rows);
    for (int64_t j = 0; j < n; j++)
        sum += dy[j] * y[j];
    for (int64_t j = 0; j < n; j++)
        dy[j] = y[j] * (dy[j] - sum);
    store_columns(bpi_row(&w->dx, r), w->dx.pitch, dy, n, rows);
}

INLINE void backward_row(const softmax_job *w, int64_t r, real *room, late_row *l)
{
    const int64_t n = w->x.size;
    const vec zero = splat(0);
    const real *dy = bpi_row(&w->x, r), *y = bpi_row(&w->y, r);
    double total[1];
    (void)room;
    ROW_SUMS(1, total, n,
        if (VECTORS > 1)
            late_step(LATE_SLOPES, l);
        STEP_VECS acc[0][v] += get(dy + i, v, left, zero) * get(y + i, v, left, zero))
    *l = (late_row){.to = bpi_row(&w->dx, r), .from = dy, .y = y,
                    .a = splat((real)total[0]), .past = w->past};
    late_begin(LATE_SLOPES, l, n);
}

static void forward_columns(const softmax_strip *s)
{
    vec m[GROUP];
    real sum[STEP];
    columns_largest(s, m);
    columns_terms(1, s, m, sum);
    for (int j = 0; j < STEP; j++)
        sum[j] = 1 / sum[j];
    for (int64_t r = 0; r < s->rows; r++) {
        real *y = s->to + r * s->to_pitch;
        fetch(GROUP, y + ROWS_AHEAD * s->to_pitch, 1);
        EACH_VEC put(y, v, s->left, get(y, v, s->left, m[v]) * load(sum + v * LANES));
    }
}

static void backward_columns(const softmax_strip *s)
{
    const vec zero = splat(0);
    const int64_t left = s->left;
    double total[1][STEP] = {{0}};
    real sum[STEP];
    COLUMN_SUMS(1, total, s->rows,
        EACH_VEC acc[0][v] += get(s->x + r * s->x_pitch, v, left, zero) *
                              get(s->y + r * s->y_pitch, v, left, zero))
    for (int j = 0; j < STEP; j++)
        sum[j] = (real)total[0][j];
    for (int64_t r = 0; r < s->rows; r++)
        EACH_VEC put(s->to + r * s->to_pitch, v, left,
                     get(s->y + r * s->y_pitch, v, left, zero) *
                         (get(s->x + r * s->x_pitch, v, left, zero) - load(sum + v * LANES)));
}

SOFTMAX_ROWS(wide_rows, LATE_EXPS, forward_wide)
SOFTMAX_OP(softmax, LATE_TERMS, LATE_SLOPES, wide_rows);
