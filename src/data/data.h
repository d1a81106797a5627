/* The inside of a data set that models and trainers ask for. */
#ifndef BPI_DATA_H
#define BPI_DATA_H

#include <stdbool.h>

#include "bpcuda/bpcuda.h"

bp_context *bpi_data_context(const bp_data *data);

/* Whether the rows are images: all columns have one unit. bp_data_create makes tables. */
bool bpi_data_images(const bp_data *data);
void bpi_data_set_images(bp_data *data); /* NULL is fine */

/* --- names ------------------------------------------------------------------------------- */

/* Texts, one behind the other, each with its 0, in host memory; NULL: there are none. A set and a
 * model have those of the classes, and of the elements of a row of "x". */
typedef struct bpi_texts {
    char *text;
    size_t bytes;
} bpi_texts;
enum { BPI_CLASS_NAMES, BPI_FEATURE_NAMES, BPI_NAMES };

/* Room for texts of so many bytes, which bpi_texts_free frees. */
bp_status bpi_texts_take(bp_context *ctx, const char *who, size_t bytes, bpi_texts *texts);
void bpi_texts_free(bp_context *ctx, bpi_texts *texts);
const char *bpi_text_at(const bpi_texts *texts, int64_t i, int64_t n); /* NULL behind the n-th */
const bpi_texts *bpi_data_names(const bp_data *data, int which);

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
