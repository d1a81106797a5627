/* Plans: a training step recorded once and replayed without calling your function again.
 *
 * A plan is the list of kernel calls of step(), which is called once, in a scope of its own: they
 * are noted, and run when it has returned. Replaying the plan gives the same bits as calling step()
 * again. Tensors the step reads or writes must exist before it (yours, a store's); refill them with
 * bp_write between replays. Waiting, writing from the host, freezing, making optimisers and
 * declaring parameters inside step() are errors that name the call. On a GPU a replay is the launch
 * of one CUDA graph, and many replays are given several at a time. */
#ifndef BPCUDA_PLAN_H
#define BPCUDA_PLAN_H

#include "context.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct bp_plan bp_plan; /* a recorded step */

/* Records step() and runs it once: what is there afterwards is what bp_run(ctx, 0, step, user)
 * would leave. The plan is yours to free. On failure *plan is NULL, and unless a kernel or the
 * device failed nothing has run: the call can be tried again. user may be NULL. */
BP_API bp_status bp_plan_record(bp_context *ctx, bp_step_fn step, void *user,
                                bp_plan **plan) BP_USE;

/* Runs the recorded step `times` more times, 0 or more; outside any scope. BP_ERR_STATE, saying
 * which, where the host's state that the step followed from is another now: a gradient waits that
 * was clear, a parameter of the step is frozen that was not, an option of its optimiser or the
 * precision has changed (or the other way round: set back, the plan is good again); its store or
 * optimiser was freed; the last backward failed. */
BP_API bp_status bp_plan_replay(bp_plan *plan, int64_t times) BP_USE;

BP_API void bp_plan_free(bp_plan *plan); /* frees it; NULL is fine */

/* Kernels in one replay; 0 for NULL. */
BP_API int64_t bp_plan_kernels(const bp_plan *plan);

/* Nodes of the CUDA graph of one replay; 0 on the CPU, which runs the kernels one by one, and for
 * NULL. */
BP_API int64_t bp_plan_nodes(const bp_plan *plan);

#ifdef __cplusplus
}
#endif
#endif
