/* Model files: safetensors, with the parameters under their names, the normaliser as
 * normalizer.shift and normalizer.scale, and the architecture in the metadata. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/safetensors.h"
#include "nn/nn.h"

enum { TENSORS_MAX = 2 * BPI_LAYERS_MAX + 2 };

/* All tensors of a model in the order of its file; their number. */
static int32_t tensors_of(bp_model *m, const char **name, bp_tensor **tensor)
{
    int32_t n = bp_param_count(m->params);
    for (int32_t i = 0; i < n; i++) {
        name[i] = bp_param_name(m->params, i);
        tensor[i] = bp_param_at(m->params, i);
    }
    name[n] = "normalizer.shift";
    tensor[n++] = m->shift;
    name[n] = "normalizer.scale";
    tensor[n++] = m->scale;
    return n;
}

static bp_status save(bp_model *m, const char *path, bool only_try)
{
    BPI_TRY(bpi_given(m->ctx, path, only_try ? "model_save_check: path" : "model_save: path"));
    const char *name[TENSORS_MAX];
    bp_tensor *tensor[TENSORS_MAX];
    char inputs[24], classes[24];
    snprintf(inputs, sizeof inputs, "%lld", (long long)m->inputs);
    snprintf(classes, sizeof classes, "%d", (int)m->classes);
    bpi_text_pair meta[] = {{"format", "bpcuda"}, {"version", "1"}, {"inputs", inputs},
                            {"classes", classes}, {"layers", m->layers->text},
                            {"normalize", bp_normalize_name(m->how)}};
    int32_t n = tensors_of(m, name, tensor);
    return bpi_safetensors_write(m->ctx, path, name, tensor, n, meta, 6, only_try);
}

bp_status bp_model_save(bp_model *m, const char *path)
{
    BPI_LEADS(m, "model_save: model");
    BPI_INSIDE(m->ctx, save(m, path, false));
}

bp_status bp_model_save_check(bp_model *m, const char *path)
{
    BPI_LEADS(m, "model_save_check: model");
    BPI_INSIDE(m->ctx, save(m, path, true));
}

/* A count from 1 to BPI_WIDTH_MAX out of the metadata; 0 if it is not there. */
static int32_t count_of(const bpi_safetensors *f, const char *key)
{
    const char *text = bpi_safetensors_meta(f, key);
    size_t digits = text ? strspn(text, "0123456789") : 0;
    if (digits == 0 || digits > 8 || text[digits])
        return 0;
    long value = strtol(text, NULL, 10);
    return value <= BPI_WIDTH_MAX ? (int32_t)value : 0;
}

static bool same(const char *text, const char *wanted)
{
    return text && !strcmp(text, wanted);
}

/* True where the file holds just this shape, in f32 or in `dtype`: a normaliser, which is f64, was
 * f32 in files that do not say how it was set. */
static bool fits(const bpi_entry *e, bp_dtype dtype, bp_shape shape)
{
    return e && (e->dtype == BP_F32 || e->dtype == dtype) && bpi_same_shape(&e->shape, &shape);
}

/* Makes the model the metadata describe. No memory is taken for a size the tensors do not back. */
static bp_status architecture(bp_context *ctx, const char *path, const bpi_safetensors *f,
                              bp_model **m)
{
    const char *layers = bpi_safetensors_meta(f, "layers");
    const char *normalize = bpi_safetensors_meta(f, "normalize");
    bp_normalize how = BP_NORMALIZE_DEFAULT;
    int32_t inputs = count_of(f, "inputs"), classes = count_of(f, "classes");
    if (!same(bpi_safetensors_meta(f, "format"), "bpcuda") ||
        !same(bpi_safetensors_meta(f, "version"), "1") || !layers || !inputs || !classes)
        return bpi_fail(ctx, BP_ERR_FORMAT,
                        "%s: not a model: metadata with format \"bpcuda\", version \"1\", inputs, "
                        "classes and layers are wanted", path);
    if (normalize && !bpi_normalize_read(normalize, &how))
        return bpi_fail(ctx, BP_ERR_FORMAT,
                        "%s: normalize is \"%.32s\", not none, global or column", path, normalize);
    if (!fits(bpi_safetensors_find(f, "normalizer.shift"), BP_F64, BP_SHAPE(inputs)))
        return bpi_fail(ctx, BP_ERR_FORMAT, "%s: normalizer.shift is not F64 [%d]", path,
                        (int)inputs);
    if (strlen(layers) >= BPI_LAYERS_TEXT_MAX)
        return bpi_fail(ctx, BP_ERR_FORMAT, "%s: its text of layers is too long", path);
    BPI_TRY(bp_model_create(ctx, inputs, layers, classes, m));
    (*m)->how = how;
    return BP_OK;
}

