/* NPY files (NumPy's, versions 1 to 3): a magic word, the version, the length of a header, which is
 * a Python dictionary as text, and the numbers, little-endian here, row by row.
 *
 * f4 and f8 become f32, i4 and i8 i32, u1 and b1 u8; what has no room there is an error. Integers
 * named "y", one a row, are classes. */
#include "data/npy.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/view.h"

enum { AT_ONCE = 1 << 20, HEADER_MAX = 1 << 16 };

typedef enum type { F4, F8, U1, B1, I4, I8, TYPES } type;

static const struct {
    const char *name;
    bp_dtype dtype;
    size_t bytes;
    const char *tensor; /* as safetensors name it */
} types[TYPES] = {
    [F4] = {"<f4", BP_F32, 4, "F32"}, [F8] = {"<f8", BP_F32, 8, "F64"},
    [U1] = {"|u1", BP_U8, 1, "U8"},   [B1] = {"|b1", BP_U8, 1, "BOOL"},
    [I4] = {"<i4", BP_I32, 4, "I32"}, [I8] = {"<i8", BP_I32, 8, "I64"}};

typedef struct npy {
    bpi_file *file;
    bp_context *ctx;
    const char *who, *name;
    type type;
    bp_shape shape;
} npy;

/* --- the header -------------------------------------------------------------------------- */

static bp_status bad(const npy *a, const char *what)
{
    return bpi_fail(a->ctx, BP_ERR_FORMAT, "%s: %s", a->file->path, what);
}

static bp_status take(npy *a, void *to, size_t n)
{
    for (size_t some, got; n > 0; n -= some) {
        some = n < AT_ONCE ? n : AT_ONCE;
        BPI_TRY(bpi_file_take(a->file, to, some, &got));
        if (got < some)
            return bad(a, "ends before its header, or its shape, says");
        to = (char *)to + some;
    }
    return BP_OK;
}

/* What stands behind a key of the dictionary; NULL where it is not there. */
static const char *value_of(const char *header, const char *key)
{
    const char *at = strstr(header, key);
    if (!at || at == header || (at[-1] != '\'' && at[-1] != '"'))
        return NULL;
    at += strlen(key) + 1;
    at += strspn(at, " ");
    return *at == ':' ? at + 1 + strspn(at + 1, " ") : NULL;
}

static bp_status read_type(npy *a, const char *at)
{
    char text[16] = "";
    size_t n = at && (*at == '\'' || *at == '"') ? strcspn(at + 1, "'\"") : sizeof text;
    if (n < sizeof text)
        memcpy(text, at + 1, n);
    for (a->type = 0; a->type < TYPES; a->type++)
        if (!strcmp(text, types[a->type].name))
            return BP_OK;
    return bpi_fail(a->ctx, BP_ERR_DTYPE, "%s: its numbers are '%s'; <f4, <f8, |u1, |b1, <i4 or "
                    "<i8 are wanted%s", a->file->path, text[0] ? text : "of several types",
                    text[0] == '>' ? ": they are big-endian" : "");
}

static bp_status read_shape(npy *a, const char *at)
{
    if (!at || *at++ != '(')
        return bad(a, "its header has no shape");
    for (;;) {
        char *end;
        at += strspn(at, " ");
        if (*at == ')')
            break;
        unsigned long long size = *at >= '0' && *at <= '9' ? strtoull(at, &end, 10) : UINT64_MAX;
        if (size > INT32_MAX || a->shape.ndim == BP_MAX_DIMS)
            return bad(a, "its shape is no list of at most 8 sizes up to 2147483647");
        a->shape.dim[a->shape.ndim++] = (int64_t)size;
        at = end + (*end == 'L');
        at += strspn(at, " ");
        at += *at == ',';
    }
    return BP_OK;
}

static bp_status read_dictionary(npy *a, const char *header)
{
    const char *fortran = value_of(header, "fortran_order");
    if (!fortran || (strncmp(fortran, "False", 5) && strncmp(fortran, "True", 4)))
        return bad(a, "its header says nothing of fortran_order");
    BPI_TRY(read_type(a, value_of(header, "descr")));
    BPI_TRY(read_shape(a, value_of(header, "shape")));
    if (*fortran == 'T' && a->shape.ndim > 1)
        return bpi_fail(a->ctx, BP_ERR_UNSUPPORTED, "%s: lies in Fortran order, column by column; "
                        "save numpy.ascontiguousarray() of it", a->file->path);
    return BP_OK;
}

