/* A model as an ONNX file (onnx.proto of IR version 8, opset 17). What a layer becomes is a short
 * program of ops in postfix order. All is f32: not every runtime has doubles. */
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "core/text.h"
#include "io/protobuf.h"
#include "nn/export.h"

enum { IR = 8, OPSET = 17, FLOAT = 1, STACK = 8, NAME_BYTES = 32 };

/* --- the graph -------------------------------------------------------------------------------- */

enum { NODE = 1, INITIALIZER = 5, INPUT = 11, OUTPUT = 12 };

typedef struct graph {
    bp_model *model;
    bpi_buffer b;      /* ModelProto, within its graph */
    int32_t n, params; /* values that we named, and parameters, so far */
    char x[NAME_BYTES], skip[NAME_BYTES]; /* what goes on; what went into the last group */
    const char *weight, *bias; /* of the layer, */
    double number;             /* and its number */
} graph;

/* The head of a constant; where its elements begin. */
static int64_t put_head(bpi_buffer *b, const char *name, bp_shape shape)
{
    for (int32_t i = 0; i < shape.ndim; i++)
        bpi_pb_int(b, 1, shape.dim[i]);
    bpi_pb_int(b, 2, FLOAT);
    bpi_pb_text(b, 8, name);
    return bpi_pb_begin(b, 9);
}

/* The next parameter of the store, under its name; NULL where the layer has none. */
static const char *parameter(graph *g, bp_tensor *t)
{
    if (!t)
        return NULL;
    const char *name = bp_param_name(g->model->params, g->params++);
    int64_t from = bpi_pb_begin(&g->b, INITIALIZER), raw = put_head(&g->b, name, bp_shape_of(t));
    bpi_put_tensor(&g->b, t);
    bpi_pb_end(&g->b, raw);
    bpi_pb_end(&g->b, from);
    return name;
}

/* An input or output of the graph. */
static void value_info(graph *g, uint64_t field, const char *name, int64_t columns)
{
    bpi_buffer *b = &g->b;
    int64_t info = bpi_pb_begin(b, field);
    bpi_pb_text(b, 1, name);
    int64_t type = bpi_pb_begin(b, 2), tensor = bpi_pb_begin(b, 1);
    bpi_pb_int(b, 1, FLOAT);
    int64_t shape = bpi_pb_begin(b, 2), rows = bpi_pb_begin(b, 1);
    bpi_pb_text(b, 2, "N");
    bpi_pb_end(b, rows);
    int64_t dim = bpi_pb_begin(b, 1);
    bpi_pb_int(b, 1, columns);
    bpi_pb_end(b, dim);
    bpi_pb_end(b, shape);
    bpi_pb_end(b, tensor);
    bpi_pb_end(b, type);
    bpi_pb_end(b, info);
}

/* --- programs --------------------------------------------------------------------------------- */

/* A word with a capital letter is an op, which takes its inputs off the stack and puts its output
 * there; "alpha=1" is an attribute of the op behind it. A number is a constant, and '#' the
 * layer's; x goes on, s went into the group, w and b are the layer's parameters. Any other word
 * names a value. */
enum { WORDS = 24 };

static double number_of(const graph *g, const char *word)
{
    double x = g->number;
    if (*word != '#')
        bpi_number(word, &x);
    return x;
}

/* alpha and epsilon are numbers, axes a list of one integer, all others integers. */
static void put_attribute(graph *g, const char *word)
{
    enum { F = 1, I = 2, INTS = 7 };
    bpi_buffer *b = &g->b;
    char name[NAME_BYTES];
    const char *number = strchr(word, '=') + 1;
    snprintf(name, sizeof name, "%.*s", (int)(number - word) - 1, word);
    int type = !strcmp(name, "alpha") || !strcmp(name, "epsilon") ? F
               : !strcmp(name, "axes")                            ? INTS : I;
    float x = (float)number_of(g, number);
    int64_t from = bpi_pb_begin(b, 5);
    bpi_pb_text(b, 1, name);
    if (type == F)
        bpi_pb_float(b, 2, x);
    else
        bpi_pb_int(b, type == I ? 3 : 8, (int64_t)x);
    bpi_pb_int(b, 20, type);
    bpi_pb_end(b, from);
}

static int inputs_of(const char *op)
{
    static const char *const several[] = {"Gemm", "LayerNormalization", "Add", "Sub", "Mul", "Div"};
    for (int i = 0; i < 6; i++)
        if (!strcmp(op, several[i]))
            return i < 2 ? 3 : 2;
    return 1;
}

/* The op at word i, whose inputs begin at stack[0], where its output goes. */
static void node(graph *g, char (*word)[NAME_BYTES], int i, char (*stack)[NAME_BYTES],
                 const char *result)
{
    bpi_buffer *b = &g->b;
    int64_t from = bpi_pb_begin(b, NODE);
    for (int k = 0; k < inputs_of(word[i]); k++)
        bpi_pb_text(b, 1, stack[k]);
    if (result)
        strcpy(stack[0], result);
    else
        snprintf(stack[0], NAME_BYTES, "v%d", (int)g->n++);
    bpi_pb_text(b, 2, stack[0]);
    bpi_pb_text(b, 4, word[i]);
    while (i > 0 && strchr(word[i - 1], '='))
        put_attribute(g, word[--i]);
    bpi_pb_end(b, from);
}

