/* conv2d_input: the transposed convolution.
 *
 *     forward:  y [N, P, Q, O], w [O, R, S, C / groups] -> x [N, H, W, C]
 *
 * With a stride of 1 it is a convolution of y by filters that are turned round (conv2d.c). Else,
 * and with few channels, which would leave lanes empty, each pixel of y is multiplied with all of
 * w, and the products are added to x, row by row of y. A block is some rows of an image of x, and
 * takes the rows of y that reach them. The rule: src/ops/conv.c. */
#include <string.h>

#include "cpu/conv.h"
#include "cpu/vec.h"

enum {
    FEW = 8,        /* channels */
    IMAGES = 16,    /* from so many on an image is one block */
    PIXELS = 24     /* whose products are at hand at a time, at most */
};

typedef struct job {
    bpi_conv g;
    const real *y, *w;
    real *x, *workspace;
    int64_t strips, tall; /* of an image, and the rows of one */
} job;

/* The convolution that does the same, where there is one: y for x. */
static int turned(const bpi_conv *g, bpi_conv *t)
{
    *t = *g;
    t->h = g->p, t->w = g->q, t->c = g->o, t->cg = g->og;
    t->p = g->h, t->q = g->w, t->o = g->c, t->og = g->cg;
    t->top = g->apart * (g->r - 1) - g->top;
    t->left = g->beside * (g->s - 1) - g->left;
    return g->down == 1 && g->across == 1 && (g->c >= FEW || is_depthwise(g));
}

static int64_t products(const bpi_conv *g) /* of a pixel, in a group */
{
    return g->r * g->s * g->cg;
}

/* w as panels [filters of a group][R S C], group by group. */
static int64_t panel_size(const bpi_conv *g)
{
    return panel_rows(g->og) * PANEL_COLS;
}
static int64_t panels(const bpi_conv *g)
{
    return is_depthwise(g) ? 0 : g->groups * parts(products(g), PANEL_COLS);
}

static void pack_block(void *arg, int64_t block)
{
    const job *j = arg;
    const bpi_conv *g = &j->g;
    const int64_t n = products(g), across = parts(n, PANEL_COLS);
    BPI_CPU(gemm_pack)(j->workspace + block * panel_size(g), block % across * PANEL_COLS, n, g->og,
                       j->w + block / across * g->og * n, n, 1);
}

/* Adds n products to neighbours in x. */
static void add_run(real *x, const real *from, int64_t n)
{
    int64_t i = 0;
    for (; i + LANES <= n; i += LANES)
        store(x + i, load(x + i) + load(from + i));
    if (n < LANES / 2) /* the next run begins in this one, and a part of a vector comes late */
        for (; i < n; i++)
            x[i] += from[i];
    else if (i < n)
        store_part(x + i, load_part(x + i, (int)(n - i)) + load_part(from + i, (int)(n - i)),
                   (int)(n - i));
}

/* The same of products that are not made yet. */
static void add_products(real *x, const real *from, const real *w, int64_t n)
{
    int64_t i = 0;
    for (; i + LANES <= n; i += LANES)
        store(x + i, load(x + i) + load(from + i) * load(w + i));
    if (i < n)
        store_part(x + i, load_part(x + i, (int)(n - i)) +
                   load_part(from + i, (int)(n - i)) * load_part(w + i, (int)(n - i)),
                   (int)(n - i));
}

/* Row h of x takes tap r's products of `pixels` pixels, the first of which is q. */
static void add_row(const bpi_conv *g, int64_t group, real *row, const real *from, int64_t q,
                    int64_t pixels)
{
    const int whole = g->groups == 1 && g->beside == 1; /* neighbours all along a row of filters */
    const int64_t run = whole ? g->s * g->c : g->cg;
    for (; pixels > 0; pixels--, q++, from += products(g))
        for (int64_t s = 0; s < (whole ? 1 : g->s); s++) {
            const int64_t at = (q * g->across + s * g->beside - g->left) * g->c + group * g->cg;
            const int64_t before = at_least(-at, 0), end = at_most(run, g->w * g->c - at);
            if (before < end)
                add_run(row + at + before, from + s * run + before, end - before);
        }
}

/* Row p of y, into rows [first, end) of the image x. */
static void take_row(const job *j, int64_t group, const real *y, int64_t p, real *x, int64_t first,
                     int64_t end, real *scratch)
{
    const bpi_conv *g = &j->g;
    const int64_t n = products(g), across = parts(n, PANEL_COLS);
    const real *b = j->workspace + group * across * panel_size(g);
    bpi_gemm m = {.n = n, .a_row = g->o, .a_col = 1, .c = scratch, .c_row = n};
    for (int64_t q = 0; q < g->q; q += PIXELS) {
        const int64_t pixels = at_most(PIXELS, g->q - q);
        for (int64_t k = 0; k < across; k++)
            BPI_CPU(gemm_strip)(&m, pixels, k * PANEL_COLS, g->og,
                                y + (p * g->q + q) * g->o + group * g->og, b + k * panel_size(g),
                                PANEL_COLS, NULL);
        for (int64_t r = 0; r < g->r; r++) {
            const int64_t h = p * g->down + r * g->apart - g->top;
            if (h >= first && h < end)
                add_row(g, group, x + h * g->w * g->c, scratch + r * g->s * g->cg, q, pixels);
        }
    }
}