static bp_status read_header(npy *a)
{
    unsigned char h[12];
    BPI_TRY(take(a, h, 10));
    if (memcmp(h, "\x93NUMPY", 6))
        return bad(a, "is no NPY file: it does not begin with \\x93NUMPY");
    if (h[6] < 1 || h[6] > 3)
        return bpi_fail(a->ctx, BP_ERR_UNSUPPORTED, "%s: is of version %d; 1 to 3 are known",
                        a->file->path, h[6]);
    size_t n = (size_t)h[8] | (size_t)h[9] << 8;
    if (h[6] > 1) {
        BPI_TRY(take(a, h + 10, 2));
        n |= (size_t)h[10] << 16 | (size_t)h[11] << 24;
    }
    if (n >= HEADER_MAX)
        return bad(a, "its header has more than 65535 bytes");
    char *header = bpi_host_alloc(a->ctx, n + 1); /* zeros are behind it */
    if (!header)
        return bpi_fail(a->ctx, BP_ERR_NOMEM, "%s: out of memory", a->who);
    bp_status st = take(a, header, n);
    if (st == BP_OK)
        st = read_dictionary(a, header);
    bpi_host_free(a->ctx, header, n + 1);
    return st;
}

/* --- the numbers ------------------------------------------------------------------------- */

/* n numbers become those of the column, in place; the first that does not fit, or -1. */
static int64_t convert(type from, void *numbers, int64_t n)
{
    for (int64_t i = 0; i < n && from == F8; i++) {
        double x = ((double *)numbers)[i];
        float y = (float)x;
        if (isfinite(x) && !isfinite(y))
            return i;
        memcpy((char *)numbers + (size_t)i * sizeof y, &y, sizeof y);
    }
    for (int64_t i = 0; i < n && from == I8; i++) {
        int64_t x = ((int64_t *)numbers)[i];
        int32_t y = (int32_t)x;
        if (y != x)
            return i;
        memcpy((char *)numbers + (size_t)i * sizeof y, &y, sizeof y);
    }
    return -1;
}

/* Rows first .. first + n, into memory with room for them in the file's type. */
static bp_status take_rows(npy *a, const bpi_column *c, int64_t first, int64_t n, void *to)
{
    char why[BPI_WHY_BYTES];
    BPI_TRY(take(a, to, (size_t)(n * c->count) * types[a->type].bytes));
    int64_t i = convert(a->type, to, n * c->count);
    if (i >= 0)
        return bpi_fail(a->ctx, BP_ERR_RANGE, "%s: row %lld, element %lld has no room in %s",
                        a->file->path, (long long)(first + i / c->count),
                        (long long)(i % c->count), bp_dtype_name(c->dtype));
    bp_status st = bpi_rows_fit(c, to, first, n, why);
    return st == BP_OK ? st : bpi_fail(a->ctx, st, "%s: %s", a->file->path, why);
}

static bp_status add_numbers(npy *a, bp_data *d)
{
    bp_shape row = {.ndim = a->shape.ndim - 1};
    memcpy(row.dim, a->shape.dim + 1, (size_t)row.ndim * sizeof *row.dim);
    BPI_TRY(bpi_data_add(d, a->who, a->name, types[a->type].dtype, row, NULL));
    const bpi_column *c = bpi_data_find(d, a->name);
    int64_t row_bytes = c->count * (int64_t)types[a->type].bytes;
    int64_t most = row_bytes < AT_ONCE ? AT_ONCE / row_bytes : 1;
    most = most < d->capacity ? most : d->capacity;
    void *some = bpi_host_alloc(a->ctx, (size_t)(most * row_bytes));
    bp_status st = some ? BP_OK : bpi_fail(a->ctx, BP_ERR_NOMEM, "%s: out of memory", a->who);
    for (int64_t i = 0; i < d->capacity && st == BP_OK; i += most) {
        int64_t n = d->capacity - i < most ? d->capacity - i : most;
        st = take_rows(a, c, i, n, some);
        if (st == BP_OK)
            st = bpi_column_write(c, i, n, some);
    }
    bpi_host_free(a->ctx, some, (size_t)(most * row_bytes));
    return st;
}

static bp_status add_classes(npy *a, bp_data *d)
{
    bpi_column c = {.dtype = types[a->type].dtype, .count = 1};
    size_t bytes = (size_t)d->capacity * sizeof(int64_t);
    int32_t *label = bpi_host_alloc(a->ctx, bytes), most = 0;
    bp_status st = label ? take_rows(a, &c, 0, d->capacity, label)
                         : bpi_fail(a->ctx, BP_ERR_NOMEM, "%s: out of memory", a->who);
    for (int64_t i = d->capacity; i-- > 0 && st == BP_OK;) { /* from behind: u8 widen in place */
        label[i] = a->type == U1 ? ((unsigned char *)label)[i] : label[i];
        most = label[i] > most ? label[i] : most;
        if (label[i] < 0 || label[i] == INT32_MAX)
            st = bpi_fail(a->ctx, BP_ERR_RANGE, "%s: row %lld is %d; a class of 0 or more is "
                          "wanted", a->file->path, (long long)i, (int)label[i]);
    }
    if (st == BP_OK)
        st = bpi_data_add_classes(d, a->who, label, most + 1, NULL);
    bpi_host_free(a->ctx, label, bytes);
    return st;
}

