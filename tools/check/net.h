/* A small problem to train on, for tests of whole steps: three layers with dropout, random rows,
 * mini-batches gathered by index. */
#ifndef BPI_TEST_NET_H
#define BPI_TEST_NET_H

#include "bpcuda/bpcuda.h"

enum { NET_ROWS = 97, NET_INPUTS = 7, NET_HIDDEN = 33, NET_CLASSES = 5, NET_BATCH = 32,
       NET_PARAMS = 6 };

typedef struct net {
    bp_context *ctx;
    bp_dtype dtype;
    bp_params *params;
    bp_tensor *w[3], *b[3];
    bp_tensor *x, *labels, *index; /* all rows; the rows of the next batch */
    bp_tensor *loss;               /* of the last step */
    bp_optimizer *opt;
    double dropout;
} net;

/* Fills *n; net_close() in any case. Adam, rate 0.01. */
bp_status net_open(net *n, bp_context *ctx, bp_dtype dtype, double dropout);
void net_close(net *n);
/* Puts batch number `i` into n->index. */
bp_status net_batch(net *n, int64_t i);
bp_tensor *net_loss(net *n);
/* A bp_step_fn, user is the net: forward, backward, optimiser, loss copied into n->loss. */
bp_status net_step(bp_context *ctx, void *user);
bp_status net_backward(bp_context *ctx, void *user); /* without the optimiser */
bp_status net_update(bp_context *ctx, void *user);   /* only it */
/* net_batch and bp_run(net_step) for batches first .. first + count - 1. */
bp_status net_train(net *n, int64_t first, int64_t count);
/* All parameters and the loss, packed, as bytes: what "equal by bits" compares. Malloced; NULL on
 * failure. */
void *net_state(net *n, size_t *bytes);
/* A digest of them; 0 on failure. */
uint64_t net_digest(net *n);

#endif
