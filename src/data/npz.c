/* NPZ files: a ZIP archive of NPY files, stored or deflated, each of which becomes a column of the
 * name it has there. The archive is read by its directory, at its end (PKWARE: "APPNOTE", 4.3). */
#include <stdio.h>
#include <string.h>

#include "data/npy.h"

enum { END = 22, ENTRY = 46, LOCAL = 30, COMMENT_MAX = 65535, PATH_BYTES = 4096 };

typedef struct npz {
    bp_context *ctx;
    const char *path;
    bpi_file file;
    bpi_bytes tail, directory, local;
    uint64_t size;
} npz;

static uint32_t u16(const unsigned char *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8;
}

static uint32_t u32(const unsigned char *p)
{
    return u16(p) | u16(p + 2) << 16;
}

static bp_status bad(const npz *z, const char *what)
{
    return bpi_fail(z->ctx, BP_ERR_FORMAT, "%s: %s", z->path, what);
}

/* Bytes offset .. offset + n of the file. */
static bp_status read_at(npz *z, uint64_t offset, uint64_t n, bpi_bytes *to)
{
    uint64_t got;
    if (offset > z->size || n > z->size - offset)
        return bad(z, "is no NPZ file, or damaged: it points behind its end");
    BPI_TRY(bpi_file_part(&z->file, offset, n, false));
    BPI_TRY(bpi_file_read(&z->file, n, to, &got));
    return got == n ? BP_OK : bad(z, "became shorter while it was read");
}

/* Entries of the directory, which z->directory holds then, in *bytes bytes. */
static bp_status read_directory(npz *z, uint32_t *entries, uint32_t *bytes)
{
    uint64_t n = z->size < END + COMMENT_MAX ? z->size : END + COMMENT_MAX, at = n;
    BPI_TRY(read_at(z, z->size - n, n, &z->tail));
    const unsigned char *e = NULL;
    for (; !e && at >= END; at--)
        if (u32(z->tail.at + at - END) == 0x06054b50u &&
            u16(z->tail.at + at - 2) == n - at)
            e = z->tail.at + at - END;
    if (!e)
        return bad(z, "is no NPZ file: there is no directory at its end");
    *entries = u16(e + 10);
    *bytes = u32(e + 12);
    if (*entries == 0xFFFF || *bytes == UINT32_MAX || u32(e + 16) == UINT32_MAX)
        return bpi_fail(z->ctx, BP_ERR_UNSUPPORTED, "%s: is a ZIP64 archive, as those of 4 GiB or "
                        "more are: save its arrays as NPY files", z->path);
    if (*entries == 0)
        return bad(z, "holds no array");
    return read_at(z, u32(e + 16), *bytes, &z->directory);
}

/* The array of an entry, whose name has `bytes` bytes. */
static bp_status add_entry(npz *z, const unsigned char *e, uint32_t bytes, bp_data **d)
{
    char name[256], path[PATH_BYTES];
    uint32_t method = u16(e + 10), packed = u32(e + 20);
    if (bytes >= sizeof name || bytes <= 4 || memcmp(e + ENTRY + bytes - 4, ".npy", 4) ||
        memchr(e + ENTRY, 0, bytes))
        return bpi_fail(z->ctx, BP_ERR_FORMAT, "%s: holds \"%.*s\", which is no .npy array",
                        z->path, (int)(bytes < 80 ? bytes : 80), (const char *)e + ENTRY);
    snprintf(name, sizeof name, "%.*s", (int)bytes - 4, (const char *)e + ENTRY);
    snprintf(path, sizeof path, "%s: %s.npy", z->path, name);
    if ((method != 0 && method != 8) || u16(e + 8) & 1 || packed == UINT32_MAX)
        return bpi_fail(z->ctx, BP_ERR_UNSUPPORTED, "%s: is neither stored nor deflated, or is "
                        "encrypted, or has 4 GiB or more", path);
    BPI_TRY(read_at(z, u32(e + 42), LOCAL, &z->local));
    const unsigned char *local = z->local.at;
    uint64_t begin = (uint64_t)u32(e + 42) + LOCAL + u16(local + 26) + u16(local + 28);
    if (u32(local) != 0x04034b50u || begin > z->size || packed > z->size - begin)
        return bpi_fail(z->ctx, BP_ERR_FORMAT, "%s: the archive is damaged: it is not where the "
                        "directory says", path);
    BPI_TRY(bpi_file_part(&z->file, begin, packed, method == 8));
    z->file.path = path;
    bp_status st = bpi_npy_add(&z->file, "data_npz", name, d);
    if (st == BP_OK)
        st = bpi_file_checked(&z->file, u32(e + 16));
    z->file.path = z->path;
    return st;
}

static bp_status read_entries(npz *z, bp_data **d)
{
    uint32_t entries = 0, all = 0, at = 0;
    z->size = bpi_file_size(&z->file);
    BPI_TRY(read_directory(z, &entries, &all));
    for (uint32_t i = 0; i < entries; i++) {
        const unsigned char *e = all - at < ENTRY ? NULL : z->directory.at + at;
        if (!e || u32(e) != 0x02014b50u || all - at - ENTRY < u16(e + 28))
            return bad(z, "its directory is damaged");
        BPI_TRY(add_entry(z, e, u16(e + 28), d));
        uint32_t bytes = ENTRY + u16(e + 28) + u16(e + 30) + u16(e + 32);
        at += bytes < all - at ? bytes : all - at;
    }
    return BP_OK;
}

static bp_status load(bp_context *ctx, const char *path, bp_data **data)
{
    BPI_TRY(bpi_given(ctx, path, "data_npz: path"));
    BPI_TRY(bpi_given(ctx, data, "data_npz: data"));
    npz z = {.ctx = ctx, .path = path};
    bp_data *d = NULL;
    bp_status st = bpi_file_open(ctx, path, false, &z.file);
    if (st == BP_OK)
        st = read_entries(&z, &d);
    bpi_file_close(&z.file);
    bpi_bytes_free(ctx, &z.tail);
    bpi_bytes_free(ctx, &z.directory);
    bpi_bytes_free(ctx, &z.local);
    if (st == BP_OK)
        *data = d;
    else
        bp_data_free(d);
    return st;
}

bp_status bp_data_npz(bp_context *ctx, const char *path, bp_data **data)
{
    if (data)
        *data = NULL;
    BPI_INSIDE(ctx, load(ctx, path, data));
}
