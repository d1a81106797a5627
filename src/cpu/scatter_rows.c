/* scatter_rows: y[r, ...] = sum of x[i, ...] over the i with index[i] = r, in order of i. Forward:
 * x, index -> y. A bad index is left out and noted. Backward is gather.
 *
 * A block owns a strip of columns of all rows, so that no two blocks write one element and the
 * order is that of i. Floor: x read, y written once. The rule: src/ops/scatter_rows.c. */
#include <string.h>

#include "cpu/elementwise.h"
#include "cpu/reduce.h"

enum { STRIPS = 16, STRIP = 64 }; /* at most; elements at least */

typedef struct job {
    bp_exec *ex;
    const real *x;
    real *y;
    const int32_t *index;
    int64_t n, rows, size, x_pitch, y_pitch, strip;
} job;

static void block_fn(void *arg, int64_t block)
{
    const job *w = arg;
    int64_t first = block * w->strip, n = bpi_at_most(w->size - first, w->strip);
    for (int64_t r = 0; r < w->rows; r++)
        memset(w->y + r * w->y_pitch + first, 0, (size_t)n * sizeof(real));
    for (int64_t b = 0; b < w->n; b++) {
        int32_t r = w->index[b];
        if (r >= 0 && r < w->rows) {
            const real *x = w->x + b * w->x_pitch + first;
            real *y = w->y + r * w->y_pitch + first;
            BPI_EACH(n, y[i] += x[i])
        } else {
            bp_fault_range(w->ex, r);
        }
    }
}

static bp_status forward(bp_exec *ex, const bp_view *in, const bp_view *out, const void *params)
{
    (void)params;
    job w = {.ex = ex, .x = in[0].data, .y = out->data, .index = in[1].data,
             .n = in[0].shape.dim[0], .rows = out->shape.dim[0], .size = 1};
    for (int32_t i = 1; i < out->shape.ndim; i++)
        w.size *= out->shape.dim[i];
    int matrix = out->shape.ndim == 2;
    w.x_pitch = matrix ? in[0].stride[0] : w.size;
    w.y_pitch = matrix ? out->stride[0] : w.size;
    int small = (w.n + w.rows) * w.size <= BPI_GRAIN;
    w.strip = small ? bpi_at_least(w.size, 1) : bpi_at_least(bpi_parts(w.size, STRIPS), STRIP);
    bp_parallel_for(ex, bpi_parts(w.size, w.strip), block_fn, &w);
    return BP_OK;
}

BPI_CPU_OP(scatter_rows) = {.slot[BPI_FORWARD] = {.fn = forward, .layout = BPI_ROWS}};
