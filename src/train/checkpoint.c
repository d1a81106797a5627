/* Checkpoints: a list of named state, and its file. The file is safetensors: a tensor for each
 * parameter, part of an optimiser, tensor of the user's; numbers of the host's are tensors
 * of bytes. A load checks the whole list against the file before it writes anything. */
#include <stdio.h>
#include <string.h>

#include "core/context.h"
#include "core/params.h"
#include "core/tensor.h"
#include "io/safetensors.h"
#include "optim/optim.h"
#include "train/checkpoint.h"

enum { NAME_MAX_BYTES = 256 };

static bool nameable(const char *name)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                  "._-/";
    return *name && strlen(name) < NAME_MAX_BYTES && !name[strspn(name, letters)] &&
           strcmp(name, "__metadata__") != 0;
}

static bp_status check_name(bp_checkpoint *c, const char *who, const char *name)
{
    if (!name)
        return bpi_fail(c->ctx, BP_ERR_ARG, "%s: name is NULL", who);
    if (!nameable(name))
        return bpi_fail(c->ctx, BP_ERR_ARG,
                        "%s: \"%s\" is no name: 1 to %d letters, digits, '.', '_', '-' and '/' are "
                        "wanted", who, name, NAME_MAX_BYTES - 1);
    size_t length = strlen(name);
    for (int64_t i = 0; i < c->n; i++)
        if (!strncmp(c->item[i].name, name, length) &&
            (c->item[i].name[length] == '\0' || c->item[i].name[length] == '/'))
            return bpi_fail(c->ctx, BP_ERR_ARG, "%s: there is a %s already", who, c->item[i].name);
    return BP_OK;
}

int64_t bpi_checkpoint_size(const bp_checkpoint *c)
{
    return c->n;
}

void bpi_checkpoint_cut(bp_checkpoint *c, int64_t n)
{
    while (c->n > n) {
        bpi_item *i = &c->item[--c->n];
        if (i->ours)
            bp_free(i->tensor);
        bpi_host_free(c->ctx, i->name, strlen(i->name) + 1);
    }
}

/* `name`, or name/part. */
static bp_status add(bp_checkpoint *c, const char *name, const char *part, bp_tensor *t, void *host)
{
    size_t bytes = strlen(name) + (part ? strlen(part) + 1 : 0) + 1;
    char *copy = bpi_host_alloc(c->ctx, bytes);
    if (!copy ||
        !bpi_grow(c->ctx, (void **)&c->item, &c->capacity, c->n + 1, sizeof *c->item)) {
        bpi_host_free(c->ctx, copy, bytes);
        return bpi_fail(c->ctx, BP_ERR_NOMEM, "checkpoint: out of memory");
    }
    snprintf(copy, bytes, part ? "%s/%s" : "%s", name, part);
    c->item[c->n++] = (bpi_item){copy, t, host, host != NULL};
    return BP_OK;
}

static bp_status add_params(bp_checkpoint *c, const char *name, bp_params *p)
{
    BPI_TRY(bpi_given(c->ctx, p, "checkpoint_params: params"));
    BPI_TRY(check_name(c, "checkpoint_params", name));
    if (p->ctx != c->ctx)
        return bpi_fail(c->ctx, BP_ERR_DEVICE, "checkpoint_params: a store of another context");
    BPI_TRY(bpi_params_materialize(p));
    if (!bpi_grow(c->ctx, (void **)&c->store, &c->store_capacity, c->n_stores + 1,
                  sizeof *c->store))
        return BP_ERR_NOMEM;
    int64_t before = c->n;
    bp_status st = BP_OK;
    for (int32_t i = 0; i < bp_param_count(p) && st == BP_OK; i++)
        st = add(c, name, bp_param_name(p, i), bp_param_at(p, i), NULL);
    if (st == BP_OK)
        c->store[c->n_stores++] = p;
    else
        bpi_checkpoint_cut(c, before);
    return st;
}

bp_status bp_checkpoint_params(bp_checkpoint *c, const char *name, bp_params *params)
{
    BPI_LEADS(c, "checkpoint_params: checkpoint");
    BPI_INSIDE(c->ctx, add_params(c, name, params));
}

