/* The one loop behind every elementwise kernel: y = f(a) or y = f(a, b), with broadcasting and any
 * strides.
 *
 * Axes that lie behind each other in every operand become one. What is left is cut into pieces of
 * the innermost axis, and pieces are put together into blocks, by the shape alone. A piece is long
 * where every stride is 0 or 1, so that its loop is a vector loop; where an operand jumps, pieces
 * are as short as a cache line and neighbouring rows follow each other, so that a transposed
 * operand is read line by line and not once per element. */
#ifndef BPI_CPU_ELEMENTWISE_H
#define BPI_CPU_ELEMENTWISE_H

#include "cpu/kernel.h"

/* Elements of a block: about 8 microseconds of work. */
enum { BPI_GRAIN = 32768, BPI_GRAIN_EXP = 8192, BPI_SHORT_PIECE = 16 };

/* The loop that follows carries nothing from element to element; y and a may be the same. */
#if defined(__clang__)
#define BPI_INDEPENDENT _Pragma("clang loop vectorize(assume_safety)")
#elif defined(__GNUC__)
#define BPI_INDEPENDENT _Pragma("GCC ivdep")
#else
#define BPI_INDEPENDENT
#endif

typedef struct bpi_loop {
    void *data[3]; /* y, a, b */
    int32_t axes;
    int64_t size[BP_MAX_DIMS];      /* innermost first */
    int64_t stride[3][BP_MAX_DIMS]; /* elements; 0 where an operand is repeated */
    int64_t rows;                   /* product of size[1 ..] */
    int64_t piece, pieces;          /* elements of one, all of them */
    int64_t per_block;              /* pieces */
    double k;                       /* a parameter of f */
} bpi_loop;

typedef struct bpi_piece {
    int64_t n, left;       /* elements; pieces left in the block, this one among them */
    int64_t number, row;   /* number = place on the inner axis x rows + row */
    int64_t offset[3];     /* elements */
    int64_t at[BP_MAX_DIMS];
} bpi_piece;

/* The stride of axis `axis` of y's shape in v, whose axes are aligned at the last one. */
static inline int64_t bpi_broadcast_stride(const bp_view *v, const bp_view *y, int32_t axis)
{
    int32_t i = axis - y->shape.ndim + v->shape.ndim;
    return i < 0 || v->shape.dim[i] == 1 ? 0 : v->stride[i];
}

