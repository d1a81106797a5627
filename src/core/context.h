/* A context: what every file of the core works on. */
#ifndef BPI_CORE_CONTEXT_H
#define BPI_CORE_CONTEXT_H

#include <stdatomic.h>

#include "bpcuda/bpcuda.h"
#include "core/recorder.h"
#include "core/scope.h"
#include "core/tape.h"
#include "core/turn.h"

struct bp_context {
    _Atomic(uintptr_t) owner; /* the thread inside, 0 when none: turn.c */
    int32_t calls, callbacks; /* its nesting: public calls, and functions of the host's */
    int32_t base;             /* scopes open when the host made the outermost of its calls */
    int32_t objects; /* stores, plans, models, ... that are not freed yet */
    bool closed;     /* it goes with the last of them */
    bp_status pending;
    bpi_fp_state host_fp;     /* what that call found */
    uintptr_t first_callback; /* where the frame of the outermost is */
    _Atomic(bpi_late *) late;
    bpi_late closing;
    bpi_late *behind; /* what the call at work has let go */
    /* Why nothing may be called: a function of the host's that must not call is at work, or was
     * left in a way that lets nothing go on. NULL: it may. */
    const char *shut;
    bool closes; /* when the calls of this thread that are under way have returned */
    char text[512];
    bp_hooks hooks;
    bpi_device *device;
    bool any_device; /* it was the library that chose it */
    bp_exec exec;
    bpi_storage *fault_storage;
    bp_tensor *rng;
    bp_tensor *one[2]; /* the scalar 1 in f32 and f64: the seed of a walk */
    uint64_t seed;
    uint32_t site;     /* random ops so far in the outermost scope */
    uint64_t rng_lag;  /* steps that the stream has made and the device does not know of yet */
    long long refused_step; /* the first that the last report told; 0: it told none */
    uint64_t drawn_stores; /* since the last bp_seed */
    bool tf32;             /* what the device was last told, if it can */

    bpi_scope *scope; /* scope[0 .. depth) */
    int64_t scope_capacity;
    int32_t depth;
    bool no_grad, check_finite; /* of the innermost scope */

    bpi_storage *free_storage[2][BPI_SIZE_CLASSES]; /* eager, plans */
    bpi_storage *spare_storage; /* without memory, which did not come */
    void **slot_chunk;
    int64_t n_slot_chunks, slot_chunk_capacity;
    bpi_tensor *free_slot;

    bpi_node **tape_chunk;
    int64_t tape_capacity; /* chunks */
    int64_t n_tape_chunks;
    int32_t tape_length;
    uint64_t serial; /* of nodes, walks and scopes */
    const struct bpi_grad_call *rule; /* the gradient rule at work, the innermost one, or NULL */
    uint64_t storing; /* the walk that brings gradients to the stores now; 0: none */
    int32_t live_from; /* values of nodes before this one count as constants, parameters if > 0 */

    bp_params *stores;
    uint32_t n_stores; /* so far */
    int32_t orphans; /* of them: freed, nobody names them, but the tape may */
    const bp_op *add; /* sums the gradients of a walk */
    void (*unwind)(bp_context *ctx, int32_t depth); /* ends the scopes above so many */
    void (*empty)(bp_context *ctx); /* ends all scopes and the program's tensors */
    bp_op *registered;
    int64_t n_registered;
    bpi_recording *recording;
    bp_stats stats;
};

#endif
