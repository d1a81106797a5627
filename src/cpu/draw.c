/* draw: uniform, normal or chance (draw.h), a word of the stream an element, in row-major order.
 * Forward: rng -> y, packed. Floor: y written once. The rule: src/ops/draw.c. */
#include "cpu/draws.h"

enum { GRAIN = 128 * BPI_NUMBERS }; /* elements of a block */

typedef struct job {
    bpi_draw_stream stream;
    real *y;
    int64_t n;
    int32_t kind;
    real a, b, most;
} job;

static void block_fn(void *arg, int64_t block)
{
    const job *w = arg;
    const real a = w->a, b = w->b, most = w->most;
    int64_t end = at_most((block + 1) * GRAIN, w->n);
    for (int64_t first = block * GRAIN; first < end; first += BPI_NUMBERS) {
        bpi_number word[BPI_NUMBERS];
        real y[BPI_NUMBERS];
        bpi_draw_numbers(word, &w->stream, (uint64_t)first / 4);
        if (w->kind == BPI_UNIFORM)
            for (int i = 0; i < BPI_NUMBERS; i++)
                y[i] = BPI_TYPED(between)(BPI_TYPED(unit)(word[i]), a, b, most);
        else if (w->kind == BPI_NORMAL)
            for (int i = 0; i < BPI_NUMBERS; i++)
                y[i] = a + b * BPI_TYPED(normal)(word[i]);
        else
            for (int i = 0; i < BPI_NUMBERS; i++)
                y[i] = BPI_TYPED(unit)(word[i]) < a;
        if (end - first >= BPI_NUMBERS)
            memcpy(w->y + first, y, sizeof y);
        else
            memcpy(w->y + first, y, (size_t)(end - first) * sizeof *y);
    }
}

static bp_status forward(bp_exec *ex, const bp_view *in, const bp_view *out, const void *params)
{
    const bpi_draw_params *p = params;
    job w = {bpi_draw_stream_of(in, p->site), out->data, count_of(out), p->kind,
             (real)p->a, (real)p->b, (real)p->most};
    bp_parallel_for(ex, parts(w.n, GRAIN), block_fn, &w);
    return BP_OK;
}

BPI_CPU_OP(draw) = {.slot[BPI_FORWARD] = {.fn = forward, .layout = BPI_PACKED}};
