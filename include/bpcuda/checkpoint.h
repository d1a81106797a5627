/* Checkpoints: all that a run needs to go on as if it had never stopped, in one file.
 *
 * A checkpoint is a list of what belongs to a run: stores, optimisers, tensors, numbers of the
 * host's. It can be saved at any time between two steps, and a program that was started again, and
 * has made the same list, loads it: what follows has the bits of a run without a stop, on every
 * device and with any number of threads. The random stream of the context is always in it. A
 * trainer has one of its own (bp_trainer_checkpoint). */
#ifndef BPCUDA_CHECKPOINT_H
#define BPCUDA_CHECKPOINT_H

#include "optim.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct bp_checkpoint bp_checkpoint; /* a list of what a run needs */

/* An empty list. */
BP_API bp_status bp_checkpoint_create(bp_context *ctx, bp_checkpoint **checkpoint) BP_USE;

BP_API void bp_checkpoint_free(bp_checkpoint *checkpoint); /* frees the list; NULL is fine */

/* Adds to the list. Names are unique in it, and are how a file is matched: letters, digits, '.',
 * '_', '-', '/'. What is added must outlive the checkpoint, or its last save or load. Of a store,
 * the values ("name/parameter"); of an optimiser, its step count, rate and moments, not its
 * options; of numbers of the host's (a counter, a struct without pointers), the bytes at `host`
 * when it is saved. */
BP_API bp_status bp_checkpoint_params(bp_checkpoint *checkpoint, const char *name,
                                      bp_params *params) BP_USE;
BP_API bp_status bp_checkpoint_optimizer(bp_checkpoint *checkpoint, const char *name,
                                         bp_optimizer *opt) BP_USE;
BP_API bp_status bp_checkpoint_tensor(bp_checkpoint *checkpoint, const char *name,
                                      bp_tensor *t) BP_USE;
BP_API bp_status bp_checkpoint_bytes(bp_checkpoint *checkpoint, const char *name, void *host,
                                     size_t bytes) BP_USE;

/* Writes the file (safetensors) as bp_model_save does: whole, or what was there stays. The `keep`
 * - 1 before it are kept as path.1, path.2, ..., the newest first (keep from 1 on; more than 1
 * wants a file system with hard links). At any moment `path` is a whole checkpoint, if it ever was
 * one. Waits. */
BP_API bp_status bp_checkpoint_save(bp_checkpoint *checkpoint, const char *path,
                                    int32_t keep) BP_USE;

/* Puts everything back to what it was. The file must hold what is in the list, with the same names,
 * dtypes and shapes, and nothing else: else BP_ERR_FORMAT says what differs, and nothing has
 * changed. So does a file that is damaged, of a later version of the library, or no checkpoint.
 * Gradients that wait for a step are forgotten. Neither this nor a save inside a scope. */
BP_API bp_status bp_checkpoint_load(bp_checkpoint *checkpoint, const char *path) BP_USE;

#ifdef __cplusplus
}
#endif
#endif
