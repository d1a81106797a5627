/* A model as an ONNX file (onnx.proto of IR version 8, opset 17). What a layer becomes is a short
 * program of ops in postfix order. All is f32: not every runtime has doubles. */
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "io/protobuf.h"
#include "nn/onnx.h"

enum { IR = 8, OPSET = 17, INPUT = 11, OUTPUT = 12 };

/* --- the graph -------------------------------------------------------------------------------- */

/* The next parameter of the store, under its name; NULL where the layer has none. Of images a norm
 * that is written out has [C,1,1], a number for each channel. */
static const char *parameter(bpi_onnx *g, bp_tensor *t, const bpi_layer *at, int64_t pixels)
{
    if (!t)
        return NULL;
    const char *name = bp_param_name(g->model->params, g->params++);
    bp_tensor *turned = bpi_param_turned(t, pixels);
    bool of_channels = at->kind != BPI_CONV && at->kind != BPI_BATCHNORM && at->to.channels;
    bp_shape shape = of_channels ? BP_SHAPE(at->to.channels, 1, 1) : bp_shape_of(turned);
    int64_t from = bpi_pb_begin(&g->b, BPI_ONNX_INITIALIZER);
    int64_t raw = bpi_onnx_constant(&g->b, name, shape, BPI_ONNX_FLOAT);
    bpi_put_tensor(&g->b, turned);
    bpi_pb_end(&g->b, raw);
    bpi_pb_end(&g->b, from);
    if (turned != t)
        bp_free(turned);
    return name;
}

