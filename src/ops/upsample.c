/* Larger images. Nearest: each pixel a few times, which a view says and one copy writes. Bilinear:
 * linear in x, and bilinear_spread is its transpose, each the other's gradient. Kernels:
 * src/cpu/bilinear.c. */
#include "ops/window.h"

static bp_status infer(const bp_view *in, bp_view *out, const void *params, char *why)
{
    const bpi_resize_params *p = params;
    if (!bpi_is_real(in->dtype))
        return bpi_why(why, BP_ERR_DTYPE, "x is %s, not f32 or f64", bp_dtype_name(in->dtype));
    BPI_TRY(bpi_image_check("x", &in->shape, why));
    bp_shape y = in->shape;
    for (int i = 0; i < 2; i++) {
        y.dim[1 + i] = p->size[i];
        if (p->size[i] < 1 || p->size[i] > INT32_MAX)
            return bpi_why(why, BP_ERR_ARG, "images of %lld x %lld: sizes from 1 to 2^31 - 1 are "
                           "wanted", (long long)p->size[0], (long long)p->size[1]);
    }
    bpi_view_packed(&out[0], in->dtype, y);
    return BP_OK;
}

static bp_status gradient(bp_grad_call *c)
{
    c->dx[0] = bp_bilinear_spread(c->dout[0], c->in_shape[0].dim[1], c->in_shape[0].dim[2]);
    return BP_OK;
}

static bp_status spread_gradient(bp_grad_call *c)
{
    c->dx[0] = bp_upsample_bilinear(c->dout[0], c->in_shape[0].dim[1], c->in_shape[0].dim[2]);
    return BP_OK;
}

#define RESIZE(which, gradient_rule)                                                           \
    {.def = {.name = #which, .n_in = 1, .n_out = 1, .params_bytes = sizeof(bpi_resize_params), \
             .infer = infer, .gradient = gradient_rule},                                       \
     .id = BPI_OP_##which}
const bp_op bpi_op_upsample_bilinear = RESIZE(upsample_bilinear, gradient);
const bp_op bpi_op_bilinear_spread = RESIZE(bilinear_spread, spread_gradient);

bp_tensor *bp_upsample_bilinear(bp_tensor *x, int64_t height, int64_t width)
{
    bpi_resize_params p = {{height, width}};
    return bpi_apply1(&bpi_op_upsample_bilinear, x, &p);
}

bp_tensor *bp_bilinear_spread(bp_tensor *y, int64_t height, int64_t width)
{
    bpi_resize_params p = {{height, width}};
    return bpi_apply1(&bpi_op_bilinear_spread, y, &p);
}

bp_tensor *bp_upsample_nearest(bp_tensor *x, int64_t down, int64_t across)
{
    bp_context *ctx = BPI_BEGIN("upsample_nearest", &x, 1);
    if (!ctx)
        return NULL;
    char why[160];
    bp_tensor *y = NULL;
    bp_shape s = bpi_view_of(x)->shape;
    bp_status st = bpi_image_check("x", &s, why);
    if (st == BP_OK && (down < 1 || across < 1 || down > INT32_MAX || across > INT32_MAX))
        st = bpi_why(why, BP_ERR_ARG, "%lld x %lld times: 1 to 2^31 - 1 are wanted",
                     (long long)down, (long long)across);
    if (st == BP_OK) {
        y = bp_reshape(x, BP_SHAPE(s.dim[0], s.dim[1], 1, s.dim[2], 1, s.dim[3]));
        y = bp_expand(y, BP_SHAPE(s.dim[0], s.dim[1], down, s.dim[2], across, s.dim[3]));
        y = bp_reshape(y, BP_SHAPE(s.dim[0], s.dim[1] * down, s.dim[2] * across, s.dim[3]));
    } else {
        bpi_fail(ctx, st, "upsample_nearest: %s", why);
    }
    bpi_leave(ctx);
    return y;
}
