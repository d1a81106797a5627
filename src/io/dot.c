/* The tape behind a value, as a picture: graph.h. A node of the tape is n7 in the picture, a
 * constant that it reads n7_0. */
#include "bpcuda/graph.h"

#include <stdio.h>
#include <string.h>

#include "autograd/apply.h"
#include "core/context.h"
#include "core/error.h"
#include "core/params.h"
#include "core/tensor.h"
#include "core/text.h"
#include "core/view.h"
#include "io/buffer.h"

/* A name as it stands between quotes: of what a program called it. */
typedef struct label {
    char s[320];
} label;

static label label_of(const char *name)
{
    char printable[128];
    label l;
    size_t n = 0;
    bpi_printable(printable, sizeof printable, name);
    for (const char *c = printable; *c; c++) {
        if (*c == '"' || *c == '\\')
            l.s[n++] = '\\';
        l.s[n++] = *c;
    }
    l.s[n] = '\0';
    return l;
}

/* "f32 [64,10]". */
static label value_text(bp_dtype dtype, const bp_shape *shape)
{
    label l;
    snprintf(l.s, sizeof l.s, "%s %s", bp_dtype_name(dtype), bpi_shape_str(shape).s);
    return l;
}

static void say_leaf(bpi_buffer *t, int32_t i, const bpi_node *node)
{
    if (!node->store) {
        bpi_say(t, "  n%d [label=\"x\", shape=ellipse, fillcolor=\"#cfe2f3\"];\n", (int)i);
        return;
    }
    const bpi_segment *s = &node->store->segment[node->segment];
    bpi_say(t, "  n%d [label=\"%s\\n%s\", shape=ellipse, fillcolor=\"#d9ead3\"];\n", (int)i,
        label_of(s->name).s, value_text(node->store->dtype, &s->shape).s);
}

static void say_op(bpi_buffer *t, int32_t i, const bpi_node *node)
{
    bpi_say(t, "  n%d [label=\"%s\"];\n", (int)i, label_of(node->op->def.name).s);
    for (int k = 0; k < node->op->def.n_in; k++) {
        label value = value_text(node->in_dtype[k], &node->in_shape[k]);
        const bpi_place *from = &node->in[k];
        const bpi_node *made = from->serial ? bpi_node_at(t->ctx, from->node) : NULL;
        if (made && made->store) { /* which says its shape itself */
            bpi_say(t, "  n%d -> n%d;\n", (int)from->node, (int)i);
        } else if (made) {
            bpi_say(t, "  n%d -> n%d [label=\"%s", (int)from->node, (int)i, value.s);
            if (made->op && made->op->def.n_out > 1)
                bpi_say(t, " of output %d", (int)from->out);
            bpi_say(t, "\"];\n");
        } else {
            bpi_say(t, "  n%d_%d [label=\"%s\", shape=plaintext, style=\"\", "
                       "fontcolor=\"#777777\"];\n  n%d_%d -> n%d [color=\"#aaaaaa\"];\n",
                    (int)i, k, value.s, (int)i, k, (int)i);
        }
    }
}

/* What y depends on, by a mark on each node, from the newest to the oldest. */
static void mark(bp_context *ctx, int32_t last)
{
    uint64_t id = ++ctx->serial;
    bpi_node_at(ctx, last)->needed = id;
    for (int32_t n = last; n >= 0; n--) {
        const bpi_node *node = bpi_node_at(ctx, n);
        for (int k = 0; node->needed == id && node->op && k < node->op->def.n_in; k++)
            if (node->in[k].serial)
                bpi_node_at(ctx, node->in[k].node)->needed = id;
    }
}

static bp_status draw(bp_context *ctx, const char *who, bp_tensor *y, bpi_buffer *t)
{
    if (ctx->pending != BP_OK)
        return ctx->pending;
    BPI_TRY(bpi_usable(ctx, y, who, "y"));
    if (!bpi_node_of(ctx, y))
        return bpi_fail(ctx, BP_ERR_STATE, "%s: y has no history", who);
    int32_t last = bpi_at(y)->place.node;
    const bp_view *v = bpi_view_of(y);
    mark(ctx, last);
    bpi_say(t, "digraph {\n  node [shape=box, style=\"rounded,filled\", fillcolor=\"#fff2cc\", "
               "fontname=\"sans-serif\", fontsize=11];\n"
               "  edge [fontname=\"sans-serif\", fontsize=9, arrowsize=0.7];\n");
    uint64_t id = bpi_node_at(ctx, last)->needed;
    for (int32_t n = 0; n <= last; n++) {
        const bpi_node *node = bpi_node_at(ctx, n);
        if (node->needed == id)
            (node->op ? say_op : say_leaf)(t, n, node);
    }
    bpi_say(t, "  y [label=\"%s\", shape=ellipse, fillcolor=white, style=\"filled,bold\"];\n"
               "  n%d -> y [style=bold];\n}\n", value_text(v->dtype, &v->shape).s, (int)last);
    return t->status;
}

static bp_status write_dot(bp_context *ctx, bp_tensor *y, const char *path)
{
    __attribute__((cleanup(bpi_buffer_free))) bpi_buffer t = {.ctx = ctx};
    BPI_TRY(bpi_given(ctx, y, "graph_write_dot: y"));
    BPI_TRY(bpi_given(ctx, path, "graph_write_dot: path"));
    BPI_TRY(draw(ctx, "graph_write_dot", y, &t));
    return bpi_buffer_end(&t, path);
}

static bp_status give_dot(bp_context *ctx, bp_tensor *y, bp_text_fn take, void *user)
{
    __attribute__((cleanup(bpi_buffer_free))) bpi_buffer t = {.ctx = ctx};
    BPI_TRY(bpi_given(ctx, y, "graph_dot: y"));
    if (!take)
        return bpi_fail(ctx, BP_ERR_ARG, "graph_dot: take is NULL");
    BPI_TRY(draw(ctx, "graph_dot", y, &t));
    BPI_CALLBACK(callback);
    bpi_callback_begin(&callback, ctx, false);
    take(user, t.at, (size_t)t.n);
    return bpi_callback_over(&callback, "graph_dot");
}

bp_status bp_graph_write_dot(bp_context *ctx, bp_tensor *y, const char *path)
{
    BPI_INSIDE(ctx, write_dot(ctx, y, path));
}

bp_status bp_graph_dot(bp_context *ctx, bp_tensor *y, bp_text_fn take, void *user)
{
    BPI_INSIDE(ctx, give_dot(ctx, y, take, user));
}
