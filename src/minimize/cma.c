/* CMA-ES: the constants of table 1 of the tutorial, and a generation of figure 6. */
#include <math.h>
#include <string.h>

#include "core/params.h"
#include "minimize/evolve.h"

enum { FULL_MAX = 2000, LEAST = 4 };

typedef struct cma {
    bpi_search *s;
    bool full;              /* the covariance is a matrix, else its diagonal */
    int64_t row;            /* numbers in a row of it: n or 1 */
    double mu_eff, c_sigma, d_sigma, c_c, c_1, c_mu, usual; /* usual: E |N(0, I)| */
    double sum;             /* of the weights */
    double *w;              /* [lambda], by rank */
    double *mean, *p_c, *p_sigma, *move, *draws; /* draws: the weighted sum of z */
    double *c, *a, *y;      /* covariance; its factor; [lambda, n]: a z */
    double *own;            /* [lambda]: the weights as C takes them, by rank */
    double *ring;           /* [length]: the best of the last generations */
    double keep;            /* what is left of C */
    int64_t length, lazy, age, fresh; /* generations: of the ring, between factors, done */
} cma;

/* --- constants ------------------------------------------------------------------------------- */

static void weigh(cma *c)
{
    double n = (double)c->s->n, lambda = (double)c->s->lambda, all[2] = {0}, squares[2] = {0};
    for (int64_t i = 0; i < c->s->lambda; i++) {
        c->w[i] = log((lambda + 1) / 2) - log((double)i + 1);
        all[c->w[i] < 0] += fabs(c->w[i]);
        squares[c->w[i] < 0] += c->w[i] * c->w[i];
    }
    c->mu_eff = all[0] * all[0] / squares[0];
    double mu_minus = all[1] * all[1] / squares[1], mu = c->mu_eff;
    c->c_c = (4 + mu / n) / (n + 4 + 2 * mu / n);
    c->c_sigma = (mu + 2) / (n + mu + 5);
    c->d_sigma = 1 + 2 * fmax(0, sqrt((mu - 1) / (n + 1)) - 1) + c->c_sigma;
    c->c_1 = 2 / ((n + 1.3) * (n + 1.3) + mu);
    c->c_mu = fmin(1 - c->c_1, 2 * (0.25 + mu + 1 / mu - 2) / ((n + 2) * (n + 2) + mu));
    if (!c->full) {
        c->c_1 = fmin(1, c->c_1 * (n + 2) / 3);
        c->c_mu = fmin(1 - c->c_1, c->c_mu * (n + 2) / 3);
    }
    c->usual = sqrt(n) * (1 - 1 / (4 * n) + 1 / (21 * n * n));
    double minus = fmin(fmin(1 + c->c_1 / c->c_mu, 1 + 2 * mu_minus / (mu + 2)),
                        (1 - c->c_1 - c->c_mu) / (n * c->c_mu));
    c->sum = 0;
    for (int64_t i = 0; i < c->s->lambda; i++) {
        c->w[i] = c->w[i] < 0 ? c->w[i] * minus / all[1] : c->w[i] / all[0];
        c->sum += c->w[i];
    }
    c->lazy = c->full ? (int64_t)(1 / (10 * n * (c->c_1 + c->c_mu))) : 0;
    c->length = 10 + (int64_t)ceil(30 * n / lambda);
}

/* --- a generation ---------------------------------------------------------------------------- */

static void place(bpi_search *s, int64_t candidate)
{
    cma *c = s->state;
    int64_t n = s->n;
    const double *z = s->z + candidate * n;
    double *y = c->y + candidate * n, *x = s->x + candidate * n;
    for (int64_t i = 0; i < n; i++) {
        y[i] = c->full ? bpi_dot(c->a + i * n, z, i + 1) : c->a[i] * z[i];
        x[i] = c->mean[i] + s->problem.now.step * y[i];
    }
}

