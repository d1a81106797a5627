/* cuDNN of a CUDA device: opened at the first convolution (cudnn_open.c), and its plans (cudnn.c),
 * for the kernels of conv.c. */
#ifndef BPI_CUDNN_H
#define BPI_CUDNN_H

#include "cuda/cudnn_abi.h"
#include "cuda/inside.h"

/* --- cudnn_open.c ---------------------------------------------------------------------------- */

#define BPI_CUDNN_CALLS(CALL)                                                                  \
    CALL(GetVersion) CALL(GetErrorString) CALL(Create) CALL(Destroy) CALL(SetStream)           \
    CALL(BackendCreateDescriptor) CALL(BackendDestroyDescriptor) CALL(BackendSetAttribute)     \
    CALL(BackendGetAttribute) CALL(BackendFinalize) CALL(BackendExecute)

typedef struct bpi_cudnn_calls {
#define BPI_CUDNN_CALL(name) __typeof__(cudnn##name) *name;
    BPI_CUDNN_CALLS(BPI_CUDNN_CALL)
#undef BPI_CUDNN_CALL
} bpi_cudnn_calls;

typedef struct bpi_conv_plan bpi_conv_plan;
typedef struct bpi_conv_space bpi_conv_space;

struct bpi_cudnn {
    bpi_cudnn_calls call;
    char version[40];                   /* "cuDNN 9.19.0" */
    cudnnHandle_t handle;
    cudnnBackendDescriptor_t described; /* a GPU that is not here, in place of the handle */
    bpi_conv_plan *plans;
    bpi_conv_space *spaces; /* workspaces beyond the device's, the largest first */
};

/* Finds and loads cuDNN 9: from BPCUDA_CUDNN_DIR where that is set, else the one that the process
 * has, else one beside cuBLAS, as toolkits and pip lay them, else the system's. BP_ERR_DEVICE, with
 * a sentence in `why` of 160 bytes, where there is none or an old one. It stays in the process. */
bp_status bpi_cudnn_load(bpi_cudnn *cudnn, char *why);

/* A call of cuDNN: on failure the device's `why` names it. */
bp_status bpi_cudnn_check(bpi_cuda *d, cudnnStatus_t status, const char *call);
#define DNN_TRY(d, name) BPI_TRY(bpi_cudnn_check(d, (d)->cudnn->call.name, #name))

/* --- cudnn.c --------------------------------------------------------------------------------- */

/* The three products of a convolution, the first with what is fused to it. */
typedef enum bpi_conv_kind {
    BPI_CONV_PLAIN,     /* x, w -> y */
    BPI_CONV_BIAS,      /* x, w, bias -> y */
    BPI_CONV_BIAS_RELU, /* and ReLU; NaN passes */
    BPI_CONV_INPUT,     /* y, w -> x */
    BPI_CONV_FILTER     /* y, x -> w */
} bpi_conv_kind;

enum { BPI_CONV_X, BPI_CONV_W, BPI_CONV_Y, BPI_CONV_B, BPI_CONV_OPERANDS };

/* All that a plan depends on; compared as bytes. No size is 0. */
typedef struct bpi_convolution {
    int64_t x[4], w[4], y[4];          /* [N, H, W, C], [O, R, S, C / groups], [N, P, Q, O] */
    bp_window how;                     /* nothing is 0 but padding */
    int32_t kind, dtype, precision;
    uint32_t align[BPI_CONV_OPERANDS]; /* bytes, up to 16; 16 for what there is not */
} bpi_convolution;
_Static_assert(sizeof(bpi_convolution) == 12 * 8 + 9 * 4 + 3 * 4 + BPI_CONV_OPERANDS * 4,
               "compared byte by byte: nothing lies between");

struct bpi_conv_plan {
    bpi_conv_plan *next; /* used less recently */
    bpi_convolution key;
    cudnnBackendDescriptor_t plan; /* NULL: there is none */
    int64_t workspace_bytes;
    int64_t engine;                         /* cuDNN's number of what computes it */
    int32_t offered, deterministic, strict; /* configurations, each a part of those before */
};

/* The plan of a convolution, made when it is first asked for, with room to work in; cuDNN is opened
 * for the first. Before calls are captured, which then find it. BP_ERR_UNSUPPORTED where something
 * is fused that no plan has. */
bp_status bpi_cudnn_plan(bpi_cuda *d, const bpi_convolution *key, const bpi_conv_plan **out);
bp_status bpi_cudnn_run(bp_exec *ex, const bpi_conv_plan *plan,
                        void *const operand[BPI_CONV_OPERANDS]);
/* A graph of calls is gone: so may be what was kept for such. */
void bpi_cudnn_trim(bpi_cuda *d);
void bpi_cudnn_close(bpi_cuda *d);

/* --- cudnn_plan.c: where cuDNN is open, all of a plan but its key; `plan` stays NULL where nothing
 * that is offered will do. By a choice that was kept, else by asking, and that is kept --------- */

bp_status bpi_cudnn_make(bpi_cuda *d, bpi_conv_plan *plan);

#endif
