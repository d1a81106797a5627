/* Models: named parameters, a forward pass, a task, and normalisers of what goes in and comes out.
 *
 * A model owns its normalisers: it takes raw samples, and what it tells is in the targets' own
 * units. Looking at a model that is NULL gives 0 or NULL. */
#ifndef BPCUDA_MODEL_H
#define BPCUDA_MODEL_H

#include "data.h"
#include "layers.h"
#include "optim.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct bp_model bp_model; /* a net, a task, normalisers */

/* --- making one ------------------------------------------------------------------------------ */

/* What the outputs mean, and the loss. CLASSES: logits of classes; cross-entropy, in nats.
 * REGRESSION: numbers; squared error of outputs and targets that are both normalised. LABELS: a
 * logit for each of several labels of 0 and 1; binary cross-entropy, in nats. */
typedef int32_t bp_task;
enum { BP_TASK_CLASSES = 1, BP_TASK_REGRESSION = 2, BP_TASK_LABELS = 3 };
BP_API const char *bp_task_name(bp_task task); /* "classes", "regression", "labels"; else "?" */

/* An f32 model from a text of layers (layers.h): a number is a dense layer of that width, "relu" an
 * activation, "dropout=0.1" drops. The last dense layer, to the outputs, is added by itself.
 * "64 relu dropout=0.1 64 relu" on 64 inputs and 10 classes has parameters layer1.weight [64,64],
 * layer1.bias [64], ..., layer3.weight [10,64], layer3.bias [10]. Weights are drawn at the first
 * use, from the seed the context has then and the number of stores drawn since it was set
 * (params.h). BP_ERR_FORMAT names the word that is wrong, its place and what is wanted. The first
 * form makes a classifier. */
BP_API bp_status bp_model_create(bp_context *ctx, int64_t inputs, const char *layers,
                                 int32_t classes, bp_model **model) BP_USE;
BP_API bp_status bp_model_create_as(bp_context *ctx, int64_t inputs, const char *layers,
                                    bp_task task, int64_t outputs, bp_model **model) BP_USE;

/* A model for a set: the elements of a row of "x" are its inputs, what "y" is its task and outputs.
 * Where a row of "x" is an image, [H, W] or [H, W, C], the text may begin with a convolution or a
 * pool: HxWxC is put before it. BP_ERR_STATE where the set has no "x" or no "y". */
BP_API bp_status bp_model_create_for(const bp_data *data, const char *layers,
                                     bp_model **model) BP_USE;

/* A model whose forward pass is yours: ops from x, normalised f32 [N, inputs], to outputs f32
 * [N, outputs], of the innermost scope. Declare its parameters in bp_model_params(), an f32 store,
 * before the first use. forward() is called whenever the model is used, on the thread that uses it;
 * steps of a trainer are recorded (plan.h), so it must follow from x, `training` and the store. It
 * returns NULL where an op has failed. user may be NULL. */
typedef bp_tensor *(*bp_forward_fn)(bp_model *model, bp_tensor *x, int32_t training, void *user);
BP_API bp_status bp_model_own(bp_context *ctx, int64_t inputs, bp_task task, int64_t outputs,
                              bp_forward_fn forward, void *user, bp_model **model) BP_USE;

BP_API void bp_model_free(bp_model *model); /* its store too; NULL is fine */

/* Several models as one: bagging of seeds (Breiman, 1996; Hansen, Salamon, 1990). The models, 1 to
 * 4096, all of ctx, have one task, one text of layers, equal normalisers, and other weights, which
 * are copied; names are the first one's. What the ensemble answers is the mean of what they answer:
 * of probabilities p_i over its n members, sum p_i / n, or of numbers. Its outputs are chosen so
 * that this holds: log(sum p_i / n) as logits of classes, log(sum p_i / sum (1 - p_i)) of labels,
 * both without leaving the logarithms. So it is evaluated, measured, saved and shared like any
 * model; it has the parameters of each, "0.layer1.weight", "1.layer1.weight", ..., and training it
 * trains all of them on the loss of the mean. It is not exported (export.h), fitted (bp_model_fit)
 * or asked for its diagonal, and is no member of another ensemble. BP_ERR_ARG names a model that is
 * one, whose forward pass is a program's own, or that has targets of tanh outputs, whose answers
 * have no mean such outputs could give; BP_ERR_FORMAT one that differs from the first. Of one model
 * it is a copy. */
