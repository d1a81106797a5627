/* Contexts, scopes and errors.
 *
 * A context is one device with its memory, its tape, its random stream and its first error. One
 * thread at a time is inside it, in a call or in a scope; calls of others do nothing and return
 * BP_ERR_BUSY, and what they free is freed when that thread leaves. A program may have any number
 * of contexts.
 *
 * The library computes in a floating-point state of its own (round to nearest, denormals kept, no
 * traps) and a call puts the thread's own back: rounding, FTZ, DAZ and traps are as they were, and
 * of the flags of exceptions none is cleared and some may be raised. Functions of the host's that a
 * call calls see the host's state, but for kernels, which see the library's.
 *
 * A function of the host's may be left by a C++ exception: the call it was called from ends, with
 * the scopes and the plan it had begun. One that is left by longjmp leaves them open: call
 * bp_scope_end() until it returns BP_ERR_STATE, or bp_close(), from where the longjmp went to or
 * further out. (Out of a kernel, longjmp also leaves the thread in the library's floating-point
 * state.) What a kernel had written when it was left is written. Where the alloc hook is left so,
 * the context can only be closed (BP_ERR_STATE); NULL is its way to say no. The body of a
 * bp_parallel_for() must return. Hooks call nothing of their context.
 *
 * After fork() the child may go on with a context of a CPU that no other thread was inside; it
 * starts threads of its own. No context of a GPU survives a fork. */
#ifndef BPCUDA_CONTEXT_H
#define BPCUDA_CONTEXT_H

#include "common.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The body of a parallel_for hook. */
typedef void (*bp_block_fn_hook)(void *arg, int64_t block);

/* Services a host may provide instead of ours. A NULL member means ours: memory is the C library's,
 * and of 8 MB and more on the CPU in huge pages where the system gives them to those who ask
 * (madvise). */
typedef struct bp_hooks {
    size_t struct_bytes; /* sizeof(bp_hooks) */
    void *user;          /* handed to every hook */
    void *(*alloc)(void *user, size_t bytes); /* aligned to 64 bytes; NULL when there is none */
    void (*free)(void *user, void *p, size_t bytes); /* what alloc gave, and its size */
    void (*log)(void *user, const char *line); /* ours is silent */
    /* Runs body(arg, i) for 0 <= i < blocks, in any order, and returns when all are done. A thread
     * that runs one needs 128 KiB of stack. */
    void (*parallel_for)(void *user, int64_t blocks, bp_block_fn_hook body, void *arg);
} bp_hooks;

/* Opens a device: "cpu" (best instruction level), "cpu:generic", "cpu:v3", "cpu:v4" (x86-64),
 * "cuda:0" and on (NVIDIA GPUs by number), or "auto": the first GPU, else the CPU (an op of your
 * own must then run on either: op.h). *ctx is set even on failure, so that bp_error_text(*ctx) can
 * say why (only BP_ERR_NOMEM leaves NULL); close it in every case. hooks may be NULL.
 *
 * A GPU's device is libbpcuda-cuda.so, which is looked for in the folder BPCUDA_PLUGIN_DIR of the
 * environment, else beside the library or the program that holds it. BPCUDA_DEBUG_SYNC=1 there
 * makes it wait after each kernel, so that an error names the kernel that met it. While a thread
 * is in a call on the context, or in a scope, the context's GPU is current in that thread; after
 * it, the thread's own is. */
BP_API bp_status bp_open(const char *device, bp_context **ctx) BP_USE;
BP_API bp_status bp_open_with(const char *device, const bp_hooks *hooks, bp_context **ctx) BP_USE;

/* Ends the context's scopes, and frees it and every tensor in it. Stores, optimisers, plans, data
 * sets, models and trainers that are still there may only be freed after it; the context, its
 * device and what they hold then go with the last of them. Called while another thread is inside, or
 * by a function that a call on the context has called, it takes effect when that call, or that
 * thread's scope, ends. NULL is fine. */
BP_API void bp_close(bp_context *ctx);

/* The text of the last error: one line, with the op and the shapes; "" if there was none. Valid
 * until the next error in this context. A thread whose last error is in no context (BP_ERR_BUSY, or
 * a NULL where a context or what belongs to one was wanted) gets the text of that, whatever ctx
 * is; while another thread is inside, the text says so. ctx may be NULL, as bp_open leaves it. */
BP_API const char *bp_error_text(const bp_context *ctx);

/* "cpu: x86-64-v3, 2 threads". Owned by the context. "no device" for NULL. */
BP_API const char *bp_device_text(const bp_context *ctx);

/* Threads the CPU may use, the caller among them; 0 is the number of processors (the start).
 * Results do not depend on it, by a single bit. */
BP_API bp_status bp_set_threads(bp_context *ctx, int32_t threads) BP_USE;

