/* batch_norm: every column of a batch by its own mean and variance.
 *
 *     forward:   x [N, C], gain, bias -> y, mean, variance; aux: what layer_norm.c keeps of a row
 *                y = (x - mean) / sqrt(variance + eps) gain + bias; the variance that is handed out
 *                is that of N - 1
 *     backward:  dy, x, gain, aux -> dx, dgain, dbias: the formulas of layer_norm.c, with columns
 *                for rows
 *
 * A strip is STEP columns, a chunk some rows of one, which stay in cache. First each chunk has its
 * sums taken, forward those of distances from its own mean; then the chunks of a strip are added
 * up, in order; then each is written. With one chunk a block does all of it. Floor: x read twice, y
 * written; backward dy and x read twice, dx written. The rule: src/ops/batch_norm.c. */
#include "cpu/moments.h"
#include "cpu/vec_rows.h"
#include "door/kernel_params.h"

enum { CHUNK = 8192 }; /* elements */

typedef struct column_stats {
    real mean, low, scale; /* z = ((x - mean) - low) scale */
} column_stats;

/* Of a column in a chunk: its mean, in two parts, and the squares of distances from it; backward the
 * sums of dy and dy z. */
typedef struct part {
    double a, b, squares;
} part;

typedef struct job {
    bpi_rows x, dy, y;        /* backward: y is dx, data NULL where it is not wanted */
    const real *gain, *bias;  /* [C] */
    column_stats *stats;      /* [C], or NULL */
    real *mean, *variance;    /* [C] */
    real *dgain, *dbias;      /* [C], or NULL */
    double eps;
    int64_t rows, chunks, strips;
    part *parts;              /* [chunks][C], in the workspace; then [C] of what follows */
    column_stats *found;      /* forward: stats, also where nobody keeps them */
    real *means;              /* backward: [2][C], of dy and dy z */
} job;

/* Rows and columns of block i. */
typedef struct piece {
    int64_t row, end, first, left;
} piece;

static piece piece_of(const job *w, int64_t chunk, int64_t strip)
{
    const int64_t row = chunk * w->rows, first = strip * STEP;
    return (piece){row, at_most(row + w->rows, w->x.n), first, at_most(w->x.size - first, STEP)};
}

static int64_t chunk_rows(const bp_view *x)
{
    return at_least(CHUNK / at_least(at_most(x->shape.dim[1], STEP), 1), 16);
}

static size_t workspace_bytes(const bp_view *in, const void *params)
{
    (void)params;
    const bp_view *x = &in[0]; /* backward: dy, which is alike */
    const size_t chunks = (size_t)parts(x->shape.dim[0], chunk_rows(x));
    return (size_t)x->shape.dim[1] * (chunks * sizeof(part) + sizeof(column_stats));
}

static void cut(job *w, const bp_view *x, void *workspace)
{
    w->rows = chunk_rows(x);
    w->chunks = parts(w->x.n, w->rows);
    w->strips = parts(w->x.size, STEP);
    w->parts = workspace;
    w->found = (column_stats *)(w->parts + w->chunks * w->x.size);
    w->means = (real *)w->found;
}

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

/* --- forward ---------------------------------------------------------------------------------- */

static void moments(const job *w, int64_t chunk, int64_t s)
{
    const piece at = piece_of(w, chunk, s);
    const int64_t left = at.left, n = at.end - at.row;
    const real *x = w->x.data + at.row * w->x.pitch + at.first;
    const vec zero = splat(0);
    double total[1][STEP] = {{0}}, apart[2][STEP] = {{0}};
    real mean[STEP];
    vec m[GROUP];
    COLUMN_SUMS(1, total, n, EACH_VEC acc[0][v] += get(x + r * w->x.pitch, v, left, zero))
    for (int64_t j = 0; j < STEP; j++)
        mean[j] = (real)(total[0][j] / (double)n);
    EACH_VEC m[v] = load(mean + v * LANES);
    COLUMN_SUMS(2, apart, n,
        EACH_VEC {
            vec d = get(x + r * w->x.pitch, v, left, zero) - m[v];
            acc[0][v] += d;
            acc[1][v] += d * d;
        })
    part *of = w->parts + chunk * w->x.size + at.first;
    for (int64_t j = 0; j < left; j++) {
        const double low = apart[0][j] / (double)n;
        of[j] = (part){(double)mean[j], low, apart[1][j] - apart[0][j] * low};
    }
}

