/* conv2d: y = x over w, + b and ReLU as asked.
 *
 *     forward:  x [N, H, W, C], w [O, R, S, C / groups], b [O] if `bias` -> y [N, P, Q, O]
 *
 * Filters become panels once a call. A unit is a few rows of one image of y: its rows of x are
 * copied with their padding, unless there is none, and each row of y is then a strip of tiles a
 * panel (conv.h). Also conv2d_input's way where the stride is 1. The rule: src/ops/conv.c. */
#include <string.h>

#include "cpu/conv.h"

/* --- filters in order ------------------------------------------------------------------------- */

static int64_t panels_of(const bpi_conv *g)
{
    return is_depthwise(g) ? 1 : g->groups * parts(g->og, PANEL_COLS);
}

/* Elements of a panel; of all filters, where they are depthwise. */
static int64_t panel_size(const bpi_conv *g)
{
    return is_depthwise(g) ? g->r * g->s * g->c
                           : panel_rows(g->r * g->s * g->cg) * PANEL_COLS;
}

/* w as [R S][C]. */
static void pack_depthwise(const bpi_correlation *j, real *to)
{
    const int64_t taps = j->g.r * j->g.s;
    for (int64_t t = 0; t < taps; t++)
        for (int64_t c = 0; c < j->g.c; c++)
            *to++ = j->w[c * taps + (j->flipped ? taps - 1 - t : t)];
}

/* Panel by panel, of the filters of one group after the other. A flipped one is [R S][C of y][its
 * own filters], where w is [C of y][R S][filters]. */
static void pack_block(void *arg, int64_t block)
{
    const bpi_correlation *j = arg;
    const bpi_conv *g = &j->g;
    const int64_t taps = g->r * g->s, across = parts(g->og, PANEL_COLS);
    const int64_t group = block / across, first = block % across * PANEL_COLS;
    real *to = j->workspace + block * panel_size(g);
    if (is_depthwise(g)) {
        pack_depthwise(j, to);
    } else if (!j->flipped) {
        BPI_CPU(gemm_pack)(to, first, g->og, taps * g->cg, j->w + group * g->og * taps * g->cg, 1,
                           taps * g->cg);
    } else {
        const real *w = j->w + group * g->cg * taps * g->og;
        for (int64_t t = taps - 1; t >= 0; t--, to += g->cg * PANEL_COLS)
            BPI_CPU(gemm_pack)(to, first, g->og, g->cg, w + t * g->og, taps * g->og, 1);
    }
}

/* --- images ----------------------------------------------------------------------------------- */

void BPI_CPU(conv_bring)(real *to, const real *image, const bpi_conv *g, int64_t y0, int64_t rows)
{
    const int64_t width = conv_width(g);
    const int64_t before = at_most(at_least(g->left, 0), width), from = at_least(-g->left, 0);
    const int64_t inside = at_least(at_most(width - before, g->w - from), 0);
    const size_t pixel = (size_t)g->c * sizeof(real);
    for (int64_t y = y0; y < y0 + rows; y++, to += width * g->c) {
        if (y < 0 || y >= g->h) {
            memset(to, 0, (size_t)width * pixel);
            continue;
        }
        memset(to, 0, (size_t)before * pixel);
        memcpy(to + before * g->c, image + (y * g->w + from) * g->c, (size_t)inside * pixel);
        memset(to + (before + inside) * g->c, 0, (size_t)(width - before - inside) * pixel);
    }
}

static int64_t unit_rows(const bpi_conv *g)
{
    return conv_rows(g, conv_width(g) * g->c);
}

static int64_t scratch_size(const bpi_conv *g)
{
    const int in_place = conv_is_inside(g) || is_depthwise(g);
    return in_place ? 0 : conv_height(g, unit_rows(g)) * conv_width(g) * g->c;
}

int64_t BPI_CPU(correlation_room)(const bpi_conv *g)
{
    return panels_of(g) * panel_size(g) + conv_blocks(g) * scratch_size(g);
}

/* Rows of y in the panel `first` of a group, whose filters are `b`: one strip a row where all that
 * a filter row looks at are neighbours, else one for each row of filters. */
static void panel_rows_of(const bpi_correlation *j, int64_t group, int64_t first, const real *b,
                          const real *x, int64_t pitch, real *y, int64_t rows)
{
    const bpi_conv *g = &j->g;
    const int whole = g->groups == 1 && (g->beside == 1 || g->s == 1);
    bpi_gemm m = {.n = g->og, .a_row = g->across * g->c, .a_col = 1, .c_row = g->o};
    x += group * g->cg;
    for (int64_t p = 0; p < rows; p++, x += g->down * pitch) {
        m.c = y + p * g->q * g->o + group * g->og;
        for (int64_t r = 0; r < (whole ? 1 : g->r); r++) {
            const int last = whole || r == g->r - 1;
            m.accumulate = r > 0;
            m.bias = last && j->b ? j->b + group * g->og : NULL;
            m.relu = last && j->relu;
            m.runs = whole ? g->r : g->s;
            m.a_next = whole ? g->apart * pitch - g->s * g->c : g->beside * g->c - g->cg;
            BPI_CPU(gemm_strip)(&m, g->q, first, whole ? g->s * g->c : g->cg,
                                x + r * g->apart * pitch, b + r * g->s * g->cg * PANEL_COLS,
                                PANEL_COLS, NULL);
        }
    }
}

