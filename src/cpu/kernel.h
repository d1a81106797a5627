/* What every CPU kernel file includes: `real` and the names of this build of it.
 *
 * A kernel file is ordinary C, compiled once per compute type (BPI_F64 0 or 1) and instruction
 * level (BPI_LEVEL generic, v3 or v4, with its BPI_VECTOR_BYTES). BPI_CPU(relu) is the external
 * name of this build: bpi_cpu_relu_f32_v3. */
#ifndef BPI_CPU_KERNEL_H
#define BPI_CPU_KERNEL_H

#include "door/backend.h"

#if BPI_F64
typedef double real;
#define BPI_REAL f64
#define BPI_REAL_DTYPE BP_F64
#else
typedef float real;
#define BPI_REAL f32
#define BPI_REAL_DTYPE BP_F32
#endif

enum { LANES = BPI_VECTOR_BYTES / (int)sizeof(real) }; /* of a vector */

#define BPI_CPU_JOIN_(name, type, level) bpi_cpu_##name##_##type##_##level
#define BPI_CPU_JOIN(name, type, level) BPI_CPU_JOIN_(name, type, level)
#define BPI_CPU(name) BPI_CPU_JOIN(name, BPI_REAL, BPI_LEVEL)

/* The one symbol an op's kernel file defines. */
#define BPI_CPU_OP(name)                           \
    extern const bpi_op_kernels BPI_CPU(op_##name); \
    const bpi_op_kernels BPI_CPU(op_##name)

/* The compiler weighs size against speed (CMakeLists.txt); these are what it may not weigh:
 * functions that a vector loop calls, those that are large and called by several, and loops over
 * lanes that become registers. */
#define INLINE static inline __attribute__((always_inline))
#define OUTLINE static __attribute__((noinline, unused))
#define UNROLL _Pragma("GCC unroll 32")

static inline int64_t bytes_of(bp_dtype dtype)
{
    return dtype == BP_F64 ? 8 : dtype == BP_U8 ? 1 : 4;
}

static inline int64_t count_of(const bp_view *v)
{
    int64_t n = 1;
    for (int32_t i = 0; i < v->shape.ndim; i++)
        n *= v->shape.dim[i];
    return n;
}

static inline int64_t at_most(int64_t n, int64_t most) { return n < most ? n : most; }
static inline int64_t at_least(int64_t n, int64_t least) { return n > least ? n : least; }
static inline int64_t parts(int64_t n, int64_t size) { return (n + size - 1) / size; }

#endif
