/* Products with a Jacobian and with a Hessian, and Jacobians themselves, out of walks back.
 *
 * J v by two of them: g(w) = J^T w is linear in w, and the gradient of sum g(w) v by w is J v,
 * whatever w is. The rows of J are J^T e_k; all e_k are windows on one row of zeros with a 1. */
#include "derive/derive.h"

#include <stdio.h>

#include "autograd/apply.h"
#include "core/context.h"
#include "core/dispatch.h"
#include "core/tensor.h"
#include "core/view.h"

bp_status bpi_derive_ready(bp_context *ctx, const char *who, int32_t n)
{
    if (ctx->pending != BP_OK)
        return ctx->pending;
    if (ctx->depth == 0)
        return bpi_fail(ctx, BP_ERR_STATE, "%s: outside any scope: call it in bp_run", who);
    if (n < 1 || n > BPI_INPUTS_MAX)
        return bpi_fail(ctx, BP_ERR_ARG, "%s: %d tensors; 1 to %d are wanted", who, (int)n,
                        BPI_INPUTS_MAX);
    return BP_OK;
}

static bp_status usable(bp_context *ctx, const char *who, const char *what, int i, bp_tensor *t)
{
    char name[16];
    snprintf(name, sizeof name, "%s[%d]", what, i);
    if (!t)
        return bpi_fail(ctx, BP_ERR_ARG, "%s: %s is NULL", who, name);
    return bpi_usable(ctx, t, who, name);
}

/* v has the shapes and dtypes of x. */
static bp_status moves(bp_context *ctx, const char *who, bp_tensor *const *x, bp_tensor *const *v,
                       int32_t n)
{
    for (int i = 0; i < n; i++) {
        BPI_TRY(usable(ctx, who, "x", i, x[i]));
        BPI_TRY(usable(ctx, who, "v", i, v[i]));
        const bp_view *to = bpi_view_of(x[i]), *by = bpi_view_of(v[i]);
        if (!bpi_same_shape(&to->shape, &by->shape) || to->dtype != by->dtype)
            return bpi_fail(ctx, BP_ERR_SHAPE, "%s: v[%d] is %s %s, and x[%d] is %s %s", who, i,
                            bp_dtype_name(by->dtype), bpi_shape_str(&by->shape).s, i,
                            bp_dtype_name(to->dtype), bpi_shape_str(&to->shape).s);
    }
    return BP_OK;
}

/* The sum of all products of g and v; NULL where no g has a history. */
static bp_tensor *inner(bp_context *ctx, bp_tensor *const *g, bp_tensor *const *v, int32_t n)
{
    bp_tensor *sum = NULL;
    for (int i = 0; i < n; i++) {
        if (!bpi_asks_grad(ctx, g[i]))
            continue;
        bp_tensor *product = bp_mul(g[i], v[i]), *one = bp_sum(product);
        bp_free(product);
        sum = sum ? bp_add(sum, one) : one;
    }
    return sum;
}

/* to[i] = d inner(g, v) / d by[i]; ends g. */
static bp_status walk_again(bp_context *ctx, bp_tensor **g, bp_tensor *const *v, int32_t n,
                            bp_tensor *const *by, int32_t n_by, uint32_t flags, bp_tensor **to)
{
    bp_tensor *sum = inner(ctx, g, v, n);
    bp_status st = ctx->pending;
    if (st == BP_OK && sum)
        st = bp_grad_scalar(ctx, sum, by, n_by, flags, to);
    for (int i = 0; i < n_by && st == BP_OK && !sum; i++) {
        const bp_view *of = bpi_view_of(by[i]);
        to[i] = bpi_zeros(ctx, of->dtype, of->shape);
        st = ctx->pending;
    }
    for (int i = 0; i < n; i++)
        bp_free(g[i]);
    return st;
}

bp_status bpi_jvp(bp_context *ctx, const char *who, bp_tensor *y, bp_tensor *const *x,
                  bp_tensor *const *v, int32_t n, uint32_t flags, bp_tensor **jv)
{
    bp_tensor *g[BPI_INPUTS_MAX];
    if (flags & ~(uint32_t)BP_CREATE_GRAPH)
        return bpi_fail(ctx, BP_ERR_ARG, "%s: unknown flags", who);
    BPI_TRY(moves(ctx, who, x, v, n));
    bp_tensor *w = bp_require_grad(y);
    if (!w)
        return ctx->pending;
    BPI_TRY(bp_grad(ctx, y, w, x, n, BP_CREATE_GRAPH, g));
    return walk_again(ctx, g, v, n, &w, 1, flags, jv);
}

