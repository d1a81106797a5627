/* Stores in files: safetensors, a tensor for each parameter, in its shape and under its name, or
 * one that the caller gives for each. A load looks at everything it wants, and makes all of it on
 * the host, before it writes. */
#include <math.h>
#include <string.h>

#include "core/context.h"
#include "core/params.h"
#include "io/params_file.h"
#include "io/safetensors.h"

/* --- as others have it ------------------------------------------------------------------------ */

/* [O,R,S,C] is [O,C,R,S] there, and a matrix a matrix. */
static bp_shape turned_shape(bp_shape is, int64_t pixels)
{
    return pixels && is.ndim == 4 ? BP_SHAPE(is.dim[0], is.dim[3], is.dim[1], is.dim[2]) : is;
}

bp_tensor *bpi_param_turned(bp_tensor *t, int64_t pixels)
{
    if (!pixels)
        return t;
    bp_shape is = bp_shape_of(t);
    int64_t rows = is.dim[0], channels = bp_shape_count(is) / rows / pixels;
    bp_tensor *y = bp_reshape(t, BP_SHAPE(rows, pixels, channels));
    return bp_reshape(bp_transpose(y, 1, 2), turned_shape(is, pixels));
}

/* The place in the store of element i of the file. */
static int64_t turned_back(const bp_shape *is, int64_t pixels, int64_t i)
{
    if (!pixels)
        return i;
    int64_t row = bp_shape_count(*is) / is->dim[0], channels = row / pixels, k = i % row;
    return i - k + k % pixels * channels + k / pixels;
}

/* --- saving ----------------------------------------------------------------------------------- */

/* In a scope, for what is made on the way. */
static bp_status write_as(bp_params *p, const char *path, const bpi_param_as *as, const char *who)
{
    bp_context *ctx = p->ctx;
    size_t bytes = (size_t)p->n * sizeof(char *);
    const char **name = bpi_host_alloc(ctx, bytes);
    bp_tensor **tensor = bpi_host_alloc(ctx, bytes);
    for (int64_t i = 0; name && tensor && i < p->n; i++) {
        name[i] = as ? as[i].name : p->segment[i].name;
        tensor[i] = bpi_param_turned(p->segment[i].value, as ? as[i].pixels : 0);
    }
    bp_status st =
        ctx->pending != BP_OK ? ctx->pending
        : name && tensor
            ? bpi_safetensors_write(ctx, path, name, tensor, (int32_t)p->n, NULL, 0, 1)
            : bpi_fail(ctx, BP_ERR_NOMEM, "%s: out of memory", who);
    bpi_host_free(ctx, tensor, bytes);
    bpi_host_free(ctx, name, bytes);
    return st;
}

bp_status bpi_params_save_as(bp_params *p, const char *path, const bpi_param_as *as,
                             const char *who)
{
    bp_context *ctx = p->ctx;
    if (ctx->pending != BP_OK)
        return ctx->pending;
    BPI_TRY(bpi_not_recording(ctx, who));
    BPI_TRY(bpi_params_materialize(p));
    BPI_TRY(bp_scope_begin(ctx, BP_NO_GRAD));
    bp_status st = write_as(p, path, as, who), end = bp_scope_end(ctx);
    return st != BP_OK ? st : end;
}

static bp_status save(bp_params *p, const char *path)
{
    BPI_TRY(bpi_given(p->ctx, path, "params_save: path"));
    return bpi_params_save_as(p, path, NULL, "params_save");
}

bp_status bp_params_save(bp_params *p, const char *path)
{
    BPI_LEADS(p, "params_save: params");
    BPI_INSIDE(p->ctx, save(p, path));
}

/* --- loading ---------------------------------------------------------------------------------- */

typedef struct reading {
    bp_params *params;
    const char *path, *pattern; /* pattern NULL: all, and nothing else */
    const bpi_param_as *as;     /* in the file; NULL: as in the store */
    const char *who;
    bpi_safetensors file;
    void *flat; /* the values as they will be */
    size_t bytes;
} reading;

static bool wanted(const reading *r, const bpi_segment *s)
{
    return !r->pattern || bpi_name_matches(r->pattern, s->name);
}

/* The name of a parameter in the file. */
static const char *name_of(const reading *r, const bpi_segment *s)
{
    return r->as ? r->as[s - r->params->segment].name : s->name;
}

static int64_t pixels_of(const reading *r, const bpi_segment *s)
{
    return r->as ? r->as[s - r->params->segment].pixels : 0;
}

static bp_status entry_of(const reading *r, const bpi_segment *s, const bpi_entry **entry)
{
    bp_context *ctx = r->params->ctx;
    const char *name = name_of(r, s);
    const bp_shape shape = turned_shape(s->shape, pixels_of(r, s));
    const bpi_entry *e = *entry = bpi_safetensors_find(&r->file, name);
    if (!e && r->file.n == 0)
        return bpi_fail(ctx, BP_ERR_FORMAT, "%s: %s %s is not there: the file holds no tensor",
                        r->path, name, bpi_shape_str(&shape).s);
    if (!e)
        return bpi_fail(ctx, BP_ERR_FORMAT,
                        "%s: %s %s is not there: of %lld tensors the first is %s", r->path, name,
                        bpi_shape_str(&shape).s, (long long)r->file.n, r->file.entry[0].name);
    if (!bpi_same_shape(&e->shape, &shape))
        return bpi_fail(ctx, BP_ERR_SHAPE, "%s: %s is %s in the file and %s in the store", r->path,
                        name, bpi_shape_str(&e->shape).s, bpi_shape_str(&shape).s);
    if (!bpi_entry_is_real(e))
        return bpi_fail(ctx, BP_ERR_DTYPE,
                        "%s: %s is %s in the file: F16, BF16, F32 or F64 is wanted", r->path,
                        name, e->type);
    return BP_OK;
}

