/* What a gradient rule inside the library sees of the walk that calls it. */
#ifndef BPI_AUTOGRAD_WALK_H
#define BPI_AUTOGRAD_WALK_H

#include "core/tape.h"

/* A walk back. Gradient rules inside the library find it behind their bp_grad_call. */
typedef struct bpi_walk {
    uint64_t id;
    bool to_store; /* bp_backward: parameters' gradients go to their store */
    uint32_t flags;
    bp_tensor **result; /* bp_grad: the gradients of the wanted values, and their places */
    bpi_place place[BP_MAX_IO * 16];
    int32_t n_targets;
    int32_t first; /* nodes before this one are not walked */
} bpi_walk;

typedef struct bpi_grad_call {
    bp_grad_call call; /* first, so that one pointer serves both */
    bpi_walk *walk;
    bpi_node *node;
    bp_tensor *aux;
    int32_t begin;   /* the length of the tape when the rule began: what it made lies behind */
    uint32_t wanted; /* bit i: the gradient of input i, which is still to be delivered */
} bpi_grad_call;

/* The store's gradient of input i, which the rule must write now, or add to if *add; NULL where the
 * gradient does not go to a store, or the rule reads that store's gradients. */
bp_tensor *bpi_grad_sink(bpi_grad_call *g, int i, int32_t *add);
/* Of the inputs in a mask, whose sinks a kernel that notes (backend.h) will write: where it notes;
 * NULL where they are of several stores. And after it was called: adds, by input, are those of the
 * sinks. */
bp_tensor *bpi_grad_suspect(bpi_grad_call *g, uint32_t inputs);
void bpi_grad_noted(bpi_grad_call *g, uint32_t inputs, const int32_t *adds);
/* The gradient that input i has by now, where the rule may add to it in place; else NULL. */
bp_tensor *bpi_grad_waiting(bpi_grad_call *g, int i);
/* Sends a gradient to where it goes: a store, or the node that made the value. */
bp_status bpi_deliver(bp_context *ctx, bpi_walk *w, const bpi_place *p, bp_tensor *dx);
/* *slot += dx, where *slot is NULL or a clone of the walk's own. */
bp_status bpi_add_gradient(bp_context *ctx, const bpi_walk *w, bp_tensor **slot, bp_tensor *dx);
/* From the places of n values, y, down to w->first, with dy pending there. */
bp_status bpi_walk_back(bp_context *ctx, bpi_walk *w, const bpi_place *y, bp_tensor *const *dy,
                        int n);
/* The node of input i, if its gradient may be handed over before its activation. */
bpi_node *bpi_sole_producer(bpi_grad_call *g, int i);
/* The rule of an op that has only a composition. */
bp_status bpi_compose_gradient(bpi_grad_call *g);

#endif
