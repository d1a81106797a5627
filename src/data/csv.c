/* CSV files: numbers, and a column of targets. Lines are read into blocks of rows, which go to the
 * device when the file is read to its end: a file that has a defect leaves nothing behind. */
#include <math.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include "data/csv.h"

/* An error of a field: "f.csv: line 3, column "age": ...", or of column 2, counted from 0. */
__attribute__((format(printf, 3, 4))) static bp_status bad_field(bpi_csv *r, int64_t i,
                                                                 const char *format, ...)
{
    char what[256];
    va_list args;
    va_start(args, format);
    vsnprintf(what, sizeof what, format, args);
    va_end(args);
    const char *name = bpi_csv_name(r, i), *path = r->text.path;
    long long line = r->text.line;
    if (name)
        return bpi_fail(r->ctx, BP_ERR_FORMAT, "%s: line %lld, column \"%.80s\": %s", path, line,
                        name, what);
    return bpi_fail(r->ctx, BP_ERR_FORMAT, "%s: line %lld, column %lld: %s", path, line,
                    (long long)i, what);
}

static int shown(const bpi_field *f)
{
    return (int)(f->end - f->begin < 60 ? f->end - f->begin : 60);
}

/* --- rows -------------------------------------------------------------------------------- */

static bp_status read_class(bpi_csv *r, int64_t i, const bpi_field *f, float *to)
{
    const bool closed = r->options.like;
    size_t bytes = (size_t)(f->end - f->begin);
    if (bytes == 0 || memchr(f->begin, 0, bytes))
        return bad_field(r, i, "%s; a class is wanted", bytes ? "a text with a zero byte"
                                                              : "it is empty");
    int64_t found = bpi_names_find(&r->classes, f->begin, bytes, !closed);
    if (found < 0)
        return closed ? bad_field(r, i, "\"%.*s\" is none of the %lld classes", shown(f), f->begin,
                                  (long long)r->classes.n)
                      : BP_ERR_NOMEM;
    int32_t code = (int32_t)found;
    memcpy(to, &code, sizeof code);
    return BP_OK;
}

static bp_status read_field(bpi_csv *r, int64_t i, const bpi_field *f, float *to)
{
    if (r->kind[i] == BPI_CSV_TARGET && !r->targets)
        r->targets = bpi_csv_number(r, f, to) ? BP_TARGETS_REAL : BP_TARGETS_CLASSES;
    if (r->kind[i] == BPI_CSV_TARGET && r->targets == BP_TARGETS_CLASSES)
        return read_class(r, i, f, to);
    if (f->begin == f->end)
        return bad_field(r, i, "it is empty; a number is wanted");
    if (!bpi_csv_number(r, f, to))
        return bad_field(r, i, "\"%.*s\" is no number%s", shown(f), f->begin,
                         r->kind[i] == BPI_CSV_TARGET
                             ? "" : "; a column of text can be the label, or be skipped");
    return isfinite(*to) ? BP_OK : bad_field(r, i, "%.*s is beyond the range of f32", shown(f),
                                             f->begin);
}

/* The numbers that stand as they mostly do, from column *i on; *p is behind the last one. */
static inline char *read_numbers(const bpi_csv *r, char *p, int64_t *i, float **x)
{
    const char separator = r->text.separator;
    int64_t k = *i;
    float value;
    for (; k + 1 < r->n && r->kind[k] == BPI_CSV_SAMPLE; k++) {
        while (*p == ' ')
            p++;
        char *q = (char *)bpi_read_number(p, r->c_locale, &value);
        if (!q || *q != separator || !(fabsf(value) < INFINITY))
            break;
        *(*x)++ = value;
        p = q + 1;
    }
    *i = k;
    return p;
}

static bp_status wrong_count(bpi_csv *r, int64_t n, const char *than)
{
    return bpi_fail(r->ctx, BP_ERR_FORMAT, "%s: line %lld has %s%lld fields; %lld are wanted",
                    r->text.path, (long long)r->text.line, than, (long long)n, (long long)r->n);
}

/* The line at text.at, into x and y; *cut where the buffer ends before it. */
static bp_status read_row(bpi_csv *r, float *x, float *y, bool *cut)
{
    bpi_csv_text *t = &r->text;
    bpi_field f = {0};
    int64_t lines = 1;
    char *p = t->at;
    for (int64_t i = 0; !f.last; i++) {
        p = read_numbers(r, p, &i, &x);
        BPI_TRY(bpi_csv_field(t, p, &f));
        if ((*cut = f.cut))
            return BP_OK;
        if (f.last != (i + 1 == r->n))
            return wrong_count(r, i + 1, f.last ? "" : "more than ");
        if (r->kind[i] != BPI_CSV_SKIPPED)
            BPI_TRY(read_field(r, i, &f, r->kind[i] == BPI_CSV_SAMPLE ? x : y));
        x += r->kind[i] == BPI_CSV_SAMPLE;
        lines += f.lines;
        p = f.next;
    }
    t->at = p;
    t->line += lines;
    return BP_OK;
}

