/* An op of a program's own for tests, whose gradient rule each of them chooses. Registered ops are
 * host code, so what includes this is the CPU's. */
#ifndef BPI_TEST_OWN_PRODUCT_H
#define BPI_TEST_OWN_PRODUCT_H

#include "suite.h"

/* y = a b, elementwise, and a rule that each test chooses. */
static bp_status (*rule)(bp_grad_call *);

static inline bp_status product_infer(const bp_view *in, bp_view *out, const void *params,
                                      char *why)
{
    (void)params, (void)why;
    out[0] = in[0];
    return BP_OK;
}

static inline bp_status product_forward(bp_exec *ex, const bp_view *in, const bp_view *out,
                                        const void *params)
{
    (void)ex, (void)params;
    for (int64_t i = 0; i < bp_shape_count(in->shape); i++)
        ((double *)out->data)[i] = ((double *)in[0].data)[i] * ((double *)in[1].data)[i];
    return BP_OK;
}

static inline bp_status call_rule(bp_grad_call *c)
{
    return rule(c);
}

static inline bp_tensor *product(bp_tensor *a, bp_tensor *b)
{
    static const bp_op_def def = {.struct_bytes = sizeof def, .name = "product", .n_in = 2,
                                  .n_out = 1, .saves_in = 3, .infer = product_infer,
                                  .forward = product_forward, .gradient = call_rule};
    bp_op *op;
    OK(bp_op_register(ctx, &def, &op));
    return bp_op_apply(op, (bp_tensor *[]){a, b}, NULL, NULL);
}

static inline bp_status right(bp_grad_call *c)
{
    for (int i = 0; i < 2; i++)
        if (c->need[i])
            c->dx[i] = bp_mul(c->dout[0], c->in[1 - i]);
    return BP_OK;
}

#endif
