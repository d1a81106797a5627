/* The matrix product behind every layer on the CPU; gemm.h says what it computes.
 *
 * C is cut into blocks, tall and a few panels (two vectors' columns) wide, which threads claim. For
 * each panel and chunk of K, a block brings the panel of B into the order its tiles read it in,
 * where a copy earns its time back, and then multiplies every tile of rows with it; A is read where
 * it lies. So there is nothing to wait for between the first block and the last. Every decision
 * sees the shape alone, and one thread adds up an element of C in the order of K, so the bits do
 * not depend on the number of threads. */
#include "cpu/gemm.h"

#include "cpu/dropout_row.h"
#include "cpu/gemm_tile.h"

enum {
    CHUNK = 512,          /* steps of K; a panel of B for so many stays in the second cache */
    BLOCK_WORK = 250000,  /* multiply-adds of a block: 2 microseconds at full speed */
    BLOCK_ROWS = 512,     /* at most */
    SHARED_ROWS = 32,     /* at least, where several blocks pack the same panel */
    COPY_ROWS = 256,      /* of a block, from which on it copies rows of B that lie right already */
    INLINE_WORK = 500000, /* a smaller product runs in the caller, without a word to the pool, */
    INLINE_CHUNK = 6144 / BPI_VECTOR_BYTES /* if its panels fit a small piece of stack */
};

typedef bpi_gemm_plan plan;

static int64_t tile_row(const plan *w, int64_t tile)
{
    return tile * w->height + at_most(tile, w->taller);
}

/* Tiles t.. of one panel, for steps k0.. of K; `packed` has room for the panel. */
INLINE void panel_inline(const plan *w, const bpi_gemm *g, int64_t t, int64_t t_end, int64_t panel,
                         int64_t k0, int64_t steps, real *packed)
{
    int64_t j = panel * TILE_COLS, cols = at_most(g->n - j, TILE_COLS), b_step = g->b_row;
    int two = cols > LANES, part = (int)cols - two * LANES;
    const real *a = g->a + k0 * g->a_col, *b = g->b + j * g->b_col + k0 * g->b_row;
    if (w->pack) {
        if (g->b_col == 1)
            pack_rows(packed, (int)cols, steps, b, g->b_row);
        else
            pack_columns(packed, (int)cols, steps, b, g->b_col);
        b = packed;
        b_step = TILE_COLS;
    }
    const tile_fn *fn = tiles[two][part < LANES];
    vec seen = {0};
    for (int64_t i = tile_row(w, t); t < t_end; t++) {
        int64_t rows = w->height + (t < w->taller);
        seen += fn[rows - 1](g, i, j, part, steps, a + i * g->a_row, b, b_step);
        i += rows;
    }
    if (g->suspect)
        bpi_judge(g->suspect, seen);
}

OUTLINE void multiply_panel(const plan *w, const bpi_gemm *g, int64_t t, int64_t t_end,
                            int64_t panel, int64_t k0, int64_t steps, real *packed)
{
    panel_inline(w, g, t, t_end, panel, k0, steps, packed);
}

/* Dropout of a finished block: whole runs of its rows, as Philox makes many draws at once. */
static void drop(const bpi_gemm *g, int64_t i, int64_t i_end, int64_t j, int64_t j_end)
{
    for (; i < i_end; i++) {
        real *c = g->c + i * g->c_row + j;
        bpi_dropout_row(0, c, c, j_end - j, (uint64_t)(i * g->n + j), g->dropout, g->scale);
    }
}

/* Tiles t.. of panels p... */
static void multiply_range(const plan *w, int64_t t, int64_t t_end, int64_t p, int64_t p_end,
                           real *packed)
{
    const bpi_gemm *g = &w->g;
    int64_t k0 = 0;
    bpi_gemm part;
    if (w->chunk < g->k) {
        part = *g;
        part.bias = part.gate = NULL; /* the last chunk finishes the sums */
        part.relu = 0;
        part.suspect = NULL;
        for (; k0 + w->chunk < g->k; k0 += w->chunk, part.accumulate = 1)
            for (int64_t panel = p; panel < p_end; panel++)
                multiply_panel(w, &part, t, t_end, panel, k0, w->chunk, packed);
        part = *g;
        part.accumulate = 1;
        g = &part;
    }
    for (int64_t panel = p; panel < p_end; panel++)
        multiply_panel(w, g, t, t_end, panel, k0, g->k - k0, packed);
    if (g->dropout)
        drop(g, tile_row(w, t), tile_row(w, t_end), p * TILE_COLS,
             at_most(p_end * TILE_COLS, g->n));
}

static void multiply_block(void *arg, int64_t block)
{
    const plan *w = arg;
    int64_t t = block / w->across * w->block_tiles, p = block % w->across * w->block_panels;
    real packed[CHUNK * TILE_COLS] __attribute__((aligned(64)));
    multiply_range(w, t, at_most(t + w->block_tiles, w->tiles), p,
                   at_most(p + w->block_panels, w->panels), packed);
}

