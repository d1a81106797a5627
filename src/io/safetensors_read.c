/* Reading safetensors files, which may come from anybody: every byte of the header is checked, and
 * memory is taken for what the file holds, not for what it claims.
 *
 * The header is a JSON object of tensors, each an object of dtype, shape, data_offsets and perhaps
 * others, which are passed over; and perhaps __metadata__, an object of strings, or null. What is
 * accepted is what the format's own library accepts, but for what the function stricter() names in
 * tests/golden/make_safetensors.py. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "io/json.h"
#include "io/safetensors.h"

enum { HEADER_MAX = 100000000, TENSOR_DEPTH = 2 }; /* bytes; objects around a tensor's value */

typedef struct reader {
    bpi_json json;
    bpi_safetensors *file;
} reader;

/* [1,2,3] */
static bp_status integers(bpi_json *j, int64_t *value, int32_t max, int32_t *n)
{
    *n = 0;
    if (!bpi_json_skip(j, '['))
        return bpi_json_bad(j, "a list is wanted");
    if (bpi_json_skip(j, ']'))
        return BP_OK;
    do {
        if (*n == max)
            return bpi_json_bad(j, "a list is too long");
        BPI_TRY(bpi_json_integer(j, &value[(*n)++]));
    } while (bpi_json_skip(j, ','));
    return bpi_json_skip(j, ']') ? BP_OK : bpi_json_bad(j, "',' or ']' is wanted");
}

static bp_status metadata(reader *r)
{
    bpi_json *j = &r->json;
    bpi_safetensors *f = r->file;
    if (f->has_meta)
        return bpi_json_bad(j, "__metadata__ is there twice");
    f->has_meta = true;
    if (bpi_json_null(j))
        return BP_OK;
    if (!bpi_json_skip(j, '{'))
        return bpi_json_bad(j, "__metadata__ is not an object");
    if (bpi_json_skip(j, '}'))
        return BP_OK;
    do {
        bpi_text_pair pair;
        BPI_TRY(bpi_json_key(j, &pair.key));
        BPI_TRY(bpi_json_string(j, &pair.value));
        if (!bpi_grow(j->ctx, (void **)&f->meta, &f->meta_capacity, f->n_meta + 1, sizeof pair))
            return BP_ERR_NOMEM;
        f->meta[f->n_meta++] = pair;
    } while (bpi_json_skip(j, ','));
    return bpi_json_skip(j, '}') ? BP_OK : bpi_json_bad(j, "',' or '}' is wanted");
}

/* All that the format knows: a file may hold what nobody asks for. */
static const struct format {
    const char *name;
    int bits;
    bp_dtype dtype;
} formats[] = {{"F32", 32, BP_F32}, {"F64", 64, BP_F64}, {"U8", 8, BP_U8}, {"I32", 32, BP_I32},
               {"F16", 16, 0}, {"BF16", 16, 0}, {"I64", 64, 0}, {"BOOL", 8, 0}, {"I8", 8, 0},
               {"I16", 16, 0}, {"U16", 16, 0}, {"U32", 32, 0}, {"U64", 64, 0}, {"C64", 64, 0},
               {"F8_E5M2", 8, 0}, {"F8_E4M3", 8, 0}, {"F8_E8M0", 8, 0}, {"F8_E4M3FNUZ", 8, 0},
               {"F8_E5M2FNUZ", 8, 0}, {"F6_E2M3", 6, 0}, {"F6_E3M2", 6, 0}, {"F4", 4, 0}};
enum { FORMATS = sizeof formats / sizeof *formats, BITS_MAX = 64 };

static const struct format *format_of(const char *name)
{
    int i = 0;
    while (i < FORMATS && strcmp(formats[i].name, name))
        i++;
    return i < FORMATS ? &formats[i] : NULL;
}

/* Elements that fill no whole byte do not fit. */
static bool fits(const bpi_entry *e)
{
    uint64_t bits = (uint64_t)format_of(e->type)->bits, count = (uint64_t)bp_shape_count(e->shape);
    return count <= INT64_MAX / BITS_MAX && count * bits % 8 == 0 && e->end >= e->begin &&
           e->end - e->begin == count * bits / 8;
}

