/* What the host files of a CUDA device share among themselves, and kernels need not know. */
#ifndef BPI_CUDA_INSIDE_H
#define BPI_CUDA_INSIDE_H

#include "cuda/cuda.h"

#ifndef BPI_CUDA_KIND
#define BPI_CUDA_KIND "cuda" /* in device names; "sim" where the device is simulated */
#endif

/* A call of CUDA: on failure the device's `why` names it. */
#define BPI_CUDA_TRY(d, call)                            \
    do {                                                 \
        cudaError_t try_error_ = (call);                 \
        if (try_error_ != cudaSuccess)                   \
            return bpi_cuda_check(d, try_error_, #call); \
    } while (0)

/* --- turn.c: a thread of the host lends itself to the device ------------------------------- */

void bpi_cuda_find_driver(void); /* before the first turn */
void bpi_cuda_turn(bpi_device *device, int32_t turn);
/* One thread at a time in the process, for what libraries do behind a heuristic or a capture. */
void bpi_cuda_lock(void);
void bpi_cuda_unlock(void);

/* --- memory.c: the pool, and the pinned memory that uploads go through --------------------- */

bp_status bpi_pool_open(bpi_cuda *d);
bp_status bpi_staging_open(bpi_cuda *d);
void bpi_staging_close(bpi_cuda *d);
void *bpi_cuda_alloc(bpi_device *device, size_t bytes);
void bpi_cuda_free(bpi_device *device, void *p, size_t bytes);
bp_status bpi_cuda_upload(bpi_device *device, void *dst, const void *src, size_t bytes);
bp_status bpi_cuda_download(bpi_device *device, void *dst, const void *src, size_t bytes);

/* --- graph.c: streams of work as graphs ---------------------------------------------------- */

bp_status bpi_cuda_capture(bpi_device *device);
bp_status bpi_cuda_captured(bpi_device *device, bpi_graph **out, int64_t *nodes);
bp_status bpi_cuda_launch(bpi_device *device, bpi_graph *graph);
void bpi_cuda_drop(bpi_device *device, bpi_graph *graph);

/* --- choices.c: what libraries chose, which another process need not ask again --------------- */

enum { BPI_CHOICE_LINE = 1024 };
const char *bpi_choice_find(bpi_cuda *d, const char *key); /* NULL: there is none */
bp_status bpi_choice_keep(bpi_cuda *d, const char *key, const char *choice);
bp_status bpi_cuda_share(bpi_device *device, const char *lines, const char **all, int64_t *news);
void bpi_choices_free(bpi_cuda *d);

/* --- lt.c: one matrix product for every layer, by cuBLASLt --------------------------------- */

/* What rides on the product, on its result before it is stored. */
typedef enum bpi_epilogue {
    BPI_EPILOGUE_NONE,
    BPI_EPILOGUE_BIAS,          /* + bias[j] */
    BPI_EPILOGUE_DRELU,         /* 0 where the bits of aux are 0 */
    BPI_EPILOGUE_BGRAD,         /* bias[i] = sum of A[i, p] over p */
    BPI_EPILOGUE_DRELU_BGRAD    /* DRELU, and bias[j] = sum of what is stored over i */
} bpi_epilogue;

/* C[M,N] = alpha A[M,K] B[K,N] through the epilogue; row-major, pitches in elements. A or B is read
 * transposed where its memory holds [K,M] or [N,K]. */
typedef struct bpi_product {
    bp_dtype dtype;
    int64_t m, n, k;
    const void *a, *b;
    int64_t a_pitch, b_pitch;
    int32_t a_transposed, b_transposed;
    void *c;
    int64_t c_pitch;
    double alpha;
    int32_t accumulate; /* C += */
    bpi_epilogue epilogue;
    void *bias;
    void *aux;         /* bit j of row i: byte (i * aux_pitch + j) / 8 */
    int64_t aux_pitch; /* bits, a multiple of 128 */
    /* More than 1: so many products without an epilogue, so many elements apart, which are not 0 */
    int64_t count, a_next, b_next, c_next;
} bpi_product;

bp_status bpi_lt_open(bpi_cuda *d);
void bpi_lt_close(bpi_lt *lt);

/* BP_ERR_UNSUPPORTED where the library has no plan for the epilogue, or fails with it in any way:
 * the product is to be taken without. With an epilogue no size may be 0, and nothing accumulates:
 * what a failed one has begun is written again. Deterministic: one plan for a shape, without atomic
 * sums. */
bp_status bpi_lt_product(bp_exec *ex, const bpi_product *p);

#endif
