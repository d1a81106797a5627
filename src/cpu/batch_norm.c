/* batch_norm: every column of a batch by its own mean and variance.
 *
 *     forward:   x [N, C], gain, bias -> y, mean, variance; aux: what layer_norm.c keeps of a row
 *                y = (x - mean) / sqrt(variance + eps) gain + bias; the variance that is handed out
 *                is that of N - 1
 *     backward:  dy, x, gain, aux -> dx, dgain, dbias: the formulas of layer_norm.c, with columns
 *                for rows
 *
 * A block is a strip of STEP columns, which is walked three times, backward twice. Floor: 2
 * elements of memory traffic an element, backward 3, where a strip stays in cache. The rule:
 * src/ops/batch_norm.c. */
#include "cpu/moments.h"
#include "cpu/vec_rows.h"
#include "door/kernel_params.h"

typedef struct column_stats {
    real mean, low, scale; /* z = ((x - mean) - low) scale */
} column_stats;

typedef struct job {
    bpi_rows x, dy, y;        /* backward: y is dx, data NULL where it is not wanted */
    const real *gain, *bias;  /* [C] */
    column_stats *stats;      /* [C], or NULL */
    real *mean, *variance;    /* [C] */
    real *dgain, *dbias;      /* [C], or NULL */
    double eps;
} job;

/* What the columns of a strip have, as vectors. */
typedef struct strip {
    vec mean[GROUP], low[GROUP], scale[GROUP];
} strip;

INLINE strip strip_of(const column_stats *s, int64_t left)
{
    real mean[STEP] = {0}, low[STEP] = {0}, scale[STEP] = {0};
    for (int64_t j = 0; j < at_most(left, STEP); j++) {
        mean[j] = s[j].mean;
        low[j] = s[j].low;
        scale[j] = s[j].scale;
    }
    strip t;
    EACH_VEC {
        t.mean[v] = load(mean + v * LANES);
        t.low[v] = load(low + v * LANES);
        t.scale[v] = load(scale + v * LANES);
    }
    return t;
}

INLINE vec standard(const strip *t, int v, vec x)
{
    return ((x - t->mean[v]) - t->low[v]) * t->scale[v];
}

static void forward_block(void *arg, int64_t block)
{
    const job *w = arg;
    const int64_t first = block * STEP, left = at_most(w->x.size - first, STEP);
    const double n = (double)w->x.n;
    const real *x = w->x.data + first;
    const vec zero = splat(0);
    double total[1][STEP] = {{0}}, apart[2][STEP] = {{0}};
    column_stats s[STEP];
    COLUMN_SUMS(1, total, w->x.n, EACH_VEC acc[0][v] += get(x + r * w->x.pitch, v, left, zero))
    for (int64_t j = 0; j < STEP; j++)
        s[j] = (column_stats){(real)(total[0][j] / n), 0, 1};
    strip t = strip_of(s, left);
    COLUMN_SUMS(2, apart, w->x.n,
        EACH_VEC {
            vec d = get(x + r * w->x.pitch, v, left, zero) - t.mean[v];
            acc[0][v] += d;
            acc[1][v] += d * d;
        })
    for (int64_t j = 0; j < left; j++) {
        const double low = apart[0][j] / n, squares = apart[1][j] - apart[0][j] * low;
        double variance = squares < 0 ? 0 : squares / n; /* not below 0 by rounding */
        s[j].low = (real)low;
        if (!(variance < (double)INFINITY))
            variance = BPI_CPU(wide_moments)(x + j, w->x.n, w->x.pitch, 1, &s[j].mean, &s[j].low);
        s[j].scale = (real)(1 / sqrt(variance + w->eps));
        w->mean[first + j] = (real)((double)s[j].mean + (double)s[j].low);
        w->variance[first + j] = (real)(variance * n / (n - 1));
        if (w->stats)
            w->stats[first + j] = s[j];
    }
    t = strip_of(s, left);
    vec gain[GROUP], bias[GROUP];
    EACH_VEC {
        gain[v] = get(w->gain + first, v, left, zero);
        bias[v] = get(w->bias + first, v, left, zero);
    }
    for (int64_t r = 0; r < w->x.n; r++)
        EACH_VEC put(bpi_row(&w->y, r) + first, v, left,
                     standard(&t, v, get(x + r * w->x.pitch, v, left, zero)) * gain[v] + bias[v]);
}

static bp_status forward(bp_exec *ex, const bp_view *in, const bp_view *out, const void *params)
{
    job w = {.x = bpi_rows_of(in, 1), .y = bpi_rows_of(out, 1), .gain = in[1].data,
             .bias = in[2].data, .mean = out[1].data, .variance = out[2].data,
             .stats = out[3].data, .eps = ((const bpi_batch_norm_params *)params)->eps};
    bp_parallel_for(ex, parts(w.x.size, STEP), forward_block, &w);
    return BP_OK;
}

static size_t aux_bytes(const bp_view *in, const void *params)
{
    (void)params;
    return (size_t)in->shape.dim[1] * sizeof(column_stats);
}

static void backward_block(void *arg, int64_t block)
{
    const job *w = arg;
    const int64_t first = block * STEP, left = at_most(w->x.size - first, STEP);
    const real *x = w->x.data + first, *dy = w->dy.data + first;
    const strip t = strip_of(w->stats + first, left);
    const vec zero = splat(0);
    double total[2][STEP] = {{0}};
    COLUMN_SUMS(2, total, w->x.n,
        EACH_VEC {
            vec d = get(dy + r * w->dy.pitch, v, left, zero);
            acc[0][v] += d;
            acc[1][v] += d * standard(&t, v, get(x + r * w->x.pitch, v, left, zero));
        })
    real mean[STEP], product[STEP];
    for (int64_t j = 0; j < STEP; j++) {
        mean[j] = (real)(total[0][j] / (double)w->x.n);
        product[j] = (real)(total[1][j] / (double)w->x.n);
        if (j < left && w->dbias)
            w->dbias[first + j] = (real)total[0][j];
        if (j < left && w->dgain)
            w->dgain[first + j] = (real)total[1][j];
    }
    for (int64_t r = 0; w->y.data && r < w->x.n; r++)
        EACH_VEC {
            vec d = get(dy + r * w->dy.pitch, v, left, zero) - load(mean + v * LANES);
            vec z = standard(&t, v, get(x + r * w->x.pitch, v, left, zero));
            vec gain = get(w->gain + first, v, left, zero) * t.scale[v];
            put(bpi_row(&w->y, r) + first, v, left, (d - z * load(product + v * LANES)) * gain);
        }
}

static bp_status backward(bp_exec *ex, const bp_view *in, const bp_view *out, const void *params)
{
    (void)params;
    job w = {.dy = bpi_rows_of(&in[0], 1), .x = bpi_rows_of(&in[1], 1), .gain = in[2].data,
             .stats = in[3].data, .dgain = out[1].data, .dbias = out[2].data};
    if (out[0].data)
        w.y = bpi_rows_of(&out[0], 1);
    bp_parallel_for(ex, parts(w.x.size, STEP), backward_block, &w);
    return BP_OK;
}

BPI_CPU_OP(batch_norm) = {
    .slot = {[BPI_FORWARD] = {.fn = forward, .layout = BPI_ROWS, .aux_bytes = aux_bytes},
             [BPI_BACKWARD] = {.fn = backward, .layout = BPI_ROWS}}};
