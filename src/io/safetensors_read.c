/* Reading safetensors files, which may come from anybody: every byte of the header is checked, and
 * memory is taken for what the file holds, not for what it claims.
 *
 * The header is JSON, of which only this is wanted: an object of tensors, each an object of dtype,
 * shape and data_offsets, and perhaps __metadata__, an object of strings. Strings are decoded in
 * place: an escape is never shorter than what it stands for. */
#include <stdlib.h>
#include <string.h>

#include "io/safetensors.h"

enum { HEADER_MAX = 1 << 24, ENTRIES_MAX = 4096 };

typedef struct reader {
    bp_context *ctx;
    const char *path;
    unsigned char *start, *at; /* the header ends with a 0 */
    bpi_safetensors *file;
} reader;

static bp_status bad(const reader *r, const char *what)
{
    return bpi_fail(r->ctx, BP_ERR_FORMAT, "%s: header, byte %lld: %s", r->path,
                    (long long)(r->at - r->start), what);
}

static void blanks(reader *r)
{
    r->at += strspn((char *)r->at, " \t\r\n");
}

static bool skip(reader *r, char c)
{
    blanks(r);
    if (*r->at != (unsigned char)c)
        return false;
    r->at++;
    return true;
}

/* The uXXXX of an escape, as UTF-8. Half a pair is refused, and 0, which would end the string. */
static bool unicode(reader *r, unsigned char **to)
{
    char digits[5] = "";
    if (strspn((char *)r->at + 1, "0123456789abcdefABCDEF") < 4)
        return false;
    long c = strtol(memcpy(digits, r->at + 1, 4), NULL, 16);
    r->at += 5;
    if (c == 0 || (c >= 0xD800 && c < 0xE000))
        return false;
    if (c >= 0x800)
        *(*to)++ = (unsigned char)(0xE0 | c >> 12);
    if (c >= 0x80)
        *(*to)++ = (unsigned char)(c >= 0x800 ? 0x80 | (c >> 6 & 0x3F) : 0xC0 | c >> 6);
    *(*to)++ = (unsigned char)(c >= 0x80 ? 0x80 | (c & 0x3F) : c);
    return true;
}

static bp_status string(reader *r, const char **out)
{
    if (!skip(r, '"'))
        return bad(r, "a string is wanted");
    unsigned char *to = r->at;
    *out = (char *)to;
    while (*r->at != '"') {
        if (*r->at < 0x20)
            return bad(r, "a string that does not end, or holds a control character");
        if (*r->at != '\\') {
            *to++ = *r->at++;
            continue;
        }
        const char *from = "\"\\/bfnrt", *escape = *++r->at ? strchr(from, *r->at) : NULL;
        if (escape) {
            *to++ = (unsigned char)"\"\\/\b\f\n\r\t"[escape - from];
            r->at++;
        } else if (*r->at != 'u' || !unicode(r, &to)) {
            return bad(r, "an escape that JSON does not know");
        }
    }
    r->at++;
    *to = '\0';
    return BP_OK;
}

static bp_status key(reader *r, const char **out)
{
    BPI_TRY(string(r, out));
    return skip(r, ':') ? BP_OK : bad(r, "':' is wanted");
}

/* [1,2,3], of numbers below 2^62 without sign. */
static bp_status integers(reader *r, int64_t *value, int32_t max, int32_t *n)
{
    *n = 0;
    if (!skip(r, '['))
        return bad(r, "a list is wanted");
    if (skip(r, ']'))
        return BP_OK;
    do {
        blanks(r);
        size_t digits = strspn((char *)r->at, "0123456789");
        if (digits == 0 || digits > 18 || (digits > 1 && *r->at == '0'))
            return bad(r, "an integer, not negative, is wanted");
        if (*n == max)
            return bad(r, "a list is too long");
        value[(*n)++] = strtoll((char *)r->at, NULL, 10);
        r->at += digits;
    } while (skip(r, ','));
    return skip(r, ']') ? BP_OK : bad(r, "',' or ']' is wanted");
}

