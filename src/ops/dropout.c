/* y = mask scale x, the mask drawn from (seed, step, site): src/door/philox.h has the layout.
 * The op is linear in x and draws the same mask when it is called again in the same step, so the
 * gradient is the op itself and no mask is stored. Kernel: src/cpu/dropout.c. */
#include <math.h>

#include "door/philox.h"
#include "ops/rule.h"

static bp_status gradient(bp_grad_call *c)
{
    c->dx[0] = bpi_apply1(&bpi_op_dropout, c->dout[0], c->params);
    return BP_OK;
}

const bp_op bpi_op_dropout = {
    .def = {.name = "dropout", .n_in = 1, .n_out = 1, .params_bytes = sizeof(bpi_dropout_params),
            .infer = bpi_infer_like, .gradient = gradient},
    .id = BPI_OP_dropout,
    .flags = BPI_OP_DRAWS,
};

static bp_status draw(bp_context *ctx, const char *who, double p, bpi_dropout_params *out)
{
    if (!(p >= 0 && p < 1))
        return bpi_fail(ctx, BP_ERR_ARG, "%s: the probability %g is not in [0, 1)", who, p);
    out->keep = (uint32_t)lrint((1 - p) * 65536);
    out->keep += out->keep == 0;
    out->site = 0;
    return out->keep == 65536 ? BP_OK : bpi_next_site(ctx, &out->site);
}

bp_status bpi_dropout_draw(bp_context *ctx, const char *who, double p, bpi_dropout_params *out)
{
    BPI_INSIDE(ctx, draw(ctx, who, p, out));
}

double bpi_dropout_scale(uint32_t keep)
{
    return 65536.0 / keep;
}

bp_tensor *bpi_dropout_at(bp_tensor *x, bpi_dropout_params params)
{
    return bpi_apply1(&bpi_op_dropout, x, &params);
}

bp_tensor *bp_dropout(bp_tensor *x, double p)
{
    bpi_dropout_params params = {0};
    if (x && bpi_dropout_draw(bpi_at(x)->ctx, "dropout", p, &params) != BP_OK)
        return NULL;
    return bpi_dropout_at(x, params);
}
