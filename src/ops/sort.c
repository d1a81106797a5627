/* The first k of each row in order, and their places; dx is dy back at these places, which the
 * third output counts through all rows. Kernel: src/cpu/sort.c. */
#include "ops/rule.h"

static bp_status infer(const bp_view *in, bp_view *out, const void *params, char *why)
{
    const bpi_sort_params *p = params;
    const int last = in[0].shape.ndim - 1;
    if (p->no_axis)
        return bpi_why(why, BP_ERR_SHAPE, "no such axis of %s", bpi_shape_str(&in[0].shape).s);
    if (!bpi_is_real(in[0].dtype))
        return bpi_why(why, BP_ERR_DTYPE, "x is %s, not f32 or f64", bp_dtype_name(in[0].dtype));
    if (bp_shape_count(in[0].shape) > INT32_MAX)
        return bpi_why(why, BP_ERR_SHAPE, "x %s: at most 2^31 - 1 elements are wanted",
                       bpi_shape_str(&in[0].shape).s);
    if (p->k < 0 || p->k > in[0].shape.dim[last])
        return bpi_why(why, BP_ERR_SHAPE, "x %s: the first %lld of %lld",
                       bpi_shape_str(&in[0].shape).s, (long long)p->k,
                       (long long)in[0].shape.dim[last]);
    bp_shape shape = in[0].shape;
    shape.dim[last] = p->k;
    bpi_view_packed(&out[0], in[0].dtype, shape);
    bpi_view_packed(&out[1], BP_I32, shape);
    bpi_view_packed(&out[2], BP_I32, BP_SHAPE(bp_shape_count(shape)));
    return BP_OK;
}

static bp_status gradient(bp_grad_call *c)
{
    const int64_t n = bp_shape_count(c->in_shape[0]);
    if (c->dout[0]) {
        bp_tensor *dy = bp_reshape(c->dout[0], bp_shape_of(c->out[2]));
        c->dx[0] = bp_reshape(bp_scatter_rows(dy, c->out[2], n), c->in_shape[0]);
    }
    return BP_OK;
}

#define RULE(op_name) \
    {.def = {.name = op_name, .n_in = 1, .n_out = 3, .params_bytes = sizeof(bpi_sort_params), \
             .saves_out = 4, .infer = infer, .gradient = gradient},                           \
     .id = BPI_OP_sort, .none = op_name ": input 0 is NULL"}
const bp_op bpi_op_sort = RULE("sort");
static const bp_op top_k = RULE("top_k");

static bp_tensor *sorted(const bp_op *op, bp_tensor *x, int32_t axis, bpi_sort_params p,
                         bp_tensor **index)
{
    const int32_t last = bp_shape_of(x).ndim - 1;
    bp_tensor *out[BP_MAX_IO] = {NULL};
    axis = bpi_axis_of(x, axis);
    p.no_axis = axis < 0 || axis > last;
    const bool swap = axis != last && !p.no_axis;
    if (index)
        *index = NULL;
    bp_tensor *seen = swap ? bp_transpose(x, axis, last) : x;
    bp_tensor *y = bpi_apply(op, &seen, &p, out);
    if (y && index)
        *index = swap ? bp_transpose(bp_detach(out[1]), axis, last) : bp_detach(out[1]);
    return y && swap ? bp_transpose(y, axis, last) : y;
}

bp_tensor *bp_sort(bp_tensor *x, int32_t axis, int32_t descending, bp_tensor **index)
{
    const bp_shape shape = bp_shape_of(x);
    axis = bpi_axis_of(x, axis);
    const int64_t n = axis >= 0 && axis < shape.ndim ? shape.dim[axis] : 0;
    return sorted(&bpi_op_sort, x, axis, (bpi_sort_params){n, descending != 0, 0}, index);
}

bp_tensor *bp_top_k(bp_tensor *x, int64_t k, int32_t axis, int32_t least, bp_tensor **index)
{
    return sorted(&top_k, x, axis, (bpi_sort_params){k, least == 0, 0}, index);
}
