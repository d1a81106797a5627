/* Files that are read from front to back, plain or gzipped; and the lock of a file. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* F_OFD_SETLK */
#endif
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "io/file.h"
#if BPI_HAVE_ZLIB
#include <zlib.h>
#endif

enum { CHUNK = 1 << 20 }; /* bytes of one read */
enum { LOCK_SECONDS = 10, LOCK_PAUSE = 1000000 }; /* nanoseconds between two tries */

int bpi_open_file(int folder, const char *name, int flags, unsigned mode)
{
    int fd;
    do
        fd = openat(folder, name, flags | O_CLOEXEC | O_NOCTTY, mode);
    while (fd < 0 && errno == EINTR);
    if (fd < 0 || fd > 2)
        return fd;
    int above = fcntl(fd, F_DUPFD_CLOEXEC, 3), error = errno;
    close(fd);
    errno = error;
    return above;
}

/* Not F_OFD_SETLKW, which would wait for a stranger for ever. */
int bpi_lock_file(int fd, short kind)
{
    struct flock all = {.l_type = kind, .l_whence = SEEK_SET};
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    time_t last = now.tv_sec + LOCK_SECONDS;
    while (fcntl(fd, F_OFD_SETLK, &all) != 0) {
        if (errno != EAGAIN && errno != EACCES && errno != EINTR)
            return 0;
        clock_gettime(CLOCK_MONOTONIC, &now);
        if (now.tv_sec > last)
            return ENOLCK;
        nanosleep(&(struct timespec){.tv_nsec = LOCK_PAUSE}, NULL);
    }
    return 0;
}

/* As many of n bytes as the file still has. */
static bp_status read_plain(bpi_file *f, unsigned char *to, size_t n, size_t *got)
{
    for (*got = 0; *got < n && f->n_ahead; f->n_ahead--)
        to[(*got)++] = f->ahead[sizeof f->ahead - f->n_ahead];
    while (*got < n && f->left > 0) {
        size_t want = n - *got < f->left ? n - *got : (size_t)f->left;
        ssize_t some = read(f->fd, to + *got, want);
        if (some == 0)
            break;
        if (some > 0) {
            *got += (size_t)some;
            f->left -= (uint64_t)some;
        } else if (errno != EINTR) {
            return bpi_fail(f->ctx, BP_ERR_IO, "%s: cannot be read: %s", f->path, strerror(errno));
        }
    }
    return BP_OK;
}

#if BPI_HAVE_ZLIB
/* Not zlib's own file calls: they lose bytes when a signal interrupts a read. */
struct bpi_gzip {
    z_stream z;
    bool inside; /* a member, of which a file may have several */
    bool raw;    /* one deflated stream, without gzip's words around it */
    unsigned char in[1 << 16];
};

static bp_status begin_unzip(bpi_file *f, bool raw)
{
    bpi_gzip *g = bpi_host_alloc(f->ctx, sizeof *g);
    if (g && inflateInit2(&g->z, raw ? -15 : 15 + 16) == Z_OK) {
        g->raw = g->inside = raw;
        f->gzip = g;
        return BP_OK;
    }
    bpi_host_free(f->ctx, g, sizeof *g);
    return bpi_fail(f->ctx, BP_ERR_NOMEM, "%s: out of memory", f->path);
}

static void end_unzip(bpi_file *f)
{
    if (f->gzip)
        inflateEnd(&f->gzip->z);
    bpi_host_free(f->ctx, f->gzip, sizeof *f->gzip);
}

/* As many of n bytes as the stream still has, whose checksums were found right. */
static bp_status read_unzipped(bpi_file *f, unsigned char *to, size_t n, size_t *got)
{
    bpi_gzip *g = f->gzip;
    z_stream *z = &g->z;
    z->next_out = to;
    z->avail_out = (unsigned)n;
    while (z->avail_out > 0 && (g->inside || !g->raw)) {
        if (z->avail_in == 0) {
            size_t some;
            BPI_TRY(read_plain(f, g->in, sizeof g->in, &some));
            z->next_in = g->in;
            z->avail_in = (unsigned)some;
            if (some == 0 && !g->inside)
                break;
        }
        if (!g->inside && *z->next_in == 0) { /* padding after a member */
            z->next_in++;
            z->avail_in--;
            continue;
        }
        int code = g->inside ? Z_OK : inflateReset(z);
        if (code == Z_OK)
            code = inflate(z, Z_NO_FLUSH);
        if (code == Z_MEM_ERROR)
            return bpi_fail(f->ctx, BP_ERR_NOMEM, "%s: out of memory", f->path);
        if (code != Z_OK && code != Z_STREAM_END) /* without input: Z_BUF_ERROR */
            return bpi_fail(f->ctx, BP_ERR_FORMAT, "%s: its zipped stream is damaged or cut short",
                            f->path);
        g->inside = code == Z_OK;
    }
    *got = n - z->avail_out;
    return BP_OK;
}

uint32_t bpi_crc32(uint32_t crc, const void *bytes, size_t n)
{
    return (uint32_t)crc32_z(crc, bytes, n);
}
#else
static bp_status begin_unzip(bpi_file *f, bool raw)
{
    (void)raw;
    return bpi_fail(f->ctx, BP_ERR_UNSUPPORTED,
                    "%s: is gzipped, and this build has no zlib: unpack it first", f->path);
}

