/* The inside of a model: named parameters, a normaliser of its inputs, a forward pass, which is a
 * chain of layers or the program's own, a task, and for regression a normaliser of the targets. */
#ifndef BPI_NN_H
#define BPI_NN_H

#include "data/data.h"
#include "nn/layers.h"

/* (x - shift) scale, column by column. */
typedef struct bpi_normalizer {
    int64_t n;
    bp_tensor *shift, *scale; /* f64 [n] each */
    double *host;             /* the same on the host: shift, then scale */
} bpi_normalizer;

struct bp_model {
    bp_context *ctx;
    bpi_late late;
    bp_params *params;
    bp_layers *layers; /* or NULL: */
    bp_layers **member; /* of an ensemble [members], the first is `layers`; else NULL */
    int32_t members;    /* 1 or more */
    bp_forward_fn own;
    void *user;
    bp_task task;
    int64_t inputs, outputs;
    bpi_normalizer in, out; /* out: 0 and 1 but for regression */
    bp_normalize how;       /* `in` was set; BP_NORMALIZE_DEFAULT: its file does not say */
    bp_tensor *square;      /* of the units of the targets: 1 / out.scale^2, f64 [outputs] */
    bpi_texts names[BPI_NAMES];
    /* To predict one sample: */
    bp_plan *plan;
    bp_tensor *sample, *answer; /* f32 [1, inputs], [1, outputs] */
    float *row;                 /* the sample on the host */
};

/* --- normalize.c ------------------------------------------------------------------------- */

/* One that leaves n columns as they are. On failure too, free it. */
bp_status bpi_normalizer_create(bp_context *ctx, int64_t n, bpi_normalizer *to);
void bpi_normalizer_free(bp_context *ctx, bpi_normalizer *of);
/* From n shifts and then n scales. */
bp_status bpi_normalizer_set(bpi_normalizer *of, const double *both);
/* The normaliser of the targets, and what follows from it. */
bp_status bpi_model_set_targets(bp_model *model, const double *both);
/* The way with this name; false if there is none. */
bool bpi_normalize_read(const char *text, bp_normalize *how);
/* BP_OK if `data` can be fed to the model, else the error, in the name of `who`. */
bp_status bpi_model_fits(const bp_model *model, bp_data *data, const char *who);
/* And whether it has rows that can be measured: not a source, nor an empty ring. */
bp_status bpi_model_measures(const bp_model *model, bp_data *data, const char *who);

/* --- names.c ----------------------------------------------------------------------------- */

/* How many names there are, where there are some: outputs, inputs. */
int64_t bpi_names_count(const bp_model *model, int which);
/* The names are the model's from now on; *names is empty. */
void bpi_model_take_names(bp_model *model, int which, bpi_texts *names);
/* Those that a set has; "" for classes of the model that it does not know. */
bp_status bpi_names_of_data(const bp_model *model, const bp_data *data, int which,
                            bpi_texts *names);
/* The text of a model's names, into `to`, or with NULL only the bytes it takes, with its 0. */
size_t bpi_names_encode(const bp_model *model, int which, char *to);
/* Fills to[], of as many bytes as `text` has, with the names; how many, or -1. */
int64_t bpi_names_decode(const char *text, char *to);

/* --- members.c --------------------------------------------------------------------------- */

/* Declares the chains of m->members members, of one text. On failure too, freed with the model. */
bp_status bpi_members_create(bp_model *model, const char *image, const char *layers);
/* Of normalised rows, which stay: the outputs of each member, [members, N, outputs]; and of the
 * ensemble, those whose answer is the mean. */
bp_tensor *bpi_members_each(bp_model *model, bp_tensor *x, bool training);
bp_tensor *bpi_members_through(bp_model *model, bp_tensor *x, bool training);

/* --- predict.c --------------------------------------------------------------------------- */

/* Of outputs, what a program wants: probabilities, or normalised numbers as they are. */
bp_tensor *bpi_model_answer(const bp_model *model, bp_tensor *outputs);

/* --- model_file.c ------------------------------------------------------------------------ */

/* What a file, or a snapshot, says it is. */
typedef struct bpi_description {
    int64_t inputs, outputs;
    bp_task task;
    const char *layers; /* NULL: the forward pass is a program's own */
    const char *names[BPI_NAMES]; /* as a file has them; NULL: none */
    bp_normalize how;
    int32_t members;
} bpi_description;
/* BP_OK if the model is such a one, else what differs; `who` is the path, or the call. */
bp_status bpi_model_is(const bp_model *model, const bpi_description *d, const char *who);

/* What a model is beside its parameters, each part as one number: of its layers, its normalisers,
 * the names of its classes and inputs (FNV-1a; 0: there are none). */
enum { BPI_DIGEST_LAYERS, BPI_DIGEST_NORMALIZERS, BPI_DIGEST_NAMES, BPI_DIGESTS };
void bpi_model_digest(const bp_model *model, uint64_t digest[BPI_DIGESTS]);

/* --- model.c ----------------------------------------------------------------------------- */

/* The model of layers that a description tells of, in the name of `who`. */
bp_status bpi_model_create(bp_context *ctx, const bpi_description *d, const char *who,
                           bp_model **model);
/* The forward pass of normalised rows, which are freed as soon as they were read. */
bp_tensor *bpi_model_through(bp_model *model, bp_tensor *x, bool training);
/* Rows of a table [R, ...] (u8, f32) by number, i32 [B], normalised: f32 [B, n]. */
bp_tensor *bpi_normal_rows(const bpi_normalizer *n, bp_tensor *table, bp_tensor *index);
/* Frees outputs of the forward pass that were read; what a program's own gave is its own. */
void bpi_model_drop(const bp_model *model, bp_tensor *outputs);

/* --- task.c ------------------------------------------------------------------------------ */

/* Rows of one pass of predict, evaluate and measure: of wide samples fewer, for their memory. */
enum { BPI_MODEL_ROWS = 1024 };
static inline int64_t bpi_model_rows(const bp_model *model)
{
    return model->inputs > BPI_MODEL_ROWS / 4 ? BPI_MODEL_ROWS / 4 : BPI_MODEL_ROWS;
}

/* The loss of a batch, the rows `index` (i32 [n]) of a set that fits the model, in the innermost
 * scope. By the column "weight", where the set has one: sum w l / sum w. By what rows count, f32
 * [rows of the set], where that is given: sum c l / n. */
typedef struct bpi_step_loss {
    bp_tensor *loss;    /* the mean, f32 []: what is differentiated */
    bp_tensor *told;    /* the same in the targets' own units, real []; it may be `loss` itself */
    bp_tensor *correct; /* rows that are right, or of several labels their share, summed over the
                         * rows as they count, f32 []; NULL: regression */
    bp_tensor *weight;  /* sum of the rows' weights, f64 []; NULL: each counts 1 */
} bpi_step_loss;
bp_status bpi_model_step_loss(bp_model *model, bp_data *data, bp_tensor *index, bp_tensor *counts,
                              bool training, bpi_step_loss *out);
/* The loss of each row of a set by itself, loss[rows], as it is differentiated. Waits. */
bp_status bpi_model_row_losses(bp_model *model, bp_data *data, double *loss);

/* The column "weight", or NULL. */
bp_tensor *bpi_data_weights(bp_data *data);

/* i32 [n]: first, first + 1, ...; the caller's. */
bp_tensor *bpi_rows_from(bp_context *ctx, int64_t first, int64_t n);

#endif
