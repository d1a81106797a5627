/* A store's parameters as one vector of f64, and the user's function at it. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "core/context.h"
#include "core/handle.h"
#include "core/params.h"
#include "core/view.h"
#include "minimize/minimize.h"

const char *bp_stop_text(bp_stop stop)
{
    static const char *const text[] = {
        "it goes on, or failed",
        "the gradient is as small as was asked for",
        "the value no longer changes by more than was asked for",
        "steps are shorter than was asked for",
        "the value that was asked for is reached",
        "as many iterations, or evaluations, as were asked for are done",
        "no step that can be told from none lowers the value"};
    return stop >= 0 && stop < (bp_stop)(sizeof text / sizeof *text) ? text[stop] : "?";
}

/* --- memory and options ---------------------------------------------------------------------- */

void bpi_room_free(bpi_room *room)
{
    if (room->p)
        bpi_host_free(room->ctx, room->p, room->bytes);
    room->p = NULL;
}

bp_status bpi_room_take(bpi_room *room, bp_context *ctx, const char *who, double bytes)
{
    room->ctx = ctx;
    room->bytes = bytes < 0x1p46 ? (size_t)bytes + 64 : 0;
    room->p = room->bytes ? bpi_host_alloc(ctx, room->bytes) : NULL;
    if (!room->p)
        return bpi_fail(ctx, BP_ERR_NOMEM, "%s: no memory for %.0f bytes", who, bytes);
    return BP_OK;
}

double *bpi_room_part(bpi_room *room, int64_t n)
{
    double *part = (double *)((char *)room->p + room->used);
    room->used += (size_t)n * sizeof *part;
    return part;
}

bp_status bpi_options(bp_context *ctx, const char *who, void *ours, size_t our_bytes,
                      const void *given)
{
    char why[160] = "";
    size_t bytes = 0;
    if (!given)
        return BP_OK;
    memcpy(&bytes, given, sizeof bytes); /* the first member of each */
    bp_status st = bpi_take_struct(ours, our_bytes, given, bytes, our_bytes, why);
    return st == BP_OK ? st : bpi_fail(ctx, st, "%s: options: %s", who, why);
}

bp_status bpi_tolerance(bp_context *ctx, const char *who, const char *name, double given,
                        double usual, double *tolerance)
{
    if (isnan(given))
        return bpi_fail(ctx, BP_ERR_ARG, "%s: the tolerance %s is NaN", who, name);
    *tolerance = given == 0 ? usual : given < 0 ? -1 : given;
    return BP_OK;
}

/* --- the vector ------------------------------------------------------------------------------ */

bp_status bpi_minimize_ready(bp_context *ctx, const char *who)
{
    BPI_TRY(bpi_not_recording(ctx, who));
    if (ctx->depth > 0)
        return bpi_fail(ctx, BP_ERR_STATE, "%s: in a scope: call it outside", who);
    return BP_OK;
}

void bpi_problem_free(bpi_problem *p)
{
    bpi_room_free(&p->room);
    if (p->params)
        bpi_params_release(p->params);
}

bp_status bpi_problem_open(bpi_problem *p, const char *who, bp_params *params, bp_objective_fn f,
                           void *user)
{
    bp_context *ctx = params->ctx;
    p->ctx = ctx;
    p->who = who;
    p->params = params; /* which a function of the user's may free */
    params->counted.refs++;
    p->f = f;
    p->user = user;
    p->now.value = NAN;
    BPI_TRY(bpi_minimize_ready(ctx, who));
    BPI_TRY(bpi_params_materialize(params));
    int64_t most = 0;
    for (int64_t i = 0; i < params->n; i++) {
        int64_t n = bp_shape_count(params->segment[i].shape);
        if (!bpi_segment_trains(&params->segment[i]) || !n)
            continue;
        p->parts++;
        p->n += n;
        most = n > most ? n : most;
    }
    if (!p->n)
        return bpi_fail(ctx, BP_ERR_ARG, "%s: the store has no parameter that is not frozen", who);
    BPI_TRY(bpi_room_take(&p->room, ctx, who, 8.0 * (double)most + 16.0 * p->parts));
    p->packed = bpi_room_part(&p->room, most);
    p->part = (bp_tensor **)bpi_room_part(&p->room, p->parts);
    p->place = (int32_t *)bpi_room_part(&p->room, p->parts);
    int32_t k = 0;
    for (int32_t i = 0; i < params->n; i++)
        if (bpi_segment_trains(&params->segment[i]) &&
            bp_shape_count(params->segment[i].shape)) {
            p->place[k] = i;
            p->part[k++] = params->segment[i].value;
        }
    return BP_OK;
}

