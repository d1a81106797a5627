/* The inside of a checkpoint: the list of named state. checkpoint.c makes it and its file; rates.c
 * keeps all of it in host memory meanwhile. */
#ifndef BPI_CHECKPOINT_H
#define BPI_CHECKPOINT_H

#include "core/rng.h"
#include "train/train.h"

/* A tensor of the file: where its numbers are. */
typedef struct bpi_item {
    char *name;
    bp_tensor *tensor; /* or */
    void *host;        /* bytes of the host's, which a tensor of ours takes to the file */
    bool ours;
} bpi_item;

struct bp_checkpoint {
    bp_context *ctx;
    bpi_late late;
    bpi_item *item;
    int64_t n, capacity;
    bp_params **store; /* whose gradients a load forgets */
    int64_t n_stores, store_capacity;
    bpi_rng_saved rng;
};

#endif
