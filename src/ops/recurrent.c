/* LSTM and GRU cells. The gates are two products of linear; what is behind them is an op of its
 * own, lstm_gates and gru_gates, whose composition gives second derivatives. Formulas:
 * bpcuda/recurrent.h and door/cells.h. Kernels: src/cpu/recurrent.c. */
#include "core/tensor.h"
#include "ops/rule.h"

/* --- behind the products --------------------------------------------------------------------- */

/* The cells have looked at what comes here: gates of x and of h [N, k H], c or h [N, H]. */
static bp_status infer(const bp_view *in, bp_view *out, const void *params, char *why)
{
    (void)params, (void)why;
    bpi_view_packed(&out[0], in[0].dtype, in[2].shape);
    if (in[0].shape.dim[1] == 4 * in[2].shape.dim[1])
        out[1] = out[0];
    return BP_OK;
}

/* Gate k of all of them. */
static bp_tensor *gate(bp_tensor *gates, bp_tensor *state, int k)
{
    const int64_t n = bp_shape_of(state).dim[1];
    return bp_slice(gates, 1, k * n, (k + 1) * n, 1);
}

static bp_status lstm_compose(bp_context *ctx, bp_tensor *const *in, const void *params,
                              bp_tensor **out)
{
    (void)params;
    bp_tensor *all = bp_add(in[0], in[1]), *c = in[2];
    bp_tensor *kept = bp_mul(bp_sigmoid(gate(all, c, 1)), c);
    bp_tensor *taken = bp_mul(bp_sigmoid(gate(all, c, 0)), bp_tanh(gate(all, c, 2)));
    out[1] = bp_add(kept, taken);
    out[0] = bp_mul(bp_sigmoid(gate(all, c, 3)), bp_tanh(out[1]));
    return out[0] ? BP_OK : ctx->pending;
}

static bp_status gru_compose(bp_context *ctx, bp_tensor *const *in, const void *params,
                             bp_tensor **out)
{
    (void)params;
    bp_tensor *x = in[0], *u = in[1], *h = in[2];
    bp_tensor *z = bp_add(gate(x, h, 1), gate(u, h, 1));
    bp_tensor *reset = bp_sigmoid(bp_add(gate(x, h, 0), gate(u, h, 0)));
    bp_tensor *m = bp_tanh(bp_add(gate(x, h, 2), bp_mul(reset, gate(u, h, 2))));
    out[0] = bp_add(bp_mul(bp_sigmoid(bp_neg(z)), m), bp_mul(bp_sigmoid(z), h));
    return out[0] ? BP_OK : ctx->pending;
}

/* The gradients of n tensors like inputs first .. by the backward kernel; one that nobody needs is
 * made all the same: it is the smaller part of the work. */
static bp_status by_kernel(bp_grad_call *c, bp_tensor **in, int n_in, const int *like, int n,
                           bp_tensor **d)
{
    for (int i = 0; i < n; i++) {
        d[i] = bpi_fresh_packed(c->ctx, bpi_view_of(c->in[0])->dtype, c->in_shape[like[i]],
                                BPI_OWNER_SCOPE);
        if (!d[i])
            return c->ctx->pending;
    }
    return bpi_dispatch(c->ctx, (bpi_op_id)bpi_inside(c)->node->op->id, BPI_BACKWARD, in, n_in, d,
                        n, NULL, 0);
}

static bp_status lstm_gradient(bp_grad_call *c)
{
    bp_tensor *d[2], *in[] = {c->dout[0], c->dout[1], c->in[0], c->in[1], c->in[2]};
    if (!c->dout[0] && !c->dout[1])
        return BP_OK;
    BPI_TRY(by_kernel(c, in, 5, (int[]){0, 2}, 2, d));
    c->dx[0] = c->dx[1] = d[0]; /* of a sum */
    c->dx[2] = d[1];
    return BP_OK;
}

static bp_status gru_gradient(bp_grad_call *c)
{
    bp_tensor *in[] = {c->dout[0], c->in[0], c->in[1], c->in[2]};
    return by_kernel(c, in, 4, (int[]){0, 1, 2}, 3, c->dx);
}

const bp_op bpi_op_lstm_gates = {
    .def = {.name = "lstm_cell", .n_in = 3, .n_out = 2, .saves_in = 7, .infer = infer,
            .gradient = lstm_gradient},
    .id = BPI_OP_lstm_gates,
    .compose = lstm_compose,
};

const bp_op bpi_op_gru_gates = {
    .def = {.name = "gru_cell", .n_in = 3, .n_out = 1, .saves_in = 7, .infer = infer,
            .gradient = gru_gradient},
    .id = BPI_OP_gru_gates,
    .compose = gru_compose,
};