bp_status bpi_problem_read(bpi_problem *p, double *x)
{
    BPI_TRY(bp_read_all(p->ctx, p->part, p->parts, x, p->n));
    for (int64_t i = 0; i < p->n; i++)
        if (!isfinite(x[i]))
            return bpi_params_finite(p->params, p->who);
    return BP_OK;
}

/* n numbers in the store's dtype. */
static const void *packed(const bpi_problem *p, const double *x, int64_t n)
{
    float *to = p->packed;
    if (p->params->dtype == BP_F64)
        return x;
    for (int64_t i = 0; i < n; i++)
        to[i] = (float)x[i];
    return to;
}

bp_status bpi_problem_write(bpi_problem *p, const double *x)
{
    size_t bytes = p->params->dtype == BP_F32 ? 4 : 8;
    for (int32_t k = 0; k < p->parts; k++) {
        int64_t n = bp_shape_count(bp_shape_of(p->part[k]));
        BPI_TRY(bp_write(p->part[k], packed(p, x, n), (size_t)n * bytes));
        x += n;
    }
    return BP_OK;
}

bp_status bpi_problem_vectors(bpi_problem *p, const double *x, bp_tensor **v)
{
    for (int32_t k = 0; k < p->parts; k++) {
        bp_shape shape = bp_shape_of(p->part[k]);
        int64_t n = bp_shape_count(shape);
        BPI_TRY(bpi_uploaded(p->ctx, p->params->dtype, shape, packed(p, x, n), BPI_OWNER_SCOPE,
                             &v[k]));
        x += n;
    }
    return BP_OK;
}

/* --- the function ---------------------------------------------------------------------------- */

bp_status bpi_problem_call(bpi_problem *p, bp_tensor **y)
{
    BPI_CALLBACK(callback);
    bpi_callback_begin(&callback, p->ctx, false);
    *y = p->f(p->ctx, p->user);
    BPI_TRY(bpi_callback_over(&callback, p->who));
    if (p->ctx->pending != BP_OK)
        return p->ctx->pending;
    if (!*y)
        return bpi_fail(p->ctx, BP_ERR_ARG, "%s: what the function gives is NULL", p->who);
    bp_dtype dtype = bp_dtype_of(*y);
    if (dtype == BP_F32 || dtype == BP_F64)
        return BP_OK;
    return bpi_fail(p->ctx, BP_ERR_DTYPE, "%s: the function gives %s; a real tensor is wanted",
                    p->who, bp_dtype_name(dtype));
}

bp_status bpi_problem_number(bpi_problem *p, bp_tensor **y)
{
    BPI_TRY(bpi_problem_call(p, y));
    bp_shape shape = bp_shape_of(*y);
    if (bp_shape_count(shape) == 1)
        return BP_OK;
    return bpi_fail(p->ctx, BP_ERR_SHAPE, "%s: the function gives %s; one number is wanted",
                    p->who, bpi_shape_str(&shape).s);
}

bp_status bpi_problem_residuals(bpi_problem *p, bp_tensor **r)
{
    bp_tensor *y;
    BPI_TRY(bpi_problem_call(p, &y));
    int64_t m = bp_shape_count(bp_shape_of(y));
    if (m < 1 || (p->m > 0 && p->m != m))
        return bpi_fail(p->ctx, BP_ERR_SHAPE, "%s: the function gives %lld residuals; %s is wanted",
                        p->who, (long long)m, m < 1 ? "one at least" : "the number of before");
    p->m = m;
    *r = bp_reshape(y, BP_SHAPE(m));
    bp_tensor *half = bp_scale(bp_sum(bp_square(*r)), 0.5);
    return half ? bp_read_f64(half, &p->value, 1) : p->ctx->pending;
}

static bp_status evaluate(bp_context *ctx, bpi_problem *p)
{
    bp_tensor *y;
    BPI_TRY(bpi_problem_number(p, &y));
    if (p->gradient)
        BPI_TRY(bp_backward(ctx, y));
    BPI_TRY(bp_read_f64(y, &p->value, 1));
    double *to = p->gradient;
    for (int32_t k = 0; k < p->parts && to; k++) {
        int64_t n = bp_shape_count(bp_shape_of(p->part[k]));
        bp_tensor *g = bp_param_grad(p->params, p->place[k]);
        memset(to, 0, (size_t)n * sizeof *to);
        if (g)
            BPI_TRY(bp_read_f64(g, to, n));
        to += n;
    }
    return BP_OK;
}

bp_status bpi_problem_run(bpi_problem *p, bp_step_fn step, void *state)
{
    bp_status st = bp_run(p->ctx, 0, step, state);
    return st != BP_OK ? st : p->st;
}

