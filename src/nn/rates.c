/* Rates of a model's layers by the inputs of their units, where convolutions share weights. */
#include "core/params.h"
#include "nn/nn.h"
#include "optim/optim.h"

/* At how many places of an image a layer's weights are used. */
static double places(const bpi_layer *at)
{
    return at->kind == BPI_CONV ? (double)at->to.height * (double)at->to.width : 1;
}

static bp_status fan_in(bp_model *m, bp_optimizer *opt, double power)
{
    bp_context *ctx = m->ctx;
    int64_t n = bp_param_count(m->params);
    BPI_TRY(bpi_given(ctx, opt, "model_fan_in: opt"));
    if (bpi_optimizer_params(opt) != m->params)
        return bpi_fail(ctx, BP_ERR_ARG, "model_fan_in: the optimiser is of another store");
    double *used = bpi_host_alloc(ctx, (size_t)n * sizeof *used);
    if (n && !used)
        return bpi_fail(ctx, BP_ERR_NOMEM, "model_fan_in: out of memory");
    for (int32_t i = 0; i < n; i++)
        used[i] = 1;
    for (int32_t c = 0; m->layers && c < m->members; c++) {
        const bp_layers *l = m->members > 1 ? m->member[c] : m->layers;
        for (int32_t i = 0; i < n; i++)
            for (int32_t k = 0; k < l->n; k++)
                if (l->layer[k].weight == bp_param_at(m->params, i))
                    used[i] = places(&l->layer[k]);
    }
    bp_status st = bpi_optimizer_fan_in(opt, used, power);
    bpi_host_free(ctx, used, (size_t)n * sizeof *used);
    return st;
}

bp_status bp_model_fan_in(bp_model *m, bp_optimizer *opt, double power)
{
    BPI_LEADS(m, "model_fan_in: model");
    BPI_INSIDE(m->ctx, fan_in(m, opt, power));
}
