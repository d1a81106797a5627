/* How each op is called. The table itself, and the values: op_cases.c. */
#include <math.h>
#include <string.h>

#include "op_cases.h"

static int build_cross_entropy(const op_case *c, bp_dtype real, bp_tensor *const *in,
                               bp_tensor **out)
{
    (void)c, (void)real;
    out[0] = bp_cross_entropy_correct(in[0], in[1], &out[1]);
    return out[0] && out[1] ? 2 : 0;
}

/* A loss each, their sum, or their mean: over the sum of counts. */
static bp_tensor *reduced(const op_case *c, bp_tensor *each, bp_tensor *counts)
{
    if (c->a == BP_EACH)
        return each;
    if (c->a == BP_SUM || !counts)
        return c->a == BP_SUM ? bp_sum(each) : bp_mean(each);
    return bp_div(bp_sum(each), bp_sum(counts));
}

/* -sum_j q_j log_softmax(x)_j of rows, or pixels, with q from a one-hot. */
static bp_tensor *labelled_by_hand(const op_case *c, bp_dtype real, bp_tensor *const *in,
                                   bp_tensor *weights)
{
    const int64_t classes = bp_shape_of(in[0]).dim[1];
    bp_tensor *kept = bp_not_equal(in[1], bp_full_like(in[1], (double)c->b));
    bp_tensor *hot = bp_one_hot(bp_mul(in[1], kept), classes, real), *counts = bp_cast(kept, real);
    bp_tensor *q = bp_shift(bp_scale(hot, 1 - c->x), c->x / (double)classes);
    if (weights) {
        q = bp_mul(q, weights);
        counts = bp_mul(counts, bp_sum_axes(bp_mul(hot, weights), BP_AXIS(1), 0));
    }
    if (bp_shape_of(q).ndim == 3)
        q = bp_transpose(q, 1, 2);
    bp_tensor *each = bp_neg(bp_sum_axes(bp_mul(bp_log_softmax(in[0], 1), q), BP_AXIS(1), 0));
    return reduced(c, bp_mul(each, bp_cast(kept, real)), counts);
}

static int build_batch_norm(const op_case *c, bp_dtype real, bp_tensor *const *in,
                            bp_tensor **out)
{
    (void)real;
    out[0] = bp_batch_norm(in[0], in[1], in[2], c->x, &out[1], &out[2]);
    return out[0] && out[1] && out[2] ? 3 : 0;
}

static int build_sort(const op_case *c, bp_dtype real, bp_tensor *const *in, bp_tensor **out)
{
    (void)real;
    out[0] = bp_sort(in[0], (int32_t)c->a, (int32_t)c->b, &out[1]);
    return out[0] && out[1] ? 2 : 0;
}

/* The places alone. */
static int build_sort_places(const op_case *c, bp_dtype real, bp_tensor *const *in,
                             bp_tensor **out)
{
    (void)real;
    return bp_sort(in[0], (int32_t)c->a, (int32_t)c->b, &out[0]) != NULL;
}

static int build_top_k(const op_case *c, bp_dtype real, bp_tensor *const *in, bp_tensor **out)
{
    (void)real;
    out[0] = bp_top_k(in[0], (int64_t)c->x, (int32_t)c->a, (int32_t)c->b, &out[1]);
    return out[0] && out[1] ? 2 : 0;
}

static const char *const augment_texts[] = {"shift=2 flip", "crop=3 flip", "elastic=34,4",
                                            "shift=1 crop=2 elastic=8,0.75", ""};

/* A layer stack: gradients are handed from one linear_relu to the other. */
static int build_stack(const op_case *c, bp_dtype real, bp_tensor *const *in, bp_tensor **out)
{
    (void)real;
    bp_tensor *h = bp_linear_relu(in[0], in[1], in[2], c->x);
    out[0] = bp_linear_relu(bp_linear_relu(h, in[1], in[2], 0), in[1], in[2], c->x);
    return out[0] != NULL;
}

/* Parts of unequal sizes, of which one is left out and one counts twice. */
static int build_parts(const op_case *c, bp_dtype real, bp_tensor *const *in, bp_tensor **out)
{
    (void)real;
    bp_tensor *part[3], *again[3];
    int64_t size = bp_shape_of(in[0]).dim[c->a], sizes[3] = {size / 4, size - size / 4 - 2, 2};
    if (!bp_split(in[0], (int32_t)c->a, 3, sizes, part))
        return 0;
    again[0] = part[2];
    again[1] = part[1];
    again[2] = part[2];
    in = again;
    out[0] = bp_concat(in, 3, (int32_t)c->a);
    return out[0] != NULL;
}

