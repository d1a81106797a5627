/* Data sets: columns in device memory, checked once, when they come in. split.c makes sets of
 * others, look.c looks at one; the readers are idx.c and digits.c. */
#include <string.h>

#include "core/view.h"
#include "data/names.h"
#include "data/set.h"

bp_status bpi_data_new(bp_context *ctx, const char *who, int64_t rows, bp_data **data)
{
    if (rows < 1 || rows > INT32_MAX)
        return bpi_fail(ctx, BP_ERR_SHAPE, "%s: %lld rows: the set is too %s; 1 to %d are wanted",
                        who, (long long)rows, rows < 1 ? "small" : "large", INT32_MAX);
    bp_data *d = bpi_object_alloc(ctx, sizeof *d);
    if (!d)
        return bpi_fail(ctx, BP_ERR_NOMEM, "%s: out of memory", who);
    d->ctx = ctx;
    d->capacity = rows;
    atomic_init(&d->rows, rows);
    *data = d;
    return BP_OK;
}

static void free_late(bpi_late *late)
{
    bp_data_free((bp_data *)((char *)late - offsetof(bp_data, late)));
}

static void free_column(bp_data *d, bpi_column *c)
{
    bpi_kill(c->values);
    bpi_host_free(d->ctx, c->host, (size_t)d->host_rows * bpi_row_bytes(c));
    bpi_host_free(d->ctx, c->name, c->name ? strlen(c->name) + 1 : 0);
}

void bp_data_free(bp_data *d)
{
    if (!d || !bpi_enter_to_free(d->ctx, &d->late, free_late))
        return;
    bp_context *ctx = d->ctx;
    if (d->end_arriving)
        d->end_arriving(d);
    for (int64_t i = 0; i < d->n_columns; i++)
        free_column(d, &d->column[i]);
    bpi_host_free(ctx, d->column, (size_t)d->column_capacity * sizeof *d->column);
    for (int i = 0; i < BPI_NAMES; i++)
        bpi_texts_free(ctx, &d->names[i]);
    bpi_object_free(ctx, d, sizeof *d);
    bpi_leave(ctx);
}

/* --- columns ----------------------------------------------------------------------------- */

size_t bpi_row_bytes(const bpi_column *c)
{
    return (size_t)c->count * bp_dtype_bytes(c->dtype);
}

bpi_column *bpi_data_find(const bp_data *d, const char *name)
{
    for (int64_t i = 0; i < d->n_columns; i++)
        if (!strcmp(d->column[i].name, name))
            return &d->column[i];
    return NULL;
}

static bp_shape with_rows(int64_t rows, const bp_shape *row)
{
    bp_shape shape = {.ndim = row->ndim + 1, .dim = {rows}};
    memcpy(shape.dim + 1, row->dim, (size_t)row->ndim * sizeof *row->dim);
    return shape;
}

/* Copies c's nature and name, and takes what memory it needs; `out` is empty on failure. */
static bp_status prepare(bp_data *d, const char *who, const bpi_column *c, bpi_column *out)
{
    size_t name_bytes = strlen(c->name) + 1;
    *out = *c;
    out->values = NULL;
    out->host = NULL;
    out->name = bpi_host_alloc(d->ctx, name_bytes);
    if (out->name && d->host_rows)
        out->host = bpi_host_alloc(d->ctx, (size_t)d->host_rows * bpi_row_bytes(c));
    if (out->name && (out->host || !d->host_rows)) {
        memcpy(out->name, c->name, name_bytes);
        return bpi_grow(d->ctx, (void **)&d->column, &d->column_capacity, d->n_columns + 1,
                        sizeof *d->column)
                   ? BP_OK : BP_ERR_NOMEM;
    }
    return bpi_fail(d->ctx, BP_ERR_NOMEM, "%s: no memory for the column \"%s\"", who, c->name);
}

