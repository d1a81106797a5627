/* y = x at an index along an axis, one index an element of y; dx = add_along(dy, index). pick and
 * take are made of it and of gather. Kernel: src/cpu/take_along.c. */
#include "ops/along.h"

static bp_status infer(const bp_view *in, bp_view *out, const void *params, char *why)
{
    BPI_TRY(bpi_infer_along(in, ((const bpi_along_params *)params)->axis, why));
    bpi_view_packed(&out[0], in[0].dtype, in[1].shape);
    return BP_OK;
}

static bp_status gradient(bp_grad_call *c)
{
    int32_t axis = ((const bpi_along_params *)c->params)->axis;
    if (c->need[0])
        c->dx[0] = bp_add_along(c->dout[0], axis, c->in[1], c->in_shape[0].dim[axis]);
    return BP_OK;
}

const bp_op bpi_op_take_along = {
    .def = {.name = "take_along", .n_in = 2, .n_out = 1, .params_bytes = sizeof(bpi_along_params),
            .saves_in = 2, .infer = infer, .gradient = gradient},
    .id = BPI_OP_take_along,
};

bp_tensor *bp_take_along(bp_tensor *x, int32_t axis, bp_tensor *index)
{
    bpi_along_params p = {.axis = bpi_axis(axis, bp_shape_of(x).ndim)};
    return bpi_apply2(&bpi_op_take_along, x, index, &p);
}

bp_tensor *bp_pick(bp_tensor *x, bp_tensor *index)
{
    bp_context *ctx = BPI_BEGIN("pick", ((bp_tensor *[]){x, index}), 2);
    if (!ctx)
        return NULL;
    bp_shape shape = bpi_view_of(index)->shape, from = bpi_view_of(x)->shape;
    bp_tensor *y = NULL;
    bool fits = from.ndim > 0 && from.ndim == shape.ndim + 1;
    from.ndim -= fits;
    if (bpi_view_of(index)->dtype != BP_I32)
        bpi_fail(ctx, BP_ERR_DTYPE, "pick: the index is %s, not i32",
                 bp_dtype_name(bpi_view_of(index)->dtype));
    else if (!fits || !bpi_same_shape(&from, &shape))
        bpi_fail(ctx, BP_ERR_SHAPE, "pick: x %s and index %s: [..., C] and [...] are wanted",
                 bpi_shape_str(&bpi_view_of(x)->shape).s, bpi_shape_str(&shape).s);
    else
        y = bp_reshape(bp_take_along(x, -1, bp_unsqueeze(index, -1)), shape);
    bpi_leave(ctx);
    return y;
}

bp_tensor *bp_take(bp_tensor *x, int32_t axis, bp_tensor *index)
{
    bp_context *ctx = BPI_BEGIN("take", ((bp_tensor *[]){x, index}), 2);
    if (!ctx)
        return NULL;
    const bp_shape *from = &bpi_view_of(x)->shape, *at = &bpi_view_of(index)->shape;
    int32_t k = bpi_axis(axis, from->ndim), n = from->ndim - 1 + at->ndim;
    bp_tensor *y = NULL;
    if (bpi_view_of(index)->dtype != BP_I32)
        bpi_fail(ctx, BP_ERR_DTYPE, "take: the index is %s, not i32",
                 bp_dtype_name(bpi_view_of(index)->dtype));
    else if (k < 0 || n > BP_MAX_DIMS)
        bpi_fail(ctx, BP_ERR_SHAPE, "take: axis %d of x %s by index %s: at most %d axes", axis,
                 bpi_shape_str(from).s, bpi_shape_str(at).s, BP_MAX_DIMS);
    else {
        bp_shape shape = {.ndim = n};
        for (int i = 0; i < n; i++)
            shape.dim[i] = i < k            ? from->dim[i]
                           : i < k + at->ndim ? at->dim[i - k]
                                              : from->dim[i - at->ndim + 1];
        index = bp_reshape(index, BP_SHAPE(bp_shape_count(*at)));
        y = bp_gather(k ? bp_transpose(x, 0, k) : x, index);
        y = bp_reshape(k ? bp_transpose(y, 0, k) : y, shape);
    }
    bpi_leave(ctx);
    return y;
}