static bp_status metadata(reader *r)
{
    bpi_safetensors *f = r->file;
    if (f->meta)
        return bad(r, "__metadata__ is there twice");
    if (!skip(r, '{'))
        return bad(r, "__metadata__ is not an object");
    if (skip(r, '}'))
        return BP_OK;
    do {
        bpi_text_pair pair;
        BPI_TRY(key(r, &pair.key));
        BPI_TRY(string(r, &pair.value));
        if (bpi_safetensors_meta(f, pair.key) || f->n_meta == ENTRIES_MAX)
            return bad(r, "metadata with a key that is there twice, or with too many");
        if (!bpi_grow(r->ctx, (void **)&f->meta, &f->meta_capacity, f->n_meta + 1, sizeof pair))
            return BP_ERR_NOMEM;
        f->meta[f->n_meta++] = pair;
    } while (skip(r, ','));
    return skip(r, '}') ? BP_OK : bad(r, "',' or '}' is wanted");
}

static bp_dtype dtype_of(const char *name)
{
    return !strcmp(name, "F32") ? BP_F32 : !strcmp(name, "F64") ? BP_F64
         : !strcmp(name, "U8") ? BP_U8 : !strcmp(name, "I32") ? BP_I32 : 0;
}

/* One value of a tensor's object; `seen` has a bit for each key. */
static bp_status field(reader *r, const char *name, bpi_entry *e, unsigned *seen)
{
    static const char *const known[] = {"dtype", "shape", "data_offsets"};
    int which = 0;
    while (which < 3 && strcmp(name, known[which]))
        which++;
    if (which == 3 || *seen & 1u << which)
        return bad(r, "dtype, shape and data_offsets are wanted, each once");
    *seen |= 1u << which;
    if (which == 1)
        return integers(r, e->shape.dim, BP_MAX_DIMS, &e->shape.ndim);
    if (which == 0) {
        BPI_TRY(string(r, &name));
        e->dtype = dtype_of(name);
        return e->dtype ? BP_OK : bad(r, "a dtype other than F32, F64, U8 and I32");
    }
    int64_t offset[2];
    int32_t n;
    BPI_TRY(integers(r, offset, 2, &n));
    e->begin = (uint64_t)offset[0];
    e->end = (uint64_t)offset[1];
    return n == 2 ? BP_OK : bad(r, "data_offsets are not two");
}

static bp_status tensor(reader *r, const char *name)
{
    bpi_safetensors *f = r->file;
    bpi_entry e = {.name = name};
    unsigned seen = 0;
    if (bpi_safetensors_find(f, name) || f->n == ENTRIES_MAX)
        return bad(r, "a tensor that is there twice, or too many");
    if (!skip(r, '{'))
        return bad(r, "a tensor is not an object");
    do {
        const char *what;
        BPI_TRY(key(r, &what));
        BPI_TRY(field(r, what, &e, &seen));
    } while (skip(r, ','));
    if (!skip(r, '}') || seen != 7)
        return bad(r, "dtype, shape and data_offsets are wanted, each once");
    if (!bpi_shape_valid(&e.shape) || e.end < e.begin ||
        e.end - e.begin != (uint64_t)bp_shape_count(e.shape) * bp_dtype_bytes(e.dtype))
        return bad(r, "data_offsets that do not fit dtype and shape");
    if (!bpi_grow(r->ctx, (void **)&f->entry, &f->entry_capacity, f->n + 1, sizeof e))
        return BP_ERR_NOMEM;
    f->entry[f->n++] = e;
    return BP_OK;
}

static bp_status parse(reader *r)
{
    if (*r->at != '{')
        return bad(r, "'{' is wanted");
    r->at++;
    if (!skip(r, '}')) {
        do {
            const char *name;
            BPI_TRY(key(r, &name));
            BPI_TRY(strcmp(name, "__metadata__") ? tensor(r, name) : metadata(r));
        } while (skip(r, ','));
        if (!skip(r, '}'))
            return bad(r, "',' or '}' is wanted");
    }
    r->at += strspn((char *)r->at, " ");
    return BP_OK;
}

