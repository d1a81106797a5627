/* The ops that random graphs are made of: what each takes of what is there, how it is called. */
#include <math.h>
#include <string.h>

#include "graphs.h"

enum { MOST = 36 }; /* elements of a value */

/* --- choosing -------------------------------------------------------------------------------- */

static bool real_value(const graph_value *v)
{
    return v->kind != INDEX && v->kind != BYTES;
}

static bool has(const graph_value *v, int rank, int64_t rows, int64_t cols)
{
    return real_value(v) && (rank < 0 || v->shape.ndim == rank) &&
           (rows < 0 || v->shape.dim[0] == rows) && (cols < 0 || v->shape.dim[1] == cols);
}

/* A value of this rank with these sizes (-1: any), often one of the last; -1: none. */
static int pick(graph *g, int rank, int64_t rows, int64_t cols)
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
static int again(graph *g, int i, int rank, int64_t rows, int64_t cols)
{
    return has(&g->value[i], rank, rows, cols) && graph_chance(g, 0.35) ? i
           : pick(g, rank, rows, cols);
}

static bool any(graph *g, graph_value *v)
{
    v->in[0] = pick(g, -1, -1, -1);
    v->x = graph_real(g, 0.25, 1.5) * (graph_chance(g, 0.5) ? 1 : -1);
    return true;
}

static bool broadcasts(const bp_shape *a, const bp_shape *b)
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

static bool two(graph *g, graph_value *v)
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

static bool equal_shapes(const bp_shape *a, const bp_shape *b)
{
    return a->ndim == b->ndim && !memcmp(a->dim, b->dim, sizeof *a->dim * (size_t)a->ndim);
}

static bool two_alike(graph *g, graph_value *v)
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
static bool within(const graph *g, const graph_value *v, int k, double lo, double hi)
{
    const values *in = &g->value[v->in[k]].v;
    for (int64_t i = 0; i < in->n; i++)
        if (!(in->v[i] >= lo && in->v[i] <= hi))
            return false;
    return true;
}

static bool small(graph *g, graph_value *v)
{
    return any(g, v) && within(g, v, 0, -4, 2);
}

static bool positive(graph *g, graph_value *v)
{
    return any(g, v) && within(g, v, 0, 0.2, 50);
}

static bool quotient(graph *g, graph_value *v)
{
    return two(g, v) && (within(g, v, 1, 0.3, 50) || within(g, v, 1, -50, -0.3));
}

static bool elu_of(graph *g, graph_value *v)
{
    any(g, v);
    v->x = graph_real(g, 0.3, 1.5);
    return true;
}

static bool dropped(graph *g, graph_value *v)
{
    any(g, v);
    v->x = graph_chance(g, 0.5) ? 0.25 : 0.5;
    return true;
}

static bool some_axes(graph *g, graph_value *v)
{
    any(g, v);
    v->a = graph_int(g, 1 << g->value[v->in[0]].shape.ndim);
    v->b = graph_chance(g, 0.5);
    return true;
}

static bool an_axis(graph *g, graph_value *v)
{
    any(g, v);
    int rank = g->value[v->in[0]].shape.ndim;
    v->a = rank ? graph_int(g, rank) : 0;
    v->b = rank ? graph_int(g, rank) : 0;
    return rank > 0;
}

static bool factors(graph *g, graph_value *v)
{
    v->in[0] = pick(g, 2, -1, -1);
    if (v->in[0] >= 0)
        v->in[1] = again(g, v->in[0], 2, g->value[v->in[0]].shape.dim[1], -1);
    return v->in[0] >= 0 && v->in[1] >= 0;
}

static bp_tensor *linear_relu(const graph_value *v, bp_tensor *const *in);

