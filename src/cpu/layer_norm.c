/* layer_norm along the last axis; rms_norm where the params say not to centre.
 *
 *     forward:   x, gain, bias -> y; aux: the mean and 1 / deviation of each row
 *                y = (x - mean) / sqrt(variance + eps) gain + bias
 *     backward:  dy, x, gain, aux -> dx, dgain, dbias; z = (x - mean) / sqrt(variance + eps)
 *                dx = (dz - mean(dz) - z mean(dz z)) / sqrt(variance + eps), dz = dy gain
 *                dgain = sum over rows of dy z, dbias = sum over rows of dy
 *
 * The variance is taken about the mean as `real` has it, and then corrected by what that mean is
 * off, which is kept, times the scale, as `low`: x far from 0 loses nothing. A row is walked three
 * times while it is in cache, backward twice, some rows together, whose parts of dgain and dbias
 * meet in `real`, then in double. Floor: 2 elements of memory traffic an element, backward 3. The
 * rule: src/ops/layer_norm.c. */
#include <stdbool.h>
#include <string.h>

#include "cpu/loop.h"
#include "cpu/moments.h"
#include "cpu/vec_rows.h"
#include "door/kernel_params.h"

typedef struct row_stats {
    real mean, low, scale; /* z = (x - mean) scale - low */
} row_stats;

typedef struct job {
    bpi_rows x, y, dy; /* y: dx; data NULL where none is wanted */
    const real *gain, *bias; /* [size], or NULL */
    row_stats *stats;        /* [rows], or NULL */
    double *part;            /* [blocks][SUMS][size], or NULL: for dgain and dbias */
    int64_t blocks;
    int far, past; /* x comes from memory, y is written past the caches */
    real *dgain, *dbias;
    const bpi_layer_norm_params *params;
} job;

enum { FAR_BYTES = 4 << 20, AHEAD = 4096 / (int)sizeof(real) };

/* Of an x that comes from memory, what comes next, `ahead` elements on at least: the rows that
 * follow. It is asked for in every walk of a row, so that memory never waits for a sum, and comes
 * as near as the second cache: the first has the row at hand. */
INLINE void fetch_next(const int vectors, const job *w, const real *x, int64_t ahead)
{
    const char *line = (const char *)(x + at_least(ahead, AHEAD));
    if (w->far)
        UNROLL for (int b = 0; b < vectors * BPI_VECTOR_BYTES; b += 64)
            __builtin_prefetch(line + b, 0, 2);
}

/* And what will be written, if not past the caches. */
INLINE void fetch_result(const int vectors, const job *w, const real *y)
{
    if (w->far && !w->past)
        fetch(vectors, y, 1);
}

/* z of vector v at x. */
INLINE vec standard(const real *x, int v, int64_t left, vec mean, vec low, vec scale)
{
    return fused(get(x, v, left, mean) - mean, scale, -low);
}

/* A row that is written while the next one is walked, so that memory takes it meanwhile. */
typedef struct late_row {
    const real *x;
    real *y;
    int64_t at, end; /* what is left of it, whole steps */
    row_stats stats;
} late_row;

/* `vectors` of it from `at` on, of which there are `left` elements. */
INLINE void late_vectors(const int vectors, const job *w, const late_row *l, int64_t at,
                         int64_t left)
{
    const vec mean = splat(l->stats.mean), low = splat(l->stats.low),
              scale = splat(l->stats.scale);
    vec z[GROUP];
    UNROLL for (int v = 0; v < vectors; v++)
        z[v] = standard(l->x + at, v, left, mean, low, scale);
    if (w->bias) /* then there is a gain */
        UNROLL for (int v = 0; v < vectors; v++)
            z[v] = fused(z[v], get(w->gain + at, v, left, mean), get(w->bias + at, v, left, mean));
    else if (w->gain)
        UNROLL for (int v = 0; v < vectors; v++)
            z[v] = z[v] * get(w->gain + at, v, left, mean);
    UNROLL for (int v = 0; v < vectors; v++)
        put_past(w->past, l->y + at, v, left, z[v]);
}