/* The bytes of the array, where the file may hold so many; else the error. */
static bp_status bytes_of(npy *a, uint64_t *bytes)
{
    uint64_t n = types[a->type].bytes;
    bool fits = true;
    for (int32_t i = 0; i < a->shape.ndim; i++)
        fits &= !__builtin_mul_overflow(n, (uint64_t)a->shape.dim[i], &n);
    *bytes = n;
    return fits && bpi_file_may_hold(a->file, n)
               ? BP_OK : bad(a, "ends before its header, or its shape, says");
}

static bp_status at_end(npy *a)
{
    unsigned char more;
    size_t got;
    BPI_TRY(bpi_file_take(a->file, &more, 1, &got));
    return got ? bad(a, "goes on behind what its shape says") : BP_OK;
}

bp_status bpi_npy_add(bpi_file *file, const char *who, const char *name, bp_data **d)
{
    npy a = {.file = file, .ctx = file->ctx, .who = who, .name = name};
    uint64_t bytes;
    BPI_TRY(read_header(&a));
    if (a.shape.ndim == 0 || a.shape.dim[0] == 0)
        return bad(&a, a.shape.ndim ? "has no rows" : "is a number, not an array of rows");
    BPI_TRY(bytes_of(&a, &bytes));
    if (!*d)
        BPI_TRY(bpi_data_new(a.ctx, who, a.shape.dim[0], d));
    if (a.shape.dim[0] != (*d)->capacity)
        return bpi_fail(a.ctx, BP_ERR_SHAPE, "%s: %lld rows; %lld are wanted, as \"%s\" has",
                        file->path, (long long)a.shape.dim[0], (long long)(*d)->capacity,
                        bp_data_column_name(*d, 0));
    bool integers = a.type == U1 || a.type == I4 || a.type == I8;
    if (!strcmp(name, "y") && integers && a.shape.ndim == 1)
        BPI_TRY(add_classes(&a, *d));
    else
        BPI_TRY(add_numbers(&a, *d));
    return at_end(&a);
}

bp_status bpi_npy_entry(bpi_file *file, const char *who, const char *name, bpi_safetensors *f)
{
    npy a = {.file = file, .ctx = file->ctx, .who = who, .name = name};
    uint64_t bytes, begin = f->n ? f->entry[f->n - 1].end : 0;
    BPI_TRY(read_header(&a));
    BPI_TRY(bytes_of(&a, &bytes));
    int64_t room = (int64_t)(begin + bytes) + 1; /* an address, where the array has no bytes */
    if (!bpi_grow(a.ctx, (void **)&f->data.at, &f->data.capacity, room, 1) ||
        !bpi_grow(a.ctx, (void **)&f->entry, &f->entry_capacity, f->n + 1, sizeof *f->entry))
        return BP_ERR_NOMEM;
    BPI_TRY(take(&a, f->data.at + begin, bytes));
    f->entry[f->n++] = (bpi_entry){.name = name, .type = types[a.type].tensor, .shape = a.shape,
                                   .dtype = a.type == F8 ? BP_F64 : types[a.type].dtype,
                                   .begin = begin, .end = begin + bytes};
    return at_end(&a);
}

/* --- two files --------------------------------------------------------------------------- */

static bp_status add_file(bp_context *ctx, const char *path, const char *name, bp_data **d)
{
    bpi_file file;
    bp_status st = bpi_file_open(ctx, path, true, &file);
    if (st == BP_OK)
        st = bpi_npy_add(&file, "data_npy", name, d);
    bpi_file_close(&file);
    return st;
}

static bp_status read_files(bp_context *ctx, const char *x, const char *y, bp_data **data)
{
    BPI_TRY(bpi_given(ctx, x, "data_npy: x_path"));
    BPI_TRY(bpi_given(ctx, data, "data_npy: data"));
    bp_data *d = NULL;
    bp_status st = add_file(ctx, x, "x", &d);
    if (st == BP_OK && y)
        st = add_file(ctx, y, "y", &d);
    if (st == BP_OK)
        *data = d;
    else
        bp_data_free(d);
    return st;
}

bp_status bp_data_npy(bp_context *ctx, const char *x_path, const char *y_path, bp_data **data)
{
    if (data)
        *data = NULL;
    BPI_INSIDE(ctx, read_files(ctx, x_path, y_path, data));
}
