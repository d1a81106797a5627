/* copy: the same values in another layout, or in another dtype. Forward: x -> y of equal shapes and
 * any strides: the same dtype, whose bits are kept, or any to any other.
 * Floor: each element once read and once written. The rule: src/ops/copy.c. */
#include <string.h>

#include "cpu/elementwise.h"
#include "cpu/vmath.h"
#include "door/formulas.h"

typedef uint32_t __attribute__((may_alias)) word4;
typedef uint64_t __attribute__((may_alias)) word8;
#if BPI_F64
typedef float other;
#else
typedef double other;
#endif

static void copy_1(void *y, const bpi_operand *in, int64_t n, const double *k, int past)
{
    (void)k, (void)past;
    if (in->step)
        memmove(y, in->at, (size_t)n);
    else
        memset(y, *(const uint8_t *)in->at, (size_t)n);
}

BPI_RUN(copy_4, word4, word4, out[i] = u[i])
BPI_RUN(copy_8, word8, word8, out[i] = u[i])

/* A vector of i32 or of the other real becomes one of `real`. */
typedef real unit_of_real
    __attribute__((vector_size(UNIT * sizeof(real)), aligned(sizeof(real)), may_alias));
#define FROM(name, A)                                                                           \
    typedef A name##_unit                                                                       \
        __attribute__((vector_size(UNIT * sizeof(A)), aligned(sizeof(A)), may_alias));          \
    BPI_RUN_UNITS(name, real, A, ,                                                              \
                  *(unit_of_real *)out =                                                        \
                      __builtin_convertvector(*(const name##_unit *)u, unit_of_real);)
FROM(from_i32, int32_t)
FROM(from_other, other)

/* Else a unit of two sizes is no good vector: a run is one loop, or one a unit that repeats. */
#define CONVERT(name, Y, A, ...)                                                                \
    static void name(void *to, const bpi_operand *in, int64_t n, const double *k, int past)     \
    {                                                                                           \
        Y *out = to;                                                                            \
        const A *u = in->at;                                                                    \
        const int64_t part = in->step ? n & -UNIT : UNIT;                                       \
        (void)k, (void)past;                                                                    \
        for (; n > 0; n -= part, out += part) {                                                 \
            BPI_INDEPENDENT                                                                     \
            for (int64_t i = 0; i < part; i++) {                                                \
                __VA_ARGS__;                                                                    \
            }                                                                                   \
        }                                                                                       \
    }
CONVERT(from_u8, real, uint8_t, out[i] = (real)u[i])
CONVERT(to_u8, uint8_t, real, out[i] = u8_of(u[i]))
CONVERT(i32_of_u8, int32_t, uint8_t, out[i] = u[i])
CONVERT(u8_of_i32, uint8_t, int32_t, out[i] = (uint8_t)(u[i] < 0 ? 0 : u[i] > 255 ? 255 : u[i]))
#if BPI_F64
CONVERT(to_i32, int32_t, real, out[i] = i32_of(u[i]))
#else
BPI_RUN(to_i32, int32_t, real, out[i] = i32_of(u[i]))
#endif

/* From a real the table of which is asked, or between integers. */
static bpi_run_fn to_integer(bp_dtype to, bp_dtype from)
{
    if (from == BPI_REAL_DTYPE)
        return to == BP_I32 ? to_i32 : to_u8;
    return to == BP_I32 ? i32_of_u8 : u8_of_i32;
}

static bp_status forward(bp_exec *ex, const bp_view *in, const bp_view *out, const void *params)
{
    (void)params;
    bpi_run_fn run;
    if (in->dtype == out->dtype)
        run = in->dtype == BP_U8 ? copy_1 : in->dtype == BP_F64 ? copy_8 : copy_4;
    else if (out->dtype == BPI_REAL_DTYPE)
        run = in->dtype == BP_U8 ? from_u8 : in->dtype == BP_I32 ? from_i32 : from_other;
    else
        run = to_integer(out->dtype, in->dtype);
    return bpi_elementwise(ex, run, BPI_GRAIN, out, in, 1, NULL);
}

BPI_CPU_OP(copy) = {.slot[BPI_FORWARD] = BPI_ELEMENTWISE_ENTRY(forward)};
