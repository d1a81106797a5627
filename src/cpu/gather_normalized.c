/* gather_normalized: y[i, j] = (table[index[i], j] - shift[j]) scale[j]. Forward: table (u8 or
 * real), index, shift and scale (f64) -> y, which is rounded once. A bad index counts as a row of
 * zeros of the table, as it does in the composed form, and is noted. Backward is the composed
 * form's.
 * Floor: each row of y once read and once written. The rule: src/ops/gather_normalized.c. */
#include "cpu/loop.h"
#include "cpu/index.h"
#include "cpu/reduce.h"

typedef struct job {
    bpi_indices index;
    const double *shift, *scale; /* [C] */
    bpi_rows table, y;           /* table.data: u8 or real */
} job;

#define ROWS(block_fn, T)                                                                  \
    static void block_fn(void *arg, int64_t block)                                         \
    {                                                                                      \
        job *w = arg;                                                                      \
        const double *shift = w->shift, *scale = w->scale;                                 \
        int64_t end = bpi_rows_end(&w->y, block);                                          \
        for (int64_t r = block * w->y.per_block; r < end; r++) {                           \
            real *y = bpi_row(&w->y, r);                                                   \
            if (bpi_index_ok(&w->index, r)) {                                              \
                const T *t = (const T *)w->table.data + w->index.at[r] * w->table.pitch;   \
                BPI_EACH(w->y.size, y[i] = (real)(((double)t[i] - shift[i]) * scale[i]))   \
            } else {                                                                       \
                BPI_EACH(w->y.size, y[i] = (real)((0 - shift[i]) * scale[i]))              \
            }                                                                              \
        }                                                                                  \
    }
ROWS(rows_of_u8, uint8_t)
ROWS(rows_of_real, real)

static bp_status forward(bp_exec *ex, const bp_view *in, const bp_view *out, const void *params)
{
    (void)params;
    job w = {BPI_INDICES(in[1], in->shape.dim[0]), in[2].data, in[3].data, bpi_rows_of(in, 1),
             bpi_rows_of(out, 1)};
    bp_parallel_for(ex, bpi_rows_cut(&w.y, BPI_GRAIN),
                    in->dtype == BP_U8 ? rows_of_u8 : rows_of_real, &w);
    return bpi_indices_done(ex, &w.index);
}

BPI_CPU_OP(gather_normalized) = {.slot[BPI_FORWARD] = {.fn = forward, .layout = BPI_ROWS}};
