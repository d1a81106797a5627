/* Levenberg-Marquardt: J^T J and J^T r are made by ops, in the scope in which the residuals were;
 * steps, their damping and the radius that it follows from are arithmetic on the host. */
#include <float.h>
#include <math.h>
#include <string.h>

#include "autograd/apply.h"
#include "core/context.h"
#include "core/params.h"
#include "core/tensor.h"
#include "minimize/minimize.h"

enum { AIMS = 10 };
static const double HARDEST = 1e100; /* damping */

typedef struct levenberg {
    bpi_problem *p;
    int64_t n, most;
    double damping, radius;   /* of the last step; of the next, in units of D */
    double *x, *g, *a;        /* the place, J^T r, J^T J [n,n] */
    double *l, *scale;        /* a + damping D and its factor; D */
    double *step, *next;
} levenberg;

/* --- residuals and their Jacobian ------------------------------------------------------------ */

/* Rows for residuals: a walk each. */
static bp_status by_rows(levenberg *l, bp_tensor *r, bp_tensor **jt)
{
    bpi_problem *p = l->p;
    bp_tensor *part[BPI_PARTS_MAX];
    BPI_TRY(bp_jacobian_of(p->ctx, r, p->part, p->parts, 0, part));
    for (int32_t k = 0; k < p->parts; k++)
        part[k] = bp_reshape(part[k], BP_SHAPE(l->p->m, bp_shape_count(bp_shape_of(p->part[k]))));
    *jt = bp_transpose(bp_concat(part, p->parts, 1), 0, 1);
    return p->ctx->pending;
}

/* Columns, for parameters: J^T w is linear in w, and a walk back over each of its elements gives a
 * column, whatever w is. */
static bp_status by_columns(levenberg *l, bp_tensor *r, bp_tensor **jt)
{
    bpi_problem *p = l->p;
    bp_tensor *g[BPI_PARTS_MAX], *part[BPI_PARTS_MAX], *w = bp_require_grad(r);
    if (!w)
        return p->ctx->pending;
    BPI_TRY(bp_grad(p->ctx, r, w, p->part, p->parts, BP_CREATE_GRAPH, g));
    for (int32_t k = 0; k < p->parts; k++) {
        bp_shape shape = BP_SHAPE(bp_shape_count(bp_shape_of(p->part[k])), l->p->m);
        if (!bpi_asks_grad(p->ctx, g[k])) { /* r does not depend on it */
            part[k] = bpi_zeros(p->ctx, bp_dtype_of(r), shape);
            continue;
        }
        BPI_TRY(bp_jacobian_of(p->ctx, g[k], &w, 1, BP_KEEP_GRAPH, &part[k]));
        part[k] = bp_reshape(part[k], shape);
    }
    *jt = bp_concat(part, p->parts, 0);
    return p->ctx->pending;
}

static bp_status linearise(levenberg *l)
{
    bpi_problem *p = l->p;
    bp_context *ctx = p->ctx;
    bp_tensor *r, *jt = NULL;
    BPI_TRY(bpi_problem_residuals(p, &r));
    if (!isfinite(p->value))
        return bpi_not_finite(ctx, p->who, "at the start", p->value);
    BPI_TRY(p->m <= l->n ? by_rows(l, r, &jt) : by_columns(l, r, &jt));
    bp_tensor *a = bp_matmul(jt, bp_transpose(jt, 0, 1));
    bp_tensor *g = bp_matmul(jt, bp_reshape(r, BP_SHAPE(l->p->m, 1)));
    if (!a || !g)
        return ctx->pending;
    BPI_TRY(bp_read_f64(a, l->a, l->n * l->n));
    BPI_TRY(bp_read_f64(g, l->g, l->n));
    for (int64_t i = 0; i < l->n; i++)
        if (!isfinite(l->g[i]) || !isfinite(l->a[i * l->n + i]))
            return bpi_fail(ctx, BP_ERR_NONFINITE, "%s: the Jacobian is not finite in parameter "
                            "number %lld", p->who, (long long)i);
    return BP_OK;
}

static bp_status linearise_step(bp_context *ctx, void *user)
{
    levenberg *l = user;
    (void)ctx;
    return l->p->st = linearise(l);
}

static bp_status value_step(bp_context *ctx, void *user)
{
    levenberg *l = user;
    bp_tensor *r;
    (void)ctx;
    return l->p->st = bpi_problem_residuals(l->p, &r);
}

static bp_status at(levenberg *l, const double *x, bp_step_fn step)
{
    bpi_problem *p = l->p;
    p->now.evaluations++;
    BPI_TRY(bpi_problem_write(p, x));
    return bpi_problem_run(p, step, l);
}

