/* The inside of a data set that models and trainers ask for. */
#ifndef BPI_DATA_H
#define BPI_DATA_H

#include <stdbool.h>

#include "bpcuda/bpcuda.h"

bp_context *bpi_data_context(const bp_data *data);

/* Whether the rows are images: all columns have one unit. bp_data_create makes tables. */
bool bpi_data_images(const bp_data *data);
void bpi_data_set_images(bp_data *data); /* NULL is fine */

/* --- sets whose rows arrive, for the thread inside ------------------------------------------ */

bool bpi_data_is_ring(const bp_data *data);
bool bpi_data_is_source(const bp_data *data);
/* Of a ring: brings what was pushed to the device. Nothing for others. */
bp_status bpi_data_drain(bp_data *data);

int64_t bpi_source_batches(const bp_data *data); /* of an epoch */
/* The columns hold that batch now, counted from 0 over the whole run; and where there are more, the
 * next is begun with. A failed call may be made again. */
bp_status bpi_source_next(bp_data *data, int64_t batch, bool more);
/* Waits until the thread of a source does nothing; it is not ended. Nothing for others. */
void bpi_source_rest(bp_data *data);

#endif