/* Number i of an entry in f32 or f64, whose bytes may lie anywhere. */
static double number_at(const bpi_entry *e, const unsigned char *from, int64_t i)
{
    double x;
    float y;
    if (e->dtype == BP_F64) {
        memcpy(&x, from + (size_t)i * sizeof x, sizeof x);
        return x;
    }
    memcpy(&y, from + (size_t)i * sizeof y, sizeof y);
    return (double)y;
}

/* An entry that fits the tensor; f32 to f64 where they differ. */
static bp_status fill_one(bp_tensor *t, const bpi_entry *e, const unsigned char *from)
{
    if (e->dtype == bp_dtype_of(t))
        return bp_write(t, from, (size_t)(e->end - e->begin));
    int64_t n = bp_shape_count(e->shape);
    bp_context *ctx = bp_context_of(t);
    double *wide = bpi_host_alloc(ctx, (size_t)n * sizeof *wide);
    for (int64_t i = 0; wide && i < n; i++)
        wide[i] = number_at(e, from, i);
    bp_status st = wide ? bp_write(t, wide, (size_t)n * sizeof *wide)
                        : bpi_fail(ctx, BP_ERR_NOMEM, "model_load: out of memory");
    bpi_host_free(ctx, wide, (size_t)n * sizeof *wide);
    return st;
}

/* BP_OK where all numbers are finite; else the place of the first that is not is told. */
static bp_status all_finite(bp_context *ctx, const char *path, const bpi_entry *e,
                            const unsigned char *from)
{
    bp_shape shape = e->shape;
    for (int64_t i = 0; i < bp_shape_count(shape); i++)
        if (!isfinite(number_at(e, from, i)))
            return bpi_fail(ctx, BP_ERR_FORMAT, "%s: %s %s holds %g at element %lld", path, e->name,
                            bpi_shape_str(&shape).s, number_at(e, from, i), (long long)i);
    return BP_OK;
}

static bp_status fill(bp_model *m, const char *path, const bpi_safetensors *f)
{
    const char *name[TENSORS_MAX];
    bp_tensor *tensor[TENSORS_MAX];
    int32_t n = tensors_of(m, name, tensor);
    if (f->n != n)
        return bpi_fail(m->ctx, BP_ERR_FORMAT, "%s: %lld tensors; the model has %d", path,
                        (long long)f->n, (int)n);
    for (int32_t i = 0; i < n; i++) {
        bp_shape shape = bp_shape_of(tensor[i]);
        bp_dtype dtype = bp_dtype_of(tensor[i]);
        const bpi_entry *e = bpi_safetensors_find(f, name[i]);
        if (!fits(e, dtype, shape))
            return bpi_fail(m->ctx, BP_ERR_FORMAT, "%s: %s is not there as %s %s", path, name[i],
                            dtype == BP_F64 ? "F64" : "F32", bpi_shape_str(&shape).s);
        BPI_TRY(all_finite(m->ctx, path, e, f->data.at + e->begin));
    }
    for (int32_t i = 0; i < n; i++) {
        const bpi_entry *e = bpi_safetensors_find(f, name[i]);
        BPI_TRY(fill_one(tensor[i], e, f->data.at + e->begin));
    }
    return BP_OK;
}

static bp_status load(bp_context *ctx, const char *path, bp_model **model)
{
    BPI_TRY(bpi_given(ctx, path, "model_load: path"));
    BPI_TRY(bpi_given(ctx, model, "model_load: model"));
    bpi_safetensors f;
    bp_model *m = NULL;
    bp_status st = bpi_safetensors_read(ctx, path, &f);
    if (st == BP_OK)
        st = architecture(ctx, path, &f, &m);
    if (st == BP_OK)
        st = fill(m, path, &f);
    bpi_safetensors_free(ctx, &f);
    if (st == BP_OK)
        *model = m;
    else
        bp_model_free(m);
    return st;
}

bp_status bp_model_load(bp_context *ctx, const char *path, bp_model **model)
{
    if (model)
        *model = NULL;
    BPI_INSIDE(ctx, load(ctx, path, model));
}
