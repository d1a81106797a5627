/* The door between the library and a device: a table of kernels and a handful of memory calls.
 *
 * Above this file nobody knows a device; below it nobody knows an op's gradient, the tape or a
 * model. A kernel is a bp_kernel_fn (include/bpcuda/op.h): views in, views out, plain params. */
#ifndef BPI_BACKEND_H
#define BPI_BACKEND_H

#include "bpcuda/context.h"
#include "bpcuda/op.h"
#include "door/fault.h"

#define BPI_TRY(expr)                        \
    do {                                     \
        bp_status try_status_ = (expr);      \
        if (try_status_ != BP_OK)            \
            return try_status_;              \
    } while (0)

/* How an input must lie in memory; the dispatcher copies one that does not fit. Each value allows
 * all that the ones before it allow. */
enum {
    BPI_PACKED, /* row-major, no gaps */
    BPI_ROWS,   /* packed, or rank 2 with a last stride of 1 and any row pitch */
    BPI_MATRIX, /* rank 2, either stride 1: rows or a transposed view of rows */
    BPI_MATRICES, /* so in the last two axes, with any strides of those before */
    BPI_ANY     /* any strides, 0 and negative among them */
};

/* An op has up to three kernels. */
enum { BPI_FORWARD, BPI_BACKWARD, BPI_BACKWARD_PARAMS, BPI_SLOTS };

typedef struct bpi_kernel {
    bp_kernel_fn fn; /* NULL: this backend has none */
    int layout;      /* BPI_PACKED .. BPI_ANY, for every input */
    /* Bytes of memory that forward fills and only the backend's own backward reads; it is passed
     * as one more output and kept on the tape. NULL: none. Not allocated, and passed as a view
     * with data NULL, when no gradient is wanted. */
    size_t (*aux_bytes)(const bp_view *in, const void *params);
    /* Bytes of scratch memory for one call, which is there before the kernel begins: it may read
     * them at ex->workspace. They follow from shapes, strides and params alone. NULL: none. */
    size_t (*workspace_bytes)(const bp_view *in, const void *params);
    /* Makes what the kernel keeps from call to call and cannot make while a device takes calls as a
     * graph; called before that, with what the kernel will get. NULL: nothing. */
    bp_kernel_fn prepare;
    /* Of a kernel that writes gradients, linear's backward_params: it raises `suspect`. */
    int32_t notes;
    /* Most bytes of the job of a kernel that may leave its work to a plan: see bpi_work; else 0. */
    int32_t job_bytes;
} bpi_kernel;

typedef struct bpi_op_kernels {
    bpi_kernel slot[BPI_SLOTS];
} bpi_op_kernels;

typedef enum bpi_op_id {
#define BPI_OP(name) BPI_OP_##name,
#define BPI_VIEW(name) BPI_OP_##name,
#include "door/ops.def"
    BPI_OP_COUNT
} bpi_op_id;

typedef struct bpi_device bpi_device;

/* All that a call of a kernel does, where it is blocks of work that follow from views and params
 * alone: a plan runs them again without the kernel. The job names no memory but its own, the exec,
 * the views, what they name, and the params. */
typedef struct bpi_work {
    bp_block_fn body; /* NULL: not known */
    int64_t blocks;
    void *job; /* room for job_bytes */
} bpi_work;

struct bp_exec {
    bpi_device *device;
    bpi_fault *fault; /* device memory */
    int32_t kernel;   /* the kernel that runs now, for what it finds wrong */
    void *workspace;  /* 64-byte aligned; its contents are gone with the next kernel */
    size_t workspace_bytes;
    void *stream; /* while a program's own kernel runs on a device that has one */
    bpi_work *work; /* where a kernel that has job_bytes may leave its work; else NULL */
};

static inline void bpi_run_work(bp_exec *ex, const bpi_work *w)
{
    if (w->blocks == 1)
        w->body(w->job, 0);
    else
        bp_parallel_for(ex, w->blocks, w->body, w->job);
}

/* The end of a kernel: runs its work, and leaves it where ex says. */
bp_status bpi_leave_work(bp_exec *ex, int64_t blocks, bp_block_fn body, void *job, size_t bytes);

