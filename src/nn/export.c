/* What must hold of a model before it is written for other programs: see export.h. */
#include "nn/export.h"

#include "core/context.h"

bp_status bpi_model_has_layers(const bp_model *m, const char *who)
{
    if (m->members > 1)
        return bpi_fail(m->ctx, BP_ERR_UNSUPPORTED, "%s: this model is an ensemble of %d: a single "
                        "one is wanted", who, (int)m->members);
    return m->layers ? BP_OK
                     : bpi_fail(m->ctx, BP_ERR_UNSUPPORTED, "%s: the forward pass of this model is "
                                "a program's own function: a model of a text of layers is wanted",
                                who);
}

bp_status bpi_model_exports(bp_model *m, const char *who)
{
    BPI_TRY(bpi_model_has_layers(m, who));
    if (m->ctx->pending != BP_OK)
        return m->ctx->pending;
    BPI_TRY(bpi_not_recording(m->ctx, who));
    return bpi_params_finite(m->params, who);
}

int64_t bpi_layer_pixels(const bpi_layer *l)
{
    return l->kind == BPI_CONV    ? (int64_t)l->window[0] * l->window[1]
           : l->kind == BPI_DENSE ? l->from.height * l->from.width
                                  : 0;
}

bool bpi_normalizer_is_none(const bpi_normalizer *n)
{
    bool none = !n->matrix;
    for (int64_t i = 0; i < n->n; i++)
        none &= n->host[i] == 0 && n->host[n->n + i] == 1;
    return none;
}
