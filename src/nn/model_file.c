/* Model files: safetensors, with the parameters under their names, the normalisers as
 * normalizer.shift, .scale, targets.shift and .scale, and what the model is in the metadata;
 * model.h documents each key. Whatever is wrong with a file is found before a model changes. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/safetensors.h"
#include "nn/nn.h"

enum { VERSION = 3, META_MAX = 11 }; /* what is no ensemble and has no loss is version 2 */

static const char *const names_keys[BPI_NAMES] = {"class_names", "feature_names"};
static const char *const ours[] = {"normalizer.shift", "normalizer.scale", "targets.shift",
                                   "targets.scale", "normalizer.matrix"};
enum { OURS = sizeof ours / sizeof *ours };

/* --- writing --------------------------------------------------------------------------------- */

/* All tensors of a model in the order of its file. */
typedef struct tensors {
    int32_t n;
    const char **name;
    bp_tensor **tensor;
    size_t bytes; /* of both */
} tensors;

static void put(tensors *t, const char *name, bp_tensor *tensor)
{
    t->name[t->n] = name;
    t->tensor[t->n++] = tensor;
}

static bp_status tensors_of(bp_model *m, tensors *t)
{
    int32_t n = bp_param_count(m->params);
    t->bytes = (size_t)(n + OURS) * (sizeof *t->name + sizeof *t->tensor);
    t->tensor = bpi_host_alloc(m->ctx, t->bytes);
    if (!t->tensor)
        return bpi_fail(m->ctx, BP_ERR_NOMEM, "model_save: out of memory");
    t->name = (const char **)(t->tensor + n + OURS);
    for (int32_t i = 0; i < n; i++)
        put(t, bp_param_name(m->params, i), bp_param_at(m->params, i));
    put(t, ours[0], m->in.shift);
    put(t, ours[1], m->in.scale);
    if (m->task == BP_TASK_REGRESSION) {
        put(t, ours[2], m->out.shift);
        put(t, ours[3], m->out.scale);
    }
    if (m->in.matrix)
        put(t, ours[4], m->in.matrix);
    for (int32_t i = 0; i < n; i++)
        for (int k = 0; k < OURS; k++)
            if (!strcmp(t->name[i], ours[k]))
                return bpi_fail(m->ctx, BP_ERR_ARG, "model_save: a parameter has the name %s, "
                                "which the model's own numbers have", ours[k]);
    return BP_OK;
}

static bp_status write_file(bp_model *m, const char *path, const bpi_texts *names,
                            const tensors *t, bool only_try)
{
    char version[24], inputs[24], outputs[24], members[24];
    snprintf(version, sizeof version, "%d", m->members > 1 || m->tanh ? VERSION : 2);
    snprintf(members, sizeof members, "%d", (int)m->members);
    snprintf(inputs, sizeof inputs, "%lld", (long long)m->inputs);
    snprintf(outputs, sizeof outputs, "%lld", (long long)m->outputs);
    const char *layers = m->layers ? "layers" : "forward";
    bpi_text_pair meta[META_MAX] = {
        {"format", "bpcuda"}, {"version", version}, {"task", bp_task_name(m->task)},
        {"inputs", inputs}, {"outputs", outputs}, {layers, m->layers ? m->layers->text : "own"},
        {"normalize", bp_normalize_name(m->how)}};
    int32_t n = 7;
    if (m->members > 1)
        meta[n++] = (bpi_text_pair){"members", members};
    if (m->tanh)
        meta[n++] = (bpi_text_pair){"loss", "tanh"};
    for (int i = 0; i < BPI_NAMES; i++)
        if (names[i].text)
            meta[n++] = (bpi_text_pair){names_keys[i], names[i].text};
    return bpi_safetensors_write(m->ctx, path, t->name, t->tensor, t->n, meta, n, !only_try);
}

