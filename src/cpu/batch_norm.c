/* batch_norm: every column of a batch by its own mean and variance.
 *
 *     forward:   x [N, C], gain, bias -> y, mean, variance; aux: what layer_norm.c keeps of a row
 *                y = (x - mean) / sqrt(variance + eps) gain + bias; the variance that is handed out
 *                is that of N - 1
 *     backward:  dy, x, gain, aux -> dx, dgain, dbias: the formulas of layer_norm.c, with columns
 *                for rows
 *
 * A strip is STEP columns, a chunk some rows of one. Each chunk has its sums taken, forward those
 * of distances from the mean of its first SOME rows (these are in the sum of squares themselves, so
 * what is subtracted for them is at most rows / SOME times what stays); the chunks of a strip are
 * added up, in order; then each is written. With one chunk a block does all of it. Of few columns
 * `fold` rows are seen as one, so that no lanes are empty. Floor: x read twice, y written; backward
 * dy and x read twice, dx written. The rule: src/ops/batch_norm.c. */
#include "cpu/moments.h"
#include "cpu/vec_rows.h"
#include "door/kernel_params.h"

enum { CHUNK = 32768, SOME = 32 }; /* elements; rows */

typedef struct column_stats {
    real mean, low, scale; /* z = ((x - mean) - low) scale */
} column_stats;

/* Of a column in a chunk: its mean, as a number near it and the rest, and the squares of distances
 * from it; backward the sums of dy and dy z. */
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
    int64_t n, c, fold;       /* of x, dy and y rows are n / fold, with c fold elements */
    int64_t rows, chunks, strips;
    /* in the workspace; columns with what they are folded to */
    part *parts;              /* [chunks][fold C], then [fold C] of what follows: */
    column_stats *found;      /* stats */
    real *folded;             /* [2], gain and bias */
    real *means;              /* [2], of dy and dy z */
} job;

/* Rows and columns of block i. */
typedef struct piece {
    int64_t row, end, first, left;
} piece;

INLINE double rows_of(const job *w, int64_t chunk)
{
    return (double)at_most(w->x.n - chunk * w->rows, w->rows);
}

static piece piece_of(const job *w, int64_t chunk, int64_t strip)
{
    const int64_t row = chunk * w->rows, first = strip * STEP;
    return (piece){row, at_most(row + w->rows, w->x.n), first, at_most(w->x.size - first, STEP)};
}

/* How x [n, c] is cut. Rows that lie behind each other, in x and in dy, can be folded; y and dx are
 * packed. */
static void cut(job *w, const bp_view *x, const bp_view *dy)
{
    w->n = x->shape.dim[0];
    w->c = x->shape.dim[1];
    w->fold = 1;
    const int packed = x->stride[0] == w->c && dy->stride[0] == w->c && w->c > 0;
    while (packed && 2 * w->fold * w->c <= STEP && w->n % (2 * w->fold) == 0)
        w->fold *= 2;
    const int64_t size = w->c * w->fold;
    w->rows = at_least(CHUNK / at_least(at_most(size, STEP), 1), 16);
    w->chunks = parts(w->n / w->fold, w->rows);
    w->strips = parts(size, STEP);
}

/* Whose parts of the workspace are whose. */
static void settle(job *w, void *workspace)
{
    const int64_t size = w->c * w->fold;
    w->parts = workspace;
    w->found = (column_stats *)(w->parts + w->chunks * size);
    w->folded = (real *)(w->found + size);
    w->means = w->folded + 2 * size;
}

static size_t room_for(const bp_view *x, const bp_view *dy)
{
    job w;
    cut(&w, x, dy);
    return (size_t)(w.c * w.fold) * ((size_t)w.chunks * sizeof(part) + sizeof(column_stats) +
                                     4 * sizeof(real));
}

static size_t forward_bytes(const bp_view *in, const void *params)
{
    (void)params;
    return room_for(&in[0], &in[0]);
}

static size_t backward_bytes(const bp_view *in, const void *params)
{
    (void)params;
    return room_for(&in[1], &in[0]);
}

static bpi_rows fold_rows(bpi_rows r, int64_t fold)
{
    return (bpi_rows){r.data, r.n / fold, r.size * fold, r.pitch * fold, r.per_block};
}

