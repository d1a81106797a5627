/* Scopes: nesting, and what the end of one gives back. */
#ifndef BPI_CORE_SCOPE_H
#define BPI_CORE_SCOPE_H

#include "core/handle.h"

typedef struct bpi_scope {
    bpi_tensor *tensors; /* newest first */
    uint64_t serial;
    int32_t tape_length, live_from; /* at its begin */
    const struct bpi_grad_call *rule;
    bool no_grad, check_finite; /* as they were before it */
    bool of_rule; /* only the walk ends it */
} bpi_scope;

/* bp_run, inside: calls the host's function, or one of the library's own where the call that this
 * is in was made by the library. */
bp_status bpi_run_step(bp_context *ctx, uint32_t flags, bp_step_fn step, void *user,
                       const char *who);
/* Ends the scopes above so many, which nobody will end: what is recorded or walked in them is
 * given up. */
void bpi_scopes_unwind(bp_context *ctx, int32_t depth);

/* A scope for the handles of a gradient rule, in which ops are recorded; its nodes stay on the
 * tape. */
bp_status bpi_rule_scope_begin(bp_context *ctx);
void bpi_rule_scope_end(bp_context *ctx);

#endif
