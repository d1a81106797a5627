/* What recipes of slices, parts and indices along an axis take of the values that are there. */
#include "choose.h"

bool permuted(graph *g, graph_value *v)
{
    any(g, v);
    int n = v->to.ndim = g->value[v->in[0]].shape.ndim, from = n ? graph_int(g, n) : 0;
    bool back = graph_chance(g, 0.5);
    for (int i = 0; i < n; i++)
        v->to.dim[i] = back ? (from + n - i) % n : (from + i) % n;
    return true;
}

bool matrix(graph *g, graph_value *v)
{
    v->in[0] = pick(g, 2, -1, -1);
    v->a = graph_int(g, 3) - 1;
    return v->in[0] >= 0;
}

/* Not empty, in either direction. */
bool sliced(graph *g, graph_value *v)
{
    if (!an_axis(g, v))
        return false;
    int size = (int)g->value[v->in[0]].shape.dim[v->a], begin = graph_int(g, size);
    int step = 1 + graph_int(g, 2), count = 1 + graph_int(g, size);
    v->to = graph_chance(g, 0.5) ? BP_SHAPE(begin, begin + count * step, step)
                                 : BP_SHAPE(begin, begin - size - count * step, -step);
    return true;
}

bool joined(graph *g, graph_value *v)
{
    if (!an_axis(g, v))
        return false;
    const bp_shape *a = &g->value[v->in[0]].shape;
    for (int tries = 0; tries < 20; tries++) {
        v->in[1] = graph_chance(g, 0.2) ? v->in[0] : pick(g, a->ndim, -1, -1);
        bp_shape b = g->value[v->in[1]].shape;
        int64_t size = b.dim[v->a];
        b.dim[v->a] = a->dim[v->a];
        if (equal_shapes(a, &b))
            return bp_shape_count(*a) / a->dim[v->a] * (a->dim[v->a] + size) <= MOST;
    }
    return false;
}

bool stacked(graph *g, graph_value *v)
{
    if (!two_alike(g, v))
        return false;
    const bp_shape *s = &g->value[v->in[0]].shape;
    v->a = graph_int(g, s->ndim + 1);
    return s->ndim < 4 && 2 * bp_shape_count(*s) <= MOST;
}

bool padded(graph *g, graph_value *v)
{
    if (!an_axis(g, v))
        return false;
    const bp_shape *s = &g->value[v->in[0]].shape;
    v->to = BP_SHAPE(graph_int(g, 3), graph_int(g, 3));
    return bp_shape_count(*s) / s->dim[v->a] * (s->dim[v->a] + 4) <= MOST;
}

bool tiled(graph *g, graph_value *v)
{
    any(g, v);
    const bp_shape *s = &g->value[v->in[0]].shape;
    int64_t count = bp_shape_count(*s);
    v->to.ndim = s->ndim;
    for (int i = 0; i < s->ndim; i++)
        count *= v->to.dim[i] = 1 + graph_int(g, 2);
    return count <= MOST;
}

bool taken(graph *g, graph_value *v)
{
    if (!an_axis(g, v))
        return false;
    const bp_shape *s = &g->value[v->in[0]].shape;
    bp_shape index = graph_chance(g, 0.5) ? BP_SHAPE(1 + graph_int(g, 3)) : BP_SHAPE(2, 1);
    v->in[1] = graph_indices(g, INDEX, index, (int)s->dim[v->a]);
    return v->in[1] >= 0 && bp_shape_count(*s) / s->dim[v->a] * 3 <= MOST;
}

/* An index with the sizes of input 0, but for the axis. */
static bool indexed_along(graph *g, graph_value *v, int64_t size, int limit)
{
    bp_shape index = g->value[v->in[0]].shape;
    index.dim[v->a] = size;
    v->in[1] = bp_shape_count(index) <= MOST ? graph_indices(g, INDEX, index, limit) : -1;
    return v->in[1] >= 0;
}

bool taken_along(graph *g, graph_value *v)
{
    return an_axis(g, v) && indexed_along(g, v, 1 + graph_int(g, 4),
                                          (int)g->value[v->in[0]].shape.dim[v->a]);
}

bool added_along(graph *g, graph_value *v)
{
    if (!an_axis(g, v))
        return false;
    const bp_shape *s = &g->value[v->in[0]].shape;
    v->b = 1 + graph_int(g, 4);
    return bp_shape_count(*s) / s->dim[v->a] * v->b <= MOST &&
           indexed_along(g, v, s->dim[v->a], v->b);
}