static void dot_block(void *arg, int64_t block)
{
    const plan *w = arg;
    const bpi_gemm *g = &w->g;
    int64_t i0 = block / w->across * w->block_rows, i_end = at_most(i0 + w->block_rows, g->m);
    int64_t j0 = block % w->across * w->block_cols, j_end = at_most(j0 + w->block_cols, g->n);
    for (int64_t i = i0; i < i_end; i += DOT_ROWS)
        for (int64_t j = j0; j < j_end; j += DOT_COLS)
            dots[at_most(i_end - i, DOT_ROWS) - 1][at_most(j_end - j, DOT_COLS) - 1](g, i, j);
    if (g->dropout)
        drop(g, i0, i_end, j0, j_end);
}

/* A product of dot tiles, in blocks along its longer side. */
static void cut_dots(plan *w)
{
    const bpi_gemm *g = &w->g;
    int64_t blocks = w->work < INLINE_WORK ? 1 : (int64_t)(w->work / BLOCK_WORK);
    w->block_rows = g->m < g->n ? g->m : parts(parts(g->m, blocks), DOT_ROWS) * DOT_ROWS;
    w->block_cols = g->m < g->n ? parts(parts(g->n, blocks), DOT_COLS) * DOT_COLS : g->n;
    w->across = parts(g->n, w->block_cols);
    w->blocks = blocks == 1 ? 1 : parts(g->m, w->block_rows) * w->across;
}

/* Blocks of about BLOCK_WORK, tall, so that few of them bring the same panel of B; shorter where
 * there are few panels to share out. */
static void cut_tiles(plan *w)
{
    const bpi_gemm *g = &w->g;
    int64_t down = at_most((int64_t)(w->work / BLOCK_WORK), 16);
    down = at_most(parts(down, w->panels), at_least(g->m / SHARED_ROWS, 1));
    down = at_least(down, parts(g->m, BLOCK_ROWS));
    w->block_tiles = parts(w->tiles, down);
    double column = w->work / (double)(w->panels * down);
    int64_t wide = at_least((int64_t)(BLOCK_WORK / column), g->dropout ? 4 : 1);
    w->block_panels = parts(w->panels, parts(w->panels, wide));
    w->across = parts(w->panels, w->block_panels);
    w->pack |= w->block_tiles * TILE_ROWS >= COPY_ROWS;
    w->blocks = parts(w->tiles, w->block_tiles) * w->across;
}

/* What is known before anything is cut. What cut() sets is not cleared: that takes longer than a
 * small product. */
static void begin(plan *w, const bpi_gemm *g)
{
    int along_k = g->a_col == 1 && g->b_row == 1 && (g->b_col != 1 || g->n == 1);
    int one_dot = g->m <= DOT_ROWS && g->n <= DOT_COLS && g->k >= LANES;
    w->g = *g;
    w->work = (double)g->m * (double)g->n * (double)g->k;
    w->dots = along_k && !g->suspect &&
              (one_dot || (g->k >= 2 * LANES && (4 * g->n <= 3 * LANES || g->m <= LANES)));
    w->pack = w->tiles = w->panels = 0;
    if (w->dots)
        return;
    w->tiles = parts(g->m, TILE_ROWS);
    w->panels = parts(g->n, TILE_COLS);
    w->height = g->m / w->tiles;
    w->taller = g->m - w->height * w->tiles;
    w->chunk = g->k <= CHUNK ? g->k : parts(g->k, parts(g->k, CHUNK));
    w->pack = g->b_col != 1 && g->n > 1 && g->k > 0; /* one column lies as a panel of one does */
}

static int is_small(const plan *w)
{
    return w->work < INLINE_WORK && !w->dots && (!w->pack || w->chunk <= INLINE_CHUNK);
}

/* A small product: no blocks, and no division that can be done without. */
static void small_block(void *arg, int64_t block)
{
    const plan *w = arg;
    real packed[INLINE_CHUNK * TILE_COLS] __attribute__((aligned(64)));
    (void)block;
    if (w->panels == 1 && w->chunk >= w->g.k && !w->g.dropout)
        panel_inline(w, &w->g, 0, w->tiles, 0, 0, w->g.k, packed);
    else
        multiply_range(w, 0, w->tiles, 0, w->panels, packed);
}

static void cut(plan *w)
{
    if (w->dots)
        cut_dots(w);
    else
        cut_tiles(w);
}

static void multiply_part(plan *w, int64_t block)
{
    if (w->dots)
        dot_block(w, block);
    else
        multiply_block(w, block);
}

/* All of it, by the calling thread. */
static void multiply_whole(plan *w)
{
    const bpi_gemm *g = &w->g;
    w->block_rows = g->m;
    w->block_cols = g->n;
    w->block_tiles = w->tiles;
    w->block_panels = w->panels;
    w->across = 1;
    w->pack |= g->m >= COPY_ROWS;
    if (is_small(w))
        small_block(w, 0);
    else
        multiply_part(w, 0);
}

