/* A function's gradient against central differences, four points, in f64:
 *
 *     f' = (8 (f(x + h) - f(x - h)) - (f(x + 2h) - f(x - 2h))) / 12h, f = sum of y * weights
 *
 * along one element of x or along a direction through all. The differences are taken element by
 * element of y, so that what does not change cancels exactly. The function gets copies of x. */
#include <float.h>
#include <math.h>
#include <string.h>

#include "derive/derive.h"

#include "core/context.h"
#include "core/tensor.h"
#include "core/view.h"
#include "door/philox.h"

typedef struct check {
    bp_context *ctx;
    bp_function f;
    void *user;
    int32_t n;
    bp_tensor *const *given, *x[BPI_INPUTS_MAX]; /* the inputs, and copies of them */
    int64_t directions;
    int64_t begin[BPI_INPUTS_MAX + 1]; /* of each input among all elements */
    int64_t all;                    /* elements */
    double *at, *dx, *along;        /* of all: x, the gradient, a direction and room beside it */
    double *y[3];                   /* at two points, and at x itself */
    int64_t n_y;                    /* -1: not known yet */
    double rounding;                /* sum |y weights| eps: what rounding can do to f */
    int to;                         /* which y a call fills */
    bp_status (*what)(bp_context *ctx, struct check *c); /* a call does */
    bp_status st;                   /* of a call, also of one whose scope the function ended */
    uint32_t site;                  /* of the random stream, in every call */
    bp_gradcheck_report report;
    double worst;
} check;

/* Near 1, and another for each element. */
static double weight(int64_t element)
{
    double part = (double)element * 0.6180339887498949;
    return 0.5 + (part - floor(part));
}

/* 1 or -1. */
static double sign(int64_t direction, int64_t element)
{
    const bpi_stream stream = {.seed = (uint64_t)direction};
    return bpi_random_word(&stream, (uint64_t)element) & 1 ? 1 : -1;
}

static double step_at(double x)
{
    return 1e-3 * fmax(fabs(x), 0.02);
}

/* --- calling the function -------------------------------------------------------------------- */

/* y, and the x that it was made of: they ask for a gradient, which f may take itself. */
static bp_status value_of(check *c, bp_tensor **x, bp_tensor **y)
{
    for (int i = 0; i < c->n; i++)
        if (!(x[i] = bp_require_grad(c->x[i])))
            return c->ctx->pending;
    BPI_TRY(bpi_call_function(c->ctx, "gradcheck", c->f, c->user, x, y));
    const bp_view *v = bpi_view_of(*y);
    int64_t n = bp_shape_count(v->shape);
    if (v->dtype != BP_F64)
        return bpi_fail(c->ctx, BP_ERR_DTYPE, "gradcheck: the function gives %s; f64 is wanted",
                        bp_dtype_name(v->dtype));
    if (c->n_y >= 0 && c->n_y != n)
        return bpi_fail(c->ctx, BP_ERR_SHAPE, "gradcheck: the function gives %lld elements, and "
                        "%lld before", (long long)n, (long long)c->n_y);
    c->n_y = n;
    return BP_OK;
}

static bp_status measure(bp_context *ctx, check *c)
{
    bp_tensor *x[BPI_INPUTS_MAX], *y;
    (void)ctx;
    BPI_TRY(value_of(c, x, &y));
    return bp_read_f64(y, c->y[c->to], c->n_y);
}

static bp_status differentiate(bp_context *ctx, check *c)
{
    bp_tensor *x[BPI_INPUTS_MAX], *dx[BPI_INPUTS_MAX], *y, *dy;
    BPI_TRY(value_of(c, x, &y));
    for (int k = 0; k < 3; k++)
        if (!(c->y[k] = bpi_host_alloc(ctx, (size_t)(c->n_y + 1) * sizeof(double))))
            return bpi_fail(ctx, BP_ERR_NOMEM, "gradcheck: out of memory");
    BPI_TRY(bp_read_f64(y, c->y[2], c->n_y));
    for (int64_t e = 0; e < c->n_y; e++) {
        c->rounding += fabs(c->y[2][e]) * weight(e) * DBL_EPSILON;
        c->y[1][e] = weight(e);
    }
    BPI_TRY(bpi_uploaded(ctx, BP_F64, bpi_view_of(y)->shape, c->y[1], BPI_OWNER_SCOPE, &dy));
    BPI_TRY(bp_grad(ctx, y, dy, x, c->n, 0, dx));
    return bp_read_all(ctx, dx, c->n, c->dx, c->all);
}

/* It records in a scope that counts as one that records nothing: the stream stays. */
static bp_status recorded(bp_context *ctx, void *user)
{
    check *c = user;
    ctx->no_grad = false;
    c->st = c->what(ctx, c);
    ctx->no_grad = true;
    return c->st;
}

