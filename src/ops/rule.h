/* What every rule file includes: the inside of the library, and shape rules that several share. */
#ifndef BPI_RULE_H
#define BPI_RULE_H

#include "autograd/apply.h"
#include "autograd/walk.h"
#include "core/context.h"
#include "core/dispatch.h"
#include "core/rng.h"
#include "core/error.h"
#include "core/view.h"
#include "door/kernel_params.h"

#define BPI_OP(name) extern const bp_op bpi_op_##name;
#define BPI_VIEW(name) extern const bp_op bpi_op_##name;
#define BPI_PLAIN(name)
#include "door/ops.def"
extern const bp_op bpi_op_linear_relu; /* linear's kernels, another gradient rule */

/* For gradient rules and training code inside the library. */
bp_tensor *bpi_dropout_at(bp_tensor *x, bpi_dropout_params params);
bp_tensor *bpi_sum_to(bp_tensor *x, const bp_shape *shape); /* undoes a broadcast */
/* reduce.c: axes that go, which must be some of x's; those that stay are out's. */
bp_status bpi_infer_reduced(const bp_view *in, uint32_t axes, bp_dtype dtype, bp_view *out,
                            char *why);
bp_status bpi_not_empty(const bp_view *in, uint32_t axes, char *why);
bp_shape bpi_keep_sizes(bp_shape shape, uint32_t axes);
bp_tensor *bpi_keep_axes(bp_tensor *y, bp_tensor *x, uint32_t axes, int32_t keep);
bp_tensor *bpi_expand_back(bp_tensor *y, bp_shape shape, uint32_t axes);
uint32_t bpi_all_axes(bp_tensor *x);
bp_tensor *bpi_real(bp_tensor *x);
bp_tensor *bpi_root_slope(bp_tensor *dy, bp_tensor *x, bp_tensor *y); /* dy x / y, 0 where y is */
/* keep for a probability p of being dropped, and the next site unless nothing is drawn. */
bp_status bpi_dropout_draw(bp_context *ctx, const char *who, double p, bpi_dropout_params *out);
double bpi_dropout_scale(uint32_t keep);

/* x, less its mean unless `mean` is NULL, over sqrt(variance + eps), which are taken along an axis
 * and kept as size 1. */
bp_tensor *bpi_standardized(bp_tensor *x, int32_t axis, double eps, bp_tensor **mean,
                            bp_tensor **variance);

bp_status bpi_infer_nll(const bp_view *in, char *why);

/* y has x's shape and dtype, which must be real. */
static inline bp_status bpi_infer_like(const bp_view *in, bp_view *out, const void *params,
                                       char *why)
{
    (void)params;
    if (!bpi_is_real(in[0].dtype))
        return bpi_why(why, BP_ERR_DTYPE, "x is %s, not f32 or f64", bp_dtype_name(in[0].dtype));
    bpi_view_packed(&out[0], in[0].dtype, in[0].shape);
    return BP_OK;
}

/* Two operands that broadcast; real, or i32 where `ints`. */
static inline bp_status bpi_infer_broadcast(const bp_view *in, bp_view *out, char *why, bool ints)
{
    bp_shape shape;
    if (in[0].dtype != in[1].dtype ||
        !(bpi_is_real(in[0].dtype) || (ints && in[0].dtype == BP_I32)))
        return bpi_why(why, BP_ERR_DTYPE, "a is %s and b is %s: equal %s",
                       bp_dtype_name(in[0].dtype), bp_dtype_name(in[1].dtype),
                       ints ? "dtypes are wanted, real or i32" : "and real dtypes are wanted");
    if (!bpi_broadcast(&in[0].shape, &in[1].shape, &shape))
        return bpi_why(why, BP_ERR_SHAPE, "a %s and b %s do not broadcast",
                       bpi_shape_str(&in[0].shape).s, bpi_shape_str(&in[1].shape).s);
    bpi_view_packed(&out[0], in[0].dtype, shape);
    return BP_OK;
}

/* An axis from -1 backwards counted from 0 on; one that x does not have stays as it is. */
static inline int32_t bpi_axis_of(const bp_tensor *x, int32_t axis)
{
    const int32_t at = bpi_axis(axis, bp_shape_of(x).ndim);
    return at < 0 ? axis : at;
}

static inline bpi_grad_call *bpi_inside(bp_grad_call *c)
{
    return (bpi_grad_call *)c;
}

/* True where the result must be differentiable, so that public calls must make it. */
static inline bool bpi_creates_graph(bp_grad_call *c)
{
    return bpi_inside(c)->walk->flags & BP_CREATE_GRAPH;
}

#endif
