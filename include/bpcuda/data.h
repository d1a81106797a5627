/* Data sets that live on the device as they came: u8 stays u8, a batch is a gather by index.
 *
 * A set is checked once, when it is made: labels in range, no NaN, no Inf. Looking at a set that is
 * NULL gives 0 or NULL. */
#ifndef BPCUDA_DATA_H
#define BPCUDA_DATA_H

#include "common.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct bp_data bp_data;

/* rows x cols samples (u8 or f32, row-major, copied) with a class 0 .. classes-1 each. BP_ERR_RANGE
 * names the first label out of range, or the first number that is not finite. */
BP_API bp_status bp_data_create(bp_context *ctx, bp_dtype dtype, const void *x,
                                const int32_t *labels, int64_t rows, int64_t cols,
                                int32_t classes, bp_data **data) BP_USE;

/* The UCI optical digits that come with the library: 1,797 images of 8 x 8, u8 0 .. 16, ten
 * classes (Alpaydin & Kaynak, 1998, CC BY 4.0). */
BP_API bp_status bp_data_digits(bp_context *ctx, bp_data **data) BP_USE;

/* An IDX pair as MNIST has it: u8 images [rows, h, w] and u8 labels [rows]; gzipped files are read
 * where the library was built with zlib (BP_ERR_UNSUPPORTED says so where not). A row is an image;
 * there are as many classes as the largest label says. */
BP_API bp_status bp_data_idx(bp_context *ctx, const char *images, const char *labels,
                             bp_data **data) BP_USE;

/* Two sets from one: of each class, round(fraction * size) rows drawn by `seed` go to *second, the
 * others to *first, both in their old order. 0 < fraction < 1. */
BP_API bp_status bp_data_split(const bp_data *data, double fraction, uint64_t seed,
                               bp_data **first, bp_data **second) BP_USE;

BP_API void bp_data_free(bp_data *data); /* NULL is fine */

BP_API int64_t bp_data_rows(const bp_data *data);
BP_API int64_t bp_data_cols(const bp_data *data);
BP_API int32_t bp_data_classes(const bp_data *data);

/* The samples [rows, cols] (u8 or f32) and the labels i32 [rows]; they belong to the set. */
BP_API bp_tensor *bp_data_samples(bp_data *data);
BP_API bp_tensor *bp_data_labels(bp_data *data);

#ifdef __cplusplus
}
#endif
#endif
