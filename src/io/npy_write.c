/* Writing NumPy's files: a tensor as NPY (version 1.0: a magic word, the length of a header, which
 * is a Python dictionary as text, and the numbers), and a store as NPZ, a ZIP archive of NPY files,
 * all stored (PKWARE: "APPNOTE", 4.3). Equal stores give equal bytes: every entry is of 1980. */
#include <string.h>

#include "bpcuda/export.h"
#include "core/context.h"
#include "core/params.h"
#include "core/tensor.h"
#include "io/buffer.h"
#include "io/json.h"

enum { ALIGNMENT = 64 };

static const char *const descr[] = {[BP_F32] = "<f4", [BP_F64] = "<f8", [BP_U8] = "|u1",
                                    [BP_I32] = "<i4"};

static void put_npy(bpi_buffer *b, bp_tensor *t)
{
    bp_shape s = bp_shape_of(t);
    int64_t begin = b->n;
    bpi_put(b, "\x93NUMPY\x01\0\0\0", 10);
    bpi_say(b, "{'descr': '%s', 'fortran_order': False, 'shape': (", descr[bp_dtype_of(t)]);
    for (int32_t i = 0; i < s.ndim; i++)
        bpi_say(b, i == 0 ? "%lld%s" : " %lld%s", (long long)s.dim[i],
                i + 1 < s.ndim || s.ndim == 1 ? "," : "");
    int pad = ALIGNMENT - 1 - (int)((b->n - begin + 4) % ALIGNMENT);
    bpi_say(b, "), }%*s\n", pad, "");
    if (b->status == BP_OK) {
        int64_t length = b->n - begin - 10;
        b->at[begin + 8] = (char)(length & 255);
        b->at[begin + 9] = (char)(length >> 8);
    }
    bpi_put_tensor(b, t);
}

static bp_status save_npy(bp_context *ctx, bp_tensor *t, const char *path)
{
    BPI_TRY(bpi_given(ctx, path, "npy_save: path"));
    BPI_TRY(bpi_usable(ctx, t, "npy_save", "t"));
    bpi_buffer b = {.ctx = ctx};
    put_npy(&b, t);
    return bpi_buffer_end(&b, path);
}

bp_status bp_npy_save(bp_tensor *t, const char *path)
{
    BPI_LEADS(t, "npy_save: t");
    BPI_INSIDE(bpi_at(t)->ctx, save_npy(inside_, t, path));
}

/* --- an archive ------------------------------------------------------------------------------- */

typedef struct archive {
    bpi_buffer all, directory, array;
} archive;

static void put_number(bpi_buffer *b, uint64_t x, int bytes)
{
    for (int i = 0; i < bytes; i++, x >>= 8)
        bpi_put(b, &(unsigned char){(unsigned char)x}, 1);
}

/* What both the entry itself and its copy in the directory say. */
static void put_facts(bpi_buffer *b, const bpi_buffer *array, size_t name)
{
    put_number(b, 20, 2);         /* version 2.0 reads it */
    put_number(b, 1 << 11, 2);    /* the name is UTF-8 */
    put_number(b, 0, 4);          /* stored; at 0:00 */
    put_number(b, 1 << 5 | 1, 2); /* of 1 January 1980 */
    put_number(b, bpi_crc32(0, array->at, (size_t)array->n), 4);
    put_number(b, (uint64_t)array->n, 4);
    put_number(b, (uint64_t)array->n, 4);
    put_number(b, name, 2);
    put_number(b, 0, 2);
}

static bp_status put_array(archive *z, const char *path, const bpi_segment *s)
{
    bp_context *ctx = z->all.ctx;
    size_t name = strlen(s->name) + strlen(".npy");
    int64_t begin = z->all.n;
    if (!bpi_is_utf8(s->name) || name > UINT16_MAX)
        return bpi_fail(ctx, BP_ERR_ARG, "%s: the name %s is not UTF-8 of at most 65531 bytes, "
                        "which the file wants", path, s->name);
    z->array.n = 0;
    put_npy(&z->array, s->value);
    BPI_TRY(z->array.status);
    put_number(&z->all, 0x04034b50, 4);
    put_facts(&z->all, &z->array, name);
    bpi_say(&z->all, "%s.npy", s->name);
    bpi_put(&z->all, z->array.at, (size_t)z->array.n);
    put_number(&z->directory, 0x02014b50, 4);
    put_number(&z->directory, 20, 2);
    put_facts(&z->directory, &z->array, name);
    put_number(&z->directory, 0, 10); /* no comment, no disk, no attributes */
    put_number(&z->directory, (uint64_t)begin, 4);
    bpi_say(&z->directory, "%s.npy", s->name);
    return z->all.status != BP_OK ? z->all.status : z->directory.status;
}

static bp_status too_large(const bp_params *p, const char *path, uint64_t bytes)
{
    return bpi_fail(p->ctx, BP_ERR_UNSUPPORTED, "%s: %lld parameters make a file of %llu bytes: an "
                    "NPZ file has at most 65535 arrays and less than 4 GiB", path, (long long)p->n,
                    (unsigned long long)bytes);
}

static bp_status put_all(archive *z, bp_params *p, const char *path)
{
    uint64_t bytes = 0;
    for (int64_t i = 0; i < p->n; i++)
        bytes += (uint64_t)bpi_count(&p->segment[i].shape) * bp_dtype_bytes(p->dtype);
    if (bytes > UINT32_MAX || p->n > UINT16_MAX) /* before any memory is taken for it */
        return too_large(p, path, bytes);
    BPI_TRY(bpi_params_materialize(p));
    for (int64_t i = 0; i < p->n; i++)
        BPI_TRY(put_array(z, path, &p->segment[i]));
    int64_t begin = z->all.n;
    bpi_put(&z->all, z->directory.at, (size_t)z->directory.n);
    put_number(&z->all, 0x06054b50, 4);
    put_number(&z->all, 0, 4);
    put_number(&z->all, (uint64_t)p->n, 2);
    put_number(&z->all, (uint64_t)p->n, 2);
    put_number(&z->all, (uint64_t)z->directory.n, 4);
    put_number(&z->all, (uint64_t)begin, 4);
    put_number(&z->all, 0, 2);
    return z->all.n > UINT32_MAX ? too_large(p, path, (uint64_t)z->all.n) : z->all.status;
}

static bp_status save_npz(bp_params *p, const char *path)
{
    bp_context *ctx = p->ctx;
    BPI_TRY(bpi_given(ctx, path, "params_save_npz: path"));
    if (ctx->pending != BP_OK)
        return ctx->pending;
    BPI_TRY(bpi_not_recording(ctx, "params_save_npz"));
    archive z = {{.ctx = ctx}, {.ctx = ctx}, {.ctx = ctx}};
    bp_status st = put_all(&z, p, path);
    if (st == BP_OK)
        st = bpi_file_write(ctx, path, z.all.at, (size_t)z.all.n, 1);
    bpi_buffer_free(&z.array);
    bpi_buffer_free(&z.directory);
    bpi_buffer_free(&z.all);
    return st;
}

bp_status bp_params_save_npz(bp_params *p, const char *path)
{
    BPI_LEADS(p, "params_save_npz: params");
    BPI_INSIDE(p->ctx, save_npz(p, path));
}