/* Fused ops in primitives, by hand: what the library's own compositions are held to. */
static bp_tensor *product(bp_tensor *const *in)
{
    return bp_add(bp_matmul(in[0], bp_transpose(in[1], 0, 1)), in[2]);
}

static bp_tensor *scores(const op_case *c, bp_tensor *const *in)
{
    bp_shape k = bp_shape_of(in[1]);
    double scale = c->x != 0 ? c->x : 1 / sqrt((double)(k.dim[k.ndim - 1] + !k.dim[k.ndim - 1]));
    return bp_scale(bp_matmul(in[0], bp_transpose(in[1], k.ndim - 2, k.ndim - 1)), scale);
}

/* Softmax, multiplied by a mask of 0 and 1 and taken relative to what is left: another way than the
 * library's. Rows without a key give 0. */
static bp_tensor *masked_weights(const op_case *c, bp_tensor *const *in)
{
    bp_tensor *x = scores(c, in);
    uint32_t flags = (uint32_t)c->a;
    if (bp_dtype_of(in[3]) != BP_U8)
        return bp_attention_weights(bp_add(x, in[3]), flags);
    bp_tensor *kept = bp_mul(bp_attention_weights(x, flags), bp_cast(in[3], bp_dtype_of(x)));
    bp_tensor *left = bp_sum_axes(kept, BP_AXIS(bp_shape_of(x).ndim - 1), 1);
    /* + 1 where nothing is left, so that 0 / 1 is 0 */
    bp_tensor *none = bp_exp(bp_scale(left, -1e30));
    return bp_div(kept, bp_add(left, none));
}

bp_window op_window(const op_case *c)
{
    const bool conv = !strncmp(c->builder, "conv", 4);
    bp_window how = {.groups = conv ? (int32_t)c->a : 0};
    for (int i = 0; i < 2 && c->shape.ndim == 8; i++) {
        how.stride[i] = (int32_t)c->shape.dim[i];
        how.dilation[i] = (int32_t)c->shape.dim[2 + i];
        how.pad[i] = (int32_t)c->shape.dim[4 + i];
        how.pad[2 + i] = (int32_t)c->shape.dim[6 + i];
    }
    return how;
}

/* The pixels of x that tap i of a window finds, along an axis; x is padded already. */
static bp_tensor *tapped(const bp_window *how, bp_tensor *x, int axis, int64_t i, int64_t taps)
{
    const int64_t step = how->stride[axis] ? how->stride[axis] : 1;
    const int64_t apart = how->dilation[axis] ? how->dilation[axis] : 1;
    const int64_t end = bp_shape_of(x).dim[1 + axis] - (taps - 1 - i) * apart;
    return bp_slice(x, 1 + axis, i * apart, end, step);
}

/* A convolution tap by tap, each a product of all pixels with the filters' weights there. */
static bp_tensor *convolved(const op_case *c, bp_tensor *const *in)
{
    const bp_window how = op_window(c);
    const int64_t groups = how.groups ? how.groups : 1;
    const bp_shape s = bp_shape_of(in[1]);
    const int64_t og = s.dim[0] / groups, cg = s.dim[3];
    bp_tensor *x = bp_pad(in[0], 1, how.pad[0], how.pad[2], 0), *y = NULL;
    x = bp_pad(x, 2, how.pad[1], how.pad[3], 0);
    for (int64_t r = 0; r < s.dim[1]; r++)
        for (int64_t k = 0; k < s.dim[2]; k++) {
            bp_tensor *at = tapped(&how, tapped(&how, x, 0, r, s.dim[1]), 1, k, s.dim[2]);
            bp_tensor *w = bp_slice(bp_slice(in[1], 1, r, r + 1, 1), 2, k, k + 1, 1), *part = NULL;
            w = bp_squeeze(w, BP_AXIS(1) | BP_AXIS(2));
            for (int64_t g = 0; g < groups; g++) {
                bp_tensor *of = bp_transpose(bp_slice(w, 0, g * og, (g + 1) * og, 1), 0, 1);
                bp_tensor *one = bp_matmul(bp_slice(at, 3, g * cg, (g + 1) * cg, 1), of);
                part = part ? bp_concat((bp_tensor *[]){part, one}, 2, 3) : one;
            }
            y = y ? bp_add(y, part) : part;
        }
    return y;
}

static int build_max_pool(const op_case *c, bp_dtype real, bp_tensor *const *in, bp_tensor **out)
{
    (void)real;
    out[0] = bp_max_pool(in[0], (int64_t)c->x, (int64_t)c->y, op_window(c), &out[1]);
    return out[0] && out[1] ? 2 : 0;
}

