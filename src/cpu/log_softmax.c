/* log_softmax along an axis.
 *
 *     forward:   x -> y,      y = (x - max) - ln sum_j e^(x_j - max)
 *     backward:  dy, y -> dx, dx = dy - e^y sum_j dy_j
 *
 * A row is walked three times while it is in cache, forward the last time with the row that
 * follows; backward twice. Columns are walked twice along their rows, some hundred side by side.
 * Floor: 2 elements of memory traffic an element, backward 3; of columns 3 and 5. The rule:
 * src/ops/softmax.c. */
#include <string.h>

#include "cpu/softmax.h"

static void forward_short(const softmax_job *w, int64_t r, int64_t rows)
{
    const int64_t n = w->x.size;
    vec col[COLUMNS], e[COLUMNS];
    load_columns(col, bpi_row(&w->x, r), w->x.pitch, n, rows);
    vec m = columns_max(col, n), l;
    real log_sum[LANES];
    store(log_sum, columns_exp(e, col, n, m));
    for (int i = 0; i < LANES; i++)
        log_sum[i] = log_of(log_sum[i]);
    l = load(log_sum);
    for (int64_t j = 0; j < n; j++)
        col[j] = (col[j] - m) - l;
    store_columns(bpi_row(&w->y, r), w->y.pitch, col, n, rows);
}

INLINE void forward_row(const softmax_job *w, int64_t r, real *room, late_row *l)
{
    const int64_t n = w->x.size;
    const real *x = bpi_row(&w->x, r);
    real *y = bpi_row(&w->y, r), max;
    (void)room;
    const double sum = row_terms(LATE_LOGS, l, x, n, &max, w->past ? x : y);
    *l = (late_row){.to = y, .from = x, .a = splat(max), .b = splat(log_of((real)sum)),
                    .past = w->past};
    late_begin(LATE_LOGS, l, n);
}

static void backward_short(const softmax_job *w, int64_t r, int64_t rows)
{
    const int64_t n = w->x.size;
    vec dy[COLUMNS], y[COLUMNS], sum = splat(0);
    load_columns(dy, bpi_row(&w->x, r), w->x.pitch, n, rows);
    load_columns(y, bpi_row(&w->y, r), w->y.pitch, n, rows);
    for (int64_t j = 0; j < n; j++)
        sum += dy[j];
    columns_exp(y, y, n, splat(0));
    for (int64_t j = 0; j < n; j++)
        dy[j] = dy[j] - y[j] * sum;
    store_columns(bpi_row(&w->dx, r), w->dx.pitch, dy, n, rows);
}

/* Its row is not late: two walks wait for memory alike, and e^y hides that in the second. */
INLINE void backward_row(const softmax_job *w, int64_t r, real *room, late_row *l)
{
    const int64_t n = w->x.size, ahead = at_least(n, AHEAD);
    const real *dy = bpi_row(&w->x, r), *y = bpi_row(&w->y, r);
    real *dx = bpi_row(&w->dx, r);
    double total[1];
    (void)room, (void)l;
    ROW_SUMS(1, total, n, STEP_VECS acc[0][v] += get(dy + i, v, left, splat(0)))
    const vec sum = splat((real)total[0]), zero = splat(0);
    PAST_STEPS(w->past, dx, n,
        vec t[GROUP];
        fetch(VECTORS, dy + i + ahead, 0);
        STEP_VECS t[v] = get(y + i, v, left, zero);
        exp_group(VECTORS, t);
        STEP_VECS put_past(w->past, dx + i, v, left, get(dy + i, v, left, zero) - t[v] * sum))
}

static void forward_slab(const softmax_slab *s)
{
    real m[SLAB_ROOM], log_sum[SLAB_ROOM];
    double sum[SLAB];
    bpi_slab_terms(s, m, sum);
    for (int64_t c = 0; c < s->width; c++)
        log_sum[c] = log_of((real)sum[c]);
    const int64_t ahead = slab_ahead(s, s->x_pitch);
    for (int64_t r = 0; r < s->rows; r++) {
        const real *x = s->x + r * s->x_pitch;
        real *y = s->to + r * s->to_pitch;
        PAST_STEPS(s->past, y, s->width,
            fetch(VECTORS, x + i + ahead, 0);
            STEP_VECS put_past(s->past, y + i, v, left,
                               (get(x + i, v, left, splat(0)) - load(m + i + v * LANES)) -
                                   load(log_sum + i + v * LANES)))
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
            slab_fetch(dy + DEEP * s->x_pitch);
            EACH_VEC acc[0][v] += get(dy, v, left, zero)))
    for (int64_t c = 0; c < s->width; c++)
        sum[c] = (real)total[c];
    const int64_t ahead = slab_ahead(s, s->x_pitch), y_ahead = slab_ahead(s, s->y_pitch);
    for (int64_t r = 0; r < s->rows; r++) {
        const real *dy = s->x + r * s->x_pitch, *y = s->y + r * s->y_pitch;
        real *dx = s->to + r * s->to_pitch;
        PAST_STEPS(s->past, dx, s->width,
            fetch(VECTORS, dy + i + ahead, 0);
            fetch(VECTORS, y + i + y_ahead, 0);
            vec t[GROUP];
            STEP_VECS t[v] = get(y + i, v, left, zero);
            exp_group(VECTORS, t);
            STEP_VECS put_past(s->past, dx + i, v, left,
                               get(dy + i, v, left, zero) - t[v] * load(sum + i + v * LANES)))
    }
}

SOFTMAX_OP(log_softmax, LATE_LOGS, LATE_NONE, forward_rows);
