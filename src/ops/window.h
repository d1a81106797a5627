/* Windows over images: what a convolution and a pool check alike. */
#ifndef BPI_OPS_WINDOW_H
#define BPI_OPS_WINDOW_H

#include "ops/rule.h"

/* With no 0 but in the padding: steps of `down` and `across` where it has none. */
bp_window bpi_window_of(bp_window how, int64_t down, int64_t across);

/* x is a batch of images and has no empty axis but the first, nor a size beyond int32; `what` is
 * its name. */
bp_status bpi_image_check(const char *what, const bp_shape *x, char *why);

/* The rows and columns, dim[1] and dim[2], of y: as many as a window of height x width has places
 * in x. */
bp_status bpi_window_check(const bp_window *how, const bp_shape *x, int64_t height, int64_t width,
                           bp_shape *y, char *why);

/* y, whose images are to be those that such a walk over x gives. */
bp_status bpi_window_made(const bp_shape *y, const bp_shape *want, int64_t rows, int64_t columns,
                          char *why);

#endif
