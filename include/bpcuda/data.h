/* Data sets that live on the device as they came: u8 stays u8, a batch is a gather by index.
 *
 * A set is rows of named columns: "state", "reward". Of these names tasks know what they mean: "x",
 * the samples; "y", the targets; "weight", of a row in the loss. A set is checked once, when it is
 * made: labels in range, no NaN, no Inf. Looking at a set that is NULL gives 0 or NULL. */
#ifndef BPCUDA_DATA_H
#define BPCUDA_DATA_H

#include "common.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct bp_data bp_data; /* rows of named columns */

/* What "y" is: nothing, a class a row, k real numbers a row, or k labels of 0 and 1 a row. */
typedef int32_t bp_targets;
enum {
    BP_TARGETS_NONE = 0,
    BP_TARGETS_CLASSES = 1, /* i32 [rows] */
    BP_TARGETS_REAL = 2,    /* f32 [rows, k] */
    BP_TARGETS_LABELS = 3   /* u8 [rows, k] */
};

/* --- from memory ---------------------------------------------------------------------------- */

/* rows x cols samples (u8 or f32, row-major, copied) with a class 0 .. classes-1 each. BP_ERR_RANGE
 * names the first label out of range, or the first number that is not finite. */
BP_API bp_status bp_data_create(bp_context *ctx, bp_dtype dtype, const void *x,
                                const int32_t *labels, int64_t rows, int64_t cols,
                                int32_t classes, bp_data **data) BP_USE;

/* A set of so many rows, 1 to 2147483647, without columns yet. */
BP_API bp_status bp_data_table(bp_context *ctx, int64_t rows, bp_data **data) BP_USE;

/* Adds a column [rows, row...] of any dtype, row-major, copied; `row` is the shape of one row, up
 * to 7 sizes, BP_SCALAR where it is a number. "x" is u8 or f32; "y" f32 (real targets) or u8
 * (labels, 0 or 1), kept as [rows, k]; "weight" f32, 0 or more, kept as [rows]. BP_ERR_RANGE names
 * column, row and element of the first number that is not finite or not in its range. */
BP_API bp_status bp_data_add(bp_data *data, const char *name, bp_dtype dtype, bp_shape row,
                             const void *values) BP_USE;

/* Adds "y" as classes: i32 [rows], each 0 .. classes-1. Their names, if they have some, are copied,
 * and differ; names may be NULL. */
BP_API bp_status bp_data_add_classes(bp_data *data, const int32_t *labels, int32_t classes,
                                     const char *const *names) BP_USE;

/* The UCI optical digits that come with the library: 1,797 images, "x" u8 [rows, 8, 8], 0 .. 16,
 * ten classes (Alpaydin & Kaynak, 1998, CC BY 4.0). */
BP_API bp_status bp_data_digits(bp_context *ctx, bp_data **data) BP_USE;

/* An IDX pair as MNIST has it: u8 images [rows, h, w] and u8 labels [rows]; gzipped files are read
 * where the library was built with zlib (BP_ERR_UNSUPPORTED says so where not). A row is an image,
 * "x" [rows, h, w]; there are as many classes as the largest label says. */
BP_API bp_status bp_data_idx(bp_context *ctx, const char *images, const char *labels,
                             bp_data **data) BP_USE;

/* The IDX pair in a folder by the names that MNIST, Fashion-MNIST or EMNIST's files have, plain or
 * with .gz, '-' or '.' before "idx": the training part, or the test part where test is not 0.
 * BP_ERR_ARG where there are several sets. Images are as the file has them: EMNIST's lie. */
BP_API bp_status bp_data_idx_folder(bp_context *ctx, const char *folder, int32_t test,
                                    bp_data **data) BP_USE;

/* NumPy's arrays as columns. f4 and f8 become f32, i4 and i8 i32, u1 and b1 u8, and what has no
 * room there is BP_ERR_RANGE; "y" of integers, one a row, is classes from 0 to the largest. C order
 * only. y_path may be NULL. Of an NPZ file (stored or deflated, below 4 GiB) every array is a
 * column of its name, and all have as many rows. */
BP_API bp_status bp_data_npy(bp_context *ctx, const char *x_path, const char *y_path,
                             bp_data **data) BP_USE;
BP_API bp_status bp_data_npz(bp_context *ctx, const char *path, bp_data **data) BP_USE;

/* How a CSV file is read; what is 0 or NULL is found out. */
typedef struct bp_csv {
    size_t struct_bytes; /* sizeof(bp_csv) */
    int32_t header;      /* 1: the first line has the names; -1: not. 0: where it has no number */
    char separator;      /* 0: ',' or ';' or a tab */
    const char *label;   /* the column that is "y": its name, or its number from 0 on or from -1
                          * backwards; NULL: the last; "": none is */
    bp_targets targets;  /* BP_TARGETS_CLASSES or _REAL. 0: real if a number is in the first row */
    const char *skip;    /* names, or numbers as of label, of columns to leave out: "id,note_*,0";
                          * one that no column has, without '*' and '?', is BP_ERR_ARG. The label
                          * stays */
    const bp_data *like; /* a set that was read before: "y" is what it is there, and has the classes
                          * of these names */
    int32_t whole_classes; /* of targets that are found out: whole numbers are classes where there
                            * are at most so many different ones, each twice on average */
} bp_csv;

/* A table of numbers in text, and a column of targets: the others are "x", f32, as they stand.
 * Classes are texts; their names come in order (by value if all are integers, else by bytes), and a
 * class is its place there. Numbers have a point, whatever the locale, and are rounded once. Fields
 * may be quoted, with "" and line ends inside; lines end in LF or CRLF, empty ones do not count; a
 * file may be gzipped. options may be NULL. BP_ERR_FORMAT names file, line and column, what was
 * found and what was wanted: of a field that is empty, of text where a number should be, of NaN and
 * what f32 has no room for, of a line with more or fewer fields than the first. */
