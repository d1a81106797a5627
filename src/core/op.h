/* What an op is, built in or registered: one descriptor, applied by autograd/apply.c. */
#ifndef BPI_CORE_OP_H
#define BPI_CORE_OP_H

#include <stdbool.h>

#include "door/backend.h"

enum { BPI_PARAMS_MAX = 256, BPI_KERNEL_IO = 8 }; /* bytes of op params; views of one kernel */

enum {
    BPI_OP_IS_VIEW = 1, /* outputs look at the first input's memory; no kernel */
    BPI_OP_DRAWS = 2    /* kernels get the random state as one more input */
};

struct bp_op {
    bp_op_def def;
    int32_t id; /* bpi_op_id, or -1 and below for a registered op */
    uint32_t flags;
    const char *none; /* of an op named otherwise than its id: "std: input 0 is NULL" */
    /* A fused op as primitives: where the device has no kernel, and for second derivatives. */
    bp_status (*compose)(bp_context *ctx, bp_tensor *const *in, const void *params,
                         bp_tensor **out);
    bp_context *ctx;        /* of a registered op, and its kernels: */
    bpi_op_kernels kernels;
    struct bp_op *next;     /* registered ops of a context */
};

#endif
