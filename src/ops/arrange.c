/* Ops that put elements in another order or repeat them, made of views, copies and concat:
 * their gradients are those of what they are made of. */
#include "ops/slice.h"

bp_tensor *bp_permute(bp_tensor *x, bp_shape order)
{
    bp_context *ctx = BPI_BEGIN("permute", &x, 1);
    if (!ctx)
        return NULL;
    const bp_shape *shape = &bpi_view_of(x)->shape;
    uint32_t seen = 0;
    for (int i = 0; i < order.ndim && i < BP_MAX_DIMS; i++) {
        const int32_t at = bpi_axis((int32_t)order.dim[i], shape->ndim);
        if (at >= 0 && order.dim[i] >= -BP_MAX_DIMS && order.dim[i] < BP_MAX_DIMS) {
            order.dim[i] = at;
            seen |= 1u << at;
        }
    }
    bp_tensor *y = NULL;
    if (order.ndim != shape->ndim || seen != (1u << shape->ndim) - 1)
        bpi_fail(ctx, BP_ERR_SHAPE, "permute: %s of x %s: each of its axes is wanted once",
                 bpi_shape_str(&order).s, bpi_shape_str(shape).s);
    else
        y = bp_reshape(x, *shape);
    for (int i = 0; i < order.ndim && y; i++) {
        int at = (int)order.dim[i]; /* where swaps have brought this axis by now */
        while (at < i)
            at = (int)order.dim[at];
        y = at == i ? y : bp_transpose(y, i, at);
    }
    bpi_leave(ctx);
    return y;
}

bp_status bpi_insert_axis(bp_context *ctx, const char *who, bp_shape *shape, int32_t *axis)
{
    int32_t n = shape->ndim, at = bpi_axis(*axis, n + 1);
    if (n == BP_MAX_DIMS)
        return bpi_fail(ctx, BP_ERR_SHAPE, "%s: a new axis of %s: at most %d axes", who,
                        bpi_shape_str(shape).s, BP_MAX_DIMS);
    if (at < 0)
        return bpi_fail(ctx, BP_ERR_SHAPE, "%s: a new axis %d of %s: %d to %d is wanted", who,
                        *axis, bpi_shape_str(shape).s, -n - 1, n);
    for (int i = shape->ndim++; i > at; i--)
        shape->dim[i] = shape->dim[i - 1];
    shape->dim[at] = 1;
    *axis = at;
    return BP_OK;
}

bp_tensor *bp_unsqueeze(bp_tensor *x, int32_t axis)
{
    bp_context *ctx = BPI_BEGIN("unsqueeze", &x, 1);
    if (!ctx)
        return NULL;
    bp_shape shape = bpi_view_of(x)->shape;
    bp_tensor *y = NULL;
    if (bpi_insert_axis(ctx, "unsqueeze", &shape, &axis) == BP_OK)
        y = bp_reshape(x, shape);
    bpi_leave(ctx);
    return y;
}

bp_tensor *bp_squeeze(bp_tensor *x, uint32_t axes)
{
    bp_context *ctx = BPI_BEGIN("squeeze", &x, 1);
    if (!ctx)
        return NULL;
    const bp_shape *from = &bpi_view_of(x)->shape;
    bp_shape shape = {0};
    bool fits = !(axes >> from->ndim);
    for (int i = 0; i < from->ndim; i++) {
        if (!(axes >> i & 1))
            shape.dim[shape.ndim++] = from->dim[i];
        else
            fits &= from->dim[i] == 1;
    }
    bp_tensor *y = NULL;
    if (!fits)
        bpi_fail(ctx, BP_ERR_SHAPE, "squeeze: axes 0x%x of %s: axes of size 1 are wanted",
                 (unsigned)axes, bpi_shape_str(from).s);
    else
        y = bp_reshape(x, shape);
    bpi_leave(ctx);
    return y;
}

/* --- repeated -------------------------------------------------------------------------------- */

/* An axis several times, whole or each element: perhaps a view. Its shape was looked at. */
static bp_tensor *repeated(bp_tensor *x, int32_t axis, int64_t times, bool whole)
{
    bp_shape shape = bp_shape_of(x);
    int64_t outer = 1, size = shape.dim[axis], inner = 1;
    for (int i = 0; i < shape.ndim; i++)
        if (i != axis)
            *(i < axis ? &outer : &inner) *= shape.dim[i];
    bp_shape once = whole ? BP_SHAPE(outer, 1, size, inner) : BP_SHAPE(outer, size, 1, inner);
    bp_shape often = once;
    often.dim[whole ? 1 : 2] = times;
    shape.dim[axis] *= times;
    if (size == 0) /* of any number of times, which no view in between may have */
        return x;
    return bp_reshape(bp_expand(bp_reshape(x, once), often), shape);
}

/* y in memory of its own, where it still looks at x. */
static bp_tensor *apart(bp_tensor *y, bp_tensor *x)
{
    return y && bpi_at(y)->storage == bpi_at(x)->storage ? bp_cast(y, bp_dtype_of(y)) : y;
}

