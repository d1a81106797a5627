/* A CSV file as fields (RFC 4180, and what people make of it): any separator, quotes with "" and
 * line ends inside, CRLF, a byte order mark, blanks around fields, empty lines. */
#ifndef BPI_CSV_TEXT_H
#define BPI_CSV_TEXT_H

#include "io/file.h"

typedef struct bpi_csv_text {
    bp_context *ctx;
    const char *path;
    bpi_file file;
    char separator;
    char *buffer;      /* some zeros are behind what it holds */
    int64_t capacity;
    char *at, *end;    /* what is not read yet */
    bool all;          /* the rest of the file is in it */
    int64_t line;      /* of `at`, from 1 */
    char *unquoted;    /* of the field that was read last; zeros are behind it */
    int64_t unquoted_capacity;
} bpi_csv_text;

typedef struct bpi_field {
    const char *begin, *end; /* without quotes and blanks around */
    char *next;              /* behind its separator, or its line */
    bool last;               /* of its line */
    bool cut;                /* the buffer ends before it: nothing else is set */
    int64_t lines;           /* line ends in its quotes */
} bpi_field;

/* separator 0: that of ',', ';' and tab which the first line has most of. Closed after a failure
 * too. BP_ERR_FORMAT where the file is empty. */
bp_status bpi_csv_open(bp_context *ctx, const char *path, char separator, bpi_csv_text *t);
void bpi_csv_close(bpi_csv_text *t);

/* Goes to the next line that is not empty, which begins at t->at; false at the end of the file. */
bp_status bpi_csv_line(bpi_csv_text *t, bool *found);
/* The field that begins at p, behind t->at. */
bp_status bpi_csv_field(bpi_csv_text *t, char *p, bpi_field *field);
/* Reads more: t->at and what is behind it may move. */
bp_status bpi_csv_more(bpi_csv_text *t);

#endif
