/* L-BFGS: the direction by the two loops over the pairs kept, and the line search. */
#include <float.h>
#include <math.h>
#include <string.h>

#include "core/params.h"
#include "minimize/minimize.h"

enum { TRIES = 40, HISTORY_MAX = 1000, IDLE_MAX = 10 };
static const double C1 = 1e-4, C2 = 0.9;

typedef struct lbfgs {
    bpi_problem *p;
    int64_t n, most;
    double level;               /* to which values agree by rounding */
    double *x, *g, *d;          /* the place, its gradient, the direction */
    double *next, *next_g;      /* where the search is */
    double *s, *y;              /* [history, n]: the pairs, in a ring */
    double *rho, *alpha;
    int64_t history, pairs, newest;
    double least;               /* of the gradient's measure */
    int32_t idle;               /* steps in a row that lowered neither it nor the value */
} lbfgs;

/* A step along d: its length, the value there and the slope. */
typedef struct point {
    double a, f, slope;
} point;

static double largest(const double *x, int64_t n)
{
    double most = 0;
    for (int64_t i = 0; i < n; i++)
        most = fabs(x[i]) > most || isnan(x[i]) ? fabs(x[i]) : most;
    return most;
}

/* d = -H g. */
static void direction(lbfgs *l)
{
    int64_t n = l->n;
    double *d = l->d;
    for (int64_t i = 0; i < n; i++)
        d[i] = -l->g[i];
    for (int64_t k = 0; k < l->pairs; k++) {
        int64_t at = (l->newest - k + l->history) % l->history;
        l->alpha[at] = l->rho[at] * bpi_dot(l->s + at * n, d, n);
        for (int64_t i = 0; i < n; i++)
            d[i] -= l->alpha[at] * l->y[at * n + i];
    }
    if (l->pairs) {
        const double *y = l->y + l->newest * n;
        double scale = 1 / (l->rho[l->newest] * bpi_dot(y, y, n));
        for (int64_t i = 0; i < n; i++)
            d[i] *= scale;
    }
    for (int64_t k = l->pairs - 1; k >= 0; k--) {
        int64_t at = (l->newest - k + l->history) % l->history;
        double more = l->alpha[at] - l->rho[at] * bpi_dot(l->y + at * n, d, n);
        for (int64_t i = 0; i < n; i++)
            d[i] += more * l->s[at * n + i];
    }
}

/* The pair of the step from x to next; none where its curvature is not clearly positive. */
static void keep_pair(lbfgs *l)
{
    int64_t at = l->pairs ? (l->newest + 1) % l->history : 0, n = l->n;
    double *s = l->s + at * n, *y = l->y + at * n;
    for (int64_t i = 0; i < n; i++) {
        s[i] = l->next[i] - l->x[i];
        y[i] = l->next_g[i] - l->g[i];
    }
    double sy = bpi_dot(s, y, n);
    if (!(sy > DBL_EPSILON * bpi_dot(y, y, n)) || !isnormal(1 / sy))
        return;
    l->rho[at] = 1 / sy;
    l->newest = at;
    l->pairs += l->pairs < l->history;
}

/* --- the line search ------------------------------------------------------------------------- */

static bp_status look(lbfgs *l, double a, point *at)
{
    for (int64_t i = 0; i < l->n; i++)
        l->next[i] = l->x[i] + a * l->d[i];
    BPI_TRY(bpi_problem_at(l->p, l->next));
    *at = (point){a, l->p->value, bpi_dot(l->next_g, l->d, l->n)};
    if (!isfinite(at->f) || !isfinite(at->slope))
        at->f = INFINITY;
    return BP_OK;
}

/* The least of the cubic through two points, within the inner 80 % between them. */
static double between(const point *low, const point *high)
{
    double width = high->a - low->a, at = 0.5;
    if (isfinite(high->f)) {
        double t = low->slope + high->slope - 3 * (high->f - low->f) / width;
        double root = t * t - low->slope * high->slope;
        root = copysign(sqrt(root > 0 ? root : 0), width);
        double to = 1 - (high->slope + root - t) / (high->slope - low->slope + 2 * root);
        at = to >= 0.1 ? to <= 0.9 ? to : 0.9 : to < 0.1 ? 0.1 : 0.5;
    }
    return low->a + at * width;
}

/* Algorithms 3.5 and 3.6 in one loop: until there is one, the end of the bracket is at infinity.
 * *found: next, next_g and *end are a step that fulfils both conditions, or at least lowers. */
static bp_status search(lbfgs *l, double first, point *end, bool *found)
{
    point start = {0, l->p->now.value, bpi_dot(l->g, l->d, l->n)}, low = start, t = start;
    point high = {INFINITY, INFINITY, 0};
    double level = l->level * fabs(start.f), a = first;
    bool finite = false;
    *found = false;
    for (int i = 0; i < TRIES && a > 0 && isfinite(a) && a != low.a && a != high.a; i++) {
        BPI_TRY(look(l, a, &t));
        finite |= isfinite(t.f);
        bool even = fabs(t.f - start.f) <= level && fabs(t.f - low.f) <= level;
        if (!even && (!(t.f <= start.f + C1 * a * start.slope) || t.f >= low.f)) {
            high = t;
        } else if (fabs(t.slope) <= -C2 * start.slope) {
            *found = true;
            break;
        } else {
            if (t.slope * (high.a - low.a) >= 0)
                high = low;
            low = t;
        }
        a = isfinite(high.a) ? between(&low, &high) : 4 * low.a;
    }
    if (!finite)
        return bpi_not_finite(l->p->ctx, l->p->who, "at every step that was tried", l->p->value);
    if (!*found && low.a > 0 && low.f < start.f) {
        BPI_TRY(look(l, low.a, &t));
        *found = t.f < start.f;
    }
    *end = t;
    return BP_OK;
}

