/* bpcuda export: a model as others read it; the ending of --out says how. */
#include <string.h>

#include "job.h"

static bp_status export_npz(bp_model *model, const char *path)
{
    return bp_params_save_npz(bp_model_params(model), path);
}

/* The name of C functions: that of the file. */
static bp_status export_c(bp_model *model, const char *path)
{
    char name[64];
    const char *base = strrchr(path, '/') ? strrchr(path, '/') + 1 : path;
    size_t n = 0;
    for (; base[n] && strcmp(base + n, ".c") && n < sizeof name - 1; n++) {
        bool letter = (base[n] | 0x20) >= 'a' && (base[n] | 0x20) <= 'z';
        bool digit = n && base[n] >= '0' && base[n] <= '9';
        name[n] = letter || digit ? base[n] : '_';
    }
    name[n] = '\0';
    return bp_model_export_c(model, name[0] == '_' ? "model" : name, path);
}

bp_status command_export(job *j)
{
    static const struct {
        const char *ending;
        bp_status (*write)(bp_model *, const char *);
    } kinds[] = {{".onnx", bp_model_export_onnx}, {".c", export_c},
                 {".safetensors", bp_model_save_torch}, {".npz", export_npz}};
    const char *out = j->set->out, *dot = out ? strrchr(out, '.') : NULL;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        if (!dot || strcmp(dot, kinds[i].ending))
            continue;
        TRY(check_files(j));
        TRY(open_context(j));
        TRY(load_model(j, j->set->operand[0]));
        TRY(kinds[i].write(j->model, out));
        talk(j, "saved %s\n", out);
        return BP_OK;
    }
    return fail(j, BP_ERR_ARG, "--out %.200s: a name that ends in .onnx, .c, .safetensors (PyTorch's "
                "names) or .npz is wanted", out ? out : "is not given");
}
