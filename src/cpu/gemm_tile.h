/* The inner parts of the matrix product: vectors, packing, and the tiles that multiply.
 *
 * A tile of C is up to TILE_ROWS rows by two vectors and stays in registers for a whole chunk of K:
 * one step loads two vectors of B and broadcasts one element of A per row. There are as many rows
 * as leave registers for those three. Every tile size is a function of its own, so that C is in
 * registers for each. A product with few columns or rows whose A and B both run along K takes dot
 * tiles instead: lanes along K, nothing packed, the lanes summed at the end.
 *
 * Used by gemm.c alone, which is compiled with -ffp-contract=fast: s * b + c is one instruction. */
#ifndef BPI_CPU_GEMM_TILE_H
#define BPI_CPU_GEMM_TILE_H

#include "cpu/gemm.h"
#include "cpu/unfit.h"
#include "cpu/vec.h"

enum {
    TILE_ROWS = BPI_VECTOR_BYTES == 64 ? 12 : BPI_VECTOR_BYTES == 32 ? 6 : 4,
    TILE_COLS = PANEL_COLS,
    DOT_ROWS = BPI_VECTOR_BYTES == 64 ? 4 : 2,
    DOT_COLS = 4,
    DOT_REST = DOT_ROWS * DOT_COLS > LANES ? DOT_ROWS * DOT_COLS / LANES : 1
};

/* A vector of up to LANES columns, for up to `most` steps: what is behind `steps` becomes 0. */
INLINE void pack_square(const int most, real *to, int cols, int steps, const real *b, int64_t ld)
{
    vec t[LANES];
    UNROLL for (int i = 0; i < LANES; i++) {
        t[i] = most < LANES || BPI_VECTOR_BYTES == 64 || steps < LANES ? load_part(b, steps)
                                                                       : load(b);
        b += i + 1 < cols ? ld : 0;
    }
    transpose(t);
    UNROLL for (int i = 0; i < most; i++)
        store(to + i * TILE_COLS, t[i]);
}

/* Few steps: most of the transposition is not needed. */
OUTLINE void pack_few(real *to, int cols, int steps, const real *b, int64_t ld)
{
    pack_square(LANES / 4, to, cols, steps, b, ld);
}

/* Packs a panel of B, [k][TILE_COLS], from `cols` columns that run along K and are `ld` apart.
 * Lanes up to the next vector repeat the last column: they are multiplied and dropped. Steps up to
 * the next LANES may be written: a chunk has room for them. */
static void pack_columns(real *to, int cols, int64_t k, const real *b, int64_t ld)
{
    for (int first = 0; first < cols; first += LANES, to += LANES, b += LANES * ld) {
        int64_t p = 0;
        for (; p + LANES / 4 < k; p += LANES)
            pack_square(LANES, to + p * TILE_COLS, cols - first, (int)at_most(k - p, LANES), b + p,
                        ld);
        if (p < k)
            pack_few(to + p * TILE_COLS, cols - first, (int)(k - p), b + p, ld);
    }
}

/* The same from rows of B, `ld` apart, with 0 up to the next vector. */
static void pack_rows(real *to, int cols, int64_t k, const real *b, int64_t ld)
{
    int full = cols / LANES * LANES, rest = cols - full;
    for (int64_t p = 0; p < k; p++, to += TILE_COLS, b += ld) {
        for (int i = 0; i < full; i += LANES)
            store(to + i, load(b + i));
        if (rest)
            store(to + full, load_part(b + full, rest));
    }
}

/* The epilogue for the tile of C whose first element is (i, j). One decision each for the whole
 * tile, whose rows follow in straight code: for a short K they take as long as the sums. Gives what
 * bpi_judge() is to see of it. */
INLINE vec finish(const int rows, const int vecs, const int masked, const bpi_gemm *g, int64_t i,
                   int64_t j, int part, vec acc[TILE_ROWS][2])
{
#define EACH_VEC UNROLL for (int x = 0; x < rows; x++) UNROLL for (int v = 0; v < vecs; v++)
#define LOAD(p) (masked && v == vecs - 1 ? load_part(p, part) : load(p))
    const vec zero = {0};
    real *c = g->c + i * g->c_row + j;
    if (g->accumulate)
        EACH_VEC acc[x][v] += LOAD(c + x * g->c_row + v * LANES);
    if (g->bias)
        EACH_VEC acc[x][v] += LOAD(g->bias + j + v * LANES);
    if (g->relu) /* the comparison is false for NaN, which therefore stays */
        EACH_VEC acc[x][v] = (vec)((lane_mask)acc[x][v] & ~(lane_mask)(acc[x][v] < zero));
    if (g->gate) {
        const real *gate = g->gate + i * g->gate_row + j;
        EACH_VEC
        {
            lane_mask shut = (lane_mask)(LOAD(gate + x * g->gate_row + v * LANES) <= zero);
            acc[x][v] = (vec)((lane_mask)(acc[x][v] * g->scale) & ~shut);
        }
    }
    vec seen[4] = {{0}}; /* several: sums that wait for each other take longer than the tile */
    if (g->suspect)
        EACH_VEC seen[x % 4] += acc[x][v] * BPI_SUSPECT_SCALE;
    UNROLL for (int x = 0; x < rows; x++) {
        if (vecs == 2)
            store(c, acc[x][0]);
        if (masked)
            store_part(c + (vecs - 1) * LANES, acc[x][vecs - 1], part);
        else
            store(c + (vecs - 1) * LANES, acc[x][vecs - 1]);
        c += g->c_row;
    }
    return (seen[0] + seen[1]) + (seen[2] + seen[3]);
#undef LOAD
#undef EACH_VEC
}

