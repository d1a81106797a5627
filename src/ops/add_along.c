/* y[index] += x along an axis, one index an element of x, in their order; dx = take_along(dy,
 * index). one_hot is made of it. Kernel: src/cpu/add_along.c. */
#include "ops/along.h"
#include "ops/slice.h"

static bp_status infer(const bp_view *in, bp_view *out, const void *params, char *why)
{
    const bpi_along_params *p = params;
    if (!bpi_is_real(in[0].dtype))
        return bpi_why(why, BP_ERR_DTYPE, "x is %s, not f32 or f64", bp_dtype_name(in[0].dtype));
    BPI_TRY(bpi_infer_along(in, p->axis, why));
    if (!bpi_same_shape(&in[0].shape, &in[1].shape) || p->size < 0)
        return bpi_why(why, BP_ERR_SHAPE, "x %s, index %s, size %lld: equal shapes and a size of 0 "
                       "or more are wanted", bpi_shape_str(&in[0].shape).s,
                       bpi_shape_str(&in[1].shape).s, (long long)p->size);
    bp_shape shape = in[0].shape;
    shape.dim[p->axis] = p->size;
    bpi_view_packed(&out[0], in[0].dtype, shape);
    return BP_OK;
}

static bp_status gradient(bp_grad_call *c)
{
    if (c->need[0])
        c->dx[0] = bp_take_along(c->dout[0], ((const bpi_along_params *)c->params)->axis, c->in[1]);
    return BP_OK;
}

const bp_op bpi_op_add_along = {
    .def = {.name = "add_along", .n_in = 2, .n_out = 1, .params_bytes = sizeof(bpi_along_params),
            .saves_in = 2, .infer = infer, .gradient = gradient},
    .id = BPI_OP_add_along,
};

bp_tensor *bp_add_along(bp_tensor *x, int32_t axis, bp_tensor *index, int64_t size)
{
    bpi_along_params p = {bpi_axis(axis, bp_shape_of(x).ndim), size};
    return bpi_apply2(&bpi_op_add_along, x, index, &p);
}

bp_tensor *bp_one_hot(bp_tensor *index, int64_t classes, bp_dtype dtype)
{
    bp_context *ctx = BPI_BEGIN("one_hot", &index, 1);
    if (!ctx)
        return NULL;
    bp_shape shape = bpi_view_of(index)->shape, whole;
    int32_t axis = -1;
    bp_tensor *y = NULL;
    if (bpi_view_of(index)->dtype != BP_I32 || !bpi_is_real(dtype))
        bpi_fail(ctx, BP_ERR_DTYPE, "one_hot: index %s to %s: i32 and a real dtype are wanted",
                 bp_dtype_name(bpi_view_of(index)->dtype), bp_dtype_name(dtype));
    else if (bpi_insert_axis(ctx, "one_hot", &shape, &axis) == BP_OK) {
        whole = shape;
        whole.dim[axis] = classes;
        if (!bpi_shape_valid(&whole))
            bpi_fail(ctx, BP_ERR_SHAPE, "one_hot: index %s of %lld classes: 0 or more are wanted, "
                     "and a size that can be", bpi_shape_str(&bpi_view_of(index)->shape).s,
                     (long long)classes);
        else
            y = bp_add_along(bp_full(ctx, dtype, shape, 1), axis, bp_reshape(index, shape),
                             classes);
    }
    bpi_leave(ctx);
    return y;
}