/* Often on the last layer with a ReLU: two of them hand over gradients. */
static bool layer(graph *g, graph_value *v)
{
    v->in[0] = pick(g, 2, -1, -1);
    for (int i = g->n - 1; i >= 0 && graph_chance(g, 0.9); i--)
        if (g->value[i].kind == OPERATION && g->value[i].recipe->apply == linear_relu) {
            v->in[0] = i;
            break;
        }
    v->in[1] = v->in[0] >= 0 ? again(g, v->in[0], 2, -1, g->value[v->in[0]].shape.dim[1]) : -1;
    v->in[2] = v->in[1] >= 0 ? pick(g, 1, g->value[v->in[1]].shape.dim[0], -1) : -1;
    v->x = graph_chance(g, 0.4) ? 0.25 : 0;
    return v->in[2] >= 0;
}

static bool rows_of(graph *g, graph_value *v)
{
    if (!an_axis(g, v))
        return false;
    int64_t rows = g->value[v->in[0]].shape.dim[0];
    v->in[1] = graph_indices(g, INDEX, BP_SHAPE(1 + graph_int(g, 4)), (int)rows);
    return v->in[1] >= 0;
}

static bool rows_normalized(graph *g, graph_value *v)
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

static bool rows_to(graph *g, graph_value *v)
{
    if (!an_axis(g, v))
        return false;
    v->a = 1 + graph_int(g, 4);
    v->in[1] = graph_indices(g, INDEX, BP_SHAPE(g->value[v->in[0]].shape.dim[0]), v->a);
    return v->in[1] >= 0;
}

static bool labelled(graph *g, graph_value *v)
{
    v->in[0] = pick(g, 2, -1, -1);
    const bp_shape *s = v->in[0] < 0 ? NULL : &g->value[v->in[0]].shape;
    v->in[1] = s ? graph_indices(g, INDEX, BP_SHAPE(s->dim[0]), (int)s->dim[1]) : -1;
    return v->in[1] >= 0;
}

static bool spread(graph *g, graph_value *v)
{
    v->in[0] = pick(g, 0, -1, -1);
    v->a = 1 + graph_int(g, 3);
    v->in[1] = v->in[0] < 0 ? -1 : graph_indices(g, INDEX, BP_SHAPE(1 + graph_int(g, 4)), v->a);
    return v->in[1] >= 0;
}

/* Another shape of as many elements: flat, or with its sizes moved on, or with a 1 more. */
static bool reshaped(graph *g, graph_value *v)
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

static bool expanded(graph *g, graph_value *v)
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

/* --- calling --------------------------------------------------------------------------------- */

#define CALL(name, expr)                                                       \
    static bp_tensor *name(const graph_value *v, bp_tensor *const *in)         \
    {                                                                          \
        (void)v;                                                               \
        return (expr);                                                         \
    }

CALL(add, bp_add(in[0], in[1]))
CALL(mul, bp_mul(in[0], in[1]))
CALL(divide, bp_div(in[0], in[1]))
CALL(scale, bp_scale(in[0], v->x))
CALL(exponential, bp_exp(in[0]))
CALL(logarithm, bp_log(in[0]))
CALL(relu, bp_relu(in[0]))
CALL(elu, bp_elu(in[0], v->x))
CALL(gate, bp_gate(in[0], in[1]))
CALL(dropout, bp_dropout(in[0], v->x))
CALL(copy, bp_cast(in[0], bp_dtype_of(in[0])))
CALL(sum, bp_sum_axes(in[0], (uint32_t)v->a, v->b))
CALL(log_softmax, bp_log_softmax(in[0], v->a))
CALL(matmul, bp_matmul(in[0], in[1]))
CALL(linear, bp_linear(in[0], in[1], in[2]))
CALL(linear_relu, bp_linear_relu(in[0], in[1], in[2], v->x))
CALL(gather, bp_gather(in[0], in[1]))
CALL(scatter_rows, bp_scatter_rows(in[0], in[1], v->a))
CALL(nll_loss, bp_nll_loss(in[0], in[1]))
CALL(nll_spread, bp_nll_spread(in[0], in[1], v->a))
CALL(cross_entropy, bp_cross_entropy(in[0], in[1]))
CALL(transpose, bp_transpose(in[0], v->a, v->b))
CALL(reshape, bp_reshape(in[0], v->to))
CALL(expand, bp_expand(in[0], v->to))
CALL(own, graph_own(in[0], in[1]))

