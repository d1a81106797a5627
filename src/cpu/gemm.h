/* One matrix product for every layer: C[M,N] = epilogue(A[M,K] B[K,N]), over `real`.
 *
 * The epilogue works on a finished tile, in this order: add C if `accumulate`; add bias[j]; ReLU;
 * then either dropout (kept elements times `scale`, the others 0) or gate (0 where gate <= 0, the
 * element times `scale` elsewhere; NaN in a gate lets through). NaN passes ReLU. */
#ifndef BPI_CPU_GEMM_H
#define BPI_CPU_GEMM_H

#include "cpu/kernel.h"
#include "cpu/loop.h"
#include "door/philox.h"

typedef struct BPI_CPU(gemm_args) {
    int64_t m, n, k;
    const real *a;                 /* A[i,p] = a[i * a_row + p * a_col]; one of the two is 1 */
    int64_t a_row, a_col;
    const real *b;                 /* B[p,j] = b[p * b_row + j * b_col]; one of the two is 1 */
    int64_t b_row, b_col;
    real *c;                       /* C[i,j] = c[i * c_row + j] */
    int64_t c_row;
    int64_t runs, a_next, b_next;  /* of a strip: below */
    int accumulate;                /* 0 writes C, 1 adds to it */
    const real *bias;              /* [N], or NULL */
    int relu;
    const real *gate;              /* G[i,j] = gate[i * gate_row + j], or NULL */
    int64_t gate_row;
    const bpi_dropout *dropout;    /* element i * N + j of the stream, or NULL */
    real scale;                    /* with gate or dropout; else unused */
    int32_t *suspect; /* set to 1 as kernel_params.h says of linear, by tiles, not dots; or NULL */
} bpi_gemm;

/* How one is done. */
typedef struct bpi_gemm_plan {
    bpi_gemm g;
    double work;            /* multiply-adds */
    int64_t tiles, panels;  /* of C, down and across */
    int64_t height, taller; /* the first `taller` tiles have height + 1 rows, the others height */
    int64_t block_tiles, block_panels; /* the size of a block, */
    int64_t block_rows, block_cols;    /* and of one of dot tiles */
    int64_t across;                    /* blocks side by side */
    int64_t chunk;                     /* steps of K, in all chunks but the last */
    int pack;                          /* whether panels of B are packed */
    int dots;                          /* dot tiles, which have no panels */
    int64_t blocks;                    /* 1: the caller's */
} bpi_gemm_plan;

/* Deterministic: C is cut into blocks by shape alone, K is never split across threads. */
bp_status BPI_CPU(gemm)(bp_exec *ex, const bpi_gemm *g);
/* The same for each of a batch, where g is the first and the axes of `batch` lead a, b and c from
 * one to the next: small ones share a block, large ones are cut as alone. Without dropout. */
bp_status BPI_CPU(gemm_each)(bp_exec *ex, const bpi_gemm *g, const bpi_loop *batch);
/* A product by the calling thread alone, for kernels whose blocks hold several. */
void BPI_CPU(gemm_alone)(const bpi_gemm *g);

/* For kernels that walk over A and B in their own way, a convolution's say.
 *
 * strip: the first `rows` rows of C in the panel of columns from j on. K is `runs` runs of `steps`
 * steps, and from the end of one to the next A moves by a_next elements, B by b_next. A's first
 * element is a[0]; the panel's first row of B begins at b[0], and its rows are b_step apart. It
 * reads a_row, a_col, n and what is about C of g, but for dropout and suspect. `ahead`, two of them
 * or NULL, is read later: a part is fetched before each tile.
 * pack: the columns j.. of B [k, n] as a panel, PANEL_COLS wide; room is for panel_rows(k) rows. */
enum { PANEL_COLS = 2 * LANES };
static inline int64_t panel_rows(int64_t k) { return parts(k, LANES) * LANES; }
typedef struct BPI_CPU(ahead) {
    const real *from;
    int64_t size; /* elements */
} bpi_ahead;
void BPI_CPU(gemm_strip)(const bpi_gemm *g, int64_t rows, int64_t j, int64_t steps, const real *a,
                         const real *b, int64_t b_step, const bpi_ahead *ahead);
void BPI_CPU(gemm_pack)(real *to, int64_t j, int64_t n, int64_t k, const real *b, int64_t b_row,
                        int64_t b_col);

#endif
