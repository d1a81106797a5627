/* Files: reading some that may lie, and writing one so that it is whole or as it was. Errors go to
 * the context, with the path. Descriptors are closed on exec and are never 0, 1 or 2, which a host
 * may have closed and still print to; a signal that interrupts a call is no error. */
#ifndef BPI_FILE_H
#define BPI_FILE_H

#include "bpcuda/bpcuda.h"
#include "core/error.h"
#include "core/memory.h"
#include "core/view.h"

/* As openat, on a descriptor above 2 that is closed on exec; -1 and errno. */
int bpi_open_file(int folder, const char *name, int flags, unsigned mode);

/* Locks a whole file, `kind` F_RDLCK or F_WRLCK, until the descriptor is closed: 0, also where the
 * file system has no locks; ENOLCK where others kept it locked for ten seconds. */
int bpi_lock_file(int fd, short kind);

/* --- reading, from front to back (file.c): no memory is taken for bytes that are not there ---- */

typedef struct bpi_gzip bpi_gzip;
typedef struct bpi_file {
    bp_context *ctx;
    const char *path;
    int fd;
    unsigned char ahead[2]; /* the last n_ahead of these were read and not yet handed out */
    size_t n_ahead;
    uint64_t left;  /* bytes to be read: of a part of a file */
    bool is_part;
    uint32_t crc;   /* of what was taken of a part */
    bpi_gzip *gzip; /* NULL: what is read is what the file holds */
} bpi_file;

/* `unzip`: a file that begins as gzip does is read as what it holds, or is BP_ERR_UNSUPPORTED where
 * there is no zlib. Opened once; close it after a failure too. */
bp_status bpi_file_open(bp_context *ctx, const char *path, bool unzip, bpi_file *file);
/* Shuts out savers in place until the file is closed; what is no plain file needs no lock. */
bp_status bpi_file_lock(bpi_file *file);
void bpi_file_close(bpi_file *file);

/* Up to `want` more bytes, as a buffer of the caller's: fewer in *got at the end of the file. */
typedef struct bpi_bytes {
    unsigned char *at;
    int64_t capacity;
} bpi_bytes;
bp_status bpi_file_read(bpi_file *file, uint64_t want, bpi_bytes *bytes, uint64_t *got);
/* The same into memory that is there, n at most 1 GiB. */
bp_status bpi_file_take(bpi_file *file, void *to, size_t n, size_t *got);
/* Whether so many bytes may be there, all in all, as far as the size of the file tells. */
bool bpi_file_may_hold(const bpi_file *file, uint64_t bytes);
/* Reads on at `offset`, `bytes` of what is there, or what their deflated stream holds. The file is
 * a plain one that was opened without `unzip`. */
bp_status bpi_file_part(bpi_file *file, uint64_t offset, uint64_t bytes, bool deflated);
/* Whether what was taken of the part has this CRC-32. */
bp_status bpi_file_checked(const bpi_file *file, uint32_t crc);
/* The size of a plain file; 0 of others. */
uint64_t bpi_file_size(const bpi_file *file);
/* The CRC-32 of gzip and ZIP of some bytes, behind others whose it is; 0: there are none. */
uint32_t bpi_crc32(uint32_t crc, const void *bytes, size_t n);
void bpi_bytes_free(bp_context *ctx, bpi_bytes *bytes);

/* --- writing (output.c) --------------------------------------------------------------------- */

/* What bp_model_save promises of its file. keep is 1, or more: what was at `path` stays as path.1,
 * and so on, up to keep - 1 of them, where the file is replaced. 0: all that can be done without
 * touching what `path` names is done, and undone. */
bp_status bpi_file_write(bp_context *ctx, const char *path, const void *bytes, size_t n,
                         int32_t keep);

/* Gives what is at `path`, which is about to be replaced, its second name (keep.c): 0, or errno. */
int bpi_keep_older(const char *path, int32_t keep);

#endif
