/* x placed into a slice of y's memory, which nobody but the op has seen: what is around it is y's.
 * dx is that slice of dy; dy goes on to y, where others have been placed. So concat is a chain of
 * as many, pad is one into what is filled around it, and each is the other's, and slice's,
 * gradient. No kernel: what moves is a copy. */
#include <stdlib.h>

#include "ops/slice.h"

static bp_status infer(const bp_view *in, bp_view *out, const void *params, char *why)
{
    (void)params, (void)why;
    out[0] = in[0];
    return BP_OK;
}

static bp_status gradient(bp_grad_call *c)
{
    if (c->need[0])
        c->dx[0] = c->dout[0];
    if (c->need[1])
        c->dx[1] = bpi_slice_of(c->dout[0], c->params);
    return BP_OK;
}

const bp_op bpi_op_place = {
    .def = {.name = "place", .n_in = 2, .n_out = 1, .params_bytes = sizeof(bpi_slice),
            .infer = infer, .gradient = gradient},
    .id = BPI_OP_place,
    .flags = BPI_OP_IS_VIEW,
};

/* The slice of y = x, or += x. */
static bp_status move(bp_context *ctx, bp_tensor *y, bp_tensor *x, const bpi_slice *s, bool add)
{
    bp_view seen = bpi_slice_view(bpi_view_of(y), s);
    bp_tensor *part = bpi_handle(ctx, bpi_at(y)->storage, &seen, BPI_OWNER_LIBRARY);
    if (!part)
        return ctx->pending;
    bp_tensor *in[2] = {add ? part : x, x};
    bp_status st = bpi_dispatch(ctx, add ? BPI_OP_add : BPI_OP_copy, BPI_FORWARD, in, add ? 2 : 1,
                                &part, 1, NULL, 0);
    bpi_kill(part);
    return st;
}

/* y with x in it; y itself is no more. */
static bp_tensor *place(bp_context *ctx, bp_tensor *y, bp_tensor *x, const bpi_slice *s)
{
    bp_tensor *placed = NULL;
    if (y && move(ctx, y, x, s, false) == BP_OK)
        placed = bpi_apply2(&bpi_op_place, y, x, s);
    bpi_kill(y);
    return placed;
}

/* --- pad ------------------------------------------------------------------------------------- */

/* Fills [begin, end) of the slice's axis; runs of memory that lie behind each other are rows. */
static bp_status fill_part(bp_context *ctx, bp_tensor *y, int32_t axis, int64_t begin, int64_t end,
                           double value)
{
    const bp_view *whole = bpi_view_of(y);
    if (begin == end)
        return BP_OK;
    bp_view v = bpi_slice_view(whole, &(bpi_slice){axis, begin, 1, end - begin});
    if (v.shape.ndim != 2) {
        int64_t rows = 1, size = 1;
        for (int i = 0; i < v.shape.ndim; i++)
            *(i < axis ? &rows : &size) *= v.shape.dim[i];
        v.shape = BP_SHAPE(rows, size);
        v.stride[0] = axis > 0 ? whole->stride[axis - 1] : size;
        v.stride[1] = 1;
    }
    bp_tensor *part = bpi_handle(ctx, bpi_at(y)->storage, &v, BPI_OWNER_LIBRARY);
    bp_status st = part ? bpi_fill(ctx, part, value) : ctx->pending;
    bpi_kill(part);
    return st;
}

/* Fills y where the slice is not; between the elements of one with gaps too, which come later. */
static bp_status fill_around(bp_context *ctx, bp_tensor *y, const bpi_slice *s, double value)
{
    int64_t size = bpi_view_of(y)->shape.dim[s->axis], low = s->begin, count = s->count;
    if (count > 1 && llabs(s->step) > 1)
        count = 0;
    if (s->step < 0 && count > 1)
        low -= count - 1;
    if (count == 0)
        low = 0;
    BPI_TRY(fill_part(ctx, y, s->axis, 0, low, value));
    return fill_part(ctx, y, s->axis, low + count, size, value);
}

bp_tensor *bpi_pad(bp_tensor *x, const bp_shape *shape, const bpi_slice *s, double value)
{
    bp_context *ctx = bpi_at(x)->ctx;
    bp_tensor *y = bpi_fresh_packed(ctx, bpi_view_of(x)->dtype, *shape, BPI_OWNER_SCOPE);
    if (y && fill_around(ctx, y, s, value) == BP_OK)
        return place(ctx, y, x, s);
    bpi_kill(y);
    return NULL;
}

bp_status bpi_slice_gradient(bp_grad_call *c, const bpi_slice *s)
{
    bpi_grad_call *g = bpi_inside(c);
    int32_t add = 1;
    bp_tensor *dx = bpi_grad_waiting(g, 0);
    if (!dx)
        dx = bpi_grad_sink(g, 0, &add);
    if (!dx)
        c->dx[0] = bpi_pad(c->dout[0], &c->in_shape[0], s, 0);
    else if (add)
        return move(c->ctx, dx, c->dout[0], s, true);
    else {
        BPI_TRY(fill_around(c->ctx, dx, s, 0));
        return move(c->ctx, dx, c->dout[0], s, false);
    }
    return BP_OK;
}

