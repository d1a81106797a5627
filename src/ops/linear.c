/* y = x W^T + b, and y = dropout(relu(x W^T + b)): one product with its epilogue on the tile.
 *
 * dz = dy for the first; dy scale where y > 0 for the second: y is 0 exactly where ReLU or dropout
 * cut, so no mask need be kept (a device whose library wants one keeps bits, as aux). dx = dz W,
 * dW = dz^T x, db = sum of dz over rows; dW and db go straight into the store. Where x is the y of
 * another linear_relu that nobody else reads, the product dz W also applies that layer's cut, and
 * the layer finds its dz ready. Kernels: src/cpu/linear.c, src/cuda/linear.c. */
#include "ops/rule.h"

static bp_status infer(const bp_view *in, bp_view *out, const void *params, char *why)
{
    (void)params;
    const bp_shape *x = &in[0].shape, *w = &in[1].shape, *b = &in[2].shape;
    bp_dtype type = in[0].dtype;
    if (!bpi_is_real(type) || in[1].dtype != type || in[2].dtype != type)
        return bpi_why(why, BP_ERR_DTYPE, "x is %s, w is %s, b is %s: equal and real are wanted",
                       bp_dtype_name(type), bp_dtype_name(in[1].dtype), bp_dtype_name(in[2].dtype));
    if (x->ndim != 2 || w->ndim != 2 || b->ndim != 1)
        return bpi_why(why, BP_ERR_SHAPE, "x %s, w %s, b %s: [N,in], [out,in], [out] are wanted",
                       bpi_shape_str(x).s, bpi_shape_str(w).s, bpi_shape_str(b).s);
    if (x->dim[1] != w->dim[1] || w->dim[0] != b->dim[0])
        return bpi_why(why, BP_ERR_SHAPE, "x %s, w %s, b %s: the sizes of %s differ",
                       bpi_shape_str(x).s, bpi_shape_str(w).s, bpi_shape_str(b).s,
                       x->dim[1] != w->dim[1] ? "x and w" : "w and b");
    bpi_view_rows(&out[0], type, BP_SHAPE(x->dim[0], w->dim[0]));
    return BP_OK;
}

static bp_status compose(bp_context *ctx, bp_tensor *const *in, const void *params,
                         bp_tensor **out)
{
    const bpi_linear_params *p = params;
    bp_tensor *y = bp_add(bp_matmul(in[0], bp_transpose(in[1], 0, 1)), in[2]);
    if (p->relu)
        y = bp_relu(y);
    if (p->keep < 65536)
        y = bpi_dropout_at(y, (bpi_dropout_params){.site = p->site, .keep = p->keep});
    out[0] = y;
    return y ? BP_OK : ctx->pending;
}

/* The gradient before the activation; owned by the scope or dy itself. */
static bp_tensor *before_activation(bpi_grad_call *g)
{
    const bpi_linear_params *p = g->call.params;
    bpi_scale_params scale = {bpi_dropout_scale(p->keep)};
    if (!p->relu || g->node->handed)
        return g->call.dout[0];
    return bpi_apply2(&bpi_op_gate, g->call.dout[0], g->call.out[0], &scale);
}

static bp_status input_gradient(bpi_grad_call *g, bp_tensor *dz)
{
    bp_context *ctx = g->call.ctx;
    bp_tensor *x = g->call.in[0], *in[4] = {dz, g->call.in[1], NULL, NULL};
    bpi_linear_backward_params p = {1};
    bpi_node *from = bpi_sole_producer(g, 0);
    if (from && from->op == &bpi_op_linear_relu) {
        const bpi_linear_params *before = (const void *)from->params;
        from->handed = true;
        in[2] = x; /* its y, which is this layer's x */
        in[3] = from->aux.t;
        p.scale = bpi_dropout_scale(before->keep);
    }
    bp_view v = {0};
    bpi_view_rows(&v, bpi_view_of(x)->dtype, bpi_view_of(x)->shape);
    g->call.dx[0] = bpi_fresh(ctx, &v, BPI_OWNER_SCOPE);
    if (!g->call.dx[0])
        return ctx->pending;
    return bpi_dispatch(ctx, BPI_OP_linear, BPI_BACKWARD, in, 4, g->call.dx, 1, &p, sizeof p);
}

