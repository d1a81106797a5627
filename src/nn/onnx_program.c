/* What a layer becomes in an ONNX graph: a short program of ops in postfix order, whose words are
 * told in onnx.h. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/text.h"
#include "io/protobuf.h"
#include "nn/onnx.h"

enum { STACK = 8, WORDS = 24, NODE = 1 };

int64_t bpi_onnx_constant(bpi_buffer *b, const char *name, bp_shape shape, int type)
{
    for (int32_t i = 0; i < shape.ndim; i++)
        bpi_pb_int(b, 1, shape.dim[i]);
    bpi_pb_int(b, 2, type);
    bpi_pb_text(b, 8, name);
    return bpi_pb_begin(b, 9);
}

static double number_of(const bpi_onnx *g, const char *word)
{
    double x = g->number;
    if (*word != '#')
        bpi_number(word, &x);
    return x;
}

/* alpha and epsilon are numbers; axes and what windows have are lists of integers, as in
 * "strides=2,1"; all others are integers. */
static void put_attribute(bpi_onnx *g, const char *word)
{
    enum { F = 1, I = 2, INTS = 7 };
    bpi_buffer *b = &g->b;
    char name[BPI_ONNX_NAME];
    const char *number = strchr(word, '=') + 1;
    snprintf(name, sizeof name, "%.*s", (int)(number - word) - 1, word);
    bool real = !strcmp(name, "alpha") || !strcmp(name, "epsilon");
    bool one = !strcmp(name, "axis") || !strcmp(name, "group") || !strcmp(name, "transB");
    int type = real ? F : one ? I : INTS;
    int64_t from = bpi_pb_begin(b, 5);
    bpi_pb_text(b, 1, name);
    if (type == F)
        bpi_pb_float(b, 2, (float)number_of(g, number));
    for (char *at = (char *)number; type != F && *at; at += *at == ',')
        bpi_pb_int(b, type == I ? 3 : 8, strtoll(at, &at, 10));
    bpi_pb_int(b, 20, type);
    bpi_pb_end(b, from);
}

static int inputs_of(const char *op)
{
    static const char *const several[] = {"BatchNormalization", "Gemm", "LayerNormalization",
                                          "Conv", "Clip", "Add", "Sub", "Mul", "MatMul", "Div",
                                          "Reshape"};
    for (size_t i = 0; i < sizeof several / sizeof *several; i++)
        if (!strcmp(op, several[i]))
            return i < 1 ? 5 : i < 5 ? 3 : 2;
    return 1;
}

/* The op at word i, whose inputs begin at stack[0], where its output goes. */
static void node(bpi_onnx *g, char (*word)[BPI_ONNX_NAME], int i, char (*stack)[BPI_ONNX_NAME],
                 const char *result)
{
    bpi_buffer *b = &g->b;
    int64_t from = bpi_pb_begin(b, NODE);
    for (int k = 0; k < inputs_of(word[i]); k++)
        bpi_pb_text(b, 1, stack[k]);
    if (result)
        strcpy(stack[0], result);
    else
        snprintf(stack[0], BPI_ONNX_NAME, "v%d", (int)g->n++);
    bpi_pb_text(b, 2, stack[0]);
    bpi_pb_text(b, 4, word[i]);
    while (i > 0 && strchr(word[i - 1], '='))
        put_attribute(g, word[--i]);
    bpi_pb_end(b, from);
}

static void put_scalar(bpi_onnx *g, double x, char *name)
{
    snprintf(name, BPI_ONNX_NAME, "c%d", (int)g->n++);
    int64_t from = bpi_pb_begin(&g->b, BPI_ONNX_INITIALIZER);
    int64_t raw = bpi_onnx_constant(&g->b, name, BP_SCALAR, BPI_ONNX_FLOAT);
    bpi_put(&g->b, &(float){(float)x}, sizeof(float));
    bpi_pb_end(&g->b, raw);
    bpi_pb_end(&g->b, from);
}

static void push(bpi_onnx *g, const char *word, char *to)
{
    if (*word == '#' || (*word >= '0' && *word <= '9'))
        put_scalar(g, number_of(g, word), to);
    else
        snprintf(to, BPI_ONNX_NAME, "%.*s", BPI_ONNX_NAME - 1, !strcmp(word, "x")   ? g->x
                                                         : !strcmp(word, "s") ? g->skip
                                                         : !strcmp(word, "w") ? g->weight
                                                         : !strcmp(word, "b") ? g->bias
                                                         : !strcmp(word, "m") ? g->mean
                                                         : !strcmp(word, "v") ? g->variance
                                                                              : word);
}

void bpi_onnx_run(bpi_onnx *g, const char *program, const char *result)
{
    char word[WORDS][BPI_ONNX_NAME], stack[STACK][BPI_ONNX_NAME];
    int n = 0, depth = 0;
    for (const char *at = program; *at; at += *at == ' ') {
        int length = (int)strcspn(at, " ");
        snprintf(word[n++], BPI_ONNX_NAME, "%.*s", length, at);
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