BP_API bp_status bp_model_ensemble(bp_context *ctx, bp_model *const *models, int32_t n,
                                   bp_model **ensemble) BP_USE;

/* How a normaliser is set from a data set. COLUMN: each column minus its mean, over its standard
 * deviation, which suits tables; a column times a power of two changes no bit of a prediction.
 * GLOBAL: the columns have one unit, as pixels do, so each minus its mean is divided by the root of
 * the mean variance of all: rare pixels are not blown up. MINMAX: each column's smallest number
 * becomes -1, its largest 1. NONE: samples stay as they are. DEFAULT: GLOBAL for bp_data_idx() and
 * bp_data_digits(), else COLUMN.
 *
 * PCA and ZCA decorrelate what DEFAULT gives, so that a rate that suits one direction suits all
 * (LeCun, Bottou, Orr, Mueller: Efficient BackProp, 1998, 4.3): with the covariance C = U L U^T of
 * those columns, eigenvalues l_1 >= l_2 >= ..., and r = 1 / sqrt(l + 0.01),
 *     PCA  y = x U diag(r)        the principal components, the first one first
 *     ZCA  y = x U diag(r) U^T    the same turned back: column j is still most like x_j
 *                                 (Bell, Sejnowski: Edges are the independent components, 1997)
 * Columns of y have covariance 0 and variance l / (l + 0.01): the mean l is about 1, so what is
 * below a hundredth of it is held for noise and not blown up. x is a row of at most 2048 numbers
 * (BP_ERR_UNSUPPORTED); 784 take a second or two. U is made of the set that is given alone, and
 * saved with the model, as f32 [inputs, inputs]. */
typedef int32_t bp_normalize;
enum {
    BP_NORMALIZE_DEFAULT = 0,
    BP_NORMALIZE_NONE = 1,
    BP_NORMALIZE_GLOBAL = 2,
    BP_NORMALIZE_COLUMN = 3,
    BP_NORMALIZE_MINMAX = 4,
    BP_NORMALIZE_PCA = 5,
    BP_NORMALIZE_ZCA = 6
};

/* Sets the normaliser, by DEFAULT or as asked. Columns that do not vary become 0, but for NONE. A
 * new model's is NONE. Of regression it sets that of the targets too, always by COLUMN,
 * where a column that does not vary keeps its scale; a new model's leaves them as they are. The
 * names that the set has for its classes and for the elements of a sample become the model's. */
BP_API bp_status bp_model_normalize(bp_model *model, const bp_data *data) BP_USE;
BP_API bp_status bp_model_normalize_as(bp_model *model, const bp_data *data,
                                       bp_normalize how) BP_USE;

/* How it was set; DEFAULT if the model is from a file that does not say. */
BP_API bp_normalize bp_model_normalized(const bp_model *model);

/* "default", "none", "global", "column", "minmax", "pca", "zca"; "?" for anything else. */
BP_API const char *bp_normalize_name(bp_normalize how);

/* What a net is given for n raw samples x [n, inputs]: y [n, inputs], in f32 as in training; and
 * back: the sample behind y, to look at. Back, columns that did not vary get their only value, and
 * what was decorrelated is solved for in f64 (inputs^3 operations). Host memory; n may be 0. The
 * second waits only where PCA or ZCA is set. */
BP_API bp_status bp_model_normalized_of(bp_model *model, const float *x, int64_t n,
                                        float *y) BP_USE;
BP_API bp_status bp_model_raw_of(bp_model *model, const float *y, int64_t n, float *x) BP_USE;

/* The matrix M, f32 [inputs, inputs], by which rows are multiplied after shift and scale: y = x M;
 * NULL: there is none. Belongs to the model, as long as its normaliser is not set again. */
BP_API bp_tensor *bp_model_decorrelation(bp_model *model);

/* --- targets of tanh outputs ----------------------------------------------------------------- */

