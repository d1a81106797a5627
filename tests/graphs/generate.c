/* Makes a random graph: leaves, then operations that are computed at once, so that what would be
 * too large, or near a kink, is not taken. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "graphs.h"

enum { OPERATIONS = 14, TRIES = 400 };
static const double MARGIN = 0.05, LARGEST = 20;

int graph_int(graph *g, int n)
{
    return (int)(op_random(g->seed, (int64_t)g->drawn++) * n);
}

double graph_real(graph *g, double lo, double hi)
{
    return (float)(lo + (hi - lo) * op_random(g->seed, (int64_t)g->drawn++));
}

bool graph_chance(graph *g, double p)
{
    return op_random(g->seed, (int64_t)g->drawn++) < p;
}

static values room(int64_t n)
{
    return (values){n, calloc((size_t)n + 1, sizeof(double))};
}

static graph_value *add_leaf(graph *g, int kind, bp_shape shape)
{
    graph_value *v = &g->value[g->n++];
    *v = (graph_value){.kind = kind, .shape = shape, .v = room(bp_shape_count(shape))};
    v->asks = kind == PARAM || kind == WANTED;
    v->store = graph_int(g, STORES);
    return v;
}

int graph_indices(graph *g, int kind, bp_shape shape, int limit)
{
    for (int i = 0; i < g->n; i++) {
        const graph_value *v = &g->value[i];
        bool fits = v->kind == kind && v->shape.ndim == shape.ndim && v->v.n > 0 && v->a == limit;
        if (fits && !memcmp(v->shape.dim, shape.dim, sizeof *shape.dim * (size_t)shape.ndim))
            return i;
    }
    if (g->n > MAX_VALUES - 20)
        return -1;
    graph_value *v = add_leaf(g, kind, shape);
    v->a = limit;
    for (int64_t i = 0; i < v->v.n; i++)
        v->v.v[i] = graph_int(g, limit);
    return g->n - 1;
}

static void leaves(graph *g)
{
    static const bp_shape shapes[] = {{2, {3, 3}}, {1, {3}}, {2, {3, 3}}, {2, {2, 3}},
                                      {0, {0}},    {2, {1, 3}}, {2, {3, 1}}, {3, {2, 3, 2}}};
    int n_shapes = sizeof shapes / sizeof *shapes;
    int n = 5 + graph_int(g, 4);
    for (int i = 0; i < n; i++) {
        int kind = i < 3 ? PARAM : i == 3 ? WANTED : i == 4 ? DATA : graph_int(g, DATA + 1);
        graph_value *v = add_leaf(g, kind, shapes[i < 2 ? i : graph_int(g, n_shapes)]);
        bool one_sign = graph_chance(g, 0.3); /* so that some have a logarithm */
        for (int64_t e = 0; e < v->v.n; e++)
            v->v.v[e] = graph_real(g, 0.25, 1.25) * (one_sign || graph_chance(g, 0.5) ? 1 : -1);
    }
}

/* --- operations ------------------------------------------------------------------------------ */

/* What a graph is made with: a context of the plain CPU, and a tensor for each value so far. */
typedef struct maker {
    graph *g;
    bp_context *ctx;
    bp_tensor *t[MAX_VALUES];
} maker;

/* Tensors of values that have none yet. */
static bool see_new(maker *m)
{
    for (int i = 0; i < m->g->n; i++) {
        const graph_value *v = &m->g->value[i];
        bp_dtype dtype = v->kind == INDEX ? BP_I32 : v->kind == BYTES ? BP_U8 : BP_F64;
        if (!m->t[i] && (!(m->t[i] = bp_tensor_create(m->ctx, dtype, v->shape)) ||
                         !tensor_fill(m->t[i], &v->v)))
            return false;
    }
    return true;
}

static bool between(bp_tensor *t, double least, double most, values *v)
{
    bool sound = t && tensor_values(t, v) && v->n > 0 && v->n <= MAX_ELEMENTS;
    for (int64_t i = 0; sound && i < v->n; i++)
        sound = isfinite(v->v[i]) && fabs(v->v[i]) <= most && fabs(v->v[i]) >= least;
    return sound;
}

/* How often the operation draws. */
static int draws(const graph_value *v)
{
    const char *name = v->recipe->name;
    if (!strcmp(name, "linear_relu"))
        return v->x > 0;
    bool twice = !strcmp(name, "chosen") || !strcmp(name, "moved");
    return twice ? 2 : graph_draws(name);
}

