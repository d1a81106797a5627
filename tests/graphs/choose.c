/* What a recipe takes of the values that are there. */
#include <math.h>
#include <string.h>

#include "choose.h"

static bool real_value(const graph_value *v)
{
    return v->kind != INDEX && v->kind != BYTES;
}

bool has(const graph_value *v, int rank, int64_t rows, int64_t cols)
{
    return real_value(v) && (rank < 0 || v->shape.ndim == rank) &&
           (rows < 0 || v->shape.dim[0] == rows) && (cols < 0 || v->shape.dim[1] == cols);
}

/* A value of this rank with these sizes (-1: any), often one of the last; -1: none. */
int pick(graph *g, int rank, int64_t rows, int64_t cols)
{
    int from = graph_chance(g, 0.5) && g->n > 5 ? g->n - 1 - graph_int(g, 5) : graph_int(g, g->n);
    for (int k = 0; k < g->n; k++) {
        int i = (from + k) % g->n;
        if (has(&g->value[i], rank, rows, cols))
            return i;
    }
    return -1;
}

/* The same again, where that fits, or another. */
int again(graph *g, int i, int rank, int64_t rows, int64_t cols)
{
    return has(&g->value[i], rank, rows, cols) && graph_chance(g, 0.35) ? i
           : pick(g, rank, rows, cols);
}

bool any(graph *g, graph_value *v)
{
    v->in[0] = pick(g, -1, -1, -1);
    v->x = graph_real(g, 0.25, 1.5) * (graph_chance(g, 0.5) ? 1 : -1);
    return true;
}

bool broadcasts(const bp_shape *a, const bp_shape *b)
{
    int64_t count = 1;
    for (int i = 1; i <= a->ndim || i <= b->ndim; i++) {
        int64_t m = i <= a->ndim ? a->dim[a->ndim - i] : 1;
        int64_t n = i <= b->ndim ? b->dim[b->ndim - i] : 1;
        if (m != n && m != 1 && n != 1)
            return false;
        count *= m > n ? m : n;
    }
    return count <= MOST;
}

bool two(graph *g, graph_value *v)
{
    int a = v->in[0] = v->in[1] = pick(g, -1, -1, -1), from = graph_int(g, g->n);
    for (int k = 0; k < g->n && !graph_chance(g, 0.2); k++) {
        int i = (from + k) % g->n;
        if (real_value(&g->value[i]) && broadcasts(&g->value[a].shape, &g->value[i].shape)) {
            v->in[1] = i;
            return true;
        }
    }
    return true;
}

bool three(graph *g, graph_value *v)
{
    int c = v->in[2] = pick(g, -1, -1, -1);
    bool good = two(g, v) && broadcasts(&g->value[v->in[0]].shape, &g->value[c].shape);
    return good && broadcasts(&g->value[v->in[1]].shape, &g->value[c].shape);
}

bool equal_shapes(const bp_shape *a, const bp_shape *b)
{
    return a->ndim == b->ndim && !memcmp(a->dim, b->dim, sizeof *a->dim * (size_t)a->ndim);
}

bool two_alike(graph *g, graph_value *v)
{
    for (int tries = 0; tries < 20; tries++) {
        v->in[0] = pick(g, -1, -1, -1);
        v->in[1] = graph_chance(g, 0.2) ? v->in[0] : pick(g, -1, -1, -1);
        if (equal_shapes(&g->value[v->in[0]].shape, &g->value[v->in[1]].shape))
            return true;
    }
    return false;
}

/* All elements of input k lie in [lo, hi]. */
bool within(const graph *g, const graph_value *v, int k, double lo, double hi)
{
    const values *in = &g->value[v->in[k]].v;
    for (int64_t i = 0; i < in->n; i++)
        if (!(in->v[i] >= lo && in->v[i] <= hi))
            return false;
    return true;
}

/* Where a range of tests begins above 0, the op is not defined below. */
bool in_domain(const graph *g, const graph_value *v, double lo, double hi, double lo_b,
               double hi_b)
{
    (void)hi, (void)hi_b;
    return (lo < 0 || within(g, v, 0, lo, 50)) && (lo_b < 0 || within(g, v, 1, lo_b, 50));
}

bool dropped(graph *g, graph_value *v)
{
    any(g, v);
    v->x = graph_chance(g, 0.5) ? 0.25 : 0.5;
    return true;
}

bool some_axes(graph *g, graph_value *v)
{
    any(g, v);
    v->a = graph_int(g, 1 << g->value[v->in[0]].shape.ndim);
    v->b = graph_chance(g, 0.5);
    return true;
}