/* Classes and labels by squared errors of tanh outputs, where `on` is not 0, instead of entropies.
 * The outputs z go through f(z) = 1.7159 tanh(2 z / 3); the target is t for the class of a row, or a
 * label that is so, and -t for the others, t = 1.7159 / sqrt(3) = 0.9907. There |f''| is largest:
 * the target is within reach, at the end of the range where f is steep, and weights need not grow
 * to saturate units (LeCun, Bottou, Orr, Mueller: Efficient BackProp, 1998, 4.5). The loss of a row
 * is the sum of (f - target)^2 / 2 over classes, or its mean over labels. bp_model_predict() tells
 * 1/2 + f / (2 t), held in [0, 1], what least squares take for the probability; of classes they need
 * not add up to 1. Logits are z. A new model's is off; it is kept by files and snapshots.
 * BP_ERR_ARG where the task is regression, and of an ensemble. The second says whether it is on. */
BP_API bp_status bp_model_tanh_targets(bp_model *model, int32_t on) BP_USE;
BP_API int32_t bp_model_has_tanh_targets(const bp_model *model);

/* --- in a step of yours ---------------------------------------------------------------------- */

/* Outputs [N, outputs] of raw samples x [N, ...], u8 or f32, with `inputs` elements a row: logits,
 * or normalised numbers. An op: NULL on failure, of the innermost scope, recorded where gradients
 * are wanted, to x too. `training` switches dropout on. */
BP_API bp_tensor *bp_model_forward(bp_model *model, bp_tensor *x, int32_t training);

/* The same of rows of a set: index i32 [N]. */
BP_API bp_tensor *bp_model_logits(bp_model *model, bp_data *data, bp_tensor *index,
                                  int32_t training);

/* The task's mean loss of such outputs, f32 []: targets are classes i32 [N]; numbers f32
 * [N, outputs] in their own units, which are normalised here; or labels u8 or f32 [N, outputs]. A
 * vector stands for one column. Gradient to outputs. _weighted: the mean by weights f32 [N], 0 or
 * more, over their sum (0 where all are 0). */
BP_API bp_tensor *bp_model_loss(bp_model *model, bp_tensor *outputs, bp_tensor *targets);
BP_API bp_tensor *bp_model_loss_weighted(bp_model *model, bp_tensor *outputs, bp_tensor *targets,
                                         bp_tensor *weights);

/* --- what it says ---------------------------------------------------------------------------- */

/* Of n raw samples [n, inputs], p [n, outputs]: probabilities of classes or labels, or numbers in
 * the targets' own units; host memory, waits. BP_ERR_NONFINITE names the row and column, or the
 * parameter, of a number that is not finite, or the row of p that would hold one. One sample
 * outside a scope goes a short way, which allocates nothing after the first. */
BP_API bp_status bp_model_predict(bp_model *model, const float *x, int64_t n, float *p) BP_USE;

/* The same, and how far the members of an ensemble are from one another: spread [n, outputs] is the
 * standard deviation, over n - 1, of what each of them answers, in the units of p; 0 of a model that
 * is no ensemble (Lakshminarayanan, Pritzel, Blundell, 2017). */
BP_API bp_status bp_model_predict_spread(bp_model *model, const float *x, int64_t n, float *p,
                                         float *spread) BP_USE;

/* Mean loss over a data set, in nats or in squared units of the targets, by its column "weight"
 * where it has one; and the share of rows that are right, of labels that are right, or 0 for
 * regression. Waits. BP_ERR_NONFINITE names a parameter that holds a number that is not finite. */
BP_API bp_status bp_model_evaluate(bp_model *model, bp_data *data, double *loss,
                                   double *accuracy) BP_USE;

/* More than that over a data set, in f64 on the host; NaN where a number is not of the task. AUC,
 * the area under the ROC curve, is the share of pairs of a positive and a negative row that the
 * outputs put in order, equal ones half: of two classes, 1 being positive, or the mean over the
 * labels that have both kinds, NaN where there are none. R2 is the mean, over the columns of the
 * targets that vary, of 1 - mse / variance. Weights are in the loss alone. */
typedef struct bp_metrics {
    double loss;     /* as of bp_model_evaluate */
    double accuracy; /* of classes, labels */
    double top;      /* share of rows whose class is among the `top` largest logits, the first of
                      * equals before the others */
    double mse, mae, r2; /* of regression: mean squared and absolute errors, in own units */
    double auc; /* of two classes, of labels */
} bp_metrics;
/* Waits. *metrics is as large as struct_bytes, and has zeros on failure and where the library knows
 * less. For C and C++ the second form says the size, and 5 for `top`. BP_ERR_NONFINITE names the
 * row whose outputs leave the range of f32. */
