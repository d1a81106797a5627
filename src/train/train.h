/* The inside of a trainer. trainer.c makes one and takes what it is told; prepare.c makes what it
 * needs to run; run.c is the loop; rows.c says which rows an epoch has (epoch.c: each once;
 * compose.c, deal.c: in batches that keep to a wish; sample.c: drawn); batch.c is what a loss
 * function sees; measure.c is what happens after an epoch; symmetric.c looks for units that would
 * stay one; explain.c finds where a number was not finite; rates.c and range.c are about rates;
 * fit.c takes all rows at once; resume.c is its checkpoint, of which checkpoint.c is the list and
 * the file. */
#ifndef BPI_TRAIN_H
#define BPI_TRAIN_H

#include <stdatomic.h>
#include <stdbool.h>

#include "bpcuda/bpcuda.h"
#include "core/error.h"
#include "core/memory.h"
#include "nn/nn.h"
#include "train/compose.h"

enum { BPI_TRAIN_OPTIONS = 30, BPI_COLUMNS_KNOWN = 32, BPI_SCHEDULE_TEXT = 128,
       BPI_AUGMENT_TEXT = 64 };

/* --- options (trainer.c) ------------------------------------------------------------------ */

typedef struct bpi_train_option {
    const char *name;
    double start, min, max;
    bool integer;
} bpi_train_option;
extern const bpi_train_option bpi_train_options[BPI_TRAIN_OPTIONS]; /* by number */

/* --- a batch (batch.c) -------------------------------------------------------------------- */

struct bp_batch {
    bp_context *ctx;
    bp_data *data;
    bp_tensor *index; /* i32 [rows] */
    int64_t rows;
    bool training;
    bool whole;       /* all rows of the set, as they are: nothing to gather */
    bp_tensor *column[BPI_COLUMNS_KNOWN]; /* asked for; what is beyond is gathered each time */
};

/* The loss of a batch, by a function of the user's or by a model. */
bp_status bpi_batch_loss(bp_trainer *t, bp_batch *batch, bpi_step_loss *loss);

/* --- state that a checkpoint holds as it is ----------------------------------------------- */

typedef struct bpi_train_state {
    double option[BPI_TRAIN_OPTIONS];
    char schedule[BPI_SCHEDULE_TEXT];
    char augment[BPI_AUGMENT_TEXT]; /* "": images are taken as they are */
    int64_t rows, columns;        /* of the data */
    uint64_t model[BPI_DIGESTS];  /* bpi_model_digest; 0 without a model */
    int64_t epoch, step;          /* where the loop is: step in the epoch */
    int64_t bad_epochs;           /* since the best */
    int64_t told;                 /* epochs that the callback for epochs has seen */
    int64_t planned;              /* epochs, when it began: words of the schedule end with them */
    double strip_sum, strip_least; /* of the training losses since the last strip ended */
    double strip_end;             /* what validated then; infinite before */
    int64_t rises;                /* of it, in a row */
    bp_progress progress;
} bpi_train_state;

struct bp_trainer {
    bp_context *ctx;
    bpi_late late;
    bp_params *params;
    bp_model *model; /* NULL: loss() is of the user's */
    bp_loss_fn loss_fn;
    void *loss_user;
    bp_data *data, *train, *valid; /* given; what trains, what validates (or NULL) */
    bp_data *part[2];              /* of `data`, where a share is held out */
    bp_schedule *schedule;
    bool own_schedule, own_optimizer; /* of the user's */
    bp_rows_fn rows_fn;
    void *rows_user;
    bp_trainer_fn on_step, on_epoch;
    void *step_user, *epoch_user;
    bp_checkpoint *checkpoint;
    int64_t given; /* entries of it that were there before ours */
    char *save_path;
    int64_t save_every, saved_at;
    int32_t save_keep;
    atomic_bool stop;
    bool ready;   /* all below exists */
    bool running; /* in bp_trainer_run, by so many callbacks of others: */
    int32_t callbacks;
    int64_t base_steps, base_count; /* steps when the run began; the optimiser's */
    bool begun;   /* order and rates of the epoch are on the device */
    bool stale;   /* the rates are not */
    bool refused; /* the mean loss of an epoch of this run was not finite */

