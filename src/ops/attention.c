/* y = softmax(scale q k^T + mask) v, fused. dq, dk and dv come of the kernel, which makes the
 * weights again from q, k and one number a query; a mask that asks for a gradient is differentiated
 * in the composition. Kernel: src/cpu/attention.c. */
#include <math.h>

#include "ops/rule.h"

static bp_status bad_shapes(const bp_view *in, char *why)
{
    return bpi_why(why, BP_ERR_SHAPE,
                   "q %s, k %s, v %s: [..,T,D], [..,S,D], [..,S,E] are wanted",
                   bpi_shape_str(&in[0].shape).s, bpi_shape_str(&in[1].shape).s,
                   bpi_shape_str(&in[2].shape).s);
}

static bp_status infer_mask(const bp_view *in, char *why)
{
    const int n = in[0].shape.ndim;
    bp_shape scores = in[0].shape, both;
    scores.dim[n - 1] = in[1].shape.dim[n - 2];
    if (in[3].dtype != BP_U8 && in[3].dtype != in[0].dtype)
        return bpi_why(why, BP_ERR_DTYPE, "mask is %s: u8 is wanted, or %s as q is",
                       bp_dtype_name(in[3].dtype), bp_dtype_name(in[0].dtype));
    if (!bpi_broadcast(&in[3].shape, &scores, &both) || !bpi_same_shape(&both, &scores))
        return bpi_why(why, BP_ERR_SHAPE, "mask %s does not broadcast to the scores' %s",
                       bpi_shape_str(&in[3].shape).s, bpi_shape_str(&scores).s);
    return BP_OK;
}

static bp_status infer(const bp_view *in, bp_view *out, const void *params, char *why)
{
    const bpi_attention_params *p = params;
    const bp_shape *q = &in[0].shape, *k = &in[1].shape, *v = &in[2].shape;
    const int n = q->ndim;
    if (p->causal & ~BP_CAUSAL)
        return bpi_why(why, BP_ERR_ARG, "flags 0x%x: 0 or BP_CAUSAL is wanted",
                       (unsigned)p->causal);
    if (!isfinite(p->scale))
        return bpi_why(why, BP_ERR_ARG, "scale %g is not finite", p->scale);
    if (!bpi_is_real(in[0].dtype) || in[1].dtype != in[0].dtype || in[2].dtype != in[0].dtype)
        return bpi_why(why, BP_ERR_DTYPE, "q is %s, k is %s, v is %s: equal and real are wanted",
                       bp_dtype_name(in[0].dtype), bp_dtype_name(in[1].dtype),
                       bp_dtype_name(in[2].dtype));
    if (n < 2 || k->ndim != n || v->ndim != n || q->dim[n - 1] != k->dim[n - 1] ||
        k->dim[n - 2] != v->dim[n - 2])
        return bad_shapes(in, why);
    for (int i = 0; i < n - 2; i++)
        if (q->dim[i] != k->dim[i] || q->dim[i] != v->dim[i])
            return bad_shapes(in, why);
    if (p->masked)
        BPI_TRY(infer_mask(in, why));
    bp_shape y = *q;
    y.dim[n - 1] = v->dim[n - 1];
    bpi_view_packed(&out[0], in[0].dtype, y);
    return BP_OK;
}

/* 0 where a mask of bytes keeps a key, -Inf where not. */
static bp_tensor *as_added(bp_tensor *mask, bp_dtype real)
{
    bp_tensor *m = bp_cast(mask, real);
    return bp_log(bp_gate(bp_exp(bp_scale(m, 0)), m));
}

static bp_status compose(bp_context *ctx, bp_tensor *const *in, const void *params,
                         bp_tensor **out)
{
    const bpi_attention_params *p = params;
    const int32_t n = bp_shape_of(in[1]).ndim;
    bp_tensor *x = bp_scale(bp_matmul(in[0], bp_transpose(in[1], n - 2, n - 1)), p->scale);
    if (p->masked)
        x = bp_add(x, bp_dtype_of(in[3]) == BP_U8 ? as_added(in[3], bp_dtype_of(in[0])) : in[3]);
    out[0] = bp_matmul(bp_attention_weights(x, (uint32_t)p->causal), in[2]);
    return out[0] ? BP_OK : ctx->pending;
}

static bp_status gradient(bp_grad_call *c)
{
    bpi_grad_call *g = bpi_inside(c);
    const bpi_attention_params *p = c->params;
    if (p->masked && c->need[3])
        return bpi_compose_gradient(g);
    bp_tensor *in[] = {c->dout[0], c->in[0], c->in[1], c->in[2],
                       p->masked ? c->in[3] : NULL, c->out[0], g->aux};
    for (int i = 0; i < 3; i++)
        if (c->need[i]) {
            c->dx[i] = bpi_fresh_packed(c->ctx, bpi_view_of(c->out[0])->dtype, c->in_shape[i],
                                        BPI_OWNER_SCOPE);
            if (!c->dx[i])
                return c->ctx->pending;
        }
    return bpi_dispatch(c->ctx, BPI_OP_attention, BPI_BACKWARD, in, 7, c->dx, 3, p, sizeof *p);
}

const bp_op bpi_op_attention = {
    .def = {.name = "attention", .n_in = 3, .n_out = 1,
            .params_bytes = sizeof(bpi_attention_params), .saves_in = 7, .saves_out = 1,
            .infer = infer, .gradient = gradient},
    .id = BPI_OP_attention,
    .compose = compose,
};

const bp_op bpi_op_attention_masked = {
    .def = {.name = "attention_masked", .n_in = 4, .n_out = 1,
            .params_bytes = sizeof(bpi_attention_params), .saves_in = 15, .saves_out = 1,
            .infer = infer, .gradient = gradient},
    .id = BPI_OP_attention,
    .none = "attention_masked: input 0 is NULL",
    .compose = compose,
};

static bpi_attention_params params_of(const bp_tensor *q, uint32_t flags, double scale)
{
    const bp_shape s = bp_shape_of(q);
    const int64_t d = s.ndim ? s.dim[s.ndim - 1] : 1;
    if (scale == 0)
        scale = d ? 1 / sqrt((double)d) : 1;
    return (bpi_attention_params){.scale = scale, .causal = (int32_t)flags};
}

bp_tensor *bp_attention(bp_tensor *q, bp_tensor *k, bp_tensor *v, uint32_t flags, double scale)
{
    bpi_attention_params p = params_of(q, flags, scale);
    return bpi_apply(&bpi_op_attention, (bp_tensor *[]){q, k, v}, &p, NULL);
}

bp_tensor *bp_attention_masked(bp_tensor *q, bp_tensor *k, bp_tensor *v, bp_tensor *mask,
                               uint32_t flags, double scale)
{
    bpi_attention_params p = params_of(q, flags, scale);
    p.masked = 1;
    return bpi_apply(&bpi_op_attention_masked, (bp_tensor *[]){q, k, v, mask}, &p, NULL);
}
