/* What the files of the fake cuBLASLt share: what its handles hold, and how a call begins. Made and
 * set in descriptors.cpp, used in matmul.cpp. */
#ifndef BPI_SIM_CUBLASLT_H
#define BPI_SIM_CUBLASLT_H

#include "product.h"

namespace sim {

struct Context {};

struct Preference {
    uint64_t workspace_bytes;
    uint32_t reductions;
    uint32_t alignments[4]; /* bytes: of A, B, C, D */
};

template <typename T> struct Held : Object {
    T value;
    explicit Held(const T &value_) : value(value_) {}
};

/* A call, unless a test wants it to fail. */
template <typename Body> cublasStatus_t library(const char *name, Kind kind, Body body)
{
    std::lock_guard<std::recursive_mutex> lock(mutex);
    const Injected fault = injected(name, kind);
    if (!fault.error)
        return body();
    if (!fault.any)
        return static_cast<cublasStatus_t>(fault.error);
    return fault.error == cudaErrorMemoryAllocation ? CUBLAS_STATUS_ALLOC_FAILED
                                                    : CUBLAS_STATUS_EXECUTION_FAILED;
}

/* Whether a product goes by the second name, under which a test can make it fail. */
bool has_epilogue(cublasLtMatmulDesc_t desc);
#define NAME_OF(call, desc) (has_epilogue(desc) ? call ":epilogue" : call)

} // namespace sim
#endif
