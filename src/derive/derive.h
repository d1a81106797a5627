/* What the calls of derive.h share. */
#ifndef BPI_DERIVE_H
#define BPI_DERIVE_H

#include "bpcuda/derive.h"
#include "core/error.h"

enum { BPI_INPUTS_MAX = BP_MAX_IO * 16 }; /* as bp_grad takes */

/* No error is pending, a scope is open, n is in its range. */
bp_status bpi_derive_ready(bp_context *ctx, const char *who, int32_t n);

/* Of a y at hand (derive.c): bp_jvp_of and its kin, in the name of `who`. A failure may leave some
 * of the results. */
bp_status bpi_jvp(bp_context *ctx, const char *who, bp_tensor *y, bp_tensor *const *x,
                  bp_tensor *const *v, int32_t n, uint32_t flags, bp_tensor **jv);
bp_status bpi_hvp(bp_context *ctx, const char *who, bp_tensor *y, bp_tensor *const *x,
                  bp_tensor *const *v, int32_t n, uint32_t flags, bp_tensor **hv);
bp_status bpi_jacobian(bp_context *ctx, const char *who, bp_tensor *y, bp_tensor *const *x,
                       int32_t n, uint32_t flags, bp_tensor **jacobian);

/* Results start as NULL, where n is in its range. */
static inline void bpi_derive_clear(bp_tensor **result, int32_t n)
{
    for (int i = 0; i < n && n <= BPI_INPUTS_MAX && result; i++)
        result[i] = NULL;
}

/* Calls a function of the host's (function.c). *y is a usable tensor. */
bp_status bpi_call_function(bp_context *ctx, const char *who, bp_function f, void *user,
                            bp_tensor *const *x, bp_tensor **y);

#endif
