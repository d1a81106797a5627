/* The inside of a model: named parameters, a normaliser of its inputs, a forward pass, which is a
 * chain of layers or the program's own, a task, and for regression a normaliser of the targets. */
#ifndef BPI_NN_H
#define BPI_NN_H

#include "data/data.h"
#include "nn/layers.h"

/* (x - shift) scale, column by column; then, where there is a matrix, x M. */
typedef struct bpi_normalizer {
    int64_t n;
    bp_tensor *shift, *scale; /* f64 [n] each */
    double *host;             /* the same on the host: shift, then scale */
    bp_tensor *matrix, *room; /* f32 [n, n], or NULL; once made it is kept, for plans name it */
    uint64_t digest;          /* of all its numbers */
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
    bool tanh; /* its targets are those of tanh outputs */
    int64_t inputs, outputs;
    bpi_normalizer in, out; /* out: 0 and 1 but for regression */
    bp_normalize how;       /* `in` was set; BP_NORMALIZE_DEFAULT: its file does not say */
    bp_tensor *square;      /* of the units of the targets: 1 / out.scale^2, f64 [outputs] */
    bpi_texts names[BPI_NAMES];
    /* To predict one sample: */
    bp_plan *plan;
    int32_t plan_form;          /* with which it was recorded */
    bp_tensor *sample, *answer; /* f32 [1, inputs], [1, outputs] */
    float *row;                 /* the sample on the host */
};

/* --- normalizer.c ------------------------------------------------------------------------ */

/* One that leaves n columns as they are. On failure too, free it. */
bp_status bpi_normalizer_create(bp_context *ctx, int64_t n, bpi_normalizer *to);
void bpi_normalizer_free(bp_context *ctx, bpi_normalizer *of);
/* From n shifts and then n scales, and a matrix, [n, n] or NULL. */
bp_status bpi_normalizer_set(bpi_normalizer *of, const double *both, const float *matrix);
/* Rows of a table [R, ...] (u8, f32) by number, i32 [B], normalised: f32 [B, n]. */
bp_tensor *bpi_normal_rows(const bpi_normalizer *n, bp_tensor *table, bp_tensor *index);

/* --- normalize.c ------------------------------------------------------------------------- */

/* The normaliser of the targets, and what follows from it. */
bp_status bpi_model_set_targets(bp_model *model, const double *both);
/* The way with this name; false if there is none. */
bool bpi_normalize_read(const char *text, bp_normalize *how);
/* BP_OK if `data` can be fed to the model, else the error, in the name of `who`. */
bp_status bpi_model_fits(const bp_model *model, bp_data *data, const char *who);
/* And whether it has rows that can be measured: not a source, nor an empty ring. */
bp_status bpi_model_measures(const bp_model *model, bp_data *data, const char *who);

/* --- decorrelate.c ------------------------------------------------------------------------ */

/* The matrix for PCA or ZCA of the samples of a set, whose columns get the shifts and scales
 * `both`. */
bp_status bpi_decorrelate(bp_model *model, bp_data *data, bp_normalize how, const double *both,
                          float *matrix);

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

enum { BPI_MEMBERS_MOST = 4096 };
/* Declares the chains of m->members members, of one text. On failure too, freed with the model. */
bp_status bpi_members_create(bp_model *model, const char *image, const char *layers);
/* Of normalised rows, which stay: the outputs of each member, [members, N, outputs]; and of the
 * ensemble, those whose answer is the mean. */
bp_tensor *bpi_members_each(bp_model *model, bp_tensor *x, bool training);
bp_tensor *bpi_members_through(bp_model *model, bp_tensor *x, bool training);

/* --- predict.c --------------------------------------------------------------------------- */

/* bp_model_predict, in the name of `who`. */
bp_status bpi_model_predict(bp_model *model, const char *who, const float *x, int64_t n, float *p);
/* Rows [n, inputs] from the host, normalised; NULL in *normal where an op failed. */
bp_status bpi_model_rows_in(bp_model *model, const float *rows, int64_t n, bp_tensor **normal);
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
    bool tanh;
    int32_t members;
} bpi_description;

