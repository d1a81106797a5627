/* conv2d_filter: the product of two batches of images over their pixels.
 *
 *     forward:  y [N, P, Q, O], x [N, H, W, C] -> w [O, R, S, C / groups]
 *
 * A block takes some images and some of w, to a sum of its own; the sums of the same part of w are
 * added in order. A row of filters sees runs of S C neighbours, of which each pixel's begins a
 * little further on: a product over pixels, whose rows are those neighbours and whose lanes are
 * filters, or the other way round, whichever wastes fewer lanes. It takes some rows of an image at
 * a time, with their padding where there is some (conv.h), so that they stay near. The rule:
 * src/ops/conv.c. */
#include <string.h>

#include "cpu/conv.h"
#include "cpu/vec.h"

enum {
    BLOCKS = 16,       /* about as many, and sums at most */
    SUM_PIXELS = 1024, /* of y in a sum, at least: adding sums up is a pass over each */
    NEAR = 10240,      /* of a panel of y and of x beside it that stay in the first cache, */
    NEAR_PIXELS = 224  /* or pixels of a panel that does, at most */
};

typedef struct job {
    bpi_conv g;
    const real *y, *x;
    real *w, *workspace;
    int turned, inside;     /* lanes are filters, and sums [R S C][O] of a group; no padding */
    int in_place;           /* no panel of y: few products would use it */
    int64_t run, taps;      /* neighbours in a run, runs of a group */
    int64_t sums, per_sum;  /* images of one */
    int64_t panels, items;  /* of a run's lanes; runs of all panels of all groups, */
    int64_t pieces, per_piece; /* so many of which are a block's */
    int64_t strip, near;    /* rows of y whose x is brought at once, and that are in a panel */
    int64_t rows, scratch;  /* elements of the rows brought, and of a block's scratch memory */
} job;

static int64_t size_of(const bpi_conv *g)
{
    return g->o * g->r * g->s * g->cg;
}

/* Vectors of a step: so many lanes, and rows of tiles beside them. */
static int64_t vectors(int64_t rows, int64_t lanes)
{
    return rows * parts(lanes, LANES);
}

/* Rows of y that are at hand together with their rows of x, for all of w: so many that what is
 * added up is worth the pass over the sums. */
static int64_t strip_rows(const bpi_conv *g)
{
    const int64_t most = at_least(2 * CONV_SCRATCH, size_of(g) / 3);
    const int64_t rows = at_most(most / (g->down * g->w * g->c + g->q * g->o) + 1, g->p);
    return parts(g->p, parts(g->p, rows));
}

/* Rows of y in a panel. */
static int64_t near_rows(const job *j)
{
    const bpi_conv *g = &j->g;
    const int64_t most = at_least(NEAR_PIXELS / g->q, 1);
    const int64_t lanes = j->in_place ? g->o : PANEL_COLS;
    const int64_t fit = NEAR / (g->q * lanes + g->down * conv_width(g) * g->c);
    const int64_t rows = 3 * fit * g->q >= NEAR_PIXELS ? fit : j->in_place ? most / 2 : most;
    return parts(j->strip, parts(j->strip, at_most(at_least(rows, 1), most)));
}

/* Sums are as many as a power of two, and pieces end with a panel where they hold one: so blocks
 * are equal, and a multiple of any usual number of threads. */
static void cut(job *j)
{
    const bpi_conv *g = &j->g;
    const int64_t most = at_most(g->n * g->p * g->q / SUM_PIXELS, BLOCKS);
    const int whole = g->groups == 1 && (g->beside == 1 || g->s == 1);
    int64_t sums = 1;
    while (2 * sums <= most)
        sums *= 2;
    j->run = whole ? g->s * g->c : g->cg;
    j->taps = whole ? g->r : g->r * g->s;
    j->turned = is_depthwise(g) || vectors(j->run, g->og) <= vectors(g->og, j->run);
    j->in_place = j->turned && j->taps * j->run <= 4 * PANEL_COLS && g->o <= 2 * PANEL_COLS;
    j->inside = conv_is_inside(g);
    j->per_sum = at_least(parts(g->n, sums), 1);
    j->sums = parts(g->n, j->per_sum);
    j->panels = parts(j->turned ? g->og : j->run, PANEL_COLS);
    j->items = is_depthwise(g) ? 1 : g->groups * j->panels * j->taps;
    const int64_t blocks = conv_work(g) < CONV_WORK ? 1 : BLOCKS;
    j->per_piece = parts(j->items, at_least(blocks / at_least(j->sums, 1), 1));
    if (j->per_piece > j->taps)
        j->per_piece -= j->per_piece % j->taps;
    j->pieces = parts(j->items, j->per_piece);
    j->strip = strip_rows(g);
    j->near = near_rows(j);
    j->rows = j->inside ? 0 : conv_height(g, j->strip) * conv_width(g) * g->c;
    j->scratch = is_depthwise(g) ? 0 : j->rows + (j->turned ? j->near * g->q * PANEL_COLS : 0);
}

