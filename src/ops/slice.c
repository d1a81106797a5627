/* A view of every step-th element along an axis, as Python's x[begin:end:step]; dx = dy where x was
 * seen, zeros elsewhere. flip and split are made of it. No kernel. */
#include <stdlib.h>

#include "ops/slice.h"

/* An end as Python has it: from the back where negative, then cut to [least, most]. */
static int64_t clipped(int64_t at, int64_t size, int64_t least, int64_t most)
{
    at += at < 0 ? size : 0;
    return at < least ? least : at > most ? most : at;
}

static bpi_slice slice_of(const bp_shape *shape, int32_t axis, int64_t begin, int64_t end,
                          int64_t step)
{
    bpi_slice s = {.axis = bpi_axis(axis, shape->ndim), .step = step};
    if (s.axis < 0 || step == 0)
        return s;
    int back = step < 0;
    int64_t size = shape->dim[s.axis];
    s.begin = clipped(begin, size, -back, size - back);
    end = clipped(end, size, -back, size - back);
    if (back ? end < s.begin : s.begin < end)
        s.count = (end - s.begin + (back ? 1 : -1)) / step + 1;
    return s;
}

bp_view bpi_slice_view(const bp_view *v, const bpi_slice *s)
{
    bp_view seen = *v;
    int64_t *stride = &seen.stride[s->axis];
    seen.shape.dim[s->axis] = s->count;
    if (bp_shape_count(seen.shape) == 0) { /* as packed as any, so that nobody steps in it */
        bpi_view_packed(&seen, v->dtype, seen.shape);
        seen.data = NULL;
        return seen;
    }
    seen.data = (char *)v->data + s->begin * *stride * (int64_t)bp_dtype_bytes(v->dtype);
    *stride = s->count > 1 ? *stride * s->step : llabs(*stride);
    return seen;
}

static bp_status infer(const bp_view *in, bp_view *out, const void *params, char *why)
{
    const bpi_slice *s = params;
    if (s->axis < 0)
        return bpi_why(why, BP_ERR_SHAPE, "x %s has no such axis",
                       bpi_shape_str(&in[0].shape).s);
    if (s->step == 0)
        return bpi_why(why, BP_ERR_ARG, "the step is 0");
    out[0] = bpi_slice_view(&in[0], s);
    return BP_OK;
}

static bp_status gradient(bp_grad_call *c)
{
    return bpi_slice_gradient(c, c->params);
}

const bp_op bpi_op_slice = {
    .def = {.name = "slice", .n_in = 1, .n_out = 1, .params_bytes = sizeof(bpi_slice),
            .infer = infer, .gradient = gradient},
    .id = BPI_OP_slice,
    .flags = BPI_OP_IS_VIEW,
};

bp_tensor *bpi_slice_of(bp_tensor *x, const bpi_slice *s)
{
    return bpi_apply1(&bpi_op_slice, x, s);
}

bp_tensor *bp_slice(bp_tensor *x, int32_t axis, int64_t begin, int64_t end, int64_t step)
{
    bp_shape shape = bp_shape_of(x);
    bpi_slice s = slice_of(&shape, axis, begin, end, step);
    return bpi_slice_of(x, &s);
}

bp_tensor *bp_flip(bp_tensor *x, uint32_t axes)
{
    bp_context *ctx = BPI_BEGIN("flip", &x, 1);
    if (!ctx)
        return NULL;
    bp_shape shape = bpi_view_of(x)->shape;
    bp_tensor *y = bp_reshape(x, shape);
    if (axes >> shape.ndim)
        bpi_fail(ctx, BP_ERR_SHAPE, "flip: axes 0x%x of %s", (unsigned)axes,
                 bpi_shape_str(&shape).s);
    for (int i = 0; i < shape.ndim; i++)
        if (axes >> i & 1)
            y = bp_slice(y, i, INT64_MAX, INT64_MIN, -1);
    y = ctx->pending == BP_OK ? y : NULL;
    bpi_leave(ctx);
    return y;
}

/* The end of part k of `size` elements, which begins at `begin`; -1: there can be none. */
static int64_t part_end(int64_t size, int32_t n, const int64_t *sizes, int32_t k, int64_t begin)
{
    int64_t part = sizes ? sizes[k] : size / n, left = size - begin;
    bool fits = part >= 0 && part <= left && (k < n - 1 || part == left);
    return fits ? begin + part : -1;
}

static bp_status split(bp_context *ctx, bp_tensor *x, int32_t axis, int32_t n,
                       const int64_t *sizes, bp_tensor **parts)
{
    const bp_shape *shape = &bpi_view_of(x)->shape;
    int32_t at = bpi_axis(axis, shape->ndim);
    if (at < 0)
        return bpi_fail(ctx, BP_ERR_SHAPE, "split: axis %d of %s", axis, bpi_shape_str(shape).s);
    if (n < 1)
        return bpi_fail(ctx, BP_ERR_ARG, "split: %d parts; 1 or more are wanted", n);
    int64_t size = shape->dim[at];
    for (int64_t k = 0, begin = 0, end; k < n; k++, begin = end) {
        end = part_end(size, n, sizes, (int32_t)k, begin);
        if (end < 0 && !sizes)
            return bpi_fail(ctx, BP_ERR_SHAPE, "split: axis %d of %s is no multiple of %d parts",
                            at, bpi_shape_str(shape).s, n);
        if (end < 0)
            return bpi_fail(ctx, BP_ERR_SHAPE, "split: axis %d of %s: part %lld of %d has size "
                            "%lld, behind %lld; the sizes must add up to %lld", at,
                            bpi_shape_str(shape).s, (long long)k, n, (long long)sizes[k],
                            (long long)begin, (long long)size);
    }
    for (int64_t k = 0, begin = 0, end; k < n && ctx->pending == BP_OK; k++, begin = end) {
        end = part_end(size, n, sizes, (int32_t)k, begin);
        parts[k] = bpi_slice_of(x, &(bpi_slice){at, begin, 1, end - begin});
    }
    return ctx->pending;
}

bp_tensor *bp_split(bp_tensor *x, int32_t axis, int32_t n, const int64_t *sizes, bp_tensor **parts)
{
    for (int32_t k = 0; k < n && parts; k++)
        parts[k] = NULL;
    bp_context *ctx = BPI_BEGIN("split", &x, 1);
    if (!ctx)
        return NULL;
    bp_status st = bpi_given(ctx, parts, "split: parts");
    if (st == BP_OK)
        st = split(ctx, x, axis, n, sizes, parts);
    for (int32_t k = 0; k < n && parts && st != BP_OK; k++) {
        bpi_kill(parts[k]);
        parts[k] = NULL;
    }
    bpi_leave(ctx);
    return st == BP_OK ? parts[0] : NULL;
}