/* An input or output of the graph. */
static void value_info(bpi_onnx *g, uint64_t field, const char *name, int64_t columns)
{
    bpi_buffer *b = &g->b;
    int64_t info = bpi_pb_begin(b, field);
    bpi_pb_text(b, 1, name);
    int64_t type = bpi_pb_begin(b, 2), tensor = bpi_pb_begin(b, 1);
    bpi_pb_int(b, 1, BPI_ONNX_FLOAT);
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
static void columns(bpi_onnx *g, const char *name, const bpi_normalizer *n,
                    double (*of)(const bpi_normalizer *, int64_t))
{
    bpi_buffer *b = &g->b;
    int64_t from = bpi_pb_begin(b, BPI_ONNX_INITIALIZER);
    int64_t raw = bpi_onnx_constant(b, name, BP_SHAPE(n->n), BPI_ONNX_FLOAT);
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

static void normalize(bpi_onnx *g)
{
    const bpi_normalizer *in = &g->model->in;
    columns(g, "normalizer.unit", in, unit);
    columns(g, "normalizer.high", in, high);
    columns(g, "normalizer.low", in, low);
    columns(g, "normalizer.factor", in, factor);
    bpi_onnx_run(g, "x normalizer.unit Mul normalizer.high Sub normalizer.low Sub "
                 "normalizer.factor Mul", NULL);
    if (!in->matrix)
        return;
    int64_t from = bpi_pb_begin(&g->b, BPI_ONNX_INITIALIZER);
    int64_t raw = bpi_onnx_constant(&g->b, "normalizer.matrix", bp_shape_of(in->matrix),
                                    BPI_ONNX_FLOAT);
    bpi_put_tensor(&g->b, in->matrix);
    bpi_pb_end(&g->b, raw);
    bpi_pb_end(&g->b, from);
    bpi_onnx_run(g, "x normalizer.matrix MatMul", NULL);
}

static void own_units(bpi_onnx *g)
{
    const bpi_normalizer *out = &g->model->out;
    columns(g, "targets.unit", out, own_unit);
    columns(g, "targets.shift", out, shift);
    bpi_onnx_run(g, "x targets.unit Mul targets.shift Add", "y");
}

/* Images are [N, C, H, W] here. Rows of numbers become such ones at the beginning, and where they
 * are flattened again the weights that come are in the same order. */
static void images(bpi_onnx *g, const bpi_image *to)
{
    const int64_t shape[] = {0, to->height, to->width, to->channels}; /* 0: as many as come */
    int64_t from = bpi_pb_begin(&g->b, BPI_ONNX_INITIALIZER);
    int64_t raw = bpi_onnx_constant(&g->b, "image", BP_SHAPE(4), BPI_ONNX_INT64);
    bpi_put(&g->b, shape, sizeof shape);
    bpi_pb_end(&g->b, raw);
    bpi_pb_end(&g->b, from);
    bpi_onnx_run(g, "x image Reshape perm=0,3,1,2 Transpose", NULL);
}

static void window(bpi_onnx *g, const bpi_layer *at)
{
    const bp_window *how = &at->how;
    char program[256];
    if (at->kind == BPI_CONV)
        snprintf(program, sizeof program, "x w b strides=%d,%d pads=%d,%d,%d,%d dilations=%d,%d "
                 "group=%d Conv", how->stride[0], how->stride[1], how->pad[0], how->pad[1],
                 how->pad[2], how->pad[3], how->dilation[0], how->dilation[1], how->groups);
    else
        snprintf(program, sizeof program, "x kernel_shape=%d,%d strides=%d,%d %s", at->window[0],
                 at->window[1], how->stride[0], how->stride[1],
                 at->kind == BPI_MAX_POOL ? "MaxPool" : "AveragePool");
    bpi_onnx_run(g, program, NULL);
}

/* Runtimes lose digits where the mean is large: it goes first. LayerNormalization knows the last
 * axes alone, and the channels of an image are none. */
static void norm(bpi_onnx *g, const bpi_layer *at)
{
    bool mean = at->kind == BPI_LAYERNORM, image = at->to.channels;
    if (mean)
        bpi_onnx_run(g, "x x axes=1 ReduceMean Sub", NULL);
    if (mean && !image)
        bpi_onnx_run(g, "x w b axis=1 epsilon=# LayerNormalization", NULL);
    else
        bpi_onnx_run(g, "x x x Mul axes=1 ReduceMean # Add Sqrt Div w Mul", NULL);
    if (mean && image)
        bpi_onnx_run(g, "x b Add", NULL);
}

/* From layer i to the end of its group, which it returns. The last layer gives `result`. */
static int32_t layers(bpi_onnx *g, int32_t i, const char *result)
{
    const bp_layers *l = g->model->layers;
    for (; i < l->n && l->layer[i].kind != BPI_END; i++) {
        const bpi_layer *at = &l->layer[i];
        char before[BPI_ONNX_NAME];
        g->weight = parameter(g, at->weight, at, bpi_layer_pixels(at));
        g->bias = parameter(g, at->bias, at, 0);
        g->mean = parameter(g, at->mean, at, 0);
        g->variance = parameter(g, at->variance, at, 0);
        g->number = at->number;
        switch (at->kind) {
        case BPI_DENSE:
            if (at->from.channels)
                bpi_onnx_run(g, "x Flatten", NULL);
            bpi_onnx_run(g, "x w b transB=1 Gemm", i + 1 < l->n ? NULL : result);
            break;
        case BPI_IMAGE:
            images(g, &at->to);
            break;
        case BPI_CONV:
        case BPI_MAX_POOL:
        case BPI_AVG_POOL:
            window(g, at);
            break;
        case BPI_GLOBAL_POOL:
            bpi_onnx_run(g, "x GlobalAveragePool Flatten", NULL);
            break;
        case BPI_ACTIVATION:
            bpi_onnx_run(g, at->activation->onnx, NULL);
            break;
        case BPI_LAYERNORM:
        case BPI_RMSNORM:
            norm(g, at);
            break;
        case BPI_BATCHNORM:
            bpi_onnx_run(g, "x w b m v epsilon=# BatchNormalization", NULL);
            break;
        case BPI_RESIDUAL:
            strcpy(before, g->x);
            i = layers(g, i + 1, NULL);
            strcpy(g->skip, before);
            bpi_onnx_run(g, "s x Add", NULL);
            break;
        default: break; /* dropout */
        }
    }
    return i;
}

static void put_graph(bpi_onnx *g)
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
    if (m->tanh)
        bpi_onnx_run(g, "x 0.66666666666666667 Mul Tanh 0.86602540378443865 Mul 0.5 Add 0 1 Clip",
                     "y");
    else if (!regression)
        bpi_onnx_run(g, m->task == BP_TASK_CLASSES ? "x axis=1 Softmax" : "x Sigmoid", "y");
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
    if (m->in.matrix)
        bytes += bp_shape_count(bp_shape_of(m->in.matrix)) * (int64_t)sizeof(float);
    BPI_TRY(bpi_given(m->ctx, path, "model_export_onnx: path"));
    BPI_TRY(bpi_model_has_layers(m, "model_export_onnx"));
    for (int32_t i = 0; i < bp_param_count(m->params); i++)
        bytes += bp_shape_count(bp_shape_of(bp_param_at(m->params, i))) * (int64_t)sizeof(float);
    if (bytes >= INT_MAX - (1 << 20)) /* before any memory is taken for it */
        return bpi_fail(m->ctx, BP_ERR_UNSUPPORTED, "%s: weights of %lld bytes: an ONNX file is of "
                        "less than 2 GiB", path, (long long)bytes);
    BPI_TRY(bpi_model_exports(m, "model_export_onnx"));
    bpi_onnx g = {.model = m, .b = {.ctx = m->ctx}};
    bpi_pb_int(&g.b, 1, IR);
    bpi_pb_text(&g.b, 2, "bpcuda");
    bpi_pb_text(&g.b, 3, bp_version());
    bp_status end = bp_scope_begin(m->ctx, BP_NO_GRAD); /* for weights on their way */
    if (end == BP_OK) {
        put_graph(&g);
        end = bp_scope_end(m->ctx);
    }
    g.b.status = g.b.status == BP_OK ? end : g.b.status;
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