/* Row i of the covariance, up to its diagonal. */
static void row(void *search, int64_t i)
{
    cma *c = ((bpi_search *)search)->state;
    int64_t n = c->s->n, from = c->full ? 0 : i;
    double *to = c->full ? c->c + i * n : c->c; /* of column j */
    for (int64_t j = from; j <= i; j++)
        to[j] = c->keep * to[j] + c->c_1 * c->p_c[i] * c->p_c[j];
    for (int64_t k = 0; k < c->s->lambda; k++) {
        const double *y = c->y + c->s->order[k] * n, much = c->c_mu * c->own[k] * y[i];
        for (int64_t j = from; j <= i; j++)
            to[j] += much * y[j];
    }
}

/* The mean and both paths. */
static void advance(cma *c)
{
    int64_t n = c->s->n;
    double deviation = c->s->problem.now.step, age = (double)++c->age, size = 0;
    memset(c->move, 0, (size_t)n * sizeof *c->move);
    memset(c->draws, 0, (size_t)n * sizeof *c->draws);
    for (int64_t k = 0; k < c->s->lambda && c->w[k] > 0; k++) {
        const double *y = c->y + c->s->order[k] * n, *z = c->s->z + c->s->order[k] * n;
        for (int64_t i = 0; i < n; i++) {
            c->move[i] += c->w[k] * y[i];
            c->draws[i] += c->w[k] * z[i];
        }
    }
    double more = sqrt(c->c_sigma * (2 - c->c_sigma) * c->mu_eff);
    for (int64_t i = 0; i < n; i++) {
        c->mean[i] += deviation * c->move[i];
        c->p_sigma[i] = (1 - c->c_sigma) * c->p_sigma[i] + more * c->draws[i];
    }
    size = sqrt(bpi_dot(c->p_sigma, c->p_sigma, n));
    bool calm = size / sqrt(1 - pow(1 - c->c_sigma, 2 * age)) <
                (1.4 + 2 / ((double)n + 1)) * c->usual;
    more = calm ? sqrt(c->c_c * (2 - c->c_c) * c->mu_eff) : 0;
    for (int64_t i = 0; i < n; i++)
        c->p_c[i] = (1 - c->c_c) * c->p_c[i] + more * c->move[i];
    c->keep = 1 + (calm ? 0 : c->c_1 * c->c_c * (2 - c->c_c)) - c->c_1 - c->c_mu * c->sum;
    c->s->problem.now.step *= exp(fmin(1, c->c_sigma / c->d_sigma * (size / c->usual - 1)));
}

/* C, and its factor where that is due; false where C is not positive definite any more. */
static bool adapt(cma *c)
{
    int64_t n = c->s->n;
    for (int64_t k = 0; k < c->s->lambda; k++) {
        const double *z = c->s->z + c->s->order[k] * n; /* |z| is the length of y in units of C */
        c->own[k] = c->w[k] < 0 ? c->w[k] * (double)n / (bpi_dot(z, z, n) + 1e-300) : c->w[k];
    }
    bpi_side_by_side(c->s, n, row);
    if (c->age - c->fresh < c->lazy)
        return true;
    c->fresh = c->age;
    if (c->full)
        return bpi_cholesky(c->c, c->a, n);
    for (int64_t i = 0; i < n; i++) {
        c->a[i] = sqrt(c->c[i]);
        if (!(c->c[i] > 0))
            return false;
    }
    return true;
}

