/* conv2d, conv2d_input, conv2d_filter: three products of an image batch, filters and an image
 * batch, each linear in both of what it takes, and each the gradient of the other two. So none
 * needs more for second derivatives. A bias and ReLU ride on conv2d. Kernels: src/cpu/conv2d.c,
 * conv2d_input.c, conv2d_filter.c. */
#include "ops/window.h"

static const char *plural(int64_t n)
{
    return n == 1 ? "" : "s";
}

/* The shape of conv2d's y, if x [N, H, W, C] and w [O, R, S, C / groups] fit. */
static bp_status result(const bp_shape *x, const bp_shape *w, const bp_window *how, bp_shape *y,
                        char *why)
{
    BPI_TRY(bpi_image_check("x", x, why));
    bool filters = w->ndim == 4;
    for (int i = 0; i < 4 && filters; i++)
        filters = w->dim[i] >= 1 && w->dim[i] <= INT32_MAX;
    if (!filters)
        return bpi_why(why, BP_ERR_SHAPE, "x %s, w %s: filters [O,R,S,C/groups] are wanted, of "
                       "sizes from 1 to 2^31 - 1", bpi_shape_str(x).s, bpi_shape_str(w).s);
    *y = BP_SHAPE(x->dim[0], 0, 0, w->dim[0]);
    BPI_TRY(bpi_window_check(how, x, w->dim[1], w->dim[2], y, why));
    const int64_t groups = how->groups, channels = x->dim[3];
    if (channels % groups || w->dim[0] % groups)
        return bpi_why(why, BP_ERR_SHAPE, "x %s, w %s: %lld groups do not divide %lld %s%s",
                       bpi_shape_str(x).s, bpi_shape_str(w).s, (long long)groups,
                       (long long)(channels % groups ? channels : w->dim[0]),
                       channels % groups ? "channel" : "filter",
                       plural(channels % groups ? channels : w->dim[0]));
    if (w->dim[3] != channels / groups)
        return bpi_why(why, BP_ERR_SHAPE, "x %s, w %s: %lld channel%s in %lld group%s want "
                       "[%lld,R,S,%lld]", bpi_shape_str(x).s, bpi_shape_str(w).s,
                       (long long)channels, plural(channels), (long long)groups, plural(groups),
                       (long long)w->dim[0], (long long)(channels / groups));
    return BP_OK;
}

static bp_status alike(const bp_view *in, int n, const char *const *name, char *why)
{
    for (int i = 0; i < n; i++)
        if (!bpi_is_real(in[i].dtype) || in[i].dtype != in[0].dtype)
            return bpi_why(why, BP_ERR_DTYPE,
                           "%s is %s, %s is %s: equal and real dtypes are wanted", name[0],
                           bp_dtype_name(in[0].dtype), name[i ? i : 1],
                           bp_dtype_name(in[i ? i : 1].dtype));
    return BP_OK;
}

/* --- conv2d ----------------------------------------------------------------------------------- */

static bp_status infer(const bp_view *in, bp_view *out, const void *params, char *why)
{
    const bpi_conv_params *p = params;
    bp_shape y;
    BPI_TRY(alike(in, 2 + p->bias, (const char *[]){"x", "w", "b"}, why));
    BPI_TRY(result(&in[0].shape, &in[1].shape, &p->how, &y, why));
    if (p->bias && (in[2].shape.ndim != 1 || in[2].shape.dim[0] != y.dim[3]))
        return bpi_why(why, BP_ERR_SHAPE, "w %s, b %s: a bias [%lld] is wanted",
                       bpi_shape_str(&in[1].shape).s, bpi_shape_str(&in[2].shape).s,
                       (long long)y.dim[3]);
    bpi_view_packed(&out[0], in[0].dtype, y);
    return BP_OK;
}

static bp_status gradient(bp_grad_call *c)
{
    const bpi_conv_params *p = c->params;
    const int64_t *image = c->in_shape[0].dim + 1, *window = c->in_shape[1].dim + 1;
    bp_tensor *dz = p->relu ? bp_gate(c->dout[0], c->out[0]) : c->dout[0];
    if (c->need[0])
        c->dx[0] = bp_conv2d_input(dz, c->in[1], image[0], image[1], p->how);
    if (c->need[1])
        c->dx[1] = bp_conv2d_filter(dz, c->in[0], window[0], window[1], p->how);
    if (c->need[2])
        c->dx[2] = bp_sum_axes(dz, BP_AXIS(0) | BP_AXIS(1) | BP_AXIS(2), 0);
    return BP_OK;
}

#define CONV2D(op_name, inputs, outputs)                                                         \
    {.def = {.name = op_name, .n_in = inputs, .n_out = 1, .params_bytes = sizeof(bpi_conv_params), \
             .saves_in = 3, .saves_out = outputs, .infer = infer, .gradient = gradient},         \
     .id = BPI_OP_conv2d, .none = op_name ": input 0 is NULL"}
const bp_op bpi_op_conv2d = CONV2D("conv2d", 3, 0);
static const bp_op unbiased = CONV2D("conv2d_unbiased", 2, 0);
static const bp_op with_relu = CONV2D("conv2d_relu", 3, 1);