static void put_scalar(graph *g, double x, char *name)
{
    snprintf(name, NAME_BYTES, "c%d", (int)g->n++);
    int64_t from = bpi_pb_begin(&g->b, INITIALIZER), raw = put_head(&g->b, name, BP_SCALAR);
    bpi_put(&g->b, &(float){(float)x}, sizeof(float));
    bpi_pb_end(&g->b, raw);
    bpi_pb_end(&g->b, from);
}

static void push(graph *g, const char *word, char *to)
{
    if (*word == '#' || (*word >= '0' && *word <= '9'))
        put_scalar(g, number_of(g, word), to);
    else
        snprintf(to, NAME_BYTES, "%.*s", NAME_BYTES - 1, !strcmp(word, "x")   ? g->x
                                                         : !strcmp(word, "s") ? g->skip
                                                         : !strcmp(word, "w") ? g->weight
                                                         : !strcmp(word, "b") ? g->bias : word);
}

/* x becomes what the program makes of it, which is called `result`, or, with NULL, anything. */
static void run(graph *g, const char *program, const char *result)
{
    char word[WORDS][NAME_BYTES], stack[STACK][NAME_BYTES];
    int n = 0, depth = 0;
    for (const char *at = program; *at; at += *at == ' ') {
        int length = (int)strcspn(at, " ");
        snprintf(word[n++], NAME_BYTES, "%.*s", length, at);
        at += length;
    }
    for (int i = 0; i < n; i++) {
        bool op = *word[i] >= 'A' && *word[i] <= 'Z';
        if (op) {
            depth -= inputs_of(word[i]);
            node(g, word, i, stack + depth++, i + 1 < n ? NULL : result);
        } else if (!strchr(word[i], '=')) {
            push(g, word[i], stack[depth++]);
        }
    }
    strcpy(g->x, stack[0]);
}

/* --- a model ---------------------------------------------------------------------------------- */

/* With scale = u s, u a power of two, which costs no bit, (x - shift) scale = (x u - high - low) s
 * in f32, where high and low are two numbers that make up shift u. Where x is near its mean, x u -
 * high has no rounding. A scale is 0 where a column does not vary. */
static double unit(const bpi_normalizer *n, int64_t i)
{
    int e;
    double scale = n->host[n->n + i];
    frexp(scale, &e);
    return scale == 0 ? 0 : ldexp(1, e < -126 ? -126 : e > 127 ? 127 : e);
}

static double high(const bpi_normalizer *n, int64_t i)
{
    return (double)(float)(n->host[i] * unit(n, i));
}

static double low(const bpi_normalizer *n, int64_t i)
{
    return n->host[i] * unit(n, i) - high(n, i);
}

static double factor(const bpi_normalizer *n, int64_t i)
{
    double u = unit(n, i);
    return u == 0 ? 0 : n->host[n->n + i] / u;
}

static double shift(const bpi_normalizer *n, int64_t i)
{
    return n->host[i];
}

static double own_unit(const bpi_normalizer *n, int64_t i)
{
    return 1 / n->host[n->n + i];
}

/* A constant with a number for each column of a normaliser. */
static void columns(graph *g, const char *name, const bpi_normalizer *n,
                    double (*of)(const bpi_normalizer *, int64_t))
{
    bpi_buffer *b = &g->b;
    int64_t from = bpi_pb_begin(b, INITIALIZER), raw = put_head(b, name, BP_SHAPE(n->n));
    for (int64_t i = 0; i < n->n && b->status == BP_OK; i++) {
        float x = (float)of(n, i);
        bpi_put(b, &x, sizeof x);
        if (!isfinite(x))
            b->status = bpi_fail(b->ctx, BP_ERR_NONFINITE, "model_export_onnx: %s, column %lld is "
                                 "%g: a number that is finite in f32 is wanted", name, (long long)i,
                                 of(n, i));
    }
    bpi_pb_end(b, raw);
    bpi_pb_end(b, from);
}

static void normalize(graph *g)
{
    const bpi_normalizer *in = &g->model->in;
    columns(g, "normalizer.unit", in, unit);
    columns(g, "normalizer.high", in, high);
    columns(g, "normalizer.low", in, low);
    columns(g, "normalizer.factor", in, factor);
    run(g, "x normalizer.unit Mul normalizer.high Sub normalizer.low Sub normalizer.factor Mul",
        NULL);
}

static void own_units(graph *g)
{
    const bpi_normalizer *out = &g->model->out;
    columns(g, "targets.unit", out, own_unit);
    columns(g, "targets.shift", out, shift);
    run(g, "x targets.unit Mul targets.shift Add", "y");
}

