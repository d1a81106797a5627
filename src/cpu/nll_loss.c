/* nll_loss: loss = -1/N sum_i logp[i, labels[i]]. Forward: logp [N, C], labels [N] -> loss []. A
 * bad label contributes 0 and is noted. Backward is nll_spread. N loads, in order, in double; what
 * training uses is cross_entropy. The rule: src/ops/nll_loss.c. */
#include "cpu/kernel.h"

static bp_status forward(bp_exec *ex, const bp_view *in, const bp_view *out, const void *params)
{
    (void)params;
    const real *logp = in[0].data;
    const int32_t *labels = in[1].data;
    int64_t n = in[0].shape.dim[0], classes = in[0].shape.dim[1], pitch = in[0].stride[0];
    double sum = 0;
    for (int64_t i = 0; i < n; i++) {
        if (labels[i] >= 0 && labels[i] < classes)
            sum += (double)logp[i * pitch + labels[i]];
        else
            bp_fault_range(ex, labels[i]);
    }
    *(real *)out->data = (real)(-sum / (double)n);
    return BP_OK;
}

BPI_CPU_OP(nll_loss) = {.slot[BPI_FORWARD] = {.fn = forward, .layout = BPI_ROWS}};
