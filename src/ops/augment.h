/* How images are augmented, as numbers: for a trainer, which reads the text before it runs. */
#ifndef BPI_OPS_AUGMENT_H
#define BPI_OPS_AUGMENT_H

#include "ops/rule.h"

enum { BPI_AUGMENT_MOST = 10000 }; /* of pixels and of alpha */

/* The text of bp_augment; whether its numbers fit images of these sizes. Else why (160 bytes). */
bp_status bpi_augment_read(const char *text, bpi_augment_params *params, char *why);
bp_status bpi_augment_fits(const bpi_augment_params *params, int64_t height, int64_t width,
                           char *why);

#endif
