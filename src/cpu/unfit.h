/* Whether a gradient can be taken. Magnitudes are in the order of their bits, NaN above all of
 * them, so integers tell many at a time. Used by step_begin.c, linear.c and gemm.c. */
#ifndef BPI_CPU_UNFIT_H
#define BPI_CPU_UNFIT_H

#include "cpu/vec.h"
#include "cpu/vmath.h"
#include "door/kernel_params.h"

#if BPI_F64
#define BPI_SUSPECT BPI_SUSPECT_F64
#else
#define BPI_SUSPECT BPI_SUSPECT_F32
#endif

static inline int bpi_is_unfit(real g, real most)
{
    return (bpi_to_bits(g) & ~bpi_to_bits((real)-0.0)) > bpi_to_bits(most);
}

/* What is beyond BPI_SUSPECT is, times BPI_SUSPECT_SCALE, twice the largest number: a sum of such
 * products with any finite ones is not finite, and neither is one with what is not. */
#if BPI_F64
#define BPI_SUSPECT_SCALE 0x1p520
#else
#define BPI_SUSPECT_SCALE 0x1p67f
#endif

/* A sum that is not finite is, less itself, NaN. */
INLINE void bpi_judge(int32_t *suspect, vec seen)
{
    if (any_nan(seen - seen))
        __atomic_store_n(suspect, 1, __ATOMIC_RELAXED);
}

/* Whether one of g[0 .. n) is beyond `most`, or NaN. */
static inline int bpi_unfit(const real *g, int64_t n, real most)
{
    bpi_bits found = 0;
    for (int64_t i = 0; i < n; i++)
        found |= (bpi_bits)bpi_is_unfit(g[i], most);
    return found != 0;
}

#endif