static int by_place(const void *a, const void *b)
{
    const bpi_entry *x = a, *y = b;
    if (x->begin != y->begin)
        return x->begin < y->begin ? -1 : 1;
    return x->end < y->end ? -1 : x->end > y->end;
}

static bp_status read_header(reader *r, bpi_file *in)
{
    bpi_safetensors *f = r->file;
    uint64_t got, length = 0;
    BPI_TRY(bpi_file_read(in, 8, &f->header, &got));
    for (int i = 0; i < 8; i++)
        length |= (uint64_t)(got == 8 ? f->header.at[i] : 0) << 8 * i;
    if (length < 2 || length > HEADER_MAX)
        return bpi_fail(r->ctx, BP_ERR_FORMAT,
                        "%s: not a safetensors file: a header of 2 to %d bytes is wanted", r->path,
                        HEADER_MAX);
    BPI_TRY(bpi_file_read(in, length, &f->header, &got));
    if (got < length)
        return bpi_fail(r->ctx, BP_ERR_FORMAT, "%s: ends within its header", r->path);
    if (!bpi_grow(r->ctx, (void **)&f->header.at, &f->header.capacity, (int64_t)length + 1, 1))
        return BP_ERR_NOMEM;
    f->header.at[length] = '\0';
    r->start = r->at = f->header.at;
    BPI_TRY(parse(r));
    return r->at == f->header.at + length ? BP_OK : bad(r, "something after the header's end");
}

static bp_status read_data(reader *r, bpi_file *in)
{
    bpi_safetensors *f = r->file;
    uint64_t got, end = 0;
    if (f->n)
        qsort(f->entry, (size_t)f->n, sizeof *f->entry, by_place);
    for (int64_t i = 0; i < f->n; i++) {
        if (f->entry[i].begin != end)
            return bpi_fail(r->ctx, BP_ERR_FORMAT,
                            "%s: %.64s begins at byte %llu of the data, not %llu", r->path,
                            f->entry[i].name, (unsigned long long)f->entry[i].begin,
                            (unsigned long long)end);
        end = f->entry[i].end;
    }
    BPI_TRY(bpi_file_read(in, end + 1, &f->data, &got));
    if (got != end)
        return bpi_fail(r->ctx, BP_ERR_FORMAT, "%s: %s than the %llu bytes of its tensors", r->path,
                        got < end ? "fewer" : "more", (unsigned long long)end);
    return BP_OK;
}

bp_status bpi_safetensors_read(bp_context *ctx, const char *path, bpi_safetensors *file)
{
    *file = (bpi_safetensors){0};
    bpi_file in;
    reader r = {.ctx = ctx, .path = path, .file = file};
    bp_status st = bpi_file_open(ctx, path, false, &in);
    if (st == BP_OK)
        st = read_header(&r, &in);
    if (st == BP_OK)
        st = read_data(&r, &in);
    bpi_file_close(&in);
    return st;
}

void bpi_safetensors_free(bp_context *ctx, bpi_safetensors *f)
{
    bpi_bytes_free(ctx, &f->header);
    bpi_bytes_free(ctx, &f->data);
    bpi_host_free(ctx, f->entry, (size_t)f->entry_capacity * sizeof *f->entry);
    bpi_host_free(ctx, f->meta, (size_t)f->meta_capacity * sizeof *f->meta);
}

const bpi_entry *bpi_safetensors_find(const bpi_safetensors *f, const char *name)
{
    for (int64_t i = 0; i < f->n; i++)
        if (!strcmp(f->entry[i].name, name))
            return &f->entry[i];
    return NULL;
}

const char *bpi_safetensors_meta(const bpi_safetensors *f, const char *key)
{
    for (int64_t i = 0; i < f->n_meta; i++)
        if (!strcmp(f->meta[i].key, key))
            return f->meta[i].value;
    return NULL;
}