/* The tile of C at (i, j): `steps` steps of K from `a` and `b` on, and as many in each further run.
 * A pointer to every third row of A is what addressing needs. */
INLINE vec multiply(const int rows, const int vecs, const int masked, const bpi_gemm *g, int64_t i,
                    int64_t j, int part, int64_t steps, const real *a, const real *b,
                    int64_t b_step)
{
    const int64_t a_row = g->a_row, a_col = g->a_col;
    vec acc[TILE_ROWS][2];
    const real *third[TILE_ROWS / 3 + 1];
    UNROLL for (int x = 0; x < rows; x++)
        acc[x][0] = acc[x][1] = (vec){0};
    UNROLL for (int x = 0; x < rows; x += 3)
        third[x / 3] = a + x * a_row;
    for (int64_t run = g->runs;; run--) {
        for (int64_t p = 0; p < steps; p++) {
            vec b0 = vecs == 1 && masked ? load_part(b, part) : load(b), b1 = b0;
            if (vecs == 2)
                b1 = masked ? load_part(b + LANES, part) : load(b + LANES);
            UNROLL for (int x = 0; x < rows; x++) {
                real s = third[x / 3][x % 3 * a_row];
                acc[x][0] += s * b0;
                if (vecs == 2)
                    acc[x][1] += s * b1;
            }
            b += b_step;
            UNROLL for (int x = 0; x < rows; x += 3)
                third[x / 3] += a_col;
        }
        if (run <= 1)
            break;
        b += g->b_next;
        UNROLL for (int x = 0; x < rows; x += 3)
            third[x / 3] += g->a_next;
    }
    return finish(rows, vecs, masked, g, i, j, part, acc);
}

typedef vec (*tile_fn)(const bpi_gemm *g, int64_t i, int64_t j, int part, int64_t steps,
                       const real *a, const real *b, int64_t b_step);

#define TILE(rows, vecs, masked)                                                                 \
    static vec tile_##rows##_##vecs##_##masked(const bpi_gemm *g, int64_t i, int64_t j,          \
                                               int part, int64_t steps, const real *a,           \
                                               const real *b, int64_t b_step)                    \
    {                                                                                            \
        return multiply(rows, vecs, masked, g, i, j, part, steps, a, b, b_step);                 \
    }
#define TILE_NAME_(rows, vecs, masked) tile_##rows##_##vecs##_##masked,
#define TILE_NAME(rows, vecs, masked) TILE_NAME_(rows, vecs, masked)
#define EACH_4(F, ...) F(1, __VA_ARGS__) F(2, __VA_ARGS__) F(3, __VA_ARGS__) F(4, __VA_ARGS__)
#define EACH_6(F, ...) EACH_4(F, __VA_ARGS__) F(5, __VA_ARGS__) F(6, __VA_ARGS__)
#if BPI_VECTOR_BYTES == 64
#define EACH_ROWS(F, ...)                                                                        \
    EACH_6(F, __VA_ARGS__) F(7, __VA_ARGS__) F(8, __VA_ARGS__) F(9, __VA_ARGS__)                 \
    F(10, __VA_ARGS__) F(11, __VA_ARGS__) F(12, __VA_ARGS__)
#elif BPI_VECTOR_BYTES == 32
#define EACH_ROWS EACH_6
#else
#define EACH_ROWS EACH_4
#endif
/* Where a mask costs nothing, every tile has one. */
#if BPI_VECTOR_BYTES == 64
#define UNMASKED 1
#else
#define UNMASKED 0
EACH_ROWS(TILE, 1, 0) EACH_ROWS(TILE, 2, 0)
#endif
EACH_ROWS(TILE, 1, 1) EACH_ROWS(TILE, 2, 1)

