/* The inside of a data set that models and trainers ask for. */
#ifndef BPI_DATA_H
#define BPI_DATA_H

#include <stdbool.h>

#include "bpcuda/bpcuda.h"

bp_context *bpi_data_context(const bp_data *data);

/* Whether the rows are images: all columns have one unit. bp_data_create makes tables. */
bool bpi_data_images(const bp_data *data);
void bpi_data_set_images(bp_data *data); /* NULL is fine */

#endif