/* Appendix B.3: nothing changes any more, or numbers end. */
static bp_stop judge(cma *c)
{
    const bpi_search *s = c->s;
    double best = s->value[s->order[0]], low = best, high = best, widest = 0, narrowest = INFINITY;
    c->ring[c->age % c->length] = best;
    for (int64_t i = 0; i < c->length && i < c->age; i++) {
        low = fmin(low, c->ring[i]);
        high = fmax(high, c->ring[i]);
    }
    for (int64_t i = 0; i < s->n; i++) {
        double square = c->c[i * (c->full ? s->n + 1 : 1)];
        widest = fmax(widest, fmax(sqrt(square), fabs(c->p_c[i])));
        narrowest = fmin(narrowest, sqrt(square));
    }
    high = fmax(high, s->value[s->order[s->lambda - 1]]);
    double step = s->problem.now.step;
    if (c->age >= c->length && high - low <= s->o.value)
        return BP_STOP_VALUE;
    if (step * widest <= s->o.step * s->o.deviation)
        return BP_STOP_STEP;
    return widest > 1e7 * narrowest || !(step * widest < 1e20 * s->o.deviation)
               ? BP_STOP_PRECISION : BP_STOP_NONE;
}

/* One run, with as many candidates. */
static bp_status descend(cma *c, int64_t lambda)
{
    bpi_search *s = c->s;
    bp_found *now = &s->problem.now;
    double n = (double)s->n, ring = 10 + 30 * n + 8;
    BPI_ROOM(room);
    c->row = c->full ? s->n : 1;
    BPI_TRY(bpi_population(s, &room, lambda, 8 * (2 * n * (double)c->row + 5 * n + ring +
                                                  (double)lambda * (n + 2))));
    double **vector[] = {&c->mean, &c->p_c, &c->p_sigma, &c->move, &c->draws};
    for (int i = 0; i < 5; i++)
        *vector[i] = bpi_room_part(&room, s->n);
    c->c = bpi_room_part(&room, s->n * c->row);
    c->a = bpi_room_part(&room, s->n * c->row);
    c->y = bpi_room_part(&room, lambda * s->n);
    c->w = bpi_room_part(&room, lambda);
    c->own = bpi_room_part(&room, lambda);
    weigh(c);
    c->ring = bpi_room_part(&room, c->length);
    c->age = c->fresh = 0;
    now->step = s->o.deviation;
    memcpy(c->mean, s->start, (size_t)s->n * sizeof *c->mean);
    for (int64_t i = 0; i < s->n; i++)
        c->c[i * c->row + (c->full ? i : 0)] = c->a[i * c->row + (c->full ? i : 0)] = 1;
    for (;;) {
        BPI_TRY(bpi_generation(s, &now->stop));
        if (now->stop != BP_STOP_NONE)
            return BP_OK;
        advance(c);
        now->stop = adapt(c) ? judge(c) : BP_STOP_PRECISION;
        if (now->stop != BP_STOP_NONE)
            return BP_OK;
    }
}

static bp_status strategy(bpi_search *s)
{
    bp_found *now = &s->problem.now;
    cma c = {.s = s, .full = s->n <= FULL_MAX};
    int64_t lambda = s->o.population;
    s->place = place;
    s->state = &c;
    bp_status st = descend(&c, lambda);
    while (st == BP_OK && now->restarts < s->o.restarts && now->stop != BP_STOP_TARGET &&
           now->stop != BP_STOP_LIMIT && lambda <= BPI_POPULATION_MAX / 2) {
        now->restarts++;
        now->stop = BP_STOP_NONE;
        st = descend(&c, lambda *= 2);
    }
    return st;
}

bp_status bp_cma_es(bp_params *params, bp_objective_fn loss, void *user,
                    const bp_evolve_options *options, bp_found *result)
{
    bpi_result_begin(result, sizeof *result);
    BPI_LEADS(params, "cma_es: params");
    return bpi_evolve((bpi_evolution){
        .who = "cma_es", .strategy = strategy, .least = LEAST, .ctx = params->ctx, .params = params,
        .loss = loss, .user = user, .options = options, .result = result});
}

bp_status bp_cma_es_host(bp_context *ctx, bp_cost_fn cost, void *user, double *x, int64_t n,
                         const bp_evolve_options *options, bp_found *result)
{
    return bpi_evolve((bpi_evolution){
        .who = "cma_es_host", .strategy = strategy, .least = LEAST, .ctx = ctx, .cost = cost,
        .user = user, .x = x, .n = n, .options = options, .result = result});
}