bool an_axis(graph *g, graph_value *v)
{
    any(g, v);
    int rank = g->value[v->in[0]].shape.ndim;
    v->a = rank ? graph_int(g, rank) : 0;
    v->b = rank ? graph_int(g, rank) : 0;
    return rank > 0;
}

/* No two elements of input 0 are near each other: there is one largest. */
static bool apart(const graph *g, const graph_value *v)
{
    const values *in = &g->value[v->in[0]].v;
    for (int64_t i = 0; i < in->n; i++)
        for (int64_t j = 0; j < i; j++)
            if (!(fabs(in->v[i] - in->v[j]) > 0.01))
                return false;
    return true;
}

bool apart_axes(graph *g, graph_value *v)
{
    return some_axes(g, v) && apart(g, v);
}

bool apart_axis(graph *g, graph_value *v)
{
    return an_axis(g, v) && apart(g, v);
}

/* No element of input 0 is near 0, where a norm has a kink. */
bool far_axes(graph *g, graph_value *v)
{
    some_axes(g, v);
    const values *in = &g->value[v->in[0]].v;
    for (int64_t i = 0; i < in->n; i++)
        if (!(fabs(in->v[i]) > 0.1))
            return false;
    return true;
}

/* Rows, and gains and biases for them. */
bool normed(graph *g, graph_value *v)
{
    if (!an_axis(g, v))
        return false;
    const bp_shape *s = &g->value[v->in[0]].shape;
    v->in[1] = pick(g, 1, s->dim[s->ndim - 1], -1);
    v->in[2] = v->in[1] < 0 ? -1 : again(g, v->in[1], 1, s->dim[s->ndim - 1], -1);
    v->x = graph_real(g, 0.5, 1.5);
    return v->in[2] >= 0;
}

bool normed_columns(graph *g, graph_value *v)
{
    v->in[0] = pick(g, 2, -1, -1);
    const bp_shape *s = v->in[0] < 0 ? NULL : &g->value[v->in[0]].shape;
    v->in[1] = s && s->dim[0] > 1 ? pick(g, 1, s->dim[1], -1) : -1;
    v->in[2] = v->in[1] < 0 ? -1 : again(g, v->in[1], 1, s->dim[1], -1);
    v->x = graph_real(g, 0.5, 1.5);
    return v->in[2] >= 0;
}

bool factors(graph *g, graph_value *v)
{
    v->in[0] = pick(g, 2, -1, -1);
    if (v->in[0] >= 0)
        v->in[1] = again(g, v->in[0], 2, g->value[v->in[0]].shape.dim[1], -1);
    return v->in[0] >= 0 && v->in[1] >= 0;
}

/* A batch of matrices and another whose swapped ones fit and broadcast, or itself. */
bool factors_each(graph *g, graph_value *v)
{
    int a = v->in[0] = v->in[1] = pick(g, 3, -1, -1), from = graph_int(g, g->n);
    if (a < 0)
        return false;
    const int64_t *x = g->value[a].shape.dim;
    for (int k = 0; k < g->n && v->in[1] == a && !graph_chance(g, 0.1); k++) {
        int i = (from + k) % g->n;
        const int64_t *y = g->value[i].shape.dim;
        if (has(&g->value[i], 3, -1, -1) && (x[0] == y[0] || x[0] == 1 || y[0] == 1) &&
            x[2] == y[2])
            v->in[1] = i;
    }
    const int64_t *y = g->value[v->in[1]].shape.dim;
    return (x[0] > y[0] ? x[0] : y[0]) * x[1] * y[1] <= MOST;
}

/* q, k and v of one shape, or twice or thrice the same. */
bool attended(graph *g, graph_value *v)
{
    for (int tries = 0; tries < 20; tries++) {
        int q = v->in[0] = v->in[1] = v->in[2] = pick(g, -1, -1, -1);
        if (g->value[q].shape.ndim < 2)
            continue;
        for (int i = 1; i < 3; i++) {
            int other = pick(g, -1, -1, -1);
            if (equal_shapes(&g->value[q].shape, &g->value[other].shape))
                v->in[i] = other;
        }
        v->a = graph_chance(g, 0.5) ? BP_CAUSAL : 0;
        v->x = graph_chance(g, 0.5) ? 0.5 : 0.25;
        return within(g, v, 0, -4, 4) && within(g, v, 1, -4, 4);
    }
    return false;
}

bool scores(graph *g, graph_value *v)
{
    any(g, v);
    v->a = graph_chance(g, 0.5) ? BP_CAUSAL : 0;
    return g->value[v->in[0]].shape.ndim >= 2 && within(g, v, 0, -8, 8);
}