static bp_tensor *normalized(bp_dtype real, bp_tensor *const *in)
{
    bp_tensor *rows = bp_cast(bp_gather(in[0], in[1]), real);
    return bp_mul(bp_add(rows, bp_scale(in[2], -1)), in[3]);
}

/* The weights of a cell are one tensor [k H, I + H + 2]: w_ih, w_hh, b_ih, b_hh. */
static bp_tensor *columns(bp_tensor *w, int64_t begin, int64_t end)
{
    return bp_slice(w, 1, begin, end, 1);
}

static bp_tensor *column(bp_tensor *w, int64_t at)
{
    return bp_squeeze(columns(w, at, at + 1), BP_AXIS(1));
}

typedef struct cell_weights {
    bp_tensor *w_ih, *w_hh, *b_ih, *b_hh;
} cell_weights;

static cell_weights weights_of(bp_tensor *x, bp_tensor *h, bp_tensor *w)
{
    int64_t i = bp_shape_of(x).dim[1], n = i + bp_shape_of(h).dim[1];
    return (cell_weights){columns(w, 0, i), columns(w, i, n), column(w, n), column(w, n + 1)};
}

/* h', and the new state in *c_next or behind h'. */
static bp_tensor *lstm_cell(bp_tensor *const *in, bp_tensor **c_next)
{
    bp_tensor *c = NULL;
    cell_weights w = weights_of(in[0], in[1], in[3]);
    bp_tensor *y = bp_lstm_cell(in[0], in[1], in[2], w.w_ih, w.w_hh, w.b_ih, w.b_hh, &c);
    if (c_next)
        *c_next = c;
    return y;
}

static int build_lstm(const op_case *c, bp_dtype real, bp_tensor *const *in, bp_tensor **out)
{
    (void)c, (void)real;
    bp_tensor *both[2];
    both[0] = lstm_cell(in, &both[1]);
    out[0] = bp_concat(both, 2, 1);
    return out[0] != NULL;
}

static bp_tensor *gru_cell(bp_tensor *const *in)
{
    cell_weights w = weights_of(in[0], in[1], in[2]);
    return bp_gru_cell(in[0], in[1], w.w_ih, w.w_hh, w.b_ih, w.b_hh);
}

/* Over x [T, N, I], T <= 8: h' of every step, [T, N, H]. */
static bp_tensor *steps(bp_tensor *const *in, bool lstm)
{
    const int32_t n = (int32_t)bp_shape_of(in[0]).dim[0];
    bp_tensor *h[8], *at[4] = {NULL, in[1], in[2], in[3]};
    for (int32_t t = 0; t < n; t++) {
        at[0] = bp_squeeze(bp_slice(in[0], 0, t, t + 1, 1), BP_AXIS(0));
        h[t] = at[1] = lstm ? lstm_cell(at, &at[2]) : gru_cell(at);
    }
    return bp_stack(h, n, 0);
}

static int build_lstm_steps(const op_case *c, bp_dtype real, bp_tensor *const *in, bp_tensor **out)
{
    (void)c, (void)real;
    out[0] = steps(in, true);
    return out[0] != NULL;
}

static int build_gru_steps(const op_case *c, bp_dtype real, bp_tensor *const *in, bp_tensor **out)
{
    (void)c, (void)real;
    bp_tensor *with[4] = {in[0], in[1], in[2], NULL};
    out[0] = steps(with, false);
    return out[0] != NULL;
}

/* The loss of examples/pinn.c with a net of 1-H-1: x [N, 1], weights [H, 3] (of the first layer,
 * its bias, of the second), the last bias [1]. */
static int build_pinn(const op_case *c, bp_dtype real, bp_tensor *const *in, bp_tensor **out)
{
    (void)c, (void)real;
    bp_context *ctx = bp_context_of(in[0]);
    bp_tensor *x = in[0], *w = in[1], *d1 = NULL, *d2 = NULL;
    bp_tensor *u = bp_linear(bp_tanh(bp_linear(x, columns(w, 0, 1), column(w, 1))),
                             bp_transpose(columns(w, 2, 3), 0, 1), in[2]);
    if (bp_grad_scalar(ctx, bp_sum(u), &x, 1, BP_CREATE_GRAPH, &d1) != BP_OK ||
        bp_grad_scalar(ctx, bp_sum(d1), &x, 1, BP_CREATE_GRAPH, &d2) != BP_OK)
        return 0;
    bp_tensor *u0 = bp_slice(u, 0, 0, 1, 1), *slope = bp_shift(bp_slice(d1, 0, 0, 1, 1), -1);
    out[0] = bp_add(bp_mean(bp_square(bp_add(d2, u))),
                    bp_add(bp_sum_squares(u0), bp_sum_squares(slope)));
    return out[0] != NULL;
}