/* One value of a tensor's object; `seen` has a bit for each key. */
static bp_status field(bpi_json *j, const char *name, bpi_entry *e, unsigned *seen)
{
    static const char *const known[] = {"dtype", "shape", "data_offsets"};
    int which = 0;
    while (which < 3 && strcmp(name, known[which]))
        which++;
    if (which == 3)
        return bpi_json_value(j, TENSOR_DEPTH);
    if (*seen & 1u << which)
        return bpi_json_bad(j, "dtype, shape and data_offsets are wanted, each once");
    *seen |= 1u << which;
    if (which == 1)
        return integers(j, e->shape.dim, BP_MAX_DIMS, &e->shape.ndim);
    if (which == 0) {
        BPI_TRY(bpi_json_string(j, &e->type));
        const struct format *format = format_of(e->type);
        e->dtype = format ? format->dtype : 0;
        return format ? BP_OK : bpi_json_bad(j, "a dtype that the format does not have");
    }
    int64_t offset[2];
    int32_t n;
    BPI_TRY(integers(j, offset, 2, &n));
    e->begin = (uint64_t)offset[0];
    e->end = (uint64_t)offset[1];
    return n == 2 ? BP_OK : bpi_json_bad(j, "data_offsets are not two");
}

static bp_status tensor(reader *r, const char *name)
{
    bpi_json *j = &r->json;
    bpi_safetensors *f = r->file;
    bpi_entry e = {.name = name};
    unsigned seen = 0;
    if (!bpi_json_skip(j, '{'))
        return bpi_json_bad(j, "a tensor is not an object");
    if (!bpi_json_skip(j, '}')) {
        do {
            const char *what;
            BPI_TRY(bpi_json_key(j, &what));
            BPI_TRY(field(j, what, &e, &seen));
        } while (bpi_json_skip(j, ','));
        if (!bpi_json_skip(j, '}'))
            return bpi_json_bad(j, "',' or '}' is wanted");
    }
    if (seen != 7)
        return bpi_json_bad(j, "dtype, shape and data_offsets are wanted, each once");
    if (!bpi_shape_valid(&e.shape) || !fits(&e))
        return bpi_json_bad(j, "data_offsets that do not fit dtype and shape");
    if (!bpi_grow(j->ctx, (void **)&f->entry, &f->entry_capacity, f->n + 1, sizeof e))
        return BP_ERR_NOMEM;
    f->entry[f->n++] = e;
    return BP_OK;
}

static bp_status parse(reader *r, size_t length)
{
    bpi_json *j = &r->json;
    BPI_TRY(bpi_json_utf8(j, length));
    if (!bpi_json_skip(j, '{'))
        return bpi_json_bad(j, "'{' is wanted");
    if (!bpi_json_skip(j, '}')) {
        do {
            const char *name;
            BPI_TRY(bpi_json_key(j, &name));
            BPI_TRY(strcmp(name, "__metadata__") ? tensor(r, name) : metadata(r));
        } while (bpi_json_skip(j, ','));
        if (!bpi_json_skip(j, '}'))
            return bpi_json_bad(j, "',' or '}' is wanted");
    }
    bool more = bpi_json_skip(j, '\0'); /* the end, or a 0 in the header */
    return more && j->at == j->start + length + 1 ? BP_OK
                                                  : bpi_json_bad(j, "something after the end");
}

