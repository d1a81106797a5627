/* nll_loss: loss = -1/N sum_i logp[i, labels[i]]. Forward: logp [N, C], labels [N] -> loss []. A
 * bad label contributes 0 and is noted. Backward is nll_spread. N loads, in order, in double; what
 * training uses is cross_entropy. The rule: src/ops/nll_loss.c. */
#include "cpu/index.h"

static bp_status forward(bp_exec *ex, const bp_view *in, const bp_view *out, const void *params)
{
    (void)params;
    const real *logp = in[0].data;
    bpi_indices labels = BPI_INDICES(in[1], in[0].shape.dim[1]);
    int64_t n = in[0].shape.dim[0], pitch = in[0].stride[0];
    double sum = 0;
    for (int64_t i = 0; i < n; i++)
        if (bpi_index_ok(&labels, i))
            sum += (double)logp[i * pitch + labels.at[i]];
    *(real *)out->data = (real)(-sum / (double)n);
    return bpi_indices_done(ex, &labels);
}

BPI_CPU_OP(nll_loss) = {.slot[BPI_FORWARD] = {.fn = forward, .layout = BPI_ROWS}};
