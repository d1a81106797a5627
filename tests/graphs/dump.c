/* A random graph and its derivatives as text, a line a value, numbers in hexadecimal:
 *
 *     graph SEED
 *     value I leaf KIND [shape] numbers
 *     value I NAME inputs a b x [shape] numbers      (the shape is also reshape's argument)
 *     mask I numbers                                 what was drawn: mask() says how
 *     grad I numbers                                 d loss / d value I
 *     second I weights / numbers                     see graph_second
 *     end */
#include <stdio.h>
#include <string.h>

#include "graphs.h"

static void numbers(const double *v, int64_t n)
{
    for (int64_t e = 0; e < n; e++)
        printf(" %a", v[e]);
}

static void shape(const bp_shape *s)
{
    printf(" [");
    for (int i = 0; i < s->ndim; i++)
        printf(i ? ",%d" : "%d", (int)s->dim[i]);
    printf("]");
}

static void value(const graph *g, int i)
{
    static const char *const kind[] = {"param", "frozen", "wanted", "data", "index", "bytes"};
    const graph_value *v = &g->value[i];
    if (v->kind != OPERATION)
        printf("value %d leaf %s", i, kind[v->kind]);
    else
        printf("value %d %s %d,%d,%d,%d %d %d %a", i, v->recipe->name, v->in[0], v->in[1], v->in[2],
               v->in[3], v->a, v->b, v->x);
    if (v->kind == OPERATION)
        shape(&v->to);
    shape(&v->shape);
    numbers(v->v.v, v->v.n);
    printf("\n");
}

bool graph_draws(const char *name)
{
    return !strcmp(name, "dropout") || !strcmp(name, "linear_relu") || !strcmp(name, "noise") ||
           !strcmp(name, "chosen") || !strcmp(name, "shuffle") || !strcmp(name, "moved");
}

/* What the op with this site makes of ones, noise of zeros, shuffle of the numbers of elements. */
static bool mask(bp_context *ctx, const graph *g, int i)
{
    const graph_value *v = &g->value[i];
    const char *name = v->recipe->name;
    double given[MAX_ELEMENTS];
    values m = {0}, in = {bp_shape_count(v->shape), given};
    for (int64_t e = 0; e < in.n; e++)
        given[e] = !strcmp(name, "shuffle") ? (double)e : strcmp(name, "noise") != 0;
    bp_tensor *t = bp_tensor_create(ctx, BP_F64, v->shape);
    bool done = t && tensor_fill(t, &in) && bp_scope_begin(ctx, BP_NO_GRAD) == BP_OK;
    done = done && graph_draw_to(ctx, v->site) &&
           tensor_values(!strcmp(name, "linear_relu") ? bp_dropout(t, v->x)
                                                      : v->recipe->apply(v, &t), &m);
    done &= bp_scope_end(ctx) == BP_OK;
    printf("mask %d", i);
    numbers(m.v, m.n);
    printf("\n");
    values_free(&m, 1);
    bp_free(t);
    return done;
}

bool graph_dump(bp_context *ctx, const graph *g)
{
    graph_run r;
    values d[MAX_VALUES] = {{0}}, h[MAX_VALUES] = {{0}};
    int want[MAX_VALUES], n_leaves, n = graph_wanted(g, want, &n_leaves);
    bool done = graph_open(&r, ctx, g, BP_F64) && graph_gradients(&r, want, n, 0, d) &&
                graph_second(&r, want, n_leaves, h);
    printf("graph %llu\n", (unsigned long long)g->seed);
    for (int i = 0; i < g->n && done; i++) {
        const recipe *how = g->value[i].recipe;
        value(g, i);
        if (how && graph_draws(how->name))
            done = mask(ctx, g, i);
    }
    for (int k = 0; k < n && done; k++) {
        printf("grad %d", want[k]);
        numbers(d[k].v, d[k].n);
        printf("\n");
    }
    for (int k = 0; k < n_leaves && done; k++) {
        printf("second %d", want[k]);
        for (int64_t e = 0; e < h[k].n; e++)
            printf(" %a", graph_weight(k, e));
        printf(" /");
        numbers(h[k].v, h[k].n);
        printf("\n");
    }
    printf(done ? "end\n" : "failed\n");
    graph_close(&r);
    values_free(d, MAX_VALUES);
    values_free(h, MAX_VALUES);
    return done;
}