/* `rows` rows of y, whose first window begins at x. */
static void unit(const bpi_correlation *j, const real *x, int64_t pitch, real *y, int64_t rows)
{
    const bpi_conv *g = &j->g;
    const real *b = j->workspace;
    for (int64_t group = 0; group < g->groups; group++)
        for (int64_t first = 0; first < g->og; first += PANEL_COLS, b += panel_size(g))
            panel_rows_of(j, group, first, b, x, pitch, y, rows);
}

static void block_fn(void *arg, int64_t block)
{
    const bpi_correlation *j = arg;
    const bpi_conv *g = &j->g;
    const int64_t tall = unit_rows(g), of_image = parts(g->p, tall), units = g->n * of_image;
    const int64_t per_block = parts(units, conv_blocks(g));
    real *scratch = j->workspace + panels_of(g) * panel_size(g) + block * scratch_size(g);
    for (int64_t u = block * per_block; u < at_most((block + 1) * per_block, units); u++) {
        const int64_t n = u / of_image, p = u % of_image * tall, rows = at_most(tall, g->p - p);
        const int64_t y0 = p * g->down - g->top;
        const real *image = j->x + n * g->h * g->w * g->c;
        real *y = j->y + (n * g->p + p) * g->q * g->o;
        if (is_depthwise(g)) {
            BPI_CPU(depthwise_rows)(g, image, j->workspace, j->b, j->relu,
                                    j->y + n * g->p * g->q * g->o, p, rows);
        } else if (conv_is_inside(g)) {
            unit(j, image + (y0 * g->w - g->left) * g->c, g->w * g->c, y, rows);
        } else {
            BPI_CPU(conv_bring)(scratch, image, g, y0, conv_height(g, rows));
            unit(j, scratch, conv_width(g) * g->c, y, rows);
        }
    }
}

/* A filter of one pixel: a product of all pixels with all filters. */
static int is_product(const bpi_conv *g)
{
    return g->r * g->s == 1 && g->groups == 1 && g->down == 1 && g->across == 1 &&
           conv_is_inside(g) && g->top == 0 && g->left == 0 && g->p == g->h && g->q == g->w;
}

bp_status BPI_CPU(correlate)(bp_exec *ex, bpi_correlation *job)
{
    const bpi_conv *g = &job->g;
    if (is_product(g)) {
        const bpi_gemm m = {.m = g->n * g->p * g->q, .n = g->o, .k = g->c, .a = job->x,
                            .a_row = g->c, .a_col = 1, .b = job->w,
                            .b_row = job->flipped ? g->o : 1, .b_col = job->flipped ? 1 : g->c,
                            .c = job->y, .c_row = g->o, .bias = job->b, .relu = job->relu};
        return BPI_CPU(gemm)(ex, &m);
    }
    if (g->n == 0)
        return BP_OK;
    bp_parallel_for(ex, panels_of(g), pack_block, job);
    bp_parallel_for(ex, conv_blocks(g), block_fn, job);
    return BP_OK;
}

/* --- the kernel ------------------------------------------------------------------------------- */

static bp_view made(const bp_view *in, const bpi_conv_params *p)
{
    bp_view y = {.shape = in[0].shape};
    for (int i = 0; i < 2; i++)
        y.shape.dim[1 + i] = (in[0].shape.dim[1 + i] + p->how.pad[i] + p->how.pad[2 + i] -
                              p->how.dilation[i] * (in[1].shape.dim[1 + i] - 1) - 1) /
                                 p->how.stride[i] + 1;
    return y;
}

static size_t workspace_bytes(const bp_view *in, const void *params)
{
    const bpi_conv_params *p = params;
    const bp_view y = made(in, p);
    const bpi_conv g = bpi_conv_of(&in[0], &in[1], &y, &p->how);
    return (size_t)BPI_CPU(correlation_room)(&g) * sizeof(real);
}

static bp_status forward(bp_exec *ex, const bp_view *in, const bp_view *out, const void *params)
{
    const bpi_conv_params *p = params;
    bpi_correlation job = {.g = bpi_conv_of(&in[0], &in[1], out, &p->how), .x = in[0].data,
                           .w = in[1].data, .b = p->bias ? in[2].data : NULL, .y = out->data,
                           .workspace = ex->workspace, .relu = p->relu};
    return BPI_CPU(correlate)(ex, &job);
}

BPI_CPU_OP(conv2d) = {.slot[BPI_FORWARD] = {.fn = forward, .workspace_bytes = workspace_bytes}};
