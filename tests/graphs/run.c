/* Runs a random graph on a device: its stores and tensors, its operations, and the op of a
 * program's own that some of them use. */
#include <stdio.h>
#include <string.h>

#include "graphs.h"

/* --- y = a b, by a program's own kernel ------------------------------------------------------ */

static bp_status own_infer(const bp_view *in, bp_view *out, const void *params, char *why)
{
    (void)params, (void)why;
    out[0] = in[0];
    return BP_OK;
}

static bp_status own_forward(bp_exec *ex, const bp_view *in, const bp_view *out, const void *params)
{
    (void)ex, (void)params;
    for (int64_t i = 0; i < bp_shape_count(in->shape); i++)
        if (in->dtype == BP_F64)
            ((double *)out->data)[i] = ((double *)in[0].data)[i] * ((double *)in[1].data)[i];
        else
            ((float *)out->data)[i] = ((float *)in[0].data)[i] * ((float *)in[1].data)[i];
    return BP_OK;
}

static bp_status own_gradient(bp_grad_call *c)
{
    bp_tensor *x[2], *dx[2];
    for (int i = 0; i < 2; i++)
        x[i] = bp_require_grad(c->in[i]);
    bp_status st = bp_grad(c->ctx, bp_mul(x[0], x[1]), c->dout[0], x, 2, 0, dx);
    for (int i = 0; i < 2; i++)
        c->dx[i] = dx[i];
    return st;
}

/* The contexts that have it. */
static struct {
    bp_context *ctx;
    bp_op *op;
} owner[8];

static bp_op *own_in(bp_context *ctx)
{
    static const bp_op_def def = {.struct_bytes = sizeof def, .name = "own", .n_in = 2, .n_out = 1,
                                  .saves_in = 3, .infer = own_infer, .forward = own_forward,
                                  .gradient = own_gradient};
    int i = 0;
    while (i < 7 && owner[i].ctx && owner[i].ctx != ctx)
        i++;
    if (owner[i].ctx != ctx && bp_op_register(ctx, &def, &owner[i].op) == BP_OK)
        owner[i].ctx = ctx;
    return owner[i].ctx == ctx ? owner[i].op : NULL;
}

void graph_forget(bp_context *ctx)
{
    for (int i = 0; i < 8; i++)
        if (owner[i].ctx == ctx)
            owner[i].ctx = NULL;
}

bp_tensor *graph_own(bp_tensor *a, bp_tensor *b)
{
    bp_context *ctx = bp_context_of(a);
    if (!ctx || strncmp(bp_device_text(ctx), "cpu", 3))
        return bp_mul(a, b);
    return bp_op_apply(own_in(ctx), (bp_tensor *[]){a, b}, NULL, NULL);
}

/* --- stores, tensors, operations ------------------------------------------------------------- */

bool graph_open(graph_run *r, bp_context *ctx, const graph *g, bp_dtype real)
{
    *r = (graph_run){.g = g, .ctx = ctx, .real = real};
    for (int k = 0; k < STORES; k++)
        if (bp_params_create(ctx, real, &r->store[k]) != BP_OK)
            return false;
    for (int i = 0; i < g->n; i++) {
        const graph_value *v = &g->value[i];
        bp_params *store = r->store[v->store];
        char name[16];
        snprintf(name, sizeof name, "%d", i);
        if (v->kind == PARAM || v->kind == FROZEN)
            r->leaf[i] = bp_param(store, name, v->shape, BP_INIT_ZERO);
        else if (v->kind != OPERATION)
            r->leaf[i] = bp_tensor_create(ctx, v->kind == INDEX ? BP_I32 :
                                          v->kind == BYTES ? BP_U8 : real, v->shape);
        if (v->kind != OPERATION && !r->leaf[i])
            return false;
        if (v->kind == FROZEN && bp_param_freeze(store, bp_param_count(store) - 1, 1) != BP_OK)
            return false;
    }
    for (int i = 0; i < g->n; i++)
        if (r->leaf[i] && !tensor_fill(r->leaf[i], &g->value[i].v))
            return false;
    return true;
}

void graph_close(graph_run *r)
{
    for (int i = 0; i < r->g->n; i++)
        if (r->g->value[i].kind != PARAM && r->g->value[i].kind != FROZEN)
            bp_free(r->leaf[i]);
    for (int k = 0; k < STORES; k++)
        bp_params_free(r->store[k]);
}

bool graph_draw_to(bp_context *ctx, int sites)
{
    bp_status st = bp_seed(ctx, 7);
    bp_tensor *one = st == BP_OK && sites ? bp_tensor_create(ctx, BP_F64, BP_SCALAR) : NULL;
    for (int i = 0; i < sites; i++)
        st = bp_dropout(one, 0.5) ? st : BP_ERR_STATE;
    bp_free(one);
    return st == BP_OK;
}

bp_tensor *graph_build(graph_run *r)
{
    const graph *g = r->g;
    for (int i = 0; i < g->n; i++) {
        const graph_value *v = &g->value[i];
        bp_tensor *in[BP_MAX_IO];
        for (int k = 0; v->kind == OPERATION && k < v->recipe->n_in; k++)
            in[k] = r->t[v->in[k]];
        if (v->kind != OPERATION)
            r->t[i] = v->kind == WANTED ? bp_require_grad(r->leaf[i]) : r->leaf[i];
        else
            r->t[i] = (r->composed && v->recipe->composed ? v->recipe->composed
                                                          : v->recipe->apply)(v, in);
    }
    return r->t[g->n - 1];
}

bp_tensor *graph_stored(const graph_run *r, int i)
{
    int32_t at = 0;
    for (int k = 0; k < i; k++)
        at += (r->g->value[k].kind == PARAM || r->g->value[k].kind == FROZEN) &&
              r->g->value[k].store == r->g->value[i].store;
    return bp_param_grad(r->store[r->g->value[i].store], at);
}