BP_API bp_status bp_data_csv(bp_context *ctx, const char *path, const bp_csv *options,
                             bp_data **data) BP_USE;

/* --- rows that arrive -----------------------------------------------------------------------
 *
 * Columns are added with NULL for their values (labels, of classes), before the first row comes. */

/* The last `capacity` rows that were pushed: a replay buffer, a stream. Takes the memory of its
 * rows twice, on the host and on the device. When it is full, the newest rows take the place of the
 * oldest: their numbers say nothing of time. It cannot be split (BP_ERR_STATE), but
 * bp_data_rows_at() copies rows out of it. */
BP_API bp_status bp_data_ring(bp_context *ctx, int64_t capacity, bp_data **data) BP_USE;

/* Adds n rows to a ring, copied: columns[i] has those of column i, in the order of adding. From any
 * thread, also while another is inside the context: it never waits for the device, takes no memory
 * and is never BP_ERR_BUSY. The oldest rows go. BP_ERR_RANGE, and nothing is taken, where a number
 * is not finite or not in its range. Not while the set is freed. */
BP_API bp_status bp_data_push(bp_data *data, int64_t n, const void *const *columns) BP_USE;

/* Brings the rows that were pushed to the device, where bp_data_rows() counts them; the trainer
 * does it between steps. Columns keep their tensors, of `capacity` rows. Nothing for other sets. */
BP_API bp_status bp_data_drain(bp_data *data) BP_USE;

/* Fills batch 0, 1, ..., counted over the whole run: columns[i] is memory for `rows` rows of column
 * i. Returns `rows`; less than 0 ends the run (BP_ERR_STOPPED). It must depend on the number alone
 * where a run that is resumed should equal one that was not interrupted, and must return. */
typedef int64_t (*bp_fill_fn)(void *user, int64_t batch, void *const *columns, int64_t rows);

/* Batches of `rows` rows out of a function, of which `batches` are an epoch. A thread of the
 * library calls it, one batch ahead of the step; there, calls on this context are BP_ERR_BUSY.
 * Numbers are checked as they come: an error names batch, column and row. user may be NULL. */
BP_API bp_status bp_data_source(bp_context *ctx, int64_t rows, int64_t batches, bp_fill_fn fill,
                                void *user, bp_data **data) BP_USE;

/* --- parts ---------------------------------------------------------------------------------- */

/* Two sets from one, with all columns: of each class, round(fraction * size) rows drawn by `seed`
 * go to *second, the others to *first, both in their old order; of all rows where "y" is no
 * classes. 0 < fraction < 1. */
BP_API bp_status bp_data_split(const bp_data *data, double fraction, uint64_t seed,
                               bp_data **first, bp_data **second) BP_USE;

/* The last round(fraction * rows) rows are *second: for rows in the order of time. */
BP_API bp_status bp_data_split_order(const bp_data *data, double fraction, bp_data **first,
                                     bp_data **second) BP_USE;

/* Rows with the same number in `column` (i32 or u8, one a row) go to the same set: groups in an
 * order drawn by `seed` go to *second, each that fits into what is left of round(fraction * rows)
 * rows. */
BP_API bp_status bp_data_split_groups(const bp_data *data, const char *column, double fraction,
                                      uint64_t seed, bp_data **first, bp_data **second) BP_USE;

/* Fold number `fold` of `folds`, 2 or more, is *test, the other rows are *train. Every row is in
 * one fold, drawn by `seed`; folds differ by one row at most, and so do their rows of a class. */
BP_API bp_status bp_data_fold(const bp_data *data, int32_t folds, int32_t fold, uint64_t seed,
                              bp_data **train, bp_data **test) BP_USE;

/* n rows by their numbers, in this order, some several times if need be. */
BP_API bp_status bp_data_rows_at(const bp_data *data, const int32_t *rows, int64_t n,
                                 bp_data **part) BP_USE;

BP_API void bp_data_free(bp_data *data); /* frees the set; NULL is fine */

/* --- looking at one ------------------------------------------------------------------------- */

BP_API int64_t bp_data_rows(const bp_data *data);    /* how many there are */
BP_API int64_t bp_data_cols(const bp_data *data);    /* elements of a row of "x" */
BP_API int32_t bp_data_classes(const bp_data *data); /* how many; 0 where "y" is no classes */
BP_API bp_targets bp_data_targets(const bp_data *data); /* what "y" is */
BP_API int64_t bp_data_outputs(const bp_data *data); /* the classes, or k */
BP_API const char *bp_data_class_name(const bp_data *data, int32_t c); /* NULL: it has none */
/* Of element i of a row of "x": of a CSV file with a header, the column's. NULL: it has none. */
BP_API const char *bp_data_feature_name(const bp_data *data, int64_t i);

/* The names of the columns, in the order of adding. */
BP_API int32_t bp_data_columns(const bp_data *data);
BP_API const char *bp_data_column_name(const bp_data *data, int32_t i);

/* A column [rows, ...], which belongs to the set; an op's error where there is none of the name. */
BP_API bp_tensor *bp_data_column(bp_data *data, const char *name);

/* The columns "x" and "y"; NULL where there is none. */
BP_API bp_tensor *bp_data_samples(bp_data *data);
BP_API bp_tensor *bp_data_labels(bp_data *data);

#ifdef __cplusplus
}
#endif
#endif
