/* nll_spread: y[i, j] = -s / N where j = labels[i], else 0: the gradient of nll_loss. Forward:
 * s [], labels [N] -> y [N, C]. A bad label gives a row of zeros and is noted. Backward is nll_loss.
 * Floor: y written once. The rule: src/ops/nll_spread.c. */
#include <string.h>

#include "cpu/elementwise.h"
#include "cpu/reduce.h"

typedef struct job {
    bp_exec *ex;
    const int32_t *labels;
    bpi_rows y;
    int64_t per_block;
    real value;
} job;

static void block_fn(void *arg, int64_t block)
{
    const job *w = arg;
    int64_t end = bpi_at_most((block + 1) * w->per_block, w->y.n);
    for (int64_t r = block * w->per_block; r < end; r++) {
        real *y = bpi_row(&w->y, r);
        int32_t label = w->labels[r];
        memset(y, 0, (size_t)w->y.size * sizeof(real));
        if (label >= 0 && label < w->y.size)
            y[label] = w->value;
        else
            bp_fault_range(w->ex, label);
    }
}

static bp_status forward(bp_exec *ex, const bp_view *in, const bp_view *out, const void *params)
{
    (void)params;
    job w = {.ex = ex, .labels = in[1].data, .y = bpi_rows_of(out)};
    if (w.y.n == 0 || w.y.size == 0)
        return BP_OK;
    w.value = (real)(-(double)*(const real *)in[0].data / (double)w.y.n);
    w.per_block = bpi_at_least(BPI_GRAIN / w.y.size, 1);
    bp_parallel_for(ex, bpi_parts(w.y.n, w.per_block), block_fn, &w);
    return BP_OK;
}

BPI_CPU_OP(nll_spread) = {.slot[BPI_FORWARD] = {.fn = forward, .layout = BPI_ROWS}};
