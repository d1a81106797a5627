/* loss = nll_loss(log_softmax(logits, 1), labels), the number of correct rows, and, when a gradient
 * is asked for, dlogits for dy = 1, in one pass over the logits. That gradient is the op's aux; the
 * walk back scales it by dy in its place, unless dy is the 1 that a walk begins with. Kernels:
 * src/cpu/cross_entropy.c. */
#include "ops/rule.h"

static bp_status infer(const bp_view *in, bp_view *out, const void *params, char *why)
{
    (void)params;
    bpi_view_packed(&out[0], in[0].dtype, BP_SCALAR);
    bpi_view_packed(&out[1], in[0].dtype, BP_SCALAR);
    return bpi_infer_nll(in, why);
}

static bp_status compose(bp_context *ctx, bp_tensor *const *in, const void *params,
                         bp_tensor **out)
{
    (void)params;
    out[0] = bp_nll_loss(bp_log_softmax(in[0], 1), in[1]);
    return out[0] ? BP_OK : ctx->pending;
}

static bp_status gradient(bp_grad_call *c)
{
    bpi_grad_call *g = bpi_inside(c);
    if (!c->need[0] || !c->dout[0])
        return BP_OK;
    bp_dtype dtype = bpi_view_of(c->dout[0])->dtype;
    bp_tensor *unit = bpi_window(g->aux, 0, dtype, c->in_shape[0], BPI_OWNER_SCOPE);
    bool one = bpi_at(c->dout[0])->storage == bpi_at(c->ctx->one[dtype == BP_F64])->storage;
    if (unit && g->walk->flags & BP_KEEP_GRAPH) {
        c->dx[0] = bp_mul(unit, c->dout[0]);
    } else if (unit) {
        if (!one)
            BPI_TRY(bpi_dispatch(c->ctx, BPI_OP_cross_entropy, BPI_BACKWARD, c->dout, 1, &unit, 1,
                                 NULL, 0));
        c->dx[0] = unit;
    }
    return BP_OK;
}

const bp_op bpi_op_cross_entropy = {
    .def = {.name = "cross_entropy", .n_in = 2, .n_out = 2, .infer = infer, .gradient = gradient},
    .id = BPI_OP_cross_entropy,
    .compose = compose,
};

bp_tensor *bp_cross_entropy_correct(bp_tensor *logits, bp_tensor *labels, bp_tensor **correct)
{
    bp_tensor *out[BP_MAX_IO], *some = logits ? logits : labels;
    if (correct)
        *correct = NULL;
    if (!correct && some && bpi_enter(bpi_at(some)->ctx) == BP_OK) {
        bp_context *ctx = bpi_at(some)->ctx;
        bpi_fail(ctx, BP_ERR_ARG, "cross_entropy_correct: correct is NULL");
        bpi_leave(ctx);
        return NULL;
    }
    bp_tensor *loss = bpi_apply(&bpi_op_cross_entropy, (bp_tensor *[]){logits, labels}, NULL, out);
    if (loss && correct)
        *correct = bp_detach(out[1]);
    return loss;
}

bp_tensor *bp_cross_entropy(bp_tensor *logits, bp_tensor *labels)
{
    return bpi_apply2(&bpi_op_cross_entropy, logits, labels, NULL);
}