/* The first member of each is its name. */
static int by_name(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Sorts by name; a name that is there twice is an error. */
static bp_status unique(const reader *r, void *items, int64_t n, size_t bytes, const char *what)
{
    if (n)
        qsort(items, (size_t)n, bytes, by_name);
    for (int64_t i = 1; i < n; i++) {
        const char *const *name = (const void *)((const char *)items + (size_t)i * bytes);
        if (!by_name(name, (const char *)name - bytes))
            return bpi_fail(r->json.ctx, BP_ERR_FORMAT, "%s: %s %.64s is there twice", r->json.path,
                            what, *name);
    }
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
        return bpi_fail(in->ctx, BP_ERR_FORMAT,
                        "%s: not a safetensors file: a header of 2 to %d bytes is wanted", in->path,
                        HEADER_MAX);
    BPI_TRY(bpi_file_read(in, length, &f->header, &got));
    if (got < length)
        return bpi_fail(in->ctx, BP_ERR_FORMAT, "%s: ends within its header", in->path);
    if (!bpi_grow(in->ctx, (void **)&f->header.at, &f->header.capacity, (int64_t)length + 1, 1))
        return BP_ERR_NOMEM;
    f->header.at[length] = '\0';
    r->json = (bpi_json){in->ctx, in->path, "header", f->header.at, f->header.at};
    BPI_TRY(parse(r, (size_t)length));
    BPI_TRY(unique(r, f->meta, f->n_meta, sizeof *f->meta, "metadata"));
    return unique(r, f->entry, f->n, sizeof *f->entry, "tensor");
}

static bp_status read_data(bpi_safetensors *f, bpi_file *in)
{
    uint64_t got, end = 0;
    if (f->n)
        qsort(f->entry, (size_t)f->n, sizeof *f->entry, by_place);
    for (int64_t i = 0; i < f->n; i++) {
        if (f->entry[i].begin != end)
            return bpi_fail(in->ctx, BP_ERR_FORMAT,
                            "%s: %.64s begins at byte %llu of the data, not %llu", in->path,
                            f->entry[i].name, (unsigned long long)f->entry[i].begin,
                            (unsigned long long)end);
        end = f->entry[i].end;
    }
    BPI_TRY(bpi_file_read(in, end + 1, &f->data, &got));
    if (got != end)
        return bpi_fail(in->ctx, BP_ERR_FORMAT, "%s: %s than the %llu bytes of its tensors",
                        in->path, got < end ? "fewer" : "more", (unsigned long long)end);
    return BP_OK;
}

bp_status bpi_safetensors_read(bp_context *ctx, const char *path, bpi_safetensors *file)
{
    *file = (bpi_safetensors){0};
    bpi_file in;
    reader r = {.file = file};
    bp_status st = bpi_file_open(ctx, path, false, &in);
    if (st == BP_OK)
        st = bpi_file_lock(&in);
    if (st == BP_OK)
        st = read_header(&r, &in);
    if (st == BP_OK)
        st = read_data(file, &in);
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

bool bpi_entry_is_real(const bpi_entry *e)
{
    return e->dtype == BP_F32 || e->dtype == BP_F64 || !strcmp(e->type, "F16") ||
           !strcmp(e->type, "BF16");
}

/* 5 bits of exponent, 10 of mantissa. */
static double half(uint16_t bits)
{
    int exponent = bits >> 10 & 31, mantissa = bits & 1023;
    double x = exponent == 0 ? ldexp(mantissa, -24) : ldexp(1024 + mantissa, exponent - 25);
    if (exponent == 31)
        x = mantissa ? (double)NAN : (double)INFINITY;
    return bits & 0x8000 ? -x : x;
}

double bpi_entry_number(const bpi_safetensors *f, const bpi_entry *e, int64_t i)
{
    union { double f64; float f32; uint32_t bits; } x; /* the bytes may lie anywhere */
    uint16_t small;
    size_t bytes = e->dtype == BP_F64 ? sizeof x.f64 : e->dtype == BP_F32 ? sizeof x.f32 : 2;
    const unsigned char *from = f->data.at + e->begin + (size_t)i * bytes;
    if (bytes != 2) {
        memcpy(&x, from, bytes);
        return e->dtype == BP_F64 ? x.f64 : (double)x.f32;
    }
    memcpy(&small, from, 2);
    if (e->type[0] == 'F')
        return half(small);
    x.bits = (uint32_t)small << 16; /* the upper half of an f32 */
    return (double)x.f32;
}