/* How f32 products may be computed from now on: in f32 (the start), or with factors rounded to 10
 * bits of mantissa where a GPU's TF32 units make that faster; sums are f32 in both. There a plan
 * that was recorded with the other one refuses to be replayed. Not while a plan is recorded. The
 * CPU computes in f32 in any case. */
typedef int32_t bp_precision;
enum { BP_PRECISION_F32 = 1, BP_PRECISION_TF32 = 2 };
BP_API bp_status bp_set_precision(bp_context *ctx, bp_precision precision) BP_USE;

/* What the libraries of a GPU have chosen (which of cuDNN's engines takes a convolution), shared
 * with a file, so that another process need not ask them again: a start with convolutions is
 * sooner by what their heuristics take. Call it after bp_open(), and again when the work has begun
 * (after the first steps, or at the end): the context takes the choices of the file, and the file
 * gets those that it lacks; with none it is not written, and may be missing, or not writable. Any
 * number of processes may share one file.
 *
 * A choice is for one version of the library, one kind of GPU and its driver, one op with its
 * shapes, alignment and precision, all of which the file says; for anything else cuDNN is asked,
 * as without a file. What it chooses computes equal bits. A choice from a file is held against the
 * same rules as one that is made: one that is not deterministic, or below the precision that was
 * set, or that the library does not take, is made anew, and the file gets that. BP_ERR_FORMAT, and
 * nothing is written, where the file is another or damaged; BP_ERR_IO where it cannot be read or
 * written: the context goes on in either case. On the CPU there is nothing to choose: the file is
 * not touched. */
BP_API bp_status bp_share_plans(bp_context *ctx, const char *path) BP_USE;

/* Restarts the context's random stream: seed, and step 0; the next store that is drawn is the first
 * again. A context starts with seed 0. Outermost scopes without BP_NO_GRAD and without a
 * pending error advance the step as they end; nothing else does. BP_ERR_STATE in a scope that has
 * drawn: its gradients draw the same again. */
BP_API bp_status bp_seed(bp_context *ctx, uint64_t seed) BP_USE;

/* Waits until the device has done all it was given, and reports what kernels found wrong since the
 * last waiting call: the first bad index (BP_ERR_RANGE), else the first step that could not be
 * taken (BP_ERR_NONFINITE); the text says both. While an error is pending that one is returned, and
 * what was found stays for a later call. */
BP_API bp_status bp_sync(bp_context *ctx) BP_USE;

/* Scope flags, for ops in this scope and in scopes inside it. NO_GRAD: they are not recorded.
 * CHECK_FINITE: what each makes of tensors is looked at, and what its gradient rule makes, which
 * waits, and the first number that is not finite is BP_ERR_NONFINITE, with the op, the shape and the
 * element; infinities that came in (a mask) may go out. To find where a NaN comes from. Not while a
 * plan is recorded. */
enum { BP_NO_GRAD = 1, BP_CHECK_FINITE = 2 };

/* What an op makes belongs to the innermost scope and ends with it. Scopes nest. The first error
 * inside stays pending (ops return NULL, writers do nothing) until the outermost scope ends; its
 * end returns and clears it. */
BP_API bp_status bp_scope_begin(bp_context *ctx, uint32_t flags) BP_USE;
BP_API bp_status bp_scope_end(bp_context *ctx) BP_USE;

/* step(ctx, user) in a scope of its own. Returns the pending error, else what step returned. A step
 * that ends this scope, or leaves another open, is BP_ERR_STATE. user may be NULL. */
typedef bp_status (*bp_step_fn)(bp_context *ctx, void *user);
BP_API bp_status bp_run(bp_context *ctx, uint32_t flags, bp_step_fn step, void *user) BP_USE;

/* Counters since bp_open; they may become more, at the end. */
typedef struct bp_stats {
    int64_t allocations;   /* calls of the host or device allocator */
    int64_t kernels;       /* kernels run, replayed ones among them */
    int64_t layout_copies; /* inputs copied because a kernel could not read their layout */
    int64_t helped_blocks; /* blocks of work taken by threads other than the caller */
    int64_t waits;         /* calls that waited for the device */
    int64_t bytes;         /* tensor memory in use now */
    int64_t peak_bytes;    /* most tensor memory in use at once */
} bp_stats;
/* All 0 for NULL and while another thread is inside. For C and C++ the second form says the size;
 * *stats is as large, and has zeros where the library knows less. stats may be NULL. */
BP_API void bp_stats_of(const bp_context *ctx, bp_stats *stats, size_t struct_bytes);
static inline void bp_get_stats(const bp_context *ctx, bp_stats *stats)
{
    bp_stats_of(ctx, stats, sizeof *stats);
}

#ifdef __cplusplus
}
#endif
#endif
