#define _GNU_SOURCE /* mkstemp */
/* The graph of a value as Graphviz reads it. */
#include "suite.h"

#define CLAIM(name) Test(graph_dot, name, .init = setup, .fini = teardown)

static char text[1 << 16];

static void take(void *user, const char *t, size_t n)
{
    cr_assert(strlen(t) == n && n < sizeof text);
    strcpy(user, t);
}

static void holds(const char *part)
{
    cr_assert(strstr(text, part), "%s is not in\n%s", part, text);
}

CLAIM(ops_parameters_and_shapes_are_there)
{
    bp_params *p;
    OK(bp_params_create(ctx, BP_F64, &p));
    bp_tensor *w = bp_param(p, "layer \"1\"\\w\n", BP_SHAPE(4, 3), BP_INIT_LECUN);
    bp_tensor *b = bp_param(p, "b", BP_SHAPE(4), BP_INIT_ZERO);
    bp_tensor *x = random_tensor(BP_SHAPE(5, 3), 1);
    bp_tensor *labels = INTS(BP_SHAPE(5), 0, 1, 2, 3, 0), *correct;
    begin();
    bp_tensor *h = bp_linear(bp_require_grad(x), w, b), *unused = bp_exp(h);
    bp_tensor *loss = bp_cross_entropy_correct(bp_mul(h, h), labels, &correct);
    OK(bp_graph_dot(ctx, loss, take, text));
    holds("digraph {\n");
    holds("[label=\"layer \\\"1\\\"\\\\w\\\\x0a\\nf64 [4,3]\", shape=ellipse, "
          "fillcolor=\"#d9ead3\"]");
    holds("[label=\"b\\nf64 [4]\"");
    holds("[label=\"x\", shape=ellipse, fillcolor=\"#cfe2f3\"]");
    holds("[label=\"linear\"]");
    holds("[label=\"mul\"]");
    holds("[label=\"f64 [5,3]\"]");
    holds("[label=\"i32 [5]\", shape=plaintext");
    holds("[label=\"f64 []\", shape=ellipse, fillcolor=white, style=\"filled,bold\"]");
    cr_assert(unused && !strstr(text, "\"exp\""), "only what leads to y");
    static char before[sizeof text];
    strcpy(before, text);
    OK(bp_backward(ctx, loss));
    OK(bp_graph_dot(ctx, loss, take, text));
    cr_assert_str_eq(before, text, "also when the graph is released");
    FILE *f;
    char path[] = "/tmp/bpcuda_graph_XXXXXX";
    int fd = mkstemp(path);
    cr_assert_geq(fd, 0);
    OK(bp_graph_write_dot(ctx, loss, path));
    cr_assert(f = fopen(path, "rb"));
    before[fread(before, 1, sizeof before - 1, f)] = '\0';
    fclose(f);
    remove(path);
    cr_assert_str_eq(before, text);
    cr_assert_eq(bp_graph_write_dot(ctx, loss, "/tmp/there/is/no/such/folder"), BP_ERR_IO);
    cr_assert_eq(bp_scope_end(ctx), BP_ERR_IO);
    bp_params_free(p);
}

CLAIM(a_long_graph_is_a_long_text)
{
    begin();
    bp_tensor *y = bp_require_grad(NUMBER(1));
    for (int i = 0; i < 200; i++)
        y = bp_scale(y, 1.01);
    OK(bp_graph_dot(ctx, y, take, text));
    holds("n200 [label=\"scale\"]");
    holds("n199 -> n200 [label=\"f64 []\"]");
    end();
}

CLAIM(what_has_no_history_is_told)
{
    bp_tensor *x = NUMBER(1);
    begin();
    cr_assert_eq(bp_graph_dot(ctx, bp_exp(x), take, text), BP_ERR_STATE);
    end_with(BP_ERR_STATE, "graph_dot: y has no history");
}
