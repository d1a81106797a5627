/* The training loop: batches of rows, a loss, an optimiser with a rate that changes, and what a
 * program wants to do between steps. It can be stopped at any step and go on, in the same process
 * or in another, with the bits of a run that was not stopped.
 *
 * Three things are exchanged freely: which rows make a batch (bp_trainer_set, bp_trainer_rows),
 * what the loss of a batch is (the task of a model, or a function), and what happens between
 * (callbacks). A step is a plan (plan.h) where options do not say otherwise. */
#ifndef BPCUDA_TRAINER_H
#define BPCUDA_TRAINER_H

#include "checkpoint.h"
#include "curvature.h"
#include "minimize.h"
#include "model.h"
#include "schedule.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct bp_trainer bp_trainer; /* a run: data, loss, optimiser, counters */

/* --- the loss of a batch ------------------------------------------------------------------ */

/* Rows of a data set, within a call of a loss function. */
typedef struct bp_batch bp_batch;

/* A column's rows of this batch [n, ...], by its name (data.h): an op, taken once however often it
 * is asked for. NULL, and a pending error that names the columns, where there is none. */
BP_API bp_tensor *bp_batch_column(bp_batch *batch, const char *name);

/* The numbers of its rows, i32 [n]; NULL for NULL. Their number, n; 0 for NULL. Whether it is to
 * train on; 0 where only the loss is asked for, and 0 for NULL. */
BP_API bp_tensor *bp_batch_index(bp_batch *batch);
BP_API int64_t bp_batch_rows(const bp_batch *batch);
BP_API int32_t bp_batch_training(const bp_batch *batch);

/* The mean loss over the rows of a batch, a real scalar []: ops over its columns and parameters.
 * NULL ends the run with the pending error. As it is recorded, it is called a few times in a run
 * and not once a step: what it reads of the host's memory it reads then (BP_TRAIN_EAGER). */
typedef bp_tensor *(*bp_loss_fn)(bp_context *ctx, bp_batch *batch, void *user);

/* Trains `model` on `data`, with the loss of the model's task. Both must outlive the trainer. For
 * runs that repeat bit by bit: call bp_seed() before the model is made (initial weights and dropout
 * follow from the context's stream, which other training scopes advance too), and set BP_TRAIN_SEED
 * for the order of the rows. */
BP_API bp_status bp_trainer_create(bp_model *model, bp_data *data, bp_trainer **trainer) BP_USE;

/* Trains the parameters of a store on a loss of your own; user may be NULL. */
BP_API bp_status bp_trainer_create_with(bp_params *params, bp_data *data, bp_loss_fn loss,
                                        void *user, bp_trainer **trainer) BP_USE;

BP_API void bp_trainer_free(bp_trainer *trainer); /* model and data stay; NULL is fine */

/* --- options ------------------------------------------------------------------------------ */

/* Options by number (never renumbered) and by name: src/train/options.def is the list. */
typedef int32_t bp_train_option;
enum {
    BP_TRAIN_EPOCHS = 1,      /* may be set at any time: more epochs after the last; words of the
                               * schedule end with those that were set at the first run */
    BP_TRAIN_BATCH = 2,       /* rows of a step; of a source, what it gives */
    BP_TRAIN_LR = 3,          /* may be set at any time */
    BP_TRAIN_SEED = 4,
    BP_TRAIN_L1 = 5,
    BP_TRAIN_L2 = 6,
    BP_TRAIN_DECAY_FROM = 7,  /* epoch from which L1 and L2 act */
    BP_TRAIN_ROWS = 8,        /* a bp_rows */
    BP_TRAIN_EPOCH_STEPS = 9, /* of an epoch where rows are drawn; 0: as many as pass all once */
    BP_TRAIN_PARTS = 10,      /* a batch is computed in so many parts, one after the other; the mean
                               * of a loss function of yours counts by a part's rows */
    BP_TRAIN_PATIENCE = 11,   /* stop after so many epochs without a better validation; 0: never */
    BP_TRAIN_EAGER = 12,      /* 1: the loss function is called for every batch */
    BP_TRAIN_HOLD_OUT = 13,   /* share of the data that validates (bp_data_split) */
    BP_TRAIN_OPTIMIZER = 14,  /* a bp_optimizer_kind */
    BP_TRAIN_CLIP_NORM = 15,  /* of all gradients; 0: as they are */
    BP_TRAIN_WEIGHT_DECAY = 16, /* decoupled; 0: what the optimiser has by itself */
    BP_TRAIN_BATCH_CLASSES = 17, /* classes that every batch has at least; of BP_ROWS_SHUFFLED 0:
                                  * two, in as many batches as can be, 1: whatever comes */
    BP_TRAIN_BATCH_PER_CLASS = 18, /* rows of each class of a batch, at least; 0: 1 */
    BP_TRAIN_EMPHASIS = 19,   /* share of the rows of BP_ROWS_BY_ERROR that is drawn by the loss */
    BP_TRAIN_MAX_NORM = 20,   /* bp_max_norm() of all weights behind each step; 0: none */
    BP_TRAIN_MU = 21,         /* of BP_DIAGONAL_LM, whose h is measured at the start of each epoch on
                               * its first 500 rows, by the batch, 1/10 of the mean each */
    BP_TRAIN_FAN_IN = 22,     /* power of bp_optimizer_fan_in, or of bp_model_fan_in for a model */
    BP_TRAIN_AVERAGE = 23,      /* a mean of the weights: below; 0: none */
    BP_TRAIN_AVERAGE_FROM = 24, /* epoch from which it is taken */
    BP_TRAIN_STOP_GL = 25,      /* early stopping by the loss of the rows that validate: below; */
    BP_TRAIN_STOP_PQ = 26,      /* 0: never */
    BP_TRAIN_STOP_UP = 27,
    BP_TRAIN_STOP_STRIP = 28,   /* epochs, k */
    BP_TRAIN_SYMMETRIC = 29     /* 1: equal units are meant: below */
};

