/* The parameters of a chain of layers under the names that PyTorch gives those of a Sequential of
 * the same modules: export.h. */
#include <stdio.h>
#include <string.h>

#include "nn/export.h"

enum { NAME_BYTES = 256 }; /* 16 groups in one another, "254.body." each, and "254.running_mean" */

typedef struct names {
    bpi_param_as *as; /* of all parameters, in the order of the store */
    char (*text)[NAME_BYTES];
    int32_t n;
} names;

static void name(names *to, const char *prefix, int module, const char *what, int64_t pixels)
{
    char *text = to->text[to->n];
    snprintf(text, NAME_BYTES, "%s%d.%s", prefix, module, what);
    to->as[to->n++] = (bpi_param_as){text, pixels};
}

/* From layer i to the end of its group, which it returns. A module for each word: a group is one,
 * whose `body` is a Sequential of its own. A Flatten stands before a dense layer of images and
 * behind a global pool; HxWxC is none. */
static int32_t name_group(names *to, const bp_layers *l, int32_t i, const char *prefix)
{
    for (int module = 0; i < l->n && l->layer[i].kind != BPI_END; i++) {
        const bpi_layer *at = &l->layer[i];
        module += at->kind == BPI_DENSE && at->from.channels;
        if (at->weight)
            name(to, prefix, module, "weight", bpi_layer_pixels(at));
        if (at->bias)
            name(to, prefix, module, "bias", 0);
        if (at->mean) {
            name(to, prefix, module, "running_mean", 0);
            name(to, prefix, module, "running_var", 0);
        }
        if (at->kind == BPI_RESIDUAL) {
            char inner[NAME_BYTES];
            snprintf(inner, sizeof inner, "%s%d.body.", prefix, module);
            i = name_group(to, l, i + 1, inner);
        }
        module += at->kind == BPI_GLOBAL_POOL ? 2 : at->kind != BPI_IMAGE;
    }
    return i;
}

/* What a program has declared besides in a model's store keeps its name. */
static bp_status name_all(bp_model *m, const char *who, names *to)
{
    size_t n = (size_t)bp_param_count(m->params);
    to->as = bpi_host_alloc(m->ctx, n * sizeof *to->as);
    to->text = bpi_host_alloc(m->ctx, n * sizeof *to->text);
    if (!to->as || !to->text)
        return bpi_fail(m->ctx, BP_ERR_NOMEM, "%s: out of memory", who);
    for (size_t i = 0; i < n; i++)
        to->as[i].name = bp_param_name(m->params, (int32_t)i);
    name_group(to, m->layers, 0, "");
    return BP_OK;
}

typedef bp_status (*file_fn)(bp_params *params, const char *path, const bpi_param_as *as,
                             const char *who);

static bp_status as_torch(bp_model *m, const char *path, const char *path_of, const char *who,
                          file_fn call)
{
    size_t n = (size_t)bp_param_count(m->params);
    names of = {0};
    BPI_TRY(bpi_given(m->ctx, path, path_of));
    BPI_TRY(bpi_model_has_layers(m, who));
    bp_status st = name_all(m, who, &of);
    if (st == BP_OK)
        st = call(m->params, path, of.as, who);
    bpi_host_free(m->ctx, of.text, n * sizeof *of.text);
    bpi_host_free(m->ctx, of.as, n * sizeof *of.as);
    return st;
}

bp_status bp_model_save_torch(bp_model *m, const char *path)
{
    BPI_LEADS(m, "model_save_torch: model");
    BPI_INSIDE(m->ctx, as_torch(m, path, "model_save_torch: path", "model_save_torch",
                                bpi_params_save_as));
}

bp_status bp_model_load_torch(bp_model *m, const char *path)
{
    BPI_LEADS(m, "model_load_torch: model");
    BPI_INSIDE(m->ctx, as_torch(m, path, "model_load_torch: path", "model_load_torch",
                                bpi_params_load_as));
}
