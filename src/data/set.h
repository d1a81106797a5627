/* What a data set is made of, for the files of this folder: columns by name, each a tensor in
 * device memory and, of a set whose rows arrive, host memory where they wait. */
#ifndef BPI_DATA_SET_H
#define BPI_DATA_SET_H

#include <stdatomic.h>

#include "core/error.h"
#include "core/handle.h"
#include "core/memory.h"
#include "data/data.h"

/* What the numbers of a column must be: finite where they are real, and besides */
typedef enum bpi_rule {
    BPI_NUMBERS,
    BPI_CLASSES, /* in 0 .. classes - 1 */
    BPI_FLAGS,   /* 0 or 1 */
    BPI_WEIGHTS  /* not negative */
} bpi_rule;

typedef struct bpi_column {
    char *name;
    bp_dtype dtype;
    bp_shape row;
    int64_t count;    /* elements of a row */
    bpi_rule rule;
    int32_t classes;  /* of BPI_CLASSES */
    bp_tensor *values; /* [capacity, row...] */
    char *host;        /* [host_rows, row...] of a set whose rows arrive */
} bpi_column;

struct bp_data {
    bp_context *ctx;
    bpi_late late;
    _Atomic int64_t rows; /* below `capacity` while a ring fills */
    int64_t capacity, host_rows;
    bpi_column *column;
    int64_t n_columns, column_capacity;
    int32_t classes;
    bpi_texts names[BPI_NAMES];
    bool images;
    void *arriving;    /* a ring, a source, or NULL */
    atomic_bool begun; /* rows have arrived: there will be no more columns */
    void (*end_arriving)(bp_data *);
};

/* A set without columns, which bp_data_free ends; and another with the nature of `like`. */
bp_status bpi_data_new(bp_context *ctx, const char *who, int64_t rows, bp_data **data);
bp_status bpi_data_like(const bp_data *like, const char *who, int64_t rows, bp_data **data);

/* As bp_data_add and bp_data_add_classes, in the name of `who`; values may be NULL: zeros, which
 * nobody looks at. */
bp_status bpi_data_add(bp_data *d, const char *who, const char *name, bp_dtype dtype, bp_shape row,
                       const void *values);
bp_status bpi_data_add_classes(bp_data *d, const char *who, const int32_t *labels, int32_t classes,
                               const char *const *names);
/* A copy of column c, with these values, which are d's from now on. */
bp_status bpi_data_join(bp_data *d, const char *who, const bpi_column *c, bp_tensor *values);
bpi_column *bpi_data_find(const bp_data *d, const char *name); /* or NULL */
size_t bpi_row_bytes(const bpi_column *c);
/* bp_write of rows first .. first + n. */
bp_status bpi_column_write(const bpi_column *c, int64_t first, int64_t n, const void *values);

/* BP_OK, or what is wrong with a row of these, as a text: "row 3, element 2 is nan; finite numbers
 * are wanted". The first row has number `first`. Knows no context. */
enum { BPI_WHY_BYTES = 160 };
bp_status bpi_rows_fit(const bpi_column *c, const void *values, int64_t first, int64_t n,
                       char *why);

#endif
