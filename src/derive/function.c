/* The same of a function of the host's, which makes the y. It works in a scope of its own, so that
 * nothing but the results is left when the call returns. The products: derive.c. */
#include "derive/derive.h"

#include "core/context.h"
#include "core/tensor.h"

bp_status bpi_call_function(bp_context *ctx, const char *who, bp_function f, void *user,
                            bp_tensor *const *x, bp_tensor **y)
{
    BPI_CALLBACK(callback);
    bpi_callback_begin(&callback, ctx, false);
    *y = f(ctx, x, user);
    BPI_TRY(bpi_callback_over(&callback, who));
    if (ctx->pending != BP_OK)
        return ctx->pending;
    if (!*y)
        return bpi_fail(ctx, BP_ERR_ARG, "%s: what the function gives is NULL", who);
    return bpi_usable(ctx, *y, who, "what the function gives");
}

enum product { VJP, JVP, HVP, JACOBIAN };

typedef struct job {
    enum product product;
    const char *who;
    bp_function f;
    void *user;
    bp_tensor *const *x, *const *v;
    bp_tensor *dy, *y, **result;
    int32_t n, n_results;
    bp_status st; /* also where the function has ended the scope, and its error with it */
} job;

static bp_status multiply(bp_context *ctx, const job *j, bp_tensor *y, bp_tensor *const *x)
{
    switch (j->product) {
    case VJP:
        return bp_grad(ctx, y, j->dy, x, j->n, 0, j->result);
    case JVP:
        return bpi_jvp(ctx, j->who, y, x, j->v, j->n, 0, j->result);
    case HVP:
        return bpi_hvp(ctx, j->who, y, x, j->v, j->n, 0, j->result);
    default:
        return bpi_jacobian(ctx, j->who, y, x, j->n, 0, j->result);
    }
}

/* Out of the scope, and out of history. */
static void take(bp_tensor *t)
{
    bpi_take_from_scope(t);
    bpi_at(t)->owner = BPI_OWNER_LIBRARY;
    bpi_at(t)->place.serial = 0;
}

static bp_status make(bp_context *ctx, job *j)
{
    bp_tensor *x[BPI_INPUTS_MAX], *y;
    for (int i = 0; i < j->n; i++) {
        if (!j->x[i])
            return bpi_fail(ctx, BP_ERR_ARG, "%s: x[%d] is NULL", j->who, i);
        if (!(x[i] = bp_require_grad(j->x[i])))
            return ctx->pending;
    }
    BPI_TRY(bpi_call_function(ctx, j->who, j->f, j->user, x, &y));
    BPI_TRY(multiply(ctx, j, y, x));
    if (!(j->y = bp_detach(y)))
        return ctx->pending;
    take(j->y);
    for (int i = 0; i < j->n_results; i++)
        take(j->result[i]);
    return BP_OK;
}

static bp_status step(bp_context *ctx, void *user)
{
    job *j = user;
    return j->st = make(ctx, j);
}

static bp_status derive(bp_context *ctx, job *j, bp_tensor **y)
{
    BPI_TRY(bpi_derive_ready(ctx, j->who, j->n));
    static const char *const results[] = {"dx", "jv", "hv", "jacobian"};
    bool has_v = j->product == JVP || j->product == HVP;
    const char *null = !j->f                          ? "f"
                       : !j->x                        ? "x"
                       : has_v && !j->v               ? "v"
                       : j->product == VJP && !j->dy ? "dy"
                       : !j->result                   ? results[j->product]
                                                      : NULL;
    if (null)
        return bpi_fail(ctx, BP_ERR_ARG, "%s: %s is NULL", j->who, null);
    bp_status st = bp_run(ctx, 0, step, j);
    if (st == BP_OK)
        st = j->st;
    for (int i = 0; i < j->n_results; i++) {
        if (st == BP_OK) {
            bpi_give_to_scope(j->result[i]);
        } else {
            bpi_kill(j->result[i]);
            j->result[i] = NULL;
        }
    }
    if (st == BP_OK && y)
        bpi_give_to_scope(*y = j->y);
    else
        bpi_kill(j->y);
    return st;
}

static bp_status clear_and_derive(bp_context *ctx, job j, bp_tensor **y)
{
    if (y)
        *y = NULL;
    bpi_derive_clear(j.result, j.n_results);
    BPI_INSIDE(ctx, derive(ctx, &j, y));
}

bp_status bp_vjp(bp_context *ctx, bp_function f, void *user, bp_tensor *const *x, int32_t n,
                 bp_tensor *dy, bp_tensor **y, bp_tensor **dx)
{
    return clear_and_derive(ctx, (job){.product = VJP, .who = "vjp", .f = f, .user = user, .x = x,
                                       .n = n, .dy = dy, .result = dx, .n_results = n}, y);
}

bp_status bp_jvp(bp_context *ctx, bp_function f, void *user, bp_tensor *const *x,
                 bp_tensor *const *v, int32_t n, bp_tensor **y, bp_tensor **jv)
{
    return clear_and_derive(ctx, (job){.product = JVP, .who = "jvp", .f = f, .user = user, .x = x,
                                       .v = v, .n = n, .result = jv, .n_results = 1}, y);
}

bp_status bp_hvp(bp_context *ctx, bp_function f, void *user, bp_tensor *const *x,
                 bp_tensor *const *v, int32_t n, bp_tensor **y, bp_tensor **hv)
{
    return clear_and_derive(ctx, (job){.product = HVP, .who = "hvp", .f = f, .user = user, .x = x,
                                       .v = v, .n = n, .result = hv, .n_results = n}, y);
}

bp_status bp_jacobian(bp_context *ctx, bp_function f, void *user, bp_tensor *const *x, int32_t n,
                      bp_tensor **y, bp_tensor **jacobian)
{
    return clear_and_derive(ctx, (job){.product = JACOBIAN, .who = "jacobian", .f = f,
                                       .user = user, .x = x, .n = n, .result = jacobian,
                                       .n_results = n}, y);
}
