/* The door from above: finds the kernel, fits the inputs' layout, runs it; or, while a plan is
 * recorded, notes the call for the plan's run. */
#ifndef BPI_CORE_DISPATCH_H
#define BPI_CORE_DISPATCH_H

#include "core/handle.h"
#include "core/op.h"

/* Runs kernel `slot` of built-in op `id`: copies inputs whose layout it cannot read, records. NULL
 * operands are absent: views of zeros. */
bp_status bpi_dispatch(bp_context *ctx, bpi_op_id id, int slot, bp_tensor *const *in, int n_in,
                       bp_tensor *const *out, int n_out, const void *params, size_t params_bytes);
bp_status bpi_dispatch_kernel(bp_context *ctx, int32_t number, const bpi_kernel *kernel,
                              bp_tensor *const *in, int n_in, bp_tensor *const *out, int n_out,
                              const void *params, size_t params_bytes);
bp_status bpi_run_kernel(bp_context *ctx, int32_t number, const bpi_kernel *kernel,
                         const bp_view *in, const bp_view *out, const void *params);
const bpi_kernel *bpi_find_kernel(bp_context *ctx, const bp_op *op, int slot, bp_dtype compute);
bp_dtype bpi_compute_dtype(bp_tensor *const *a, int n_a, bp_tensor *const *b, int n_b);
const char *bpi_kernel_name(const bp_context *ctx, int32_t number);

#endif