bp_tensor *bp_conv2d(bp_tensor *x, bp_tensor *w, bp_tensor *b, bp_window how)
{
    bpi_conv_params p = {.how = bpi_window_of(how, 1, 1), .bias = 1};
    return bpi_apply(&bpi_op_conv2d, (bp_tensor *[]){x, w, b}, &p, NULL);
}

bp_tensor *bp_conv2d_unbiased(bp_tensor *x, bp_tensor *w, bp_window how)
{
    bpi_conv_params p = {.how = bpi_window_of(how, 1, 1)};
    return bpi_apply2(&unbiased, x, w, &p);
}

bp_tensor *bp_conv2d_relu(bp_tensor *x, bp_tensor *w, bp_tensor *b, bp_window how)
{
    bpi_conv_params p = {.how = bpi_window_of(how, 1, 1), .bias = 1, .relu = 1};
    return bpi_apply(&with_relu, (bp_tensor *[]){x, w, b}, &p, NULL);
}

/* --- conv2d_input ----------------------------------------------------------------------------- */

static bp_status input_infer(const bp_view *in, bp_view *out, const void *params, char *why)
{
    const bpi_conv_params *p = params;
    const bp_shape *y = &in[0].shape, *w = &in[1].shape;
    BPI_TRY(alike(in, 2, (const char *[]){"y", "w"}, why));
    BPI_TRY(bpi_image_check("y", y, why));
    bp_shape want, x = BP_SHAPE(y->dim[0], p->size[0], p->size[1], 1);
    if (w->ndim == 4 && w->dim[3] <= INT32_MAX && p->how.groups > 0)
        x.dim[3] = w->dim[3] * p->how.groups;
    BPI_TRY(result(&x, w, &p->how, &want, why));
    BPI_TRY(bpi_window_made(y, &want, x.dim[1], x.dim[2], why));
    bpi_view_packed(&out[0], in[0].dtype, x);
    return BP_OK;
}

static bp_status input_gradient(bp_grad_call *c)
{
    const bpi_conv_params *p = c->params;
    const int64_t *window = c->in_shape[1].dim + 1;
    if (c->need[0])
        c->dx[0] = bp_conv2d_unbiased(c->dout[0], c->in[1], p->how);
    if (c->need[1])
        c->dx[1] = bp_conv2d_filter(c->in[0], c->dout[0], window[0], window[1], p->how);
    return BP_OK;
}

const bp_op bpi_op_conv2d_input = {
    .def = {.name = "conv2d_input", .n_in = 2, .n_out = 1, .params_bytes = sizeof(bpi_conv_params),
            .saves_in = 3, .infer = input_infer, .gradient = input_gradient},
    .id = BPI_OP_conv2d_input,
};

bp_tensor *bp_conv2d_input(bp_tensor *y, bp_tensor *w, int64_t height, int64_t width, bp_window how)
{
    bpi_conv_params p = {.how = bpi_window_of(how, 1, 1), .size = {height, width}};
    return bpi_apply2(&bpi_op_conv2d_input, y, w, &p);
}

/* --- conv2d_filter ---------------------------------------------------------------------------- */

static bp_status filter_infer(const bp_view *in, bp_view *out, const void *params, char *why)
{
    const bpi_conv_params *p = params;
    const bp_shape *y = &in[0].shape, *x = &in[1].shape;
    BPI_TRY(alike(in, 2, (const char *[]){"y", "x"}, why));
    BPI_TRY(bpi_image_check("y", y, why));
    BPI_TRY(bpi_image_check("x", x, why));
    bp_shape want, w = BP_SHAPE(y->dim[3], p->size[0], p->size[1], x->dim[3]);
    if (p->how.groups > 0 && x->dim[3] >= p->how.groups)
        w.dim[3] /= p->how.groups;
    BPI_TRY(result(x, &w, &p->how, &want, why));
    BPI_TRY(bpi_window_made(y, &want, x->dim[1], x->dim[2], why));
    bpi_view_packed(&out[0], in[0].dtype, w);
    return BP_OK;
}

static bp_status filter_gradient(bp_grad_call *c)
{
    const bpi_conv_params *p = c->params;
    const int64_t *image = c->in_shape[1].dim + 1;
    if (c->need[0])
        c->dx[0] = bp_conv2d_unbiased(c->in[1], c->dout[0], p->how);
    if (c->need[1])
        c->dx[1] = bp_conv2d_input(c->in[0], c->dout[0], image[0], image[1], p->how);
    return BP_OK;
}

const bp_op bpi_op_conv2d_filter = {
    .def = {.name = "conv2d_filter", .n_in = 2, .n_out = 1, .params_bytes = sizeof(bpi_conv_params),
            .saves_in = 3, .infer = filter_infer, .gradient = filter_gradient},
    .id = BPI_OP_conv2d_filter,
};

bp_tensor *bp_conv2d_filter(bp_tensor *y, bp_tensor *x, int64_t height, int64_t width,
                            bp_window how)
{
    bpi_conv_params p = {.how = bpi_window_of(how, 1, 1), .size = {height, width}};
    return bpi_apply2(&bpi_op_conv2d_filter, y, x, &p);
}