/* What a model is beside its parameters, each part as one number: of its layers, its normalisers,
 * the names of its classes and inputs (FNV-1a; 0: there are none). */
enum { BPI_DIGEST_LAYERS, BPI_DIGEST_NORMALIZERS, BPI_DIGEST_NAMES, BPI_DIGESTS };
void bpi_model_digest(const bp_model *model, uint64_t digest[BPI_DIGESTS]);
uint64_t bpi_hashed(uint64_t hash, const void *data, size_t bytes); /* FNV-1a; it begins with: */
#define BPI_HASH_BEGIN UINT64_C(0xCBF29CE484222325)

/* --- diagonal.c -------------------------------------------------------------------------- */

/* BP_OK where the model is a stack that second derivatives go through, else why not. */
bp_status bpi_diagonal_fits(const bp_model *model, const char *who);
/* bp_model_diagonal, unchecked. */
bp_status bpi_model_diagonal(bp_model *model, bp_data *data, bp_tensor *index, double share,
                             bp_optimizer *opt);

/* --- model.c ----------------------------------------------------------------------------- */

/* The model of layers that a description tells of, in the name of `who`. */
bp_status bpi_model_create(bp_context *ctx, const bpi_description *d, const char *who,
                           bp_model **model);
/* BP_OK if the model is such a one, else what differs; `who` is the path, or the call. */
bp_status bpi_model_is(const bp_model *model, const bpi_description *d, const char *who);
/* The forward pass of normalised rows, which are freed as soon as they were read. */
bp_tensor *bpi_model_through(bp_model *model, bp_tensor *x, bool training);
/* Which ops stand before and behind the layers: a plan is of one such form. */
int32_t bpi_model_form(const bp_model *model);
/* Frees outputs of the forward pass that were read; what a program's own gave is its own. */
void bpi_model_drop(const bp_model *model, bp_tensor *outputs);

/* --- task.c ------------------------------------------------------------------------------ */

/* Rows of one pass of predict, evaluate and measure: of wide samples fewer, for their memory. */
enum { BPI_MODEL_ROWS = 1024 };
static inline int64_t bpi_model_rows(const bp_model *model)
{
    return model->inputs > BPI_MODEL_ROWS / 4 ? BPI_MODEL_ROWS / 4 : BPI_MODEL_ROWS;
}

/* Targets of tanh outputs: A tanh(2 z / 3), to +- A / sqrt(3). */
#define BPI_TANH_SIZE 1.7159
#define BPI_TANH_TARGET 0.990675326902479

/* The loss of a batch, the rows `index` (i32 [n]) of a set that fits the model, in the innermost
 * scope. By the column "weight", where the set has one: sum w l / sum w. By what rows count, f32
 * [rows of the set], where that is given: sum c l / n. `augment` (bp_augment), or NULL, is for
 * images that are not normalised yet. */
typedef struct bpi_step_loss {
    bp_tensor *loss;    /* the mean, f32 []: what is differentiated */
    bp_tensor *told;    /* the same in the targets' own units, real []; it may be `loss` itself */
    bp_tensor *correct; /* rows that are right, or of several labels their share, summed over the
                         * rows as they count, f32 []; NULL: regression */
    bp_tensor *weight;  /* sum of the rows' weights, f64 []; NULL: each counts 1 */
} bpi_step_loss;
bp_status bpi_model_step_loss(bp_model *model, bp_data *data, bp_tensor *index, bp_tensor *counts,
                              const char *augment, bool training, bpi_step_loss *out);
/* The loss of each row of a set by itself, loss[rows], as it is differentiated. Waits. */
bp_status bpi_model_row_losses(bp_model *model, bp_data *data, double *loss);
/* The images that the rows of a set are to a model, by its layers, or by their own shape; `height`
 * is 0 where they are none. */
bpi_image bpi_model_image(const bp_model *model, bp_data *data);

/* The column "weight", or NULL. */
bp_tensor *bpi_data_weights(bp_data *data);

/* i32 [n]: first, first + 1, ...; the caller's. */
bp_tensor *bpi_rows_from(bp_context *ctx, int64_t first, int64_t n);

#endif