/* --- steps ----------------------------------------------------------------------------------- */

/* The largest |cosine| of r and a column of J. */
static double cosine(const levenberg *l)
{
    double most = 0, r = sqrt(2 * l->p->value);
    for (int64_t i = 0; i < l->n; i++) {
        double column = sqrt(l->a[i * l->n + i]) * r;
        most = column > 0 && fabs(l->g[i]) / column > most ? fabs(l->g[i]) / column : most;
    }
    return most;
}

/* The length of x in units of D. */
static double length(const levenberg *l, const double *x)
{
    double sum = 0;
    for (int64_t i = 0; i < l->n; i++)
        sum += l->scale[i] * x[i] * x[i];
    return sqrt(sum);
}

/* The step of l->damping, and its length; infinite where rounding has made the matrix singular. */
static double solve(levenberg *l)
{
    int64_t n = l->n;
    memcpy(l->l, l->a, (size_t)(n * n) * sizeof *l->l);
    for (int64_t i = 0; i < n; i++) {
        l->l[i * n + i] += l->scale[i] > 0 ? l->damping * l->scale[i] : 1; /* 1: r without it */
        l->step[i] = -l->g[i];
    }
    if (!bpi_cholesky(l->l, l->l, n))
        return INFINITY;
    bpi_cholesky_solve(l->l, l->step, n);
    return length(l, l->step);
}

/* By how much more damping Newton's method would bring the step, of this length, to the radius: on
 * 1 / length, which is nearly a straight line (Hebden, 1973). */
static double newton(levenberg *l, double moved)
{
    for (int64_t i = 0; i < l->n; i++)
        l->next[i] = l->scale[i] * l->step[i];
    bpi_cholesky_forward(l->l, l->next, l->n);
    return (moved / l->radius - 1) * moved * moved / bpi_dot(l->next, l->next, l->n);
}

/* The step, with no more damping than makes the matrix regular where it is within the radius, else
 * with that at which its length is the radius, to a tenth; its length. */
static double aim(levenberg *l)
{
    double guess = l->damping, most = 0, least, moved;
    l->damping = 0;
    while (!isfinite(moved = solve(l)) && l->damping < HARDEST)
        l->damping = fmax(10 * l->damping, 1e-6);
    if (!(moved > 1.1 * l->radius) || isinf(moved))
        return moved;
    for (int64_t i = 0; i < l->n; i++)
        most += l->scale[i] > 0 ? l->g[i] * l->g[i] / l->scale[i] : 0;
    most = sqrt(most) / l->radius;
    least = fmin(l->damping + newton(l, moved), most);
    l->damping = guess >= least && guess <= most && guess > 0
                     ? guess : fmax(1e-3 * most, sqrt(least * most));
    for (int tries = 0; tries < AIMS; tries++) {
        moved = solve(l);
        if (fabs(moved - l->radius) <= 0.1 * l->radius || isinf(moved))
            break;
        if (moved > l->radius)
            least = fmax(least, l->damping);
        l->damping = fmax(least, l->damping + newton(l, moved));
    }
    return moved;
}

/* The last step is so short that values do not tell whether it is one down; the model does. */
static void take_last(levenberg *l)
{
    bp_found *now = &l->p->now;
    double level = 16 * (l->p->params->dtype == BP_F32 ? FLT_EPSILON : DBL_EPSILON) * now->value;
    if (l->p->value <= now->value + level) {
        now->value = l->p->value;
        memcpy(l->x, l->next, (size_t)l->n * sizeof *l->x);
    }
}

/* next = x + step; whether it is another place. */
static bool go(levenberg *l)
{
    bool goes = false;
    for (int64_t i = 0; i < l->n; i++) {
        l->next[i] = l->x[i] + l->step[i];
        goes |= l->next[i] != l->x[i];
    }
    return goes;
}

/* The radius after a step that promised a gain: less where little of it came true, by the parabola
 * through the values and the slope at the start; more where most of it did. */
static void change_radius(levenberg *l, double moved, double ratio)
{
    double before = l->p->now.value, value = l->p->value;
    if (!(ratio > 0.25)) {
        double slope = bpi_dot(l->step, l->g, l->n), by = 0.5;
        if (!(ratio >= 0))
            by = 0.5 * slope / (slope + before - value);
        by = by >= 0.1 && value < 100 * before ? by : 0.1;
        l->radius = by * fmin(l->radius, 10 * moved);
        l->damping /= by;
    } else if (l->damping == 0 || ratio >= 0.75) {
        l->radius = 2 * moved;
        l->damping /= 2;
    }
}

