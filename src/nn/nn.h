/* The inside of a model. The layers of its text, and one dense layer to the classes, are the forward
 * pass. */
#ifndef BPI_NN_H
#define BPI_NN_H

#include "nn/layers.h"

struct bp_model {
    bp_context *ctx;
    bpi_late late;
    bp_params *params;
    bp_tensor *shift, *scale; /* the normaliser: f64 [inputs] each */
    bp_normalize how;         /* it was set; BP_NORMALIZE_DEFAULT: its file does not say */
    bp_layers *layers;
    int64_t inputs;
    int32_t classes;
};

/* Makes the normaliser one that leaves samples as they are. */
bp_status bpi_model_raw(bp_model *model);
/* The way with this name; false if there is none. */
bool bpi_normalize_read(const char *text, bp_normalize *how);

/* BP_OK if `data` can be fed to the model, else the error, in the name of `who`. */
bp_status bpi_model_fits(const bp_model *model, bp_data *data, const char *who);

#endif