static bp_status add_optimizer(bp_checkpoint *c, const char *name, bp_optimizer *opt)
{
    bp_tensor *tensor[BPI_OPTIMIZER_TENSORS];
    const char *part[BPI_OPTIMIZER_TENSORS];
    BPI_TRY(bpi_given(c->ctx, opt, "checkpoint_optimizer: opt"));
    BPI_TRY(check_name(c, "checkpoint_optimizer", name));
    int64_t before = c->n;
    int32_t n = bpi_optimizer_tensors(opt, tensor, part);
    if (bp_context_of(tensor[0]) != c->ctx)
        return bpi_fail(c->ctx, BP_ERR_DEVICE,
                        "checkpoint_optimizer: an optimiser of another context");
    bp_status st = BP_OK;
    for (int32_t i = 0; i < n && st == BP_OK; i++)
        st = add(c, name, part[i], tensor[i], NULL);
    if (st != BP_OK)
        bpi_checkpoint_cut(c, before);
    return st;
}

bp_status bp_checkpoint_optimizer(bp_checkpoint *c, const char *name, bp_optimizer *opt)
{
    BPI_LEADS(c, "checkpoint_optimizer: checkpoint");
    BPI_INSIDE(c->ctx, add_optimizer(c, name, opt));
}

static bp_status add_tensor(bp_checkpoint *c, const char *name, bp_tensor *t)
{
    BPI_TRY(bpi_given(c->ctx, t, "checkpoint_tensor: t"));
    BPI_TRY(check_name(c, "checkpoint_tensor", name));
    BPI_TRY(bpi_usable(c->ctx, t, "checkpoint_tensor", "t"));
    const bp_view *v = bpi_view_of(t);
    for (int32_t i = 0; i < v->shape.ndim; i++)
        if (v->stride[i] == 0 && v->shape.dim[i] > 1)
            return bpi_fail(c->ctx, BP_ERR_ARG, "checkpoint_tensor: %s is expanded, and could not "
                            "be loaded", name);
    return add(c, name, NULL, t, NULL);
}

bp_status bp_checkpoint_tensor(bp_checkpoint *c, const char *name, bp_tensor *t)
{
    BPI_LEADS(c, "checkpoint_tensor: checkpoint");
    BPI_INSIDE(c->ctx, add_tensor(c, name, t));
}

static bp_status add_bytes(bp_checkpoint *c, const char *name, void *host, size_t bytes)
{
    BPI_TRY(bpi_given(c->ctx, host, "checkpoint_bytes: host"));
    BPI_TRY(check_name(c, "checkpoint_bytes", name));
    if (bytes < 1 || bytes > INT32_MAX)
        return bpi_fail(c->ctx, BP_ERR_ARG, "checkpoint_bytes: %zu bytes; 1 to %d are wanted",
                        bytes, INT32_MAX);
    bp_tensor *t = bp_tensor_create(c->ctx, BP_U8, BP_SHAPE(bytes));
    bp_status st = t ? add(c, name, NULL, t, host) : BP_ERR_NOMEM;
    if (st != BP_OK)
        bp_free(t);
    return st;
}

bp_status bp_checkpoint_bytes(bp_checkpoint *c, const char *name, void *host, size_t bytes)
{
    BPI_LEADS(c, "checkpoint_bytes: checkpoint");
    BPI_INSIDE(c->ctx, add_bytes(c, name, host, bytes));
}

/* --- making one --------------------------------------------------------------------------- */

static void release(bp_checkpoint *c)
{
    bp_context *ctx = c->ctx;
    bpi_checkpoint_cut(c, 0);
    bpi_host_free(ctx, c->item, (size_t)c->capacity * sizeof *c->item);
    bpi_host_free(ctx, c->store, (size_t)c->store_capacity * sizeof *c->store);
    bpi_object_free(ctx, c, sizeof *c);
}

static bp_status create(bp_context *ctx, bp_checkpoint **out)
{
    BPI_TRY(bpi_given(ctx, out, "checkpoint_create: checkpoint"));
    bp_checkpoint *c = bpi_object_alloc(ctx, sizeof *c);
    if (!c)
        return bpi_fail(ctx, BP_ERR_NOMEM, "checkpoint_create: out of memory");
    c->ctx = ctx;
    bp_status st = add_bytes(c, "random", &c->rng, sizeof c->rng);
    if (st == BP_OK)
        *out = c;
    else
        release(c);
    return st;
}

