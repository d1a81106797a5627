/* copy: the same values in another layout, or as real. Forward: x -> y of equal shapes and any
 * strides: the same dtype, whose bits are kept, or any dtype to real.
 * Floor: each element once read and once written. The rule: src/ops/copy.c. */
#include "cpu/elementwise.h"

typedef uint32_t __attribute__((may_alias)) word4;
typedef uint64_t __attribute__((may_alias)) word8;
#if BPI_F64
typedef float other;
#define OTHER_DTYPE BP_F32
#else
typedef double other;
#define OTHER_DTYPE BP_F64
#endif

BPI_RUN(copy_1, uint8_t, uint8_t, out[i] = u[i])
BPI_RUN(copy_4, word4, word4, out[i] = u[i])
BPI_RUN(copy_8, word8, word8, out[i] = u[i])
BPI_RUN(from_u8, real, uint8_t, out[i] = (real)u[i])
BPI_RUN(from_i32, real, int32_t, out[i] = (real)u[i])
BPI_RUN(from_other, real, other, out[i] = (real)u[i])

static bp_status forward(bp_exec *ex, const bp_view *in, const bp_view *out, const void *params)
{
    (void)params;
    bpi_run_fn run = NULL;
    if (in->dtype == out->dtype)
        run = in->dtype == BP_U8 ? copy_1 : in->dtype == BP_F64 ? copy_8 : copy_4;
    else if (out->dtype == BPI_REAL_DTYPE)
        run = in->dtype == BP_U8          ? from_u8
                : in->dtype == BP_I32       ? from_i32
                : in->dtype == OTHER_DTYPE ? from_other
                                            : NULL;
    return run ? bpi_elementwise(ex, run, BPI_GRAIN, out, in, 1, NULL) : BP_ERR_UNSUPPORTED;
}

BPI_CPU_OP(copy) = {.slot[BPI_FORWARD] = {.fn = forward, .layout = BPI_ANY}};
