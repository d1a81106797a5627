/* The structs of DLPack 1.1, which are an ABI (https://dmlc.github.io/dlpack): what its dlpack.h
 * nests is written flat here. Public calls name the two outer ones only. */
#ifndef BPI_CORE_DLPACK_H
#define BPI_CORE_DLPACK_H

#include <stdint.h>

enum { BPI_DL_MAJOR = 1, BPI_DL_MINOR = 1, BPI_DL_READ_ONLY = 1 };
enum { BPI_DL_INT, BPI_DL_UINT, BPI_DL_FLOAT, BPI_DL_BOOL = 6 };

typedef struct bpi_dl_tensor {
    void *data;
    int32_t device_type, device_id; /* a device of door/backend.h says which */
    int32_t ndim;
    uint8_t code, bits; /* of an element */
    uint16_t lanes;
    int64_t *shape, *strides; /* of `ndim` sizes; strides in elements, NULL: packed */
    uint64_t byte_offset;     /* of the first element in data */
} bpi_dl_tensor;

struct DLManagedTensorVersioned {
    uint32_t major, minor;
    void *manager_ctx;
    void (*deleter)(struct DLManagedTensorVersioned *); /* may be NULL */
    uint64_t flags;
    bpi_dl_tensor dl_tensor;
};

struct DLManagedTensor {
    bpi_dl_tensor dl_tensor;
    void *manager_ctx;
    void (*deleter)(struct DLManagedTensor *);
};

#endif
