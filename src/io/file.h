/* Reading files that may lie: no memory is taken for bytes that are not there. Errors go to the
 * context, with the path. */
#ifndef BPI_FILE_H
#define BPI_FILE_H

#include "bpcuda/bpcuda.h"
#include "core/error.h"
#include "core/memory.h"
#include "core/view.h"

typedef struct bpi_file {
    bp_context *ctx;
    const char *path;
    void *plain, *gz; /* one of them: a FILE, or a gzFile, which reads plain files too */
} bpi_file;

/* `unzip`: gzipped files are read as what they hold, where there is zlib. */
bp_status bpi_file_open(bp_context *ctx, const char *path, bool unzip, bpi_file *file);
void bpi_file_close(bpi_file *file);

/* Up to `want` more bytes, as a buffer of the caller's: fewer in *got at the end of the file. */
typedef struct bpi_bytes {
    unsigned char *at;
    int64_t capacity;
} bpi_bytes;
bp_status bpi_file_read(bpi_file *file, uint64_t want, bpi_bytes *bytes, uint64_t *got);
void bpi_bytes_free(bp_context *ctx, bpi_bytes *bytes);

#endif