INLINE void late_step(const job *w, late_row *l)
{
    if (l->at < l->end) {
        late_vectors(GROUP, w, l, l->at, STEP);
        l->at += STEP;
    }
}

/* Writes what is no whole step of it: up to where y is aligned to vectors, if it is to go past the
 * caches, and at the end. */
INLINE void late_begin(const job *w, late_row *l)
{
    const int64_t n = w->x.size, odd = -(int64_t)((uintptr_t)l->y / sizeof(real)) & (LANES - 1);
    l->at = STREAMS && w->past ? at_most(odd, n) : 0;
    l->end = n - (n - l->at) % STEP;
    if (l->at > 0)
        late_vectors(1, w, l, 0, l->at);
    for (int64_t i = l->end; i < n; i += LANES)
        late_vectors(1, w, l, i, n - i);
}

INLINE row_stats stats_of(const job *w, const real *x, const real *y, late_row *l)
{
    const int64_t n = w->x.size;
    const vec zero = splat(0);
    double mean[1] = {0}, sum[2];
    if (w->params->centred) {
        ROW_SUMS(1, mean, n, fetch_next(VECTORS, w, x + i, n);
                 if (VECTORS > 1 && w->past)
                     late_step(w, l);
                 STEP_VECS acc[0][v] += get(x + i, v, left, zero))
    }
    const real m = (real)(mean[0] / (double)n);
    const vec at = splat(m);
    ROW_SUMS(2, sum, n, fetch_next(VECTORS, w, x + i, n); fetch_result(VECTORS, w, y + i);
        if (VECTORS > 1)
            late_step(w, l);
        STEP_VECS {
            vec d = get(x + i, v, left, at) - at;
            acc[0][v] += d;
            acc[1][v] = fused(d, d, acc[1][v]);
        })
    double low = 0;
    if (w->params->centred) {
        low = sum[0] / (double)n;
        sum[1] -= sum[0] * low;
    }
    double variance = sum[1] < 0 ? 0 : sum[1] / (double)n; /* not below 0 by rounding */
    row_stats s = {m, (real)low, 0};
    if (!(variance < (double)INFINITY))
        variance = BPI_CPU(wide_moments)(x, n, 1, w->params->centred, &s.mean, &s.low);
    s.scale = (real)(1 / sqrt(variance + w->params->eps));
    s.low = s.scale - s.scale == 0 ? s.low * s.scale : 0; /* 0 times infinite is NaN */
    return s;
}

static void forward_block(void *arg, int64_t block)
{
    const job own = *(const job *)arg, *w = &own; /* which no store of a vector can change */
    const int64_t end = bpi_rows_end(&w->x, block);
    late_row late = {.at = 0};
    for (int64_t r = block * w->x.per_block; r < end; r++) {
        const real *x = bpi_row(&w->x, r);
        real *y = bpi_row(&w->y, r);
        const row_stats s = stats_of(w, x, y, &late);
        if (w->stats)
            w->stats[r] = s;
        late = (late_row){.x = x, .y = y, .stats = s};
        late_begin(w, &late);
    }
    while (late.at < late.end)
        late_step(w, &late);
    stream_end();
}

static bp_status forward(bp_exec *ex, const bp_view *in, const bp_view *out, const void *params)
{
    const bpi_layer_norm_params *p = params;
    const int32_t outer = in->shape.ndim - 1;
    job w = {.x = bpi_rows_of(in, outer), .y = bpi_rows_of(out, outer), .params = p,
             .gain = p->gain ? in[1].data : NULL, .bias = p->bias ? in[2].data : NULL,
             .stats = out[1].data};
    w.far = bpi_rows_bytes(&w.x) >= FAR_BYTES;
    w.past = bpi_rows_bytes(&w.x) >= PAST_BYTES;
    bp_parallel_for(ex, bpi_rows_cut(&w.x, BPI_GRAIN_EXP), forward_block, &w);
    return BP_OK;
}

static size_t aux_bytes(const bp_view *in, const void *params)
{
    (void)params;
    return (size_t)bpi_rows_of(in, in->shape.ndim - 1).n * sizeof(row_stats);
}