bp_status bpi_data_join(bp_data *d, const char *who, const bpi_column *c, bp_tensor *values)
{
    bpi_column joins;
    bp_status st = prepare(d, who, c, &joins);
    bpi_lend(values);
    joins.values = values;
    if (st == BP_OK)
        d->column[d->n_columns++] = joins;
    else
        free_column(d, &joins);
    return st;
}

/* What can be said of a column before its values are seen. */
static bp_status fits_set(const bp_data *d, const char *who, const bpi_column *c)
{
    bp_context *ctx = d->ctx;
    if (!c->name[0])
        return bpi_fail(ctx, BP_ERR_ARG, "%s: the name of a column is empty", who);
    if (bpi_data_find(d, c->name))
        return bpi_fail(ctx, BP_ERR_ARG, "%s: there is a column \"%s\" already", who, c->name);
    if (!bp_dtype_bytes(c->dtype))
        return bpi_fail(ctx, BP_ERR_DTYPE, "%s: column \"%s\": unknown dtype %d", who, c->name,
                        (int)c->dtype);
    if (c->row.ndim >= BP_MAX_DIMS || !bpi_shape_valid(&c->row) || c->count < 1)
        return bpi_fail(ctx, BP_ERR_SHAPE, "%s: column \"%s\": a row of shape %s: up to 7 sizes of "
                        "1 or more are wanted", who, c->name, bpi_shape_str(&c->row).s);
    if (c->count > INT32_MAX || d->capacity * c->count > INT64_MAX / 16)
        return bpi_fail(ctx, BP_ERR_SHAPE, "%s: column \"%s\": %lld rows of %lld numbers: the set "
                        "is too large; at most %d of each", who, c->name, (long long)d->capacity,
                        (long long)c->count, INT32_MAX);
    return BP_OK;
}

/* Of the names that tasks know: their dtypes, and one shape a row. */
static bp_status fits_name(bp_context *ctx, const char *who, bpi_column *c)
{
    const char *wanted = NULL;
    bp_shape row = c->row;
    if (!strcmp(c->name, "x")) {
        wanted = c->dtype == BP_U8 || c->dtype == BP_F32 ? NULL : "samples are u8 or f32";
    } else if (!strcmp(c->name, "y") && c->rule != BPI_CLASSES) {
        wanted = c->dtype == BP_F32 || c->dtype == BP_U8
                     ? NULL : "targets are f32 or, several labels of 0 and 1, u8; classes come by "
                              "bp_data_add_classes";
        row = BP_SHAPE(c->count);
        c->rule = c->dtype == BP_U8 ? BPI_FLAGS : BPI_NUMBERS;
    } else if (!strcmp(c->name, "weight")) {
        wanted = c->dtype == BP_F32 && c->count == 1 ? NULL : "weights are f32, one a row";
        row = BP_SCALAR;
        c->rule = BPI_WEIGHTS;
    }
    if (wanted)
        return bpi_fail(ctx, BP_ERR_DTYPE, "%s: column \"%s\" of %s %s: %s", who, c->name,
                        bp_dtype_name(c->dtype), bpi_shape_str(&c->row).s, wanted);
    c->row = row;
    return BP_OK;
}

static bp_status add(bp_data *d, const char *who, bpi_column *c, const void *values)
{
    char why[BPI_WHY_BYTES];
    c->count = bp_shape_count(c->row);
    BPI_TRY(fits_set(d, who, c));
    BPI_TRY(fits_name(d->ctx, who, c));
    bp_status st = values ? bpi_rows_fit(c, values, 0, d->capacity, why) : BP_OK;
    if (st != BP_OK)
        return bpi_fail(d->ctx, st, "%s: column \"%s\": %s", who, c->name, why);
    bp_tensor *t = bp_tensor_create(d->ctx, c->dtype, with_rows(d->capacity, &c->row));
    st = t ? BP_OK : BP_ERR_NOMEM;
    if (st == BP_OK && values)
        st = bp_write(t, values, (size_t)d->capacity * bpi_row_bytes(c));
    if (st == BP_OK)
        return bpi_data_join(d, who, c, t);
    bp_free(t);
    return st;
}