/* Where the gradient of input i is written: its store, noted in `sinks`, or fresh memory. */
static bp_tensor *target(bpi_grad_call *g, int i, int32_t *add, uint32_t *sinks)
{
    bp_tensor *t = bpi_grad_sink(g, i, add);
    if (t) {
        *sinks |= 1u << i;
        return t;
    }
    bp_view v = {0};
    bpi_view_rows(&v, bpi_view_of(g->call.dout[0])->dtype, g->call.in_shape[i]);
    return bpi_fresh(g->call.ctx, &v, BPI_OWNER_SCOPE);
}

static bp_status weight_gradient(bpi_grad_call *g, bp_tensor *dz)
{
    bp_context *ctx = g->call.ctx;
    int32_t adds[3] = {0};
    uint32_t sinks = 0;
    bp_tensor *in[2] = {dz, g->call.in[0]}, **dx = g->call.dx;
    for (int i = 1; i < 3; i++)
        if (g->call.need[i])
            dx[i] = target(g, i, &adds[i], &sinks);
    if (ctx->pending != BP_OK)
        return ctx->pending;
    bpi_linear_wgrad_params p = {adds[1], adds[2]};
    const bpi_kernel *kernel = bpi_find_kernel(ctx, g->node->op, BPI_BACKWARD_PARAMS,
                                               bpi_view_of(dz)->dtype);
    bp_tensor *suspect = kernel && kernel->notes ? bpi_grad_suspect(g, sinks) : NULL;
    bp_tensor *out[3] = {dx[1], dx[2], suspect};
    BPI_TRY(bpi_dispatch(ctx, BPI_OP_linear, BPI_BACKWARD_PARAMS, in, 2, out, 3, &p, sizeof p));
    if (suspect)
        bpi_grad_noted(g, sinks, adds);
    return BP_OK;
}

static bp_status gradient(bp_grad_call *c)
{
    bpi_grad_call *g = bpi_inside(c);
    bp_tensor *dz = before_activation(g);
    if (!dz)
        return c->ctx->pending;
    if (c->need[1] || c->need[2])
        BPI_TRY(weight_gradient(g, dz));
    return c->need[0] ? input_gradient(g, dz) : BP_OK;
}

const bp_op bpi_op_linear = {
    .def = {.name = "linear", .n_in = 3, .n_out = 1, .params_bytes = sizeof(bpi_linear_params),
            .saves_in = 3, .infer = infer, .gradient = gradient},
    .id = BPI_OP_linear,
    .flags = BPI_OP_DRAWS,
    .compose = compose,
};

const bp_op bpi_op_linear_relu = {
    .def = {.name = "linear_relu", .n_in = 3, .n_out = 1,
            .params_bytes = sizeof(bpi_linear_params), .saves_in = 3, .saves_out = 1,
            .infer = infer, .gradient = gradient},
    .id = BPI_OP_linear,
    .none = "linear_relu: input 0 is NULL",
    .flags = BPI_OP_DRAWS,
    .compose = compose,
};

bp_tensor *bp_linear(bp_tensor *x, bp_tensor *w, bp_tensor *b)
{
    bpi_linear_params p = {.keep = 65536};
    return bpi_apply(&bpi_op_linear, (bp_tensor *[]){x, w, b}, &p, NULL);
}

bp_tensor *bp_linear_relu(bp_tensor *x, bp_tensor *w, bp_tensor *b, double p)
{
    bpi_dropout_params drop = {0};
    bp_tensor *some = x ? x : w ? w : b;
    if (some && bpi_dropout_draw(bpi_at(some)->ctx, "linear_relu", p, &drop) != BP_OK)
        return NULL;
    bpi_linear_params params = {.relu = 1, .keep = drop.keep, .site = drop.site};
    return bpi_apply(&bpi_op_linear_relu, (bp_tensor *[]){x, w, b}, &params, NULL);
}
