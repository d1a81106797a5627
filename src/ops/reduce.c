/* The reductions of src/door/reduce.def over a set of axes, and what is made of them. Kernels:
 * src/cpu/reduce.c. */
#include <math.h>

#include "ops/rule.h"

bp_status bpi_infer_reduced(const bp_view *in, uint32_t axes, bp_dtype dtype, bp_view *out,
                            char *why)
{
    if (!bpi_is_real(in[0].dtype))
        return bpi_why(why, BP_ERR_DTYPE, "x is %s, not f32 or f64", bp_dtype_name(in[0].dtype));
    if (axes >> in[0].shape.ndim)
        return bpi_why(why, BP_ERR_SHAPE, "axes 0x%x of %s", (unsigned)axes,
                       bpi_shape_str(&in[0].shape).s);
    bp_shape kept = {0};
    for (int i = 0; i < in[0].shape.ndim; i++)
        if (!(axes >> i & 1))
            kept.dim[kept.ndim++] = in[0].shape.dim[i];
    bpi_view_packed(&out[0], dtype, kept);
    return BP_OK;
}

bp_status bpi_not_empty(const bp_view *in, uint32_t axes, char *why)
{
    for (int i = 0; i < in[0].shape.ndim; i++)
        if (axes >> i & 1 && in[0].shape.dim[i] == 0)
            return bpi_why(why, BP_ERR_SHAPE, "x %s has nothing along axis %d",
                           bpi_shape_str(&in[0].shape).s, i);
    return BP_OK;
}

bp_shape bpi_keep_sizes(bp_shape shape, uint32_t axes)
{
    for (int i = 0; i < shape.ndim && i < BP_MAX_DIMS; i++)
        if (axes >> i & 1)
            shape.dim[i] = 1;
    return shape;
}

bp_tensor *bpi_expand_back(bp_tensor *y, bp_shape shape, uint32_t axes)
{
    return bp_expand(bp_reshape(y, bpi_keep_sizes(shape, axes)), shape);
}

uint32_t bpi_all_axes(bp_tensor *x)
{
    return (1u << bp_shape_of(x).ndim) - 1;
}

bp_tensor *bpi_keep_axes(bp_tensor *y, bp_tensor *x, uint32_t axes, int32_t keep)
{
    return y && keep ? bp_reshape(y, bpi_keep_sizes(bp_shape_of(x), axes)) : y;
}

/* Integers are taken as f64, and the result is i32 again. */
bp_tensor *bpi_real(bp_tensor *x)
{
    const bool ints = bp_dtype_of(x) == BP_I32 || bp_dtype_of(x) == BP_U8;
    return ints ? bp_cast(x, BP_F64) : x;
}

/* --- the gradient of the largest and the least ----------------------------------------------- */

/* a and m broadcast to x, of one dtype: the callers are below. */
static bp_status infer_where_equal(const bp_view *in, bp_view *out, const void *params, char *why)
{
    (void)params, (void)why;
    bpi_view_packed(&out[0], in[1].dtype, in[1].shape);
    return BP_OK;
}

static bp_status where_equal_gradient(bp_grad_call *c)
{
    if (c->need[0]) {
        bp_tensor *in[3] = {c->dout[0], c->in[1], c->in[2]};
        c->dx[0] = bpi_sum_to(bpi_apply(&bpi_op_where_equal, in, NULL, NULL), &c->in_shape[0]);
    }
    return BP_OK;
}

/* y = a where x = m, m where that is NaN, else 0; da = the same of dy; x and m have none, which is
 * what they have almost everywhere. Kernel: src/cpu/where_equal.c. */
const bp_op bpi_op_where_equal = {
    .def = {.name = "where_equal", .n_in = 3, .n_out = 1, .saves_in = 6,
            .infer = infer_where_equal, .gradient = where_equal_gradient},
    .id = BPI_OP_where_equal,
};

/* 1 where x = m, in the shape of x. */
static bp_tensor *where_equal_one(bp_grad_call *c, bp_tensor *x, bp_tensor *m)
{
    bp_tensor *one = c->ctx->one[bpi_view_of(c->dout[0])->dtype == BP_F64];
    bp_tensor *in[3] = {one, x, m};
    return bpi_apply(&bpi_op_where_equal, in, NULL, NULL);
}

/* dy in equal parts for those of x that equal y. */
static bp_tensor *share(bp_grad_call *c, uint32_t axes)
{
    const bp_shape shape = bpi_keep_sizes(c->in_shape[0], axes);
    bp_tensor *x = c->in[0], *m = bp_detach(bp_reshape(c->out[0], shape));
    bp_tensor *equal = where_equal_one(c, x, m);
    bp_tensor *part = bp_div(bp_reshape(c->dout[0], shape), bp_sum_axes(equal, axes, 1));
    return bpi_apply(&bpi_op_where_equal, (bp_tensor *[]){part, x, m}, NULL, NULL);
}

/* x / y first, as dy / y overflows where y is subnormal. A y of 0 is taken as infinite, so that
 * there is no slope there, nor a further one. */
bp_tensor *bpi_root_slope(bp_tensor *dy, bp_tensor *x, bp_tensor *y)
{
    return bp_mul(bp_div(x, bp_where(y, y, bp_full_like(y, INFINITY))), dy);
}

/* --- the list -------------------------------------------------------------------------------- */

enum { X = 1, Y = 2 }; /* what a gradient reads */

typedef struct reduce_params {
    uint32_t axes; /* first, as in bpi_sum_params */
    int32_t to_int, some;
} reduce_params;

