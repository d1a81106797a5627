/* The sizes of a convolution, and what its three kernels share.
 *
 * On images whose channels are innermost a convolution is a product whose A has rows that overlap:
 * the row of a pixel is R runs of S C neighbours, and the next pixel's begins stride C further. So
 * the tiles of gemm.c read an image where it lies, or rows of it with zeros around them; the images
 * are never unfolded. Blocks are cut by shapes alone, and so is every sum. */
#ifndef BPI_CPU_CONV_H
#define BPI_CPU_CONV_H

#include "cpu/gemm.h"
#include "door/kernel_params.h"

typedef struct bpi_conv {
    int64_t n, h, w, c;                   /* x */
    int64_t r, s, cg;                     /* filters, with the channels of a group */
    int64_t p, q, o, og;                  /* y, and the filters of a group */
    int64_t groups;
    int64_t down, across, apart, beside;  /* stride; dilation, down and across */
    int64_t top, left;                    /* rows and columns of zeros before x; < 0: it is cut */
} bpi_conv;

static inline bpi_conv bpi_conv_of(const bp_view *x, const bp_view *w, const bp_view *y,
                                   const bp_window *how)
{
    const int64_t *dx = x->shape.dim, *dw = w->shape.dim, *dy = y->shape.dim;
    return (bpi_conv){dx[0], dx[1], dx[2], dx[3], dw[1], dw[2], dw[3], dy[1], dy[2], dw[0],
                      dw[0] / how->groups, how->groups, how->stride[0], how->stride[1],
                      how->dilation[0], how->dilation[1], how->pad[0], how->pad[1]};
}

/* A channel of x for each of y: lanes along channels, not filters. */
static inline int is_depthwise(const bpi_conv *g)
{
    return g->groups > 1 && g->cg == 1 && g->og == 1;
}

static inline double conv_work(const bpi_conv *g) /* multiply-adds */
{
    return (double)(g->n * g->p * g->q) * (double)(g->o * g->r * g->s * g->cg);
}

enum {
    CONV_BLOCKS = 64,      /* at most */
    CONV_WORK = 250000,    /* multiply-adds of a block, at least */
    CONV_SCRATCH = 24576   /* elements that a block brings into order at once, or a row's */
};

static inline int64_t conv_blocks(const bpi_conv *g)
{
    const double blocks = conv_work(g) / CONV_WORK;
    return blocks < 1 ? 1 : blocks < CONV_BLOCKS ? (int64_t)blocks : CONV_BLOCKS;
}

/* Columns of x that a row of y looks at, rows of x that `rows` rows of y do. */
static inline int64_t conv_width(const bpi_conv *g)
{
    return (g->q - 1) * g->across + (g->s - 1) * g->beside + 1;
}
static inline int64_t conv_height(const bpi_conv *g, int64_t rows)
{
    return (rows - 1) * g->down + (g->r - 1) * g->apart + 1;
}

/* Whether all that windows see is in the image. */
static inline int conv_is_inside(const bpi_conv *g)
{
    return g->top <= 0 && g->left <= 0 && conv_height(g, g->p) - g->top <= g->h &&
           conv_width(g) - g->left <= g->w;
}

/* Rows of y whose rows of x, `width` elements each, are CONV_SCRATCH in all, at least 1. */
static inline int64_t conv_rows(const bpi_conv *g, int64_t width)
{
    const int64_t rows = (CONV_SCRATCH / width - conv_height(g, 1)) / g->down + 1;
    const int64_t most = at_most(at_least(rows, 1), g->p);
    return parts(g->p, parts(g->p, most));
}

/* Of a window's tap at `offset`, the pixels of y [*first, *end) that find it inside an image. */
static inline void conv_inside(int64_t offset, int64_t step, int64_t size, int64_t pixels,
                               int64_t *first, int64_t *end)
{
    *first = offset < 0 ? parts(-offset, step) : 0;
    *end = offset < size ? at_most(parts(size - offset, step), pixels) : 0;
}

/* Rows y0 .. y0 + rows of an image of x as windows see them: conv_width() columns from -left on, 0
 * where there is no image. */
void BPI_CPU(conv_bring)(real *to, const real *image, const bpi_conv *g, int64_t y0, int64_t rows);

/* y = x over w, + b unless that is NULL, and ReLU if asked. Where `flipped`, w [C][R S][O] is that
 * of a convolution the other way, from y's images to x's: taps are taken from the last one back.
 * workspace: correlation_room() elements. */
typedef struct bpi_correlation {
    bpi_conv g;
    const real *x, *w, *b;
    real *y, *workspace;
    int relu, flipped;
} bpi_correlation;
int64_t BPI_CPU(correlation_room)(const bpi_conv *g);
bp_status BPI_CPU(correlate)(bp_exec *ex, bpi_correlation *job);

/* Depthwise, lanes along channels; x and y are images, w is [R S][C]. rows: so many of y from p on.
 * filter: adds to dw [R S][C] what an image has. */
void BPI_CPU(depthwise_rows)(const bpi_conv *g, const real *x, const real *w, const real *b,
                             int relu, real *y, int64_t p, int64_t rows);
void BPI_CPU(depthwise_filter)(const bpi_conv *g, const real *x, const real *y, real *dw);

#endif
