/* Whether a gradient can be taken. Magnitudes are in the order of their bits, NaN above all of
 * them, so integers tell many at a time. Used by step_begin.c and linear.c. */
#ifndef BPI_CPU_UNFIT_H
#define BPI_CPU_UNFIT_H

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

/* Whether one of g[0 .. n) is beyond `most`, or NaN. */
static inline int bpi_unfit(const real *g, int64_t n, real most)
{
    bpi_bits found = 0;
    for (int64_t i = 0; i < n; i++)
        found |= (bpi_bits)bpi_is_unfit(g[i], most);
    return found != 0;
}

#endif
