/* gather_normalized: y[i, j] = (table[index[i], j] - shift[j]) scale[j]. Forward: table (u8 or
 * real), index, shift, scale -> y. A bad index counts as a row of zeros of the table, as it does in
 * the composed form, and is noted. Backward is the composed form's.
 * Floor: each row of y once read and once written. The rule: src/ops/gather_normalized.c. */
#include "cpu/elementwise.h"
#include "cpu/reduce.h"

typedef struct job {
    bp_exec *ex;
    const void *table;
    const int32_t *index;
    const real *shift, *scale; /* [C] */
    bpi_rows y;
    int64_t table_rows, pitch, per_block;
} job;

#define ROWS(block_fn, T)                                                           \
    static void block_fn(void *arg, int64_t block)                                  \
    {                                                                               \
        const job *w = arg;                                                         \
        const real *shift = w->shift, *scale = w->scale;                            \
        int64_t end = bpi_at_most((block + 1) * w->per_block, w->y.n);              \
        for (int64_t r = block * w->per_block; r < end; r++) {                      \
            int32_t from = w->index[r];                                             \
            real *y = bpi_row(&w->y, r);                                            \
            if (from >= 0 && from < w->table_rows) {                                \
                const T *t = (const T *)w->table + from * w->pitch;                 \
                BPI_EACH(w->y.size, y[i] = ((real)t[i] - shift[i]) * scale[i])      \
            } else {                                                                \
                BPI_EACH(w->y.size, y[i] = (0 - shift[i]) * scale[i])               \
                bp_fault_range(w->ex, from);                                        \
            }                                                                       \
        }                                                                           \
    }
ROWS(rows_of_u8, uint8_t)
ROWS(rows_of_real, real)

static bp_status forward(bp_exec *ex, const bp_view *in, const bp_view *out, const void *params)
{
    (void)params;
    job w = {.ex = ex, .table = in[0].data, .index = in[1].data, .shift = in[2].data,
             .scale = in[3].data, .y = bpi_rows_of(out), .table_rows = in[0].shape.dim[0],
             .pitch = in[0].stride[0]};
    w.per_block = bpi_at_least(BPI_GRAIN / bpi_at_least(w.y.size, 1), 1);
    bp_parallel_for(ex, bpi_parts(w.y.n, w.per_block),
               in[0].dtype == BP_U8 ? rows_of_u8 : rows_of_real, &w);
    return BP_OK;
}

BPI_CPU_OP(gather_normalized) = {.slot[BPI_FORWARD] = {.fn = forward, .layout = BPI_ROWS}};