/* From layer i to the end of its group, which it returns. The last layer gives `result`. */
static int32_t layers(graph *g, int32_t i, const char *result)
{
    const bp_layers *l = g->model->layers;
    for (; i < l->n && l->layer[i].kind != BPI_END; i++) {
        const bpi_layer *at = &l->layer[i];
        char before[NAME_BYTES];
        g->weight = parameter(g, at->weight);
        g->bias = parameter(g, at->bias);
        g->number = at->number;
        switch (at->kind) {
        case BPI_DENSE:
            run(g, "x w b transB=1 Gemm", i + 1 < l->n ? NULL : result);
            break;
        case BPI_ACTIVATION:
            run(g, at->activation->onnx, NULL);
            break;
        case BPI_LAYERNORM: /* runtimes lose digits where the mean is large: it goes first */
            run(g, "x x axes=1 ReduceMean Sub w b axis=1 epsilon=# LayerNormalization", NULL);
            break;
        case BPI_RMSNORM:
            run(g, "x x x Mul axes=1 ReduceMean # Add Sqrt Div w Mul", NULL);
            break;
        case BPI_RESIDUAL:
            strcpy(before, g->x);
            i = layers(g, i + 1, NULL);
            strcpy(g->skip, before);
            run(g, "s x Add", NULL);
            break;
        default: break; /* dropout */
        }
    }
    return i;
}

static void put_graph(graph *g)
{
    bp_model *m = g->model;
    bool regression = m->task == BP_TASK_REGRESSION, as_is = bpi_normalizer_is_none(&m->out);
    int64_t from = bpi_pb_begin(&g->b, 7);
    bpi_pb_text(&g->b, 2, "bpcuda");
    value_info(g, INPUT, "x", m->inputs);
    value_info(g, OUTPUT, "y", m->outputs);
    if (!regression)
        value_info(g, OUTPUT, "logits", m->outputs);
    strcpy(g->x, "x");
    if (!bpi_normalizer_is_none(&m->in))
        normalize(g);
    layers(g, 0, !regression ? "logits" : as_is ? "y" : NULL);
    if (!regression)
        run(g, m->task == BP_TASK_CLASSES ? "x axis=1 Softmax" : "x Sigmoid", "y");
    else if (!as_is)
        own_units(g);
    bpi_pb_end(&g->b, from);
}

static void put_metadata(bpi_buffer *b, const char *key, const char *value, const bp_model *names)
{
    int64_t from = bpi_pb_begin(b, 14);
    bpi_pb_text(b, 1, key);
    if (names) {
        int64_t text = bpi_pb_begin(b, 2);
        char *to = bpi_buffer_room(b, bpi_names_encode(names, BPI_CLASS_NAMES, NULL));
        if (to)
            bpi_names_encode(names, BPI_CLASS_NAMES, to);
        b->n -= to != NULL; /* its 0 */
        bpi_pb_end(b, text);
    } else {
        bpi_pb_text(b, 2, value);
    }
    bpi_pb_end(b, from);
}

static bp_status export_onnx(bp_model *m, const char *path)
{
    int64_t bytes = 4 * (int64_t)sizeof(float) * m->inputs;
    BPI_TRY(bpi_given(m->ctx, path, "model_export_onnx: path"));
    BPI_TRY(bpi_model_has_layers(m, "model_export_onnx"));
    for (int32_t i = 0; i < bp_param_count(m->params); i++)
        bytes += bp_shape_count(bp_shape_of(bp_param_at(m->params, i))) * (int64_t)sizeof(float);
    if (bytes >= INT_MAX - (1 << 20)) /* before any memory is taken for it */
        return bpi_fail(m->ctx, BP_ERR_UNSUPPORTED, "%s: weights of %lld bytes: an ONNX file is of "
                        "less than 2 GiB", path, (long long)bytes);
    BPI_TRY(bpi_model_exports(m, "model_export_onnx"));
    graph g = {.model = m, .b = {.ctx = m->ctx}};
    bpi_pb_int(&g.b, 1, IR);
    bpi_pb_text(&g.b, 2, "bpcuda");
    bpi_pb_text(&g.b, 3, bp_version());
    put_graph(&g);
    int64_t opset = bpi_pb_begin(&g.b, 8);
    bpi_pb_int(&g.b, 2, OPSET);
    bpi_pb_end(&g.b, opset);
    put_metadata(&g.b, "task", bp_task_name(m->task), NULL);
    put_metadata(&g.b, "layers", m->layers->text, NULL);
    if (m->names[BPI_CLASS_NAMES].text)
        put_metadata(&g.b, "class_names", NULL, m);
    return bpi_buffer_end(&g.b, path);
}

bp_status bp_model_export_onnx(bp_model *m, const char *path)
{
    BPI_LEADS(m, "model_export_onnx: model");
    BPI_INSIDE(m->ctx, export_onnx(m, path));
}
