/* A CSV file while it is read into a data set: csv_text.h makes fields of it, csv_head.c finds out
 * what the columns are, csv.c reads the rows. */
#ifndef BPI_CSV_H
#define BPI_CSV_H

#include "data/csv_text.h"
#include "data/names.h"
#include "data/number.h"
#include "data/set.h"

enum { BPI_CSV_SAMPLE, BPI_CSV_TARGET, BPI_CSV_SKIPPED };

/* Of a file while it is read. A block has the samples of its rows and then their targets, each a
 * number or, of classes, a code. */
typedef struct bpi_csv {
    bp_context *ctx;
    bp_csv options;
    bpi_csv_text text;
    locale_t c_locale;
    char *names; /* of the columns, where there is a header */
    int64_t *name_at;
    int64_t n, names_bytes, names_capacity, name_at_capacity;
    unsigned char *kind; /* [n] */
    int64_t cols;
    bp_targets targets;
    bpi_names classes;
    float **block;
    int64_t n_blocks, block_capacity, block_rows, rows;
} bpi_csv;

/* Of the first line: how many columns there are, their names, and what each is for. */
bp_status bpi_csv_head(bpi_csv *r);
const char *bpi_csv_name(const bpi_csv *r, int64_t i); /* of a column; NULL without a header */
/* Whether a field is a number, which *value becomes. */
bool bpi_csv_number(const bpi_csv *r, const bpi_field *f, float *value);

#endif
