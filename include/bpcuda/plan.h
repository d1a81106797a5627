/* Plans: a training step recorded once and replayed without calling your function again.
 *
 * A plan is the list of kernels that ran while step() ran once, for real, in a scope of its own.
 * Replaying it gives the same bits as calling step() again. Tensors the step reads or writes must
 * exist before it (yours, a store's); refill them with bp_write between replays. Waiting, writing
 * from the host and declaring parameters inside step() are errors that name the call. On a GPU a
 * replay is the launch of one CUDA graph, and many replays are given several at a time. */
#ifndef BPCUDA_PLAN_H
#define BPCUDA_PLAN_H

#include "context.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct bp_plan bp_plan;

/* Runs step() once, as bp_run(ctx, 0, step, user) would, and records it. The plan is yours to
 * free; free it before the context. On failure *plan is NULL. */
BP_API bp_status bp_plan_record(bp_context *ctx, bp_step_fn step, void *user,
                                bp_plan **plan) BP_USE;

/* Runs the recorded step `times` more times; outside any scope. BP_ERR_STATE when a gradient
 * window is open now that was fresh when the step was recorded, or the other way round. */
BP_API bp_status bp_plan_replay(bp_plan *plan, int64_t times) BP_USE;

BP_API void bp_plan_free(bp_plan *plan); /* NULL is fine */

/* Kernels in one replay. */
BP_API int64_t bp_plan_kernels(const bp_plan *plan);

/* Nodes of the CUDA graph of one replay; 0 on the CPU, which runs the kernels one by one. */
BP_API int64_t bp_plan_nodes(const bp_plan *plan);

#ifdef __cplusplus
}
#endif
#endif
