/* The door between the library and a device: a table of kernels and a handful of memory calls.
 *
 * Above this file nobody knows a device; below it nobody knows an op's gradient, the tape or a
 * model. A kernel is a bp_kernel_fn (include/bpcuda/op.h): views in, views out, plain params. */
#ifndef BPI_BACKEND_H
#define BPI_BACKEND_H

#include "bpcuda/context.h"
#include "bpcuda/op.h"

/* How an input must lie in memory; the dispatcher copies one that does not fit. Each value allows
 * all that the ones before it allow. */
enum {
    BPI_PACKED, /* row-major, no gaps */
    BPI_ROWS,   /* packed, or rank 2 with a last stride of 1 and any row pitch */
    BPI_MATRIX, /* rank 2, either stride 1: rows or a transposed view of rows */
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
} bpi_kernel;

typedef struct bpi_op_kernels {
    bpi_kernel slot[BPI_SLOTS];
} bpi_op_kernels;

typedef enum bpi_op_id {
#define BPI_OP(name) BPI_OP_##name,
#define BPI_VIEW(name) BPI_OP_##name,
#include "ops.def"
    BPI_OP_COUNT
} bpi_op_id;

/* Written by kernels, read by whoever waits and by optimiser kernels (which then change nothing).
 * `status` is claimed first, by compare-and-swap from BP_OK. */
typedef struct bpi_fault {
    _Atomic int32_t status;
    int32_t kernel; /* op id * BPI_SLOTS + slot, or -1 for a registered op */
    int64_t value;
} bpi_fault;

typedef struct bpi_device bpi_device;

struct bp_exec {
    bpi_device *device;
    bpi_fault *fault; /* device memory */
    int32_t kernel;   /* the kernel that runs now, for the fault word */
    void *workspace;  /* see bpi_workspace */
    size_t workspace_bytes;
};

/* What a device offers beside kernels. Every call but `close` may fail. */
typedef struct bpi_device_calls {
    void *(*alloc)(bpi_device *, size_t bytes); /* 64-byte aligned; NULL when there is none left */
    void (*free)(bpi_device *, void *, size_t bytes);
    bp_status (*upload)(bpi_device *, void *dst, const void *src, size_t bytes); /* NULL: zeros */
    bp_status (*download)(bpi_device *, void *dst, const void *src, size_t bytes);
    bp_status (*sync)(bpi_device *);
    void (*parallel_for)(bpi_device *, int64_t blocks, bp_block_fn body, void *arg);
    bp_status (*set_threads)(bpi_device *, int32_t threads);
    int64_t (*helped)(bpi_device *); /* blocks that threads other than the caller have run */
    void (*close)(bpi_device *);
} bpi_device_calls;

struct bpi_device {
    const bpi_device_calls *calls;
    const bpi_op_kernels *f32, *f64; /* [BPI_OP_COUNT] */
    char name[64];                   /* "cpu: x86-64-v3, 2 threads" */
};

/* Grow-only scratch memory for one kernel call, 64-byte aligned; NULL when out of memory. Its
 * contents are gone with the next kernel. */
void *bpi_workspace(bp_exec *ex, size_t bytes);

/* Notes a fault of the running kernel, if there is none yet. Safe from any block. */
void bpi_fault_note(bp_exec *ex, bp_status status, int64_t value);

/* The CPU: bp_open's "cpu" (level NULL: the best of this machine), "cpu:generic", ... */
bp_status bpi_cpu_open(const char *level, const bp_hooks *hooks, bpi_device **device, char *why);


#endif
