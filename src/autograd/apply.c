/* How every op runs: check the inputs, infer the outputs, run forward or the composition, append
 * to the tape. Built-in and registered ops take this one path. */
#include "autograd/apply.h"

#include <stdio.h>
#include <string.h>

#include "autograd/finite.h"
#include "core/context.h"
#include "core/dispatch.h"
#include "core/error.h"
#include "core/tensor.h"
#include "core/view.h"

/* What is told where there is nothing that leads to a context. */
static const char *const no_input[] = {
#define BPI_OP(name) #name ": input 0 is NULL",
#define BPI_VIEW(name) #name ": input 0 is NULL",
#include "door/ops.def"
};

bp_context *bpi_begin_in(bp_context *ctx, const char *name)
{
    if (bpi_enter(ctx) != BP_OK)
        return NULL;
    if (ctx->depth == 0)
        bpi_fail(ctx, BP_ERR_STATE,
                 "%s: an op outside any scope: call it in bp_run, or after bp_scope_begin", name);
    else if (ctx->pending == BP_OK)
        return ctx;
    bpi_leave(ctx);
    return NULL;
}

/* An op of one context got a tensor of this other one, whose step may be the one that runs. */
static void tell_other(bp_context *other, const char *name)
{
    if (bpi_enter(other) != BP_OK)
        return;
    if (other->depth > 0)
        bpi_fail(other, BP_ERR_DEVICE, "%s: it, or another operand, belongs to another context",
                 name);
    bpi_leave(other);
}

bp_context *bpi_begin(bp_context *ctx, const char *name, const char *none, bp_tensor *const *in,
                      int n)
{
    return bpi_begin_named(ctx, name, none, in, n, NULL);
}

bp_context *bpi_begin_named(bp_context *ctx, const char *name, const char *none,
                            bp_tensor *const *in, int n, const char *const *names)
{
    static const char *const what[] = {"input 0", "input 1", "input 2", "input 3"};
    int null = -1;
    for (int i = 0; i < n; i++)
        if (!in[i])
            null = null < 0 ? i : null;
        else if (!ctx)
            ctx = bpi_at(in[i])->ctx;
        else if (bpi_at(in[i])->ctx != ctx)
            tell_other(bpi_at(in[i])->ctx, name);
    if (!ctx)
        bpi_tell_thread(BP_ERR_ARG, none);
    if (!ctx || !bpi_begin_in(ctx, name))
        return NULL;
    if (null >= 0 && names)
        bpi_fail(ctx, BP_ERR_ARG, "%s: %s is NULL", name, names[null]);
    else if (null >= 0)
        bpi_fail(ctx, BP_ERR_ARG, "%s: input %d is NULL", name, null);
    for (int i = 0; i < n && ctx->pending == BP_OK; i++)
        (void)!bpi_usable(ctx, in[i], name,
                          names           ? names[i]
                          : i < BP_MAX_IO ? what[i]
                                          : "an input after the fourth");
    if (ctx->pending == BP_OK)
        return ctx;
    bpi_leave(ctx);
    return NULL;
}

enum { WHY = 160 }; /* room for the reason of a shape rule */

/* The host's shape rule. */
static bp_status call_infer(bp_context *ctx, const bp_op *op, const bp_view *in, const void *params,
                            bp_view *out, char *why)
{
    bp_view shapes[BP_MAX_IO];
    for (int i = 0; i < op->def.n_in; i++) {
        shapes[i] = in[i];
        shapes[i].data = NULL;
    }
    BPI_CALLBACK(callback);
    bpi_callback_begin(&callback, ctx, false);
    bp_status st = op->def.infer(shapes, out, params, why);
    bp_status told = bpi_callback_over(&callback, op->def.name);
    why[WHY - 1] = '\0';
    return told != BP_OK ? told : st;
}

static bool infer(bp_context *ctx, const bp_op *op, const bp_view *in, const void *params,
                  bp_view *out)
{
    char why[WHY] = "";
    for (int i = 0; i < op->def.n_out; i++)
        out[i].dtype = out[i].shape.ndim = 0;
    bp_status st = op->id < 0 ? call_infer(ctx, op, in, params, out, why)
                              : op->def.infer(in, out, params, why);
    if (st != BP_OK)
        bpi_fail(ctx, st, "%s: %s", op->def.name, why[0] ? why : bp_status_name(st));
    for (int i = 0; i < op->def.n_out && st == BP_OK; i++) {
        if (!bp_dtype_bytes(out[i].dtype) || !bpi_shape_valid(&out[i].shape))
            st = bpi_fail(ctx, BP_ERR_SHAPE, "%s: output %d would be %s %s: no valid shape",
                          op->def.name, i, bp_dtype_name(out[i].dtype),
                          bpi_shape_str(&out[i].shape).s);
        else if (op->id < 0)
            bpi_view_packed(&out[i], out[i].dtype, out[i].shape);
    }
    return st == BP_OK;
}

