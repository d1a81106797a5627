/* The small problem of net.h. */
#include "net.h"

#include <stdlib.h>
#include <string.h>

#include "op_cases.h"

static bp_status fill(net *n)
{
    int32_t labels[NET_ROWS];
    double x64[NET_ROWS * NET_INPUTS];
    float x32[NET_ROWS * NET_INPUTS];
    for (int i = 0; i < NET_ROWS * NET_INPUTS; i++)
        x64[i] = x32[i] = (float)(2 * op_random(3, i) - 1);
    for (int i = 0; i < NET_ROWS; i++) /* learnable: the largest of the first inputs */
        for (int k = labels[i] = 0; k < NET_CLASSES; k++)
            if (x64[i * NET_INPUTS + k] > x64[i * NET_INPUTS + labels[i]])
                labels[i] = k;
    bp_status st = n->dtype == BP_F32 ? bp_write(n->x, x32, sizeof x32)
                                      : bp_write(n->x, x64, sizeof x64);
    return st == BP_OK ? bp_write(n->labels, labels, sizeof labels) : st;
}

bp_status net_open(net *n, bp_context *ctx, bp_dtype dtype, double dropout)
{
    static const char *const name[] = {"layer1.weight", "layer1.bias",   "layer2.weight",
                                       "layer2.bias",   "layer3.weight", "layer3.bias"};
    static const int64_t size[] = {NET_INPUTS, NET_HIDDEN, NET_HIDDEN, NET_CLASSES};
    *n = (net){.ctx = ctx, .dtype = dtype, .dropout = dropout};
    bp_status st = bp_params_create(ctx, dtype, &n->params);
    if (st != BP_OK)
        return st;
    for (int i = 0; i < 3; i++) {
        n->w[i] = bp_param(n->params, name[2 * i], BP_SHAPE(size[i + 1], size[i]), BP_INIT_HE);
        n->b[i] = bp_param(n->params, name[2 * i + 1], BP_SHAPE(size[i + 1]), BP_INIT_ZERO);
        if (!n->w[i] || !n->b[i])
            return BP_ERR_NOMEM;
    }
    n->x = bp_tensor_create(ctx, dtype, BP_SHAPE(NET_ROWS, NET_INPUTS));
    n->labels = bp_tensor_create(ctx, BP_I32, BP_SHAPE(NET_ROWS));
    n->index = bp_tensor_create(ctx, BP_I32, BP_SHAPE(NET_BATCH));
    n->loss = bp_tensor_create(ctx, dtype, BP_SCALAR);
    if (!n->x || !n->labels || !n->index || !n->loss)
        return BP_ERR_NOMEM;
    st = fill(n);
    return st == BP_OK ? bp_adam_create(n->params, 0.01, &n->opt) : st;
}

void net_close(net *n)
{
    bp_optimizer_free(n->opt);
    bp_params_free(n->params);
    bp_free(n->x);
    bp_free(n->labels);
    bp_free(n->index);
    bp_free(n->loss);
}

bp_status net_batch(net *n, int64_t i)
{
    int32_t index[NET_BATCH];
    for (int k = 0; k < NET_BATCH; k++)
        index[k] = (int32_t)((i * NET_BATCH + k) * 41 % NET_ROWS);
    return bp_write(n->index, index, sizeof index);
}

bp_tensor *net_loss(net *n)
{
    bp_tensor *h = bp_gather(n->x, n->index);
    for (int i = 0; i < 2; i++)
        h = bp_linear_relu(h, n->w[i], n->b[i], n->dropout);
    return bp_cross_entropy(bp_linear(h, n->w[2], n->b[2]), bp_gather(n->labels, n->index));
}

bp_status net_backward(bp_context *ctx, void *user)
{
    net *n = user;
    bp_tensor *loss = net_loss(n);
    bp_status st = bp_backward(ctx, loss);
    return st == BP_OK ? bp_copy_into(n->loss, loss) : st;
}

bp_status net_update(bp_context *ctx, void *user)
{
    (void)ctx;
    return bp_optimizer_step(((net *)user)->opt);
}

bp_status net_step(bp_context *ctx, void *user)
{
    bp_status st = net_backward(ctx, user);
    return st == BP_OK ? net_update(ctx, user) : st;
}

bp_status net_train(net *n, int64_t first, int64_t count)
{
    bp_status st = BP_OK;
    for (int64_t i = first; i < first + count && st == BP_OK; i++) {
        st = net_batch(n, i);
        if (st == BP_OK)
            st = bp_run(n->ctx, 0, net_step, n);
    }
    return st;
}

void *net_state(net *n, size_t *bytes)
{
    unsigned char *all = NULL;
    *bytes = 0;
    for (int32_t i = 0; i <= bp_param_count(n->params); i++) {
        bp_tensor *t = i < bp_param_count(n->params) ? bp_param_at(n->params, i) : n->loss;
        size_t size = (size_t)bp_shape_count(bp_shape_of(t)) * bp_dtype_bytes(n->dtype);
        unsigned char *more = realloc(all, *bytes + size);
        if (!more || bp_read(t, more + *bytes, size) != BP_OK) {
            free(more ? more : all);
            return NULL;
        }
        all = more;
        *bytes += size;
    }
    return all;
}

uint64_t net_digest(net *n)
{
    size_t bytes;
    unsigned char *all = net_state(n, &bytes);
    uint64_t h = 14695981039346656037u; /* FNV-1a */
    for (size_t i = 0; i < bytes && all; i++)
        h = (h ^ all[i]) * 1099511628211u;
    free(all);
    return all ? h : 0;
}
