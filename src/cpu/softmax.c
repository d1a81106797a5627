/* softmax along an axis.
 *
 *     forward:   x -> y,      y = e^(x - max) / sum_j e^(x_j - max)
 *     backward:  dy, y -> dx, dx = y (dy - sum_j dy_j y_j)
 *
 * A row is walked three times while it is in cache, backward twice; the last time with the row that
 * follows. Columns are walked twice along their rows, some hundred side by side. Floor: 2 elements
 * of memory traffic an element, backward 3; of columns 3 and 5. The rule: src/ops/softmax.c. */
#include <float.h>
#include <string.h>

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
    const double sum = row_exp(1, LATE_TERMS, l, e, x, n, row_max(x, n), w->past ? x : y, NULL);
    *l = (late_row){.to = y, .from = e, .a = splat((real)(1 / sum)), .past = w->past};
    late_begin(LATE_TERMS, l, n);
}

double BPI_CPU(terms)(const real *x, int64_t n, real *max)
{
    return row_terms(LATE_NONE, NULL, x, n, max, x);
}

/* To keep the terms of a wide row is as much traffic as to write it: they are found twice. */
INLINE void forward_wide(const softmax_job *w, int64_t r, real *room, late_row *l)
{
    const int64_t n = w->x.size;
    const real *x = bpi_row(&w->x, r);
    real *y = bpi_row(&w->y, r);
    real max;
    (void)room;
    const double sum = row_terms(LATE_EXPS, l, x, n, &max, x);
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

/* In one walk: where a patch has a larger element, what was summed before it is less. */
void bpi_slab_terms(const softmax_slab *s, real m[SLAB], double sum[SLAB])
{
    const vec least = splat(-(real)INFINITY), lowest = splat(BPI_F64 ? (real)-DBL_MAX : -FLT_MAX);
    for (int64_t c = 0; c < parts(s->width, STEP) * STEP; c++) {
        m[c] = -(real)INFINITY;
        sum[c] = 0;
    }
    EACH_PATCH(s,
        vec top[GROUP], less[GROUP], acc[GROUP];
        EACH_VEC top[v] = load(m + c + v * LANES);
        EACH_VEC less[v] = top[v];
        for (int64_t r = row; r < end; r++) {
            slab_fetch(s->x + (r + DEEP) * s->x_pitch + c);
            EACH_VEC top[v] = larger(get(s->x + r * s->x_pitch + c, v, left, least), top[v]);
        }
        EACH_VEC {
            store(m + c + v * LANES, top[v]);
            top[v] = larger(top[v], lowest); /* of -Inf alone: no difference is NaN */
            less[v] -= top[v];
            acc[v] = splat(0);
        }
        if (row > 0) {
            exp_group(GROUP, less);
            EACH_VEC scale_vec(sum + c + v * LANES, less[v]);
        }
        for (int64_t r = row; r < end; r++) {
            vec t[GROUP];
            EACH_VEC t[v] = get(s->x + r * s->x_pitch + c, v, left, least) - top[v];
            exp_vectors(1, GROUP, t);
            EACH_VEC acc[v] += t[v];
        }
        EACH_VEC add_vec(sum + c + v * LANES, acc[v]);)
}

static void forward_slab(const softmax_slab *s)
{
    real m[SLAB_ROOM], scale[SLAB_ROOM];
    double sum[SLAB];
    bpi_slab_terms(s, m, sum);
    for (int64_t c = 0; c < s->width; c++)
        scale[c] = (real)(1 / sum[c]);
    const int64_t ahead = slab_ahead(s, s->x_pitch);
    for (int64_t r = 0; r < s->rows; r++) {
        const real *x = s->x + r * s->x_pitch;
        real *y = s->to + r * s->to_pitch;
        PAST_STEPS(s->past, y, s->width,
            fetch(VECTORS, x + i + ahead, 0);
            vec t[GROUP];
            STEP_VECS t[v] = get(x + i, v, left, splat(0)) - load(m + i + v * LANES);
            exp_group(VECTORS, t);
            STEP_VECS put_past(s->past, y + i, v, left, t[v] * load(scale + i + v * LANES)))
    }
}

static void backward_slab(const softmax_slab *s)
{
    const vec zero = splat(0);
    double total[SLAB];
    real sum[SLAB_ROOM];
    memset(total, 0, (size_t)parts(s->width, STEP) * STEP * sizeof *total);
    EACH_PATCH(s, double *const at[1] = {total + c};
        COLUMN_SUMS(1, at, end - row, const real *dy = s->x + (row + r) * s->x_pitch + c;
            const real *y = s->y + (row + r) * s->y_pitch + c;
            slab_fetch(dy + DEEP * s->x_pitch);
            slab_fetch(y + DEEP * s->y_pitch);
            EACH_VEC acc[0][v] += get(dy, v, left, zero) * get(y, v, left, zero)))
    for (int64_t c = 0; c < s->width; c++)
        sum[c] = (real)total[c];
    const int64_t ahead = slab_ahead(s, s->x_pitch), y_ahead = slab_ahead(s, s->y_pitch);
    for (int64_t r = 0; r < s->rows; r++) {
        const real *dy = s->x + r * s->x_pitch, *y = s->y + r * s->y_pitch;
        real *dx = s->to + r * s->to_pitch;
        PAST_STEPS(s->past, dx, s->width,
            fetch(VECTORS, dy + i + ahead, 0);
            fetch(VECTORS, y + i + y_ahead, 0);
            STEP_VECS put_past(s->past, dx + i, v, left,
                               get(y + i, v, left, zero) *
                                   (get(dy + i, v, left, zero) - load(sum + i + v * LANES))))
    }
}

SOFTMAX_ROWS(wide_rows, LATE_EXPS, forward_wide)
SOFTMAX_OP(softmax, LATE_TERMS, LATE_SLOPES, wide_rows);
