/* Whether a gradient reaches the first layer: through units whose slope is small it fades, layer by
 * layer, by the same factor (Bengio, Simard, Frasconi, 1994), and the first layers learn nothing. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "inside.h"

typedef struct walk {
    bp_model *model;
    bp_data *sample;
    int32_t first, last; /* weights */
    double rms[2];
} walk;

static bp_status one_back(bp_context *ctx, void *user)
{
    walk *w = user;
    bp_tensor *y = bp_model_forward(w->model, bp_data_samples(w->sample), 0);
    TRY(bp_backward(ctx, bp_model_loss(w->model, y, bp_data_labels(w->sample))));
    for (int i = 0; i < 2; i++) {
        bp_tensor *g = bp_param_grad(bp_model_params(w->model), i ? w->last : w->first);
        TRY(bp_read_f64(bp_mean(bp_square(g)), &w->rms[i], 1));
        w->rms[i] = sqrt(w->rms[i]);
    }
    return BP_OK;
}

/* A factor of a thousand: with one rate for all, the first layers stand still while the last learn.
 * A chain of ReLUs or of tanh, drawn as the library draws it, has from a third to three. */
bp_status doctor_fading(const doctor_case *c, bp_model *model, bp_data *sample, findings *to)
{
    enum { FADED = 1000 };
    bp_params *params = bp_model_params(model);
    walk w = {.model = model, .sample = sample, .first = -1};
    for (int32_t i = 0; i < bp_param_count(params); i++) {
        const char *name = bp_param_name(params, i);
        bool weight = !strncmp(name, "layer", 5) && strstr(name, ".weight");
        w.first = weight && w.first < 0 ? i : w.first;
        w.last = weight ? i : w.last;
    }
    if (w.first < 0 || w.first == w.last)
        return BP_OK;
    bp_status st = bp_run(c->ctx, 0, one_back, &w);
    TRY(bp_grad_clear(params));
    if (st == BP_OK && w.rms[0] * FADED < w.rms[1])
        doctor_add(to, DOCTOR_WARNING, "fading-gradient", "--layers",
                   "the gradient of %s is %.2g of that of %s (root mean squares): the layers between "
                   "let too little through; relu, layernorm or residual( ... ) let more",
                   bp_param_name(params, w.first), w.rms[0] / w.rms[1],
                   bp_param_name(params, w.last));
    return st;
}