static bp_status save(bp_model *m, const char *path, bool only_try)
{
    BPI_TRY(bpi_given(m->ctx, path, only_try ? "model_save_check: path" : "model_save: path"));
    tensors t = {0};
    bpi_texts names[BPI_NAMES] = {0};
    bp_status st = tensors_of(m, &t);
    for (int i = 0; i < BPI_NAMES && st == BP_OK; i++) {
        if (!m->names[i].text)
            continue;
        st = bpi_texts_take(m->ctx, "model_save", bpi_names_encode(m, i, NULL), &names[i]);
        if (st == BP_OK)
            bpi_names_encode(m, i, names[i].text);
    }
    if (st == BP_OK)
        st = write_file(m, path, names, &t, only_try);
    bpi_host_free(m->ctx, t.tensor, t.bytes);
    for (int i = 0; i < BPI_NAMES; i++)
        bpi_texts_free(m->ctx, &names[i]);
    return st;
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

/* --- what a file says it is ------------------------------------------------------------------ */

/* A count from 1 to BPI_WIDTH_MAX out of the metadata; 0 if it is not there. */
static int64_t count_of(const bpi_safetensors *f, const char *key)
{
    const char *text = bpi_safetensors_meta(f, key);
    size_t digits = text ? strspn(text, "0123456789") : 0;
    if (digits == 0 || digits > 8 || text[digits])
        return 0;
    long value = strtol(text, NULL, 10);
    return value <= BPI_WIDTH_MAX ? value : 0;
}

static bool same(const char *text, const char *wanted)
{
    return text && !strcmp(text, wanted);
}

static bp_task task_named(const char *text)
{
    bp_task task = BP_TASK_CLASSES;
    while (task <= BP_TASK_LABELS && !same(text, bp_task_name(task)))
        task++;
    return task <= BP_TASK_LABELS ? task : 0;
}

static bp_status describe(bp_context *ctx, const char *path, const bpi_safetensors *f,
                          bpi_description *d)
{
    const char *normalize = bpi_safetensors_meta(f, "normalize");
    int64_t version = count_of(f, "version");
    bool model = same(bpi_safetensors_meta(f, "format"), "bpcuda") && version;
    if (model && version > VERSION)
        return bpi_fail(ctx, BP_ERR_FORMAT, "%s: a model of version %lld, from a newer bpcuda: "
                        "this one reads up to version %d", path, (long long)version, VERSION);
    *d = (bpi_description){.inputs = count_of(f, "inputs"),
                       .outputs = count_of(f, version == 1 ? "classes" : "outputs"),
                       .layers = bpi_safetensors_meta(f, "layers"),
                       .members = version == 3 && bpi_safetensors_meta(f, "members")
                                      ? (int32_t)count_of(f, "members") : 1,
                       .task = version == 1 ? BP_TASK_CLASSES
                                            : task_named(bpi_safetensors_meta(f, "task"))};
    bool own = version > 1 && same(bpi_safetensors_meta(f, "forward"), "own");
    if (!model || !d->inputs || !d->outputs || !d->task || (d->layers != NULL) == own ||
        d->members < 1 || d->members > BPI_MEMBERS_MOST || (d->members > 1 && own))
        return bpi_fail(ctx, BP_ERR_FORMAT,
                        "%s: not a model: metadata with format \"bpcuda\", version \"2\", task, "
                        "inputs, outputs, and layers or forward \"own\" are wanted", path);
    if (normalize && !bpi_normalize_read(normalize, &d->how))
        return bpi_fail(ctx, BP_ERR_FORMAT,
                        "%s: normalize is \"%.32s\", which this bpcuda does not know", path,
                        normalize);
    const char *loss = bpi_safetensors_meta(f, "loss");
    d->tanh = loss != NULL;
    if (loss && (!same(loss, "tanh") || d->task == BP_TASK_REGRESSION))
        return bpi_fail(ctx, BP_ERR_FORMAT, "%s: loss is \"%.32s\"; \"tanh\" of classes or labels "
                        "is wanted, or none", path, loss);
    for (int i = 0; i < BPI_NAMES; i++)
        d->names[i] = bpi_safetensors_meta(f, names_keys[i]);
    if (d->names[BPI_CLASS_NAMES] && d->task != BP_TASK_CLASSES)
        return bpi_fail(ctx, BP_ERR_FORMAT, "%s: class_names of a model without classes", path);
    return BP_OK;
}

/* --- reading --------------------------------------------------------------------------------- */

/* A file on its way into a model, with what of it the host keeps. */
typedef struct loading {
    bp_context *ctx;
    const char *path;
    bpi_safetensors f;
    bpi_description d;
    double *in, *out; /* the normalisers, shifts and then scales; */
    float *matrix;    /* what follows those of the inputs, or NULL */
    size_t in_bytes, out_bytes, matrix_bytes;
    bpi_texts names[BPI_NAMES];
} loading;

/* True where the file holds just this shape, in f32 or in `dtype`: a normaliser, which is f64, was
 * f32 in files that do not say how it was set. */
static bool fits(const bpi_entry *e, bp_dtype dtype, bp_shape shape)
{
    return e && (e->dtype == BP_F32 || e->dtype == dtype) && bpi_same_shape(&e->shape, &shape);
}

/* The entry of this name, dtype and shape, whose numbers are all finite; else the error, which
 * tells the place of the first that is not. */
static bp_status entry_of(const loading *l, const char *name, bp_dtype dtype, bp_shape shape,
                          const bpi_entry **out)
{
    const bpi_entry *e = bpi_safetensors_find(&l->f, name);
    if (!fits(e, dtype, shape))
        return bpi_fail(l->ctx, BP_ERR_FORMAT, "%s: %s is not there as %s %s", l->path, name,
                        dtype == BP_F64 ? "F64" : "F32", bpi_shape_str(&shape).s);
    for (int64_t i = 0; i < bp_shape_count(shape); i++) {
        double x = bpi_entry_number(&l->f, e, i);
        if (!isfinite(x))
            return bpi_fail(l->ctx, BP_ERR_FORMAT, "%s: %s %s holds %g at element %lld", l->path,
                            name, bpi_shape_str(&shape).s, x, (long long)i);
    }
    *out = e;
    return BP_OK;
}

static bp_status read_normalizer(loading *l, const char *const *name, int64_t n, double **both,
                                 size_t *bytes)
{
    *bytes = 2 * (size_t)n * sizeof **both;
    *both = bpi_host_alloc(l->ctx, *bytes);
    if (!*both)
        return bpi_fail(l->ctx, BP_ERR_NOMEM, "%s: out of memory", l->path);
    for (int k = 0; k < 2; k++) {
        const bpi_entry *e;
        BPI_TRY(entry_of(l, name[k], BP_F64, BP_SHAPE(n), &e));
        for (int64_t i = 0; i < n; i++)
            (*both)[k * n + i] = bpi_entry_number(&l->f, e, i);
    }
    return BP_OK;
}

static bp_status read_matrix(loading *l, int64_t n)
{
    const bpi_entry *e;
    BPI_TRY(entry_of(l, ours[4], BP_F32, BP_SHAPE(n, n), &e));
    l->matrix_bytes = (size_t)(e->end - e->begin);
    l->matrix = bpi_host_alloc(l->ctx, l->matrix_bytes);
    if (!l->matrix)
        return bpi_fail(l->ctx, BP_ERR_NOMEM, "%s: out of memory", l->path);
    memcpy(l->matrix, l->f.data.at + e->begin, l->matrix_bytes);
    return BP_OK;
}

static bp_status read_names(loading *l, const bp_model *m, int which)
{
    const char *text = l->d.names[which];
    int64_t n = bpi_names_count(m, which);
    if (!text)
        return BP_OK;
    BPI_TRY(bpi_texts_take(l->ctx, l->path, strlen(text) + 1, &l->names[which]));
    if (bpi_names_decode(text, l->names[which].text) != n)
        return bpi_fail(l->ctx, BP_ERR_FORMAT, "%s: %s are not %lld names", l->path,
                        names_keys[which], (long long)n);
    return BP_OK;
}

/* All that the model needs is there; nothing in it has changed. */
static bp_status check(loading *l, bp_model *m)
{
    const bpi_entry *e;
    bool regression = m->task == BP_TASK_REGRESSION, mixes = l->d.how >= BP_NORMALIZE_PCA;
    int32_t n = bp_param_count(m->params), all = n + (regression ? 4 : 2) + mixes;
    if (l->f.n != all)
        return bpi_fail(l->ctx, BP_ERR_FORMAT, "%s: %lld tensors; the model has %d", l->path,
                        (long long)l->f.n, (int)all);
    for (int32_t i = 0; i < n; i++)
        BPI_TRY(entry_of(l, bp_param_name(m->params, i), BP_F32,
                         bp_shape_of(bp_param_at(m->params, i)), &e));
    BPI_TRY(read_normalizer(l, ours, m->inputs, &l->in, &l->in_bytes));
    if (regression)
        BPI_TRY(read_normalizer(l, ours + 2, m->outputs, &l->out, &l->out_bytes));
    if (mixes)
        BPI_TRY(read_matrix(l, m->inputs));
    for (int i = 0; i < BPI_NAMES; i++)
        BPI_TRY(read_names(l, m, i));
    return BP_OK;
}

static bp_status fill(loading *l, bp_model *m)
{
    BPI_TRY(check(l, m));
    if (l->out) /* first: it may still be short of memory */
        BPI_TRY(bpi_model_set_targets(m, l->out));
    for (int32_t i = 0; i < bp_param_count(m->params); i++) {
        const bpi_entry *e = bpi_safetensors_find(&l->f, bp_param_name(m->params, i));
        BPI_TRY(bp_write(bp_param_at(m->params, i), l->f.data.at + e->begin,
                         (size_t)(e->end - e->begin)));
    }
    BPI_TRY(bpi_normalizer_set(&m->in, l->in, l->matrix));
    m->how = l->d.how;
    m->tanh = l->d.tanh;
    for (int i = 0; i < BPI_NAMES; i++)
        bpi_model_take_names(m, i, &l->names[i]);
    return BP_OK;
}

static bp_status open_file(bp_context *ctx, const char *path, loading *l)
{
    *l = (loading){.ctx = ctx, .path = path};
    BPI_TRY(bpi_safetensors_read(ctx, path, &l->f));
    return describe(ctx, path, &l->f, &l->d);
}

static void close_file(loading *l)
{
    bpi_safetensors_free(l->ctx, &l->f);
    bpi_host_free(l->ctx, l->in, l->in_bytes);
    bpi_host_free(l->ctx, l->out, l->out_bytes);
    bpi_host_free(l->ctx, l->matrix, l->matrix_bytes);
    for (int i = 0; i < BPI_NAMES; i++)
        bpi_texts_free(l->ctx, &l->names[i]);
}

/* Makes the model the metadata describe. No memory is taken for a size the tensors do not back. */
static bp_status architecture(const loading *l, bp_model **m)
{
    const bpi_description *d = &l->d;
    int64_t backed = 0;
    for (int64_t i = 0; i < l->f.n; i++)
        backed |= l->f.entry[i].shape.ndim == 1 && l->f.entry[i].shape.dim[0] == d->outputs;
    if (!fits(bpi_safetensors_find(&l->f, ours[0]), BP_F64, BP_SHAPE(d->inputs)))
        return bpi_fail(l->ctx, BP_ERR_FORMAT, "%s: %s is not F64 [%lld]", l->path, ours[0],
                        (long long)d->inputs);
    if (d->members > l->f.n)
        return bpi_fail(l->ctx, BP_ERR_FORMAT, "%s: %d members of %lld tensors", l->path,
                        (int)d->members, (long long)l->f.n);
    if (!backed)
        return bpi_fail(l->ctx, BP_ERR_FORMAT, "%s: no bias has %lld outputs", l->path,
                        (long long)d->outputs);
    if (!d->layers)
        return bpi_fail(l->ctx, BP_ERR_FORMAT, "%s: its forward pass is a program's own: make the "
                        "model with bp_model_own, then bp_model_load_into", l->path);
    if (strlen(d->layers) >= BPI_LAYERS_TEXT_MAX)
        return bpi_fail(l->ctx, BP_ERR_FORMAT, "%s: its text of layers is too long", l->path);
    return bpi_model_create(l->ctx, d, "model_load", m);
}

static bp_status load(bp_context *ctx, const char *path, bp_model **model)
{
    BPI_TRY(bpi_given(ctx, path, "model_load: path"));
    BPI_TRY(bpi_given(ctx, model, "model_load: model"));
    loading l;
    bp_model *m = NULL;
    bp_status st = open_file(ctx, path, &l);
    if (st == BP_OK)
        st = architecture(&l, &m);
    if (st == BP_OK)
        st = fill(&l, m);
    close_file(&l);
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

static bp_status load_into(bp_model *m, const char *path)
{
    BPI_TRY(bpi_given(m->ctx, path, "model_load_into: path"));
    loading l;
    bp_status st = open_file(m->ctx, path, &l);
    if (st == BP_OK)
        st = bpi_model_is(m, &l.d, path);
    if (st == BP_OK)
        st = fill(&l, m);
    close_file(&l);
    return st;
}

bp_status bp_model_load_into(bp_model *m, const char *path)
{
    BPI_LEADS(m, "model_load_into: model");
    BPI_INSIDE(m->ctx, load_into(m, path));
}
