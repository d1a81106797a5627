/* A model as C source: a function for each kind of layer that it has, and NAME_predict, which calls
 * them in order. Values lie in two arrays in turn, images as [height, width, channels]. */
#include <math.h>

#include "nn/export_c.h"

/* --- words ------------------------------------------------------------------------------------ */

void bpi_c_number(bpi_buffer *b, const char *before, double x, int bits, const char *behind)
{
    int e;
    uint64_t m = (uint64_t)ldexp(frexp(fabs(x), &e), bits);
    for (e -= bits; m && m % 2 == 0; m /= 2)
        e++;
    bpi_say(b, "%s%s0x%llxp%d%s", before, signbit(x) ? "-" : "", (unsigned long long)m, m ? e : 0,
            behind);
}

void bpi_c_name(bpi_c_source *s, int32_t i)
{
    bpi_say(&s->b, "%s_", s->name);
    for (const char *c = bp_param_name(s->model->params, i); *c; c++)
        bpi_say(&s->b, "%c", *c == '.' ? '_' : *c);
}

/* --- functions, each where the model needs it ------------------------------------------------- */

/* In all of these %s is the name of the model. Eight sums at once: less is lost in them, and a
 * compiler may take a vector for it. */
static const char dot[] =
    "\nstatic float %s_dot(const float *x, const float *w, int n)\n"
    "{\n"
    "    float part[8] = {0}, sum = 0;\n"
    "    int j = 0;\n"
    "    for (; j + 8 <= n; j += 8)\n"
    "        for (int k = 0; k < 8; k++)\n"
    "            part[k] += w[j + k] * x[j + k];\n"
    "    for (; j < n; j++)\n"
    "        sum += w[j] * x[j];\n"
    "    for (int k = 0; k < 8; k++)\n"
    "        sum += part[k];\n"
    "    return sum;\n"
    "}\n";

static const char dense[] =
    "\nstatic void %s_dense(const float *x, int n, const float *w, const float *bias, int m, "
    "float *y)\n"
    "{\n"
    "    for (int i = 0; i < m; i++)\n"
    "        y[i] = bias[i] + %s_dot(x, w + i * n, n);\n"
    "}\n";

/* Images are [height, width, channels], and of filters each is one. */
static const char window[] =
    "\ntypedef struct %s_window {\n"
    "    int height, width, channels, rows, columns, outputs; /* what comes in, what goes out */\n"
    "    int size[2], stride[2], dilation[2], pad[2]; /* down, across; pad: above, left */\n"
    "    int groups;\n"
    "} %s_window;\n";

static const char conv[] =
    "\nstatic void %s_conv(const float *x, const %s_window *n, const float *w, const float *bias, "
    "float *y)\n"
    "{\n"
    "    const int c = n->channels / n->groups, filters = n->outputs / n->groups;\n"
    "    for (int i = 0; i < n->rows * n->columns * n->outputs; i++) {\n"
    "        const int o = i %% n->outputs, pixel = i / n->outputs;\n"
    "        const int top = pixel / n->columns * n->stride[0] - n->pad[0];\n"
    "        const int left = pixel %% n->columns * n->stride[1] - n->pad[1];\n"
    "        const float *f = w + o * n->size[0] * n->size[1] * c;\n"
    "        float sum = bias[o];\n"
    "        for (int k = 0; k < n->size[0] * n->size[1]; k++, f += c) {\n"
    "            const int row = top + k / n->size[1] * n->dilation[0];\n"
    "            const int column = left + k %% n->size[1] * n->dilation[1];\n"
    "            if (row >= 0 && row < n->height && column >= 0 && column < n->width)\n"
    "                sum += %s_dot(x + (row * n->width + column) * n->channels + o / filters * c, "
    "f, c);\n"
    "        }\n"
    "        y[i] = sum;\n"
    "    }\n"
    "}\n";

