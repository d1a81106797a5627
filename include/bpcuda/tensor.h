/* Tensors: creating, filling, reading, and the few calls that change one.
 *
 * Ownership: what you create you free; what an op makes belongs to the innermost scope. Freeing
 * early is always allowed, whoever else still reads the memory. A handle used after its scope
 * ended or after bp_free is reported as BP_ERR_ARG, not followed, for ever (until bp_close): a
 * bp_tensor * is a name, not an address that may be read, and is not given to another tensor. */
#ifndef BPCUDA_TENSOR_H
#define BPCUDA_TENSOR_H

#include "common.h"

#ifdef __cplusplus
extern "C" {
#endif

/* A tensor of zeros, yours to bp_free. NULL on failure (bp_error_text says why). */
BP_API bp_tensor *bp_tensor_create(bp_context *ctx, bp_dtype dtype, bp_shape shape);

/* Ends a handle: one of yours, or a scope's before its time. One that belongs to a store, a data
 * set or another object stays as it is, and so does a stale one. NULL is fine. */
BP_API void bp_free(bp_tensor *t);

/* Makes a scope's tensor yours: it outlives the scope, without its history. Returns t, or NULL.
 * Not while a plan is recorded (copy into a tensor of yours instead). */
BP_API bp_tensor *bp_keep(bp_tensor *t);

/* Host memory to tensor and back; `bytes` is bp_shape_count() * bp_dtype_bytes(), the host side is
 * packed, row-major. bp_read waits, and reports what kernels found wrong (BP_ERR_RANGE,
 * BP_ERR_NONFINITE). Neither is allowed while a plan is recorded. */
BP_API bp_status bp_write(bp_tensor *t, const void *src, size_t bytes) BP_USE;
BP_API bp_status bp_read(bp_tensor *t, void *dst, size_t bytes) BP_USE;

/* The elements of t, row-major, as float or double, whatever its dtype: i32 and f64 are rounded
 * where a float has no room. count is bp_shape_count(). Else as bp_read. */
BP_API bp_status bp_read_f32(bp_tensor *t, float *dst, int64_t count) BP_USE;
BP_API bp_status bp_read_f64(bp_tensor *t, double *dst, int64_t count) BP_USE;

/* Several at once, one behind the other, with one transfer and one wait: a loss and the number of
 * correct rows, say. count is that of all; n may be 0. */
BP_API bp_status bp_read_all(bp_context *ctx, bp_tensor *const *t, int32_t n, double *dst,
                             int64_t count) BP_USE;

/* dst = src (equal shapes; float dtypes are converted), acc += x (x broadcasts to acc, same
 * dtype). Not recorded: src and x count as constants. A target whose elements share memory,
 * as bp_expand() makes them, cannot be written to, here or by bp_write (BP_ERR_ARG). */
BP_API bp_status bp_copy_into(bp_tensor *dst, bp_tensor *src) BP_USE;
BP_API bp_status bp_add_into(bp_tensor *acc, bp_tensor *x) BP_USE;

/* Of a tensor; 0 sizes, dtype 0 and NULL for NULL or a stale handle. */
BP_API bp_shape bp_shape_of(const bp_tensor *t);
BP_API bp_dtype bp_dtype_of(const bp_tensor *t);
BP_API bp_context *bp_context_of(const bp_tensor *t);

#ifdef __cplusplus
}
#endif
#endif
