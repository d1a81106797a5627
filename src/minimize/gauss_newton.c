/* Gauss-Newton without a matrix: conjugate gradients (Hestenes, Stiefel, 1952) on J^T (J v), in the
 * scope in which the residuals were made; each product has a scope of its own. */
#include <math.h>
#include <string.h>

#include "core/context.h"
#include "core/params.h"
#include "minimize/minimize.h"

typedef struct newton {
    bpi_problem *p;
    int64_t n, most, products;    /* most: iterations; products: of one of them */
    double damping, factor, unit; /* by which it grows next; what it is in units of */
    double first;                 /* |g| at the start */
    double *x, *g;                /* the place, J^T r */
    double *step, *next;
    double *rest, *v, *av;        /* of the equation; the direction, J^T J v + damping v */
    double gain;                  /* which the step promises */
    bp_tensor *r;
} newton;

static double size_of(const double *x, int64_t n)
{
    return sqrt(bpi_dot(x, x, n));
}

/* --- products -------------------------------------------------------------------------------- */

static bp_status multiply(newton *w)
{
    bpi_problem *p = w->p;
    bp_tensor *v[BPI_PARTS_MAX], *jv, *av[BPI_PARTS_MAX];
    BPI_TRY(bpi_problem_vectors(p, w->v, v));
    BPI_TRY(bp_jvp_of(p->ctx, w->r, p->part, v, p->parts, 0, &jv));
    BPI_TRY(bp_grad(p->ctx, w->r, jv, p->part, p->parts, BP_KEEP_GRAPH, av));
    return bp_read_all(p->ctx, av, p->parts, w->av, w->n);
}

/* av = J^T J v; the scope ends what it took. */
static bp_status product(newton *w)
{
    bp_context *ctx = w->p->ctx;
    BPI_TRY(bp_scope_begin(ctx, 0));
    bp_status st = multiply(w), end = bp_scope_end(ctx);
    BPI_TRY(st);
    BPI_TRY(end);
    for (int64_t i = 0; i < w->n; i++)
        if (!isfinite(w->av[i]))
            return bpi_fail(ctx, BP_ERR_NONFINITE, "%s: the Jacobian is not finite in parameter "
                            "number %lld", w->p->who, (long long)i);
    return BP_OK;
}

/* The step of this damping, to as many digits as the place is worth. */
static bp_status solve(newton *w)
{
    int64_t n = w->n;
    double size = size_of(w->g, n), damping = w->damping * w->unit, before = size * size;
    double enough = size * fmin(0.5, sqrt(size / w->first));
    memset(w->step, 0, (size_t)n * sizeof *w->step);
    for (int64_t i = 0; i < n; i++)
        w->v[i] = w->rest[i] = -w->g[i];
    for (int64_t k = 0; k < w->products && before > 0; k++) {
        BPI_TRY(product(w));
        for (int64_t i = 0; i < n; i++)
            w->av[i] += damping * w->v[i];
        double curve = bpi_dot(w->v, w->av, n), by = before / curve;
        if (!(curve > 0 && isfinite(by))) /* rounding */
            break;
        for (int64_t i = 0; i < n; i++) {
            w->step[i] += by * w->v[i];
            w->rest[i] -= by * w->av[i];
        }
        double after = bpi_dot(w->rest, w->rest, n), turn = after / before;
        before = after;
        if (sqrt(after) <= enough)
            break;
        for (int64_t i = 0; i < n; i++)
            w->v[i] = w->rest[i] + turn * w->v[i];
    }
    double squares = bpi_dot(w->step, w->step, n);
    w->gain = 0.5 * (bpi_dot(w->step, w->rest, n) - bpi_dot(w->step, w->g, n) + damping * squares);
    return BP_OK;
}

/* --- places ---------------------------------------------------------------------------------- */

/* Residuals, gradient and step at x. */
static bp_status look(newton *w)
{
    bpi_problem *p = w->p;
    bp_tensor *g[BPI_PARTS_MAX];
    BPI_TRY(bpi_problem_residuals(p, &w->r));
    if (!isfinite(p->value))
        return bpi_not_finite(p->ctx, p->who, "at the start", p->value);
    BPI_TRY(bp_grad(p->ctx, w->r, bp_detach(w->r), p->part, p->parts, BP_KEEP_GRAPH, g));
    BPI_TRY(bp_read_all(p->ctx, g, p->parts, w->g, w->n));
    p->now.gradient = 0;
    for (int64_t i = 0; i < w->n; i++)
        p->now.gradient = fmax(p->now.gradient, fabs(w->g[i]));
    double size = size_of(w->g, w->n);
    if (!isfinite(size))
        return bpi_fail(p->ctx, BP_ERR_NONFINITE, "%s: the gradient is not finite", p->who);
    if (w->first == 0 && size > 0) {
        w->first = size;
        for (int64_t i = 0; i < w->n; i++)
            w->v[i] = w->g[i] / size;
        BPI_TRY(product(w));
        w->unit = bpi_dot(w->v, w->av, w->n);
        w->unit = w->unit > 0 ? w->unit : 1;
    }
    return solve(w);
}

