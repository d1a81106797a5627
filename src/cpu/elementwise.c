/* The loop behind every elementwise kernel: pieces (loop.h) become runs.
 *
 * A long piece whose operands are packed is a run as it lies. Else runs are chunks: a part of a
 * long piece, or many short ones, with each operand that jumps or repeats brought into a buffer
 * first. So a formula sees neighbours only, and is compiled once. */
#include "cpu/elementwise.h"

enum { CHUNK = 256, LONG = 64 }; /* elements of a chunk, of a long piece */

typedef uint32_t __attribute__((may_alias)) word4;
typedef uint64_t __attribute__((may_alias)) word8;

typedef struct job {
    bpi_loop loop;
    bpi_run_fn run;
    const double *k;
    int64_t bytes[BPI_OPERANDS]; /* of an element */
    int32_t flat[BPI_OPERANDS];  /* lies as y is counted */
    int32_t same[BPI_OPERANDS];  /* the same in every piece */
    int32_t packed, steps;       /* all: packed in a piece; some: neither flat nor the same */
} job;

/* What the chunks of a block share. */
typedef struct chunk {
    _Alignas(64) char buffer[BPI_OPERANDS][CHUNK * sizeof(double)];
    int64_t offset[BPI_OPERANDS][CHUNK]; /* where its pieces begin; elements */
    int64_t filled; /* elements of operands that are the same in every piece */
} chunk;

/* Pieces of n elements each, from where they lie into a buffer, or back. */
#define PIECES(T, y, x)                                                  \
    for (int64_t p = 0; p < pieces; p++) {                               \
        T *lie = (T *)data + offset[p], *buf = (T *)buffer + p * n;      \
        if (stride == 1)                                                 \
            for (int64_t i = 0; i < n; i++)                              \
                y(i, i) = x(i, i);                                       \
        else if (stride == 0)                                            \
            for (int64_t i = 0; i < n; i++)                              \
                y(i, 0) = x(i, 0);                                       \
        else                                                             \
            for (int64_t i = 0; i < n; i++)                              \
                y(i, i * stride) = x(i, i * stride);                     \
    }
#define BUF(i, at) buf[i]
#define LIE(i, at) lie[at]
#define TYPES(y, x)             \
    if (bytes == 4) {           \
        PIECES(word4, y, x)     \
    } else if (bytes == 8) {    \
        PIECES(word8, y, x)     \
    } else {                    \
        PIECES(uint8_t, y, x)   \
    }

static void bring(char *restrict buffer, char *restrict data, const int64_t *offset,
                  int64_t pieces, int64_t n, int64_t stride, int64_t bytes)
{
    TYPES(BUF, LIE)
}

static void put(char *restrict buffer, char *restrict data, const int64_t *offset,
                int64_t pieces, int64_t n, int64_t stride, int64_t bytes)
{
    TYPES(LIE, BUF)
}

/* Element `at` of a piece in operand k. */
static char *place(const job *w, const bpi_piece *p, int k, int64_t at)
{
    return w->loop.data[k] + (p->offset[k] + at * w->loop.stride[k][0]) * w->bytes[k];
}

/* One piece, in parts. */
static void run_long(const job *w, const bpi_piece *p, chunk *c)
{
    const bpi_loop *l = &w->loop;
    const int64_t none = 0;
    const void *in[BPI_INPUTS] = {NULL};
    for (int64_t n, at = 0; at < p->n; at += n) {
        n = w->packed ? p->n : at_most(p->n - at, CHUNK);
        for (int k = 1; k < l->operands; k++) {
            const int64_t stride = l->stride[k][0];
            in[k - 1] = stride == 1 ? place(w, p, k, at) : c->buffer[k];
            if (stride != 1 && (stride != 0 || at == 0))
                bring(c->buffer[k], place(w, p, k, at), &none, 1, n, stride, w->bytes[k]);
        }
        const int64_t stride = l->stride[0][0];
        w->run(stride == 1 ? place(w, p, 0, at) : c->buffer[0], in, n, w->k);
        if (stride != 1)
            put(c->buffer[0], place(w, p, 0, at), &none, 1, n, stride, w->bytes[0]);
    }
}

/* As many pieces as a chunk holds; p becomes the one after them. */
static void run_short(const job *w, bpi_piece *p, chunk *c)
{
    const bpi_loop *l = &w->loop;
    const int64_t size = p->n;
    int64_t pieces = 0;
    char *run[BPI_OPERANDS];
    for (int k = 0; k < l->operands; k++)
        run[k] = w->flat[k] ? place(w, p, k, 0) : c->buffer[k];
    if (!w->steps && c->filled) { /* all of them at once */
        pieces = at_most(c->filled / size, p->left);
        p->number += pieces;
        p->left -= pieces;
        if (p->left)
            bpi_piece_seek(l, p);
    } else {
        for (; p->left && p->n == size && (pieces + 1) * size <= CHUNK; bpi_piece_next(l, p)) {
            for (int k = 0; k < l->operands; k++)
                c->offset[k][pieces] = p->offset[k];
            pieces++;
        }
        for (int k = 1; k < l->operands; k++)
            if (!w->flat[k] && !(w->same[k] && c->filled))
                bring(c->buffer[k], l->data[k], c->offset[k], pieces, size, l->stride[k][0],
                      w->bytes[k]);
        c->filled = c->filled ? c->filled : pieces * size;
    }
    w->run(run[0], (const void *const *)(run + 1), pieces * size, w->k);
    if (!w->flat[0])
        put(c->buffer[0], l->data[0], c->offset[0], pieces, size, l->stride[0][0], w->bytes[0]);
}

static void block_fn(void *arg, int64_t block)
{
    const job *w = arg;
    chunk c;
    c.filled = 0;
    for (bpi_piece p = bpi_piece_first(&w->loop, block); p.left;) {
        if (p.n >= LONG || w->loop.pieces == 1) {
            run_long(w, &p, &c);
            bpi_piece_next(&w->loop, &p);
        } else {
            run_short(w, &p, &c);
        }
    }
}

bp_status bpi_elementwise(bp_exec *ex, bpi_run_fn run, int64_t grain, const bp_view *y,
                          const bp_view *in, int n_in, const double *k)
{
    job w;
    bpi_loop *l = &w.loop;
    w.run = run;
    w.k = k;
    w.packed = 1;
    w.steps = 0;
    const int64_t blocks = bpi_loop_init(l, y, in, n_in, grain);
    for (int i = 0; i < l->operands; i++) {
        w.bytes[i] = bytes_of(i ? in[i - 1].dtype : y->dtype);
        w.flat[i] = w.same[i] = l->piece == l->size[0];
        int64_t step = 1;
        for (int32_t axis = 0; axis < l->axes; step *= l->size[axis++]) {
            w.flat[i] &= l->stride[i][axis] == step;
            w.same[i] &= axis == 0 || l->stride[i][axis] == 0;
        }
        w.packed &= l->stride[i][0] == 1;
        w.steps |= !w.flat[i] && !(w.same[i] && i > 0);
    }
    bp_parallel_for(ex, blocks, block_fn, &w);
    return BP_OK;
}