/* Runs the forward kernel into fresh outputs; *aux is set if the op wants its gradient later. */
static bool forward(bp_context *ctx, const bp_op *op, const bpi_kernel *kernel,
                    bp_tensor *const *in, const bp_view *in_view, bp_view *out_view,
                    const void *params, bool record, bp_tensor **out, bp_tensor **aux)
{
    bp_tensor *operand[BPI_KERNEL_IO], *result[BPI_KERNEL_IO];
    int n_in = op->def.n_in, n_out = op->def.n_out;
    for (int i = 0; i < n_out; i++) {
        out[i] = result[i] = bpi_fresh(ctx, &out_view[i], BPI_OWNER_SCOPE);
        if (!out[i])
            return false;
    }
    for (int i = 0; i < n_in; i++)
        operand[i] = in[i];
    if (op->flags & BPI_OP_DRAWS)
        operand[n_in++] = ctx->rng;
    if (kernel->aux_bytes) {
        size_t bytes = record ? kernel->aux_bytes(in_view, params) : 0;
        if (bytes) {
            *aux = bpi_fresh_packed(ctx, BP_U8, BP_SHAPE((int64_t)bytes), BPI_OWNER_LIBRARY);
            if (!*aux)
                return false;
        }
        result[n_out++] = *aux;
    }
    int32_t number = op->id < 0 ? op->id : op->id * BPI_SLOTS + BPI_FORWARD;
    return bpi_dispatch_kernel(ctx, number, kernel, operand, n_in, result, n_out, params,
                               op->def.params_bytes) == BP_OK;
}

bp_status bpi_check_given(bp_context *ctx, const bp_op *op, const char *given, int i, bp_tensor *t,
                          bp_dtype dtype, const bp_shape *shape)
{
    char what[64];
    snprintf(what, sizeof what, "%s[%d]", given, i);
    if (!t)
        return bpi_fail(ctx, BP_ERR_ARG, "%s: %s is NULL", op->def.name, what);
    BPI_TRY(bpi_usable(ctx, t, op->def.name, what));
    const bp_view *v = bpi_view_of(t);
    bool fits = bpi_same_shape(&v->shape, shape);
    if (fits && v->dtype == dtype)
        return BP_OK;
    return bpi_fail(ctx, fits ? BP_ERR_DTYPE : BP_ERR_SHAPE, "%s: %s is %s %s, and %s %s is wanted",
                    op->def.name, what, bp_dtype_name(v->dtype), bpi_shape_str(&v->shape).s,
                    bp_dtype_name(dtype), bpi_shape_str(shape).s);
}

static bool one_value(bp_context *ctx, bp_tensor *a, bp_tensor *b)
{
    return a == b || (bpi_asks_grad(ctx, a) && bpi_node_of(ctx, a) == bpi_node_of(ctx, b) &&
                      bpi_at(a)->place.out == bpi_at(b)->place.out);
}

/* Output i of a composition: a handle of its own, so that freeing it frees nothing else; and where
 * it is an input or another output too, a value of its own, with a gradient of its own. */
static bp_tensor *handed_out(bp_context *ctx, const bp_op *op, bp_tensor *const *in,
                             bp_tensor *const *made, int i)
{
    bool seen = false;
    for (int k = 0; k < op->def.n_in; k++)
        seen |= one_value(ctx, made[i], in[k]);
    for (int k = 0; k < op->def.n_out; k++)
        seen |= k != i && one_value(ctx, made[i], made[k]);
    if (seen)
        return bpi_same(ctx, made[i]);
    bp_tensor *out = bpi_clone(made[i]);
    if (out)
        bpi_give_to_scope(out);
    return out;
}

/* The host's composition, which may hand out anything. */
static bp_status call_compose(bp_context *ctx, const bp_op *op, bp_tensor *const *in,
                              const void *params, const bp_view *want, bp_tensor **out)
{
    bp_tensor *made[BP_MAX_IO] = {NULL};
    BPI_CALLBACK(callback);
    bpi_callback_begin(&callback, ctx, false);
    bp_status st = op->compose(ctx, in, params, made);
    bp_status told = bpi_callback_over(&callback, op->def.name);
    st = told != BP_OK ? told : ctx->pending != BP_OK ? ctx->pending : st;
    if (st != BP_OK)
        return bpi_fail(ctx, st, "%s: its composition failed: %s", op->def.name,
                        bp_status_name(st));
    for (int i = 0; i < op->def.n_out; i++) {
        const bp_view *v = want ? &want[i] : made[i] ? bpi_view_of(made[i]) : &(bp_view){0};
        BPI_TRY(bpi_check_given(ctx, op, "its composition's out", i, made[i], v->dtype,
                                &v->shape));
    }
    for (int i = 0; i < op->def.n_out; i++)
        if (!(out[i] = handed_out(ctx, op, in, made, i)))
            return BP_ERR_NOMEM;
    return BP_OK;
}

