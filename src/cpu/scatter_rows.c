/* scatter_rows: y[r, ...] = sum of x[i, ...] over the i with index[i] = r, in order of i. Forward:
 * x, index -> y. A bad index is left out and noted. Backward is gather.
 *
 * A block owns a strip of columns of all rows, so that no two blocks write one element and the
 * order is that of i. Floor: x read, y written once. The rule: src/ops/scatter_rows.c. */
#include <string.h>

#include "cpu/loop.h"
#include "cpu/index.h"
#include "cpu/reduce.h"

enum { STRIPS = 16, STRIP = 64 }; /* at most; elements at least */

typedef struct job {
    bpi_indices index;
    bpi_rows x, y;
    int64_t strip;
} job;

static void block_fn(void *arg, int64_t block)
{
    job *w = arg;
    int64_t first = block * w->strip, n = at_most(w->y.size - first, w->strip);
    for (int64_t r = 0; r < w->y.n; r++)
        memset(bpi_row(&w->y, r) + first, 0, (size_t)n * sizeof(real));
    for (int64_t b = 0; b < w->x.n; b++)
        if (bpi_index_ok(&w->index, b)) {
            const real *x = bpi_row(&w->x, b) + first;
            real *y = bpi_row(&w->y, w->index.at[b]) + first;
            BPI_EACH(n, y[i] += x[i])
        }
}

static bp_status forward(bp_exec *ex, const bp_view *in, const bp_view *out, const void *params)
{
    (void)params;
    job w = {BPI_INDICES(in[1], out->shape.dim[0]), bpi_rows_of(in, 1), bpi_rows_of(out, 1), 0};
    int64_t size = w.y.size;
    int small = (w.x.n + w.y.n) * size <= BPI_GRAIN;
    w.strip = small ? at_least(size, 1) : at_least(parts(size, STRIPS), STRIP);
    bp_parallel_for(ex, parts(size, w.strip), block_fn, &w);
    return bpi_indices_done(ex, &w.index);
}

BPI_CPU_OP(scatter_rows) = {.slot[BPI_FORWARD] = {.fn = forward, .layout = BPI_ROWS}};