static void end_unzip(bpi_file *f)
{
    (void)f;
}

/* The remainder by the polynomial 0xEDB88320, bits from the lowest on, four at a time. */
uint32_t bpi_crc32(uint32_t crc, const void *bytes, size_t n)
{
    static const uint32_t of[16] = {
        0x00000000, 0x1DB71064, 0x3B6E20C8, 0x26D930AC, 0x76DC4190, 0x6B6B51F4,
        0x4DB26158, 0x5005713C, 0xEDB88320, 0xF00F9344, 0xD6D6A3E8, 0xCB61B38C,
        0x9B64C2B0, 0x86D3D2D4, 0xA00AE278, 0xBDBDF21C};
    crc = ~crc;
    for (const unsigned char *p = bytes, *end = p + n; p < end; p++) {
        crc ^= *p;
        crc = crc >> 4 ^ of[crc & 15];
        crc = crc >> 4 ^ of[crc & 15];
    }
    return ~crc;
}

#define read_unzipped read_plain
#endif

bp_status bpi_file_open(bp_context *ctx, const char *path, bool unzip, bpi_file *f)
{
    *f = (bpi_file){.ctx = ctx, .path = path, .fd = -1, .left = UINT64_MAX};
    if (!path)
        return bpi_fail(ctx, BP_ERR_ARG, "a path is NULL");
    f->fd = bpi_open_file(AT_FDCWD, path, O_RDONLY, 0);
    if (f->fd < 0)
        return bpi_fail(ctx, BP_ERR_IO, "%s: cannot be opened: %s", path, strerror(errno));
    if (!unzip)
        return BP_OK;
    unsigned char first[sizeof f->ahead];
    size_t got;
    BPI_TRY(read_plain(f, first, sizeof first, &got));
    memcpy(f->ahead + sizeof first - got, first, got);
    f->n_ahead = got;
    return got == 2 && first[0] == 0x1f && first[1] == 0x8b ? begin_unzip(f, false) : BP_OK;
}

uint64_t bpi_file_size(const bpi_file *f)
{
    struct stat s;
    return fstat(f->fd, &s) == 0 && S_ISREG(s.st_mode) ? (uint64_t)s.st_size : 0;
}

/* Deflate makes at most 1,032 bytes of one. */
bool bpi_file_may_hold(const bpi_file *f, uint64_t bytes)
{
    struct stat s;
    if (fstat(f->fd, &s) != 0 || !S_ISREG(s.st_mode))
        return true;
    uint64_t all = f->left < (uint64_t)s.st_size ? f->left : (uint64_t)s.st_size;
#if BPI_HAVE_ZLIB
    if (f->gzip)
        return bytes / 1032 <= all + f->gzip->z.avail_in; /* what is read and not yet inflated */
#endif
    return bytes <= all;
}

bp_status bpi_file_part(bpi_file *f, uint64_t offset, uint64_t bytes, bool deflated)
{
    end_unzip(f);
    f->gzip = NULL;
    f->n_ahead = 0;
    f->left = bytes;
    f->is_part = true;
    f->crc = 0;
    if (lseek(f->fd, (off_t)offset, SEEK_SET) < 0)
        return bpi_fail(f->ctx, BP_ERR_IO, "%s: cannot be read: %s", f->path, strerror(errno));
    return deflated ? begin_unzip(f, true) : BP_OK;
}

bp_status bpi_file_checked(const bpi_file *f, uint32_t crc)
{
    return f->crc == crc
               ? BP_OK : bpi_fail(f->ctx, BP_ERR_FORMAT, "%s: is damaged: its checksum is %08x, "
                                  "not %08x", f->path, (unsigned)f->crc, (unsigned)crc);
}

bp_status bpi_file_lock(bpi_file *f)
{
    struct stat s;
    if (fstat(f->fd, &s) != 0)
        return bpi_fail(f->ctx, BP_ERR_IO, "%s: cannot be read: %s", f->path, strerror(errno));
    if (S_ISREG(s.st_mode) && bpi_lock_file(f->fd, F_RDLCK) != 0)
        return bpi_fail(f->ctx, BP_ERR_IO, "%s: is locked by another process", f->path);
    return BP_OK;
}

void bpi_file_close(bpi_file *f)
{
    end_unzip(f);
    if (f->fd >= 0)
        close(f->fd);
}

bp_status bpi_file_take(bpi_file *f, void *to, size_t n, size_t *got)
{
    BPI_TRY((f->gzip ? read_unzipped : read_plain)(f, to, n, got));
    if (f->is_part)
        f->crc = bpi_crc32(f->crc, to, *got);
    return BP_OK;
}

bp_status bpi_file_read(bpi_file *f, uint64_t want, bpi_bytes *b, uint64_t *got)
{
    *got = 0;
    while (*got < want) {
        size_t chunk = want - *got < CHUNK ? (size_t)(want - *got) : CHUNK, n;
        if (!bpi_grow(f->ctx, (void **)&b->at, &b->capacity, (int64_t)(*got + chunk), 1))
            return BP_ERR_NOMEM;
        BPI_TRY(bpi_file_take(f, b->at + *got, chunk, &n));
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
