/* nll_spread: y[i, j] = -s / N where j = labels[i], else 0: the gradient of nll_loss. Forward:
 * s [], labels [N] -> y [N, C]. A bad label gives a row of zeros and is noted. Backward:
 * nll_loss. Floor: y written once. The rule: src/ops/nll_spread.c. */
#include <string.h>

#include "cpu/loop.h"
#include "cpu/index.h"
#include "cpu/reduce.h"

typedef struct job {
    bpi_indices labels;
    bpi_rows y;
    real value;
} job;

static void block_fn(void *arg, int64_t block)
{
    job *w = arg;
    int64_t end = bpi_rows_end(&w->y, block);
    for (int64_t r = block * w->y.per_block; r < end; r++) {
        real *y = bpi_row(&w->y, r);
        memset(y, 0, (size_t)w->y.size * sizeof(real));
        if (bpi_index_ok(&w->labels, r))
            y[w->labels.at[r]] = w->value;
    }
}

static bp_status forward(bp_exec *ex, const bp_view *in, const bp_view *out, const void *params)
{
    (void)params;
    job w = {BPI_INDICES(in[1], out->shape.dim[1]), bpi_rows_of(out, 1), 0};
    if (w.y.size == 0)
        return BP_OK;
    w.value = (real)(-(double)*(const real *)in[0].data / (double)w.y.n);
    bp_parallel_for(ex, bpi_rows_cut(&w.y, BPI_GRAIN), block_fn, &w);
    return bpi_indices_done(ex, &w.labels);
}

BPI_CPU_OP(nll_spread) = {.slot[BPI_FORWARD] = {.fn = forward, .layout = BPI_ROWS}};
