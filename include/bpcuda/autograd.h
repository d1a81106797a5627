/* Reverse-mode differentiation over any DAG of ops.
 *
 * Ops append to the tape while an input asks for a gradient: a parameter, a bp_require_grad()
 * tensor, or anything computed from one. A tensor written to after an op saved it for its gradient
 * is an error that names both (BP_ERR_STATE). */
#ifndef BPCUDA_AUTOGRAD_H
#define BPCUDA_AUTOGRAD_H

#include "common.h"

#ifdef __cplusplus
extern "C" {
#endif

enum {
    BP_KEEP_GRAPH = 1,  /* the graph can be walked again */
    BP_CREATE_GRAPH = 2 /* the gradients can be differentiated; implies BP_KEEP_GRAPH */
};

/* A view of t, of the innermost scope, that asks for a gradient: a leaf for bp_grad, without t's
 * history (which it has only in a gradient rule under BP_CREATE_GRAPH: op.h). */
BP_API bp_tensor *bp_require_grad(bp_tensor *t);

/* A view of t, of the innermost scope, without history. */
BP_API bp_tensor *bp_detach(bp_tensor *t);

/* Adds d loss / d w to the gradient of every parameter w that loss depends on and that is not
 * frozen now. loss has one element, and may itself be a parameter. Between two optimiser steps the
 * first contribution writes and later ones add (so micro-batches accumulate); a parameter nothing
 * reached has none. Releases the graph as it walks. Returns the pending error of the scope, if
 * there is one, and does nothing. A failure takes back what this call wrote, so that it can be
 * tried again in a new scope; where it had begun to add to gradients of an earlier call, those of
 * that store are invalid until bp_grad_clear(). */
BP_API bp_status bp_backward(bp_context *ctx, bp_tensor *loss) BP_USE;

/* The same, and the graph can be walked again. */
BP_API bp_status bp_backward_keep(bp_context *ctx, bp_tensor *loss) BP_USE;

/* dx[i] = (d y / d x[i])^T dy for i < n, at most 64: fresh tensors of the innermost scope that
 * share no memory, zeros where y does not depend on x[i]. dy has y's shape and dtype. x may hold
 * parameters, bp_require_grad() tensors, results of ops, y itself, and one tensor several times.
 * BP_ERR_STATE where y has no history at all: a constant (the second derivative of 3 x is the
 * gradient of one), or computed without being recorded. Parameter gradients stay as they are.
 * flags: BP_KEEP_GRAPH, BP_CREATE_GRAPH. In a gradient rule: op.h. */
BP_API bp_status bp_grad(bp_context *ctx, bp_tensor *y, bp_tensor *dy, bp_tensor *const *x,
                         int32_t n, uint32_t flags, bp_tensor **dx) BP_USE;

/* The same for a y of one element, a loss, with dy = 1. */
BP_API bp_status bp_grad_scalar(bp_context *ctx, bp_tensor *y, bp_tensor *const *x, int32_t n,
                                uint32_t flags, bp_tensor **dx) BP_USE;

#ifdef __cplusplus
}
#endif
#endif