static bp_status infer(const bp_view *in, bp_view *out, const void *params, char *why)
{
    const reduce_params *p = params;
    BPI_TRY(bpi_infer_reduced(in, p->axes, p->to_int ? BP_I32 : in[0].dtype, out, why));
    return p->some ? bpi_not_empty(in, p->axes, why) : BP_OK;
}

static bp_tensor *reduce(const bp_op *op, bp_tensor *x, uint32_t axes, int32_t keep)
{
    const bool some = op->id == BPI_OP_max || op->id == BPI_OP_min, counts = !op->def.gradient;
    bp_tensor *real = some || counts || op->id == BPI_OP_sum ? bpi_real(x) : x;
    const reduce_params p = {axes, real != x || counts, some};
    return bpi_keep_axes(bpi_apply1(op, real, &p), x, axes, keep);
}

static bp_tensor *dy_of(bp_grad_call *c, uint32_t axes)
{
    return bpi_expand_back(c->dout[0], c->in_shape[0], axes);
}

#define BPI_RULE(op, saves, slope)                                                             \
    const bp_op bpi_op_##op = {                                                                \
        .def = {.name = #op, .n_in = 1, .n_out = 1, .params_bytes = sizeof(reduce_params),     \
                .saves_in = (saves) & X, .saves_out = (saves) >> 1, .infer = infer,            \
                .gradient = slope},                                                            \
        .id = BPI_OP_##op,                                                                     \
    };                                                                                         \
    bp_tensor *bp_##op##_axes(bp_tensor *x, uint32_t axes, int32_t keep)                       \
    {                                                                                          \
        return reduce(&bpi_op_##op, x, axes, keep);                                            \
    }                                                                                          \
    bp_tensor *bp_##op(bp_tensor *x)                                                           \
    {                                                                                          \
        return reduce(&bpi_op_##op, x, bpi_all_axes(x), 0);                                    \
    }
#define BPI_REDUCE_COUNT(name, what, result) BPI_RULE(name, 0, NULL)
#define BPI_REDUCE(name, type, saves, start, step, join, result, ...)                          \
    static bp_status name##_gradient(bp_grad_call *c)                                          \
    {                                                                                          \
        const uint32_t axes = ((const reduce_params *)c->params)->axes;                        \
        bp_tensor *dx;                                                                         \
        __VA_ARGS__;                                                                           \
        c->dx[0] = dx;                                                                         \
        return BP_OK;                                                                          \
    }                                                                                          \
    BPI_RULE(name, saves, name##_gradient)
#include "door/reduce.def"

/* --- what is made of them -------------------------------------------------------------------- */

/* Begins one: x has the axes, and fits as a reduction that needs `some` has it. */
static bp_context *begin(const char *who, const char *none, bp_tensor *x, uint32_t axes, bool some,
                         bool ints)
{
    bp_context *ctx = bpi_begin(NULL, who, none, &x, 1);
    if (!ctx)
        return NULL;
    const reduce_params p = {axes, 0, some};
    bp_view seen = *bpi_view_of(x), out;
    if (ints && !bpi_is_real(seen.dtype))
        seen.dtype = BP_F64;
    char why[160];
    bp_status st = infer(&seen, &out, &p, why);
    if (st == BP_OK)
        return ctx;
    bpi_fail(ctx, st, "%s: %s", who, why);
    bpi_leave(ctx);
    return NULL;
}
#define BEGIN(name, some, ints) begin(name, name ": input 0 is NULL", x, axes, some, ints)

bp_tensor *bp_mean_axes(bp_tensor *x, uint32_t axes, int32_t keep)
{
    bp_context *ctx = BEGIN("mean", false, true);
    if (!ctx)
        return NULL;
    const bp_shape shape = bpi_view_of(x)->shape;
    double n = 1;
    for (int i = 0; i < shape.ndim; i++)
        n *= axes >> i & 1 ? (double)shape.dim[i] : 1;
    bp_tensor *sum = bp_sum_axes(bpi_real(x), axes, keep);
    bp_tensor *y = bp_div(sum, bp_full_like(sum, n)); /* not times 1 / n: the mean of ones is 1 */
    bpi_leave(ctx);
    return y;
}

bp_tensor *bp_mean(bp_tensor *x)
{
    return bp_mean_axes(x, bpi_all_axes(x), 0);
}

bp_tensor *bp_norm_max_axes(bp_tensor *x, uint32_t axes, int32_t keep)
{
    bp_context *ctx = BEGIN("norm_max", true, false);
    if (!ctx)
        return NULL;
    bp_tensor *y = bp_max_axes(bp_abs(x), axes, keep);
    bpi_leave(ctx);
    return y;
}

bp_tensor *bp_norm_max(bp_tensor *x)
{
    return bp_norm_max_axes(x, bpi_all_axes(x), 0);
}

bp_tensor *bpi_sum_to(bp_tensor *x, const bp_shape *shape)
{
    if (!x || bpi_same_shape(&bpi_view_of(x)->shape, shape))
        return x;
    int extra = bpi_view_of(x)->shape.ndim - shape->ndim;
    uint32_t axes = 0;
    for (int i = 0; i < bpi_view_of(x)->shape.ndim; i++)
        if (i < extra || (shape->dim[i - extra] == 1 && bpi_view_of(x)->shape.dim[i] != 1))
            axes |= 1u << i;
    return bp_reshape(bp_sum_axes(x, axes, 0), *shape);
}
