/* What other programs read: models as ONNX, as C source, under PyTorch's names; arrays for NumPy.
 *
 * Each file is written as bp_model_save() writes its own (model.h): made in memory, then put in its
 * place as a whole; a failure leaves what was there. Equal models give equal bytes. All wait, and
 * none is a part of a plan (BP_ERR_STATE). BP_ERR_IO as of bp_model_save(). */
#ifndef BPCUDA_EXPORT_H
#define BPCUDA_EXPORT_H

#include "model.h"

#ifdef __cplusplus
extern "C" {
#endif

/* --- models: those of a text of layers, else BP_ERR_UNSUPPORTED ------------------------------ */

/* An ONNX file (opset 17, f32 throughout) that gives what bp_model_predict() gives, from the same
 * raw samples: the normalisers are in it, dropout is not. A shift is kept as two f32 numbers and a
 * scale as a power of two and a factor, so that a mean far from 0 costs no digits; what decorrelates
 * samples is a MatMul.
 *
 *     input   x       f32 ["N", inputs]    "N": any number of rows, 0 too
 *     output  y       f32 ["N", outputs]   probabilities, or numbers in the targets' own units
 *     output  logits  f32 ["N", outputs]   of classes and labels: what y was made of
 *
 * Images are [N, C, H, W] in it, behind one Transpose. Parameters have their own names; of images
 * their elements are in that order, [O, C / groups, R, S]. metadata_props has task, layers, and
 * class_names where there are some, as a model file has them. BP_ERR_NONFINITE names a parameter,
 * or a column of a normaliser, that is not finite in f32; BP_ERR_UNSUPPORTED too where the file
 * would have 2 GiB or more. */
BP_API bp_status bp_model_export_onnx(bp_model *model, const char *path) BP_USE;

/* One file of C99 that needs <math.h> alone (C++17 takes it too), with the weights in it:
 *
 *     enum { NAME_inputs = 64, NAME_outputs = 10 };
 *     void NAME_predict(const float *x, float *y);    x: a raw sample; y: as bp_model_predict's p
 *     extern const char *const NAME_class_names[10];  where the model has names
 *
 * It allocates nothing and changes nothing but y, so any number of threads may call it: what lies
 * between is on the stack, whose bytes its first comment tells. Bits of the weights are kept;
 * results are those of bp_model_predict() but for the order of sums. `name`: a letter, then
 * letters, digits and '_', at most 63 bytes; else BP_ERR_ARG. BP_ERR_NONFINITE names a parameter
 * that is not finite; BP_ERR_UNSUPPORTED too where it would take more than 1 MiB of stack. */
BP_API bp_status bp_model_export_c(bp_model *model, const char *name, const char *path) BP_USE;

/* A safetensors file of the parameters that torch.nn.Sequential(...) of the same modules loads with
 * load_state_dict(safetensors.torch.load_file(path)). Each word of the text is a module, and has a
 * number, from 0: a width is Linear, "relu" ReLU, "dropout=0.1" Dropout(0.1), "layernorm"
 * LayerNorm(width), "rmsnorm" RMSNorm(width, eps=1e-5), "batchnorm" BatchNorm1d(width), of images
 * BatchNorm2d(channels), whose running_mean and running_var are in the file (num_batches_tracked is
 * not; one that is there is passed over); then comes the last Linear, to the outputs.
 * A group is one module, whose `body` is a Sequential of what is in it:
 *
 *     class Residual(torch.nn.Module):
 *         def __init__(self, *modules):
 *             super().__init__()
 *             self.body = torch.nn.Sequential(*modules)
 *         def forward(self, x):
 *             return x + self.body(x)
 *
 * "64 relu dropout=0.1 residual( layernorm 64 gelu )" has 0.weight, 0.bias, 3.body.0.weight,
 * 3.body.0.bias, 3.body.1.weight, 3.body.1.bias, 4.weight, 4.bias. The modules take normalised
 * samples and give logits, or normalised numbers, as bp_layers_forward() does: the normalisers are
 * not in the file (a model file has them as normalizer.shift and .scale: (x - shift) scale, and
 * normalizer.matrix where samples are decorrelated, by which that is multiplied).
 *
 * Of images they take [N, C, H, W]: weights of convolutions are [O, C / groups, R, S] in the file,
 * and the columns of the first dense layer behind them are in the order of channels, rows, columns.
 * "28x28x1" is no module, "conv3x3=32" Conv2d(1, 32, 3, padding=1), "pool=2" MaxPool2d(2),
 * "avgpool=2" AvgPool2d(2), "globalpool" two, AdaptiveAvgPool2d(1) and Flatten(); and a Flatten()
 * comes before a dense layer that takes images. A layernorm over channels is a module of yours.
 * What PyTorch has no module for ("sin", "scaled_tanh", "elu=2" is ELU(2)) is one of yours, and
 * counted too. A parameter that a program has declared besides keeps its name. */
BP_API bp_status bp_model_save_torch(bp_model *model, const char *path) BP_USE;

/* Reads such a file, as safetensors.torch.save_file(net.state_dict(), path) writes it, into a model
 * that is there: all of its parameters and nothing else, as bp_params_load() reads them, whose
 * errors it gives. Nothing changes before all of the file was found right. */
BP_API bp_status bp_model_load_torch(bp_model *model, const char *path) BP_USE;

/* --- arrays ---------------------------------------------------------------------------------- */

/* A tensor as an NPY file, for numpy.load(): '<f4', '<f8', '|u1' or '<i4', row-major. */
BP_API bp_status bp_npy_save(bp_tensor *t, const char *path) BP_USE;

/* All parameters as an NPZ file, an array for each, under its name, stored. BP_ERR_ARG where a name
 * is not UTF-8; BP_ERR_UNSUPPORTED where the file would have 4 GiB or more. */
BP_API bp_status bp_params_save_npz(bp_params *params, const char *path) BP_USE;

/* Reads parameters from an NPZ file, numpy.savez() or savez_compressed() of arrays under the
 * parameters' names, '<f4' or '<f8': as bp_params_load() reads a safetensors file, with its errors.
 * With pattern NULL the file holds all parameters of the store and nothing else. */
BP_API bp_status bp_params_load_npz(bp_params *params, const char *path,
                                    const char *pattern) BP_USE;

#ifdef __cplusplus
}
#endif
#endif