/* Whether x can be so large. */
static bp_status grows(bp_context *ctx, const char *who, bp_tensor *x, const bp_shape *times)
{
    const bp_shape *from = &bpi_view_of(x)->shape;
    bp_shape shape = *from;
    bool fits = times->ndim == from->ndim;
    for (int i = 0; i < shape.ndim && fits; i++)
        fits = times->dim[i] >= 0 &&
               !__builtin_mul_overflow(shape.dim[i], times->dim[i], &shape.dim[i]);
    if (fits && bpi_shape_valid(&shape))
        return BP_OK;
    return bpi_fail(ctx, BP_ERR_SHAPE, "%s: %s times x %s: a count of 0 or more is wanted for each "
                    "axis, and a size that can be", who, bpi_shape_str(times).s,
                    bpi_shape_str(from).s);
}

bp_tensor *bp_tile(bp_tensor *x, bp_shape times)
{
    bp_context *ctx = BPI_BEGIN("tile", &x, 1);
    if (!ctx)
        return NULL;
    bp_tensor *y = grows(ctx, "tile", x, &times) == BP_OK ? x : NULL;
    for (int i = 0; i < times.ndim && y; i++)
        if (times.dim[i] != 1)
            y = repeated(y, i, times.dim[i], true);
    y = apart(y, x);
    bpi_leave(ctx);
    return y;
}

bp_tensor *bp_repeat(bp_tensor *x, int32_t axis, int64_t times)
{
    bp_context *ctx = BPI_BEGIN("repeat", &x, 1);
    if (!ctx)
        return NULL;
    const bp_shape *shape = &bpi_view_of(x)->shape;
    int32_t at = bpi_axis(axis, shape->ndim);
    bp_shape each = {.ndim = shape->ndim, .dim = {1, 1, 1, 1, 1, 1, 1, 1}};
    bp_tensor *y = NULL;
    if (at < 0)
        bpi_fail(ctx, BP_ERR_SHAPE, "repeat: axis %d of %s", axis, bpi_shape_str(shape).s);
    else {
        each.dim[at] = times;
        if (grows(ctx, "repeat", x, &each) == BP_OK)
            y = apart(repeated(x, at, times, false), x);
    }
    bpi_leave(ctx);
    return y;
}

/* --- concat of parts of x -------------------------------------------------------------------- */

bp_tensor *bp_roll(bp_tensor *x, int32_t axis, int64_t shift)
{
    bp_context *ctx = BPI_BEGIN("roll", &x, 1);
    if (!ctx)
        return NULL;
    const bp_shape *shape = &bpi_view_of(x)->shape;
    int32_t at = bpi_axis(axis, shape->ndim);
    bp_tensor *y = NULL;
    if (at < 0)
        bpi_fail(ctx, BP_ERR_SHAPE, "roll: axis %d of %s", axis, bpi_shape_str(shape).s);
    else {
        int64_t size = shape->dim[at], by = size ? (shift % size + size) % size : 0;
        bp_tensor *part[2] = {bp_slice(x, at, size - by, size, 1),
                              bp_slice(x, at, 0, size - by, 1)};
        y = bp_concat(part, 2, at);
    }
    bpi_leave(ctx);
    return y;
}

/* x between two others along `axis`, which is from 0 on. */
static bp_tensor *between(bp_tensor *before, bp_tensor *x, bp_tensor *after, int32_t axis)
{
    bp_tensor *part[3] = {before, x, after};
    return bp_concat(part, 3, axis);
}

/* The axis, if it can be continued so far on both sides; else -1, with the error. */
static int32_t continued(bp_context *ctx, const char *who, const bp_shape *shape, int32_t axis,
                         int64_t before, int64_t after, bool mirrors)
{
    int32_t at = bpi_axis(axis, shape->ndim);
    int64_t size = at < 0 ? 0 : shape->dim[at], most = mirrors ? size - 1 : INT64_MAX / 4;
    if (at >= 0 && size > 0 && before >= 0 && after >= 0 && before <= most && after <= most)
        return at;
    bpi_fail(ctx, BP_ERR_SHAPE, "%s: %lld before and %lld after axis %d of %s: 0 or more%s", who,
             (long long)before, (long long)after, axis, bpi_shape_str(shape).s,
             mirrors ? ", below its size" : ", and of an axis that is not empty");
    return -1;
}

bp_tensor *bp_pad_edge(bp_tensor *x, int32_t axis, int64_t before, int64_t after)
{
    bp_context *ctx = BPI_BEGIN("pad_edge", &x, 1);
    if (!ctx)
        return NULL;
    bp_shape first = bpi_view_of(x)->shape, last = first;
    int32_t at = continued(ctx, "pad_edge", &first, axis, before, after, false);
    bp_tensor *y = NULL;
    if (at >= 0) {
        first.dim[at] = before;
        last.dim[at] = after;
        y = between(bp_expand(bp_slice(x, at, 0, 1, 1), first), x,
                    bp_expand(bp_slice(x, at, -1, INT64_MAX, 1), last), at);
    }
    bpi_leave(ctx);
    return y;
}

bp_tensor *bp_pad_reflect(bp_tensor *x, int32_t axis, int64_t before, int64_t after)
{
    bp_context *ctx = BPI_BEGIN("pad_reflect", &x, 1);
    if (!ctx)
        return NULL;
    const bp_shape *shape = &bpi_view_of(x)->shape;
    int32_t at = continued(ctx, "pad_reflect", shape, axis, before, after, true);
    bp_tensor *y = NULL;
    if (at >= 0) {
        int64_t last = shape->dim[at] - 1;
        bpi_slice left = {at, before, -1, before}, right = {at, last - 1, -1, after};
        y = between(bpi_slice_of(x, &left), x, bpi_slice_of(x, &right), at);
    }
    bpi_leave(ctx);
    return y;
}