/* A chunk's mean, as the distance from that of the first: equal ones are the mean. */
static double apart_of(const job *w, int64_t chunk, int64_t column)
{
    const part *p = &w->parts[chunk * w->x.size + column];
    return (p->a - w->parts[column].a) + p->b;
}

/* Chunks whose means are apart have the squares of that as well. */
static void join(const job *w, int64_t s)
{
    const piece at = piece_of(w, 0, s);
    const double n = (double)w->x.n;
    for (int64_t j = at.first; j < at.first + at.left; j++) {
        double apart = 0, squares = 0;
        column_stats t;
        for (int64_t k = 0; k < w->chunks; k++) {
            const piece of = piece_of(w, k, s);
            apart += apart_of(w, k, j) * ((double)(of.end - of.row) / n);
        }
        for (int64_t k = 0; k < w->chunks; k++) {
            const piece of = piece_of(w, k, s);
            const double d = apart_of(w, k, j) - apart;
            squares += w->parts[k * w->x.size + j].squares + (double)(of.end - of.row) * d * d;
        }
        double variance = squares < 0 ? 0 : squares / n; /* not below 0 by rounding */
        t.mean = (real)(w->parts[j].a + apart);
        t.low = (real)((w->parts[j].a - (double)t.mean) + apart);
        if (!(variance < (double)INFINITY))
            variance = BPI_CPU(wide_moments)(w->x.data + j, w->x.n, w->x.pitch, 1, &t.mean, &t.low);
        t.scale = (real)(1 / sqrt(variance + w->eps));
        w->mean[j] = (real)((double)t.mean + (double)t.low);
        w->variance[j] = (real)(variance * n / (n - 1));
        w->found[j] = t;
        if (w->stats)
            w->stats[j] = t;
    }
}

static void normalise(const job *w, int64_t chunk, int64_t s)
{
    const piece at = piece_of(w, chunk, s);
    const int64_t first = at.first, left = at.left;
    const strip t = strip_of(w->found + first, left);
    const vec zero = splat(0);
    vec gain[GROUP], bias[GROUP];
    EACH_VEC {
        gain[v] = get(w->gain + first, v, left, zero);
        bias[v] = get(w->bias + first, v, left, zero);
    }
    for (int64_t r = at.row; r < at.end; r++) {
        const real *x = w->x.data + r * w->x.pitch + first;
        EACH_VEC put(bpi_row(&w->y, r) + first, v, left,
                     standard(&t, v, get(x, v, left, zero)) * gain[v] + bias[v]);
    }
}

#define BLOCK_OF_CHUNK(name)                                            \
    static void name##_block(void *arg, int64_t block)                  \
    {                                                                   \
        const job *w = arg;                                             \
        name(w, block / w->strips, block % w->strips);                  \
    }
#define BLOCK_OF_STRIP(name)                                            \
    static void name##_block(void *arg, int64_t block)                  \
    {                                                                   \
        name(arg, block);                                               \
    }
BLOCK_OF_CHUNK(moments)
BLOCK_OF_STRIP(join)
BLOCK_OF_CHUNK(normalise)

static void forward_block(void *arg, int64_t s)
{
    moments(arg, 0, s);
    join(arg, s);
    normalise(arg, 0, s);
}

static void in_turn(bp_exec *ex, job *w, const bp_block_fn *body)
{
    bp_parallel_for(ex, w->chunks * w->strips, body[0], w);
    bp_parallel_for(ex, w->strips, body[1], w);
    bp_parallel_for(ex, w->chunks * w->strips, body[2], w);
}

static bp_status forward(bp_exec *ex, const bp_view *in, const bp_view *out, const void *params)
{
    job w = {.x = bpi_rows_of(in, 1), .y = bpi_rows_of(out, 1), .gain = in[1].data,
             .bias = in[2].data, .mean = out[1].data, .variance = out[2].data,
             .stats = out[3].data, .eps = ((const bpi_batch_norm_params *)params)->eps};
    cut(&w, in, ex->workspace);
    if (w.chunks == 1)
        bp_parallel_for(ex, w.strips, forward_block, &w);
    else
        in_turn(ex, &w, (const bp_block_fn[]){moments_block, join_block, normalise_block});
    return BP_OK;
}

