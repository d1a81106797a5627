/* y = (x - mean) / sqrt(variance + eps) gain + bias, by columns of a batch: with its own mean and
 * variance, which are handed out, or with given ones, a composition. Of an x with more axes all but
 * the last are the rows of a batch. Kernels: src/cpu/batch_norm.c. */
#include <math.h>

#include "core/tensor.h"
#include "ops/rule.h"

/* gain, bias, mean and variance are [C] for an x [.., C]. */
static bp_status check(const bp_view *in, int n, double eps, char *why)
{
    static const char *const name[] = {"x", "gain", "bias", "mean", "variance"};
    const bp_shape *x = &in[0].shape;
    if (!bpi_is_real(in[0].dtype))
        return bpi_why(why, BP_ERR_DTYPE, "x is %s, not f32 or f64", bp_dtype_name(in[0].dtype));
    if (x->ndim < 2)
        return bpi_why(why, BP_ERR_SHAPE, "x %s: [N,..,C] is wanted", bpi_shape_str(x).s);
    for (int i = 1; i < n; i++) {
        const bp_shape *s = &in[i].shape;
        if (in[i].dtype != in[0].dtype)
            return bpi_why(why, BP_ERR_DTYPE, "x is %s and %s is %s: equal dtypes are wanted",
                           bp_dtype_name(in[0].dtype), name[i], bp_dtype_name(in[i].dtype));
        if (s->ndim != 1 || s->dim[0] != x->dim[x->ndim - 1])
            return bpi_why(why, BP_ERR_SHAPE, "x %s and %s %s: [N,..,C] and [C] are wanted",
                           bpi_shape_str(x).s, name[i], bpi_shape_str(s).s);
    }
    if (!(eps >= 0 && eps < INFINITY))
        return bpi_why(why, BP_ERR_ARG, "eps %g is not a number from 0 on", eps);
    return BP_OK;
}

static bp_status infer(const bp_view *in, bp_view *out, const void *params, char *why)
{
    BPI_TRY(check(in, 3, ((const bpi_batch_norm_params *)params)->eps, why));
    if (in[0].shape.dim[0] < 2)
        return bpi_why(why, BP_ERR_SHAPE, "x %s: a batch of at least 2 rows is wanted",
                       bpi_shape_str(&in[0].shape).s);
    bpi_view_packed(&out[0], in[0].dtype, in[0].shape);
    bpi_view_packed(&out[1], in[0].dtype, in[1].shape);
    bpi_view_packed(&out[2], in[0].dtype, in[1].shape);
    return BP_OK;
}

static bp_status compose(bp_context *ctx, bp_tensor *const *in, const void *params,
                         bp_tensor **out)
{
    const double n = (double)bp_shape_of(in[0]).dim[0];
    bp_tensor *y = bpi_standardized(in[0], 0, ((const bpi_batch_norm_params *)params)->eps,
                                    &out[1], &out[2]);
    out[1] = bp_reshape(out[1], bp_shape_of(in[1]));
    out[2] = bp_reshape(bp_scale(out[2], n / (n - 1)), bp_shape_of(in[1]));
    out[0] = bp_add(bp_mul(y, in[1]), in[2]);
    return out[0] && out[1] && out[2] ? BP_OK : ctx->pending;
}

static bp_status gradient(bp_grad_call *c)
{
    if (!c->dout[0])
        return BP_OK;
    bp_dtype dtype = bpi_view_of(c->dout[0])->dtype;
    for (int i = 0; i < c->n_in; i++)
        if (c->need[i] && !(c->dx[i] = bpi_fresh_packed(c->ctx, dtype, c->in_shape[i],
                                                        BPI_OWNER_SCOPE)))
            return c->ctx->pending;
    bp_tensor *in[4] = {c->dout[0], c->in[0], c->in[1], bpi_inside(c)->aux};
    return bpi_dispatch(c->ctx, BPI_OP_batch_norm, BPI_BACKWARD, in, 4, c->dx, 3, c->params,
                        sizeof(bpi_batch_norm_params));
}

const bp_op bpi_op_batch_norm = {
    .def = {.name = "batch_norm", .n_in = 3, .n_out = 3,
            .params_bytes = sizeof(bpi_batch_norm_params), .saves_in = 3, .infer = infer,
            .gradient = gradient},
    .id = BPI_OP_batch_norm,
    .compose = compose,
};

/* x [.., C] as [N, C]. */
static bp_tensor *as_rows(bp_tensor *x)
{
    const bp_shape s = bp_shape_of(x);
    int64_t rows = 1;
    for (int i = 0; i < s.ndim - 1; i++)
        rows *= s.dim[i];
    return s.ndim <= 2 ? x : bp_reshape(x, BP_SHAPE(rows, s.dim[s.ndim - 1]));
}

static const char *null_of(const void *mean, const void *variance)
{
    return !mean ? "mean" : !variance ? "variance" : NULL;
}

bp_tensor *bp_batch_norm(bp_tensor *x, bp_tensor *gain, bp_tensor *bias, double eps,
                         bp_tensor **mean, bp_tensor **variance)
{
    bp_tensor *out[BP_MAX_IO], *some = x ? x : gain ? gain : bias;
    const char *null = null_of(mean, variance);
    if (mean)
        *mean = NULL;
    if (variance)
        *variance = NULL;
    if (null && some && bpi_enter(bpi_at(some)->ctx) == BP_OK) {
        bp_context *ctx = bpi_at(some)->ctx;
        bpi_fail(ctx, BP_ERR_ARG, "batch_norm: %s is NULL", null);
        bpi_leave(ctx);
    }
    if (null)
        return NULL;
    bpi_batch_norm_params p = {eps};
    bp_tensor *rows = as_rows(x);
    if (x && !rows)
        return NULL;
    bp_tensor *y = bpi_apply(&bpi_op_batch_norm, (bp_tensor *[]){rows, gain, bias}, &p, out);
    if (y) {
        *mean = bp_detach(out[1]);
        *variance = bp_detach(out[2]);
    }
    return y && rows != x ? bp_reshape(y, bp_shape_of(x)) : y;
}

bp_tensor *bp_batch_norm_with(bp_tensor *x, bp_tensor *gain, bp_tensor *bias, bp_tensor *mean,
                              bp_tensor *variance, double eps)
{
    bp_tensor *in[] = {x, gain, bias, mean, variance}, *y = NULL;
    bp_view view[5];
    char why[160];
    bp_context *ctx = BPI_BEGIN("batch_norm_with", in, 5);
    if (!ctx)
        return NULL;
    for (int i = 0; i < 5; i++)
        view[i] = *bpi_view_of(in[i]);
    bp_status st = check(view, 5, eps, why);
    if (st != BP_OK) {
        bpi_fail(ctx, st, "batch_norm_with: %s", why);
    } else {
        bp_tensor *factor = bp_div(gain, bp_sqrt(bp_shift(variance, eps)));
        y = bp_add(bp_mul(bp_sub(x, mean), factor), bias);
    }
    bpi_leave(ctx);
    return y;
}
