/* The training loop: shuffled mini-batches, Adam, a decaying rate; resumable and stoppable. */
#ifndef BPCUDA_TRAINER_H
#define BPCUDA_TRAINER_H

#include "model.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct bp_trainer bp_trainer;

/* Options by number (never renumbered) and by name: src/train/options.def is the list. */
typedef int32_t bp_train_option;
enum {
    BP_TRAIN_EPOCHS = 1,
    BP_TRAIN_BATCH = 2,
    BP_TRAIN_LR = 3,
    BP_TRAIN_SEED = 4,
    BP_TRAIN_L1 = 5,
    BP_TRAIN_L2 = 6,
    BP_TRAIN_DECAY_FROM = 7 /* epoch from which L1 and L2 act */
};

/* Trains `model` on `data`; both must outlive the trainer. For runs that repeat bit by bit: call
 * bp_seed() before the model is made (initial weights and dropout follow from the context's stream,
 * which other training scopes advance too), and set BP_TRAIN_SEED for the order of the rows. */
BP_API bp_status bp_trainer_create(bp_model *model, bp_data *data, bp_trainer **trainer) BP_USE;
BP_API void bp_trainer_free(bp_trainer *trainer); /* NULL is fine */

/* Before the first run (else BP_ERR_STATE); a value out of range is BP_ERR_ARG, with the range. */
BP_API bp_status bp_trainer_set(bp_trainer *trainer, bp_train_option option, double value) BP_USE;

/* Runs until all epochs are done (*done = 1), or max_steps or max_seconds have passed (negative:
 * no limit; *done = 0), and can be called again: the result does not depend on the cuts. Waits for
 * the device once an epoch and before it returns; forgets gradients that wait for a step.
 * BP_ERR_STOPPED after bp_trainer_stop(), and the next call goes on. Between calls parameters may
 * be frozen and thawed. The last batch of an epoch may be smaller than the others, or larger by one
 * row; as many batches as the data allow hold several classes, and apart from that a row is equally
 * likely in each. */
BP_API bp_status bp_trainer_run(bp_trainer *trainer, int64_t max_steps, double max_seconds,
                                int32_t *done) BP_USE;

/* From any thread: the run returns after its current step; without a run, the next one at once.
 * NULL is fine. */
BP_API void bp_trainer_stop(bp_trainer *trainer);

typedef struct bp_progress {
    int64_t epoch;       /* epochs finished */
    int64_t steps;       /* steps done */
    int64_t epoch_steps; /* steps of one epoch */
    double loss;     /* mean over the last finished epoch, in nats, without L1 and L2; f64 sums */
    double accuracy; /* share of correct rows over that epoch, with dropout on */
    double seconds;  /* spent in bp_trainer_run so far */
} bp_progress;

/* Where the loop is; waits for nothing. All 0 for NULL. For C and C++ the second form says the
 * size; *progress is as large, and has zeros where the library knows less. progress may be NULL. */
BP_API void bp_progress_of(const bp_trainer *trainer, bp_progress *progress, size_t struct_bytes);
static inline void bp_trainer_progress(const bp_trainer *trainer, bp_progress *progress)
{
    bp_progress_of(trainer, progress, sizeof *progress);
}

#ifdef __cplusplus
}
#endif
#endif