static bp_status call(check *c, bp_status (*what)(bp_context *ctx, struct check *c))
{
    c->ctx->site = c->site;
    c->what = what;
    bp_status st = bp_run(c->ctx, BP_NO_GRAD, recorded, c);
    return st == BP_OK ? c->st : st;
}

/* --- differences ----------------------------------------------------------------------------- */

/* Puts x + d e into the copies: e is element i, or the direction where i is -1. */
static bp_status shift(check *c, int64_t i, double d)
{
    for (int k = 0; k < c->n; k++) {
        int64_t begin = c->begin[k], n = c->begin[k + 1] - begin;
        double *to = bpi_view_of(c->x[k])->data, one;
        if (i < 0 && n) {
            double *moved = c->along + c->all;
            for (int64_t e = 0; e < n; e++)
                moved[e] = c->at[begin + e] + d * c->along[begin + e];
            BPI_TRY(bpi_upload(c->ctx, to, moved, (size_t)n * sizeof *moved));
        } else if (i >= begin && i < begin + n) {
            one = c->at[i] + d;
            BPI_TRY(bpi_upload(c->ctx, to + (i - begin), &one, sizeof one));
        }
    }
    return BP_OK;
}

/* *slope += factor (f(x + d) - f(x - d)), *bend = |f(x + d) - 2 f(x) + f(x - d)| / d. */
static bp_status difference(check *c, int64_t i, double d, double factor, double *slope,
                            double *bend)
{
    double sum = 0, second = 0;
    for (c->to = 0; c->to < 2; c->to++) {
        BPI_TRY(shift(c, i, c->to ? -d : d));
        BPI_TRY(call(c, measure));
    }
    for (int64_t e = 0; e < c->n_y; e++) {
        sum += (c->y[0][e] - c->y[1][e]) * weight(e);
        second += (c->y[0][e] - c->y[2][e] + (c->y[1][e] - c->y[2][e])) * weight(e);
    }
    *slope += factor * sum;
    *bend = fabs(second) / d;
    return BP_OK;
}

static bp_status slope(check *c, int64_t i, double h, double *result, double *bend)
{
    double wider;
    *result = 0;
    BPI_TRY(difference(c, i, 2 * h, -1 / (12 * h), result, &wider));
    return difference(c, i, h, 8 / (12 * h), result, bend);
}

/* How far they are apart, 1 being as far as they may be; a NaN is beyond that. */
static double apart(const check *c, double a, double b, double h, double scale)
{
    double may = 1e-7 * fmax(fmax(fabs(a), fabs(b)), scale) + 100 * c->rounding / h;
    double far = fabs(a - b) / fmax(may, DBL_MIN);
    return far >= 0 ? far : a == b ? 0 : INFINITY;
}

/* Judges the slope at element i of all, or along direction number `direction` with i = -1. */
static bp_status judge(check *c, int64_t i, int64_t direction, double analytic, double h,
                       double scale)
{
    double whole, half, bend, half_bend;
    BPI_TRY(slope(c, i, h, &whole, &bend));
    c->report.checked++;
    double far = apart(c, analytic, whole, h, scale);
    if (!(far <= 1)) {
        BPI_TRY(slope(c, i, h / 2, &half, &half_bend));
        double again = apart(c, analytic, half, h / 2, scale);
        double much = 1e-4 * fmax(fabs(whole), fabs(analytic)) + 100 * c->rounding / h;
        bool bends = half_bend > 0.75 * bend && half_bend > much; /* a smooth f: half as much */
        if (again <= 1 || bends || fabs(half - whole) > 1e-4 * fabs(whole)) {
            c->report.kinks++;
            far = -1;
        } else {
            c->report.wrong++;
        }
    }
    BPI_TRY(shift(c, i, 0));
    if (far < 0 || (far <= c->worst && c->worst >= 0))
        return BP_OK;
    int32_t input = -1;
    while (i >= 0 && i >= c->begin[input + 1])
        input++;
    c->worst = far;
    c->report.input = input;
    c->report.index = i < 0 ? direction : i - c->begin[input];
    c->report.analytic = analytic;
    c->report.numeric = whole;
    return BP_OK;
}

static bp_status along(check *c, int64_t direction)
{
    double sum = 0, size = 0;
    for (int64_t e = 0; e < c->all; e++) {
        c->along[e] = sign(direction, e) * step_at(c->at[e]) * 1e3;
        sum += c->dx[e] * c->along[e];
        size += fabs(c->dx[e] * c->along[e]);
    }
    return judge(c, -1, direction, sum, 1e-3, size);
}

/* --- the call -------------------------------------------------------------------------------- */

