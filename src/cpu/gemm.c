/* The matrix product behind every layer on the CPU; gemm.h says what it computes.
 *
 * C is cut into blocks, tall and a few panels (two vectors' columns) wide, which threads claim. For
 * each panel and chunk of K, a block brings the panel of B into the order its tiles read it in,
 * where a copy earns its time back, and then multiplies every tile of rows with it; A is read where
 * it lies. So there is nothing to wait for between the first block and the last. Every decision
 * sees the shape alone, and one thread adds up an element of C in the order of K, so the bits do
 * not depend on the number of threads. */
#include "cpu/gemm.h"

#include <stdatomic.h>

#include "cpu/dropout_row.h"
#include "cpu/gemm_tile.h"

#ifndef KC
#define KC 512
#endif
#ifndef MBR
#define MBR 512
#endif
#ifndef BLKW
#define BLKW 2.5e5
#endif
#ifndef INL
#define INL 5e5
#endif
#ifndef PBM
#define PBM 256
#endif
enum {
    CHUNK = KC,          /* steps of K for which a panel of B stays in the second cache */
    STACK_BYTES = 12 * 1024, /* a small product packs its panel here */
    SLOTS = 32               /* panels packed at the same time */
};

typedef struct plan {
    const bpi_gemm *g;
    int64_t height, taller; /* the first `taller` tiles have height + 1 rows, the others height */
    int64_t tiles, panels;
    int64_t block_tiles, block_panels, across; /* blocks in a row of blocks */
    int64_t block_rows;                        /* of dot tiles */
    int64_t chunk;
    int pack_b;
    real *packed;               /* SLOTS times [chunk][TILE_COLS] */
    _Atomic uint32_t slots_taken; /* one bit each */
} plan;

static int64_t at_most(int64_t a, int64_t b) { return a < b ? a : b; }
static int64_t at_least(int64_t a, int64_t b) { return a > b ? a : b; }
static int64_t parts(int64_t n, int64_t size) { return (n + size - 1) / size; }

static int64_t tile_row(const plan *w, int64_t tile)
{
    return tile * w->height + at_most(tile, w->taller);
}

static epilogue epilogue_of(const bpi_gemm *g, int64_t k0, int last)
{
    epilogue e = {g->c, g->c_row, k0 > 0 || g->accumulate, 0, NULL, NULL, 0, 1};
    if (last) {
        e.relu = g->relu;
        e.bias = g->bias;
        e.gate = g->gate;
        e.gate_row = g->gate_row;
        e.scale = g->scale;
    }
    return e;
}

/* Tiles t.. of one panel, for steps k0.. of K; `packed` has room for the panel. */
static void multiply_panel(const plan *w, const epilogue *e, int64_t t, int64_t t_end,
                           int64_t panel, int64_t k0, int64_t steps, real *packed)
{
    const bpi_gemm *g = w->g;
    int64_t j = panel * TILE_COLS, cols = at_most(g->n - j, TILE_COLS), b_step = g->b_row;
    int two = cols > LANES, part = (int)cols - two * LANES, by_row = g->a_row != 1;
    const real *a = g->a + k0 * g->a_col, *b = g->b + j * g->b_col + k0 * g->b_row;
    if (w->pack_b) {
        if (g->b_col == 1)
            pack_rows(packed, TILE_COLS, (int)cols, steps, b, g->b_row);
        else
            pack_transposed(packed, TILE_COLS, (int)cols, steps, b, g->b_col);
        b = packed;
        b_step = TILE_COLS;
    }
    const tile_fn *fn = tiles[by_row][two][part < LANES];
    for (int64_t i = tile_row(w, t); t < t_end; t++) {
        int64_t rows = w->height + (t < w->taller);
        fn[rows - 1](e, i, j, part, steps, a + i * g->a_row, by_row ? g->a_row : g->a_col, b, b_step);
        i += rows;
    }
}

static void drop(const bpi_gemm *g, int64_t i, int64_t i_end, int64_t j, int64_t j_end)
{
    for (; i < i_end; i++) {
        real *c = g->c + i * g->c_row + j;
        bpi_dropout_row(c, c, j_end - j, (uint64_t)(i * g->n + j), g->dropout, g->scale);
    }
}

static void multiply_range(const plan *w, int64_t t, int64_t t_end, int64_t p, int64_t p_end,
                           real *packed)
{
    const bpi_gemm *g = w->g;
    int64_t k0 = 0;
    do {
        int64_t steps = at_most(w->chunk, g->k - k0);
        epilogue e = epilogue_of(g, k0, k0 + steps == g->k);
        for (int64_t panel = p; panel < p_end; panel++)
            multiply_panel(w, &e, t, t_end, panel, k0, steps, packed);
        k0 += steps;
    } while (k0 < g->k);
    if (g->dropout)
        drop(g, tile_row(w, t), tile_row(w, t_end), p * TILE_COLS,
             at_most(p_end * TILE_COLS, g->n));
}

