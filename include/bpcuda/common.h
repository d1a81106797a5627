/* Words every other header uses: visibility, status codes, element types, shapes.
 *
 * A function that can fail returns a bp_status that must be used; an op returns a tensor or NULL.
 * NULL is an error that names the argument (BP_ERR_ARG; from an op, NULL) unless the header says
 * what it means; it is where the word NULL stands. bp_shape, bp_view and bp_window never change; a
 * struct that may grow comes with its size, and a program and a library of different versions
 * understand one another: what only one of them knows must be zero (BP_ERR_UNSUPPORTED) or reads as
 * zero.
 * Sizes and counts are int64_t, bytes are size_t. Enum values are fixed for ever. */
#ifndef BPCUDA_COMMON_H
#define BPCUDA_COMMON_H

#include <stddef.h>
#include <stdint.h>
#ifdef __cplusplus
#include <type_traits>
#endif

/* What the library exports; what a caller must look at. */
#if defined(__GNUC__)
#define BP_API __attribute__((visibility("default")))
#define BP_USE __attribute__((warn_unused_result))
#else
#define BP_API
#define BP_USE
#endif

/* The version of these headers; bp_version() is the library's. */
#define BP_VERSION_MAJOR 0
#define BP_VERSION_MINOR 1
#define BP_VERSION_PATCH 0

#ifdef __cplusplus
extern "C" {
#endif

/* How a call ended. */
typedef int32_t bp_status;
enum {
    BP_OK = 0,              /* it did what it says */
    BP_ERR_NOMEM = 1,       /* the allocator returned NULL */
    BP_ERR_ARG = 2,         /* a NULL, a stale handle, a value out of its stated range */
    BP_ERR_SHAPE = 3,       /* shapes do not fit together */
    BP_ERR_DTYPE = 4,       /* element types do not fit together */
    BP_ERR_DEVICE = 5,      /* no such device, or operands of different contexts */
    BP_ERR_UNSUPPORTED = 6, /* op X has no kernel on device Y for dtype Z */
    BP_ERR_RANGE = 7,       /* an index or label outside its range, found by a kernel */
    BP_ERR_STATE = 8,       /* right call, wrong moment: outside a scope, while recording, ... */
    BP_ERR_BUSY = 9,        /* another thread is using the context */
    BP_ERR_IO = 10,         /* a file could not be read or written */
    BP_ERR_FORMAT = 11,     /* a file, or a text, that says something impossible */
    BP_ERR_STOPPED = 12,    /* somebody asked for the stop */
    BP_ERR_NONFINITE = 13   /* a number is NaN or infinite, or a step would make it so: optim.h */
};

/* The type of the elements of a tensor: IEEE 754 of 4 and of 8 bytes, bytes, integers of 4. */
typedef int32_t bp_dtype;
enum { BP_F32 = 1, BP_F64 = 2, BP_U8 = 3, BP_I32 = 4 };

enum { BP_MAX_DIMS = 8, BP_MAX_IO = 4 }; /* sizes of a shape; inputs or outputs of an op */

/* Sizes, outermost first. A scalar has ndim 0. */
typedef struct bp_shape {
    int32_t ndim;             /* 0 to 8 */
    int64_t dim[BP_MAX_DIMS]; /* the first ndim of them, 0 or more each */
} bp_shape;

/* BP_SHAPE(64, 32) is the shape [64, 32]; BP_SCALAR the shape []. Sizes are of any integer type. */
#define BP_SHAPE_COUNT_(a, b, c, d, e, f, g, h, n, ...) n
#define BP_SHAPE_COUNT(...) BP_SHAPE_COUNT_(__VA_ARGS__, 8, 7, 6, 5, 4, 3, 2, 1, 0)
#ifndef __cplusplus
#define BP_SHAPE(...) ((bp_shape){BP_SHAPE_COUNT(__VA_ARGS__), {__VA_ARGS__}})
#define BP_SCALAR ((bp_shape){0, {0}})
#else
#define BP_SHAPE(...) (bp_make_shape(__VA_ARGS__))
#define BP_SCALAR (bp_shape{0, {0}})
extern "C++" {
/* C++ does not narrow within braces: a size_t is no int64_t there. */
template <typename Size> constexpr int64_t bp_make_size(Size size)
{
    static_assert(!std::is_floating_point<Size>::value, "a size is an integer");
    return static_cast<int64_t>(size);
}

template <typename... Sizes> constexpr bp_shape bp_make_shape(Sizes... sizes)
{
    static_assert(sizeof...(Sizes) >= 1 && sizeof...(Sizes) <= BP_MAX_DIMS, "1 to 8 sizes");
    return bp_shape{static_cast<int32_t>(sizeof...(Sizes)), {bp_make_size(sizes)...}};
}
}
#endif

typedef struct bp_context bp_context; /* a device, its memory, tape, random stream and error */
typedef struct bp_tensor bp_tensor;   /* a handle to a strided view of counted storage */

/* "0.1.0", of the library that is linked, not of the header. */
BP_API const char *bp_version(void);

/* "ok", "out of memory", ... ; never NULL. */
BP_API const char *bp_status_name(bp_status status);

/* "f32", "f64", "u8", "i32"; "?" for anything else. */
BP_API const char *bp_dtype_name(bp_dtype dtype);

/* Bytes of one element; 0 for an unknown dtype. */
BP_API size_t bp_dtype_bytes(bp_dtype dtype);

/* Elements of a shape: the product of its sizes, 1 for a scalar; 0 where there are more than 8
 * sizes or the product does not fit. */
BP_API int64_t bp_shape_count(bp_shape shape);

#ifdef __cplusplus
}
#endif
#endif
