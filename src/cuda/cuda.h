/* The inside of a CUDA device: what the host code here and the launchers in kernels/ share. C and
 * C++; the same sources make the simulated device (tests/sim).
 *
 * Work goes to one stream, in order. A launcher checks nothing: rules have (src/ops). It computes a
 * grid from the shape alone, so that results do not depend on the GPU, and launches. */
#ifndef BPI_CUDA_H
#define BPI_CUDA_H

#include <cuda_runtime_api.h>

#include "door/backend.h"
#include "door/kernel_params.h"

#ifdef __cplusplus
extern "C" {
#endif

enum {
    BPI_CUDA_WORKSPACE = 32 << 20, /* bytes: library products, partial sums */
    BPI_CUDA_COUNTERS = 4096       /* for kernels whose last block ends the work */
};

/* --- small calls (small.c) ------------------------------------------------------------------ */

/* A call whose work is less than a launch costs: the scalars of a training loop, the indices of a
 * batch. While calls are captured, neighbours become one kernel, which one block runs in their
 * order; step_begin takes them along. Pitches and sizes in bytes. */
typedef enum bpi_small_kind {
    BPI_SMALL_ROWS, /* row i of y = row index[i] of a, or row i where index is NULL; rows of one
                       element, or one row */
    BPI_SMALL_ADD,  /* y = a + b, `rows` elements of dtype */
    BPI_SMALL_CAST  /* y = a, `rows` elements, from another dtype to a real one */
} bpi_small_kind;
typedef struct bpi_small_call {
    int32_t kernel; /* for what it finds wrong */
    int32_t kind, dtype, from; /* of y; of a, where that is another */
    void *y;
    const void *a, *b;    /* add */
    const int32_t *index; /* rows */
    int64_t rows, limit;  /* of y, of a */
    int64_t row_bytes, y_pitch, a_pitch;
} bpi_small_call;

enum { BPI_SMALL_CALLS = 12, BPI_SMALL_BYTES = 4096 }; /* in a list; of y, at most */
typedef struct bpi_small_list {
    int32_t n;
    bpi_small_call call[BPI_SMALL_CALLS];
} bpi_small_list;

typedef struct bpi_lt bpi_lt;           /* lt.c: cuBLASLt and its plans */
typedef struct bpi_cudnn bpi_cudnn;     /* cudnn.c: cuDNN and its plans */
typedef struct bpi_staging bpi_staging; /* memory.c: pinned memory */
typedef struct bpi_choice bpi_choice;   /* choices.c: what libraries chose */

typedef struct bpi_cuda {
    bpi_device base;      /* first, so that one pointer serves both */
    int32_t number;       /* of the device */
    int32_t debug_sync;   /* BPCUDA_DEBUG_SYNC=1: wait after each launch */
    int32_t capturing;
    cudaStream_t stream;
    cudaMemPool_t pool;
    void *workspace;      /* [BPI_CUDA_WORKSPACE], free to use within one kernel call */
    uint32_t *counters;   /* [BPI_CUDA_COUNTERS], all 0 between kernels */
    bp_precision precision; /* of f32 products */
    bpi_lt *lt;
    bpi_cudnn *cudnn;     /* NULL before the first convolution */
    bpi_choice *choices;
    char *choices_text;   /* all of them, for who asked */
    int64_t graphs;       /* captured, and not dropped */
    bpi_staging *staging;
    bpi_small_list small; /* captured and not launched yet */
    bpi_fault *fault;     /* of their context */
    int64_t waits;        /* of uploads, for room in the pinned memory */
    void *host_context;   /* of the thread, when our turn came */
    enum cudaStreamCaptureMode host_mode;
    bpi_op_kernels f32[BPI_OP_COUNT], f64[BPI_OP_COUNT];
} bpi_cuda;

static inline bpi_cuda *bpi_cuda_of(const bp_exec *ex)
{
    return (bpi_cuda *)ex->device;
}

/* Runs a small call: at once, or with its neighbours. */
bp_status bpi_cuda_small(bp_exec *ex, const bpi_small_call *call);
/* Launches what has gathered; every launch does so first. */
bp_status bpi_cuda_flush(bp_exec *ex);
/* What has gathered, for a kernel that runs it beside its own work, which reads and writes only
 * what is given. Calls that would meet that are launched instead, and the list is empty. */
bp_status bpi_cuda_take_small(bp_exec *ex, const bp_view *reads, const bp_view *writes,
                              bpi_small_list *list);
bp_status bpi_cuda_run_small(bp_exec *ex, const bpi_small_list *list); /* kernels/small.cu */

/* --- errors (error.c) ------------------------------------------------------------------------ */

/* The status of a CUDA call; on failure the device's `why` says which failed and how. */
bp_status bpi_cuda_check(bpi_cuda *d, cudaError_t error, const char *call);

/* After a launch: its status. With BPCUDA_DEBUG_SYNC=1 it waits, and names the op and the kernel of
 * a fault that would otherwise show up later. */
bp_status bpi_cuda_launched(bp_exec *ex, cudaError_t error, const char *kernel);

/* --- after a product (kernels/linear_finish.cu) ---------------------------------------------- */

/* What a library's product leaves to do, in place on y [rows, cols], in this order: add bias[j];
 * ReLU (NaN passes); dropout, element i * cols + j of the stream (philox.h). Then, for the way
 * back, bit j of row i of mask says !(y <= 0). */
typedef struct bpi_linear_finish {
    bp_dtype dtype;
    void *y;
    int64_t rows, cols, pitch; /* elements */
    const void *bias;          /* [cols], or NULL */
    int32_t relu;
    uint32_t site, keep;       /* keep 65536: no dropout */
    const void *rng;           /* a bpi_rng_state, where keep < 65536 */
    uint8_t *mask;             /* or NULL; every byte of a row is written */
    int64_t mask_pitch;        /* bits from row to row, a multiple of 128, at least cols */
} bpi_linear_finish;
bp_status bpi_cuda_linear_finish(bp_exec *ex, const bpi_linear_finish *f);

#ifdef __cplusplus
}
#endif
#endif