BP_API bp_status bp_model_measure_of(bp_model *model, bp_data *data, int32_t top,
                                     bp_metrics *metrics, size_t struct_bytes) BP_USE;
static inline bp_status bp_model_measure(bp_model *model, bp_data *data, bp_metrics *metrics)
{
    return bp_model_measure_of(model, data, 5, metrics, sizeof *metrics);
}

/* counts[i, j], [classes, classes]: rows of class i for which the model says j. Waits. */
BP_API bp_status bp_model_confusion(bp_model *model, bp_data *data, int64_t *counts) BP_USE;

/* The diagonal of the Gauss-Newton matrix of the model's loss over rows of a set, index i32 [N],
 * layer by layer from the end: h of the outputs is that of the mean loss (p (1 - p) of classes and
 * labels, 2 of squared errors, over what the mean divides by), and of a layer's inputs and weights
 *
 *     y = f(a):  h(a) = f'(a)^2 h(y)        a = W x + b:  h(W)_ij = h(a)_i x_j^2,  h(b) = h(a),
 *                                           h(x)_j = sum over i of W_ij^2 h(a)_i
 *
 * summed over rows and over places that share a weight ("Efficient BackProp", 1998, 9.1). The
 * optimiser, BP_DIAGONAL_LM over the model's store, takes h := (1 - share) h + share that: share 1
 * at first, then 0.01 to 0.1. Call it outside of a plan, every few hundred rows or once an epoch on
 * some hundred rows; a trainer does so by itself. Dropout is left out. BP_ERR_STATE of an ensemble,
 * and where the forward pass is a program's own, or has norms, residual groups or padded means. An
 * index out of range is a row of zeros, as of bp_gather(), and BP_ERR_RANGE of the next waiting
 * call. */
BP_API bp_status bp_model_diagonal(bp_model *model, bp_data *data, bp_tensor *index, double share,
                                   bp_optimizer *opt) BP_USE;

/* bp_optimizer_fan_in where weights of convolutions are shared: n is the inputs of a unit times the
 * places it is at. The optimiser is one over the model's store (BP_ERR_ARG). */
BP_API bp_status bp_model_fan_in(bp_model *model, bp_optimizer *opt, double power) BP_USE;

/* --- looking at one -------------------------------------------------------------------------- */

BP_API bp_params *bp_model_params(bp_model *model); /* belongs to the model */
BP_API bp_context *bp_model_context(bp_model *model); /* the one it was made in */
BP_API int64_t bp_model_inputs(const bp_model *model);   /* elements of a sample */
BP_API int64_t bp_model_outputs(const bp_model *model); /* the classes, numbers or labels */
BP_API bp_task bp_model_task(const bp_model *model); /* what the outputs mean */
BP_API int32_t bp_model_classes(const bp_model *model);    /* how many; 0: another task */
BP_API const char *bp_model_layers(const bp_model *model); /* NULL: the forward pass is yours */
BP_API int32_t bp_model_members(const bp_model *model); /* 1: it is no ensemble */
BP_API const char *bp_model_class_name(const bp_model *model, int32_t c); /* NULL: it has none */
/* Of element i of a sample, as the set had it by which the model was normalised; NULL: none. */
BP_API const char *bp_model_feature_name(const bp_model *model, int64_t i);

/* --- files ----------------------------------------------------------------------------------- */

