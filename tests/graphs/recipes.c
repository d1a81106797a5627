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

/* Ones that were moved, as one row of pixels: fewer at its ends. */
static bp_tensor *moved_ones(bp_tensor *t)
{
    const bp_shape is = bp_shape_of(t);
    bp_tensor *row = bp_reshape(bp_full_like(t, 1), BP_SHAPE(1, 1, bp_shape_count(is)));
    return bp_reshape(bp_augment(row, "flip elastic=2,1"), is);
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

/* A matrix as an image of one channel, and as a filter over all of it but for the padding. */
static bp_tensor *conv2d(bp_tensor *const *in)
{
    const bp_shape s = bp_shape_of(in[0]), image = BP_SHAPE(1, s.dim[0], s.dim[1], 1);
    bp_tensor *y = bp_conv2d_unbiased(bp_reshape(in[0], image), bp_reshape(in[1], image),
                                      (bp_window){.pad = {1, 1, 1, 1}});
    return bp_reshape(y, BP_SHAPE(3, 3));
}

static bp_tensor *correlated(const graph_value *v, bp_tensor *const *in)
{
    (void)v;
    const bp_shape s = bp_shape_of(in[0]);
    bp_tensor *x = bp_pad(bp_pad(in[0], 0, 1, 1, 0), 1, 1, 1, 0), *y[9];
    for (int i = 0; i < 9; i++) {
        const int row = i / 3, column = i % 3;
        bp_tensor *seen = bp_slice(bp_slice(x, 0, row, row + s.dim[0], 1), 1, column,
                                   column + s.dim[1], 1);
        y[i] = bp_sum(bp_mul(seen, in[1]));
    }
    return bp_reshape(bp_stack(y, 9, 0), BP_SHAPE(3, 3));
}

/* A matrix [L, C] as a signal; the other one as filters of L taps for each of its channels, or as a
 * signal too. */
static bp_tensor *conv2d_input(bp_tensor *const *in)
{
    const bp_shape s = bp_shape_of(in[0]);
    const int64_t length = s.dim[0], width = 2 * length - 1;
    bp_tensor *w = bp_reshape(bp_transpose(in[1], 0, 1), BP_SHAPE(s.dim[1], 1, length, 1));
    bp_tensor *y = bp_reshape(in[0], BP_SHAPE(1, 1, length, s.dim[1]));
    return bp_reshape(bp_conv2d_input(y, w, 1, width, (bp_window){0}), BP_SHAPE(width));
}

static bp_tensor *conv2d_filter(bp_tensor *const *in)
{
    const bp_shape s = bp_shape_of(in[0]), signal = BP_SHAPE(1, 1, s.dim[0], s.dim[1]);
    bp_tensor *w = bp_conv2d_filter(bp_reshape(in[0], signal), bp_reshape(in[1], signal), 1, 2,
                                    (bp_window){.pad = {0, 1, 0, 0}});
    return bp_reshape(bp_sum_axes(w, BP_AXIS(3), 0), BP_SHAPE(s.dim[1], 2));
}

/* x as images of one row, along axis v->a. */
static bp_tensor *as_lines(const graph_value *v, bp_tensor *x)
{
    const bp_shape s = bp_shape_of(x);
    bp_shape lines = BP_SHAPE(1, 1, s.dim[v->a], 1);
    for (int i = 0; i < s.ndim; i++)
        if (i != v->a)
            lines.dim[i < v->a ? 0 : 3] *= s.dim[i];
    return bp_reshape(x, lines);
}

/* Of each element and the one before it. */
enum { MAX_POOL, MAX_PICK, MAX_SPREAD, AVG_POOL, AVG_SPREAD };
static bp_tensor *pooled(const graph_value *v, bp_tensor *x, int what)
{
    const bp_window how = {.stride = {1, 1}, .pad = {0, 1, 0, 0}};
    bp_tensor *lines = as_lines(v, x), *places = NULL, *y = NULL, *square = bp_square(lines);
    const int64_t size = bp_shape_of(lines).dim[2];
    if (what <= MAX_SPREAD)
        y = bp_max_pool(lines, 1, 2, how, &places);
    switch (what) {
    case MAX_PICK: y = bp_max_pick(square, places, 1, 2, how); break;
    case MAX_SPREAD: y = bp_max_spread(square, places, 1, 2, 1, size, how); break;
    case AVG_POOL: y = bp_avg_pool(lines, 1, 2, how); break;
    case AVG_SPREAD: y = bp_avg_spread(lines, 1, 2, 1, size, how); break;
    }
    return bp_reshape(y, bp_shape_of(x));
}

static bp_tensor *resized(const graph_value *v, bp_tensor *x,
                          bp_tensor *(*resize)(bp_tensor *, int64_t, int64_t), int64_t size)
{
    bp_shape s = bp_shape_of(x);
    s.dim[v->a] = size;
    return bp_reshape(resize(as_lines(v, x), 1, size), s);
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