/* The lowest free slot, so that few threads keep to few, which stay in their caches. */
static int take_slot(plan *w)
{
    uint32_t taken = atomic_load(&w->slots_taken);
    for (;;) {
        int slot = 0;
        while (slot < SLOTS - 1 && taken >> slot & 1)
            slot++;
        uint32_t bit = (uint32_t)1 << slot;
        if (taken & bit)
            taken = atomic_load(&w->slots_taken);
        else if (atomic_compare_exchange_weak(&w->slots_taken, &taken, taken | bit))
            return slot;
    }
}

static void multiply_block(void *arg, int64_t block)
{
    plan *w = arg;
    int64_t t = block / w->across * w->block_tiles, p = block % w->across * w->block_panels;
    int slot = w->pack_b ? take_slot(w) : 0;
    multiply_range(w, t, at_most(t + w->block_tiles, w->tiles), p,
                   at_most(p + w->block_panels, w->panels),
                   w->packed + slot * w->chunk * TILE_COLS);
    if (w->pack_b)
        atomic_fetch_and(&w->slots_taken, ~((uint32_t)1 << slot));
}

static void dot_block(void *arg, int64_t block)
{
    const plan *w = arg;
    const bpi_gemm *g = w->g;
    int64_t i0 = block * w->block_rows, end = at_most(i0 + w->block_rows, g->m);
    for (int64_t i = i0; i < end; i += DOT_ROWS)
        for (int64_t j = 0; j < g->n; j += DOT_COLS)
            dots[at_most(end - i, DOT_ROWS) - 1][at_most(g->n - j, DOT_COLS) - 1](g, i, j);
    if (g->dropout)
        drop(g, i0, end, 0, g->n);
}

bp_status BPI_CPU(gemm)(bp_exec *ex, const bpi_gemm *g)
{
    if (g->m <= 0 || g->n <= 0)
        return BP_OK;
    plan w = {.g = g};
    double work = (double)g->m * (double)g->n * (double)g->k;
    int transposed_b = g->b_col != 1;
    if (transposed_b && g->a_col == 1 && g->k >= 2 * LANES && (g->n <= 12 || g->m <= 6)) {
        w.block_rows = g->m;
        if (work < INL) {
            dot_block(&w, 0);
            return BP_OK;
        }
        w.block_rows = parts(parts(g->m, at_least(2, at_most(g->m, (int64_t)(work / 2e5)))), DOT_ROWS) * DOT_ROWS;
        bp_parallel_for(ex, parts(g->m, w.block_rows), dot_block, &w);
        return BP_OK;
    }
    w.tiles = parts(g->m, TILE_ROWS);
    w.panels = parts(g->n, TILE_COLS);
    w.height = g->m / w.tiles;
    w.taller = g->m - w.height * w.tiles;
    w.chunk = g->k <= CHUNK ? g->k : parts(g->k, parts(g->k, CHUNK));
    w.pack_b = g->k > 0 && (transposed_b || g->m >= PBM);
    real stack[STACK_BYTES / sizeof(real)] __attribute__((aligned(64)));
    size_t panel_bytes = w.pack_b ? (size_t)(w.chunk * TILE_COLS) * sizeof(real) : 0;
    w.packed = stack;
    if (work < INL) {
        if (panel_bytes > STACK_BYTES && !(w.packed = bpi_workspace(ex, panel_bytes)))
            return BP_ERR_NOMEM;
        multiply_range(&w, 0, w.tiles, 0, w.panels, w.packed);
        return BP_OK;
    }
    if (w.pack_b && !(w.packed = bpi_workspace(ex, SLOTS * panel_bytes)))
        return BP_ERR_NOMEM;
    w.block_tiles = parts(w.tiles, parts(g->m, MBR));
    double panel = (double)w.block_tiles * TILE_ROWS * TILE_COLS * (double)at_least(g->k, 1);
    int64_t wide = at_least((int64_t)(BLKW / panel), g->dropout ? 4 : 1);
    w.across = parts(w.panels, wide);
    w.block_panels = parts(w.panels, w.across);
    w.across = parts(w.panels, w.block_panels);
    bp_parallel_for(ex, parts(w.tiles, w.block_tiles) * w.across, multiply_block, &w);
    return BP_OK;
}