/* From a place that has been linearised to a lower one, or to a reason to stop. */
static bp_status descend(levenberg *l)
{
    bpi_problem *p = l->p;
    bp_found *now = &p->now;
    bool finite = false;
    for (;;) {
        double moved = aim(l), all = length(l, l->x);
        double gain = 0.5 * (l->damping * moved * moved - bpi_dot(l->step, l->g, l->n));
        if (!isfinite(moved)) {
            now->stop = BP_STOP_PRECISION;
            break;
        }
        bool goes = go(l);
        now->stop = moved <= p->tolerance[2] * all         ? BP_STOP_STEP
                    : gain <= p->tolerance[1] * now->value ? BP_STOP_VALUE
                    : !goes                                ? BP_STOP_PRECISION
                                                           : BP_STOP_NONE;
        BPI_TRY(at(l, l->next, value_step));
        finite |= isfinite(p->value);
        if (now->stop != BP_STOP_NONE) {
            take_last(l);
            break;
        }
        double ratio = (now->value - p->value) / gain;
        if (now->iterations == 0)
            l->radius = fmin(l->radius, moved);
        change_radius(l, moved, ratio);
        if (ratio > 1e-4) {
            now->value = p->value;
            now->step = sqrt(bpi_dot(l->step, l->step, l->n));
            memcpy(l->x, l->next, (size_t)l->n * sizeof *l->x);
            return BP_OK;
        }
    }
    return finite || isfinite(p->value) ? BP_OK
         : bpi_not_finite(p->ctx, p->who, "at every step that was tried", p->value);
}

static bp_status iterate(void *state)
{
    levenberg *l = state;
    bp_found *now = &l->p->now;
    BPI_TRY(descend(l));
    if (now->stop != BP_STOP_NONE)
        return BP_OK;
    now->iterations++;
    BPI_TRY(at(l, l->x, linearise_step));
    for (int64_t i = 0; i < l->n; i++)
        l->scale[i] = fmax(l->scale[i], l->a[i * (l->n + 1)]);
    now->gradient = cosine(l);
    now->damping = l->damping;
    now->stop = now->gradient <= l->p->tolerance[0] ? BP_STOP_GRADIENT
              : now->iterations >= l->most          ? BP_STOP_LIMIT
                                                    : BP_STOP_NONE;
    return bpi_tell(l->p);
}

static bp_status begin(void *state)
{
    levenberg *l = state;
    bpi_problem *p = l->p;
    BPI_TRY(at(l, l->x, linearise_step));
    p->now.value = p->value;
    p->now.gradient = cosine(l);
    p->now.damping = l->damping;
    for (int64_t i = 0; i < l->n; i++)
        l->scale[i] = l->a[i * (l->n + 1)];
    l->radius = l->damping > 0 ? solve(l) : 100 * length(l, l->x);
    if (!(l->radius > 0 && isfinite(l->radius)))
        l->radius = 100;
    if (p->now.gradient <= p->tolerance[0] || p->now.gradient == 0)
        p->now.stop = BP_STOP_GRADIENT;
    return BP_OK;
}

static bp_status minimise(bpi_problem *p, const bp_minimize_options *o)
{
    levenberg l = {.p = p, .n = p->n, .most = o->iterations,
                   .damping = o->damping};
    if (!(l.damping >= 0 && l.damping < 1e30))
        return bpi_fail(p->ctx, BP_ERR_ARG, "%s: the damping is %g; 0, or a number above, is "
                        "wanted", p->who, l.damping);
    BPI_TRY(bpi_problem_few_parts(p));
    BPI_ROOM(room);
    double n = (double)l.n;
    BPI_TRY(bpi_room_take(&room, p->ctx, p->who, 8 * (2 * n * n + 5 * n)));
    double **vector[] = {&l.x, &l.g, &l.scale, &l.step, &l.next};
    for (int i = 0; i < 5; i++)
        *vector[i] = bpi_room_part(&room, l.n);
    l.a = bpi_room_part(&room, l.n * l.n);
    l.l = bpi_room_part(&room, l.n * l.n);
    return bpi_descend(p, l.x, begin, iterate, &l);
}

bp_status bp_levenberg_marquardt(bp_params *params, bp_objective_fn f, void *user,
                                 const bp_minimize_options *options, bp_found *result)
{
    static const double usual[] = {1e-12, 1e-15, 1e-12};
    bpi_result_begin(result, sizeof *result);
    BPI_LEADS(params, "levenberg_marquardt: params");
    return bpi_minimise("levenberg_marquardt", minimise, usual, params, f, "residuals", user,
                        options, result);
}