static bp_status copy_inputs(check *c)
{
    bp_context *ctx = c->ctx;
    for (int i = 0; i < c->n; i++) {
        bp_tensor *x = c->given[i];
        if (!x)
            return bpi_fail(ctx, BP_ERR_ARG, "gradcheck: x[%d] is NULL", i);
        BPI_TRY(bpi_usable(ctx, x, "gradcheck", "an x"));
        const bp_view *v = bpi_view_of(x);
        if (v->dtype != BP_F64)
            return bpi_fail(ctx, BP_ERR_DTYPE, "gradcheck: x[%d] is %s; f64 is wanted", i,
                            bp_dtype_name(v->dtype));
        c->begin[i + 1] = c->begin[i] + bp_shape_count(v->shape);
    }
    c->all = c->begin[c->n];
    c->at = bpi_host_alloc(ctx, (size_t)(c->all + 1) * sizeof(double));
    c->dx = bpi_host_alloc(ctx, (size_t)(c->all + 1) * sizeof(double));
    c->along = bpi_host_alloc(ctx, (size_t)(2 * c->all + 1) * sizeof(double));
    if (!c->at || !c->dx || !c->along)
        return bpi_fail(ctx, BP_ERR_NOMEM, "gradcheck: out of memory");
    BPI_TRY(bp_read_all(ctx, c->given, c->n, c->at, c->all));
    for (int i = 0; i < c->n; i++)
        BPI_TRY(bpi_uploaded(ctx, BP_F64, bpi_view_of(c->given[i])->shape, c->at + c->begin[i],
                             BPI_OWNER_SCOPE, &c->x[i]));
    return BP_OK;
}

static bp_status run_check(bp_context *ctx, void *user)
{
    check *c = user;
    (void)ctx;
    BPI_TRY(copy_inputs(c));
    BPI_TRY(call(c, differentiate));
    for (int64_t k = 0; k < c->directions; k++)
        BPI_TRY(along(c, k));
    for (int64_t i = 0; i < c->all && c->directions == 0; i++)
        BPI_TRY(judge(c, i, 0, c->dx[i], step_at(c->at[i]), 0));
    return BP_OK;
}

/* Also where the function was left by an exception. */
static void release(check **made)
{
    check *c = *made;
    if (!c)
        return;
    size_t all = (size_t)(c->all + 1) * sizeof(double), y = (size_t)(c->n_y + 1) * sizeof(double);
    bpi_host_free(c->ctx, c->at, all);
    bpi_host_free(c->ctx, c->dx, all);
    bpi_host_free(c->ctx, c->along, (size_t)(2 * c->all + 1) * sizeof(double));
    for (int k = 0; k < 3; k++)
        bpi_host_free(c->ctx, c->y[k], y);
    bpi_host_free(c->ctx, c, sizeof *c);
}

static bp_status gradcheck(bp_context *ctx, bp_function f, void *user, bp_tensor *const *x,
                           int32_t n, int64_t directions, bp_gradcheck_report *report)
{
    if (ctx->pending != BP_OK)
        return ctx->pending;
    if (!f)
        return bpi_fail(ctx, BP_ERR_ARG, "gradcheck: f is NULL");
    BPI_TRY(bpi_given(ctx, x, "gradcheck: x"));
    BPI_TRY(bpi_given(ctx, report, "gradcheck: report"));
    BPI_TRY(bpi_not_recording(ctx, "gradcheck"));
    size_t bytes = report->struct_bytes;
    BPI_TRY(bpi_result_fits(ctx, "gradcheck", "the report", report, sizeof *report));
    if (n < 1 || n > BPI_INPUTS_MAX || directions < 0)
        return bpi_fail(ctx, BP_ERR_ARG, "gradcheck: %d tensors and %lld directions; 1 to %d, and "
                        "0 or more, are wanted", (int)n, (long long)directions, BPI_INPUTS_MAX);
    __attribute__((cleanup(release))) check *c = bpi_host_alloc(ctx, sizeof *c);
    if (!c)
        return bpi_fail(ctx, BP_ERR_NOMEM, "gradcheck: out of memory");
    *c = (check){.ctx = ctx, .f = f, .user = user, .n = n, .given = x, .directions = directions,
                 .n_y = -1, .site = ctx->depth ? ctx->site : 0, .worst = -1,
                 .report = {.struct_bytes = bytes, .input = -1}};
    bp_status st = bp_run(ctx, BP_NO_GRAD, run_check, c);
    if (st == BP_OK)
        st = c->st;
    ctx->site = c->site;
    if (st == BP_OK)
        bpi_give_struct(report, bytes, &c->report, sizeof c->report);
    return st;
}

bp_status bp_gradcheck(bp_context *ctx, bp_function f, void *user, bp_tensor *const *x, int32_t n,
                       int64_t directions, bp_gradcheck_report *report)
{
    bpi_result_begin(report, sizeof *report);
    BPI_INSIDE(ctx, gradcheck(ctx, f, user, x, n, directions, report));
}