/* Appends the operation if its values are sound, and it is not near a kink. */
static bool append(maker *m, graph_value *v)
{
    graph *g = m->g;
    bp_tensor *in[BP_MAX_IO];
    values kink = {0};
    if (g->n == MAX_VALUES || !see_new(m))
        return false;
    for (int k = 0; k < v->recipe->n_in; k++)
        in[k] = m->t[v->in[k]];
    if (bp_scope_begin(m->ctx, BP_NO_GRAD) != BP_OK || !graph_draw_to(m->ctx, g->n_sites))
        return false;
    bp_tensor *t = v->recipe->apply(v, in);
    v->shape = bp_shape_of(t);
    bool sound = between(t, 0, LARGEST, &v->v);
    if (sound && v->recipe->kink)
        sound = between(v->recipe->kink(v, in), MARGIN, LARGEST, &kink);
    values_free(&kink, 1);
    if (bp_scope_end(m->ctx) != BP_OK)
        fprintf(stderr, "graph %llu: %s\n", (unsigned long long)g->seed, bp_error_text(m->ctx));
    if (!sound) {
        values_free(&v->v, 1);
        return false;
    }
    v->kind = OPERATION;
    v->site = g->n_sites;
    g->n_sites += draws(v);
    for (int k = 0; k < v->recipe->n_in; k++)
        v->asks |= g->value[v->in[k]].asks;
    g->value[g->n++] = *v;
    return true;
}

static bool append_named(maker *m, const char *name, int a, int b, int axes)
{
    graph_value v = {.recipe = graph_recipe(name), .in = {a, b}, .a = axes};
    return append(m, &v);
}

/* loss += sum of the weighted values of `i`; -1: there is none yet. */
static int add_to_loss(maker *m, int i, int loss)
{
    graph *g = m->g;
    int weights = g->n;
    graph_value *w = add_leaf(g, DATA, g->value[i].shape);
    for (int64_t e = 0; e < w->v.n; e++)
        w->v.v[e] = graph_real(g, 0.25, 0.75) * (graph_chance(g, 0.3) ? -1 : 1);
    if (!append_named(m, "mul", i, weights, 0) ||
        !append_named(m, "sum", g->n - 1, 0, (1 << g->value[i].shape.ndim) - 1))
        return -1;
    return loss >= 0 && !append_named(m, "add", loss, g->n - 1, 0) ? -1 : g->n - 1;
}

static bool make(maker *m)
{
    graph *g = m->g;
    leaves(g);
    /* each op comes first in its turn, so that none is missing for bad luck */
    const recipe *its_turn = &graph_recipes[g->seed / 100 % (uint64_t)graph_recipes_n];
    int n_leaves = g->n, want = 4 + graph_int(g, OPERATIONS - 3), loss = -1;
    for (int tries = 0; tries < TRIES && want > 0; tries++) {
        graph_value v = {.recipe = &graph_recipes[graph_int(g, graph_recipes_n)]};
        if (graph_chance(g, 0.15)) /* often refused: a kink is near */
            v.recipe = graph_recipe("linear_relu");
        if (its_turn && tries < TRIES / 4)
            v.recipe = its_turn;
        if (v.recipe->choose(g, &v) && g->n < MAX_VALUES - 12 && append(m, &v)) {
            want--;
            its_turn = NULL;
        }
    }
    int last = g->n - 1, outputs = 1 + graph_int(g, 3);
    for (int k = 0; k < outputs; k++) {
        int i = k ? graph_int(g, last + 1) : last;
        while (i > 0 && (g->value[i].kind != OPERATION || !(g->value[i].asks || k)))
            i--;
        if (i < n_leaves || (loss = add_to_loss(m, i, loss)) < 0)
            return false;
    }
    return g->value[loss].asks;
}

void graph_free(graph *g)
{
    for (int i = 0; i < g->n; i++)
        values_free(&g->value[i].v, 1);
}

bool graph_generate(bp_context *plain, graph *g, uint64_t seed)
{
    for (uint64_t attempt = 0; attempt < 100; attempt++) {
        maker m = {g, plain, {NULL}};
        *g = (graph){.seed = seed * 100 + attempt};
        bool made = make(&m);
        for (int i = 0; i < MAX_VALUES; i++)
            bp_free(m.t[i]);
        if (made)
            return true;
        graph_free(g);
    }
    return false;
}
