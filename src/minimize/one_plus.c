/* (1+lambda)-ES: normal children around a parent, and one deviation that follows their success. */
#include <math.h>
#include <string.h>

#include "core/params.h"
#include "minimize/evolve.h"

static void around_the_best(bpi_search *s, int64_t candidate)
{
    const double *z = s->z + candidate * s->n, deviation = s->problem.now.step;
    double *x = s->x + candidate * s->n;
    bool first = s->problem.now.iterations == 0 && candidate == 0; /* the parent itself */
    for (int64_t i = 0; i < s->n; i++)
        x[i] = s->start[i] + (first ? 0 : deviation * z[i]);
}

static bp_status one_plus(bpi_search *s)
{
    bp_found *now = &s->problem.now;
    BPI_ROOM(room);
    BPI_TRY(bpi_population(s, &room, s->o.population, 0));
    s->place = around_the_best;
    double lambda = (double)s->lambda, wanted = 1 / (5 + sqrt(lambda) / 2);
    double rate = wanted * lambda / (2 + wanted * lambda), success = wanted;
    double slowness = 1 + (double)s->n / (2 * lambda), parent = INFINITY;
    while (now->stop == BP_STOP_NONE) {
        BPI_TRY(bpi_generation(s, &now->stop));
        int64_t better = 0, best = s->order[0];
        if (now->iterations == 1)
            parent = s->value[0];
        for (int64_t i = 0; i < s->lambda; i++)
            better += s->value[i] < parent;
        if (s->value[best] <= parent) { /* one as good too: plateaus are crossed */
            parent = s->value[best];
            memcpy(s->start, s->x + best * s->n, (size_t)s->n * sizeof *s->start);
        }
        success += rate * ((double)better / lambda - success);
        now->step *= exp((success - wanted) / (1 - wanted) / slowness);
        if (now->stop == BP_STOP_NONE && now->step <= s->o.step * s->o.deviation)
            now->stop = BP_STOP_STEP;
    }
    return BP_OK;
}

bp_status bp_es(bp_params *params, bp_objective_fn loss, void *user,
                const bp_evolve_options *options, bp_found *result)
{
    bpi_result_begin(result, sizeof *result);
    BPI_LEADS(params, "es: params");
    return bpi_evolve((bpi_evolution){
        .who = "es", .strategy = one_plus, .least = 1, .ctx = params->ctx, .params = params,
        .loss = loss, .user = user, .options = options, .result = result});
}

bp_status bp_es_host(bp_context *ctx, bp_cost_fn cost, void *user, double *x, int64_t n,
                     const bp_evolve_options *options, bp_found *result)
{
    return bpi_evolve((bpi_evolution){
        .who = "es_host", .strategy = one_plus, .least = 1, .ctx = ctx, .cost = cost,
        .user = user, .x = x, .n = n, .options = options, .result = result});
}