static bp_tensor *pad(bp_context *ctx, bp_tensor *x, int32_t axis, int64_t before, int64_t after,
                      double value)
{
    bp_shape shape = bpi_view_of(x)->shape;
    int32_t at = bpi_axis(axis, shape.ndim);
    if (at < 0) {
        bpi_fail(ctx, BP_ERR_SHAPE, "pad: axis %d of %s", axis, bpi_shape_str(&shape).s);
        return NULL;
    }
    int64_t size = shape.dim[at], *grown = &shape.dim[at];
    bool fits = before >= 0 && after >= 0 && !__builtin_add_overflow(size, before, grown) &&
                !__builtin_add_overflow(*grown, after, grown) && bpi_shape_valid(&shape);
    if (!fits) {
        bpi_fail(ctx, BP_ERR_ARG, "pad: %lld before and %lld after %lld: 0 or more are wanted, "
                 "and a size that can be", (long long)before, (long long)after, (long long)size);
        return NULL;
    }
    if (bpi_holds(ctx, "pad", bpi_view_of(x)->dtype, value) != BP_OK)
        return NULL;
    return bpi_pad(x, &shape, &(bpi_slice){at, before, 1, size}, value);
}

bp_tensor *bp_pad(bp_tensor *x, int32_t axis, int64_t before, int64_t after, double value)
{
    bp_context *ctx = BPI_BEGIN("pad", &x, 1);
    if (!ctx)
        return NULL;
    bp_tensor *y = pad(ctx, x, axis, before, after, value);
    bpi_leave(ctx);
    return y;
}

/* --- concat ---------------------------------------------------------------------------------- */

/* Whether they fit together along `axis`, or, where it is -1, are alike; the sum of their sizes. */
static bp_status fit(bp_context *ctx, const char *who, bp_tensor *const *x, int32_t n, int32_t axis,
                     int64_t *size)
{
    const bp_view *first = bpi_view_of(x[0]);
    *size = 0;
    for (int32_t k = 0; k < n; k++) {
        const bp_view *v = bpi_view_of(x[k]);
        bp_shape want = first->shape;
        if (v->dtype != first->dtype)
            return bpi_fail(ctx, BP_ERR_DTYPE, "%s: input 0 is %s and input %d is %s", who,
                            bp_dtype_name(first->dtype), k, bp_dtype_name(v->dtype));
        if (axis >= 0 && v->shape.ndim == want.ndim)
            want.dim[axis] = v->shape.dim[axis];
        if (!bpi_same_shape(&want, &v->shape))
            return bpi_fail(ctx, BP_ERR_SHAPE, "%s: input 0 %s and input %d %s do not fit", who,
                            bpi_shape_str(&first->shape).s, k, bpi_shape_str(&v->shape).s);
        if (__builtin_add_overflow(*size, axis < 0 ? 1 : want.dim[axis], size))
            *size = INT64_MAX; /* which no shape has */
    }
    return BP_OK;
}

static bp_tensor *joined(bp_context *ctx, const char *who, bp_tensor *const *x, int32_t n,
                         bp_shape shape, int32_t axis, bool stacked)
{
    bpi_slice s = {axis, 0, 1, 1};
    if (fit(ctx, who, x, n, stacked ? -1 : axis, &shape.dim[axis]) != BP_OK)
        return NULL;
    if (!bpi_shape_valid(&shape)) {
        bpi_fail(ctx, BP_ERR_SHAPE, "%s: %d of %s are more than a tensor can hold", who, n,
                 bpi_shape_str(&bpi_view_of(x[0])->shape).s);
        return NULL;
    }
    bp_tensor *y = bpi_fresh_packed(ctx, bpi_view_of(x[0])->dtype, shape, BPI_OWNER_SCOPE);
    for (int32_t k = 0; k < n && y; k++, s.begin += s.count) {
        bp_tensor *part = x[k];
        s.count = stacked ? 1 : bpi_view_of(part)->shape.dim[axis];
        shape.dim[axis] = s.count;
        y = place(ctx, y, stacked ? bp_reshape(part, shape) : part, &s);
    }
    return y;
}

static bp_context *none(const char *sentence)
{
    bpi_tell_thread(BP_ERR_ARG, sentence);
    return NULL;
}
#define BEGIN_LIST(name, x, n)             \
    (!(x)      ? none(name ": x is NULL")      \
     : (n) < 1 ? none(name ": of no tensors") \
               : BPI_BEGIN(name, x, n))

bp_tensor *bp_concat(bp_tensor *const *x, int32_t n, int32_t axis)
{
    bp_context *ctx = BEGIN_LIST("concat", x, n);
    if (!ctx)
        return NULL;
    bp_shape shape = bpi_view_of(x[0])->shape;
    int32_t at = bpi_axis(axis, shape.ndim);
    bp_tensor *y = NULL;
    if (at < 0)
        bpi_fail(ctx, BP_ERR_SHAPE, "concat: axis %d of %s", axis, bpi_shape_str(&shape).s);
    else
        y = joined(ctx, "concat", x, n, shape, at, false);
    bpi_leave(ctx);
    return y;
}

bp_tensor *bp_stack(bp_tensor *const *x, int32_t n, int32_t axis)
{
    bp_context *ctx = BEGIN_LIST("stack", x, n);
    if (!ctx)
        return NULL;
    bp_shape shape = bpi_view_of(x[0])->shape;
    bp_tensor *y = NULL;
    if (bpi_insert_axis(ctx, "stack", &shape, &axis) == BP_OK)
        y = joined(ctx, "stack", x, n, shape, axis, true);
    bpi_leave(ctx);
    return y;
}