/* --- the loop -------------------------------------------------------------------------------- */

static bp_stop judge(const lbfgs *l, const point *end, double before)
{
    const bp_found *now = &l->p->now;
    const double *tolerance = l->p->tolerance, length = sqrt(bpi_dot(l->x, l->x, l->n));
    return now->gradient <= tolerance[0]                        ? BP_STOP_GRADIENT
         : fabs(before - end->f) <= tolerance[1] * fabs(before) ? BP_STOP_VALUE
         : now->step <= tolerance[2] * length                   ? BP_STOP_STEP
         : l->idle >= IDLE_MAX                                  ? BP_STOP_PRECISION
         : now->iterations >= l->most                           ? BP_STOP_LIMIT
                                                                : BP_STOP_NONE;
}

static bp_status iterate(void *state)
{
    lbfgs *l = state;
    bp_found *now = &l->p->now;
    point end = {0};
    bool found;
    direction(l);
    double size = sqrt(bpi_dot(l->g, l->g, l->n));
    if (!(bpi_dot(l->g, l->d, l->n) < 0)) /* rounding in the pairs */
        l->pairs = 0;
    for (;;) {
        bool steepest = l->pairs == 0;
        for (int64_t i = 0; i < l->n && steepest; i++)
            l->d[i] = -l->g[i];
        BPI_TRY(search(l, steepest && size > 1 ? 1 / size : 1, &end, &found));
        if (found || steepest)
            break;
        l->pairs = 0;
    }
    if (!found) {
        now->stop = BP_STOP_PRECISION;
        return BP_OK;
    }
    keep_pair(l);
    memcpy(l->x, l->next, (size_t)l->n * sizeof *l->x);
    memcpy(l->g, l->next_g, (size_t)l->n * sizeof *l->g);
    double before = now->value;
    now->iterations++;
    now->value = end.f;
    now->gradient = largest(l->g, l->n);
    now->step = end.a * sqrt(bpi_dot(l->d, l->d, l->n));
    l->idle = end.f < before || now->gradient < l->least ? 0 : l->idle + 1;
    l->least = fmin(l->least, now->gradient);
    now->stop = judge(l, &end, before);
    return bpi_tell(l->p);
}

static bp_status begin(void *state)
{
    lbfgs *l = state;
    bpi_problem *p = l->p;
    BPI_TRY(bpi_problem_at(p, l->x));
    memcpy(l->g, l->next_g, (size_t)l->n * sizeof *l->g);
    p->now.gradient = l->least = largest(l->g, l->n);
    if (!isfinite(p->value))
        return bpi_not_finite(p->ctx, p->who, "at the start", p->value);
    if (!isfinite(p->now.gradient))
        return bpi_fail(p->ctx, BP_ERR_NONFINITE, "%s: the gradient at the start is not finite",
                        p->who);
    p->now.value = p->value;
    if (p->now.gradient <= p->tolerance[0] || p->now.gradient == 0)
        p->now.stop = BP_STOP_GRADIENT;
    return BP_OK;
}

static bp_status minimise(bpi_problem *p, const bp_minimize_options *o)
{
    lbfgs l = {.p = p, .n = p->n, .most = o->iterations,
               .history = o->history ? o->history : 10,
               .level = 16 * (p->params->dtype == BP_F32 ? FLT_EPSILON : DBL_EPSILON)};
    if (l.history < 1 || l.history > HISTORY_MAX)
        return bpi_fail(p->ctx, BP_ERR_ARG, "%s: a history of %lld; 1 to %d are wanted", p->who,
                        (long long)l.history, HISTORY_MAX);
    BPI_ROOM(room);
    double vectors = 5 + 2 * (double)l.history;
    BPI_TRY(bpi_room_take(&room, p->ctx, p->who, 8 * (vectors * (double)l.n + 2 * HISTORY_MAX)));
    double **vector[] = {&l.x, &l.g, &l.d, &l.next, &l.next_g};
    for (int i = 0; i < 5; i++)
        *vector[i] = bpi_room_part(&room, l.n);
    l.s = bpi_room_part(&room, l.history * l.n);
    l.y = bpi_room_part(&room, l.history * l.n);
    l.rho = bpi_room_part(&room, HISTORY_MAX);
    l.alpha = bpi_room_part(&room, HISTORY_MAX);
    p->gradient = l.next_g;
    return bpi_descend(p, l.x, begin, iterate, &l);
}

bp_status bp_lbfgs(bp_params *params, bp_objective_fn loss, void *user,
                   const bp_minimize_options *options, bp_found *result)
{
    static const double usual[] = {1e-8, -1, -1};
    bpi_result_begin(result, sizeof *result);
    BPI_LEADS(params, "lbfgs: params");
    return bpi_minimise("lbfgs", minimise, usual, params, loss, "loss", user, options, result);
}