bp_status bpi_problem_few_parts(const bpi_problem *p)
{
    if (p->parts <= BPI_PARTS_MAX)
        return BP_OK;
    return bpi_fail(p->ctx, BP_ERR_ARG, "%s: %d parameters are not frozen; at most %d may be",
                    p->who, (int)p->parts, BPI_PARTS_MAX);
}

static bp_status step(bp_context *ctx, void *user)
{
    bpi_problem *p = user;
    return p->st = evaluate(ctx, p);
}

bp_status bpi_problem_at(bpi_problem *p, const double *x)
{
    p->now.evaluations++;
    BPI_TRY(bpi_problem_write(p, x));
    if (p->gradient)
        BPI_TRY(bp_grad_clear(p->params));
    bp_status st = bp_run(p->ctx, p->gradient ? 0 : BP_NO_GRAD, step, p);
    if (p->gradient)
        BPI_TRY(bp_grad_clear(p->params));
    return st != BP_OK ? st : p->st;
}

bp_status bpi_not_finite(bp_context *ctx, const char *who, const char *where, double value)
{
    if (isnan(value))
        value = NAN; /* no sign */
    return bpi_fail(ctx, BP_ERR_NONFINITE, "%s: the value %s is %g", who, where, value);
}

/* --- telling --------------------------------------------------------------------------------- */

bp_status bpi_tell(bpi_problem *p)
{
    if (!p->each)
        return BP_OK;
    char before[sizeof p->ctx->text];
    snprintf(before, sizeof before, "%s", bp_error_text(p->ctx));
    bp_found now = p->now;
    now.struct_bytes = sizeof now;
    BPI_CALLBACK(callback);
    bpi_callback_begin(&callback, p->ctx, false);
    bp_status st = p->each(p->ctx, &now, p->each_user);
    BPI_TRY(bpi_callback_over(&callback, p->who));
    if (st == BP_OK || strcmp(before, bp_error_text(p->ctx)) != 0) /* it is told already */
        return st;
    return bpi_fail(p->ctx, st, "%s: the callback of iteration %lld returned \"%s\"", p->who,
                    (long long)now.iterations, bp_status_name(st));
}

bp_status bpi_ended(bpi_problem *p, bp_status st, bp_found *result)
{
    if (st != BP_OK)
        p->now.stop = BP_STOP_NONE;
    if (result) {
        p->now.struct_bytes = result->struct_bytes;
        bpi_give_struct(result, result->struct_bytes, &p->now, sizeof p->now);
    }
    return st;
}

/* --- a call ---------------------------------------------------------------------------------- */

static bp_status call(bp_context *ctx, const char *who, bpi_minimise_fn minimise,
                      const double usual[3], bp_params *params, bp_objective_fn f,
                      const char *f_name, void *user, const bp_minimize_options *given,
                      bp_found *result)
{
    static const char *const name[] = {"gradient", "value", "step"};
    bp_minimize_options o = {0};
    BPI_PROBLEM(p);
    BPI_TRY(bpi_result_fits(ctx, who, "the result", result, sizeof *result));
    if (!f)
        return bpi_fail(ctx, BP_ERR_ARG, "%s: %s is NULL", who, f_name);
    BPI_TRY(bpi_options(ctx, who, &o, sizeof o, given));
    const double given_tolerance[] = {o.gradient, o.value, o.step};
    for (int i = 0; i < 3; i++)
        BPI_TRY(bpi_tolerance(ctx, who, name[i], given_tolerance[i], usual[i], &p.tolerance[i]));
    if (o.iterations < 0)
        return bpi_fail(ctx, BP_ERR_ARG, "%s: %lld iterations; 0 or more are wanted", who,
                        (long long)o.iterations);
    o.iterations = o.iterations ? o.iterations : 1000;
    BPI_TRY(bpi_problem_open(&p, who, params, f, user));
    p.each = o.each;
    p.each_user = o.user;
    return bpi_ended(&p, minimise(&p, &o), result);
}

bp_status bpi_minimise(const char *who, bpi_minimise_fn minimise, const double usual[3],
                       bp_params *params, bp_objective_fn f, const char *f_name, void *user,
                       const bp_minimize_options *given, bp_found *result)
{
    bp_context *ctx = params->ctx;
    BPI_INSIDE(ctx, call(ctx, who, minimise, usual, params, f, f_name, user, given, result));
}

bp_status bpi_descend(bpi_problem *p, double *x, bp_status (*begin)(void *state),
                      bp_status (*iterate)(void *state), void *state)
{
    BPI_TRY(bpi_problem_read(p, x));
    bp_status st = begin(state);
    while (st == BP_OK && p->now.stop == BP_STOP_NONE)
        st = iterate(state);
    bp_status back = bpi_problem_write(p, x);
    return st != BP_OK ? st : back;
}