static inline void bpi_loop_axis(bpi_loop *l, int64_t size, int64_t sy, int64_t sa, int64_t sb)
{
    int32_t top = l->axes - 1;
    if (top >= 0 && sy == l->stride[0][top] * l->size[top] &&
        sa == l->stride[1][top] * l->size[top] && sb == l->stride[2][top] * l->size[top]) {
        l->size[top] *= size;
        return;
    }
    top = l->axes++;
    l->size[top] = size;
    l->stride[0][top] = sy;
    l->stride[1][top] = sa;
    l->stride[2][top] = sb;
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

/* The loop over y's elements; without b, a takes its place. */
static inline int64_t bpi_loop_init(bpi_loop *l, const bp_view *y, const bp_view *a,
                                    const bp_view *b, int64_t grain)
{
    b = b ? b : a;
    l->data[0] = y->data;
    l->data[1] = a->data;
    l->data[2] = b->data;
    l->axes = 0;
    for (int32_t i = y->shape.ndim - 1; i >= 0; i--)
        if (y->shape.dim[i] != 1)
            bpi_loop_axis(l, y->shape.dim[i], y->stride[i], bpi_broadcast_stride(a, y, i),
                          bpi_broadcast_stride(b, y, i));
    if (l->axes == 0)
        bpi_loop_axis(l, 1, 1, 1, 1);
    int jumps = l->stride[0][0] != 1 || (uint64_t)l->stride[1][0] > 1 ||
                (uint64_t)l->stride[2][0] > 1;
    return bpi_loop_cut(l, jumps && l->axes > 1 ? BPI_SHORT_PIECE : grain, grain);
}

static inline void bpi_piece_seek(const bpi_loop *l, bpi_piece *p)
{
    int64_t first = p->number / l->rows * l->piece, rest = p->number % l->rows;
    p->row = rest;
    p->n = l->size[0] - first < l->piece ? l->size[0] - first : l->piece;
    for (int k = 0; k < 3; k++)
        p->offset[k] = first * l->stride[k][0];
    for (int32_t i = 1; i < l->axes; i++) {
        p->at[i] = rest % l->size[i];
        rest /= l->size[i];
        for (int k = 0; k < 3; k++)
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
        for (int k = 0; k < 3; k++)
            p->offset[k] += step * l->stride[k][i];
        if (step == 1)
            return;
        p->at[i] = 0;
    }
}

/* static void block_fn(loop, block): one block of y = an expression in a, b and k; y and k of type
 * T, a and b of type TA. Without a second operand b is a. */
#define BPI_MAP(block_fn, T, TA, ...)                                                          \
    static void block_fn(void *arg, int64_t block)                                             \
    {                                                                                          \
        const bpi_loop *l = arg;                                                               \
        const int64_t sy = l->stride[0][0], sa = l->stride[1][0], sb = l->stride[2][0];        \
        const T k = (T)l->k;                                                                   \
        (void)k;                                                                               \
        for (bpi_piece p = bpi_piece_first(l, block); p.left; bpi_piece_next(l, &p)) {         \
            T *y = (T *)l->data[0] + p.offset[0];                                              \
            const TA *x = (const TA *)l->data[1] + p.offset[1], x0 = *x;                       \
            const TA *z = (const TA *)l->data[2] + p.offset[2], z0 = *z;                       \
            if (sy == 1 && sa == 1 && sb == 1)                                                 \
                BPI_EACH(p.n, const TA a = x[i], b = z[i]; (void)b; y[i] = (__VA_ARGS__))      \
            else if (sy == 1 && sa == 1 && sb == 0)                                            \
                BPI_EACH(p.n, const TA a = x[i], b = z0; (void)b; y[i] = (__VA_ARGS__))        \
            else if (sy == 1 && sa == 0 && sb == 1)                                            \
                BPI_EACH(p.n, const TA a = x0, b = z[i]; (void)b; y[i] = (__VA_ARGS__))        \
            else                                                                               \
                BPI_EACH(p.n, const TA a = x[i * sa], b = z[i * sb]; (void)b;                  \
                         y[i * sy] = (__VA_ARGS__))                                            \
        }                                                                                      \
    }

#define BPI_EACH(n, ...)                    \
    {                                       \
        BPI_INDEPENDENT                     \
        for (int64_t i = 0; i < (n); i++) { \
            __VA_ARGS__;                    \
        }                                   \
    }

/* Runs all blocks. b may be NULL. */
static inline bp_status bpi_elementwise(bp_exec *ex, bp_block_fn block_fn, int64_t grain,
                                        const bp_view *y, const bp_view *a, const bp_view *b,
                                        double k)
{
    bpi_loop l;
    l.k = k;
    bp_parallel_for(ex, bpi_loop_init(&l, y, a, b, grain), block_fn, &l);
    return BP_OK;
}

/* A kernel file's table entry: forward is y = block_fn of in[0] and `b`, &in[1] or NULL. */
#define BPI_ELEMENTWISE_OP(op, block_fn, grain, b, k)                              \
    static bp_status forward(bp_exec *ex, const bp_view *in, const bp_view *out,   \
                             const void *params)                                   \
    {                                                                              \
        (void)params;                                                              \
        return bpi_elementwise(ex, block_fn, grain, out, in, b, k);                \
    }                                                                              \
    BPI_CPU_OP(op) = {.slot[BPI_FORWARD] = {.fn = forward, .layout = BPI_ANY}}

#endif