bp_status bpi_hvp(bp_context *ctx, const char *who, bp_tensor *y, bp_tensor *const *x,
                  bp_tensor *const *v, int32_t n, uint32_t flags, bp_tensor **hv)
{
    bp_tensor *g[BPI_INPUTS_MAX];
    BPI_TRY(moves(ctx, who, x, v, n));
    BPI_TRY(bp_grad_scalar(ctx, y, x, n, BP_CREATE_GRAPH, g));
    return walk_again(ctx, g, v, n, x, n, flags, hv);
}

/* --- the matrix itself ----------------------------------------------------------------------- */

/* Zeros with a 1 in the middle, [2 n - 1]. */
static bp_tensor *units(bp_context *ctx, bp_dtype dtype, int64_t n)
{
    bp_tensor *row = bpi_zeros(ctx, dtype, BP_SHAPE(2 * n - 1)), *one = ctx->one[dtype == BP_F64];
    bp_tensor *middle = row ? bpi_window(row, n - 1, dtype, BP_SCALAR, BPI_OWNER_LIBRARY) : NULL;
    if (middle)
        (void)!bpi_dispatch(ctx, BPI_OP_copy, BPI_FORWARD, &one, 1, &middle, 1, NULL, 0);
    bpi_kill(middle);
    return row;
}

/* jacobian[i] as fresh memory. */
static bp_status matrices(bp_context *ctx, const char *who, const bp_tensor *y,
                          bp_tensor *const *x, int32_t n, bp_tensor **jacobian)
{
    const bp_shape *of = &bpi_view_of(y)->shape;
    for (int i = 0; i < n; i++) {
        BPI_TRY(usable(ctx, who, "x", i, x[i]));
        const bp_shape *by = &bpi_view_of(x[i])->shape;
        bp_shape both = *of;
        if (of->ndim + by->ndim > BP_MAX_DIMS)
            return bpi_fail(ctx, BP_ERR_SHAPE, "%s: y %s and x[%d] %s have %d sizes together; a "
                            "shape has at most %d", who, bpi_shape_str(of).s, i,
                            bpi_shape_str(by).s, (int)(of->ndim + by->ndim), BP_MAX_DIMS);
        for (int k = 0; k < by->ndim; k++)
            both.dim[both.ndim++] = by->dim[k];
        if (!bpi_shape_valid(&both))
            return bpi_fail(ctx, BP_ERR_SHAPE, "%s: %s is too large", who,
                            bpi_shape_str(&both).s);
        jacobian[i] = bpi_fresh_packed(ctx, bpi_view_of(x[i])->dtype, both, BPI_OWNER_SCOPE);
        if (!jacobian[i])
            return ctx->pending;
    }
    return BP_OK;
}

/* Row k of all matrices. */
static bp_status fill_row(bp_context *ctx, bp_tensor *y, bp_tensor *dy, bp_tensor *const *x,
                          int32_t n, int64_t k, uint32_t flags, bp_tensor *const *jacobian)
{
    bp_tensor *dx[BPI_INPUTS_MAX];
    BPI_TRY(bp_grad(ctx, y, dy, x, n, flags, dx));
    for (int i = 0; i < n; i++) {
        const bp_view *v = bpi_view_of(dx[i]);
        int64_t begin = k * bp_shape_count(v->shape);
        bp_tensor *row = bpi_window(jacobian[i], begin, v->dtype, v->shape, BPI_OWNER_LIBRARY);
        if (row)
            (void)!bpi_dispatch(ctx, BPI_OP_copy, BPI_FORWARD, &dx[i], 1, &row, 1, NULL, 0);
        bpi_kill(row);
        bp_free(dx[i]);
    }
    return ctx->pending;
}

