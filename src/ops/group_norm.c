/* y = standardize(x) gain + bias over groups of channels: a composition. */
#include <math.h>

#include "ops/rule.h"

static bool fits(bp_context *ctx, bp_tensor *x, int32_t groups, bp_tensor *gain, bp_tensor *bias,
                 double eps)
{
    bp_shape s = bp_shape_of(x), g = bp_shape_of(gain), b = bp_shape_of(bias);
    const bp_dtype real = bp_dtype_of(x);
    const bp_dtype of_gain = bp_dtype_of(gain), of_bias = bp_dtype_of(bias);
    if (!bpi_is_real(real) || of_gain != real || of_bias != real)
        bpi_fail(ctx, BP_ERR_DTYPE, "group_norm: x is %s, gain is %s, bias is %s: equal and real "
                 "dtypes are wanted", bp_dtype_name(real), bp_dtype_name(of_gain),
                 bp_dtype_name(of_bias));
    else if (!(eps >= 0 && eps < INFINITY))
        bpi_fail(ctx, BP_ERR_ARG, "group_norm: eps %g is not a number from 0 on", eps);
    else if (s.ndim < 2 || g.ndim != 1 || b.ndim != 1 || g.dim[0] != s.dim[1] || b.dim[0] != s.dim[1])
        bpi_fail(ctx, BP_ERR_SHAPE, "group_norm: x %s, gain %s, bias %s: [N,C,...], [C], [C] are "
                 "wanted", bpi_shape_str(&s).s, bpi_shape_str(&g).s, bpi_shape_str(&b).s);
    else if (groups < 1 || s.dim[1] % groups)
        bpi_fail(ctx, BP_ERR_ARG, "group_norm: %d groups do not divide the %lld channels of x %s",
                 groups, (long long)s.dim[1], bpi_shape_str(&s).s);
    else if (s.dim[0] > 0 && bp_shape_count(s) == 0)
        bpi_fail(ctx, BP_ERR_SHAPE, "group_norm: x %s has nothing in its groups",
                 bpi_shape_str(&s).s);
    else
        return true;
    return false;
}

bp_tensor *bp_group_norm(bp_tensor *x, int32_t groups, bp_tensor *gain, bp_tensor *bias, double eps)
{
    bp_context *ctx = BPI_BEGIN("group_norm", ((bp_tensor *[]){x, gain, bias}), 3);
    if (!ctx)
        return NULL;
    bp_tensor *y = NULL;
    if (fits(ctx, x, groups, gain, bias, eps)) {
        bp_shape shape = bp_shape_of(x), grouped = {3, {shape.dim[0], groups, 1}};
        bp_shape channels = {shape.ndim - 1, {shape.dim[1], 1, 1, 1, 1, 1, 1}};
        grouped.dim[2] = shape.dim[1] / groups;
        for (int i = 2; i < shape.ndim; i++)
            grouped.dim[2] *= shape.dim[i];
        y = bp_reshape(bp_standardize(bp_reshape(x, grouped), 1, eps), shape);
        y = bp_add(bp_mul(y, bp_reshape(gain, channels)), bp_reshape(bias, channels));
    }
    bpi_leave(ctx);
    return y;
}
