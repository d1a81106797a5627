/* Candidates of a generation: their draws, their values, the best of all. Each is a function of its
 * number alone, so that it does not matter which thread makes it. */
#include "minimize/evolve.h"

#include <math.h>
#include <string.h>

#include "core/context.h"
#include "core/params.h"
#include "door/draw.h"

/* Element i of a candidate's vector of normal numbers. */
static void draw(bpi_search *s, int64_t candidate)
{
    const bpi_stream stream = {s->o.seed, s->generation,
                               bpi_purpose_site(BPI_PURPOSE_SEARCH, (uint32_t)candidate)};
    double *z = s->z + candidate * s->n;
    for (int64_t i = 0; i < s->n; i += 2) {
        uint32_t w[4];
        bpi_philox_block(&stream, (uint64_t)i / 2, w);
        z[i] = bpi_normal_f64((uint64_t)w[0] << 32 | w[1]);
        if (i + 1 < s->n)
            z[i + 1] = bpi_normal_f64((uint64_t)w[2] << 32 | w[3]);
    }
}

static void candidate(void *search, int64_t i)
{
    bpi_search *s = search;
    draw(s, i);
    s->place(s, i);
    if (s->cost)
        s->value[i] = s->cost(s->user, s->x + i * s->n, s->n);
}

void bpi_side_by_side(bpi_search *s, int64_t n, void (*body)(void *s, int64_t i))
{
    bp_parallel_for(&s->problem.ctx->exec, n, body, s);
}

static bool before(const bpi_search *s, int32_t a, int32_t b)
{
    return s->value[a] < s->value[b] || (s->value[a] == s->value[b] && a < b);
}

/* By value, then by number: the same order always. */
static void sort(bpi_search *s)
{
    for (int32_t i = 0; i < s->lambda; i++) {
        int32_t at = i;
        for (; at > 0 && before(s, i, s->order[at - 1]); at--)
            s->order[at] = s->order[at - 1];
        s->order[at] = i;
    }
}

/* Values of a store, one after the other; those that were made count, also where one fails. */
static bp_status evaluate(bpi_search *s)
{
    bpi_problem *p = &s->problem;
    bp_found *now = &p->now;
    bp_status st = BP_OK;
    for (int64_t i = 0; i < s->lambda && st == BP_OK; i++) {
        if (!s->cost) {
            st = bpi_problem_at(p, s->x + i * s->n);
            s->value[i] = st == BP_OK ? p->value : INFINITY;
        } else {
            now->evaluations++;
        }
        if (isnan(s->value[i]) || s->value[i] == -INFINITY)
            st = bpi_not_finite(p->ctx, p->who, "of a candidate", s->value[i]);
        else if (s->value[i] < now->value || isnan(now->value)) {
            now->value = s->value[i];
            memcpy(s->best, s->x + i * s->n, (size_t)s->n * sizeof *s->best);
        }
    }
    return st;
}

bp_status bpi_generation(bpi_search *s, bp_stop *stop)
{
    bp_found *now = &s->problem.now;
    bpi_side_by_side(s, s->lambda, candidate);
    s->generation++;
    BPI_TRY(evaluate(s));
    sort(s);
    now->iterations++;
    *stop = s->o.has_target && now->value <= s->o.target  ? BP_STOP_TARGET
          : now->evaluations >= s->o.evaluations          ? BP_STOP_LIMIT
                                                          : BP_STOP_NONE;
    if (s->problem.each && !s->cost)
        BPI_TRY(bpi_problem_write(&s->problem, s->best));
    return bpi_tell(&s->problem);
}

bp_status bpi_population(bpi_search *s, bpi_room *room, int64_t lambda, double more_bytes)
{
    double n = (double)s->n, each = 16 * n + 8 + 8;
    BPI_TRY(bpi_room_take(room, s->problem.ctx, s->problem.who,
                          each * (double)lambda + more_bytes));
    s->lambda = s->problem.now.population = lambda;
    s->z = bpi_room_part(room, lambda * s->n);
    s->x = bpi_room_part(room, lambda * s->n);
    s->value = bpi_room_part(room, lambda);
    s->order = (int32_t *)bpi_room_part(room, lambda);
    return BP_OK;
}

/* --- the calls ------------------------------------------------------------------------------- */

