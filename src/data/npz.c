/* NPZ files: a ZIP archive of NPY files, stored or deflated, each of which becomes a column of a
 * set, or a parameter of a store, of the name it has there. The archive is read by its directory,
 * at its end (PKWARE: "APPNOTE", 4.3). */
#include <stdio.h>
#include <string.h>

#include "bpcuda/export.h"
#include "core/params.h"
#include "data/npy.h"
#include "io/params_file.h"

enum {
    END = 22,
    ENTRY = 46,
    LOCAL = 30,
    COMMENT_MAX = 65535,
    NAME_MAX_BYTES = 256,
    PATH_BYTES = 4096
};

typedef struct npz {
    bp_context *ctx;
    const char *path;
    bpi_file file;
    bpi_bytes tail, directory, local;
    uint64_t size;
    uint32_t entries, bytes, at; /* arrays to come; of the directory; where it goes on */
    uint32_t crc;                /* of the array at which the file stands, */
    char array[PATH_BYTES];      /* and how errors name it */
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

static bp_status read_directory(npz *z)
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
    z->entries = u16(e + 10);
    z->bytes = u32(e + 12);
    if (z->entries == 0xFFFF || z->bytes == UINT32_MAX || u32(e + 16) == UINT32_MAX)
        return bpi_fail(z->ctx, BP_ERR_UNSUPPORTED, "%s: is a ZIP64 archive, as those of 4 GiB or "
                        "more are: save its arrays as NPY files", z->path);
    if (z->entries == 0)
        return bad(z, "holds no array");
    return read_at(z, u32(e + 16), z->bytes, &z->directory);
}

/* The file stands at the array of an entry, whose name has `bytes` bytes: it loses its ".npy" where
 * it lies, in the directory. */
static bp_status open_entry(npz *z, unsigned char *e, uint32_t bytes, const char **name)
{
    uint32_t method = u16(e + 10), packed = u32(e + 20);
    char *text = (char *)e + ENTRY;
    if (bytes >= NAME_MAX_BYTES || bytes <= 4 || memcmp(text + bytes - 4, ".npy", 4) ||
        memchr(text, 0, bytes))
        return bpi_fail(z->ctx, BP_ERR_FORMAT, "%s: holds \"%.*s\", which is no .npy array",
                        z->path, (int)(bytes < 80 ? bytes : 80), text);
    text[bytes - 4] = '\0';
    *name = text;
    snprintf(z->array, sizeof z->array, "%s: %s.npy", z->path, text);
    if ((method != 0 && method != 8) || u16(e + 8) & 1 || packed == UINT32_MAX)
        return bpi_fail(z->ctx, BP_ERR_UNSUPPORTED, "%s: is neither stored nor deflated, or is "
                        "encrypted, or has 4 GiB or more", z->array);
    BPI_TRY(read_at(z, u32(e + 42), LOCAL, &z->local));
    const unsigned char *local = z->local.at;
    uint64_t begin = (uint64_t)u32(e + 42) + LOCAL + u16(local + 26) + u16(local + 28);
    if (u32(local) != 0x04034b50u || begin > z->size || packed > z->size - begin)
        return bpi_fail(z->ctx, BP_ERR_FORMAT, "%s: the archive is damaged: it is not where the "
                        "directory says", z->array);
    z->crc = u32(e + 16);
    z->file.path = z->array;
    return bpi_file_part(&z->file, begin, packed, method == 8);
}

/* The next array, which is to be read; *name is NULL behind the last. */
static bp_status next(npz *z, const char **name)
{
    z->file.path = z->path;
    *name = NULL;
    if (z->entries-- == 0)
        return BP_OK;
    unsigned char *e = z->bytes - z->at < ENTRY ? NULL : z->directory.at + z->at;
    if (!e || u32(e) != 0x02014b50u || z->bytes - z->at - ENTRY < u16(e + 28))
        return bad(z, "its directory is damaged");
    uint32_t bytes = ENTRY + u16(e + 28) + u16(e + 30) + u16(e + 32);
    z->at += bytes < z->bytes - z->at ? bytes : z->bytes - z->at;
    return open_entry(z, e, u16(e + 28), name);
}

static bp_status open_archive(bp_context *ctx, const char *path, npz *z)
{
    *z = (npz){.ctx = ctx, .path = path};
    BPI_TRY(bpi_file_open(ctx, path, false, &z->file));
    z->size = bpi_file_size(&z->file);
    return read_directory(z);
}

static void close_archive(npz *z)
{
    bpi_file_close(&z->file);
    bpi_bytes_free(z->ctx, &z->tail);
    bpi_bytes_free(z->ctx, &z->directory);
    bpi_bytes_free(z->ctx, &z->local);
}

/* --- a set ------------------------------------------------------------------------------------ */

static bp_status load(bp_context *ctx, const char *path, bp_data **data)
{
    BPI_TRY(bpi_given(ctx, path, "data_npz: path"));
    BPI_TRY(bpi_given(ctx, data, "data_npz: data"));
    npz z;
    bp_data *d = NULL;
    const char *name;
    bp_status st = open_archive(ctx, path, &z);
    while (st == BP_OK && (st = next(&z, &name)) == BP_OK && name) {
        st = bpi_npy_add(&z.file, "data_npz", name, &d);
        if (st == BP_OK)
            st = bpi_file_checked(&z.file, z.crc);
    }
    close_archive(&z);
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

/* --- a store ---------------------------------------------------------------------------------- */

/* The arrays that are wanted, as the tensors of a file. */
static bp_status read_arrays(npz *z, const char *pattern, bpi_safetensors *f)
{
    const char *name;
    for (;;) {
        BPI_TRY(next(z, &name));
        if (!name)
            return BP_OK;
        if (bpi_safetensors_find(f, name))
            return bpi_fail(z->ctx, BP_ERR_FORMAT, "%s: is there twice", z->array);
        if (pattern && !bpi_name_matches(pattern, name))
            continue;
        BPI_TRY(bpi_npy_entry(&z->file, "params_load_npz", name, f));
        BPI_TRY(bpi_file_checked(&z->file, z->crc));
    }
}

static bp_status load_params(bp_params *p, const char *path, const char *pattern)
{
    BPI_TRY(bpi_given(p->ctx, path, "params_load_npz: path"));
    npz z;
    bpi_safetensors f = {0};
    bp_status st = open_archive(p->ctx, path, &z);
    if (st == BP_OK)
        st = read_arrays(&z, pattern, &f);
    if (st == BP_OK)
        st = bpi_params_load_from(p, &f, path, pattern, "params_load_npz");
    bpi_safetensors_free(p->ctx, &f);
    close_archive(&z);
    return st;
}

bp_status bp_params_load_npz(bp_params *p, const char *path, const char *pattern)
{
    BPI_LEADS(p, "params_load_npz: params");
    BPI_INSIDE(p->ctx, load_params(p, path, pattern));
}
