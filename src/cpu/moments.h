/* Mean and variance of a row or column whose sum or squares leave the range of `real`: what the
 * norms, which add in it, turn to when their variance is no number. */
#ifndef BPI_CPU_MOMENTS_H
#define BPI_CPU_MOMENTS_H

#include "cpu/kernel.h"

/* The variance of n elements, `step` apart, about their mean, or about 0 where they are not
 * centred; their mean in two parts. NaN where one of them is. */
double BPI_CPU(wide_moments)(const real *x, int64_t n, int64_t step, int32_t centred, real *mean,
                             real *low);

#endif