static bp_status add_block(bpi_csv *r)
{
    size_t bytes = (size_t)(r->block_rows * (r->cols + 1)) * sizeof(float);
    if (!bpi_grow(r->ctx, (void **)&r->block, &r->block_capacity, r->n_blocks + 1,
                  sizeof *r->block))
        return BP_ERR_NOMEM;
    float *block = bpi_host_alloc(r->ctx, bytes);
    if (!block)
        return bpi_fail(r->ctx, BP_ERR_NOMEM, "data_csv: %s: no memory for row %lld", r->text.path,
                        (long long)r->rows);
    r->block[r->n_blocks++] = block;
    return BP_OK;
}

static bp_status read_rows(bpi_csv *r)
{
    bpi_csv_text *t = &r->text;
    for (bool found, cut;;) {
        BPI_TRY(bpi_csv_line(t, &found));
        if (!found)
            break;
        int64_t row = r->rows % r->block_rows;
        if (row == 0 && r->rows / r->block_rows == r->n_blocks)
            BPI_TRY(add_block(r));
        float *block = r->block[r->n_blocks - 1];
        BPI_TRY(read_row(r, block + row * r->cols, block + r->block_rows * r->cols + row, &cut));
        if (cut)
            BPI_TRY(bpi_csv_more(t));
        else
            r->rows++;
    }
    return r->rows ? BP_OK : bpi_fail(r->ctx, BP_ERR_FORMAT, "%s: has a header and no rows",
                                      t->path);
}

static float *target_at(const bpi_csv *r, int64_t row)
{
    return r->block[row / r->block_rows] + r->block_rows * r->cols + row % r->block_rows;
}

/* The code of a target that is a whole number; -1: it is none, or there is no memory. */
static int64_t whole_code(bpi_csv *r, float y, bool add)
{
    char name[16];
    if (!(fabsf(y) < 1e6f) || y != truncf(y))
        return -1;
    int bytes = snprintf(name, sizeof name, "%d", (int)y);
    return bpi_names_find(&r->classes, name, (size_t)bytes, add);
}

/* Real targets that are few whole numbers become classes. */
static void find_whole(bpi_csv *r)
{
    for (int64_t i = 0; i < r->rows; i++)
        if (whole_code(r, *target_at(r, i), true) < 0 || r->classes.n > r->options.whole_classes)
            return;
    if (r->classes.n < 2 || 2 * r->classes.n > r->rows)
        return;
    for (int64_t i = 0; i < r->rows; i++) {
        int32_t code = (int32_t)whole_code(r, *target_at(r, i), false);
        memcpy(target_at(r, i), &code, sizeof code);
    }
    r->targets = BP_TARGETS_CLASSES;
}

/* --- the set ----------------------------------------------------------------------------- */

/* Adds "y" of classes in order, whose codes in the blocks become their places. */
static bp_status add_classes(bpi_csv *r, bp_data *d)
{
    int64_t n = r->classes.n;
    if (n < 2 && !r->options.like)
        return bpi_fail(r->ctx, BP_ERR_FORMAT, "%s: there is one class only, \"%s\"", r->text.path,
                        bpi_name_at(&r->classes, 0));
    size_t bytes = (size_t)n * (2 * sizeof(int32_t) + sizeof(char *));
    const char **name = bpi_host_alloc(r->ctx, bytes);
    if (!name)
        return bpi_fail(r->ctx, BP_ERR_NOMEM, "data_csv: no memory for %lld classes", (long long)n);
    int32_t *order = (int32_t *)(name + n), *place = order + n;
    for (int64_t k = 0; k < n; k++)
        order[k] = (int32_t)k;
    if (!r->options.like)
        bpi_names_order(&r->classes, order);
    for (int64_t k = 0; k < n; k++) {
        name[k] = bpi_name_at(&r->classes, order[k]);
        place[order[k]] = (int32_t)k;
    }
    for (int64_t i = 0; i < r->rows; i++) {
        int32_t code;
        memcpy(&code, target_at(r, i), sizeof code);
        memcpy(target_at(r, i), &place[code], sizeof code);
    }
    bp_status st = bpi_data_add_classes(d, "data_csv", NULL, (int32_t)n, name);
    bpi_host_free(r->ctx, name, bytes);
    return st;
}

/* The names of the columns that are samples. */
static bp_status name_features(bpi_csv *r, bp_data *d)
{
    size_t bytes = 0;
    for (int64_t i = 0; r->names && i < r->n; i++)
        if (r->kind[i] == BPI_CSV_SAMPLE)
            bytes += strlen(bpi_csv_name(r, i)) + 1;
    if (!bytes)
        return BP_OK;
    BPI_TRY(bpi_texts_take(r->ctx, "data_csv", bytes, &d->names[BPI_FEATURE_NAMES]));
    char *at = d->names[BPI_FEATURE_NAMES].text;
    for (int64_t i = 0; i < r->n; i++)
        if (r->kind[i] == BPI_CSV_SAMPLE)
            at = stpcpy(at, bpi_csv_name(r, i)) + 1;
    return BP_OK;
}