/* --- the cells ------------------------------------------------------------------------------- */

/* Inputs in the order of a call. C is the state behind the products; a GRU's is h itself. */
enum { X, H, C, W_IH, W_HH, B_IH, B_HH, INPUTS };
static const char *const names[] = {"x", "h", "c", "w_ih", "w_hh", "b_ih", "b_hh"};

/* All inputs have x's dtype and, with k gates, the shapes that follow from x and h. */
static bool fit(bp_context *ctx, const char *who, bp_tensor *const *in, int k)
{
    const bp_shape x = bpi_view_of(in[X])->shape, h = bpi_view_of(in[H])->shape;
    const bp_dtype real = bpi_view_of(in[X])->dtype;
    const int64_t rows = x.ndim ? x.dim[0] : 0, size = h.ndim == 2 ? h.dim[1] : 0;
    const bp_shape want[] = {BP_SHAPE(rows, x.ndim == 2 ? x.dim[1] : 0), BP_SHAPE(rows, size),
                             BP_SHAPE(rows, size),
                             BP_SHAPE(k * size, x.ndim == 2 ? x.dim[1] : 0),
                             BP_SHAPE(k * size, size), BP_SHAPE(k * size), BP_SHAPE(k * size)};
    if (!bpi_is_real(real)) {
        bpi_fail(ctx, BP_ERR_DTYPE, "%s: x is %s, not f32 or f64", who, bp_dtype_name(real));
        return false;
    }
    for (int i = 0; i < INPUTS; i++) {
        const bp_view *v = bpi_view_of(in[i]);
        if (v->dtype != real)
            bpi_fail(ctx, BP_ERR_DTYPE, "%s: x is %s and %s is %s: equal dtypes are wanted", who,
                     bp_dtype_name(real), names[i], bp_dtype_name(v->dtype));
        else if (bpi_same_shape(&v->shape, &want[i]))
            continue;
        else if (i <= H)
            bpi_fail(ctx, BP_ERR_SHAPE, "%s: x %s and h %s: [N,I] and [N,H] are wanted", who,
                     bpi_shape_str(&x).s, bpi_shape_str(&h).s);
        else
            bpi_fail(ctx, BP_ERR_SHAPE, "%s: x %s, h %s and %s %s: %s is wanted", who,
                     bpi_shape_str(&x).s, bpi_shape_str(&h).s, names[i],
                     bpi_shape_str(&v->shape).s, bpi_shape_str(&want[i]).s);
        return false;
    }
    return true;
}

/* Runs the op on the products, if all fits; out: its outputs. */
static bp_tensor *cell(const bp_op *op, const char *none, bp_tensor *const *in, int k,
                       bp_tensor **out)
{
    bp_context *ctx = bpi_begin_named(NULL, op->def.name, none, in, INPUTS, names);
    if (!ctx)
        return NULL;
    bp_tensor *y = NULL;
    if (fit(ctx, op->def.name, in, k))
        y = bpi_apply(op, (bp_tensor *[]){bp_linear(in[X], in[W_IH], in[B_IH]),
                                          bp_linear(in[H], in[W_HH], in[B_HH]), in[C]}, NULL, out);
    bpi_leave(ctx);
    return y;
}

bp_tensor *bp_lstm_cell(bp_tensor *x, bp_tensor *h, bp_tensor *c, bp_tensor *w_ih,
                        bp_tensor *w_hh, bp_tensor *b_ih, bp_tensor *b_hh, bp_tensor **c_next)
{
    bp_tensor *out[BP_MAX_IO], *in[] = {x, h, c, w_ih, w_hh, b_ih, b_hh}, *some = x ? x : h;
    if (!c_next && some && bpi_enter(bpi_at(some)->ctx) == BP_OK) {
        bp_context *ctx = bpi_at(some)->ctx;
        bpi_fail(ctx, BP_ERR_ARG, "lstm_cell: c_next is NULL");
        bpi_leave(ctx);
    }
    if (!c_next)
        return NULL;
    bp_tensor *y = cell(&bpi_op_lstm_gates, "lstm_cell: x is NULL", in, 4, out);
    *c_next = y ? out[1] : NULL;
    return y;
}

bp_tensor *bp_gru_cell(bp_tensor *x, bp_tensor *h, bp_tensor *w_ih, bp_tensor *w_hh,
                       bp_tensor *b_ih, bp_tensor *b_hh)
{
    bp_tensor *in[] = {x, h, h, w_ih, w_hh, b_ih, b_hh};
    return cell(&bpi_op_gru_gates, "gru_cell: x is NULL", in, 3, NULL);
}