/* AVERAGE: beside the weights w a mean m of them is kept, in a step's own plan: after step t
 *     m += s (w - m),  s = max(1 - AVERAGE, 1 / t),  t counted from the first step of AVERAGE_FROM
 * so that 1 is the mean of all w since then (Polyak, Juditsky, 1992: averaged SGD; Ruppert, 1988),
 * and 0.999 an exponential mean of about the last 1000 steps, which begins as the mean of those it
 * has seen (Kingma, Ba, 2015, 7.2). Before that m is w; a refused step leaves it as it was. What
 * validates is measured with m, and the best weights are m; callbacks see w, and training goes on
 * with it. bp_trainer_average() puts m into the store. Running statistics of a batch norm are of w:
 * after it, put them right by passes over training data (Izmailov et al., 2018, 3.2).
 *
 * STOP (Prechelt: "Early Stopping - But When?", Neural Networks: Tricks of the Trade, 2012). With
 * V(t) the validating loss of epoch t, its smallest so far V_opt, T(t) the training loss,
 *     GL  ends where 100 (V(t) - V_opt) / |V_opt|, the generalisation loss, is above STOP_GL;
 *     PQ  after each strip of k = STOP_STRIP epochs, where it is above STOP_PQ times the progress
 *         1000 (sum of T over the strip / (k min of T in it) - 1);
 *     UP  where V at the ends of STOP_UP strips in a row was above that at the end before.
 * They may be combined, with patience too; the first that holds ends the run (stopped_by). The
 * book's thresholds are 1 to 5 for GL, 0.5 to 3 for PQ, 2 to 8 for UP.
 *
 * SYMMETRIC: units of a layer that begin with equal weights, and get equal gradients, stay one unit
 * for ever (Rumelhart, Hinton, Williams, 1986). Before the first step of a run a weight of rank 2
 * and more whose rows, the units, are all equal is looked at: where the gradient of the first batch
 * (of a model's task, without dropout) is equal in all rows too, the run ends with BP_ERR_STATE and
 * the parameter's name. So what begins with zeros and is told apart by its targets, as an output
 * layer is, may do so. Frozen parameters, biases and gains are not asked. */