/* --- backward ---------------------------------------------------------------------------- */

/* What a block adds to dgain and dbias: of up to ROWS rows in `real`, then in double. */
typedef struct gain_sums {
    double *total;     /* [2][size]; NULL: not wanted */
    real *gain, *bias; /* [size] */
} gain_sums;

/* Rows whose sums meet in `real`; elements of x that stay in cache with dy; doubles of a block's
 * sums for a column. */
enum { ROWS = 16, CACHED = 32768, SUMS = 2 + 2 * sizeof(real) / sizeof(double) };

/* What dx = (dz - a - z b) scale needs of a row. */
typedef struct row_slope {
    row_stats at;
    real a, b;
} row_slope;

INLINE row_slope slope_of(const int gain, const job *w, int64_t r)
{
    const int64_t n = w->x.size;
    const row_stats s = w->stats[r];
    const real *x = bpi_row(&w->x, r), *dy = bpi_row(&w->dy, r), *dx = bpi_row(&w->y, r);
    const vec mean = splat(s.mean), low = splat(s.low), scale = splat(s.scale), zero = splat(0);
    double sum[2];
    ROW_SUMS(2, sum, n, fetch_next(VECTORS, w, x + i, n); fetch_next(VECTORS, w, dy + i, n);
        fetch_result(VECTORS, w, dx + i);
        STEP_VECS {
            vec dz = get(dy + i, v, left, zero);
            if (gain)
                dz = dz * get(w->gain + i, v, left, zero);
            acc[0][v] += dz;
            acc[1][v] = fused(dz, standard(x + i, v, left, mean, low, scale), acc[1][v]);
        })
    const double a = w->params->centred ? sum[0] / (double)n : 0;
    return (row_slope){s, (real)a, (real)(sum[1] / (double)n)};
}

/* dx, where it is wanted, of up to ROWS rows with a gain, or without; with one, their part of the
 * sums. A strip of columns is done for one row after the other. */
INLINE void gradients(const int gain, const job *w, int64_t first, int64_t rows,
                      const gain_sums *to)
{
    const vec zero = splat(0);
    row_slope s[ROWS];
    for (int64_t r = 0; r < rows; r++)
        s[r] = w->y.data ? slope_of(gain, w, first + r) : (row_slope){w->stats[first + r], 0, 0};
    PAST_STEPS(w->past, bpi_row(&w->y, first), w->x.size,
        vec g[GROUP], dgain[GROUP], dbias[GROUP];
        STEP_VECS {
            g[v] = gain ? get(w->gain + i, v, left, zero) : zero;
            dgain[v] = dbias[v] = zero;
        }
        for (int64_t r = 0; r < rows; r++) {
            const real *x = bpi_row(&w->x, first + r) + i, *dy = bpi_row(&w->dy, first + r) + i;
            real *dx = bpi_row(&w->y, first + r) + i;
            fetch_next(VECTORS, w, x, rows * w->x.pitch);
            fetch_next(VECTORS, w, dy, rows * w->dy.pitch);
            const vec mean = splat(s[r].at.mean), low = splat(s[r].at.low);
            const vec scale = splat(s[r].at.scale), a = splat(s[r].a), b = splat(s[r].b);
            vec to_x[GROUP];
            STEP_VECS {
                const vec d = get(dy, v, left, zero), z = standard(x, v, left, mean, low, scale);
                to_x[v] = fused(-z, b, (gain ? d * g[v] : d) - a) * scale;
                dgain[v] = fused(d, z, dgain[v]);
                dbias[v] += d;
            }
            if (w->y.data)
                STEP_VECS put_past(w->past, dx, v, left, to_x[v]);
        }
        if (gain && to->total)
            STEP_VECS {
                put(to->gain + i, v, left, get(to->gain + i, v, left, zero) + dgain[v]);
                put(to->bias + i, v, left, get(to->bias + i, v, left, zero) + dbias[v]);
            }
    )
}

/* Rows at a time: two at least, for the sums that they share are as long. */
static int64_t step_of(int64_t n) { return at_most(at_least(CACHED / at_least(n, 1), 2), ROWS); }