/* c numbers, as often as columns are folded. */
static const real *fold_numbers(const job *w, const real *from, real *to)
{
    for (int64_t i = 0; i < w->c * w->fold; i++)
        to[i] = from[i % w->c];
    return to;
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
    const int64_t n = at.end - at.row, some = at_most(n, SOME), pitch = w->x.pitch;
    const real *x = w->x.data + at.row * pitch + at.first;
    double total[1][STEP] = {{0}}, apart[2][STEP] = {{0}};
    real mean[STEP];
    vec m[GROUP];
    COLUMN_SUMS(1, total, some, EACH_VEC acc[0][v] += get(x + r * pitch, v, at.left, splat(0)))
    EACH_VEC {
        m[v] = mean_vec(total[0] + v * LANES, (double)some);
        store(mean + v * LANES, m[v]);
    }
    COLUMNS(at.left, COLUMN_SUMS(2, apart, n,
        EACH_VEC {
            vec d = get(x + r * pitch, v, left, splat(0)) - m[v];
            acc[0][v] += d;
            acc[1][v] += d * d;
        }))
    part *of = w->parts + chunk * w->x.size + at.first;
    const double share = 1 / (double)n;
    for (int64_t j = 0; j < at.left; j++) {
        const double low = apart[0][j] * share;
        of[j] = (part){(double)mean[j], low, apart[1][j] - apart[0][j] * low};
    }
}

/* What is known of column j from rows k: columns that are folded are one. */
static const part *part_of(const job *w, int64_t k, int64_t j)
{
    return w->parts + k / w->fold * w->x.size + k % w->fold * w->c + j;
}

/* The mean in a chunk, as the distance from that in the first: equal ones are the mean. */
INLINE double apart_of(const part *p, const part *first)
{
    return (p->a - first->a) + p->b;
}

/* Column j, whose mean is `apart` from that of the first rows; its squares of distances from it. */
static void settle_column(const job *w, int64_t j, double apart, double squares)
{
    const double n = (double)w->n, first = part_of(w, 0, j)->a;
    double variance = squares < 0 ? 0 : squares / n; /* not below 0 by rounding */
    column_stats t = {.mean = (real)(first + apart)};
    t.low = (real)((first - (double)t.mean) + apart);
    if (!(variance < (double)INFINITY))
        variance = BPI_CPU(wide_moments)(w->x.data + j, w->n, w->x.pitch / w->fold, 1, &t.mean,
                                         &t.low);
    t.scale = (real)(1 / sqrt(variance + w->eps));
    w->mean[j] = (real)((double)t.mean + (double)t.low);
    w->variance[j] = (real)(variance * n / (n - 1));
    for (int64_t f = 0; f < w->fold; f++)
        w->found[f * w->c + j] = t;
    if (w->stats)
        w->stats[j] = t;
}

/* Chunks whose means are apart have the squares of that as well. Column by column in the inner
 * loop: those do not wait for each other. */
static void join(const job *w, int64_t s)
{
    const int64_t from = s * STEP, columns = at_most(w->c - from, STEP);
    const part *first = part_of(w, 0, from);
    double apart[STEP] = {0}, squares[STEP] = {0};
    for (int64_t k = 0; k < w->chunks * w->fold; k++) {
        const part *p = part_of(w, k, from);
        const double share = rows_of(w, k / w->fold) / (double)w->n;
        for (int64_t j = 0; j < columns; j++)
            apart[j] += apart_of(p + j, first + j) * share;
    }
    for (int64_t k = 0; k < w->chunks * w->fold; k++) {
        const part *p = part_of(w, k, from);
        const double rows = rows_of(w, k / w->fold);
        for (int64_t j = 0; j < columns; j++) {
            const double d = apart_of(p + j, first + j) - apart[j];
            squares[j] += p[j].squares + rows * d * d;
        }
    }
    for (int64_t j = 0; j < columns; j++)
        settle_column(w, from + j, apart[j], squares[j]);
}

static void normalise(const job *w, int64_t chunk, int64_t s)
{
    const piece at = piece_of(w, chunk, s);
    const strip t = strip_of(w->found + at.first, at.left);
    const int64_t pitch = w->x.pitch, next = w->y.pitch;
    const real *x = w->x.data + at.row * pitch + at.first;
    real *y = bpi_row(&w->y, at.row) + at.first;
    vec gain[GROUP], bias[GROUP];
    EACH_VEC gain[v] = get(w->gain + at.first, v, at.left, splat(0));
    EACH_VEC bias[v] = get(w->bias + at.first, v, at.left, splat(0));
    COLUMNS(at.left, for (int64_t r = at.row; r < at.end; r++, x += pitch, y += next)
        EACH_VEC put(y, v, left, standard(&t, v, get(x, v, left, splat(0))) * gain[v] + bias[v]);)
}

#define BLOCK(name, ...)                                     \
    static void name##_block(void *arg, int64_t block)       \
    {                                                        \
        const job *w = arg;                                  \
        name(w, __VA_ARGS__);                                \
    }