bp_status bp_checkpoint_create(bp_context *ctx, bp_checkpoint **checkpoint)
{
    if (checkpoint)
        *checkpoint = NULL;
    BPI_INSIDE(ctx, create(ctx, checkpoint));
}

static void free_late(bpi_late *late)
{
    bp_checkpoint_free((bp_checkpoint *)((char *)late - offsetof(bp_checkpoint, late)));
}

void bp_checkpoint_free(bp_checkpoint *c)
{
    if (!c || !bpi_enter_to_free(c->ctx, &c->late, free_late))
        return;
    bp_context *ctx = c->ctx;
    release(c);
    bpi_leave(ctx);
}

/* In a scope draws may have been made, whose gradients draw the same again. */
static bp_status between_steps(bp_checkpoint *c, const char *who)
{
    BPI_TRY(bpi_not_recording(c->ctx, who));
    return c->ctx->depth == 0 ? BP_OK
                              : bpi_fail(c->ctx, BP_ERR_STATE, "%s: inside a scope; between two "
                                         "steps is wanted", who);
}

/* --- its file ----------------------------------------------------------------------------- */

static bp_status write_file(bp_checkpoint *c, const char *path, int32_t keep, const char **name,
                            bp_tensor **tensor)
{
    const bpi_text_pair meta[] = {{"format", "bpcuda checkpoint"}, {"version", "1"},
                                  {"library", bp_version()},
                                  {"checksum", "0000000000000000"}};
    for (int64_t i = 0; i < c->n; i++) {
        name[i] = c->item[i].name;
        tensor[i] = c->item[i].tensor;
        BPI_TRY(bpi_usable(c->ctx, tensor[i], "checkpoint_save", name[i]));
    }
    return bpi_safetensors_write(c->ctx, path, name, tensor, (int32_t)c->n, meta, 4, keep);
}

static bp_status save(bp_checkpoint *c, const char *path, int32_t keep)
{
    bp_context *ctx = c->ctx;
    BPI_TRY(bpi_given(ctx, path, "checkpoint_save: path"));
    if (keep < 1)
        return bpi_fail(ctx, BP_ERR_ARG, "checkpoint_save: keep is %d; 1 or more is wanted",
                        (int)keep);
    BPI_TRY(between_steps(c, "checkpoint_save"));
    BPI_TRY(bpi_rng_save(ctx, &c->rng));
    for (int64_t i = 0; i < c->n; i++)
        if (c->item[i].host)
            BPI_TRY(bp_write(c->item[i].tensor, c->item[i].host,
                             (size_t)bp_shape_count(bp_shape_of(c->item[i].tensor))));
    size_t bytes = (size_t)c->n * (sizeof(char *) + sizeof(bp_tensor *));
    const char **name = bpi_host_alloc(ctx, bytes);
    bp_status st = name ? write_file(c, path, keep, name, (bp_tensor **)(name + c->n))
                        : bpi_fail(ctx, BP_ERR_NOMEM, "checkpoint_save: out of memory");
    bpi_host_free(ctx, name, bytes);
    return st;
}

bp_status bp_checkpoint_save(bp_checkpoint *c, const char *path, int32_t keep)
{
    BPI_LEADS(c, "checkpoint_save: checkpoint");
    BPI_INSIDE(c->ctx, save(c, path, keep));
}

