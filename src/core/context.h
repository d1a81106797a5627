/* A context: what every file of the core works on. */
#ifndef BPI_CORE_CONTEXT_H
#define BPI_CORE_CONTEXT_H

#include <stdatomic.h>

#include "bpcuda/bpcuda.h"
#include "core/recorder.h"
#include "core/scope.h"
#include "core/tape.h"

struct bp_context {
    _Atomic(uintptr_t) owner; /* the thread inside, 0 when none */
    int32_t entries;          /* its nesting of public calls and scopes */
    int32_t objects;          /* stores, plans, models, ... that are not freed yet */
    bool closing;             /* bp_close was called: `end` follows the last of them */
    void (*end)(bp_context *ctx);
    bp_status pending;
    char text[512];
    bp_hooks hooks;
    bpi_device *device;
    bp_exec exec;
    bpi_storage *fault_storage;
    bp_tensor *rng;
    bp_tensor *one[2]; /* the scalar 1 in f32 and f64: the seed of a walk */
    uint64_t seed;
    uint32_t site;     /* random ops so far in the outermost scope */
    uint64_t rng_lag;  /* steps that the stream has made and the device does not know of yet */
    uint64_t drawn_stores; /* since the last bp_seed */
    bool tf32;             /* what the device was last told, if it can */

    bpi_scope *scope; /* scope[0 .. depth) */
    int64_t scope_capacity;
    int32_t depth;
    bool no_grad;

    bpi_storage *free_storage[2][BPI_SIZE_CLASSES]; /* eager, plans */
    void **slot_chunk;
    int64_t n_slot_chunks, slot_chunk_capacity;
    bpi_tensor *free_slot;

    bpi_node **tape_chunk;
    int64_t tape_capacity; /* chunks */
    int64_t n_tape_chunks;
    int32_t tape_length;
    uint64_t serial; /* of nodes and walks */
    const struct bpi_grad_call *rule; /* the gradient rule at work, the innermost one, or NULL */
    int32_t live_from; /* values of nodes before this one count as constants, parameters if > 0 */

    bp_params *stores;
    uint32_t n_stores; /* so far */
    int32_t orphans; /* of them: freed, nobody names them, but the tape may */
    const bp_op *add; /* sums the gradients of a walk */
    bp_op *registered;
    int64_t n_registered;
    bpi_recording *recording;
    bp_stats stats;
};

#endif
