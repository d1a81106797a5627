/* Layers: a chain of them from a text, whose parameters are declared in a store of yours.
 *
 *     text       = { word } ;                      white space of any kind separates words
 *     word       = width | image | convolution | pool | activation | norm | dropout | residual ;
 *     width      = digit { digit } ;               a dense layer, 1 to 16777216
 *     activation = "relu" | "tanh" | "sigmoid" | "log_sigmoid" | "softplus" | "hard_sigmoid"
 *                | "silu" | "mish" | "gelu" | "gelu_tanh" | "sin"
 *                | "leaky_relu" [ "=" number ]     its slope, 0.01 without
 *                | "elu" [ "=" number ]            alpha > 0, 1 without
 *                | "scaled_tanh" [ "=" number ] ;  a, 0 without
 *     norm       = ( "layernorm" | "rmsnorm" | "batchnorm" ) [ "=" number ] ;
 *                                                  eps >= 0, 1e-5 without
 *     dropout    = "dropout=" number ;             the share that drops, 0 <= P < 1
 *     residual   = "residual" "(" text ")" ;       y = x + text(x), of one shape; 16 deep at most
 *     image      = size "x" size "x" size ;        first: the inputs are height, width, channels
 *     convolution = "conv" size "x" size "=" size { "," setting } ;   rows, columns, filters
 *     setting    = ( "pad" | "stride" | "dilation" | "groups" ) "=" size ;
 *     pool       = ( "pool" | "avgpool" ) "=" size [ "x" size ] [ ",stride=" size ]
 *                | "globalpool" ;                  the mean of each channel, a row of numbers
 *     size       = a number of 1 to 9 digits, 1 or more; 0 too as a pad
 *     number     = [ "-" ] digits with or without a point [ ( "e" | "E" ) [ "+" | "-" ] digits ] ;
 *
 * Activations are the ops of elementwise.h. At most 255 words, each ")" among them, and 4095 bytes
 * with one space between words. "64 relu dropout=0.1 residual( layernorm 64 gelu ) 10" on 30 inputs
 * declares layer1.weight [64,30], layer1.bias [64], norm1.gain [64], norm1.bias [64], layer2.weight
 * [64,64], layer2.bias [64], layer3.weight [10,64], layer3.bias [10]: dense layers and norms are
 * counted each by themselves, from 1, through all groups; rmsnorm has no bias. Initial weights
 * (params.h) are He where relu, leaky_relu, elu, gelu, gelu_tanh, silu or mish comes next (dropout
 * or a pool between them or not), else LeCun; gains are 1, biases 0. A dense layer with relu, and
 * perhaps dropout behind it, is one op, and so is a convolution with relu. Looking at layers that
 * are NULL gives 0.
 *
 * Of images, "28x28x1 conv3x3=32 relu pool=2 128 relu" on 784 inputs, a row being the pixels one by
 * one with their channels: layer1.weight [32,3,3,1] (filters, rows, columns, channels over groups;
 * convolutions are counted with dense layers), layer2.weight [128,6272]. A dense layer takes such
 * rows too, and an image at the end goes out as one. Without a pad there is as much of it around an
 * image as keeps its size at stride 1, the odd pixel right and below. A pool has none, and walks in
 * steps of its window. layernorm and rmsnorm are over the channels of each pixel, batchnorm is of
 * each channel over the pixels of the batch.
 *
 * "batchnorm" (bp_batch_norm) declares norm1.gain, .bias, .mean (0 at first) and .variance (1), one
 * number a column or channel. Training normalises by the batch, of two rows or more, and each step
 * of an optimiser moves mean and variance a tenth of the way to those of the batches since the step
 * before (the variance of N - 1), as PyTorch's momentum 0.1 does; of several passes, parts of a
 * batch say, it is their mean that counts. A step that is refused, passes with BP_NO_GRAD and the
 * minimisers (minimize.h, evolve.h) move nothing. Predicting uses mean and variance, and so does
 * training where they are frozen. They are kept wherever parameters are; they have no gradient. */
#ifndef BPCUDA_LAYERS_H
#define BPCUDA_LAYERS_H

#include "params.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct bp_layers bp_layers; /* a chain of layers */

/* Declares the layers' parameters in `params`, each name behind `prefix` ("actor." makes
 * actor.layer1.weight; "" is fine). The store may hold others, and must outlive the layers.
 * BP_ERR_FORMAT names the word that is wrong, its place and what is wanted, and for a residual
 * group both widths. A call that fails has declared nothing. */
BP_API bp_status bp_layers_create(bp_params *params, const char *prefix, int64_t inputs,
                                  const char *text, bp_layers **layers) BP_USE;

BP_API void bp_layers_free(bp_layers *layers); /* their parameters stay; NULL is fine */

/* The chain of ops on x [N, inputs], or on images [N, ...] of as many numbers, of the store's dtype
 * -> [N, outputs]. An op: NULL on failure,
 * of the innermost scope, recorded where gradients are wanted, to x too. `training` switches
 * dropout on. Of what lies between, only what the gradient reads stays in memory. */
BP_API bp_tensor *bp_layers_forward(bp_layers *layers, bp_tensor *x, int32_t training);

BP_API int64_t bp_layers_outputs(const bp_layers *layers); /* the width of the last one */

#ifdef __cplusplus
}
#endif
#endif
