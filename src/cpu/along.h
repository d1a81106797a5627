/* What take_along and add_along walk over: x and an index, both in BPI_ROWS, as [outer, K, inner],
 * the axis in the middle. */
#ifndef BPI_CPU_ALONG_H
#define BPI_CPU_ALONG_H

#include "cpu/kernel.h"
#include "door/kernel_params.h"

typedef struct bpi_along {
    int64_t outer, size, inner;
    int64_t outer_step, step; /* from one to the next; inner ones lie side by side */
} bpi_along;

static inline bpi_along bpi_along_of(const bp_view *v, int32_t axis)
{
    bpi_along a = {1, v->shape.dim[axis], 1, 0, 0};
    for (int32_t i = 0; i < v->shape.ndim; i++)
        if (i != axis)
            *(i < axis ? &a.outer : &a.inner) *= v->shape.dim[i];
    int rows = v->shape.ndim == 2;
    a.step = rows && axis == 0 ? v->stride[0] : a.inner;
    a.outer_step = rows && axis == 1 ? v->stride[0] : a.size * a.inner;
    return a;
}

#endif
