/* gather: y[i, ...] = table[index[i], ...]. Forward: table, index -> y; any dtype, a row is bytes.
 * A bad index gives a row of zeros and is noted. Backward is scatter_rows.
 * Floor: each row of y once read and once written. The rule: src/ops/gather.c. */
#include <string.h>

#include "cpu/index.h"
#include "cpu/reduce.h"

enum { BLOCK_BYTES = 1 << 17 };

typedef struct job {
    const char *table;
    char *y;
    bpi_indices index;
    bpi_rows from, to;
    size_t element; /* bytes */
} job;

static void block_fn(void *arg, int64_t block)
{
    job *w = arg;
    int64_t end = bpi_rows_end(&w->to, block);
    size_t bytes = (size_t)w->to.size * w->element;
    for (int64_t i = block * w->to.per_block; i < end; i++) {
        char *to = w->y + (size_t)(i * w->to.pitch) * w->element;
        if (bpi_index_ok(&w->index, i))
            memcpy(to, w->table + (size_t)(w->index.at[i] * w->from.pitch) * w->element, bytes);
        else
            memset(to, 0, bytes);
    }
}

static bp_status forward(bp_exec *ex, const bp_view *in, const bp_view *out, const void *params)
{
    (void)params;
    int64_t element = bytes_of(in->dtype);
    job w = {in->data, out->data, BPI_INDICES(in[1], in->shape.dim[0]), bpi_rows_of(in, 1),
             bpi_rows_of(out, 1), (size_t)element};
    if (w.to.size == 0)
        return BP_OK;
    bp_parallel_for(ex, bpi_rows_cut(&w.to, BLOCK_BYTES / element), block_fn, &w);
    return bpi_indices_done(ex, &w.index);
}

BPI_CPU_OP(gather) = {.slot[BPI_FORWARD] = {.fn = forward, .layout = BPI_ROWS}};
