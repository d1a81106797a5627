/* An op of your own, in the form of the built-in ones: a composition in public calls, kernels, or
 * both.
 *
 * A composition runs on every device, is differentiated as often as you like and needs nothing
 * else. A kernel for a device runs there in its place: a shape rule then says what it gives, and a
 * gradient rule, in public calls too, may be faster than walking the composition. A kernel gets
 * views and nothing else: the same signature as every kernel inside the library. */
#ifndef BPCUDA_OP_H
#define BPCUDA_OP_H

#include "common.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct bp_exec bp_exec; /* what a kernel runs with: threads, workspace, faults */
typedef struct bp_op bp_op; /* an op of yours, of one context */

/* A strided window on device memory; strides count elements. `data` is NULL iff it has none. */
typedef struct bp_view {
    void *data;     /* its first element */
    bp_dtype dtype; /* of the elements */
    bp_shape shape; /* the sizes */
    int64_t stride[BP_MAX_DIMS]; /* between neighbours along each axis, in elements */
} bp_view;

/* A kernel reads `in`, writes every element of `out`, keeps no pointer. It is host code; the dtypes
 * that it serves it tells apart by the views. A CPU's computes. A GPU's launches work on views of
 * device memory, in the stream bp_cuda_stream(ex): it must not wait, and while a plan is recorded
 * its launches are captured. What it launched is looked at when it returns (cudaGetLastError). */
typedef bp_status (*bp_kernel_fn)(bp_exec *ex, const bp_view *in, const bp_view *out,
                                  const void *params);

/* Runs body(arg, i) for 0 <= i < blocks on the context's threads, in any order; returns when all
 * are done. The work of a block must not depend on the number of threads. Where ex or body is NULL
 * nothing is run; arg may be NULL. In a GPU's kernel the caller runs them. */
typedef void (*bp_block_fn)(void *arg, int64_t block);
BP_API void bp_parallel_for(bp_exec *ex, int64_t blocks, bp_block_fn body, void *arg);

/* Notes the first index outside its range: the next waiting call returns BP_ERR_RANGE with the
 * op's name and `value`, and an optimiser step before that changes nothing. Safe from any block.
 * Where ex is NULL, and from a GPU's kernel, nothing is noted. */
BP_API void bp_fault_range(bp_exec *ex, int64_t value);

/* The cudaStream_t of a GPU's kernel; NULL in a CPU's, and for NULL. */
BP_API void *bp_cuda_stream(const bp_exec *ex);

/* What a gradient rule sees. The rule sets dx[i] for every i with need[i]: any tensor of the shape
 * and dtype of in[i], also one it was given or one for several i; NULL stands for a gradient of
 * zeros. What does not fit fails the walk with a text that names op and input (BP_ERR_SHAPE,
 * BP_ERR_DTYPE, BP_ERR_DEVICE, BP_ERR_ARG for a stale handle). A dx without need is not looked at.
 *
 * A rule may differentiate what it computes itself: x = bp_require_grad(in[i]), some ops on x, and
 * bp_grad of their result by x, which is differentiable where the walk's gradients must be. The
 * graph behind in, out and dout is out of reach, and so are the stores: bp_grad by anything that
 * the rule did not make, and bp_backward, are BP_ERR_STATE. Other ops in a rule are recorded only
 * under BP_CREATE_GRAPH. Scopes that a rule begins it must end. */
typedef struct bp_grad_call {
    bp_context *ctx;            /* the walk's */
    const void *params;         /* those of the call */
    int32_t n_in, n_out;        /* those of the op */
    bp_tensor *in[BP_MAX_IO];   /* inputs named in saves_in, else NULL */
    bp_tensor *out[BP_MAX_IO];  /* outputs named in saves_out, else NULL */
    bp_tensor *dout[BP_MAX_IO]; /* gradients of the outputs; NULL where nothing arrived */
    bp_shape in_shape[BP_MAX_IO]; /* shapes of all inputs */
    int32_t need[BP_MAX_IO];    /* whether input i wants a gradient */
    bp_tensor *dx[BP_MAX_IO];   /* result */
} bp_grad_call;

/* What an op is. Members that are 0 or NULL are not there; more may follow, at the end. */
typedef struct bp_op_def {
    size_t struct_bytes; /* sizeof(bp_op_def) */
    const char *name;    /* copied; not empty */
    int32_t n_in, n_out; /* 1 .. BP_MAX_IO */
    size_t params_bytes; /* copied with every call; at most 256 */
    uint32_t saves_in;   /* bit i: the gradient rule reads input i; with `compose` all are kept */
    uint32_t saves_out;  /* bit i: the gradient rule reads output i */

    /* Fills shape and dtype of every out from in (whose data is NULL); on anything but BP_OK
     * writes the reason to `why` (room for 160 bytes). May be NULL for an op without kernels. */
    bp_status (*infer)(const bp_view *in, bp_view *out, const void *params, char *why);
    bp_kernel_fn forward; /* on the CPU; inputs come packed, outputs are packed. NULL: none */
    /* For an output that came from a kernel. NULL: the composition is run again and walked, as it
     * is where the gradient must be differentiable (BP_CREATE_GRAPH); without that either, the op
     * is not differentiable. A rule that wants a kernel of its own applies another op. */
    bp_status (*gradient)(bp_grad_call *);

    /* The op in public calls, which must follow from inputs and params alone: fills out. It is
     * what runs, and is recorded, where the device has no kernel. One tensor may be several outs,
     * or an input: each is a value of its own, whose gradient is its own. NULL: none. */
    bp_status (*compose)(bp_context *ctx, bp_tensor *const *in, const void *params,
                         bp_tensor **out);
    bp_kernel_fn forward_cuda; /* on a GPU. NULL: none */
} bp_op_def;

/* Registers an op with a context; *op belongs to the context and lives as long as it does.
 * BP_ERR_ARG where numbers, bits or functions do not fit together.
 * BP_ERR_UNSUPPORTED where the device has neither a kernel of it nor its composition; in a context
 * of "auto", whatever device that is now, where that is so on the CPU or on a GPU: what works on
 * one machine works on all. */
BP_API bp_status bp_op_register(bp_context *ctx, const bp_op_def *def, bp_op **op) BP_USE;

/* Applies a registered op. Returns out[0] and, if it has several outputs, fills out[]; out may be
 * NULL for an op with one, params for an op without. NULL on failure, like every op. */
BP_API bp_tensor *bp_op_apply(bp_op *op, bp_tensor *const *in, const void *params, bp_tensor **out);

#ifdef __cplusplus
}
#endif
#endif