bp_status bpi_data_add(bp_data *d, const char *who, const char *name, bp_dtype dtype, bp_shape row,
                       const void *values)
{
    bpi_column c = {.name = (char *)name, .dtype = dtype, .row = row};
    return add(d, who, &c, values);
}

static bp_status arrives(bp_data *d, const char *what, const void *values)
{
    if (!d->arriving)
        return bpi_given(d->ctx, values, what);
    if (atomic_load_explicit(&d->begun, memory_order_relaxed))
        return bpi_fail(d->ctx, BP_ERR_STATE, "%s: rows of this set have arrived already", what);
    return values ? bpi_fail(d->ctx, BP_ERR_ARG, "%s: the rows of this set arrive: NULL is wanted",
                             what)
                  : BP_OK;
}

bp_status bp_data_add(bp_data *d, const char *name, bp_dtype dtype, bp_shape row,
                      const void *values)
{
    BPI_LEADS(d, "data_add: data");
    BPI_TRY(bpi_enter(d->ctx));
    bp_status st = bpi_given(d->ctx, name, "data_add: name");
    if (st == BP_OK)
        st = arrives(d, "data_add: values", values);
    if (st == BP_OK)
        st = bpi_data_add(d, "data_add", name, dtype, row, values);
    bpi_leave(d->ctx);
    return st;
}

bp_status bpi_column_write(const bpi_column *c, int64_t first, int64_t n, const void *values)
{
    bp_tensor *rows = bpi_window(c->values, first * c->count, c->dtype, with_rows(n, &c->row),
                                 BPI_OWNER_LIBRARY);
    bp_status st = rows ? bp_write(rows, values, (size_t)n * bpi_row_bytes(c)) : BP_ERR_NOMEM;
    bpi_kill(rows);
    return st;
}

bp_status bpi_texts_take(bp_context *ctx, const char *who, size_t bytes, bpi_texts *texts)
{
    char *text = bpi_host_alloc(ctx, bytes);
    if (!text)
        return bpi_fail(ctx, BP_ERR_NOMEM, "%s: no memory for names", who);
    *texts = (bpi_texts){text, bytes};
    return BP_OK;
}

void bpi_texts_free(bp_context *ctx, bpi_texts *texts)
{
    bpi_host_free(ctx, texts->text, texts->bytes);
    *texts = (bpi_texts){0};
}

/* --- classes ----------------------------------------------------------------------------- */

/* A class is found by its name. */
static bp_status differ(const bp_data *d, const char *who, int32_t classes,
                        const char *const *names)
{
    bpi_names all = {.ctx = d->ctx};
    bp_status st = BP_OK;
    for (int32_t c = 0; c < classes && st == BP_OK; c++) {
        size_t bytes = strlen(names[c]);
        if (*names[c] && bpi_names_find(&all, names[c], bytes, false) >= 0)
            st = bpi_fail(d->ctx, BP_ERR_ARG, "%s: two classes have the name \"%s\"", who,
                          names[c]);
        else if (bpi_names_find(&all, names[c], bytes, true) < 0)
            st = BP_ERR_NOMEM;
    }
    bpi_names_free(&all);
    return st;
}

static bp_status copy_names(bp_data *d, const char *who, int32_t classes, const char *const *names)
{
    size_t bytes = 0;
    for (int32_t c = 0; c < classes; c++) {
        if (!names[c])
            return bpi_fail(d->ctx, BP_ERR_ARG, "%s: names[%d] is NULL", who, (int)c);
        bytes += strlen(names[c]) + 1;
    }
    BPI_TRY(differ(d, who, classes, names));
    BPI_TRY(bpi_texts_take(d->ctx, who, bytes, &d->names[BPI_CLASS_NAMES]));
    char *at = d->names[BPI_CLASS_NAMES].text;
    for (int32_t c = 0; c < classes; c++)
        at = stpcpy(at, names[c]) + 1;
    return BP_OK;
}

