/* y = x where x > 0, else alpha (e^x - 1); dx = dy where x > 0, else dy alpha e^x.
 * Kernels: src/cpu/elu.c. */
#include "ops/rule.h"

static bp_status infer(const bp_view *in, bp_view *out, const void *params, char *why)
{
    double alpha = ((const bpi_scale_params *)params)->factor;
    if (!(alpha > 0))
        return bpi_why(why, BP_ERR_ARG, "alpha %g is not positive", alpha);
    return bpi_infer_like(in, out, params, why);
}

/* In primitives: what passes the gate, and the rest times alpha e^min(x, 0). */
static bp_tensor *composed(bp_tensor *dy, bp_tensor *x, double alpha)
{
    bp_tensor *passed = bp_gate(dy, x), *rest = bp_add(dy, bp_scale(passed, -1));
    bp_tensor *below = bp_scale(bp_relu(bp_scale(x, -1)), -1); /* min(x, 0) */
    return bp_add(passed, bp_scale(bp_mul(rest, bp_exp(below)), alpha));
}

static bp_status gradient(bp_grad_call *c)
{
    if (bpi_creates_graph(c)) {
        const bpi_scale_params *p = c->params;
        c->dx[0] = composed(c->dout[0], c->in[0], p->factor);
        return BP_OK;
    }
    bp_tensor *in[2] = {c->dout[0], c->in[0]};
    const bp_view *x = bpi_view_of(in[1]);
    c->dx[0] = bpi_fresh_packed(c->ctx, x->dtype, x->shape, BPI_OWNER_SCOPE);
    if (!c->dx[0])
        return c->ctx->pending;
    return bpi_dispatch(c->ctx, BPI_OP_elu, BPI_BACKWARD, in, 2, c->dx, 1, c->params,
                        sizeof(bpi_scale_params));
}

const bp_op bpi_op_elu = {
    .def = {.name = "elu", .n_in = 1, .n_out = 1, .params_bytes = sizeof(bpi_scale_params),
            .saves_in = 1, .infer = infer, .gradient = gradient},
    .id = BPI_OP_elu,
};

bp_tensor *bp_elu(bp_tensor *x, double alpha)
{
    bpi_scale_params p = {alpha};
    return bpi_apply1(&bpi_op_elu, x, &p);
}