/* What differs between the two pools: how one begins, takes a number, ends. */
static const char pool[] =
    "\nstatic void %s_%s(const float *x, const %s_window *n, float *y)\n"
    "{\n"
    "    for (int i = 0; i < n->rows * n->columns * n->outputs; i++) {\n"
    "        const int pixel = i / n->outputs, top = pixel / n->columns * n->stride[0];\n"
    "        const int left = pixel %% n->columns * n->stride[1];\n"
    "        const float *from = x + (top * n->width + left) * n->channels + i %% n->outputs;\n"
    "        float all = %s;\n"
    "        for (int k = 0; k < n->size[0] * n->size[1]; k++) {\n"
    "            const float v = from[(k / n->size[1] * n->width + k %% n->size[1]) * "
    "n->channels];\n"
    "            all = %s;\n"
    "        }\n"
    "        y[i] = %s;\n"
    "    }\n"
    "}\n";

static const char global[] =
    "\nstatic void %s_globalpool(const float *x, int pixels, int c, float *y)\n"
    "{\n"
    "    for (int k = 0; k < c; k++) {\n"
    "        double sum = 0;\n"
    "        for (int i = 0; i < pixels; i++)\n"
    "            sum += x[i * c + k];\n"
    "        y[k] = (float)(sum / pixels);\n"
    "    }\n"
    "}\n";

static const char layernorm[] =
    "\nstatic void %s_layernorm(float *v, int rows, int n, const float *gain, const float *bias, "
    "double eps)\n"
    "{\n"
    "    for (; rows > 0; rows--, v += n) {\n"
    "        double mean = 0, variance = 0;\n"
    "        for (int i = 0; i < n; i++)\n"
    "            mean += v[i];\n"
    "        mean /= n;\n"
    "        for (int i = 0; i < n; i++)\n"
    "            variance += (v[i] - mean) * (v[i] - mean);\n"
    "        const double scale = 1 / sqrt(variance / n + eps);\n"
    "        for (int i = 0; i < n; i++)\n"
    "            v[i] = (float)((v[i] - mean) * scale) * gain[i] + bias[i];\n"
    "    }\n"
    "}\n";

static const char rmsnorm[] =
    "\nstatic void %s_rmsnorm(float *v, int rows, int n, const float *gain, double eps)\n"
    "{\n"
    "    for (; rows > 0; rows--, v += n) {\n"
    "        double square = 0;\n"
    "        for (int i = 0; i < n; i++)\n"
    "            square += (double)v[i] * v[i];\n"
    "        const double scale = 1 / sqrt(square / n + eps);\n"
    "        for (int i = 0; i < n; i++)\n"
    "            v[i] = (float)(v[i] * scale) * gain[i];\n"
    "    }\n"
    "}\n";

static const char batchnorm[] =
    "\nstatic void %s_batchnorm(float *v, int rows, int n, const float *gain, const float *bias, "
    "const float *mean, const float *variance, double eps)\n"
    "{\n"
    "    for (int k = 0; k < n; k++) {\n"
    "        const double scale = 1 / sqrt(variance[k] + eps);\n"
    "        for (int i = k; i < rows * n; i += n)\n"
    "            v[i] = (float)((v[i] - (double)mean[k]) * scale) * gain[k] + bias[k];\n"
    "    }\n"
    "}\n";

static void put_activation(bpi_c_source *s, const bpi_activation *a)
{
    bpi_say(&s->b, "\nstatic void %s_%s(float *v, int n%s)\n"
                   "{\n"
                   "    for (int i = 0; i < n; i++) {\n"
                   "        const float x = v[i];\n"
                   "        v[i] = %s;\n"
                   "    }\n"
                   "}\n", s->name, a->name, a->with ? ", float p" : "", a->c);
}

static void put_pool(bpi_c_source *s, bool most)
{
    bpi_say(&s->b, pool, s->name, most ? "maxpool" : "avgpool", s->name, most ? "*from" : "0",
            most ? "v > all || v != v ? v : all" : "all + v",
            most ? "all" : "all / (float)(n->size[0] * n->size[1])");
}

static bool has_window(const bpi_layer *at)
{
    return at->kind == BPI_CONV || at->kind == BPI_MAX_POOL || at->kind == BPI_AVG_POOL;
}

