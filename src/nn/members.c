/* The members of an ensemble: several chains of layers in one model, and outputs that have the mean
 * of their answers. Making an ensemble, and its spread: ensemble.c. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "nn/nn.h"

bp_status bpi_members_create(bp_model *m, const char *image, const char *layers)
{
    char prefix[16];
    m->member = bpi_host_alloc(m->ctx, (size_t)m->members * sizeof *m->member);
    if (!m->member)
        return bpi_fail(m->ctx, BP_ERR_NOMEM, "model_ensemble: out of memory");
    memset(m->member, 0, (size_t)m->members * sizeof *m->member);
    for (int32_t i = 0; i < m->members; i++) {
        snprintf(prefix, sizeof prefix, "%d.", (int)i);
        BPI_TRY(bpi_layers_create(m->params, prefix, m->inputs, image, layers, m->outputs,
                                  &m->member[i]));
        m->layers = m->member[0];
    }
    return BP_OK;
}

/* In groups, so that each answer is copied twice at most. */
bp_tensor *bpi_members_each(bp_model *m, bp_tensor *x, bool training)
{
    enum { GROUP = 64 };
    _Static_assert(GROUP * GROUP >= BPI_MEMBERS_MOST, "as many groups are one again");
    bp_tensor *one[GROUP], *group[GROUP];
    int32_t groups = 0;
    for (int32_t i = 0; i < m->members; groups++) {
        int32_t n = 0;
        for (; n < GROUP && i < m->members; n++, i++)
            one[n] = bp_layers_forward(m->member[i], x, training);
        group[groups] = bp_stack(one, n, 0);
    }
    return groups == 1 ? group[0] : bp_concat(group, groups, 0);
}

/* log of the sum over the members of e^x. */
static bp_tensor *log_sum(bp_tensor *x)
{
    return bp_logsumexp_axes(x, BP_AXIS(0), 0);
}

bp_tensor *bpi_members_through(bp_model *m, bp_tensor *x, bool training)
{
    bp_tensor *y = bpi_members_each(m, x, training);
    if (m->task == BP_TASK_CLASSES)
        return bp_shift(log_sum(bp_log_softmax(y, 2)), -log(m->members));
    if (m->task == BP_TASK_LABELS)
        return bp_sub(log_sum(bp_log_sigmoid(y)), log_sum(bp_log_sigmoid(bp_neg(y))));
    return bp_mean_axes(y, BP_AXIS(0), 0);
}