static bp_status fill_set(bpi_csv *r, bp_data *d)
{
    const char *who = "data_csv";
    BPI_TRY(bpi_data_add(d, who, "x", BP_F32, BP_SHAPE(r->cols), NULL));
    BPI_TRY(name_features(r, d));
    if (r->targets == BP_TARGETS_CLASSES)
        BPI_TRY(add_classes(r, d));
    else if (r->targets == BP_TARGETS_REAL)
        BPI_TRY(bpi_data_add(d, who, "y", BP_F32, BP_SCALAR, NULL));
    for (int64_t i = 0; i < r->n_blocks; i++) {
        int64_t first = i * r->block_rows, left = r->rows - first;
        int64_t n = left < r->block_rows ? left : r->block_rows;
        BPI_TRY(bpi_column_write(bpi_data_find(d, "x"), first, n, r->block[i]));
        if (r->targets)
            BPI_TRY(bpi_column_write(bpi_data_find(d, "y"), first, n,
                                     r->block[i] + r->block_rows * r->cols));
    }
    return BP_OK;
}

static bp_status take_like(bpi_csv *r, const bp_data *like)
{
    r->targets = bp_data_targets(like);
    const char *name = bp_data_class_name(like, 0); /* the others stand behind it */
    for (int32_t c = 0; c < bp_data_classes(like); c++, name += strlen(name) + 1) {
        if (!name)
            return bpi_fail(r->ctx, BP_ERR_ARG, "data_csv: the classes of like have no names");
        if (bpi_names_find(&r->classes, name, strlen(name), true) < 0)
            return BP_ERR_NOMEM;
    }
    return BP_OK;
}

static bp_status read_file(bpi_csv *r, const char *path, bp_data **out)
{
    const bp_data *like = r->options.like;
    r->c_locale = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    if (!r->c_locale)
        return bpi_fail(r->ctx, BP_ERR_NOMEM, "data_csv: out of memory");
    if (like)
        BPI_TRY(take_like(r, like));
    BPI_TRY(bpi_csv_open(r->ctx, path, r->options.separator, &r->text));
    BPI_TRY(bpi_csv_head(r));
    if (like && r->cols != bp_data_cols(like))
        return bpi_fail(r->ctx, BP_ERR_SHAPE, "data_csv: %s: %lld columns of samples; %lld "
                        "are wanted", path, (long long)r->cols, (long long)bp_data_cols(like));
    BPI_TRY(read_rows(r));
    if (r->targets == BP_TARGETS_REAL && !like && !r->options.targets)
        find_whole(r);
    BPI_TRY(bpi_data_new(r->ctx, "data_csv", r->rows, out));
    return fill_set(r, *out);
}

static bp_status take_options(bp_context *ctx, const bp_csv *given, bp_csv *options)
{
    char why[160];
    bp_status st = given ? bpi_take_struct(options, sizeof *options, given, given->struct_bytes,
                                           offsetof(bp_csv, whole_classes), why)
                         : BP_OK;
    if (st != BP_OK)
        return bpi_fail(ctx, st, "data_csv: %s", why);
    if (options->targets < BP_TARGETS_NONE || options->targets > BP_TARGETS_REAL)
        return bpi_fail(ctx, BP_ERR_ARG, "data_csv: targets %d: classes or real are wanted",
                        (int)options->targets);
    unsigned char c = (unsigned char)options->separator;
    bool letter = (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z');
    if (c && (letter || c >= 0x80 || strchr("\"\r\n .+-", c)))
        return bpi_fail(ctx, BP_ERR_ARG, "data_csv: the separator cannot be '%c'", c);
    return BP_OK;
}

static bp_status load(bp_context *ctx, const char *path, const bp_csv *options, bp_data **out)
{
    bpi_csv r = {.ctx = ctx, .text = {.ctx = ctx, .file = {.ctx = ctx, .fd = -1}},
                 .classes.ctx = ctx};
    BPI_TRY(bpi_given(ctx, path, "data_csv: path"));
    BPI_TRY(bpi_given(ctx, out, "data_csv: data"));
    BPI_TRY(take_options(ctx, options, &r.options));
    r.targets = r.options.targets;
    bp_data *d = NULL;
    bp_status st = read_file(&r, path, &d);
    if (st == BP_OK)
        *out = d;
    else
        bp_data_free(d);
    for (int64_t i = 0; i < r.n_blocks; i++)
        bpi_host_free(ctx, r.block[i], (size_t)(r.block_rows * (r.cols + 1)) * sizeof(float));
    bpi_host_free(ctx, r.block, (size_t)r.block_capacity * sizeof *r.block);
    bpi_host_free(ctx, r.kind, (size_t)r.n);
    bpi_host_free(ctx, r.names, (size_t)r.names_capacity);
    bpi_host_free(ctx, r.name_at, (size_t)r.name_at_capacity * sizeof *r.name_at);
    bpi_names_free(&r.classes);
    bpi_csv_close(&r.text);
    if (r.c_locale)
        freelocale(r.c_locale);
    return st;
}

bp_status bp_data_csv(bp_context *ctx, const char *path, const bp_csv *options, bp_data **data)
{
    if (data)
        *data = NULL;
    BPI_INSIDE(ctx, load(ctx, path, options, data));
}