bp_status bpi_data_add_classes(bp_data *d, const char *who, const int32_t *labels, int32_t classes,
                               const char *const *names)
{
    bpi_column c = {.name = "y", .dtype = BP_I32, .rule = BPI_CLASSES, .classes = classes};
    if (classes < 1)
        return bpi_fail(d->ctx, BP_ERR_ARG, "%s: %d classes: 1 or more are wanted", who,
                        (int)classes);
    if (names && !bpi_data_find(d, "y"))
        BPI_TRY(copy_names(d, who, classes, names));
    bp_status st = add(d, who, &c, labels);
    if (st == BP_OK) {
        d->classes = classes;
    } else if (!d->classes) {
        bpi_texts_free(d->ctx, &d->names[BPI_CLASS_NAMES]);
    }
    return st;
}

bp_status bp_data_add_classes(bp_data *d, const int32_t *labels, int32_t classes,
                              const char *const *names)
{
    BPI_LEADS(d, "data_add_classes: data");
    BPI_TRY(bpi_enter(d->ctx));
    bp_status st = arrives(d, "data_add_classes: labels", labels);
    if (st == BP_OK)
        st = bpi_data_add_classes(d, "data_add_classes", labels, classes, names);
    bpi_leave(d->ctx);
    return st;
}

/* --- whole sets -------------------------------------------------------------------------- */

static bp_status copy_texts(bp_context *ctx, const char *who, const bpi_texts *from, bpi_texts *to)
{
    if (!from->text)
        return BP_OK;
    BPI_TRY(bpi_texts_take(ctx, who, from->bytes, to));
    memcpy(to->text, from->text, from->bytes);
    return BP_OK;
}

bp_status bpi_data_like(const bp_data *like, const char *who, int64_t rows, bp_data **data)
{
    bp_data *d;
    BPI_TRY(bpi_data_new(like->ctx, who, rows, &d));
    d->images = like->images;
    d->classes = like->classes;
    bp_status st = BP_OK;
    for (int i = 0; i < BPI_NAMES && st == BP_OK; i++)
        st = copy_texts(d->ctx, who, &like->names[i], &d->names[i]);
    if (st == BP_OK)
        *data = d;
    else
        bp_data_free(d);
    return st;
}

static bp_status create(bp_context *ctx, bp_dtype dtype, const void *x, const int32_t *labels,
                        int64_t rows, int64_t cols, int32_t classes, bp_data **out)
{
    const char *who = "data_create";
    bp_data *d;
    BPI_TRY(bpi_given(ctx, out, "data_create: data"));
    BPI_TRY(bpi_given(ctx, x, "data_create: x"));
    BPI_TRY(bpi_given(ctx, labels, "data_create: labels"));
    BPI_TRY(bpi_data_new(ctx, who, rows, &d));
    bp_status st = bpi_data_add(d, who, "x", dtype, BP_SHAPE(cols), x);
    if (st == BP_OK)
        st = bpi_data_add_classes(d, who, labels, classes, NULL);
    if (st == BP_OK)
        *out = d;
    else
        bp_data_free(d);
    return st;
}

bp_status bp_data_create(bp_context *ctx, bp_dtype dtype, const void *x, const int32_t *labels,
                         int64_t rows, int64_t cols, int32_t classes, bp_data **data)
{
    if (data)
        *data = NULL;
    BPI_INSIDE(ctx, create(ctx, dtype, x, labels, rows, cols, classes, data));
}

static bp_status table(bp_context *ctx, int64_t rows, bp_data **out)
{
    BPI_TRY(bpi_given(ctx, out, "data_table: data"));
    return bpi_data_new(ctx, "data_table", rows, out);
}

bp_status bp_data_table(bp_context *ctx, int64_t rows, bp_data **data)
{
    if (data)
        *data = NULL;
    BPI_INSIDE(ctx, table(ctx, rows, data));
}
