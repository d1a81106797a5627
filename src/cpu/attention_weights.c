/* attention_weights: softmax along the last axis, up to the diagonal of the last two if causal.
 *
 *     forward:   x [.., T, S] -> y,  y_ij = e^(x_ij - max_i) / sum_j e^(x_ij - max_i)
 *
 * A row of nothing but -Inf, and what lies beyond the diagonal, is 0. The rule:
 * src/ops/attention_weights.c. */
#include <string.h>

#include "cpu/loop.h"
#include "cpu/reduce.h"
#include "cpu/vmath.h"

typedef struct job {
    bpi_rows x, y;
    int64_t causal; /* 0, or the number of rows of a matrix */
} job;

static void forward_block(void *arg, int64_t block)
{
    const job *w = arg;
    int64_t end = bpi_rows_end(&w->x, block);
    for (int64_t r = block * w->x.per_block; r < end; r++) {
        const real *x = bpi_row(&w->x, r);
        real *y = bpi_row(&w->y, r);
        int64_t n = w->causal ? at_most(r % w->causal + 1, w->x.size) : w->x.size;
        real max = bpi_run_max(x, n), base = max == -(real)INFINITY ? 0 : max;
        BPI_EACH(n, y[i] = exp_of(x[i] - base))
        double sum = bpi_run_sum(y, n);
        real factor = sum == 0 ? 0 : (real)(1 / sum);
        BPI_EACH(n, y[i] *= factor)
        memset(y + n, 0, (size_t)(w->x.size - n) * sizeof *y);
    }
}

static bp_status forward(bp_exec *ex, const bp_view *in, const bp_view *out, const void *params)
{
    const bpi_attention_params *p = params;
    const int32_t outer = in->shape.ndim - 1;
    job w = {.x = bpi_rows_of(in, outer), .y = bpi_rows_of(out, outer)};
    w.causal = p->causal ? in->shape.dim[outer - 1] : 0;
    bp_parallel_for(ex, bpi_rows_cut(&w.x, BPI_GRAIN_EXP), forward_block, &w);
    return BP_OK;
}

BPI_CPU_OP(attention_weights) = {.slot[BPI_FORWARD] = {.fn = forward, .layout = BPI_ROWS}};