/* Which rows an epoch has.
 *
 *     SHUFFLED    each once; as many batches as the data allow hold several classes, and apart from
 *                 that a row is equally likely in each
 *     IN_ORDER    each once, as they are
 *     WEIGHTED    drawn with replacement, in proportion to the column "sampling" (f32 [rows], 0 or
 *                 more) as it is at the start of the epoch
 *     BALANCED    drawn with replacement, each class equally often
 *     STRATIFIED  each once; with n of N rows of a class, a batch of B rows has B n / N of them,
 *                 rounded down or up: up just as often as makes their mean B n / N
 *     BY_ERROR    drawn with replacement, for the task of a model: of rows with the losses l_i at
 *                 the start of the epoch (a pass over them all), row i with the probability
 *                 p_i = (1 - e) / N + e l_i / sum l, where e is BP_TRAIN_EMPHASIS; its loss counts
 *                 1 / (N p_i), at most 1 / (1 - e), so that the mean gradient is that of all rows
 *                 alike, whatever e is, as are the loss and accuracy that are told (LeCun, Bottou,
 *                 Orr, Mueller: Efficient BackProp, 1998, 4.2, which lets such rows count too much;
 *                 importance sampling as of Katharopoulos, Fleuret, 2018). Not with a column
 *                 "weight"
 *
 * BATCH_CLASSES = m and BATCH_PER_CLASS = c ask more of batches: m classes or more in each, the
 * smaller last one too, and of each class that is in it c rows or more. SHUFFLED still has each row
 * once, and equally likely at each place of the full batches; STRATIFIED is as it is, or an error;
 * BALANCED takes as many classes as have room with c rows each, drawn for each batch, and as many
 * rows of each. A last batch of less than m c rows joins the one before it. Where this cannot be,
 * the first run is BP_ERR_STATE, with the numbers, before the first step.
 *
 * All follow from BP_TRAIN_SEED and the number of the epoch. Of a ring, rows are drawn from those
 * that are there at the start of an epoch; a source gives its batches in order. */
typedef int32_t bp_rows;
enum {
    BP_ROWS_SHUFFLED = 0,
    BP_ROWS_IN_ORDER = 1,
    BP_ROWS_WEIGHTED = 2,
    BP_ROWS_BALANCED = 3,
    BP_ROWS_STRATIFIED = 4,
    BP_ROWS_BY_ERROR = 5
};

/* Sets one. Before the first run (else BP_ERR_STATE) but for EPOCHS, LR and PATIENCE; a value out
 * of range is BP_ERR_ARG, with the range. */
BP_API bp_status bp_trainer_set(bp_trainer *trainer, bp_train_option option, double value) BP_USE;

/* The rate over the run, a text (schedule.h); "cosine=0.01" at first. Or a schedule of yours, which
 * must outlive the trainer. Before the first run. */
BP_API bp_status bp_trainer_schedule(bp_trainer *trainer, const char *text) BP_USE;
BP_API bp_status bp_trainer_schedule_own(bp_trainer *trainer, bp_schedule *schedule) BP_USE;

/* The images of every batch are augmented before they are normalised, by a text: bp_augment()
 * (random.h), "shift=2 elastic=34,4" say; "" as they are, which is so at first. Of a model whose
 * layers begin with HxWxC, or whose data are images (else BP_ERR_SHAPE); a loss function of yours
 * calls bp_augment() itself (BP_ERR_STATE). Draws follow from seed and step: the bits are the same
 * on a run that is resumed, replayed or called, on any number of threads. Rows that validate or
 * test are as they are. Before the first run. */
BP_API bp_status bp_trainer_augment(bp_trainer *trainer, const char *text) BP_USE;

/* Rows of your choice: fills rows[n] with row numbers of the data set (i32, checked), batch after
 * batch, at the start of epoch 0, 1, ...; user may be NULL. It must follow from the epoch alone
 * where a run is to be resumed by bits. Any status but BP_OK ends the run. Before the first run. */
typedef bp_status (*bp_rows_fn)(void *user, int64_t epoch, int32_t *rows, int64_t n);
BP_API bp_status bp_trainer_rows(bp_trainer *trainer, bp_rows_fn rows, void *user) BP_USE;

/* An optimiser of yours over the trained store, with its own options (those of the trainer for one
 * are then refused at the first run); it must outlive the trainer. Its rate is set by the trainer:
 * BP_TRAIN_LR times the schedule. Before the first run. */
BP_API bp_status bp_trainer_optimizer(bp_trainer *trainer, bp_optimizer *opt) BP_USE;

/* Measures `data` after each epoch (a model with bp_model_evaluate, else the mean loss); it must
 * outlive the trainer. The weights of the best epoch (smallest loss) are kept beside the others.
 * Before the first run. */
BP_API bp_status bp_trainer_validate(bp_trainer *trainer, bp_data *data) BP_USE;

/* Puts the weights of the best epoch into the store. BP_ERR_STATE where no epoch was measured. */
BP_API bp_status bp_trainer_best(bp_trainer *trainer) BP_USE;

