/* Tensors that share memory with other libraries, by DLPack 1 (NumPy, PyTorch, JAX, CuPy, ...): no
 * element is copied. What cannot be shared is an error, never a copy.
 *
 * The structs are those of DLPack's own dlpack.h, which a program that looks into them includes:
 * DLManagedTensorVersioned, and DLManagedTensor, the older form, for those who know no other.
 * Shared are f32, f64, u8 and i32, of one lane, of up to 8 sizes, with any strides; and memory of
 * the context's own device: (kDLCPU, 0) of the CPU, (kDLCUDA, N) of "cuda:N", (kDLExtDev, N) of
 * "sim:N".
 *
 * What the other side writes, the library does not see: a tape that has saved the tensor computes
 * with the new numbers, and tells nobody; numbers of a data set or of parameters that were looked
 * at are not looked at again. Nor does either side wait for the other: do not write, on any thread,
 * while the other one computes with the memory. On a GPU an export, and an import, wait once: what
 * was given to the device before is done. */
#ifndef BPCUDA_DLPACK_H
#define BPCUDA_DLPACK_H

#include "common.h"

#ifdef __cplusplus
extern "C" {
#endif

struct DLManagedTensorVersioned;
struct DLManagedTensor;

/* t's memory as a view for others; waits, and reports what kernels found wrong. Whoever has *out
 * calls its deleter once, on any thread, also after bp_close(): until then the memory stays, and
 * the context's device with it. The history of t, where it is recorded, stays here. Strides are
 * always there, byte_offset is 0. Memory that came in for reading goes out so
 * (DLPACK_FLAG_BITMASK_READ_ONLY), and not in the older form, which cannot say it
 * (BP_ERR_UNSUPPORTED). Not while a plan is recorded. *out is NULL on failure. */
BP_API bp_status bp_dlpack_export(bp_tensor *t, struct DLManagedTensorVersioned **out) BP_USE;
BP_API bp_status bp_dlpack_export_legacy(bp_tensor *t, struct DLManagedTensor **out) BP_USE;

/* A tensor, yours to bp_free, over the memory of `in`. On success `in` belongs to the context: its
 * deleter is called once, in the call on the context that lets go of the last that reads the memory
 * (bp_free, the end of a scope, bp_plan_free, bp_close, ...; on the thread that makes it), as any
 * function of the host's that a call calls. On failure `in` is as it was, and the caller's to
 * delete. A tensor whose memory is marked for reading, or is of bool (which comes as u8), or may
 * have one element at two indices, cannot be written to (BP_ERR_ARG). Not while a plan is recorded.
 * BP_ERR_UNSUPPORTED: a major version that is not 1, of which only the version has been read.
 * BP_ERR_DTYPE, BP_ERR_DEVICE, BP_ERR_SHAPE: what is not shared, see above. BP_ERR_ARG: data is not
 * aligned to its elements, or is NULL where there are some. *t is NULL on failure. */
BP_API bp_status bp_dlpack_import(bp_context *ctx, struct DLManagedTensorVersioned *in,
                                  bp_tensor **t) BP_USE;
BP_API bp_status bp_dlpack_import_legacy(bp_context *ctx, struct DLManagedTensor *in,
                                         bp_tensor **t) BP_USE;

#ifdef __cplusplus
}
#endif
#endif
