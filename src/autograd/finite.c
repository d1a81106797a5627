/* In a scope with BP_CHECK_FINITE: each op's outputs are read as soon as they are there, and the
 * first that holds a number that is not finite is told, with the op and the element. Infinities
 * that came in may go out: a mask of them is no mistake. So are gradients on their way back. */
#include "autograd/finite.h"

#include <math.h>

#include "core/context.h"
#include "core/error.h"
#include "core/view.h"

/* The element that is NaN, else the first infinite one; count where all are finite. */
static int64_t first_bad(const double *x, int64_t count)
{
    int64_t bad = count;
    for (int64_t i = 0; i < count; i++) {
        if (isnan(x[i]))
            return i;
        if (bad == count && isinf(x[i]))
            bad = i;
    }
    return bad;
}

/* Where a tensor holds such a number, and which; false on an error, which is pending. */
static bool look(bp_context *ctx, bp_tensor *t, int64_t *place, double *number)
{
    int64_t count = bp_shape_count(bp_shape_of(t));
    size_t bytes = (size_t)count * sizeof(double);
    *place = -1;
    if (!bpi_is_real(bp_dtype_of(t)) || count == 0)
        return true;
    double *x = bpi_host_alloc(ctx, bytes);
    if (!x)
        bpi_fail(ctx, BP_ERR_NOMEM, "no memory to look for numbers that are not finite");
    bool read = x && bp_read_f64(t, x, count) == BP_OK;
    int64_t bad = read ? first_bad(x, count) : count;
    if (bad < count) {
        *place = bad;
        *number = isnan(x[bad]) ? (double)NAN : x[bad]; /* no sign is told of one */
    }
    bpi_host_free(ctx, x, bytes);
    return read;
}

/* Whether one of n tensors, some of them NULL, holds such a number. */
static bool came_in(bp_context *ctx, bp_tensor *const *t, int n)
{
    int64_t place = -1;
    double number;
    for (int i = 0; i < n && place < 0; i++)
        if (t[i] && !look(ctx, t[i], &place, &number))
            return true;
    return place >= 0;
}

bool bpi_gradient_finite(bp_context *ctx, const bp_op *op, const bp_grad_call *c, int i)
{
    int64_t place;
    double number = 0;
    if (!look(ctx, c->dx[i], &place, &number))
        return false;
    bp_shape shape = bp_shape_of(c->dx[i]);
    if (place >= 0 && (isnan(number) || !(came_in(ctx, c->dout, c->n_out) ||
                                          came_in(ctx, c->in, c->n_in) ||
                                          came_in(ctx, c->out, c->n_out))))
        bpi_fail(ctx, BP_ERR_NONFINITE, "%s: dx of input %d %s is %g at element %lld", op->def.name,
                 i, bpi_shape_str(&shape).s, number, (long long)place);
    return ctx->pending == BP_OK;
}

bool bpi_outputs_finite(bp_context *ctx, const bp_op *op, bp_tensor *const *in,
                        bp_tensor *const *out)
{
    for (int i = 0; i < op->def.n_out; i++) {
        int64_t place, from;
        double number = 0, given = 0;
        if (!look(ctx, out[i], &place, &number))
            return false;
        for (int k = 0; place >= 0 && k < op->def.n_in; k++) {
            bp_shape shape = bp_shape_of(in[k]);
            if (!look(ctx, in[k], &from, &given))
                return false;
            if (from >= 0 && isnan(number))
                bpi_fail(ctx, BP_ERR_NONFINITE, "%s: input %d %s is %g at element %lld",
                         op->def.name, k, bpi_shape_str(&shape).s, given, (long long)from);
            if (from >= 0)
                place = -1;
        }
        bp_shape shape = bp_shape_of(out[i]);
        if (place >= 0)
            bpi_fail(ctx, BP_ERR_NONFINITE, "%s: y %s is %g at element %lld, of finite inputs",
                     op->def.name, bpi_shape_str(&shape).s, number, (long long)place);
        if (ctx->pending != BP_OK)
            return false;
    }
    return true;
}