bp_status bpi_compose(bp_context *ctx, const bp_op *op, bp_tensor *const *in, const void *params,
                      const bp_view *want, bp_tensor **out)
{
    return op->id < 0 ? call_compose(ctx, op, in, params, want, out)
                      : op->compose(ctx, in, params, out);
}

static bool make_view(bp_context *ctx, bp_tensor *x, bp_view *view, bp_tensor **out)
{
    out[0] = bpi_handle(ctx, bpi_at(x)->storage, view, BPI_OWNER_SCOPE);
    return out[0] != NULL;
}

static bool run(bp_context *ctx, const bp_op *op, bp_tensor *const *in, const void *params,
                bp_tensor **out)
{
    bp_view in_view[BP_MAX_IO], out_view[BP_MAX_IO];
    bool record = false;
    for (int i = 0; i < op->def.n_in; i++) {
        in_view[i] = *bpi_view_of(in[i]);
        record |= bpi_asks_grad(ctx, in[i]);
    }
    if (!op->def.infer) /* registered, without a kernel */
        return bpi_compose(ctx, op, in, params, NULL, out) == BP_OK;
    if (!infer(ctx, op, in_view, params, out_view))
        return false;
    record = record && !ctx->no_grad && bpi_is_real(out_view[0].dtype); /* integers have none */
    bp_tensor *aux = NULL;
    bool done;
    if (op->flags & BPI_OP_IS_VIEW) {
        done = make_view(ctx, in[0], out_view, out);
    } else {
        bp_dtype compute = out_view[0].dtype;
        if (!bpi_is_real(compute))
            compute = bpi_compute_dtype(in, op->def.n_in, NULL, 0);
        const bpi_kernel *kernel = bpi_find_kernel(ctx, op, BPI_FORWARD, compute);
        if (!kernel && op->compose) /* its primitives are recorded instead */
            return bpi_compose(ctx, op, in, params, out_view, out) == BP_OK && out[0];
        if (!kernel) {
            bpi_fail(ctx, BP_ERR_UNSUPPORTED, "%s: %s has no kernel for %s", op->def.name,
                     ctx->device->name, bp_dtype_name(compute));
            return false;
        }
        if (record && !op->def.gradient && !op->compose) {
            bpi_fail(ctx, BP_ERR_UNSUPPORTED, "%s has no gradient, and an input asks for one",
                     op->def.name);
            return false;
        }
        done = forward(ctx, op, kernel, in, in_view, out_view, params, record, out, &aux);
    }
    if (done && record)
        done = bpi_record(ctx, op, in, out, aux, params) == BP_OK;
    else
        bpi_kill(aux);
    return done;
}

bp_tensor *bpi_apply(const bp_op *op, bp_tensor *const *in, const void *params, bp_tensor **out)
{
    bp_tensor *made[BP_MAX_IO] = {NULL};
    for (int i = 0; out && i < op->def.n_out; i++)
        out[i] = NULL;
    bool own = op->id < 0;
    const char *none = own ? "" : op->none ? op->none : no_input[op->id];
    bp_context *ctx = bpi_begin(own ? op->ctx : NULL, op->def.name, none, in, op->def.n_in);
    if (!ctx)
        return NULL;
    bool done = run(ctx, op, in, params, made);
    if (done && ctx->check_finite)
        done = bpi_outputs_finite(ctx, op, in, made);
    for (int i = 0; i < op->def.n_out; i++) {
        if (!done)
            bpi_kill(made[i]);
        else if (out)
            out[i] = made[i];
    }
    bpi_leave(ctx);
    return done ? made[0] : NULL;
}

bp_tensor *bpi_apply1(const bp_op *op, bp_tensor *x, const void *params)
{
    return bpi_apply(op, &x, params, NULL);
}

bp_tensor *bpi_apply2(const bp_op *op, bp_tensor *a, bp_tensor *b, const void *params)
{
    bp_tensor *in[2] = {a, b};
    return bpi_apply(op, in, params, NULL);
}
