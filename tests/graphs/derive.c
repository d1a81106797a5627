/* The derivatives of a random graph's loss, by the leaves that ask for them and some results of
 * ops: first ones, and those of a sum of the first. */
#include <stdlib.h>

#include "graphs.h"

int graph_wanted(const graph *g, int *want, int *n_leaves)
{
    int n = 0;
    for (int pass = 0; pass < 2; pass++) {
        for (int i = 0; i < g->n && n < MAX_VALUES - 1; i++) {
            bool result = g->value[i].kind == OPERATION;
            bool chosen = pass ? result && op_random(g->seed + 1, i) < 0.3 : !result;
            if (chosen && g->value[i].asks)
                want[n++] = i;
        }
        *n_leaves = pass ? *n_leaves : n;
    }
    want[n++] = want[0]; /* once more */
    return n;
}

double graph_weight(int k, int64_t e)
{
    return case_weight((uint64_t)k, e) - 1;
}

/* The gradients of y by the wanted values, in an open scope with a built graph. */
static bool ask(graph_run *r, bp_tensor *y, const int *want, int n, uint32_t flags, bp_tensor **dx)
{
    bp_tensor *x[MAX_VALUES], *one = bp_tensor_create(r->ctx, r->real, BP_SCALAR);
    double unit = 1;
    bool done = one && tensor_fill(one, &(values){1, &unit});
    for (int k = 0; k < n; k++)
        x[k] = r->t[want[k]];
    done = done && bp_grad(r->ctx, y, one, x, n, flags, dx) == BP_OK;
    bp_free(one);
    return done;
}

bool graph_gradients(graph_run *r, const int *want, int n, uint32_t flags, values *d)
{
    bp_tensor *dx[MAX_VALUES];
    bool done = bp_scope_begin(r->ctx, 0) == BP_OK && graph_draw_to(r->ctx, 0) &&
                ask(r, graph_build(r), want, n, flags, dx);
    for (int k = 0; k < n && done; k++)
        done = tensor_values(dx[k], &d[k]);
    return bp_scope_end(r->ctx) == BP_OK && done;
}

/* sum (weights g + x x / 2), differentiable. */
static bp_tensor *weighted(bp_tensor *g, bp_tensor *x, int k, bp_tensor **weights)
{
    values v = {bp_shape_count(bp_shape_of(g)), NULL};
    v.v = malloc(((size_t)v.n + 1) * sizeof(double));
    for (int64_t e = 0; e < v.n; e++)
        v.v[e] = graph_weight(k, e);
    *weights = bp_tensor_create(bp_context_of(g), bp_dtype_of(g), bp_shape_of(g));
    bool done = *weights && tensor_fill(*weights, &v);
    values_free(&v, 1);
    if (!done)
        return NULL;
    return bp_sum(bp_add(bp_mul(g, *weights), bp_scale(bp_mul(x, x), 0.5)));
}

bool graph_second(graph_run *r, const int *want, int n, values *h)
{
    bp_tensor *g[MAX_VALUES], *w[MAX_VALUES] = {NULL}, *dx[MAX_VALUES], *s = NULL;
    bool done = bp_scope_begin(r->ctx, 0) == BP_OK && graph_draw_to(r->ctx, 0) &&
                ask(r, graph_build(r), want, n, BP_CREATE_GRAPH, g);
    for (int k = 0; k < n && done; k++) {
        bp_tensor *part = weighted(g[k], r->t[want[k]], k, &w[k]);
        s = k ? bp_add(s, part) : part;
    }
    done = done && ask(r, s, want, n, 0, dx);
    for (int k = 0; k < n && done; k++)
        done = tensor_values(dx[k], &h[k]);
    for (int k = 0; k < n; k++)
        bp_free(w[k]);
    return bp_scope_end(r->ctx) == BP_OK && done;
}
