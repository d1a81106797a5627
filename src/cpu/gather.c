/* gather: y[i, ...] = table[index[i], ...]. Forward: table, index -> y; any dtype, a row is bytes.
 * A bad index gives a row of zeros and is noted. Backward is scatter_rows.
 * Floor: each row of y once read and once written. The rule: src/ops/gather.c. */
#include <string.h>

#include "cpu/reduce.h"

enum { BLOCK_BYTES = 1 << 17 };

typedef struct job {
    bp_exec *ex;
    const char *table;
    char *y;
    const int32_t *index;
    int64_t n, table_rows, per_block;
    size_t bytes, table_pitch, pitch; /* of a row; from one to the next */
} job;

static void block_fn(void *arg, int64_t block)
{
    const job *w = arg;
    int64_t end = bpi_at_most((block + 1) * w->per_block, w->n);
    for (int64_t i = block * w->per_block; i < end; i++) {
        char *to = w->y + (size_t)i * w->pitch;
        int32_t r = w->index[i];
        if (r >= 0 && r < w->table_rows) {
            memcpy(to, w->table + (size_t)r * w->table_pitch, w->bytes);
        } else {
            memset(to, 0, w->bytes);
            bp_fault_range(w->ex, r);
        }
    }
}

static bp_status forward(bp_exec *ex, const bp_view *in, const bp_view *out, const void *params)
{
    (void)params;
    const bp_view *table = &in[0];
    size_t element = table->dtype == BP_F64 ? 8 : table->dtype == BP_U8 ? 1 : 4;
    job w = {.ex = ex, .table = table->data, .y = out->data, .index = in[1].data,
             .n = out->shape.dim[0], .table_rows = table->shape.dim[0], .bytes = element};
    for (int32_t i = 1; i < table->shape.ndim; i++)
        w.bytes *= (size_t)table->shape.dim[i];
    if (w.bytes == 0)
        return BP_OK;
    int matrix = table->shape.ndim == 2;
    w.table_pitch = matrix ? (size_t)table->stride[0] * element : w.bytes;
    w.pitch = matrix ? (size_t)out->stride[0] * element : w.bytes;
    w.per_block = bpi_at_least(BLOCK_BYTES / (int64_t)w.bytes, 1);
    bp_parallel_for(ex, bpi_parts(w.n, w.per_block), block_fn, &w);
    return BP_OK;
}

BPI_CPU_OP(gather) = {.slot[BPI_FORWARD] = {.fn = forward, .layout = BPI_ROWS}};
