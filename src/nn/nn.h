/* The inside of a model. Parameters 2 i and 2 i + 1 of its store are weight and bias of dense layer
 * i; the layers of its text, and one dense layer to the classes, are the forward pass. */
#ifndef BPI_NN_H
#define BPI_NN_H

#include "bpcuda/bpcuda.h"
#include "core/error.h"
#include "core/memory.h"

typedef enum bpi_layer_kind { BPI_DENSE, BPI_RELU, BPI_ELU, BPI_DROPOUT } bpi_layer_kind;

typedef struct bpi_layer {
    bpi_layer_kind kind;
    int64_t width; /* of a dense layer */
    double p;      /* of dropout */
} bpi_layer;

enum { BPI_LAYERS_MAX = 256, BPI_LAYERS_TEXT_MAX = 4096, BPI_WIDTH_MAX = 1 << 24 };

#define BPI_BLANKS " \t\n\r\f\v" /* between the words of a text of layers */

/* Reads a text of layers; the last dense layer is added. BP_ERR_FORMAT names the bad word. */
bp_status bpi_layers_parse(bp_context *ctx, const char *text, int32_t classes, bpi_layer *layers,
                           int32_t *n);

struct bp_model {
    bp_context *ctx;
    bpi_late late;
    bp_params *params;
    bp_tensor *shift, *scale; /* the normaliser: f64 [inputs] each */
    bp_normalize how;         /* it was set; BP_NORMALIZE_DEFAULT: its file does not say */
    int64_t inputs;
    int32_t classes, n_layers;
    bpi_layer layer[BPI_LAYERS_MAX];
    char text[BPI_LAYERS_TEXT_MAX]; /* the words, with one space between them */
};

/* Makes the normaliser one that leaves samples as they are. */
bp_status bpi_model_raw(bp_model *model);
/* The way with this name; false if there is none. */
bool bpi_normalize_read(const char *text, bp_normalize *how);

/* BP_OK if `data` can be fed to the model, else the error, in the name of `who`. */
bp_status bpi_model_fits(const bp_model *model, bp_data *data, const char *who);

#endif