void bpi_c_functions(bpi_c_source *s)
{
    static const char *const format[BPI_END + 1] = {
        [BPI_DENSE] = dense, [BPI_LAYERNORM] = layernorm, [BPI_RMSNORM] = rmsnorm,
        [BPI_BATCHNORM] = batchnorm, [BPI_CONV] = conv, [BPI_GLOBAL_POOL] = global};
    const bp_layers *l = s->model->layers;
    bool windows = false;
    bpi_say(&s->b, dot, s->name); /* the last layer is dense */
    for (int32_t i = 0; i < l->n; i++) {
        const bpi_layer *at = &l->layer[i];
        int32_t k = 0;
        while (l->layer[k].kind != at->kind || l->layer[k].activation != at->activation)
            k++;
        if (k < i) /* an earlier layer has it */
            continue;
        if (has_window(at) && !windows)
            bpi_say(&s->b, window, s->name, s->name);
        windows |= has_window(at);
        if (at->kind == BPI_ACTIVATION)
            put_activation(s, at->activation);
        else if (at->kind == BPI_MAX_POOL || at->kind == BPI_AVG_POOL)
            put_pool(s, at->kind == BPI_MAX_POOL);
        else if (format[at->kind])
            bpi_say(&s->b, format[at->kind], s->name, s->name, s->name);
    }
}

/* --- NAME_predict ----------------------------------------------------------------------------- */

/* A line of its body. */
#define SAY(s, ...)                                                         \
    do {                                                                    \
        bpi_say(&(s)->b, "\n%*s", 4 * ((s)->depth + 1), "");                \
        bpi_say(&(s)->b, __VA_ARGS__);                                      \
    } while (0)
#define EACH "for (int i = 0; i < %lld; i++)"

static void put_start(bpi_c_source *s)
{
    const bp_model *m = s->model;
    bpi_say(&s->b, "\nvoid %s_predict(const float *x, float *y)\n{", s->name);
    SAY(s, "float a[%lld], b[%lld];", (long long)s->wide, (long long)s->wide);
    SAY(s, EACH, (long long)m->inputs);
    if (bpi_normalizer_is_none(&m->in))
        SAY(s, "    a[i] = x[i];");
    else
        SAY(s, "    a[i] = (float)((x[i] - %s_normalizer_shift[i]) * %s_normalizer_scale[i]);",
            s->name, s->name);
    s->at = 'a';
    if (!m->in.matrix)
        return;
    SAY(s, "%s_dense(a, %lld, %s_normalizer_matrix, %s_normalizer_bias, %lld, b);", s->name,
        (long long)m->inputs, s->name, s->name, (long long)m->inputs);
    s->at = 'b';
}

/* ", NAME_layer1_weight", the next parameter. */
static void put_argument(bpi_c_source *s)
{
    bpi_say(&s->b, ", ");
    bpi_c_name(s, s->params++);
}

/* Behind what reads one array and writes the other. */
static void put_other(bpi_c_source *s)
{
    s->at = s->at == 'a' ? 'b' : 'a';
    bpi_say(&s->b, ", %c);", s->at);
}

static void put_dense(bpi_c_source *s, const bpi_layer *at)
{
    SAY(s, "%s_dense(%c, %lld", s->name, s->at, (long long)at->in);
    put_argument(s);
    put_argument(s);
    bpi_say(&s->b, ", %lld", (long long)at->width);
    put_other(s);
}

/* Its sizes come before it, as a constant. */
static void put_windowed(bpi_c_source *s, const bpi_layer *at)
{
    const bpi_image *x = &at->from, *y = &at->to;
    const bp_window *how = &at->how;
    int n = ++s->windows;
    SAY(s, "const %s_window window%d = {%lld, %lld, %lld, %lld, %lld, %lld,", s->name, n,
        (long long)x->height, (long long)x->width, (long long)x->channels, (long long)y->height,
        (long long)y->width, (long long)y->channels);
    bpi_say(&s->b, " {%d, %d}, {%d, %d}, {%d, %d}, {%d, %d}, %d};", at->window[0], at->window[1],
            how->stride[0], how->stride[1], how->dilation[0], how->dilation[1], how->pad[0],
            how->pad[1], how->groups);
    SAY(s, "%s_%s(%c, &window%d", s->name, at->kind == BPI_CONV       ? "conv"
                                           : at->kind == BPI_MAX_POOL ? "maxpool" : "avgpool",
        s->at, n);
    if (at->kind == BPI_CONV) {
        put_argument(s);
        put_argument(s);
    }
    put_other(s);
}

