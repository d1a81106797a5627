/* What a gradient rule inside the library sees of the walk that calls it. */
#ifndef BPI_AUTOGRAD_WALK_H
#define BPI_AUTOGRAD_WALK_H

#include "core/tape.h"

/* A walk back. Gradient rules inside the library find it behind their bp_grad_call. */
typedef struct bpi_walk {
    uint64_t id;
    bool to_store; /* bp_backward: parameters' gradients go to their store */
    uint32_t flags;
    bp_tensor *const *target; /* bp_grad: wanted values and their results */
    bp_tensor **result;
    bpi_place place[BP_MAX_IO * 16];
    int32_t n_targets;
    int32_t first; /* nodes before this one are not walked */
} bpi_walk;

typedef struct bpi_grad_call {
    bp_grad_call call; /* first, so that one pointer serves both */
    bpi_walk *walk;
    bpi_node *node;
    bp_tensor *aux;
} bpi_grad_call;

/* The store's gradient of input i, to be written, or added to if *add; NULL where the gradient
 * does not go to a store. A rule that filled it sets dx[i] to it. */
bp_tensor *bpi_grad_sink(bpi_grad_call *g, int i, int32_t *add);
/* The node of input i, if its gradient may be handed over before its activation. */
bpi_node *bpi_sole_producer(bpi_grad_call *g, int i);
/* The rule of an op that has only a composition. */
bp_status bpi_compose_gradient(bpi_grad_call *g);

#endif
