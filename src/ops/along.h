/* take_along and add_along: one axis of x, one index for each element. */
#ifndef BPI_ALONG_H
#define BPI_ALONG_H

#include "ops/rule.h"

/* index has x's sizes but for the axis. */
static inline bp_status bpi_infer_along(const bp_view *in, int32_t axis, char *why)
{
    const bp_shape *x = &in[0].shape, *index = &in[1].shape;
    if (in[1].dtype != BP_I32)
        return bpi_why(why, BP_ERR_DTYPE, "the index is %s, not i32",
                       bp_dtype_name(in[1].dtype));
    if (axis < 0)
        return bpi_why(why, BP_ERR_SHAPE, "x %s has no such axis", bpi_shape_str(x).s);
    bp_shape want = *x;
    want.dim[axis] = index->dim[axis];
    if (bpi_same_shape(&want, index))
        return BP_OK;
    return bpi_why(why, BP_ERR_SHAPE, "x %s and index %s: sizes may differ along axis %d only",
                   bpi_shape_str(x).s, bpi_shape_str(index).s, axis);
}

#endif