/* The number of a layer, and in a comment as people write it. */
static void put_setting(bpi_c_source *s, double x, int bits, const char *suffix)
{
    bpi_c_number(&s->b, ", ", x, bits, suffix);
    bpi_say(&s->b, " /* %g */", x);
}

static void put_norm(bpi_c_source *s, const bpi_layer *at)
{
    int64_t n = at->to.channels ? at->to.channels : at->width;
    SAY(s, "%s_%s(%c, %lld, %lld", s->name,
        at->mean ? "batchnorm" : at->bias ? "layernorm" : "rmsnorm", s->at,
        (long long)(at->width / n), (long long)n);
    for (int i = at->mean ? 4 : at->bias ? 2 : 1; i > 0; i--)
        put_argument(s);
    put_setting(s, at->number, 53, "");
    bpi_say(&s->b, ");");
}

static void put_layer(bpi_c_source *s, const bpi_layer *at)
{
    switch (at->kind) {
    case BPI_DENSE:
        put_dense(s, at);
        break;
    case BPI_ACTIVATION:
        SAY(s, "%s_%s(%c, %lld", s->name, at->activation->name, s->at, (long long)at->width);
        if (at->activation->with)
            put_setting(s, (double)(float)at->number, 24, "f");
        bpi_say(&s->b, ");");
        break;
    case BPI_LAYERNORM:
    case BPI_RMSNORM:
    case BPI_BATCHNORM:
        put_norm(s, at);
        break;
    case BPI_CONV:
    case BPI_MAX_POOL:
    case BPI_AVG_POOL:
        put_windowed(s, at);
        break;
    case BPI_GLOBAL_POOL:
        SAY(s, "%s_globalpool(%c, %lld, %lld", s->name, s->at,
            (long long)(at->from.height * at->from.width), (long long)at->width);
        put_other(s);
        break;
    case BPI_RESIDUAL:
        SAY(s, "{");
        s->depth++;
        SAY(s, "float skip%d[%lld];", s->depth, (long long)at->width);
        SAY(s, EACH, (long long)at->width);
        SAY(s, "    skip%d[i] = %c[i];", s->depth, s->at);
        break;
    case BPI_END:
        SAY(s, EACH, (long long)at->width);
        SAY(s, "    %c[i] += skip%d[i];", s->at, s->depth);
        s->depth--;
        SAY(s, "}");
        break;
    default: break; /* dropout; HxWxC */
    }
}

/* Of the outputs, which are in s->at, what the task wants. */
static void put_answer(bpi_c_source *s)
{
    const bp_model *m = s->model;
    long long n = m->outputs;
    if (m->task == BP_TASK_CLASSES && !m->tanh) {
        SAY(s, "float most = %c[0], sum = 0;", s->at);
        SAY(s, EACH, n);
        SAY(s, "    most = %c[i] > most ? %c[i] : most;", s->at, s->at);
        SAY(s, EACH, n);
        SAY(s, "    sum += y[i] = expf(%c[i] - most);", s->at);
    }
    SAY(s, EACH, n);
    if (m->tanh)
        SAY(s, "    y[i] = fminf(fmaxf(0.5f + 0.866025404f * tanhf(%c[i] * 2 / 3), 0), 1);", s->at);
    else if (m->task == BP_TASK_CLASSES)
        SAY(s, "    y[i] /= sum;");
    else if (m->task == BP_TASK_LABELS)
        SAY(s, "    y[i] = 1 / (1 + expf(-%c[i]));", s->at);
    else if (bpi_normalizer_is_none(&m->out))
        SAY(s, "    y[i] = %c[i];", s->at);
    else
        SAY(s, "    y[i] = (float)(%c[i] / %s_targets_scale[i] + %s_targets_shift[i]);", s->at,
            s->name, s->name);
    bpi_say(&s->b, "\n}\n");
}

void bpi_c_predict(bpi_c_source *s)
{
    const bp_layers *l = s->model->layers;
    s->params = 0;
    put_start(s);
    for (int32_t i = 0; i < l->n; i++)
        put_layer(s, &l->layer[i]);
    put_answer(s);
}
