/* The net that the tests of a device train, on random data. */
#include <stdlib.h>
#include <string.h>

#include "device.h"
#include "op_cases.h"

bp_status mlp_step(bp_context *c, void *user)
{
    mlp *m = user;
    bp_tensor *h = bp_linear_relu(m->x, m->w[0], m->b[0], m->dropout);
    bp_tensor *loss = bp_cross_entropy(bp_linear(h, m->w[1], m->b[1]), m->labels);
    bp_status st = bp_backward(c, loss);
    if (st == BP_OK)
        st = bp_copy_into(m->loss, loss);
    return st == BP_OK ? bp_optimizer_step(m->adam) : st;
}

int mlp_open(mlp *m, double dropout)
{
    *m = (mlp){.dropout = dropout};
    if (bp_seed(ctx, 9) != BP_OK || bp_params_create(ctx, BP_F32, &m->params) != BP_OK)
        return 0;
    m->w[0] = bp_param(m->params, "w0", BP_SHAPE(HIDDEN, IN), BP_INIT_HE);
    m->b[0] = bp_param(m->params, "b0", BP_SHAPE(HIDDEN), BP_INIT_ZERO);
    m->w[1] = bp_param(m->params, "w1", BP_SHAPE(OUT, HIDDEN), BP_INIT_LECUN);
    m->b[1] = bp_param(m->params, "b1", BP_SHAPE(OUT), BP_INIT_ZERO);
    m->x = bp_tensor_create(ctx, BP_F32, BP_SHAPE(BATCH, IN));
    m->labels = bp_tensor_create(ctx, BP_I32, BP_SHAPE(BATCH));
    m->loss = bp_tensor_create(ctx, BP_F32, BP_SCALAR);
    static float x[BATCH * IN];
    static int32_t labels[BATCH];
    for (int i = 0; i < BATCH * IN; i++)
        x[i] = (float)(op_random(1, i) - 0.5);
    for (int i = 0; i < BATCH; i++)
        labels[i] = (int32_t)(OUT * op_random(2, i));
    return m->b[1] && m->x && m->labels && m->loss && bp_write(m->x, x, sizeof x) == BP_OK &&
           bp_write(m->labels, labels, sizeof labels) == BP_OK &&
           bp_adam_create(m->params, 1e-3, &m->adam) == BP_OK;
}

void mlp_close(mlp *m)
{
    bp_optimizer_free(m->adam);
    bp_params_free(m->params);
    bp_free(m->x);
    bp_free(m->labels);
    bp_free(m->loss);
}

float *mlp_weights(mlp *m)
{
    const size_t bytes = (HIDDEN * IN + OUT * HIDDEN) * sizeof(float), first = HIDDEN * IN;
    float *w = malloc(bytes);
    if (w && (bp_read(m->w[0], w, first * sizeof *w) != BP_OK ||
              bp_read(m->w[1], w + first, OUT * HIDDEN * sizeof *w) != BP_OK))
        memset(w, 0xFF, bytes);
    return w;
}
