/* Cells of recurrent networks: one step in time. Common to all ops: ops.h.
 *
 * A sequence is a loop in one scope: the weights get the sum of their gradients over time. The
 * products are bp_linear's; what is behind them is one kernel forward and one backward. */
#ifndef BPCUDA_RECURRENT_H
#define BPCUDA_RECURRENT_H

#include "common.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Long short-term memory (Hochreiter, Schmidhuber, 1997; the forget gate: Gers, Schmidhuber,
 * Cummins, 2000). Returns h', and c' in *c_next:
 *
 *     i, f, g, o = the four parts of x w_ih^T + b_ih + h w_hh^T + b_hh
 *     c' = sigmoid(f) c + sigmoid(i) tanh(g)
 *     h' = sigmoid(o) tanh(c')
 *
 * x [N, I], h and c [N, H], w_ih [4 H, I], w_hh [4 H, H], b_ih and b_hh [4 H] -> [N, H] both; real,
 * one dtype: the weights of PyTorch's LSTMCell, and of a layer of its LSTM. Gradients to all that
 * goes in, from h' and from c'; those of the gates, and through tanh, do not cancel where it is
 * nearly 1 (but with BP_CREATE_GRAPH, where they are those of bp_sigmoid and bp_tanh). What does
 * not fit is BP_ERR_SHAPE or BP_ERR_DTYPE, and named; *c_next is NULL then. */
BP_API bp_tensor *bp_lstm_cell(bp_tensor *x, bp_tensor *h, bp_tensor *c, bp_tensor *w_ih,
                               bp_tensor *w_hh, bp_tensor *b_ih, bp_tensor *b_hh,
                               bp_tensor **c_next);

/* Gated recurrent unit (Cho et al., 2014), with the reset gate behind the product, as in PyTorch's
 * GRUCell. Returns h':
 *
 *     r, z, n = the three parts of x w_ih^T + b_ih;  r', z', n' those of h w_hh^T + b_hh
 *     m = tanh(n + sigmoid(r + r') n')
 *     h' = (1 - sigmoid(z + z')) m + sigmoid(z + z') h
 *
 * x [N, I], h [N, H], w_ih [3 H, I], w_hh [3 H, H], b_ih and b_hh [3 H] -> [N, H]; gradients and
 * errors as of bp_lstm_cell. */
BP_API bp_tensor *bp_gru_cell(bp_tensor *x, bp_tensor *h, bp_tensor *w_ih, bp_tensor *w_hh,
                              bp_tensor *b_ih, bp_tensor *b_hh);

#ifdef __cplusplus
}
#endif
#endif