static bp_status look_step(bp_context *ctx, void *user)
{
    newton *w = user;
    (void)ctx;
    return w->p->st = look(w);
}

static bp_status value_step(bp_context *ctx, void *user)
{
    newton *w = user;
    (void)ctx;
    return w->p->st = bpi_problem_residuals(w->p, &w->r);
}

static bp_status at(newton *w, const double *x, bp_step_fn step)
{
    w->p->now.evaluations++;
    BPI_TRY(bpi_problem_write(w->p, x));
    return bpi_problem_run(w->p, step, w);
}

/* --- the loop -------------------------------------------------------------------------------- */

static bp_stop judge(const newton *w)
{
    const bpi_problem *p = w->p;
    const double *tolerance = p->tolerance, moved = size_of(w->step, w->n);
    bool goes = false;
    for (int64_t i = 0; i < w->n; i++)
        goes |= w->next[i] != w->x[i];
    return moved <= tolerance[2] * size_of(w->x, w->n) ? BP_STOP_STEP
         : w->gain <= tolerance[1] * p->now.value      ? BP_STOP_VALUE
         : !goes || !(w->damping < 1e100)              ? BP_STOP_PRECISION
                                                       : BP_STOP_NONE;
}

/* From a place whose step is known to a lower one, or to a reason to stop. */
static bp_status iterate(void *state)
{
    newton *w = state;
    bpi_problem *p = w->p;
    bp_found *now = &p->now;
    bool finite = false;
    for (;;) {
        for (int64_t i = 0; i < w->n; i++)
            w->next[i] = w->x[i] + w->step[i];
        now->stop = judge(w);
        BPI_TRY(at(w, w->next, value_step));
        finite |= isfinite(p->value);
        double ratio = (now->value - p->value) / w->gain;
        if (ratio > 1e-4) {
            double cube = 2 * ratio - 1;
            w->damping = fmax(w->damping * fmax(1.0 / 3, 1 - cube * cube * cube), 1e-30);
            w->factor = 2;
            break;
        }
        if (now->stop != BP_STOP_NONE)
            return finite ? BP_OK
                 : bpi_not_finite(p->ctx, p->who, "at every step that was tried", p->value);
        w->damping *= w->factor;
        w->factor *= 2;
        BPI_TRY(at(w, w->x, look_step));
    }
    now->value = p->value;
    now->step = size_of(w->step, w->n);
    memcpy(w->x, w->next, (size_t)w->n * sizeof *w->x);
    now->iterations++;
    now->damping = w->damping;
    if (now->stop == BP_STOP_NONE)
        BPI_TRY(at(w, w->x, look_step));
    if (now->stop == BP_STOP_NONE)
        now->stop = now->gradient <= p->tolerance[0] ? BP_STOP_GRADIENT
                  : now->iterations >= w->most       ? BP_STOP_LIMIT
                                                     : BP_STOP_NONE;
    return bpi_tell(p);
}

static bp_status begin(void *state)
{
    newton *w = state;
    bpi_problem *p = w->p;
    BPI_TRY(at(w, w->x, look_step));
    p->now.value = p->value;
    p->now.damping = w->damping;
    if (p->now.gradient <= p->tolerance[0] || p->now.gradient == 0)
        p->now.stop = BP_STOP_GRADIENT;
    return BP_OK;
}

static bp_status minimise(bpi_problem *p, const bp_minimize_options *o)
{
    newton w = {.p = p, .n = p->n, .most = o->iterations, .products = o->products,
                .damping = o->damping == 0 ? 1e-3 : o->damping, .factor = 2};
    if (!w.products)
        w.products = w.n < 200 ? w.n : 200;
    if (!(w.damping > 0 && w.damping < 1e30) || w.products < 0)
        return bpi_fail(p->ctx, BP_ERR_ARG, "%s: the damping is %g, products are %lld; numbers "
                        "above 0 are wanted", p->who, w.damping, (long long)w.products);
    BPI_TRY(bpi_problem_few_parts(p));
    BPI_ROOM(room);
    double **vector[] = {&w.x, &w.g, &w.step, &w.next, &w.rest, &w.v, &w.av};
    enum { VECTORS = sizeof vector / sizeof *vector };
    BPI_TRY(bpi_room_take(&room, p->ctx, p->who, 8 * VECTORS * (double)w.n));
    for (int i = 0; i < VECTORS; i++)
        *vector[i] = bpi_room_part(&room, w.n);
    return bpi_descend(p, w.x, begin, iterate, &w);
}

bp_status bp_gauss_newton(bp_params *params, bp_objective_fn f, void *user,
                          const bp_minimize_options *options, bp_found *result)
{
    static const double usual[] = {1e-8, 1e-15, -1};
    bpi_result_begin(result, sizeof *result);
    BPI_LEADS(params, "gauss_newton: params");
    return bpi_minimise("gauss_newton", minimise, usual, params, f, "residuals", user, options,
                        result);
}
