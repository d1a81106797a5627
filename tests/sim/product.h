/* One matrix product of the fake cuBLASLt, from its descriptors: made in matmul.cpp, run in
 * product.cpp. Matrices are column-major. */
#ifndef BPI_SIM_PRODUCT_H
#define BPI_SIM_PRODUCT_H

#include "runtime.h"

#include <cublasLt.h>

namespace sim {

/* The bits that cublasLtEpilogue_t is made of. */
enum { ADD_BIAS = 4, RELU_GRADIENT = 8, BIAS_GRADIENT = 16, HAS_AUX = 128 };

struct Description {
    cublasComputeType_t compute;
    cudaDataType_t scale;
    cublasOperation_t transa, transb;
    cublasLtEpilogue_t epilogue;
    void *bias;
    cudaDataType_t bias_type;
    void *aux;
    int64_t aux_ld; /* bits */
};

struct Layout {
    cudaDataType type;
    int64_t rows, cols, ld;
    int32_t count; /* matrices of a batch, and elements from one to the next */
    int64_t next;
};

struct Problem {
    Description desc;
    Layout a, b, c, d;
    int64_t k;
};

struct Product {
    Problem problem;
    double alpha, beta;
    const void *a, *b, *c;
    void *d, *workspace;
    size_t workspace_bytes; /* that are used */
    int device;
};

static inline size_t size_of(cudaDataType type)
{
    return type == CUDA_R_64F ? sizeof(double) : sizeof(float);
}

static inline bool is_transposed(cublasOperation_t op)
{
    return op != CUBLAS_OP_N;
}

/* Whether all of it is memory of the device; if not, says what is not. */
bool has_memory(const Product &p);
cudaError_t run_product(const Product &p);

} // namespace sim
#endif