enum { BPI_LEAVES, BPI_COMES, BPI_STAYS };

/* Kernel calls that a device has taken as one object. */
typedef struct bpi_graph bpi_graph;

/* What a device offers beside kernels. Every call but `free` and `close` may fail; a call that
 * fails with BP_ERR_DEVICE leaves its reason in `why` of the device. Work is done in the order in
 * which it was given, after the call has returned or before; only `download` waits for it. */
typedef struct bpi_device_calls {
    /* 64-byte aligned; NULL when there is none left, or, with a reason in `why`, after a failure */
    void *(*alloc)(bpi_device *, size_t bytes);
    void (*free)(bpi_device *, void *, size_t bytes);
    bp_status (*upload)(bpi_device *, void *dst, const void *src, size_t bytes); /* NULL: zeros */
    bp_status (*download)(bpi_device *, void *dst, const void *src, size_t bytes);
    /* NULL where kernels are not host code; a program's own then gets ex->stream, between these. */
    void (*parallel_for)(bpi_device *, int64_t blocks, bp_block_fn body, void *arg);
    bp_status (*lend)(bp_exec *);
    bp_status (*lent)(bp_exec *); /* the status of what it launched */
    bp_status (*set_threads)(bpi_device *, int32_t threads);
    bp_status (*set_precision)(bpi_device *, bp_precision); /* NULL: always the best */
    void (*count)(bpi_device *, bp_stats *); /* adds what the device has counted itself */
    void (*close)(bpi_device *);
    /* NULL, all five, where kernels run as they are called. `capture` begins to take calls without
     * running them, `captured` ends that: the calls are a graph of so many nodes. It is run with
     * `launch` and freed with `drop`, which waits until it is no longer running. `turn` is called
     * when a thread comes to the context and when it leaves, so that the host's own device stays
     * current between calls, and at each call in between. */
    bp_status (*capture)(bpi_device *);
    bp_status (*captured)(bpi_device *, bpi_graph **graph, int64_t *nodes);
    bp_status (*launch)(bpi_device *, bpi_graph *graph);
    void (*drop)(bpi_device *, bpi_graph *graph);
    void (*turn)(bpi_device *, int32_t turn); /* BPI_COMES, BPI_STAYS, BPI_LEAVES */
    /* What the libraries of a device have chosen, that another process need not ask them again:
     * lines "key: choice", each with its end. Takes those of a file, and gives in *all, which is
     * the device's until the next call, those of both; *news of them are not in the file. NULL
     * where nothing is chosen. */
    bp_status (*share)(bpi_device *, const char *lines, const char **all, int64_t *news);
    /* Waits for all that anybody has given the device. NULL where nothing needs that. */
    bp_status (*settle)(bpi_device *);
} bpi_device_calls;

/* Whose memory it is, in DLPack's numbers; EXTENSION: nobody's but ours. */
enum { BPI_DL_CPU = 1, BPI_DL_CUDA = 2, BPI_DL_EXTENSION = 12 };

struct bpi_device {
    const bpi_device_calls *calls;
    int32_t dl_type, dl_number;
    const bpi_op_kernels *f32, *f64; /* [BPI_OP_COUNT] */
    char name[128];                  /* "cpu: x86-64-v3, 2 threads" */
    char why[160];                   /* the reason of the last BP_ERR_DEVICE; "": none yet */
};

/* Devices that live in a library of their own: libbpcuda-cuda.so, libbpcuda-sim.so. It exports one
 * function, bpi_plugin_open, and is refused unless `door` is BPI_DOOR of the library that opens it:
 * a digest of this folder, the public headers that it includes, and the version. number: the N of
 * "cuda:N". why: room for 160 bytes. */
typedef bp_status (*bpi_plugin_open_fn)(const char *door, int32_t number, const bp_hooks *hooks,
                                        bpi_device **device, char *why);

/* The CPU: bp_open's "cpu" (level NULL: the best of this machine), "cpu:generic", ... */
bp_status bpi_cpu_open(const char *level, const bp_hooks *hooks, bpi_device **device, char *why);

#endif