CALL(product, bp_add(bp_matmul(in[0], bp_transpose(in[1], 0, 1)), in[2]))
CALL(relu_product, bp_dropout(bp_relu(product(v, in)), v->x))
CALL(normalized, bp_mul(bp_add(bp_cast(bp_gather(in[0], in[1]), bp_dtype_of(in[2])),
                               bp_scale(in[2], -1)), in[3]))

/* shift and scale as f64, which they are already unless the graph runs in f32. */
static bp_tensor *gather_normalized(const graph_value *v, bp_tensor *const *in)
{
    (void)v;
    bp_dtype real = bp_dtype_of(in[2]);
    bp_tensor *shift = real == BP_F64 ? in[2] : bp_cast(in[2], BP_F64), *scale = in[3];
    if (in[3] == in[2])
        scale = shift;
    else if (real != BP_F64)
        scale = bp_cast(in[3], BP_F64);
    return bp_gather_normalized(in[0], in[1], shift, scale, real);
}

CALL(soft_nll, bp_nll_loss(bp_log_softmax(in[0], 1), in[1]))
CALL(first_input, in[0])
CALL(second_input, in[1])

const recipe graph_recipes[] = {
    {"add", "add", 2, two, add, NULL, NULL},
    {"mul", "mul", 2, two, mul, NULL, NULL},
    {"div", "div", 2, quotient, divide, NULL, NULL},
    {"scale", "scale", 1, any, scale, NULL, NULL},
    {"exp", "exp", 1, small, exponential, NULL, NULL},
    {"log", "log", 1, positive, logarithm, NULL, NULL},
    {"relu", "relu", 1, any, relu, NULL, first_input},
    {"elu", "elu", 1, elu_of, elu, NULL, first_input},
    {"gate", "gate", 2, two_alike, gate, NULL, second_input},
    {"dropout", "dropout", 1, dropped, dropout, NULL, NULL},
    {"cast", "copy", 1, any, copy, NULL, NULL},
    {"sum", "sum", 1, some_axes, sum, NULL, NULL},
    {"log_softmax", "log_softmax", 1, an_axis, log_softmax, NULL, NULL},
    {"matmul", "matmul", 2, factors, matmul, NULL, NULL},
    {"linear", "linear", 3, layer, linear, product, NULL},
    {"linear_relu", "linear", 3, layer, linear_relu, relu_product, product},
    {"gather", "gather", 2, rows_of, gather, NULL, NULL},
    {"gather_normalized", "gather_normalized", 4, rows_normalized, gather_normalized, normalized,
     NULL},
    {"scatter_rows", "scatter_rows", 2, rows_to, scatter_rows, NULL, NULL},
    {"nll_loss", "nll_loss", 2, labelled, nll_loss, NULL, NULL},
    {"nll_spread", "nll_spread", 2, spread, nll_spread, NULL, NULL},
    {"cross_entropy", "cross_entropy", 2, labelled, cross_entropy, soft_nll, NULL},
    {"transpose", "transpose", 1, an_axis, transpose, NULL, NULL},
    {"reshape", "reshape", 1, reshaped, reshape, NULL, NULL},
    {"expand", "expand", 1, expanded, expand, NULL, NULL},
    {"own", "", 2, two_alike, own, mul, NULL},
};
const int graph_recipes_n = sizeof graph_recipes / sizeof *graph_recipes;

const recipe *graph_recipe(const char *name)
{
    for (int i = 0; i < graph_recipes_n; i++)
        if (!strcmp(graph_recipes[i].name, name))
            return &graph_recipes[i];
    return NULL;
}