/* Rognvaldsson's estimate of the weight decay (A Simple Trick for Estimating the Weight Decay
 * Parameter, Neural Networks: Tricks of the Trade, 1998): where a run without decay was stopped at
 * its best validating loss, decay would have held the weights w there if it balanced the gradient
 * of the mean training loss E:
 *     *l2 = |dE/dw| / |w|
 * over weights of rank 2 and more that are not frozen, at what is in the store now: call it behind
 * bp_trainer_best(), take the mean over a few seeds, and set BP_TRAIN_L2 to it. E is over all rows
 * that train, without dropout: a pass forth and back. Not of a source (BP_ERR_STATE); forgets
 * gradients that wait for a step. */
BP_API bp_status bp_trainer_decay(bp_trainer *trainer, double *l2) BP_USE;

/* Puts the mean of the weights into the store (BP_TRAIN_AVERAGE); after it, training goes on from
 * there. BP_ERR_STATE where none is taken, or no step was done. */
BP_API bp_status bp_trainer_average(bp_trainer *trainer) BP_USE;

/* --- running ------------------------------------------------------------------------------ */

/* Where a run is; more members may follow, at the end. */
typedef struct bp_progress {
    int64_t epoch;       /* epochs finished */
    int64_t steps;       /* steps done */
    int64_t epoch_steps; /* steps of one epoch */
    double loss;     /* mean over the last finished epoch, without L1 and L2; f64 sums */
    double accuracy; /* share of correct rows over that epoch, with dropout on; 0 without classes */
    double seconds;  /* spent in bp_trainer_run so far */
    double valid_loss, valid_accuracy; /* of the last epoch that was measured */
    double best_loss;   /* the smallest of them; where no data validate, of `loss` */
    int64_t best_epoch; /* its epoch, counted from 1; 0: there is none yet */
    double rate;                       /* of the last step */
    bp_train_option stopped_by; /* which of PATIENCE, STOP_GL, _PQ, _UP ended it; 0: none */
} bp_progress;

/* Between steps, or epochs: called after each one, in bp_trainer_run, with what bp_trainer_progress
 * would say. It may use the context, set options, save, evaluate, write to the data; not run or
 * free the trainer. Any status but BP_OK ends the run with that status; a later run goes on behind
 * it. A callback for steps makes every step a call of its own, and waits for nothing by itself. fn
 * may be NULL, for none; user may be NULL. */
typedef bp_status (*bp_trainer_fn)(bp_trainer *trainer, const bp_progress *progress, void *user);
BP_API bp_status bp_trainer_on_step(bp_trainer *trainer, bp_trainer_fn fn, void *user) BP_USE;
BP_API bp_status bp_trainer_on_epoch(bp_trainer *trainer, bp_trainer_fn fn, void *user) BP_USE;

/* Runs until all epochs are done (*done = 1; also where patience ended), or max_steps or
 * max_seconds have passed (negative: no limit; *done = 0), and can be called again: the result does
 * not depend on the cuts. Waits for the device once an epoch and before it returns; forgets
 * gradients that wait for a step. BP_ERR_STOPPED after bp_trainer_stop(), and the next call goes
 * on. Between calls parameters may be frozen and thawed. The last batch of an epoch may be smaller
 * than the others, or larger by one row (by what BATCH_CLASSES asks). BP_ERR_NONFINITE says which
 * step met a number that is not finite, in which parameter, and, where the loss of its rows shows it
 * again, in which op first. */
BP_API bp_status bp_trainer_run(bp_trainer *trainer, int64_t max_steps, double max_seconds,
                                int32_t *done) BP_USE;

/* Asks the run to end, from any thread, and from a signal handler: it returns after its current
 * step; without a run, the next one at once. NULL is fine. */
BP_API void bp_trainer_stop(bp_trainer *trainer);

/* Where the loop is; waits for nothing. All 0 for NULL. For C and C++ the second form says the
 * size; *progress is as large, and has zeros where the library knows less. progress may be NULL. */
BP_API void bp_progress_of(const bp_trainer *trainer, bp_progress *progress, size_t struct_bytes);
static inline void bp_trainer_progress(const bp_trainer *trainer, bp_progress *progress)
{
    bp_progress_of(trainer, progress, sizeof *progress);
}

/* --- stopping for good, and going on ------------------------------------------------------ */

/* The list of what a checkpoint of this trainer holds: parameters, optimiser, random stream, order,
 * schedule, best weights, counters. Add what else belongs to the run (statistics of batch norm, a
 * second network); before the first run. Belongs to the trainer. NULL for NULL. */
BP_API bp_checkpoint *bp_trainer_checkpoint(bp_trainer *trainer);

