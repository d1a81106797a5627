/* Pools. A maximum is a choice, of which its places tell: max_pick takes what is at them,
 * max_spread puts it back, and each is the gradient of the other. So it is with a mean: avg_pool
 * and avg_spread. Over whole images they are reductions. Kernels: src/cpu/pooling.c. */
#include "ops/window.h"

/* Whether a window of a pool lies in padding alone; `before` is that at the top, or the left. */
static bool is_bare(int64_t image, int64_t window, int64_t stride, int64_t dilation, int64_t before,
                    int64_t places)
{
    for (int64_t first = -before, i = 0; first < 0 && i < places; first += stride, i++) {
        const int64_t taps = (dilation - 1 - first) / dilation; /* in the padding before */
        if (taps >= window || first + taps * dilation >= image)
            return true;
    }
    return (places - 1) * stride - before >= image;
}

/* The shape of y, if such windows fit x. */
static bp_status pooled(const bp_shape *x, const bpi_pool_params *p, bool places, bp_shape *y,
                        char *why)
{
    BPI_TRY(bpi_image_check("x", x, why));
    *y = *x;
    BPI_TRY(bpi_window_check(&p->how, x, p->window[0], p->window[1], y, why));
    if (p->how.groups != 1)
        return bpi_why(why, BP_ERR_ARG, "%d groups: a pool has none", p->how.groups);
    if (places && p->window[0] * p->window[1] > 256)
        return bpi_why(why, BP_ERR_SHAPE, "a window of %lld x %lld: at most 256 pixels are wanted",
                       (long long)p->window[0], (long long)p->window[1]);
    for (int i = 0; i < 2; i++)
        if (is_bare(x->dim[1 + i], p->window[i], p->how.stride[i], p->how.dilation[i],
                    p->how.pad[i], y->dim[1 + i]))
            return bpi_why(why, BP_ERR_SHAPE, "x %s: padding %d and %d %s leaves a window of %lld "
                           "without a pixel", bpi_shape_str(x).s, p->how.pad[i],
                           p->how.pad[2 + i], i ? "across" : "down", (long long)p->window[i]);
    return BP_OK;
}

static bp_status real(const char *what, const bp_view *v, char *why)
{
    if (bpi_is_real(v->dtype))
        return BP_OK;
    return bpi_why(why, BP_ERR_DTYPE, "%s is %s, not f32 or f64", what, bp_dtype_name(v->dtype));
}

static bp_status places_fit(const bp_view *places, const bp_shape *y, char *why)
{
    if (places->dtype == BP_U8 && bpi_same_shape(&places->shape, y))
        return BP_OK;
    return bpi_why(why, places->dtype == BP_U8 ? BP_ERR_SHAPE : BP_ERR_DTYPE,
                   "places are %s %s: u8 %s is wanted", bp_dtype_name(places->dtype),
                   bpi_shape_str(&places->shape).s, bpi_shape_str(y).s);
}

static bpi_pool_params params_of(bp_window how, int64_t height, int64_t width, int64_t rows,
                                 int64_t columns)
{
    return (bpi_pool_params){.how = bpi_window_of(how, height, width), .window = {height, width},
                             .size = {rows, columns}};
}

static bp_status pool_infer(const bp_view *in, bp_view *out, const bpi_pool_params *p, bool places,
                            char *why)
{
    bp_shape y;
    BPI_TRY(real("x", in, why));
    BPI_TRY(pooled(&in->shape, p, places, &y, why));
    bpi_view_packed(&out[0], in->dtype, y);
    return BP_OK;
}

static bp_status spread_infer(const bp_view *in, bp_view *out, const bpi_pool_params *p,
                              bool places, char *why)
{
    BPI_TRY(real("y", in, why));
    BPI_TRY(bpi_image_check("y", &in->shape, why));
    bp_shape want, x = in->shape;
    x.dim[1] = p->size[0];
    x.dim[2] = p->size[1];
    BPI_TRY(pooled(&x, p, places, &want, why));
    BPI_TRY(bpi_window_made(&in->shape, &want, x.dim[1], x.dim[2], why));
    bpi_view_packed(&out[0], in->dtype, x);
    return places ? places_fit(&in[1], &in->shape, why) : BP_OK;
}

/* --- the largest ------------------------------------------------------------------------------ */

static bp_status max_infer(const bp_view *in, bp_view *out, const void *params, char *why)
{
    BPI_TRY(pool_infer(in, out, params, true, why));
    bpi_view_packed(&out[1], BP_U8, out[0].shape);
    return BP_OK;
}

/* Of max_pool, whose places are an output, and of max_pick, where they came in. */
static bp_status spread_back(bp_grad_call *c, bp_tensor *places)
{
    const bpi_pool_params *p = c->params;
    const int64_t *image = c->in_shape[0].dim + 1;
    if (c->need[0] && c->dout[0])
        c->dx[0] = bp_max_spread(c->dout[0], places, p->window[0], p->window[1], image[0], image[1],
                                 p->how);
    return BP_OK;
}

static bp_status max_gradient(bp_grad_call *c)
{
    return spread_back(c, c->out[1]);
}

static bp_status pick_infer(const bp_view *in, bp_view *out, const void *params, char *why)
{
    BPI_TRY(pool_infer(in, out, params, true, why));
    return places_fit(&in[1], &out[0].shape, why);
}

