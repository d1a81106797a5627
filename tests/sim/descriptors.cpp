/* The handles of the fake cuBLASLt, and the descriptors of its products. They are read when they
 * are used: matmul.cpp. */
#include "cublaslt.h"

#include <cstring>

namespace sim {

bool has_epilogue(cublasLtMatmulDesc_t desc)
{
    std::lock_guard<std::recursive_mutex> lock(mutex);
    Object *object = reinterpret_cast<Object *>(desc);
    auto *held = objects.count(object) ? dynamic_cast<Held<Description> *>(object) : nullptr;
    return held && held->value.epilogue != CUBLASLT_EPILOGUE_DEFAULT;
}

namespace {

template <typename T, typename Handle>
cublasStatus_t create(const char *name, Handle *handle, const T &value)
{
    return library(name, WORK, [&] {
        publish(handle, new Held<T>(value));
        return CUBLAS_STATUS_SUCCESS;
    });
}

template <typename T, typename Handle> cublasStatus_t destroy(const char *name, Handle handle)
{
    return library(name, RELEASE, [=] {
        Object *object = find<Held<T>>(handle);
        if (!object)
            return CUBLAS_STATUS_INVALID_VALUE;
        discard(object);
        return CUBLAS_STATUS_SUCCESS;
    });
}

template <typename T> cublasStatus_t set(T *field, const void *value, size_t bytes)
{
    if (!value || bytes != sizeof(T))
        return CUBLAS_STATUS_INVALID_VALUE;
    memcpy(field, value, bytes);
    return CUBLAS_STATUS_SUCCESS;
}

} // namespace
} // namespace sim

using namespace sim;