BLOCK(moments, block / w->strips, block % w->strips)
BLOCK(join, block)
BLOCK(normalise, block / w->strips, block % w->strips)

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
    job w = {.mean = out[1].data, .variance = out[2].data, .stats = out[3].data,
             .eps = ((const bpi_batch_norm_params *)params)->eps};
    cut(&w, &in[0], &in[0]);
    settle(&w, ex->workspace);
    w.x = fold_rows(bpi_rows_of(in, 1), w.fold);
    w.y = fold_rows(bpi_rows_of(out, 1), w.fold);
    w.gain = fold_numbers(&w, in[1].data, w.folded);
    w.bias = fold_numbers(&w, in[2].data, w.folded + w.x.size);
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
    const int64_t pitch = w->x.pitch, next = w->dy.pitch;
    const real *x = w->x.data + at.row * pitch + at.first;
    const real *dy = w->dy.data + at.row * next + at.first;
    const strip t = strip_of(w->found + at.first, at.left);
    double total[2][STEP] = {{0}};
    COLUMNS(at.left, COLUMN_SUMS(2, total, at.end - at.row,
        EACH_VEC {
            vec d = get(dy + r * next, v, left, splat(0));
            acc[0][v] += d;
            acc[1][v] += d * standard(&t, v, get(x + r * pitch, v, left, splat(0)));
        }))
    for (int64_t j = 0; j < at.left; j++)
        w->parts[chunk * w->x.size + at.first + j] = (part){total[0][j], total[1][j], 0};
}

static void add(const job *w, int64_t s)
{
    const int64_t from = s * STEP, columns = at_most(w->c - from, STEP);
    double a[STEP] = {0}, b[STEP] = {0};
    for (int64_t k = 0; k < w->chunks * w->fold; k++) {
        const part *p = part_of(w, k, from);
        for (int64_t j = 0; j < columns; j++) {
            a[j] += p[j].a;
            b[j] += p[j].b;
        }
    }
    for (int64_t j = 0; j < columns; j++) {
        for (int64_t f = 0; f < w->fold; f++) {
            real *mean = w->means + f * w->c + from + j;
            mean[0] = (real)(a[j] / (double)w->n);
            mean[w->x.size] = (real)(b[j] / (double)w->n);
        }
        if (w->dbias)
            w->dbias[from + j] = (real)a[j];
        if (w->dgain)
            w->dgain[from + j] = (real)b[j];
    }
}

static void spread(const job *w, int64_t chunk, int64_t s)
{
    const piece at = piece_of(w, chunk, s);
    const strip t = strip_of(w->found + at.first, at.left);
    const int64_t pitch = w->x.pitch, next = w->dy.pitch, after = w->y.pitch;
    const real *x = w->x.data + at.row * pitch + at.first;
    const real *dy = w->dy.data + at.row * next + at.first;
    const real *means = w->means + at.first;
    vec mean[GROUP], product[GROUP], gain[GROUP];
    if (!w->y.data)
        return;
    real *dx = bpi_row(&w->y, at.row) + at.first;
    EACH_VEC {
        mean[v] = get(means, v, at.left, splat(0));
        product[v] = get(means + w->x.size, v, at.left, splat(0));
        gain[v] = get(w->gain + at.first, v, at.left, splat(0)) * t.scale[v];
    }
    COLUMNS(at.left, for (int64_t r = at.row; r < at.end; r++, x += pitch, dy += next, dx += after)
        EACH_VEC {
            vec d = get(dy, v, left, splat(0)) - mean[v];
            vec z = standard(&t, v, get(x, v, left, splat(0)));
            put(dx, v, left, (d - z * product[v]) * gain[v]);
        })
}

BLOCK(products, block / w->strips, block % w->strips)
BLOCK(add, block)
BLOCK(spread, block / w->strips, block % w->strips)

static void backward_block(void *arg, int64_t s)
{
    products(arg, 0, s);
    add(arg, s);
    spread(arg, 0, s);
}

static bp_status backward(bp_exec *ex, const bp_view *in, const bp_view *out, const void *params)
{
    (void)params;
    const column_stats *stats = in[3].data;
    job w = {.dgain = out[1].data, .dbias = out[2].data};
    cut(&w, &in[1], &in[0]);
    settle(&w, ex->workspace);
    w.dy = fold_rows(bpi_rows_of(&in[0], 1), w.fold);
    w.x = fold_rows(bpi_rows_of(&in[1], 1), w.fold);
    if (out[0].data)
        w.y = fold_rows(bpi_rows_of(&out[0], 1), w.fold);
    w.gain = fold_numbers(&w, in[2].data, w.folded);
    for (int64_t i = 0; i < w.x.size; i++)
        w.found[i] = stats[i % w.c];
    if (w.chunks == 1)
        bp_parallel_for(ex, w.strips, backward_block, &w);
    else
        in_turn(ex, &w, (const bp_block_fn[]){products_block, add_block, spread_block});
    return BP_OK;
}

BPI_CPU_OP(batch_norm) = {
    .slot = {[BPI_FORWARD] = {.fn = forward, .layout = BPI_ROWS, .aux_bytes = aux_bytes,
                              .workspace_bytes = forward_bytes},
             [BPI_BACKWARD] = {.fn = backward, .layout = BPI_ROWS,
                               .workspace_bytes = backward_bytes}}};