/* Writes a model file; waits. Equal models give equal bytes. It is a safetensors file: the
 * parameters by their names, f32, and f64 normalizer.shift and normalizer.scale [inputs], of
 * regression targets.shift and targets.scale [outputs] too: (x - shift) scale. Its metadata:
 *     format       "bpcuda"
 *     version      "2", or "3" with a loss or members; version 1, read too, had no task, and classes
 *                  for outputs
 *     task         "classes", "regression", "labels"
 *     inputs, outputs   "64", "10"
 *     layers       the text of layers; or in its place
 *     forward      "own": the forward pass is a program's
 *     members      of an ensemble alone: "5", where parameters are 0.layer1.weight to 4. ...
 *     normalize    how the normaliser was set, by bp_normalize_name(); "default": unknown. With
 *                  "pca" and "zca" there is a tensor more, f32 normalizer.matrix [inputs, inputs]
 *     loss         "tanh": bp_model_tanh_targets() is on
 *     class_names, feature_names  where there are some, of outputs and inputs: separated by commas;
 *                  a byte that is not plain ASCII, '"', '\', '%' or ',' is %XX, its value in base 16
 *
 * What `path` names is looked at first, behind any symbolic links, which stay. The file is made
 * whole under a name of its own in the same folder (".bpcuda-*.tmp"), synced, and renamed: whoever
 * reads meanwhile sees one whole file or the other, any number may save to one path at once, and a
 * failure leaves what was there and nothing else (only where the folder cannot be synced at last,
 * the new file is there). A new file gets the mode that the umask says; one that was there must be
 * writable, and keeps mode and owner; its other names (hard links) keep the old model. A process
 * that is killed meanwhile can leave the temporary file.
 *
 * Written in place are devices and pipes (a pipe waits for its reader), /dev/stdout, and a file
 * that cannot be replaced: a mounted one, one whose folder may not be written or is append-only,
 * whose owner cannot be kept, or that has an access list; and a new one in an append-only folder.
 * The model is complete in memory and room on the disk is taken before such a file is touched, and
 * its first 8 bytes are written last: after a cut, it is no model file. Savers in place and
 * bp_model_load wait for each other by an advisory lock of the file (fcntl), where the file system
 * has locks: each load sees one whole model. Other readers may see a part. Where another process
 * keeps the file locked for ten seconds it is BP_ERR_IO.
 *
 * BP_ERR_IO has the system's reason, a file-size limit or a reader that went away too: no signal
 * reaches the host. A model that holds NaN is saved, but not loaded. */
BP_API bp_status bp_model_save(bp_model *model, const char *path) BP_USE;

/* BP_OK where bp_model_save would succeed now, else its error: all of a save is done but for what
 * would change `path`, and undone. What is written in place is only opened, a pipe not even so. */
BP_API bp_status bp_model_save_check(bp_model *model, const char *path) BP_USE;

/* A model from a file. BP_ERR_FORMAT where it is damaged or not a model, with the place, or of a
 * newer version, or its forward pass is a program's own (bp_model_load_into); so is a
 * weight, or a number of the normaliser, that is NaN or infinite: the tensor and the element are
 * named. No memory is taken for what the file only claims. BP_ERR_IO where it cannot be read, or
 * another process keeps it locked for writing for ten seconds. */
BP_API bp_status bp_model_load(bp_context *ctx, const char *path, bp_model **model) BP_USE;

/* The same into a model that is there, one of bp_model_own() too: its task, inputs, outputs, layers
 * and parameters must be those of the file, else BP_ERR_FORMAT says which are not. Nothing in the
 * model changes before all of the file was found right. */
BP_API bp_status bp_model_load_into(bp_model *model, const char *path) BP_USE;

/* --- snapshots ------------------------------------------------------------------------------- */

/* All of a model as it was, in host memory: parameters, normalisers, task, layers, class names. It
 * never changes and belongs to no context, so one thread trains and others, in contexts of their
 * own, predict with what it publishes; and a run goes back to its best. Any thread may share, use
 * and free it, also when the context it was taken in is closed; a host's free hook is then called
 * by the thread that frees the last reference. */
typedef struct bp_snapshot bp_snapshot;

/* Takes one; waits. The reference is yours. */
BP_API bp_status bp_snapshot_take(bp_model *model, bp_snapshot **snapshot) BP_USE;
/* One more reference, which is freed by itself: take it where the one you read cannot be freed
 * meanwhile (under the lock of a pointer that is exchanged, say). NULL for NULL. */
BP_API bp_snapshot *bp_snapshot_share(bp_snapshot *snapshot);
BP_API void bp_snapshot_free(bp_snapshot *snapshot); /* ends a reference; NULL is fine */

/* Puts it into a model, in any context, with the same task, inputs, outputs, layers and parameters;
 * else BP_ERR_FORMAT says what differs, and nothing has changed. Bits are kept, NaN too. */
BP_API bp_status bp_model_restore(bp_model *model, const bp_snapshot *snapshot) BP_USE;
/* A new model from one; not where the forward pass is a program's own (bp_model_restore). */
BP_API bp_status bp_model_from(bp_context *ctx, const bp_snapshot *snapshot,
                               bp_model **model) BP_USE;

#ifdef __cplusplus
}
#endif
#endif