static bp_status pick_gradient(bp_grad_call *c)
{
    return spread_back(c, c->in[1]);
}

static bp_status max_spread_infer(const bp_view *in, bp_view *out, const void *params, char *why)
{
    return spread_infer(in, out, params, true, why);
}

static bp_status max_spread_gradient(bp_grad_call *c)
{
    const bpi_pool_params *p = c->params;
    if (c->need[0])
        c->dx[0] = bp_max_pick(c->dout[0], c->in[1], p->window[0], p->window[1], p->how);
    return BP_OK;
}

#define POOL(which, inputs, outputs, kept, made, infer_rule, gradient_rule)                       \
    {.def = {.name = #which, .n_in = inputs, .n_out = outputs,                                    \
             .params_bytes = sizeof(bpi_pool_params), .saves_in = kept, .saves_out = made,        \
             .infer = infer_rule, .gradient = gradient_rule},                                     \
     .id = BPI_OP_##which}
const bp_op bpi_op_max_pool = POOL(max_pool, 1, 2, 0, 2, max_infer, max_gradient);
const bp_op bpi_op_max_pick = POOL(max_pick, 2, 1, 2, 0, pick_infer, pick_gradient);
const bp_op bpi_op_max_spread = POOL(max_spread, 2, 1, 2, 0, max_spread_infer, max_spread_gradient);

bp_tensor *bp_max_pool(bp_tensor *x, int64_t height, int64_t width, bp_window how,
                       bp_tensor **places)
{
    bpi_pool_params p = params_of(how, height, width, 0, 0);
    bp_tensor *out[BP_MAX_IO];
    bp_tensor *y = bpi_apply(&bpi_op_max_pool, &x, &p, out);
    if (places)
        *places = y ? bp_detach(out[1]) : NULL;
    return y;
}

bp_tensor *bp_max_spread(bp_tensor *y, bp_tensor *places, int64_t height, int64_t width,
                         int64_t rows, int64_t columns, bp_window how)
{
    bpi_pool_params p = params_of(how, height, width, rows, columns);
    return bpi_apply2(&bpi_op_max_spread, y, places, &p);
}

bp_tensor *bp_max_pick(bp_tensor *x, bp_tensor *places, int64_t height, int64_t width,
                       bp_window how)
{
    bpi_pool_params p = params_of(how, height, width, 0, 0);
    return bpi_apply2(&bpi_op_max_pick, x, places, &p);
}

/* --- the mean --------------------------------------------------------------------------------- */

static bp_status avg_infer(const bp_view *in, bp_view *out, const void *params, char *why)
{
    return pool_infer(in, out, params, false, why);
}

static bp_status avg_gradient(bp_grad_call *c)
{
    const bpi_pool_params *p = c->params;
    const int64_t *image = c->in_shape[0].dim + 1;
    c->dx[0] = bp_avg_spread(c->dout[0], p->window[0], p->window[1], image[0], image[1], p->how);
    return BP_OK;
}

static bp_status avg_spread_infer(const bp_view *in, bp_view *out, const void *params, char *why)
{
    return spread_infer(in, out, params, false, why);
}

static bp_status avg_spread_gradient(bp_grad_call *c)
{
    const bpi_pool_params *p = c->params;
    c->dx[0] = bp_avg_pool(c->dout[0], p->window[0], p->window[1], p->how);
    return BP_OK;
}

const bp_op bpi_op_avg_pool = POOL(avg_pool, 1, 1, 0, 0, avg_infer, avg_gradient);
const bp_op bpi_op_avg_spread = POOL(avg_spread, 1, 1, 0, 0, avg_spread_infer, avg_spread_gradient);

bp_tensor *bp_avg_pool(bp_tensor *x, int64_t height, int64_t width, bp_window how)
{
    bpi_pool_params p = params_of(how, height, width, 0, 0);
    return bpi_apply1(&bpi_op_avg_pool, x, &p);
}

bp_tensor *bp_avg_spread(bp_tensor *y, int64_t height, int64_t width, int64_t rows, int64_t columns,
                         bp_window how)
{
    bpi_pool_params p = params_of(how, height, width, rows, columns);
    return bpi_apply1(&bpi_op_avg_spread, y, &p);
}

/* --- whole images ----------------------------------------------------------------------------- */

typedef bp_tensor *(*over_axes)(bp_tensor *x, uint32_t axes, int32_t keep);

static bp_tensor *whole(const char *who, const char *none, bp_tensor *x, over_axes reduce)
{
    bp_context *ctx = bpi_begin(NULL, who, none, &x, 1);
    if (!ctx)
        return NULL;
    char why[160];
    bp_tensor *y = NULL;
    bp_status st = real("x", bpi_view_of(x), why);
    if (st == BP_OK)
        st = bpi_image_check("x", &bpi_view_of(x)->shape, why);
    if (st == BP_OK)
        y = reduce(x, BP_AXIS(1) | BP_AXIS(2), 0);
    else
        bpi_fail(ctx, st, "%s: %s", who, why);
    bpi_leave(ctx);
    return y;
}
#define WHOLE(name, reduce) whole(name, name ": input 0 is NULL", x, reduce)

bp_tensor *bp_global_max_pool(bp_tensor *x)
{
    return WHOLE("global_max_pool", bp_max_axes);
}

bp_tensor *bp_global_avg_pool(bp_tensor *x)
{
    return WHOLE("global_avg_pool", bp_mean_axes);
}
