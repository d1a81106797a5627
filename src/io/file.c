/* Files that are read from front to back, plain or gzipped. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "io/file.h"
#if BPI_HAVE_ZLIB
#include <zlib.h>
#endif

enum { CHUNK = 1 << 20 }; /* bytes of one read */

bp_status bpi_file_open(bp_context *ctx, const char *path, bool unzip, bpi_file *f)
{
    *f = (bpi_file){.ctx = ctx, .path = path};
    if (!path)
        return bpi_fail(ctx, BP_ERR_ARG, "a path is NULL");
    errno = 0;
#if BPI_HAVE_ZLIB
    if (unzip)
        f->gz = gzopen(path, "rb");
    else
        f->plain = fopen(path, "rb");
#else
    (void)unzip;
    f->plain = fopen(path, "rb");
#endif
    if (f->gz || f->plain)
        return BP_OK;
    return bpi_fail(ctx, BP_ERR_IO, "%s: cannot be opened: %s", path, strerror(errno));
}

void bpi_file_close(bpi_file *f)
{
#if BPI_HAVE_ZLIB
    if (f->gz)
        gzclose(f->gz);
#endif
    if (f->plain)
        fclose(f->plain);
}

static bp_status read_some(bpi_file *f, void *to, unsigned n, uint64_t *got)
{
    errno = 0;
#if BPI_HAVE_ZLIB
    if (f->gz) {
        int code, read = gzread(f->gz, to, n);
        gzerror(f->gz, &code);
        *got = read > 0 ? (uint64_t)read : 0;
        if (code == Z_OK || code == Z_STREAM_END)
            return BP_OK;
        if (code != Z_ERRNO)
            return bpi_fail(f->ctx, code == Z_MEM_ERROR ? BP_ERR_NOMEM : BP_ERR_FORMAT,
                            "%s: its gzip stream is damaged or cut short", f->path);
        return bpi_fail(f->ctx, BP_ERR_IO, "%s: cannot be read: %s", f->path, strerror(errno));
    }
#endif
    *got = fread(to, 1, n, f->plain);
    if (ferror((FILE *)f->plain))
        return bpi_fail(f->ctx, BP_ERR_IO, "%s: cannot be read: %s", f->path, strerror(errno));
    return BP_OK;
}

bp_status bpi_file_read(bpi_file *f, uint64_t want, bpi_bytes *b, uint64_t *got)
{
    *got = 0;
    while (*got < want) {
        unsigned chunk = want - *got < CHUNK ? (unsigned)(want - *got) : CHUNK;
        if (!bpi_grow(f->ctx, (void **)&b->at, &b->capacity, (int64_t)(*got + chunk), 1))
            return BP_ERR_NOMEM;
        uint64_t n;
        BPI_TRY(read_some(f, b->at + *got, chunk, &n));
        *got += n;
        if (n < chunk)
            break;
    }
    return BP_OK;
}

void bpi_bytes_free(bp_context *ctx, bpi_bytes *b)
{
    bpi_host_free(ctx, b->at, (size_t)b->capacity);
    *b = (bpi_bytes){0};
}
