/* Loops over operands with broadcasting and any strides, in pieces and blocks.
 *
 * Axes that lie behind each other in every operand become one. What is left is cut into pieces of
 * the innermost axis, and pieces are put together into blocks, by the shape alone. Users:
 * over_axes.c, dropout.c; axes alone: elementwise.c, matmul.c. */
#ifndef BPI_CPU_LOOP_H
#define BPI_CPU_LOOP_H

#include "cpu/kernel.h"

/* Elements of a block: about 8 microseconds of work. */
enum { BPI_GRAIN = 32768, BPI_GRAIN_EXP = 8192, BPI_OPERANDS = 4 };

/* The loop that follows carries nothing from element to element; y and an input may be the same. */
#if defined(__clang__)
#define BPI_INDEPENDENT _Pragma("clang loop vectorize(assume_safety)")
#elif defined(__GNUC__)
#define BPI_INDEPENDENT _Pragma("GCC ivdep")
#else
#define BPI_INDEPENDENT
#endif

typedef struct bpi_loop {
    char *data[BPI_OPERANDS]; /* y, then what it is made of */
    int32_t operands, axes;
    int64_t size[BP_MAX_DIMS];                 /* innermost first */
    int64_t stride[BPI_OPERANDS][BP_MAX_DIMS]; /* elements; 0 where an operand is repeated */
    int64_t rows;                              /* product of size[1 ..] */
    int64_t piece, pieces;                     /* elements of one, all of them */
    int64_t per_block;                         /* pieces */
} bpi_loop;

typedef struct bpi_piece {
    int64_t n, left;       /* elements; pieces left in the block, this one among them */
    int64_t number, row;   /* number = place on the inner axis x rows + row */
    int64_t offset[BPI_OPERANDS]; /* elements */
    int64_t at[BP_MAX_DIMS];
} bpi_piece;

/* The stride of axis `axis` of y's shape in v, whose axes are aligned at the last one. */
static inline int64_t bpi_broadcast_stride(const bp_view *v, const bp_view *y, int32_t axis)
{
    int32_t i = axis - y->shape.ndim + v->shape.ndim;
    return i < 0 || v->shape.dim[i] == 1 ? 0 : v->stride[i];
}

/* Adds the next axis outwards. */
static inline void bpi_loop_axis(bpi_loop *l, int64_t size, const int64_t *stride)
{
    int32_t top = l->axes - 1;
    int behind = top >= 0;
    for (int k = 0; k < l->operands && behind; k++)
        behind = stride[k] == l->stride[k][top] * l->size[top];
    if (behind) {
        l->size[top] *= size;
        return;
    }
    top = l->axes++;
    l->size[top] = size;
    for (int k = 0; k < l->operands; k++)
        l->stride[k][top] = stride[k];
}

/* Cuts a loop whose axes are known into pieces and blocks. Returns the blocks, 0 for no work. */
static inline int64_t bpi_loop_cut(bpi_loop *l, int64_t longest, int64_t grain)
{
    l->rows = 1;
    for (int32_t i = 1; i < l->axes; i++)
        l->rows *= l->size[i];
    if (l->size[0] == 0 || l->rows == 0)
        return 0;
    l->piece = l->size[0] < longest ? l->size[0] : longest;
    if (l->axes == 1 && l->piece == l->size[0]) { /* small and plain: no division */
        l->pieces = l->per_block = 1;
        return 1;
    }
    l->pieces = (l->size[0] + l->piece - 1) / l->piece * l->rows;
    l->per_block = grain / l->piece;
    return (l->pieces + l->per_block - 1) / l->per_block;
}

/* The axes of y's elements, made of n_in inputs that broadcast to it; at least one. */
static inline void bpi_loop_init(bpi_loop *l, const bp_view *y, const bp_view *in, int n_in)
{
    static const int64_t ones[BPI_OPERANDS] = {1, 1, 1, 1};
    l->operands = 1 + n_in;
    l->axes = 0;
    for (int k = 0; k < l->operands; k++)
        l->data[k] = k ? in[k - 1].data : y->data;
    for (int32_t i = y->shape.ndim - 1; i >= 0; i--)
        if (y->shape.dim[i] != 1) {
            int64_t stride[BPI_OPERANDS];
            for (int k = 0; k < l->operands; k++)
                stride[k] = k ? bpi_broadcast_stride(&in[k - 1], y, i) : y->stride[i];
            bpi_loop_axis(l, y->shape.dim[i], stride);
        }
    if (l->axes == 0)
        bpi_loop_axis(l, 1, ones);
}

static inline void bpi_piece_seek(const bpi_loop *l, bpi_piece *p)
{
    int64_t first = p->number / l->rows * l->piece, rest = p->number % l->rows;
    p->row = rest;
    p->n = l->size[0] - first < l->piece ? l->size[0] - first : l->piece;
    for (int k = 0; k < l->operands; k++)
        p->offset[k] = first * l->stride[k][0];
    for (int32_t i = 1; i < l->axes; i++) {
        p->at[i] = rest % l->size[i];
        rest /= l->size[i];
        for (int k = 0; k < l->operands; k++)
            p->offset[k] += p->at[i] * l->stride[k][i];
    }
}

static inline bpi_piece bpi_piece_first(const bpi_loop *l, int64_t block)
{
    bpi_piece p;
    if (l->pieces == 1)
        return (bpi_piece){.n = l->piece, .left = 1};
    p.number = block * l->per_block;
    p.left = l->pieces - p.number < l->per_block ? l->pieces - p.number : l->per_block;
    bpi_piece_seek(l, &p);
    return p;
}

static inline void bpi_piece_next(const bpi_loop *l, bpi_piece *p)
{
    p->number++;
    if (--p->left == 0)
        return;
    if (++p->row == l->rows) {
        bpi_piece_seek(l, p);
        return;
    }
    for (int32_t i = 1;; i++) {
        int64_t step = ++p->at[i] < l->size[i] ? 1 : 1 - l->size[i];
        for (int k = 0; k < l->operands; k++)
            p->offset[k] += step * l->stride[k][i];
        if (step == 1)
            return;
        p->at[i] = 0;
    }
}

#define BPI_EACH(n, ...)                    \
    {                                       \
        BPI_INDEPENDENT                     \
        for (int64_t i = 0; i < (n); i++) { \
            __VA_ARGS__;                    \
        }                                   \
    }

#endif
