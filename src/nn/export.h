/* What the writers of models for other programs share: export_onnx.c, _c.c, _torch.c. */
#ifndef BPI_NN_EXPORT_H
#define BPI_NN_EXPORT_H

#include "bpcuda/export.h"
#include "core/params.h"
#include "io/buffer.h"
#include "io/params_file.h"
#include "nn/nn.h"

/* BP_OK where the model is one of a text of layers, else the error, in the name of `who`. */
bp_status bpi_model_has_layers(const bp_model *m, const char *who);
/* And whether its parameters are finite, and it is a moment at which they may be read. */
bp_status bpi_model_exports(bp_model *m, const char *who);
/* Of the weights of a convolution, or a dense layer of images, which others keep channel by
 * channel: bpi_param_turned. Else 0. */
int64_t bpi_layer_pixels(const bpi_layer *layer);
/* Whether a normaliser leaves its columns as they are. */
bool bpi_normalizer_is_none(const bpi_normalizer *n);

#endif
