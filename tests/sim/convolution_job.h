/* A convolution through the fake cuDNN, from descriptors to memory: what convolutions.c runs,
 * rightly and wrongly. */
#ifndef BPI_SIM_CONVOLUTION_JOB_H
#define BPI_SIM_CONVOLUTION_JOB_H

#include "control.h"
#include "cuda/cudnn_abi.h"

#include <stdbool.h>

typedef enum direction { FORWARD, DATA_GRADIENT, FILTER_GRADIENT } direction;
typedef enum layout { NHWC, NCHW, WITH_GAPS } layout;
enum { X, W, Y, BIAS, TENSORS };

typedef struct shape {
    const char *name;
    direction direction;
    int64_t x[4], w[4];                /* [n, c, h, w], [k, c / groups, r, s] */
    int64_t stride, dilation, pads[4]; /* top, left, bottom, right */
    layout layout;
    bool is_double;
    double alpha, beta; /* both 0: not said, which is 1 and 0 */
    int fused;          /* 1: a bias, 2: and a ReLU, 3: one that makes 0 of NaN */
} shape;

typedef struct job {
    const shape *shape;
    cudnnStatus_t status; /* of the first call that failed */
    cudaError_t error;
    cudnnHandle_t handle;
    cudaStream_t stream;
    cudnnBackendDescriptor_t made[128], graph, plan, pack;
    int made_count;
    int64_t engine, workspace_bytes; /* that was chosen */
    int64_t dims[TENSORS][4], strides[TENSORS][4];
    double *values[TENSORS]; /* on the host, dense as NHWC */
    void *memory[TENSORS], *result, *workspace;
} job;

/* Fills the tensors with numbers between -1 and 1; makes handle, stream and graph. */
void job_begin(job *j, const shape *s);
void job_end(job *j);

/* Keeps the first status that is none of success. */
void job_note(job *j, cudnnStatus_t status);
/* A descriptor that job_end destroys, or NULL. */
cudnnBackendDescriptor_t job_make(job *j, cudnnBackendDescriptorType_t type);
void job_put(job *j, cudnnBackendDescriptor_t d, cudnnBackendAttributeName_t name,
             cudnnBackendAttributeType_t type, int64_t count, const void *elements);
void job_put_part(job *j, cudnnBackendDescriptor_t d, cudnnBackendAttributeName_t name,
                  cudnnBackendDescriptor_t part);
void job_graph(job *j);

/* index of the engine: ours to choose by the notes (BY_NOTES), or one. Makes a plan, its workspace
 * and its pack. */
enum { BY_NOTES = -1 };
bool job_plan(job *j, int64_t engine);
/* Makes a pack of these pointers; NULL: of the job's. */
bool job_pack(job *j, int count, const int64_t *ids, void *const *pointers, void *workspace);
bool job_run(job *j); /* and waits */

/* The result, dense, as NHWC. */
void job_read(job *j, double *result);
int64_t job_count(const job *j, int tensor);
int job_result(const job *j); /* the tensor that is written */
/* What it has to be, by loops over everything, and for each the sum of the terms' sizes. */
void job_expect(const job *j, double *result, double *sizes);

/* --- convolutions.c -------------------------------------------------------------------------- */

extern const struct sim_control *control;
extern const shape *const plain;

/* Prints a row; afterwards nothing may be left. 1 if it failed. */
int close_row(const char *name, bool ok, const char *why);
int check_mistakes(void); /* the number that were not seen */

#endif