static bp_status take(const reading *r, const bpi_segment *s)
{
    const bpi_entry *e;
    BPI_TRY(entry_of(r, s, &e));
    bp_dtype dtype = r->params->dtype;
    for (int64_t i = 0; i < bp_shape_count(s->shape); i++) {
        double x = bpi_entry_number(&r->file, e, i);
        if (!isfinite(dtype == BP_F32 ? (double)(float)x : x))
            return bpi_fail(r->params->ctx, BP_ERR_FORMAT, "%s: %s %s holds %g at element %lld%s%s",
                            r->path, e->name, bpi_shape_str(&e->shape).s, x, (long long)i,
                            isfinite(x) ? ", which is too large for " : "",
                            isfinite(x) ? bp_dtype_name(dtype) : "");
        bpi_segment_put(s, r->flat, turned_back(&s->shape, pixels_of(r, s), i), x);
    }
    return BP_OK;
}

/* What PyTorch keeps beside running statistics, for who wants a plain mean of them. */
static bool is_count(const reading *r, const char *name)
{
    static const char count[] = ".num_batches_tracked";
    size_t n = strlen(name), end = sizeof count - 1;
    return r->as && n > end && !strcmp(name + n - end, count);
}

/* A tensor that the store does not have. */
static bp_status nothing_else(const reading *r)
{
    for (int64_t i = 0; i < r->file.n; i++) {
        const bpi_entry *e = &r->file.entry[i];
        int64_t k = 0;
        while (k < r->params->n && strcmp(name_of(r, &r->params->segment[k]), e->name))
            k++;
        if (k == r->params->n && !is_count(r, e->name))
            return bpi_fail(r->params->ctx, BP_ERR_FORMAT,
                            "%s: holds %s %s %s, which the store does not%s", r->path, e->name,
                            e->type, bpi_shape_str(&e->shape).s,
                            r->as ? "" : "; a pattern passes it over");
    }
    return BP_OK;
}

static bp_status take_all(reading *r)
{
    bp_params *p = r->params;
    r->bytes = (size_t)p->count * bp_dtype_bytes(p->dtype);
    r->flat = bpi_host_alloc(p->ctx, r->bytes);
    if (!r->flat)
        return bpi_fail(p->ctx, BP_ERR_NOMEM, "%s: out of memory", r->who);
    for (int64_t i = 0; i < p->n; i++)
        if (wanted(r, &p->segment[i]))
            BPI_TRY(take(r, &p->segment[i]));
    return r->pattern ? BP_OK : nothing_else(r);
}

/* Only the device can fail here. Rows of a pitch come with their padding, which is 0. */
static bp_status write(const reading *r)
{
    bp_params *p = r->params;
    size_t size = bp_dtype_bytes(p->dtype);
    for (int64_t i = 0; i < p->n; i++) {
        const bpi_segment *s = &p->segment[i];
        if (!wanted(r, s))
            continue;
        bpi_storage *storage = bpi_at(s->value)->storage;
        BPI_TRY(bpi_upload(p->ctx, storage->data, (char *)r->flat + (size_t)s->offset * size,
                           (size_t)s->count * size));
        bpi_storage_written(storage, r->who);
    }
    return BP_OK;
}

static bp_status may_load(const reading *r)
{
    bp_context *ctx = r->params->ctx;
    if (ctx->pending != BP_OK)
        return ctx->pending;
    BPI_TRY(bpi_not_recording(ctx, r->who));
    return r->pattern ? bpi_params_matched(r->params, r->pattern, r->who) : BP_OK;
}

/* From r->file, which was read. */
static bp_status fill(reading *r)
{
    bp_params *p = r->params;
    BPI_TRY(bpi_params_materialize(p));
    bp_status st = take_all(r);
    if (st == BP_OK)
        st = write(r);
    bpi_host_free(p->ctx, r->flat, r->bytes);
    return st;
}

bp_status bpi_params_load_from(bp_params *p, const bpi_safetensors *file, const char *path,
                               const char *pattern, const char *who)
{
    reading r = {.params = p, .file = *file, .path = path, .pattern = pattern, .who = who};
    BPI_TRY(may_load(&r));
    return fill(&r);
}

static bp_status load_as(reading *r)
{
    BPI_TRY(may_load(r));
    bp_status st = bpi_safetensors_read(r->params->ctx, r->path, &r->file);
    if (st == BP_OK)
        st = fill(r);
    bpi_safetensors_free(r->params->ctx, &r->file);
    return st;
}

bp_status bpi_params_load_as(bp_params *p, const char *path, const bpi_param_as *as,
                             const char *who)
{
    return load_as(&(reading){.params = p, .path = path, .as = as, .who = who});
}

static bp_status load(bp_params *p, const char *path, const char *pattern)
{
    BPI_TRY(bpi_given(p->ctx, path, "params_load: path"));
    return load_as(&(reading){.params = p, .path = path, .pattern = pattern, .who = "params_load"});
}

bp_status bp_params_load(bp_params *p, const char *path, const char *pattern)
{
    BPI_LEADS(p, "params_load: params");
    BPI_INSIDE(p->ctx, load(p, path, pattern));
}