static bp_status take_options(bpi_search *s, int64_t least, const bp_evolve_options *given)
{
    bpi_problem *p = &s->problem;
    bp_evolve_options *o = &s->o;
    BPI_TRY(bpi_options(p->ctx, p->who, o, sizeof *o, given));
    if (o->deviation == 0)
        o->deviation = 0.3;
    if (o->population == 0)
        o->population = 4 + (int64_t)(3 * log((double)s->n));
    if (o->evaluations == 0)
        o->evaluations = 10000 * s->n;
    if (!(o->deviation > 0 && o->deviation < 1e100))
        return bpi_fail(p->ctx, BP_ERR_ARG, "%s: the deviation is %g; a number above 0 is wanted",
                        p->who, o->deviation);
    if (o->population < least || o->population > BPI_POPULATION_MAX)
        return bpi_fail(p->ctx, BP_ERR_ARG, "%s: a population of %lld is too %s; %lld to %d are "
                        "wanted", p->who, (long long)o->population,
                        o->population < least ? "small" : "large", (long long)least,
                        BPI_POPULATION_MAX);
    if (o->evaluations < 1 || o->restarts < 0 || isnan(o->target))
        return bpi_fail(p->ctx, BP_ERR_ARG, "%s: %lld evaluations, %d restarts and the target %g; "
                        "from 1, from 0 and a number are wanted", p->who,
                        (long long)o->evaluations, (int)o->restarts, o->target);
    BPI_TRY(bpi_tolerance(p->ctx, p->who, "value", o->value, 1e-11, &o->value));
    BPI_TRY(bpi_tolerance(p->ctx, p->who, "step", o->step, 1e-11, &o->step));
    p->each = o->each;
    p->each_user = o->user;
    p->now.value = NAN;
    p->now.step = o->deviation;
    return BP_OK;
}

static bp_status read_numbers(bpi_search *s, const double *x)
{
    bpi_problem *p = &s->problem;
    for (int64_t i = 0; i < s->n; i++)
        if (!isfinite(x[i]))
            return bpi_fail(p->ctx, BP_ERR_NONFINITE, "%s: x[%lld] is %g at the start", p->who,
                            (long long)i, isnan(x[i]) ? (double)NAN : x[i]);
    memcpy(s->start, x, (size_t)s->n * sizeof *x);
    return BP_OK;
}

static void free_search(bpi_search *s)
{
    bpi_problem_free(&s->problem);
}

static bp_status open_call(bpi_search *s, const bpi_evolution *e)
{
    bpi_problem *p = &s->problem;
    const char *null = e->params ? (e->loss ? NULL : "loss")
                     : !e->cost  ? "cost"
                     : !e->x     ? "x"
                                 : NULL;
    p->ctx = e->ctx;
    p->who = e->who;
    BPI_TRY(bpi_result_fits(e->ctx, e->who, "the result", e->result, sizeof *e->result));
    if (null)
        return bpi_fail(e->ctx, BP_ERR_ARG, "%s: %s is NULL", e->who, null);
    if (e->params)
        return bpi_problem_open(p, e->who, e->params, e->loss, e->user);
    p->n = e->n;
    if (e->n < 1)
        return bpi_fail(e->ctx, BP_ERR_ARG, "%s: n is %lld; 1 at least is wanted", e->who,
                        (long long)e->n);
    return bpi_minimize_ready(e->ctx, e->who);
}

static bp_status evolve(const bpi_evolution *e)
{
    __attribute__((cleanup(free_search))) bpi_search s = {.cost = e->cost, .user = e->user};
    bpi_problem *p = &s.problem;
    BPI_TRY(open_call(&s, e));
    s.n = p->n;
    BPI_TRY(take_options(&s, e->least, e->options));
    BPI_ROOM(room);
    BPI_TRY(bpi_room_take(&room, e->ctx, e->who, 16.0 * (double)s.n));
    s.start = bpi_room_part(&room, s.n);
    s.best = bpi_room_part(&room, s.n);
    BPI_TRY(e->params ? bpi_problem_read(p, s.start) : read_numbers(&s, e->x));
    memcpy(s.best, s.start, (size_t)s.n * sizeof *s.best);
    bp_status st = e->strategy(&s), back = BP_OK;
    if (e->params)
        back = bpi_problem_write(p, s.best);
    else
        memcpy(e->x, s.best, (size_t)s.n * sizeof *s.best);
    return bpi_ended(p, st != BP_OK ? st : back, e->result);
}

bp_status bpi_evolve(bpi_evolution e)
{
    BPI_INSIDE(e.ctx, evolve(&e));
}