bp_status bpi_jacobian(bp_context *ctx, const char *who, bp_tensor *y, bp_tensor *const *x,
                       int32_t n, uint32_t flags, bp_tensor **jacobian)
{
    BPI_TRY(bpi_usable(ctx, y, who, "y"));
    if (flags & ~(uint32_t)BP_KEEP_GRAPH)
        return bpi_fail(ctx, BP_ERR_ARG, "%s: unknown flags", who);
    if (!bpi_asks_grad(ctx, y))
        return bp_grad(ctx, y, y, x, n, 0, jacobian); /* says why there is none */
    const bp_view *of = bpi_view_of(y);
    int64_t rows = bp_shape_count(of->shape);
    BPI_TRY(matrices(ctx, who, y, x, n, jacobian));
    bp_tensor *unit = units(ctx, of->dtype, rows ? rows : 1);
    for (int64_t k = 0; k < rows && ctx->pending == BP_OK; k++) {
        bp_tensor *dy = bpi_window(unit, rows - 1 - k, of->dtype, of->shape, BPI_OWNER_SCOPE);
        uint32_t keep = k + 1 < rows ? BP_KEEP_GRAPH : flags;
        if (dy)
            (void)!fill_row(ctx, y, dy, x, n, k, keep, jacobian);
        bp_free(dy);
    }
    bp_free(unit);
    return ctx->pending;
}

/* --- the calls ------------------------------------------------------------------------------- */

static bp_status jvp_of(bp_context *ctx, bp_tensor *y, bp_tensor *const *x, bp_tensor *const *v,
                        int32_t n, uint32_t flags, bp_tensor **jv)
{
    BPI_TRY(bpi_derive_ready(ctx, "jvp_of", n));
    BPI_TRY(bpi_given(ctx, y, "jvp_of: y"));
    BPI_TRY(bpi_given(ctx, x, "jvp_of: x"));
    BPI_TRY(bpi_given(ctx, v, "jvp_of: v"));
    BPI_TRY(bpi_given(ctx, jv, "jvp_of: jv"));
    return bpi_jvp(ctx, "jvp_of", y, x, v, n, flags, jv);
}

static bp_status hvp_of(bp_context *ctx, bp_tensor *y, bp_tensor *const *x, bp_tensor *const *v,
                        int32_t n, uint32_t flags, bp_tensor **hv)
{
    BPI_TRY(bpi_derive_ready(ctx, "hvp_of", n));
    BPI_TRY(bpi_given(ctx, y, "hvp_of: y"));
    BPI_TRY(bpi_given(ctx, x, "hvp_of: x"));
    BPI_TRY(bpi_given(ctx, v, "hvp_of: v"));
    BPI_TRY(bpi_given(ctx, hv, "hvp_of: hv"));
    return bpi_hvp(ctx, "hvp_of", y, x, v, n, flags, hv);
}

static bp_status jacobian_of(bp_context *ctx, bp_tensor *y, bp_tensor *const *x, int32_t n,
                             uint32_t flags, bp_tensor **jacobian)
{
    BPI_TRY(bpi_derive_ready(ctx, "jacobian_of", n));
    BPI_TRY(bpi_given(ctx, y, "jacobian_of: y"));
    BPI_TRY(bpi_given(ctx, x, "jacobian_of: x"));
    BPI_TRY(bpi_given(ctx, jacobian, "jacobian_of: jacobian"));
    return bpi_jacobian(ctx, "jacobian_of", y, x, n, flags, jacobian);
}

/* Nothing is handed out by a call that failed. */
static bp_status ended(bp_status st, bp_tensor **result, int32_t n)
{
    for (int i = 0; i < n && n <= BPI_INPUTS_MAX && st != BP_OK && result; i++)
        bp_free(result[i]);
    if (st != BP_OK)
        bpi_derive_clear(result, n);
    return st;
}

bp_status bp_jvp_of(bp_context *ctx, bp_tensor *y, bp_tensor *const *x, bp_tensor *const *v,
                    int32_t n, uint32_t flags, bp_tensor **jv)
{
    bpi_derive_clear(jv, 1);
    BPI_INSIDE(ctx, ended(jvp_of(ctx, y, x, v, n, flags, jv), jv, 1));
}

bp_status bp_hvp_of(bp_context *ctx, bp_tensor *y, bp_tensor *const *x, bp_tensor *const *v,
                    int32_t n, uint32_t flags, bp_tensor **hv)
{
    bpi_derive_clear(hv, n);
    BPI_INSIDE(ctx, ended(hvp_of(ctx, y, x, v, n, flags, hv), hv, n));
}

bp_status bp_jacobian_of(bp_context *ctx, bp_tensor *y, bp_tensor *const *x, int32_t n,
                         uint32_t flags, bp_tensor **jacobian)
{
    bpi_derive_clear(jacobian, n);
    BPI_INSIDE(ctx, ended(jacobian_of(ctx, y, x, n, flags, jacobian), jacobian, n));
}