/* --- sums ------------------------------------------------------------------------------------- */

/* Rows of an image of y, and the rows of x that they look at, `pitch` apart; what is read a strip
 * later; whether nothing is in the sums yet. */
typedef struct strip {
    const real *y, *x;
    int64_t rows, pitch;
    bpi_ahead ahead[2];
    int first;
} strip;

/* A run of a group, the panel's lanes from `lane` on. `panel`: y's, if lanes are filters. */
static void take_tap(const job *j, const strip *t, int64_t group, int64_t lane, int64_t tap,
                     const real *panel, real *sum, const bpi_ahead *ahead)
{
    const bpi_conv *g = &j->g;
    const int whole = j->taps == g->r;
    const int64_t r = whole ? tap : tap / g->s, s = whole ? 0 : tap % g->s;
    const int64_t k = g->r * g->s * g->cg, step = g->across * g->c;
    const int64_t next = g->down * t->pitch - g->q * step;
    const real *x = t->x + r * g->apart * t->pitch + s * g->beside * g->c + group * g->cg;
    const real *y = t->y + group * g->og;
    bpi_gemm m = {.a_row = 1, .runs = t->rows, .accumulate = !t->first,
                  .c = sum + group * g->og * k};
    int64_t pixels = g->q;
    if (next == 0) { /* nothing between rows: they are one */
        pixels *= t->rows;
        m.runs = 1;
    }
    if (j->turned) {
        m.n = m.c_row = g->og;
        m.c += tap * j->run * g->og;
        m.a_col = step, m.a_next = next;
        BPI_CPU(gemm_strip)(&m, j->run, lane, pixels, x, j->in_place ? y + lane : panel,
                            j->in_place ? g->o : PANEL_COLS, ahead);
    } else {
        m.n = j->run, m.c_row = k;
        m.c += tap * j->run;
        m.a_col = g->o, m.b_next = next;
        BPI_CPU(gemm_strip)(&m, g->og, lane, pixels, y, x + lane, step, ahead);
    }
}

static bpi_ahead part_of(bpi_ahead a, int64_t i, int64_t n)
{
    const int64_t from = a.size * i / n;
    return (bpi_ahead){a.from + from, a.size * (i + 1) / n - from};
}

/* Items [begin, end), of rows of an image that are near. */
static void take_near(const job *j, const strip *t, int64_t begin, int64_t end, real *panel,
                      real *sum)
{
    const bpi_conv *g = &j->g;
    for (int64_t i = begin; i < end; i++) {
        const int64_t at = i / j->taps, group = at / j->panels;
        const int64_t lane = at % j->panels * PANEL_COLS;
        const bpi_ahead ahead[] = {part_of(t->ahead[0], i - begin, end - begin),
                                   part_of(t->ahead[1], i - begin, end - begin)};
        if (j->turned && !j->in_place && (i == begin || i % j->taps == 0))
            BPI_CPU(gemm_pack)(panel, lane, g->og, t->rows * g->q, t->y + group * g->og, g->o, 1);
        take_tap(j, t, group, lane, i % j->taps, panel, sum, j->in_place ? ahead : NULL);
    }
}

/* `count` rows of all images from row `from` on, as far as there are any. */
static bpi_ahead rows_of(const real *all, int64_t rows, int64_t size, int64_t from, int64_t count)
{
    from = at_most(from, rows);
    return (bpi_ahead){all + from * size, at_most(count, rows - from) * size};
}

static void take_image(const job *j, int64_t n, int64_t begin, int64_t end, int first, real *sum,
                       real *scratch)
{
    const bpi_conv *g = &j->g;
    const real *y = j->y + n * g->p * g->q * g->o, *x = j->x + n * g->h * g->w * g->c;
    for (int64_t p = 0; p < g->p; p += j->strip) {
        const int64_t rows = at_most(j->strip, g->p - p), h = p * g->down - g->top;
        const real *from = scratch;
        int64_t pitch = conv_width(g) * g->c;
        if (j->inside) {
            from = x + (h * g->w - g->left) * g->c;
            pitch = g->w * g->c;
        } else {
            BPI_CPU(conv_bring)(scratch, x, g, h, conv_height(g, rows));
        }
        for (int64_t i = 0; i < rows; i += j->near) {
            const int64_t near = at_most(j->near, rows - i), later = p + i + j->strip;
            const strip t = {
                y + (p + i) * g->q * g->o, from + i * g->down * pitch, near, pitch,
                {rows_of(j->y, g->n * g->p, g->q * g->o, n * g->p + later, near),
                 rows_of(j->x, g->n * g->h, g->w * g->c, n * g->h + later * g->down,
                         near * g->down)}, first && p + i == 0};
            take_near(j, &t, begin, end, scratch + j->rows, sum);
        }
    }
}

