/* The rules of the elementwise ops of two operands: what binary.def says of each, made a bp_op,
 * its gradient rule and its public call. Kernels: src/cpu/binary.c, kernels/binary.cu. */
#include "ops/rule.h"

/* 0 where a < b, half of dy where they are equal, else dy: of NaN too. */
static bp_tensor *larger(bp_tensor *dy, bp_tensor *a, bp_tensor *b)
{
    bp_tensor *part = bp_shift(bp_scale(bp_equal(a, b), -0.5), 1);
    return bp_mul(bp_gate(dy, bp_logical_not(bp_less(a, b))), part);
}

/* v where `mask`, which broadcasts to it, is not 0, else 0, whatever v is there. */
static bp_tensor *masked(bp_tensor *v, bp_tensor *mask)
{
    return v && mask ? bp_gate(v, bp_expand(mask, bp_shape_of(v))) : NULL;
}

/* pow's: 0 where b is 0; and where a is 0 and b is not below it. */
static bp_tensor *by_base(bp_tensor *dy, bp_tensor *a, bp_tensor *b)
{
    bp_tensor *slope = bp_mul(b, bp_pow(a, bp_shift(b, -1)));
    return masked(bp_mul(dy, slope), bp_logical_not(bp_logical_not(b)));
}

static bp_tensor *by_exponent(bp_tensor *dy, bp_tensor *a, bp_tensor *b)
{
    bp_tensor *below = bp_threshold(bp_scale(b, -1), 0);
    return masked(bp_mul(dy, bp_mul(bp_pow(a, b), bp_log(a))), bp_logical_or(a, below));
}

/* --- what rules share ------------------------------------------------------------------------ */

static bp_status infer_reals(const bp_view *in, bp_view *out, const void *params, char *why)
{
    (void)params;
    return bpi_infer_broadcast(in, out, why, false);
}

static bp_status infer_ints(const bp_view *in, bp_view *out, const void *params, char *why)
{
    (void)params;
    return bpi_infer_broadcast(in, out, why, true);
}

/* Summed over what was broadcast; NULL is 0. */
static bp_tensor *summed(bp_tensor *d, const bp_shape *shape)
{
    return d ? bpi_sum_to(d, shape) : NULL;
}

/* The gradient of an operand by the op's own kernel, in y's shape; NULL on failure. */
static bp_tensor *by_kernel(bp_grad_call *c, int slot)
{
    bp_tensor *dy = c->dout[0], *in[3] = {dy, c->in[0], c->in[1]};
    const bp_view *y = bpi_view_of(dy);
    bp_tensor *d = bpi_fresh_packed(c->ctx, y->dtype, y->shape, BPI_OWNER_SCOPE);
    if (d && bpi_dispatch(c->ctx, (bpi_op_id)bpi_inside(c)->node->op->id, slot, in, 3, &d, 1, NULL,
                          0) != BP_OK)
        return NULL;
    return d;
}

/* --- the rules ------------------------------------------------------------------------------- */

enum { none = 0, both = 3 }; /* what is saved */

#define BPI_BINARY_OP(op, types, saved, tested, value, a_slope, b_slope, a_composed, b_composed) \
    static bp_status op##_gradient(bp_grad_call *c)                                             \
    {                                                                                           \
        bp_tensor *dy = c->dout[0], *a = c->in[0], *b = c->in[1], *da, *db;                     \
        const bool composes = saved == none || bpi_creates_graph(c);                            \
        (void)dy, (void)a, (void)b;                                                             \
        if (c->need[0]) {                                                                       \
            if (composes)                                                                       \
                a_composed;                                                                     \
            else                                                                                \
                da = by_kernel(c, BPI_BACKWARD);                                                \
            c->dx[0] = summed(da, &c->in_shape[0]);                                             \
        }                                                                                       \
        if (c->need[1]) {                                                                       \
            if (composes)                                                                       \
                b_composed;                                                                     \
            else                                                                                \
                db = by_kernel(c, BPI_BACKWARD_PARAMS);                                         \
            c->dx[1] = summed(db, &c->in_shape[1]);                                             \
        }                                                                                       \
        return BP_OK;                                                                           \
    }                                                                                           \
    const bp_op bpi_op_##op = {                                                                 \
        .def = {.name = #op, .n_in = 2, .n_out = 1, .saves_in = saved,                          \
                .infer = infer_##types, .gradient = op##_gradient},                                                   \
        .id = BPI_OP_##op,                                                                      \
    };                                                                                          \
    bp_tensor *bp_##op(bp_tensor *a, bp_tensor *b)                                              \
    {                                                                                           \
        return bpi_apply2(&bpi_op_##op, a, b, NULL);                                            \
    }
#include "door/binary.def"
