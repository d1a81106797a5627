/* The recipes of recipes.def, and what they are compared with. */
#include <string.h>

#include "choose.h"

#define CALL(name, expr)                                                       \
    static bp_tensor *name(const graph_value *v, bp_tensor *const *in)         \
    {                                                                          \
        (void)v;                                                               \
        return (expr);                                                         \
    }

CALL(product, bp_add(bp_matmul(in[0], bp_transpose(in[1], 0, 1)), in[2]))
CALL(weighted, bp_matmul(bp_attention_weights(
                   bp_scale(bp_matmul(in[0], bp_transpose(in[1], bp_shape_of(in[1]).ndim - 2,
                                                          bp_shape_of(in[1]).ndim - 1)), v->x),
                   (uint32_t)v->a), in[2]))
CALL(relu_product, bp_dropout(bp_relu(product(v, in)), v->x))
CALL(normalized, bp_mul(bp_add(bp_cast(bp_gather(in[0], in[1]), bp_dtype_of(in[2])),
                               bp_scale(in[2], -1)), in[3]))
CALL(soft_nll, bp_nll_loss(bp_log_softmax(in[0], 1), in[1]))
CALL(factor, bp_mul(in[0], in[1]))
CALL(first_input, in[0])
CALL(second_input, in[1])

/* Of losses: what makes them bend where it is 0. */
CALL(difference, bp_sub(in[0], in[1]))
CALL(bend, bp_shift(bp_abs(difference(v, in)), -0.75))
CALL(margin, bp_shift(bp_mul(in[0], in[1]), -0.5))

/* Of the rows of two matrices: the product of their lengths; of their difference and their sum,
 * or the loss between the two, whichever is nearer to 0. */
static bp_tensor *length(bp_tensor *x)
{
    return bp_norm_l2_axes(x, BP_AXIS(1), 0);
}
CALL(lengths, bp_mul(length(in[0]), length(in[1])))
static bp_tensor *sides(const graph_value *v, bp_tensor *const *in)
{
    bp_tensor *to = length(difference(v, in)), *from = length(bp_add(in[0], in[1]));
    bp_tensor *loss = bp_abs(bp_shift(bp_sub(to, from), 9));
    return bp_minimum(bp_minimum(to, from), loss);
}

/* Weights above 0 for the rows of in[0], and for its columns. */
static bp_tensor *weights(bp_tensor *const *in)
{
    return bp_sigmoid(bp_sum_axes(in[0], BP_AXIS(1), 0));
}

static bp_tensor *class_weights(bp_tensor *const *in)
{
    return bp_sigmoid(bp_sum_axes(in[0], BP_AXIS(0), 0));
}

static bp_tensor *uniform_like(const bp_tensor *t)
{
    return bp_uniform(bp_context_of(t), bp_dtype_of(t), bp_shape_of(t), 0, 1);
}

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

static bp_tensor *batch_norm(const graph_value *v, bp_tensor *const *in)
{
    bp_tensor *mean, *variance;
    return bp_batch_norm(in[0], in[1], in[2], v->x, &mean, &variance);
}

/* A cell of x = in[0], h = c = in[1] and weights made of both. */
typedef struct cell {
    bp_tensor *x, *h, *w, *b;
} cell;

static cell cell_of(bp_tensor *const *in, int64_t gates)
{
    bp_tensor *w = bp_tanh(bp_matmul(bp_transpose(in[0], 0, 1), in[1]));
    w = bp_tile(w, BP_SHAPE(gates, 1));
    return (cell){in[0], in[1], w, bp_sum_axes(w, BP_AXIS(1), 0)};
}

static bp_tensor *lstm(bp_tensor *const *in)
{
    cell k = cell_of(in, 4);
    bp_tensor *y[2];
    y[0] = bp_lstm_cell(k.x, k.h, k.h, k.w, k.w, k.b, k.b, &y[1]);
    return bp_concat(y, 2, 0);
}

static bp_tensor *gru(bp_tensor *const *in)
{
    cell k = cell_of(in, 3);
    return bp_gru_cell(k.x, k.h, k.w, k.w, k.b, k.b);
}

static bp_tensor *lstm_by_hand(const graph_value *v, bp_tensor *const *in)
{
    (void)v;
    cell k = cell_of(in, 1); /* all gates have the same weights */
    bp_tensor *gate = bp_add(bp_linear(k.x, k.w, k.b), bp_linear(k.h, k.w, k.b)), *y[2];
    bp_tensor *s = bp_sigmoid(gate);
    y[1] = bp_mul(s, bp_add(k.h, bp_tanh(gate)));
    y[0] = bp_mul(s, bp_tanh(y[1]));
    return bp_concat(y, 2, 0);
}

static bp_tensor *gru_by_hand(const graph_value *v, bp_tensor *const *in)
{
    (void)v;
    cell k = cell_of(in, 1);
    bp_tensor *x = bp_linear(k.x, k.w, k.b), *u = bp_linear(k.h, k.w, k.b);
    bp_tensor *s = bp_sigmoid(bp_add(x, u));
    bp_tensor *m = bp_tanh(bp_add(x, bp_mul(s, u)));
    return bp_add(m, bp_mul(s, bp_sub(k.h, m)));
}

/* What an op of the lists takes: values it is tested with, or such as it is defined for. */
#define FIRST_TWO(lo, hi, ...) lo, hi
#define ALL_FOUR(lo, hi, lo_b, hi_b, ...) lo, hi, lo_b, hi_b
#define APPLY(macro, ...) macro(__VA_ARGS__)
#define UNPACK(...) __VA_ARGS__
#define BPI_UNARY_OP(name, p, tp, q, tq, wanted, saved, tested, ...)                \
    static bool name##_input(graph *g, graph_value *v)                              \
    {                                                                               \
        return any(g, v) && within(g, v, 0, APPLY(FIRST_TWO, UNPACK tested));       \
    }
#include "door/unary.def"
#define BPI_BINARY_OP(name, types, saved, tested, ...)                                  \
    static bool name##_inputs(graph *g, graph_value *v)                             \
    {                                                                               \
        return two(g, v) && in_domain(g, v, APPLY(ALL_FOUR, UNPACK tested));        \
    }
#include "door/binary.def"

/* A number of integers with a history: that of the sum of x. */
static bp_tensor *with_sum(bp_tensor *x, bp_tensor *integers)
{
    return bp_add(bp_sum(x), bp_cast(integers, bp_dtype_of(x)));
}

#define RECIPE(name, op, n, choose, ...) CALL(call_##name, __VA_ARGS__)
#define RECIPE_OF(name, op, n, choose, call, composed, kink) CALL(call_##name, call)
#include "recipes.def"

const recipe graph_recipes[] = {
#define RECIPE(name, op, n, choose, ...) {#name, #op, n, choose, call_##name, NULL, NULL},
#define RECIPE_OF(name, op, n, choose, call, composed, kink) \
    {#name, #op, n, choose, call_##name, composed, kink},
#include "recipes.def"
};
const int graph_recipes_n = sizeof graph_recipes / sizeof *graph_recipes;

const recipe *graph_recipe(const char *name)
{
    for (int i = 0; i < graph_recipes_n; i++)
        if (!strcmp(graph_recipes[i].name, name))
            return &graph_recipes[i];
    return NULL;
}
