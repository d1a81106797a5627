/* The tape: one node for each op that some gradient may need, in the order of the calls, which is
 * a topological order. A stack, cut back where a scope ends. */
#ifndef BPI_CORE_TAPE_H
#define BPI_CORE_TAPE_H

#include "core/handle.h"
#include "core/op.h"

enum { BPI_TAPE_CHUNK = 128 };

typedef struct bpi_saved { /* what the gradient rule will read, and its version at that time */
    bp_tensor *t;
    uint32_t version;
} bpi_saved;

typedef struct bpi_node {
    uint64_t serial;
    const bp_op *op; /* NULL: a leaf */
    bp_params *store; /* of a leaf that is a parameter */
    int32_t segment;
    int32_t consumers; /* ops that read an output */
    bool used, handed; /* its saved tensors are gone; dout is already before its activation */
    bool leads;        /* the last walk needs a node before it: its rule must run */
    uint64_t needed;   /* the last walk that needs this node */
    bpi_place in[BP_MAX_IO];
    bp_shape in_shape[BP_MAX_IO];
    bp_dtype in_dtype[BP_MAX_IO];
    bpi_saved saved_in[BP_MAX_IO], saved_out[BP_MAX_IO], aux;
    bp_tensor *pending[BP_MAX_IO]; /* gradients of the outputs that have arrived */
    unsigned char params[BPI_PARAMS_MAX];
} bpi_node;

bpi_node *bpi_node_at(bp_context *ctx, int32_t i);
bool bpi_place_valid(bp_context *ctx, const bpi_place *p);
/* A new node at the end; NULL with the error pending. */
bpi_node *bpi_tape_append(bp_context *ctx, const bp_op *op);
void bpi_tape_cut(bp_context *ctx, int32_t length);
void bpi_node_release(bpi_node *node);
void bpi_tape_free(bp_context *ctx);

#endif
