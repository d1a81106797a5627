/* Whether what an op made is finite. */
#ifndef BPI_FINITE_H
#define BPI_FINITE_H

#include "core/op.h"

/* False, with the error pending, where an output of the op is not. Waits. */
bool bpi_outputs_finite(bp_context *ctx, const bp_op *op, bp_tensor *const *in,
                        bp_tensor *const *out);

/* The same of what its gradient rule made for input i. */
bool bpi_gradient_finite(bp_context *ctx, const bp_op *op, const bp_grad_call *c, int i);

#endif
