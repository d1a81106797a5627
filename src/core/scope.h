/* Scopes: nesting, and what the end of one gives back. */
#ifndef BPI_CORE_SCOPE_H
#define BPI_CORE_SCOPE_H

#include "core/handle.h"

typedef struct bpi_scope {
    bpi_tensor *tensors; /* newest first */
    int32_t tape_length;
    bool no_grad;
    bool of_rule; /* only the walk ends it */
} bpi_scope;

/* A scope for the handles of a gradient rule, in which ops are recorded; its nodes stay on the
 * tape. */
bp_status bpi_rule_scope_begin(bp_context *ctx);
void bpi_rule_scope_end(bp_context *ctx);

#endif