/* Likewise where a channel of y has one of x: w is [R S][C]. */
static void take_depthwise(const job *j, const real *y, int64_t p, real *x, int64_t first,
                           int64_t end)
{
    const bpi_conv *g = &j->g;
    for (int64_t r = 0; r < g->r; r++) {
        const int64_t h = p * g->down + r * g->apart - g->top;
        for (int64_t s = 0; s < g->s && h >= first && h < end; s++) {
            const real *w = j->workspace + (r * g->s + s) * g->c;
            const int64_t offset = s * g->beside - g->left;
            int64_t q, last;
            conv_inside(offset, g->across, g->w, g->q, &q, &last);
            for (; q < last; q++)
                add_products(x + (h * g->w + q * g->across + offset) * g->c,
                             y + (p * g->q + q) * g->c, w, g->c);
        }
    }
}

static void block_fn(void *arg, int64_t block)
{
    const job *j = arg;
    const bpi_conv *g = &j->g;
    const int64_t n = block / j->strips, first = block % j->strips * j->tall;
    const int64_t end = at_most(first + j->tall, g->h);
    const real *y = j->y + n * g->p * g->q * g->o;
    real *x = j->x + n * g->h * g->w * g->c;
    real *scratch = j->workspace + panels(g) * panel_size(g) + block * PIXELS * products(g);
    /* rows of y that reach them: p down - top <= h <= p down - top + reach */
    const int64_t lowest = first + g->top - conv_height(g, 1) + 1;
    const int64_t from = lowest > 0 ? parts(lowest, g->down) : 0;
    memset(x + first * g->w * g->c, 0, (size_t)((end - first) * g->w * g->c) * sizeof *x);
    for (int64_t p = from; p < g->p && p * g->down - g->top < end; p++)
        if (is_depthwise(g))
            take_depthwise(j, y, p, x, first, end);
        else
            for (int64_t group = 0; group < g->groups; group++)
                take_row(j, group, y, p, x, first, end, scratch);
}

/* Of few images each is cut, so that several threads have work; a strip's edges are done twice. */
static void cut(job *j)
{
    const bpi_conv *g = &j->g;
    const int64_t wanted = g->n < IMAGES && conv_work(g) > CONV_WORK ? parts(IMAGES, g->n) : 1;
    j->tall = at_most(at_least(parts(g->h, wanted), 4 * conv_height(g, 1)), g->h);
    j->strips = parts(g->h, j->tall);
}

static bp_view image_of(const bp_view *in, const bpi_conv_params *p)
{
    return (bp_view){.shape = BP_SHAPE(in[0].shape.dim[0], p->size[0], p->size[1],
                                       in[1].shape.dim[3] * p->how.groups)};
}

static size_t workspace_bytes(const bp_view *in, const void *params)
{
    const bpi_conv_params *p = params;
    const bp_view x = image_of(in, p);
    job j = {.g = bpi_conv_of(&x, &in[1], &in[0], &p->how)};
    const bpi_conv *g = &j.g;
    bpi_conv t;
    if (turned(g, &t))
        return (size_t)BPI_CPU(correlation_room)(&t) * sizeof(real);
    if (is_depthwise(g))
        return (size_t)(g->r * g->s * g->c) * sizeof(real);
    if (g->n == 0)
        return 0;
    cut(&j);
    return (size_t)(panels(g) * panel_size(g) + g->n * j.strips * PIXELS * products(g)) *
           sizeof(real);
}

static bp_status forward(bp_exec *ex, const bp_view *in, const bp_view *out, const void *params)
{
    const bpi_conv_params *p = params;
    job j = {.g = bpi_conv_of(out, &in[1], &in[0], &p->how), .y = in[0].data, .w = in[1].data,
             .x = out->data, .workspace = ex->workspace};
    bpi_conv t;
    if (j.g.n == 0)
        return BP_OK;
    if (turned(&j.g, &t)) {
        bpi_correlation same = {.g = t, .x = j.y, .w = j.w, .y = j.x, .workspace = ex->workspace,
                                .flipped = 1};
        return BPI_CPU(correlate)(ex, &same);
    }
    cut(&j);
    const int64_t taps = j.g.r * j.g.s;
    for (int64_t i = 0; is_depthwise(&j.g) && i < taps * j.g.c; i++)
        j.workspace[i] = j.w[i % j.g.c * taps + i / j.g.c];
    bp_parallel_for(ex, panels(&j.g), pack_block, &j);
    bp_parallel_for(ex, j.g.n * j.strips, block_fn, &j);
    return BP_OK;
}

BPI_CPU_OP(conv2d_input) = {
    .slot[BPI_FORWARD] = {.fn = forward, .workspace_bytes = workspace_bytes}};