static void backward_block(void *arg, int64_t block)
{
    const job own = *(const job *)arg, *w = &own;
    const int64_t n = w->x.size, end = bpi_rows_end(&w->x, block), step = step_of(n);
    int64_t taken = 0;
    gain_sums to = {0};
    if (w->part) {
        to.total = w->part + SUMS * n * block;
        to.gain = (real *)(to.total + 2 * n);
        to.bias = to.gain + n;
        memset(to.total, 0, SUMS * (size_t)n * sizeof(double));
    }
    for (int64_t r = block * w->x.per_block, rows; r < end; r += rows) {
        rows = at_most(step, end - r);
        if (w->gain)
            gradients(1, w, r, rows, &to);
        else
            gradients(0, w, r, rows, &to);
        taken += rows;
        if (!w->part || (taken + step <= ROWS && r + rows < end))
            continue;
        taken = 0;
        for (int64_t i = 0; i < 2 * n; i++) {
            to.total[i] += (double)to.gain[i];
            to.gain[i] = 0;
        }
    }
    stream_end();
}

enum { COLUMNS = 512 };

static void columns_block(void *arg, int64_t block)
{
    const job *w = arg;
    const int64_t n = w->x.size, first = block * COLUMNS, count = at_most(n - first, COLUMNS);
    double dgain[COLUMNS] = {0}, dbias[COLUMNS] = {0};
    for (int64_t b = 0; b < w->blocks; b++) {
        const double *part = w->part + SUMS * n * b + first;
        BPI_EACH(count, dgain[i] += part[i]; dbias[i] += part[n + i])
    }
    for (int64_t i = 0; i < count; i++) {
        if (w->dgain)
            w->dgain[first + i] = (real)dgain[i];
        if (w->dbias)
            w->dbias[first + i] = (real)dbias[i];
    }
}

/* Blocks of 16 rows and more, whose sums are at most some MB. */
static int64_t cut_for_sums(bpi_rows *x)
{
    const int64_t most = at_most(at_least((1 << 20) / at_least(x->size, 1), 8), 64);
    x->per_block =
        at_least(at_least(parts(x->n, most), ROWS), BPI_GRAIN_EXP / at_least(x->size, 1));
    return parts(x->n, x->per_block);
}

static size_t workspace_bytes(const bp_view *in, const void *params)
{
    bpi_rows x = bpi_rows_of(in, in->shape.ndim - 1);
    return ((const bpi_layer_norm_params *)params)->gain
               ? (size_t)(SUMS * cut_for_sums(&x) * x.size) * sizeof(double)
               : 0;
}

static bp_status backward(bp_exec *ex, const bp_view *in, const bp_view *out, const void *params)
{
    const int32_t outer = in->shape.ndim - 1;
    job w = {.dy = bpi_rows_of(&in[0], outer), .x = bpi_rows_of(&in[1], outer),
             .gain = in[2].data, .stats = in[3].data, .dgain = out[1].data, .dbias = out[2].data,
             .params = params};
    w.far = bpi_rows_bytes(&w.x) >= FAR_BYTES;
    if (out[0].data) {
        w.y = bpi_rows_of(&out[0], outer); /* rows that are not aligned alike stay in cache */
        w.past = bpi_rows_bytes(&w.x) >= PAST_BYTES && w.y.pitch % LANES == 0;
    }
    const bool sums = w.dgain || w.dbias;
    w.blocks = sums ? cut_for_sums(&w.x) : bpi_rows_cut(&w.x, BPI_GRAIN_EXP);
    w.part = sums ? ex->workspace : NULL;
    bp_parallel_for(ex, w.blocks, backward_block, &w);
    if (sums)
        bp_parallel_for(ex, parts(w.x.size, COLUMNS), columns_block, &w);
    return BP_OK;
}

BPI_CPU_OP(layer_norm) = {
    .slot = {[BPI_FORWARD] = {.fn = forward, .layout = BPI_ROWS, .aux_bytes = aux_bytes},
             [BPI_BACKWARD] = {.fn = backward, .layout = BPI_ROWS,
                               .workspace_bytes = workspace_bytes}}};