/* A piece of w, of some images. */
static void block_fn(void *arg, int64_t block)
{
    const job *j = arg;
    const bpi_conv *g = &j->g;
    const int64_t s = block / j->pieces, begin = block % j->pieces * j->per_piece;
    const int64_t first = s * j->per_sum, last = at_most(first + j->per_sum, g->n);
    const int64_t end = at_most(begin + j->per_piece, j->items);
    real *sum = j->workspace + s * size_of(g);
    real *scratch = j->workspace + j->sums * size_of(g) + block * j->scratch;
    for (int64_t n = first; n < last; n++)
        if (is_depthwise(g))
            BPI_CPU(depthwise_filter)(g, j->x + n * g->h * g->w * g->c,
                                      j->y + n * g->p * g->q * g->o, sum);
        else
            take_image(j, n, begin, end, n == first, sum, scratch);
}

static void zero_block(void *arg, int64_t s)
{
    const job *j = arg;
    memset(j->workspace + s * size_of(&j->g), 0, (size_t)size_of(&j->g) * sizeof(real));
}

/* --- w of the sums ---------------------------------------------------------------------------- */

/* `count` neighbours in all sums, added in order. */
INLINE vec added(const job *j, const real *from, int64_t count)
{
    vec sum = splat(0);
    for (int64_t s = 0; s < j->sums; s++)
        sum += load_fill(from + s * size_of(&j->g), count, splat(0));
    return sum;
}

/* LANES filters of a group, from `o` on; sums are [K][filters] where turned. */
static void add_filters(const job *j, const real *sum, int64_t filters, int64_t o, real *w)
{
    const int64_t k = j->g.r * j->g.s * j->g.cg, rows = at_most(filters - o, LANES);
    for (int64_t i = 0; i < k; i += LANES) {
        vec t[LANES];
        for (int64_t x = 0; x < LANES; x++)
            t[x] = !j->turned ? x < rows ? added(j, sum + (o + x) * k + i, k - i) : splat(0)
                   : i + x < k ? added(j, sum + (i + x) * filters + o, rows)
                               : splat(0);
        if (j->turned)
            transpose(t);
        for (int64_t x = 0; x < rows; x++)
            store_below(w + (o + x) * k + i, t[x], k - i);
    }
}

static void add_block(void *arg, int64_t block)
{
    const job *j = arg;
    const bpi_conv *g = &j->g;
    const int64_t filters = is_depthwise(g) ? g->o : g->og, blocks = parts(filters, LANES);
    const int64_t at = block / blocks * filters * g->r * g->s * g->cg; /* the group's */
    add_filters(j, j->workspace + at, filters, block % blocks * LANES, j->w + at);
}

static job job_of(const bp_view *in, const bpi_conv_params *p)
{
    const bp_view w = {.shape = BP_SHAPE(in[0].shape.dim[3], p->size[0], p->size[1],
                                         in[1].shape.dim[3] / p->how.groups)};
    job j = {.g = bpi_conv_of(&in[1], &w, &in[0], &p->how), .y = in[0].data, .x = in[1].data};
    cut(&j);
    return j;
}

static size_t workspace_bytes(const bp_view *in, const void *params)
{
    const job j = job_of(in, params);
    return (size_t)(j.sums * size_of(&j.g) + j.sums * j.pieces * j.scratch) * sizeof(real);
}

static bp_status forward(bp_exec *ex, const bp_view *in, const bp_view *out, const void *params)
{
    job j = job_of(in, params);
    j.w = out->data;
    j.workspace = ex->workspace;
    if (is_depthwise(&j.g))
        bp_parallel_for(ex, j.sums, zero_block, &j);
    bp_parallel_for(ex, j.sums * j.pieces, block_fn, &j);
    bp_parallel_for(ex, is_depthwise(&j.g) ? parts(j.g.o, LANES)
                                           : j.g.groups * parts(j.g.og, LANES), add_block, &j);
    return BP_OK;
}

BPI_CPU_OP(conv2d_filter) = {
    .slot[BPI_FORWARD] = {.fn = forward, .workspace_bytes = workspace_bytes}};
