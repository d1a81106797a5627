/* A regular part of an axis: slice.c sees one, place.c fills one. */
#ifndef BPI_SLICE_H
#define BPI_SLICE_H

#include "ops/rule.h"

typedef struct bpi_slice {
    int32_t axis;               /* -1: there is none such */
    int64_t begin, step, count; /* the first element; step 0 is no slice */
} bpi_slice;

/* What of v it is. */
bp_view bpi_slice_view(const bp_view *v, const bpi_slice *s);
/* slice, with what is seen made out already. */
bp_tensor *bpi_slice_of(bp_tensor *x, const bpi_slice *s);

/* `shape`, with x at the slice and `value` elsewhere. */
bp_tensor *bpi_pad(bp_tensor *x, const bp_shape *shape, const bpi_slice *s, double value);
/* dx[0], where in[0] was seen through the slice. */
bp_status bpi_slice_gradient(bp_grad_call *c, const bpi_slice *s);

/* A size of 1 more at `axis`, which becomes one from 0 on; else the error. */
bp_status bpi_insert_axis(bp_context *ctx, const char *who, bp_shape *shape, int32_t *axis);

/* y = value; y is packed, or of rank 2 with any row pitch. */
bp_status bpi_fill(bp_context *ctx, bp_tensor *y, double value);
/* Whether `dtype` has the value; else the error. */
bp_status bpi_holds(bp_context *ctx, const char *who, bp_dtype dtype, double value);

#endif
