/* dropout: y = x scale where element i of the stream (philox.h) is kept, else 0; scale = 65536 /
 * keep; i counts elements in row-major order. Forward: x, rng -> y; backward: the same with dy.
 * Nothing is stored, the mask is drawn again. The rule: src/ops/dropout.c. */
#include "cpu/dropout_row.h"

#include "cpu/loop.h"
#include "cpu/vec_rows.h"

typedef struct job {
    bpi_loop loop;
    bpi_dropout dropout;
    real scale;
    int past; /* y is written past the caches */
} job;

static void block_fn(void *arg, int64_t block)
{
    const job *w = arg;
    const bpi_loop *l = &w->loop;
    for (bpi_piece p = bpi_piece_first(l, block); p.left; bpi_piece_next(l, &p))
        bpi_dropout_row(w->past, (real *)l->data[0] + p.offset[0],
                        (const real *)l->data[1] + p.offset[1],
                        p.n, (uint64_t)(p.row * l->size[0] + p.number / l->rows * l->piece),
                        &w->dropout, w->scale);
    if (w->past)
        stream_end();
}

static bp_status forward(bp_exec *ex, const bp_view *in, const bp_view *out, const void *params)
{
    const bpi_dropout_params *p = params;
    job w;
    w.scale = bpi_dropout_init(&w.dropout, &in[1], p->site, p->keep);
    bpi_loop_init(&w.loop, out, in, 1);
    w.past = count_of(out) * (int64_t)sizeof(real) >= PAST_BYTES;
    const int pitch = w.loop.stride[0][0] != 1 || w.loop.stride[1][0] != 1; /* of a column */
    int64_t blocks = bpi_loop_cut(&w.loop, pitch ? 1 : BPI_GRAIN_EXP, BPI_GRAIN_EXP);
    bp_parallel_for(ex, blocks, block_fn, &w);
    return BP_OK;
}

BPI_CPU_OP(dropout) = {.slot[BPI_FORWARD] = {.fn = forward, .layout = BPI_ROWS}};