/* Saves it now, or by itself after every `steps` steps and at the end (0: not any more), keeping
 * the last `keep` (checkpoint.h). path is copied. Where steps is 0, path may be NULL. */
BP_API bp_status bp_trainer_save(bp_trainer *trainer, const char *path, int32_t keep) BP_USE;
BP_API bp_status bp_trainer_save_every(bp_trainer *trainer, int64_t steps, const char *path,
                                       int32_t keep) BP_USE;

/* Goes on where the file was saved: on a trainer that was made in the same way and has not run yet,
 * over the same data (a ring's rows are not in the file). The next run continues it, with the same
 * bits. BP_ERR_FORMAT names the first thing that differs: an option, a shape, the data's size, the
 * model's layers, normalisers or names.
 * EPOCHS may differ, and is this trainer's; LR and PATIENCE are the file's. */
BP_API bp_status bp_trainer_resume(bp_trainer *trainer, const char *path) BP_USE;

/* --- which rate --------------------------------------------------------------------------- */

/* What a range test found; after a failure all is 0 but struct_bytes. More members may follow, at
 * the end. */
typedef struct bp_rate_range {
    size_t struct_bytes; /* sizeof(bp_rate_range), set by the caller */
    int64_t steps;    /* that were taken: fewer than asked for where the loss went away */
    int32_t diverged; /* it did: more than twice what it was at first, or not finite */
    double least;     /* the rate at which the smoothed loss is least: beyond it steps undo one
                       * another */
    double rate;      /* the suggestion, to begin with and to decay from: a third of it; 0 where no
                       * step has lowered the loss */
} bp_rate_range;

/* The range test of rates: step i of `steps` (2 or more; bp_progress has those of an epoch) is
 * taken at rate from (to / from)^(i / (steps - 1)), 0 < from < to, instead of the schedule's.
 * loss[i] is that of step i's batch, as bp_progress tells losses; smooth[i] a mean of it and its
 * neighbours to both sides, taken twice, with weights of 1 - 1 / (1 + steps / 100) to the power of
 * the distance; there a loss counts at most twice the first. Each has room for `steps` numbers, or
 * is NULL. Then parameters, optimiser, random stream and counters are put back, bit by bit: the run
 * begins, or goes on, as if there had been no test. Not of a source, whose batches do not come
 * back, nor in a callback (BP_ERR_STATE). BP_ERR_NONFINITE where the first loss is not finite.
 * (Smith, "Cyclical Learning Rates for Training Neural Networks", 2017.) */
BP_API bp_status bp_trainer_range(bp_trainer *trainer, double from, double to, int64_t steps,
                                  double *loss, double *smooth, bp_rate_range *found) BP_USE;

/* bp_hessian_largest of the trainer's loss over `rows` rows (0: 1024; at most all), spread evenly
 * over the training data, without dropout; BP_TRAIN_L2 is added to the value. Its rate is one for
 * BP_SGD and BP_NESTEROV: what other optimisers make of a gradient is no step along it. */
BP_API bp_status bp_trainer_curvature(bp_trainer *trainer, int64_t rows, double tolerance,
                                      int64_t products, bp_eigen *found) BP_USE;

/* --- all rows at once ------------------------------------------------------------------------ */

/* By which method a model is fitted to a whole data set: minimize.h has them. */
typedef int32_t bp_method;
enum { BP_METHOD_LBFGS = 1, BP_METHOD_LEVENBERG_MARQUARDT = 2, BP_METHOD_GAUSS_NEWTON = 3 };

/* The least of the model's loss over all rows of a set, by their "weight" where they have one, plus
 * l2 w^2 / 2 for each weight (not of biases and gains; 0: without), in the units in which targets
 * are normalised. Arithmetic is f64, on a copy of the parameters; the model holds the best of them,
 * rounded to f32, in each callback and after the call, however it ends. Dropout is left out, and
 * what is frozen stays. Levenberg-Marquardt and Gauss-Newton are for regression (BP_ERR_ARG), the
 * former for some thousand parameters. Memory: the rows in f64, and what one pass over all of them
 * takes. options and result as in minimize.h; both may be NULL. BP_ERR_STATE where the forward pass
 * is a program's own, and of an ensemble, whose members are fitted before they are one. */
BP_API bp_status bp_model_fit(bp_model *model, bp_data *data, bp_method method, double l2,
                              const bp_minimize_options *options, bp_found *result) BP_USE;

#ifdef __cplusplus
}
#endif
#endif