static size_t aux_bytes(const bp_view *in, const void *params)
{
    (void)params;
    return (size_t)in->shape.dim[1] * sizeof(column_stats);
}

/* --- backward --------------------------------------------------------------------------------- */

static void products(const job *w, int64_t chunk, int64_t s)
{
    const piece at = piece_of(w, chunk, s);
    const int64_t left = at.left;
    const real *x = w->x.data + at.row * w->x.pitch + at.first;
    const real *dy = w->dy.data + at.row * w->dy.pitch + at.first;
    const strip t = strip_of(w->stats + at.first, left);
    const vec zero = splat(0);
    double total[2][STEP] = {{0}};
    COLUMN_SUMS(2, total, at.end - at.row,
        EACH_VEC {
            vec d = get(dy + r * w->dy.pitch, v, left, zero);
            acc[0][v] += d;
            acc[1][v] += d * standard(&t, v, get(x + r * w->x.pitch, v, left, zero));
        })
    for (int64_t j = 0; j < left; j++)
        w->parts[chunk * w->x.size + at.first + j] = (part){total[0][j], total[1][j], 0};
}

static void add(const job *w, int64_t s)
{
    const piece at = piece_of(w, 0, s);
    for (int64_t j = at.first; j < at.first + at.left; j++) {
        part sum = {0, 0, 0};
        for (int64_t k = 0; k < w->chunks; k++) {
            sum.a += w->parts[k * w->x.size + j].a;
            sum.b += w->parts[k * w->x.size + j].b;
        }
        w->means[j] = (real)(sum.a / (double)w->x.n);
        w->means[w->x.size + j] = (real)(sum.b / (double)w->x.n);
        if (w->dbias)
            w->dbias[j] = (real)sum.a;
        if (w->dgain)
            w->dgain[j] = (real)sum.b;
    }
}

static void spread(const job *w, int64_t chunk, int64_t s)
{
    const piece at = piece_of(w, chunk, s);
    const int64_t first = at.first, left = at.left;
    const strip t = strip_of(w->stats + first, left);
    const vec zero = splat(0);
    vec mean[GROUP], product[GROUP], gain[GROUP];
    EACH_VEC {
        mean[v] = get(w->means + first, v, left, zero);
        product[v] = get(w->means + w->x.size + first, v, left, zero);
        gain[v] = get(w->gain + first, v, left, zero) * t.scale[v];
    }
    for (int64_t r = at.row; w->y.data && r < at.end; r++)
        EACH_VEC {
            vec d = get(w->dy.data + r * w->dy.pitch + first, v, left, zero) - mean[v];
            vec z = standard(&t, v, get(w->x.data + r * w->x.pitch + first, v, left, zero));
            put(bpi_row(&w->y, r) + first, v, left, (d - z * product[v]) * gain[v]);
        }
}

BLOCK_OF_CHUNK(products)
BLOCK_OF_STRIP(add)
BLOCK_OF_CHUNK(spread)

static void backward_block(void *arg, int64_t s)
{
    products(arg, 0, s);
    add(arg, s);
    spread(arg, 0, s);
}

static bp_status backward(bp_exec *ex, const bp_view *in, const bp_view *out, const void *params)
{
    (void)params;
    job w = {.dy = bpi_rows_of(&in[0], 1), .x = bpi_rows_of(&in[1], 1), .gain = in[2].data,
             .stats = in[3].data, .dgain = out[1].data, .dbias = out[2].data};
    if (out[0].data)
        w.y = bpi_rows_of(&out[0], 1);
    cut(&w, in, ex->workspace);
    if (w.chunks == 1)
        bp_parallel_for(ex, w.strips, backward_block, &w);
    else
        in_turn(ex, &w, (const bp_block_fn[]){products_block, add_block, spread_block});
    return BP_OK;
}

BPI_CPU_OP(batch_norm) = {
    .slot = {[BPI_FORWARD] = {.fn = forward, .layout = BPI_ROWS, .aux_bytes = aux_bytes,
                              .workspace_bytes = workspace_bytes},
             [BPI_BACKWARD] = {.fn = backward, .layout = BPI_ROWS,
                               .workspace_bytes = workspace_bytes}}};