static const tile_fn tiles[2][2][TILE_ROWS] = { /* [vecs - 1][masked][rows - 1] */
    {{EACH_ROWS(TILE_NAME, 1, UNMASKED)}, {EACH_ROWS(TILE_NAME, 1, 1)}},
    {{EACH_ROWS(TILE_NAME, 2, UNMASKED)}, {EACH_ROWS(TILE_NAME, 2, 1)}}};

/* Sums the lanes of all vectors: v[i] ends in lane i / DOT_REST of v[i % DOT_REST]. Each step adds
 * the halves of two vectors side by side, until a vector is full of sums of different ones. */
INLINE void sum_lanes(vec v[DOT_ROWS * DOT_COLS])
{
    UNROLL for (int left = DOT_ROWS * DOT_COLS / 2; left >= DOT_REST; left /= 2)
        UNROLL for (int i = 0; i < left; i++)
            v[i] = MIX_LOW(v[i], v[i + left]) + MIX_HIGH(v[i], v[i + left]);
}

/* rows x cols of C from rows of A and columns of B that both run along K. */
INLINE void dot(const int rows, const int cols, const bpi_gemm *g, int64_t i, int64_t j)
{
    const real *a = g->a + i * g->a_row, *b = g->b + j * g->b_col;
    vec acc[DOT_ROWS * DOT_COLS], s[DOT_ROWS];
    UNROLL for (int x = 0; x < DOT_ROWS * DOT_COLS; x++)
        acc[x] = (vec){0};
#define DOT_STEP(LOAD)                                                                           \
    UNROLL for (int x = 0; x < rows; x++)                                                        \
        s[x] = LOAD(a + x * g->a_row + p);                                                       \
    UNROLL for (int y = 0; y < cols; y++) {                                                      \
        vec t = LOAD(b + y * g->b_col + p);                                                      \
        UNROLL for (int x = 0; x < rows; x++)                                                    \
            acc[x * DOT_COLS + y] += s[x] * t;                                                   \
    }
#define LOAD_REST(at) load_part(at, (int)(g->k - p))
    int64_t p = 0;
    for (; p + LANES <= g->k; p += LANES) {
        DOT_STEP(load)
    }
    if (p < g->k) {
        DOT_STEP(LOAD_REST)
    }
    real sum[DOT_REST][LANES], out[DOT_ROWS][DOT_COLS];
    if (rows * cols == 1) { /* the same sums of one vector, without the others and memory */
        UNROLL for (int left = LANES; left > 1; left /= 2)
            acc[0] = MIX_LOW(acc[0], acc[0]) + MIX_HIGH(acc[0], acc[0]);
        out[0][0] = acc[0][0];
    } else {
        sum_lanes(acc);
        UNROLL for (int x = 0; x < DOT_REST; x++)
            store(sum[x], acc[x]);
        UNROLL for (int e = 0; e < DOT_ROWS * DOT_COLS; e++)
            out[e / DOT_COLS][e % DOT_COLS] = sum[e % DOT_REST][e / DOT_REST];
    }
    real *c = g->c + i * g->c_row + j;
    const real *gate = g->gate ? g->gate + i * g->gate_row + j : NULL;
#define EACH UNROLL for (int x = 0; x < rows; x++) UNROLL for (int y = 0; y < cols; y++)
    if (g->accumulate)
        EACH out[x][y] += c[x * g->c_row + y];
    if (g->bias)
        EACH out[x][y] += g->bias[j + y];
    if (g->relu)
        EACH out[x][y] = out[x][y] < 0 ? 0 : out[x][y];
    if (g->gate)
        EACH out[x][y] = gate[x * g->gate_row + y] <= 0 ? 0 : out[x][y] * g->scale;
    EACH c[x * g->c_row + y] = out[x][y];
#undef EACH
}

typedef void (*dot_fn)(const bpi_gemm *g, int64_t i, int64_t j);
#define DOT(cols, rows)                                                                          \
    static void dot_##rows##_##cols(const bpi_gemm *g, int64_t i, int64_t j)                     \
    {                                                                                            \
        dot(rows, cols, g, i, j);                                                                \
    }
#define DOT_NAME(cols, rows) dot_##rows##_##cols,
EACH_4(DOT, 1) EACH_4(DOT, 2)
#if BPI_VECTOR_BYTES == 64
EACH_4(DOT, 3) EACH_4(DOT, 4)
#endif

static const dot_fn dots[DOT_ROWS][DOT_COLS] = { /* [rows - 1][cols - 1] */
    {EACH_4(DOT_NAME, 1)}, {EACH_4(DOT_NAME, 2)},
#if BPI_VECTOR_BYTES == 64
    {EACH_4(DOT_NAME, 3)}, {EACH_4(DOT_NAME, 4)},
#endif
};

#endif
