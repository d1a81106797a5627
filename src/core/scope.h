/* Scopes: nesting, and what the end of one gives back. */
#ifndef BPI_CORE_SCOPE_H
#define BPI_CORE_SCOPE_H

#include "core/handle.h"

typedef struct bpi_scope {
    bpi_tensor *tensors; /* newest first */
    int32_t tape_length;
    bool no_grad;
} bpi_scope;

/* A scope for the handles of a gradient rule; its nodes stay on the tape. */
bp_status bpi_rule_scope_begin(bp_context *ctx, bool no_grad);
void bpi_rule_scope_end(bp_context *ctx);

#endif
