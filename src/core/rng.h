/* The random stream of a context: its seed and step live on the device. */
#ifndef BPI_CORE_RNG_H
#define BPI_CORE_RNG_H

#include "core/dispatch.h"

/* The device's random state is brought up to date before the first draw of a step, outside any
 * plan: steps that draw nothing cost nothing. */
bp_status bpi_rng_catch_up(bp_context *ctx);
/* The number of a random op in its outermost scope. */
bp_status bpi_next_site(bp_context *ctx, uint32_t *site);
/* The whole state of the stream, for a checkpoint: between two steps. Reading it waits. */
typedef struct bpi_rng_saved {
    uint64_t seed, step, drawn_stores;
} bpi_rng_saved;
bp_status bpi_rng_save(bp_context *ctx, bpi_rng_saved *saved);
bp_status bpi_rng_restore(bp_context *ctx, const bpi_rng_saved *saved);
/* The end of an outermost scope that trains. */
bp_status bpi_rng_step_ends(bp_context *ctx);

#endif
