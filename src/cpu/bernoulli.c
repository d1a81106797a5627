/* bernoulli: y = 1 where element i of the stream, a uniform (draw.h), is below p, else 0; NaN where
 * p is. Forward: p, rng -> y, packed. Floor: p read, y written. The rule: src/ops/bernoulli.c. */
#include "cpu/draws.h"

enum { GRAIN = 128 * BPI_NUMBERS }; /* elements of a block */

typedef struct job {
    bpi_draw_stream stream;
    const real *p;
    real *y;
    int64_t n;
} job;

static void block_fn(void *arg, int64_t block)
{
    const job *w = arg;
    int64_t end = at_most((block + 1) * GRAIN, w->n);
    for (int64_t first = block * GRAIN; first < end; first += BPI_NUMBERS) {
        bpi_number word[BPI_NUMBERS];
        bpi_draw_numbers(word, &w->stream, (uint64_t)first / 4);
        int64_t n = at_most(end - first, BPI_NUMBERS);
        for (int64_t i = 0; i < n; i++) {
            real p = w->p[first + i], y = BPI_TYPED(unit)(word[i]) < p;
            w->y[first + i] = p == p ? y : p;
        }
    }
}

static bp_status forward(bp_exec *ex, const bp_view *in, const bp_view *out, const void *params)
{
    const bpi_draw_params *p = params;
    job w = {bpi_draw_stream_of(&in[1], p->site), in->data, out->data,
             count_of(out)};
    bp_parallel_for(ex, parts(w.n, GRAIN), block_fn, &w);
    return BP_OK;
}

BPI_CPU_OP(bernoulli) = {.slot[BPI_FORWARD] = {.fn = forward, .layout = BPI_PACKED}};
