/* Bytes that grow: a file, or a text, before any of it is written. What fails is kept in `status`,
 * the error being set, and what is put later is passed over: it is asked for once, at the end. */
#ifndef BPI_BUFFER_H
#define BPI_BUFFER_H

#include "io/file.h"

typedef struct bpi_buffer {
    bp_context *ctx;
    char *at;
    int64_t n, capacity;
    bp_status status;
} bpi_buffer;

/* Room for n bytes more, which are part of it now; NULL where there is none, or n is 0. */
void *bpi_buffer_room(bpi_buffer *b, size_t n);
void bpi_put(bpi_buffer *b, const void *bytes, size_t n);
void bpi_say(bpi_buffer *b, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* The elements of a tensor, packed; waits. */
void bpi_put_tensor(bpi_buffer *b, bp_tensor *t);
/* bpi_file_write of it all, or what failed before; frees it. */
bp_status bpi_buffer_end(bpi_buffer *b, const char *path);
/* Also where the host's function was left: for a variable that cleans up. */
void bpi_buffer_free(bpi_buffer *b);

#endif