/* Often on the last layer with a ReLU: two of them hand over gradients. */
bool layer(graph *g, graph_value *v)
{
    v->in[0] = pick(g, 2, -1, -1);
    for (int i = g->n - 1; i >= 0 && graph_chance(g, 0.9); i--)
        if (g->value[i].kind == OPERATION && !strcmp(g->value[i].recipe->name, "linear_relu")) {
            v->in[0] = i;
            break;
        }
    v->in[1] = v->in[0] >= 0 ? again(g, v->in[0], 2, -1, g->value[v->in[0]].shape.dim[1]) : -1;
    v->in[2] = v->in[1] >= 0 ? pick(g, 1, g->value[v->in[1]].shape.dim[0], -1) : -1;
    v->x = graph_chance(g, 0.4) ? 0.25 : 0;
    return v->in[2] >= 0;
}

bool rows_of(graph *g, graph_value *v)
{
    if (!an_axis(g, v))
        return false;
    int64_t rows = g->value[v->in[0]].shape.dim[0];
    v->in[1] = graph_indices(g, INDEX, BP_SHAPE(1 + graph_int(g, 4)), (int)rows);
    return v->in[1] >= 0;
}

bool rows_normalized(graph *g, graph_value *v)
{
    v->in[2] = pick(g, 1, -1, -1);
    int64_t cols = v->in[2] < 0 ? 0 : g->value[v->in[2]].shape.dim[0];
    v->in[3] = cols ? again(g, v->in[2], 1, cols, -1) : -1;
    v->in[0] = !cols ? -1
               : graph_chance(g, 0.4) ? graph_indices(g, BYTES, BP_SHAPE(3, cols), 4)
                                      : pick(g, 2, -1, cols);
    if (v->in[0] < 0 || v->in[3] < 0)
        return false;
    int rows = (int)g->value[v->in[0]].shape.dim[0];
    v->in[1] = graph_indices(g, INDEX, BP_SHAPE(1 + graph_int(g, 4)), rows);
    return v->in[1] >= 0;
}

bool rows_to(graph *g, graph_value *v)
{
    if (!an_axis(g, v))
        return false;
    v->a = 1 + graph_int(g, 4);
    v->in[1] = graph_indices(g, INDEX, BP_SHAPE(g->value[v->in[0]].shape.dim[0]), v->a);
    return v->in[1] >= 0;
}

bool labelled(graph *g, graph_value *v)
{
    v->in[0] = pick(g, 2, -1, -1);
    const bp_shape *s = v->in[0] < 0 ? NULL : &g->value[v->in[0]].shape;
    v->in[1] = s ? graph_indices(g, INDEX, BP_SHAPE(s->dim[0]), (int)s->dim[1]) : -1;
    return v->in[1] >= 0;
}

bool spread(graph *g, graph_value *v)
{
    v->in[0] = pick(g, 0, -1, -1);
    v->a = 1 + graph_int(g, 3);
    v->in[1] = v->in[0] < 0 ? -1 : graph_indices(g, INDEX, BP_SHAPE(1 + graph_int(g, 4)), v->a);
    return v->in[1] >= 0;
}

bool matrices_alike(graph *g, graph_value *v)
{
    return two_alike(g, v) && g->value[v->in[0]].shape.ndim == 2 && within(g, v, 0, -4, 4) &&
           within(g, v, 1, -4, 4);
}

/* Another shape of as many elements: flat, or with its sizes moved on, or with a 1 more. */
bool reshaped(graph *g, graph_value *v)
{
    any(g, v);
    const bp_shape *s = &g->value[v->in[0]].shape;
    v->to = BP_SHAPE(bp_shape_count(*s));
    if (graph_chance(g, 0.7) && s->ndim > 0) {
        v->to = *s;
        for (int i = 0; i < s->ndim; i++)
            v->to.dim[i] = s->dim[(i + 1) % s->ndim];
        if (graph_chance(g, 0.5) && s->ndim < 4)
            v->to.dim[v->to.ndim++] = 1;
    }
    return true;
}

bool expanded(graph *g, graph_value *v)
{
    any(g, v);
    v->to = g->value[v->in[0]].shape;
    for (int i = 0; i < v->to.ndim; i++)
        if (v->to.dim[i] == 1 && graph_chance(g, 0.7))
            v->to.dim[i] = 3;
    if (v->to.ndim < 3 && graph_chance(g, 0.5)) {
        memmove(v->to.dim + 1, v->to.dim, sizeof *v->to.dim * (size_t)v->to.ndim++);
        v->to.dim[0] = 2;
    }
    return bp_shape_count(v->to) <= MOST;
}