/* The loss of examples/chars.c: table [V, E], weights of the cell, head [V, H + 1], letters
 * [T + 1, N]. */
static bp_tensor *chars_loss(bp_tensor *const *in)
{
    const bp_shape letters = bp_shape_of(in[3]), head = bp_shape_of(in[2]);
    const int64_t n = letters.dim[1], size = head.dim[1] - 1;
    bp_tensor *h = bp_full(bp_context_of(in[0]), bp_dtype_of(in[0]), BP_SHAPE(n, size), 0);
    bp_tensor *w = columns(in[2], 0, size), *b = column(in[2], size), *loss = NULL;
    for (int64_t t = 0; t + 1 < letters.dim[0]; t++) {
        bp_tensor *at = bp_squeeze(bp_slice(in[3], 0, t, t + 1, 1), BP_AXIS(0));
        bp_tensor *next = bp_squeeze(bp_slice(in[3], 0, t + 1, t + 2, 1), BP_AXIS(0));
        h = gru_cell((bp_tensor *[]){bp_gather(in[0], at), h, in[1]});
        bp_tensor *one = bp_cross_entropy(bp_linear(h, w, b), next);
        loss = loss ? bp_add(loss, one) : one;
    }
    return bp_scale(loss, 1 / ((double)letters.dim[0] - 1));
}

static bp_tensor *lstm_by_hand(bp_tensor *const *in, bool both)
{
    cell_weights w = weights_of(in[0], in[1], in[3]);
    bp_tensor *all = bp_add(product((bp_tensor *[]){in[0], w.w_ih, w.b_ih}),
                            product((bp_tensor *[]){in[1], w.w_hh, w.b_hh})), *gate[4], *y[2];
    if (!bp_split(all, 1, 4, NULL, gate))
        return NULL;
    y[1] = bp_add(bp_mul(bp_sigmoid(gate[1]), in[2]),
                  bp_mul(bp_sigmoid(gate[0]), bp_tanh(gate[2])));
    y[0] = bp_mul(bp_sigmoid(gate[3]), bp_tanh(y[1]));
    return both ? bp_concat(y, 2, 1) : y[0];
}

static bp_tensor *gru_by_hand(bp_tensor *const *in)
{
    cell_weights w = weights_of(in[0], in[1], in[2]);
    bp_tensor *x[3], *u[3];
    if (!bp_split(product((bp_tensor *[]){in[0], w.w_ih, w.b_ih}), 1, 3, NULL, x) ||
        !bp_split(product((bp_tensor *[]){in[1], w.w_hh, w.b_hh}), 1, 3, NULL, u))
        return NULL;
    bp_tensor *m = bp_tanh(bp_add(x[2], bp_mul(bp_sigmoid(bp_add(x[0], u[0])), u[2])));
    return bp_add(m, bp_mul(bp_sigmoid(bp_add(x[1], u[1])), bp_sub(in[1], m)));
}

static int build_stack_composed(const op_case *c, bp_dtype real, bp_tensor *const *in,
                                bp_tensor **out)
{
    (void)real;
    bp_tensor *h = bp_dropout(bp_relu(product(in)), c->x);
    h = bp_relu(product((bp_tensor *[]){h, in[1], in[2]}));
    out[0] = bp_dropout(bp_relu(product((bp_tensor *[]){h, in[1], in[2]})), c->x);
    return out[0] != NULL;
}

#define BUILDER(name, expr)                                                                \
    static int build_##name(const op_case *c, bp_dtype real, bp_tensor *const *in,         \
                            bp_tensor **out)                                               \
    {                                                                                      \
        (void)c, (void)real;                                                               \
        out[0] = (expr);                                                                   \
        return out[0] != NULL;                                                             \
    }
#define BUILT(name)
#include "builders.def"

static const struct {
    const char *name;
    op_build build;
} builders[] = {
#define BUILDER(name, ...) {#name, build_##name},
#define BUILT(name) {#name, build_##name},
#include "builders.def"
};

op_build op_builder(const char *name)
{
    for (size_t i = 0; i < sizeof builders / sizeof *builders; i++)
        if (!strcmp(builders[i].name, name))
            return builders[i].build;
    return NULL;
}

const char *const op_names[] = {
#define BPI_OP(name) #name,
#define BPI_VIEW(name) #name,
#define BPI_PLAIN(name)
#include "door/ops.def"
    NULL};