void BPI_CPU(gemm_alone)(const bpi_gemm *g)
{
    plan w;
    if (g->m <= 0 || g->n <= 0)
        return;
    begin(&w, g);
    multiply_whole(&w);
}

bp_status BPI_CPU(gemm)(bp_exec *ex, const bpi_gemm *g)
{
    if (g->m <= 0 || g->n <= 0)
        return BP_OK;
    plan w;
    begin(&w, g);
    if (is_small(&w))
        return bpi_leave_work(ex, 1, small_block, &w, sizeof w);
    cut(&w);
    return bpi_leave_work(ex, w.blocks, w.dots ? dot_block : multiply_block, &w, sizeof w);
}

/* --- parts of one, for others ---------------------------------------------------------------- */

/* Part t of `count`. Inline: gcc leaves out calls of what does nothing else. */
INLINE void fetch(const bpi_ahead *a, int64_t t, int64_t count)
{
    const int64_t part = parts(a->size, count), end = at_most((t + 1) * part, a->size);
    for (int64_t i = t * part; i < end; i += 64 / (int64_t)sizeof(real))
        __builtin_prefetch(a->from + i, 0, 2);
}

void BPI_CPU(gemm_strip)(const bpi_gemm *g, int64_t rows, int64_t j, int64_t steps, const real *a,
                         const real *b, int64_t b_step, const bpi_ahead *ahead)
{
    const int64_t count = parts(rows, TILE_ROWS), height = rows / count;
    const int64_t cols = at_most(g->n - j, TILE_COLS), taller = rows - height * count;
    const int two = cols > LANES, part = (int)cols - two * LANES;
    const tile_fn *fn = tiles[two][part < LANES];
    for (int64_t t = 0, i = 0; t < count; t++) {
        const int64_t tall = height + (t < taller);
        for (int k = 0; ahead && k < 2; k++)
            fetch(&ahead[k], t, count);
        fn[tall - 1](g, i, j, part, steps, a + i * g->a_row, b, b_step);
        i += tall;
    }
}

void BPI_CPU(gemm_pack)(real *to, int64_t j, int64_t n, int64_t k, const real *b, int64_t b_row,
                        int64_t b_col)
{
    const int cols = (int)at_most(n - j, TILE_COLS);
    if (b_col == 1)
        pack_rows(to, cols, k, b + j, b_row);
    else
        pack_columns(to, cols, k, b + j * b_col, b_col);
}

/* --- many products of one size -------------------------------------------------------------- */

typedef struct many {
    const bpi_loop *batch;
    plan w; /* of the first */
    int64_t count, per_block; /* products; those that share a block, 0 where each is cut */
} many;

/* Product i of the batch. */
static void number(const many *all, int64_t i, plan *w)
{
    const bpi_loop *batch = all->batch;
    int64_t offset[3] = {0};
    for (int axis = 0; axis < batch->axes; axis++) {
        int64_t next = i / batch->size[axis], at = i - next * batch->size[axis];
        for (int x = 0; x < 3; x++)
            offset[x] += at * batch->stride[x][axis];
        i = next;
    }
    *w = all->w;
    w->g.a += offset[0];
    w->g.b += offset[1];
    w->g.c += offset[2];
}

static void many_block(void *arg, int64_t block)
{
    const many *all = arg;
    plan w;
    if (all->per_block == 0) {
        number(all, block / all->w.blocks, &w);
        multiply_part(&w, block % all->w.blocks);
        return;
    }
    int64_t end = at_most((block + 1) * all->per_block, all->count);
    for (int64_t i = block * all->per_block; i < end; i++) {
        number(all, i, &w);
        multiply_whole(&w);
    }
}

bp_status BPI_CPU(gemm_each)(bp_exec *ex, const bpi_gemm *g, const bpi_loop *batch)
{
    int64_t count = 1;
    for (int axis = 0; axis < batch->axes; axis++)
        count *= batch->size[axis];
    if (count == 1)
        return BPI_CPU(gemm)(ex, g);
    if (g->m <= 0 || g->n <= 0 || count == 0)
        return BP_OK;
    many all = {.batch = batch, .count = count};
    begin(&all.w, g);
    double one = all.w.work;
    int64_t blocks;
    if (one < INLINE_WORK) {
        double share = one * (double)count < INLINE_WORK ? (double)count : BLOCK_WORK / (one + 1);
        all.per_block = at_least((int64_t)share, 1);
        blocks = parts(count, all.per_block);
    } else {
        cut(&all.w);
        blocks = count * all.w.blocks;
    }
    if (blocks == 1)
        many_block(&all, 0);
    else
        bp_parallel_for(ex, blocks, many_block, &all);
    return BP_OK;
}
