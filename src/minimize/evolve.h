/* What evolution strategies share (evolve.c): candidates, their draws and values, the best. */
#ifndef BPI_EVOLVE_H
#define BPI_EVOLVE_H

#include "minimize/minimize.h"

enum { BPI_POPULATION_MAX = 1 << 16 };

typedef struct bpi_search {
    bpi_problem problem;     /* of numbers of the host's it has n, `now` and `each` */
    bp_cost_fn cost;         /* NULL: a store's */
    void *user;
    bp_evolve_options o;     /* without zeros that stand for something */
    int64_t n, lambda;
    double *start, *best;    /* [n] */
    uint64_t generation;     /* of the draws, over all restarts */
    /* of a generation */
    double *z, *x, *value;   /* [lambda, n], [lambda, n], [lambda] */
    int32_t *order;          /* [lambda], the best first */
    void (*place)(struct bpi_search *s, int64_t candidate); /* makes x out of z */
    void *state;             /* the strategy's */
} bpi_search;

typedef bp_status (*bpi_strategy)(bpi_search *s);

/* Draws, places and evaluates a generation, keeps the best of it, orders it; *stop where the target
 * or the limit is reached. */
bp_status bpi_generation(bpi_search *s, bp_stop *stop);
/* body(s, i) for 0 <= i < n, by all threads. */
void bpi_side_by_side(bpi_search *s, int64_t n, void (*body)(void *s, int64_t i));
/* lambda candidates, in room that is freed with the room. */
bp_status bpi_population(bpi_search *s, bpi_room *room, int64_t lambda, double more_bytes);
/* A call: over a store, or where that is NULL over numbers of the host's. */
typedef struct bpi_evolution {
    const char *who;
    bpi_strategy strategy;
    int64_t least; /* candidates */
    bp_context *ctx;
    bp_params *params;
    bp_objective_fn loss;
    bp_cost_fn cost;
    void *user;
    double *x;
    int64_t n;
    const bp_evolve_options *options;
    bp_found *result;
} bpi_evolution;
bp_status bpi_evolve(bpi_evolution e);

#endif
