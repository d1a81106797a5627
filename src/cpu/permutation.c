/* permutation: y[i] = where permutation.h puts i. Forward: rng -> y, i32 [n]. Many numbers go
 * through the network side by side, again and again until all are below n. The rule:
 * src/ops/permutation.c. */
#include "cpu/draws.h"
#include "door/permutation.h"

enum { GRAIN = 2048, SIDE_BY_SIDE = 64 };

typedef struct job {
    bpi_permutation permutation;
    int32_t *y;
} job;

static void block_fn(void *arg, int64_t block)
{
    const job *w = arg;
    const bpi_permutation p = w->permutation;
    int64_t end = at_most((block + 1) * GRAIN, p.n);
    for (int64_t first = block * GRAIN; first < end; first += SIDE_BY_SIDE) {
        uint32_t at[SIDE_BY_SIDE], above = 1;
        for (uint32_t i = 0; i < SIDE_BY_SIDE; i++)
            at[i] = bpi_permute(&p, (uint32_t)at_most(first + i, p.n - 1));
        while (above) {
            above = 0;
            for (int i = 0; i < SIDE_BY_SIDE; i++)
                above |= at[i] >= p.n;
            for (int i = 0; above && i < SIDE_BY_SIDE; i++) {
                uint32_t next = bpi_permute(&p, at[i]);
                at[i] = at[i] < p.n ? at[i] : next;
            }
        }
        memcpy(w->y + first, at, (size_t)at_most(end - first, SIDE_BY_SIDE) * sizeof *at);
    }
}

static bp_status forward(bp_exec *ex, const bp_view *in, const bp_view *out, const void *params)
{
    const bpi_draw_params *p = params;
    bpi_stream s = bpi_stream_of(in, BPI_PURPOSE_PERMUTATION, p->site);
    job w = {bpi_permutation_of(&s, (uint32_t)out->shape.dim[0]), out->data};
    bp_parallel_for(ex, parts(w.permutation.n, GRAIN), block_fn, &w);
    return BP_OK;
}

BPI_CPU_OP(permutation) = {.slot[BPI_FORWARD] = {.fn = forward, .layout = BPI_PACKED}};
