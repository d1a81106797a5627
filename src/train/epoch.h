/* The order of the rows in an epoch, and how an epoch is cut into batches. */
#ifndef BPI_EPOCH_H
#define BPI_EPOCH_H

#include <stdint.h>

/* An epoch is `full` batches of `batch` rows, then one of `rest` rows where rest > 0. A rest of less
 * than `least` rows joins the last full batch; so does a rest of one, which teaches nothing but
 * itself. */
typedef struct bpi_epoch {
    int64_t rows, batch, full, rest;
} bpi_epoch;

bpi_epoch bpi_epoch_cut(int64_t rows, int64_t batch, int64_t least);
int64_t bpi_epoch_steps(const bpi_epoch *e);

/* Fills order[rows]: a shuffle (Fisher, Yates) that follows from (seed, epoch) alone, then swaps so
 * that as many batches of two rows or more as the labels allow hold two classes or more. Nothing in
 * it depends on where a batch stands: a row is equally likely in each of the full batches. Expected
 * time O(rows); `scratch` has room for `rows` numbers. label may be NULL: there are no classes. */
void bpi_epoch_order(const bpi_epoch *e, uint64_t seed, int64_t epoch, const int32_t *label,
                     int32_t *order, int32_t *scratch);

#endif