extern "C" {

cublasStatus_t cublasLtCreate(cublasLtHandle_t *handle)
{
    return create("cublasLtCreate", handle, Context());
}

cublasStatus_t cublasLtDestroy(cublasLtHandle_t handle)
{
    return destroy<Context>("cublasLtDestroy", handle);
}

const char *cublasLtGetStatusName(cublasStatus_t status)
{
    switch (status) {
    case CUBLAS_STATUS_SUCCESS:
        return "CUBLAS_STATUS_SUCCESS";
    case CUBLAS_STATUS_NOT_INITIALIZED:
        return "CUBLAS_STATUS_NOT_INITIALIZED";
    case CUBLAS_STATUS_ALLOC_FAILED:
        return "CUBLAS_STATUS_ALLOC_FAILED";
    case CUBLAS_STATUS_INVALID_VALUE:
        return "CUBLAS_STATUS_INVALID_VALUE";
    case CUBLAS_STATUS_EXECUTION_FAILED:
        return "CUBLAS_STATUS_EXECUTION_FAILED";
    case CUBLAS_STATUS_INTERNAL_ERROR:
        return "CUBLAS_STATUS_INTERNAL_ERROR";
    case CUBLAS_STATUS_NOT_SUPPORTED:
        return "CUBLAS_STATUS_NOT_SUPPORTED";
    default:
        return "CUBLAS_STATUS_UNKNOWN";
    }
}

cublasStatus_t cublasLtMatmulDescCreate(cublasLtMatmulDesc_t *desc, cublasComputeType_t compute,
                                        cudaDataType_t scale)
{
    Description description = {};
    description.compute = compute;
    description.scale = scale;
    description.epilogue = CUBLASLT_EPILOGUE_DEFAULT;
    description.bias_type = scale;
    return create("cublasLtMatmulDescCreate", desc, description);
}

cublasStatus_t cublasLtMatmulDescDestroy(cublasLtMatmulDesc_t desc)
{
    return destroy<Description>("cublasLtMatmulDescDestroy", desc);
}

cublasStatus_t cublasLtMatmulDescSetAttribute(cublasLtMatmulDesc_t desc,
                                              cublasLtMatmulDescAttributes_t attr,
                                              const void *value, size_t bytes)
{
    return library(NAME_OF("cublasLtMatmulDescSetAttribute", desc), WORK, [=] {
        auto *held = find<Held<Description>>(desc);
        if (!held)
            return CUBLAS_STATUS_INVALID_VALUE;
        Description *d = &held->value;
        switch (attr) {
        case CUBLASLT_MATMUL_DESC_TRANSA:
            return set(&d->transa, value, bytes);
        case CUBLASLT_MATMUL_DESC_TRANSB:
            return set(&d->transb, value, bytes);
        case CUBLASLT_MATMUL_DESC_EPILOGUE:
            return set(&d->epilogue, value, bytes);
        case CUBLASLT_MATMUL_DESC_BIAS_POINTER:
            return set(&d->bias, value, bytes);
        case CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE:
            return set(&d->bias_type, value, bytes);
        case CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_POINTER:
            return set(&d->aux, value, bytes);
        case CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_LD:
            return set(&d->aux_ld, value, bytes);
        default:
            return CUBLAS_STATUS_NOT_SUPPORTED;
        }
    });
}

cublasStatus_t cublasLtMatrixLayoutCreate(cublasLtMatrixLayout_t *layout, cudaDataType type,
                                          uint64_t rows, uint64_t cols, int64_t ld)
{
    return create("cublasLtMatrixLayoutCreate", layout,
                  Layout{type, static_cast<int64_t>(rows), static_cast<int64_t>(cols), ld, 1, 0});
}

cublasStatus_t cublasLtMatrixLayoutSetAttribute(cublasLtMatrixLayout_t layout,
                                                cublasLtMatrixLayoutAttribute_t attr,
                                                const void *value, size_t bytes)
{
    return library("cublasLtMatrixLayoutSetAttribute", WORK, [=] {
        auto *held = find<Held<Layout>>(layout);
        if (!held)
            return CUBLAS_STATUS_INVALID_VALUE;
        switch (attr) {
        case CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT:
            return set(&held->value.count, value, bytes);
        case CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET:
            return set(&held->value.next, value, bytes);
        default:
            return CUBLAS_STATUS_NOT_SUPPORTED;
        }
    });
}

cublasStatus_t cublasLtMatrixLayoutDestroy(cublasLtMatrixLayout_t layout)
{
    return destroy<Layout>("cublasLtMatrixLayoutDestroy", layout);
}

cublasStatus_t cublasLtMatmulPreferenceCreate(cublasLtMatmulPreference_t *preference)
{
    return create("cublasLtMatmulPreferenceCreate", preference,
                  Preference{0, CUBLASLT_REDUCTION_SCHEME_MASK, {256, 256, 256, 256}});
}

cublasStatus_t cublasLtMatmulPreferenceDestroy(cublasLtMatmulPreference_t preference)
{
    return destroy<Preference>("cublasLtMatmulPreferenceDestroy", preference);
}

cublasStatus_t cublasLtMatmulPreferenceSetAttribute(cublasLtMatmulPreference_t preference,
                                                    cublasLtMatmulPreferenceAttributes_t attr,
                                                    const void *value, size_t bytes)
{
    return library("cublasLtMatmulPreferenceSetAttribute", WORK, [=] {
        auto *held = find<Held<Preference>>(preference);
        if (!held)
            return CUBLAS_STATUS_INVALID_VALUE;
        Preference *p = &held->value;
        switch (attr) {
        case CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES:
            return set(&p->workspace_bytes, value, bytes);
        case CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK:
            return set(&p->reductions, value, bytes);
        case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES:
            return set(&p->alignments[0], value, bytes);
        case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES:
            return set(&p->alignments[1], value, bytes);
        case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES:
            return set(&p->alignments[2], value, bytes);
        case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES:
            return set(&p->alignments[3], value, bytes);
        default:
            return CUBLAS_STATUS_NOT_SUPPORTED;
        }
    });
}

} // extern "C"
