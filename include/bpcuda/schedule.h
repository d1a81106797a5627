/* Schedules: what the rate of an optimiser is multiplied by, step by step.
 *
 * A schedule is a text of words; the factor of a step is the product of theirs. Factors are f64,
 * made on the host: upload them (bp_write) and let each step copy its own into bp_optimizer_rate(),
 * so that a plan replays them. Times are in epochs, with fractions; t is the time since the start
 * of a word's clock, s the steps since then, and L the s of the run's last step:
 *
 *     constant              1
 *     step=EVERY,FACTOR     FACTOR^floor(t / EVERY)
 *     exponential=FACTOR    FACTOR^t
 *     inverse=T             1 / (1 + t / T)                     (Robbins & Monro, 1951)
 *     polynomial=POWER,END  END + (1 - END) (1 - s / L)^POWER
 *     cosine=END            END + (1 - END) (1 + cos(pi s / L)) / 2; cosine alone: to 0
 *     cosine=END,PERIOD,GROWTH  the same from 1 to END in PERIOD epochs, then from 1 again in
 *                           PERIOD GROWTH, PERIOD GROWTH^2, ...; GROWTH may be left out, and is 1
 *                           (Loshchilov & Hutter: "SGDR", 2017)
 *     warmup=T              min(1, (s + 1) / steps in T)        (Goyal et al., 2017)
 *     onecycle=START,END    half a cosine from START to 1 in the first 30 % of the steps, another
 *                           to END in the rest                  (Smith & Topin, 2018)
 *     plateau=FACTOR,PATIENCE  times FACTOR whenever bp_schedule_tell() has told more than PATIENCE
 *                           epochs in a row no measure below the best by 0.01 % of it
 *     after=T               the clocks of the words behind it start T epochs after the run's
 *                           start, and stand at 0 before that
 *
 * So "warmup=5 after=5 cosine=0.01" rises for 5 epochs and then falls to 1 % at the last step, and
 * "cosine=0 step=10,0.5" is a cosine that is halved every 10 epochs as well. In epochs that are
 * added to a run, words that end with it stay where they are. Numbers are decimal, whatever the
 * locale, and at most 1e9; EVERY, FACTOR, POWER, PERIOD and the T of inverse are above 0, GROWTH is
 * at least 1, the others at least 0. A text has one plateau at most. */
#ifndef BPCUDA_SCHEDULE_H
#define BPCUDA_SCHEDULE_H

#include "common.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct bp_schedule bp_schedule; /* factors of a rate, step by step */

/* A schedule of this text, up to 32 words with white space between; BP_ERR_FORMAT says which word
 * is wrong, and what is wanted there. */
BP_API bp_status bp_schedule_create(bp_context *ctx, const char *text,
                                    bp_schedule **schedule) BP_USE;

/* A function of your own: the factor at `epoch` (with fractions) of `epochs`, at least 0. Called by
 * bp_schedule_fill, in its thread; user may be NULL, and must last as long as the schedule. */
typedef double (*bp_factor_fn)(void *user, double epoch, double epochs);
BP_API bp_status bp_schedule_own(bp_context *ctx, bp_factor_fn factor, void *user,
                                 bp_schedule **schedule) BP_USE;

BP_API void bp_schedule_free(bp_schedule *schedule); /* frees it; NULL is fine */

/* factor[0 .. n) of the steps first, first + 1, ... of a run of `all` steps, an epoch being
 * epoch_steps of them; steps count from 0, and may lie behind the run's end. The same numbers
 * however a run is cut into calls. BP_ERR_ARG for a count that is out of range, BP_ERR_NONFINITE
 * for a factor that is negative, NaN or infinite, which it names. */
BP_API bp_status bp_schedule_fill(bp_schedule *schedule, int64_t first, int64_t n,
                                  int64_t epoch_steps, int64_t all, double *factor) BP_USE;

/* Once an epoch, for `plateau`: what is to become small, a loss or 1 - accuracy. NaN is not below
 * anything. With `after`, the first T epochs that are told do not count. */
BP_API bp_status bp_schedule_tell(bp_schedule *schedule, double measure) BP_USE;

#ifdef __cplusplus
}
#endif
#endif