    bpi_epoch cut;
    int64_t steps;               /* of an epoch */
    int64_t most_rows;           /* room of label and cumulative */
    int64_t n_order;             /* of one batch, where all have the same numbers */
    int32_t *label, *order, *scratch;
    bpi_composer *composer;      /* where batches keep to a wish */
    double *cumulative;          /* [rows]: of weights that rows are drawn by */
    bp_tensor *importance;       /* f32 [rows]: what a row drawn by its error counts; or NULL */
    double *rate;                /* [steps]; then as many shares in the mean of the weights */
    bp_optimizer *opt;
    bp_tensor *batches, *rest;   /* the order: i32 [full, batch], i32 [rest] */
    bp_tensor *rates, *at, *one; /* f64 [steps]; the step in the epoch and 1, i32 [1] */
    bp_tensor *shares;           /* f64 [steps]: of the weights in their mean */
    bp_tensor *mean, *raw;       /* flat, or NULL: it; the weights while it is in the store */
    bp_tensor *loss, *correct;   /* sums over the epoch: f64 []; loss counts full batches */
    bp_tensor *weight;           /* the same of the rows' weights, where they have some */
    bp_tensor *best;             /* flat, or NULL: the best weights */
    bp_plan *plan[2];            /* of a full batch, of the rest; recorded with */
    int32_t form[2];             /* of the model: bpi_model_form */
    bpi_train_state now;
};

/* --- rows.c ------------------------------------------------------------------------------- */

/* How epochs are cut, or why they cannot be. */
bp_status bpi_train_cut(bp_trainer *t, bpi_epoch *cut);
/* Memory for the order; the constant part of it. */
bp_status bpi_train_rows_prepare(bp_trainer *t);
/* Brings the order of the epoch to the device. */
bp_status bpi_train_order(bp_trainer *t);
/* The data of the next step are there. */
bp_status bpi_train_next(bp_trainer *t);
/* Every step's batch comes from outside. */
bool bpi_train_arrives(const bp_trainer *t);

/* n rows out of [0, rows), with replacement, in proportion to the steps of cumulative[rows], or all
 * alike where it is NULL. */
void bpi_sample_rows(uint64_t seed, int64_t epoch, const double *cumulative, int64_t rows,
                     int32_t *order, int64_t n);

/* --- run.c, rates.c ----------------------------------------------------------------------- */

/* A step of a trainer that is ready, and nothing of what follows a step or an epoch. */
bp_status bpi_train_step(bp_trainer *t);
/* The rates of layers, and what an optimiser of second derivatives asks, when one is there. */
bp_status bpi_train_rates_prepare(bp_trainer *t);
/* Second derivatives, where an epoch begins, for an optimiser that divides by them. */
bp_status bpi_train_diagonal(bp_trainer *t);

/* --- measure.c ---------------------------------------------------------------------------- */

bp_status bpi_train_measure_prepare(bp_trainer *t);
/* Validation, the best weights, patience, a schedule that listens. */
bp_status bpi_train_measure(bp_trainer *t);
/* Whether there is nothing more to do. */
bool bpi_train_done(const bp_trainer *t);

/* --- resume.c, checkpoint.c --------------------------------------------------------------- */

bp_status bpi_train_checkpoint_prepare(bp_trainer *t);
int64_t bpi_checkpoint_size(const bp_checkpoint *c);
void bpi_checkpoint_cut(bp_checkpoint *c, int64_t size); /* takes back what was added since */
/* As bp_checkpoint_load; before anything changes, fits(user, path, bytes of the entry `name`). */
bp_status bpi_checkpoint_load(bp_checkpoint *c, const char *path, const char *name,
                              bp_status (*fits)(void *user, const char *path, const void *bytes),
                              void *user);

/* --- symmetric.c -------------------------------------------------------------------------- */

/* Before the first step of a run, whose batch is there: whether units would stay equal. */
bp_status bpi_train_symmetric(bp_trainer *t);
/* The rows of the next step, i32 [n]. */
bp_tensor *bpi_train_index(bp_trainer *t);

/* --- explain.c ---------------------------------------------------------------------------- */

/* After a refused step or mean loss: what the rows of that step, or else of each step of the epoch,
 * show when their loss is computed again, op by op, adds to the error's text. */
bp_status bpi_train_explain(bp_trainer *t);

/* --- prepare.c ---------------------------------------------------------------------------- */

/* Before the first step; nothing where that was done. */
bp_status bpi_train_prepare(bp_trainer *t);
void bpi_train_release(bp_trainer *t); /* the opposite */

#endif
