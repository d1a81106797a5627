/* Models: named parameters, a normaliser, and a list of layers.
 *
 * A model owns its normaliser, so bp_model_predict() takes raw samples. A saved model is a
 * safetensors file whose metadata hold the architecture; equal models give equal bytes. */
#ifndef BPCUDA_MODEL_H
#define BPCUDA_MODEL_H

#include "data.h"
#include "params.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct bp_model bp_model;

/* An f32 classifier from a text of layers: a number is a dense layer of that width, "relu" and
 * "elu" are activations, "dropout=0.1" (or .1, or 1e-1) drops; white space of any kind separates.
 * The last dense layer, to `classes`, is added by itself. "64 relu dropout=0.1 64 relu" on 64
 * inputs and 10 classes has parameters layer1.weight [64,64], layer1.bias [64], ..., layer3.weight
 * [10,64], layer3.bias [10]. Weights are drawn at the first use, from the seed the context has
 * then: He before relu and elu, else LeCun; biases are 0. BP_ERR_FORMAT names the word that is
 * wrong, its place and what is wanted. */
BP_API bp_status bp_model_create(bp_context *ctx, int64_t inputs, const char *layers,
                                 int32_t classes, bp_model **model) BP_USE;
BP_API void bp_model_free(bp_model *model); /* NULL is fine */

/* How a normaliser is set from a data set. COLUMN: each column minus its mean, over its standard
 * deviation, which suits tables; a column times a power of two changes no bit of a prediction.
 * GLOBAL: the columns have one unit, as pixels do, so each minus its mean is divided by the root of
 * the mean variance of all: rare pixels are not blown up. NONE: samples stay as they are. DEFAULT:
 * GLOBAL for bp_data_idx() and bp_data_digits(), COLUMN for bp_data_create(). */
typedef int32_t bp_normalize;
enum {
    BP_NORMALIZE_DEFAULT = 0,
    BP_NORMALIZE_NONE = 1,
    BP_NORMALIZE_GLOBAL = 2,
    BP_NORMALIZE_COLUMN = 3
};

/* Sets the normaliser, by DEFAULT or as asked. With GLOBAL and COLUMN, columns that do not vary
 * become 0. A new model's is NONE. */
BP_API bp_status bp_model_normalize(bp_model *model, const bp_data *data) BP_USE;
BP_API bp_status bp_model_normalize_as(bp_model *model, const bp_data *data,
                                       bp_normalize how) BP_USE;

/* How it was set; DEFAULT if the model is from a file that does not say. */
BP_API bp_normalize bp_model_normalized(const bp_model *model);

/* "default", "none", "global", "column"; "?" for anything else. */
BP_API const char *bp_normalize_name(bp_normalize how);

/* Logits [N, classes] of rows of a set: index i32 [N]. An op: NULL on failure, of the innermost
 * scope, recorded where gradients are wanted. `training` switches dropout on. */
BP_API bp_tensor *bp_model_logits(bp_model *model, bp_data *data, bp_tensor *index,
                                  int32_t training);

/* Class probabilities [n, classes] of n raw samples [n, inputs]; host memory, waits.
 * BP_ERR_NONFINITE names the row and column, or the parameter, of a number that is not finite. */
BP_API bp_status bp_model_predict(bp_model *model, const float *x, int64_t n, float *p) BP_USE;

/* Mean loss in nats and share of correct rows over a data set; waits. BP_ERR_NONFINITE
 * names a parameter that holds a number that is not finite. */
BP_API bp_status bp_model_evaluate(bp_model *model, bp_data *data, double *loss,
                                   double *accuracy) BP_USE;

BP_API bp_params *bp_model_params(bp_model *model); /* belongs to the model */
BP_API bp_context *bp_model_context(bp_model *model);
BP_API int64_t bp_model_inputs(const bp_model *model);
BP_API int32_t bp_model_classes(const bp_model *model);
BP_API const char *bp_model_layers(const bp_model *model);

/* Writes to a temporary file beside `path` and renames it: an interrupted save loses nothing. */
BP_API bp_status bp_model_save(bp_model *model, const char *path) BP_USE;
BP_API bp_status bp_model_load(bp_context *ctx, const char *path, bp_model **model) BP_USE;

#ifdef __cplusplus
}
#endif
#endif
