/* The rules of the elementwise ops of one operand: what unary.def says of each, made a bp_op, its
 * gradient rule and its public call. Kernels: src/cpu/unary.c, kernels/unary.cu. */
#include "ops/rule.h"

/* --- what compositions share ----------------------------------------------------------------- */

/* min(x, 0) */
static bp_tensor *below_0(bp_tensor *x)
{
    return bp_scale(bp_relu(bp_scale(x, -1)), -1);
}

/* e^(-x^2 / 2) / sqrt(2 pi) */
static bp_tensor *density(bp_tensor *x)
{
    return bp_scale(bp_exp(bp_scale(bp_mul(x, x), -0.5)), 0.398942280401432677939946);
}

/* 1 - y */
static bp_tensor *one_minus(bp_tensor *y)
{
    return bp_shift(bp_scale(y, -1), 1);
}

/* dy where lo < x < hi, else 0, of NaN too */
static bp_tensor *inside(bp_tensor *dy, bp_tensor *x, double lo, double hi)
{
    bp_tensor *number = bp_gate(dy, bp_equal(x, x));
    return bp_gate(bp_gate(number, bp_threshold(x, lo)), bp_threshold(bp_scale(x, -1), -hi));
}

static bp_tensor *through_bend(bp_tensor *dy, bp_tensor *x)
{
    const double a = 1.59576912160573071, b = 0.0713548162726002488; /* as in formulas.h */
    bp_tensor *near = bp_clamp(x, -1e3, 1e3); /* further out nothing bends, x^2 may overflow */
    bp_tensor *square = bp_square(near);
    bp_tensor *s = bp_sigmoid(bp_mul(near, bp_shift(bp_scale(square, b), a)));
    bp_tensor *slope = bp_mul(bp_mul(s, one_minus(s)), bp_shift(bp_scale(square, 3 * b), a));
    return bp_mul(dy, bp_add(s, bp_mul(x, slope)));
}

/* --- what rules share ------------------------------------------------------------------------ */

/* dx by the op's own kernel, from dy and what it has saved. */
static bp_status by_kernel(bp_grad_call *c, bp_tensor *saved)
{
    bp_tensor *in[2] = {c->dout[0], saved};
    const bp_view *x = bpi_view_of(saved);
    c->dx[0] = bpi_fresh_packed(c->ctx, x->dtype, x->shape, BPI_OWNER_SCOPE);
    if (!c->dx[0])
        return c->ctx->pending;
    return bpi_dispatch(c->ctx, (bpi_op_id)bpi_inside(c)->node->op->id, BPI_BACKWARD, in, 2, c->dx,
                        1, c->params, sizeof(bpi_elementwise_params));
}

static bp_tensor *apply(const bp_op *op, bp_tensor *x, double p, double q)
{
    bpi_elementwise_params params = {{p, q}};
    return bpi_apply1(op, x, &params);
}

/* What an op says that does not take the parameter p, or p and q. */
static bp_status refuse(char *why, int count, const char *p, double at_p, const char *q,
                        double at_q, const char *wanted)
{
    return count == 1 ? bpi_why(why, BP_ERR_ARG, "%s is %g: wanted is %s", p, at_p, wanted)
                      : bpi_why(why, BP_ERR_ARG, "%s is %g and %s is %g: wanted is %s", p, at_p, q,
                                at_q, wanted);
}

/* --- the rules ------------------------------------------------------------------------------- */

/* A saved x is an input, a saved y an output; what is not saved is NULL. */
#define SAVED_x in
#define SAVED_y out
#define SAVED_none in
#define SAVES_x .saves_in = 1
#define SAVES_y .saves_out = 1
#define SAVES_none .saves_in = 0

#define RULE(op, count, p, q, wanted, saved, tested, value, slope, composed)                    \
    static bp_status op##_infer(const bp_view *in, bp_view *out, const void *params, char *why) \
    {                                                                                           \
        const double *k = ((const bpi_elementwise_params *)params)->k;                          \
        const double p = in->dtype == BP_F32 ? (double)(float)k[0] : k[0];                      \
        const double q = in->dtype == BP_F32 ? (double)(float)k[1] : k[1];                      \
        (void)p, (void)q;                                                                       \
        if (!(wanted))                                                                          \
            return refuse(why, count, #p, p, #q, q, #wanted);                                   \
        return bpi_infer_like(in, out, params, why);                                            \
    }                                                                                           \
    static bp_status op##_gradient(bp_grad_call *c)                                             \
    {                                                                                           \
        const double p = ((const bpi_elementwise_params *)c->params)->k[0];                     \
        const double q = ((const bpi_elementwise_params *)c->params)->k[1];                     \
        bp_tensor *dy = c->dout[0], *saved = c->SAVED_##saved[0], *dx;                          \
        (void)p, (void)q, (void)dy;                                                             \
        if (saved && !bpi_creates_graph(c))                                                     \
            return by_kernel(c, saved);                                                         \
        composed;                                                                               \
        c->dx[0] = dx;                                                                          \
        return BP_OK;                                                                           \
    }                                                                                           \
    const bp_op bpi_op_##op = {                                                                 \
        .def = {.name = #op, .n_in = 1, .n_out = 1, SAVES_##saved,                              \
                .params_bytes = sizeof(bpi_elementwise_params), .infer = op##_infer,            \
                .gradient = op##_gradient},                                                     \
        .id = BPI_OP_##op,                                                                      \
    };

#define BPI_UNARY(op, ...)                                                                      \
    RULE(op, 0, p, q, 1, __VA_ARGS__)                                                             \
    bp_tensor *bp_##op(bp_tensor *x) { return apply(&bpi_op_##op, x, 0, 0); }
#define BPI_UNARY_1(op, p, tp, ...)                                                             \
    RULE(op, 1, p, q, __VA_ARGS__)                                                               \
    bp_tensor *bp_##op(bp_tensor *x, double p) { return apply(&bpi_op_##op, x, p, 0); }
#define BPI_UNARY_2(op, p, tp, q, tq, ...)                                                      \
    RULE(op, 2, p, q, __VA_ARGS__)                                                               \
    bp_tensor *bp_##op(bp_tensor *x, double p, double q)                                        \
    {                                                                                           \
        return apply(&bpi_op_##op, x, p, q);                                                    \
    }
#include "door/unary.def"