/* BP_OK where the file holds just what is in the list. */
static bp_status matches(const bp_checkpoint *c, const char *path, const bpi_safetensors *f)
{
    const char *format = bpi_safetensors_meta(f, "format");
    const char *version = bpi_safetensors_meta(f, "version");
    if (!format || strcmp(format, "bpcuda checkpoint") != 0)
        return bpi_fail(c->ctx, BP_ERR_FORMAT, "%s: not a checkpoint: its format is \"%.40s\"",
                        path, format ? format : "");
    if (!version || strcmp(version, "1") != 0)
        return bpi_fail(c->ctx, BP_ERR_FORMAT,
                        "%s: a checkpoint of version \"%.20s\"; this library, %s, reads version 1",
                        path, version ? version : "", bp_version());
    const char *library = bpi_safetensors_meta(f, "library");
    const char *checksum = bpi_safetensors_meta(f, "checksum");
    size_t bytes = f->n ? (size_t)f->entry[f->n - 1].end : 0;
    char digits[24];
    snprintf(digits, sizeof digits, "%016llx", (unsigned long long)bpi_checksum(f->data.at, bytes));
    bool same = library && !strcmp(library, bp_version());
    library = library ? library : "?";
    for (int64_t i = 0; i < c->n; i++) {
        bp_tensor *t = c->item[i].tensor;
        const bpi_entry *e = bpi_safetensors_find(f, c->item[i].name);
        BPI_TRY(bpi_usable(c->ctx, t, "checkpoint_load", c->item[i].name));
        bp_shape shape = bp_shape_of(t);
        if (!e)
            return bpi_fail(c->ctx, BP_ERR_FORMAT, "%s: has no %s: it is of another run", path,
                            c->item[i].name);
        if (e->dtype != bp_dtype_of(t) || !bpi_same_shape(&e->shape, &shape))
            return bpi_fail(c->ctx, BP_ERR_FORMAT, "%s: %s is %s %s; this run has %s %s%s%s", path,
                            e->name, bp_dtype_name(e->dtype), bpi_shape_str(&e->shape).s,
                            bp_dtype_name(bp_dtype_of(t)), bpi_shape_str(&shape).s,
                            same ? "" : ": it is of version ", same ? "" : library);
    }
    if (!checksum || strcmp(checksum, digits) != 0)
        return bpi_fail(c->ctx, BP_ERR_FORMAT, "%s: is damaged: its data are not those that were "
                        "written", path);
    for (int64_t i = 0; f->n > c->n && i < f->n; i++) {
        int64_t k = 0;
        while (k < c->n && strcmp(c->item[k].name, f->entry[i].name))
            k++;
        if (k == c->n)
            return bpi_fail(c->ctx, BP_ERR_FORMAT, "%s: holds %.64s, which this run has not", path,
                            f->entry[i].name);
    }
    return BP_OK;
}

/* Device first, which can fail: then the host's numbers. */
static bp_status put(bp_checkpoint *c, const bpi_safetensors *f)
{
    for (int64_t i = 0; i < c->n; i++) {
        const bpi_entry *e = bpi_safetensors_find(f, c->item[i].name);
        if (!c->item[i].host)
            BPI_TRY(bp_write(c->item[i].tensor, f->data.at + e->begin,
                             (size_t)(e->end - e->begin)));
    }
    bpi_rng_saved rng;
    const bpi_entry *random = bpi_safetensors_find(f, "random");
    memcpy(&rng, f->data.at + random->begin, sizeof rng);
    BPI_TRY(bpi_rng_restore(c->ctx, &rng));
    for (int64_t i = 0; i < c->n; i++) {
        const bpi_entry *e = bpi_safetensors_find(f, c->item[i].name);
        if (c->item[i].host)
            memcpy(c->item[i].host, f->data.at + e->begin, (size_t)(e->end - e->begin));
    }
    for (int64_t i = 0; i < c->n_stores; i++)
        BPI_TRY(bp_grad_clear(c->store[i]));
    return BP_OK;
}

bp_status bpi_checkpoint_load(bp_checkpoint *c, const char *path, const char *name,
                              bp_status (*fits)(void *user, const char *path, const void *bytes),
                              void *user)
{
    BPI_TRY(bpi_given(c->ctx, path, "checkpoint_load: path"));
    BPI_TRY(between_steps(c, "checkpoint_load"));
    bpi_safetensors f;
    bp_status st = bpi_safetensors_read(c->ctx, path, &f);
    if (st == BP_OK)
        st = matches(c, path, &f);
    if (st == BP_OK && fits)
        st = fits(user, path, f.data.at + bpi_safetensors_find(&f, name)->begin);
    if (st == BP_OK)
        st = put(c, &f);
    bpi_safetensors_free(c->ctx, &f);
    return st;
}

bp_status bp_checkpoint_load(bp_checkpoint *c, const char *path)
{
    BPI_LEADS(c, "checkpoint_load: checkpoint");
    BPI_INSIDE(c->ctx, bpi_checkpoint_load(c, path, NULL, NULL, NULL));
}
