/* A model as one file of C99 that needs <math.h> alone: the weights, a function for each kind of
 * layer that the model has, and NAME_predict, which calls them in order. Floats are written in base
 * 16, as whole numbers times a power of two: their bits stay, whatever the host's locale. */
#include <math.h>
#include <string.h>

#include "nn/export.h"

enum { NAME_BYTES = 63, STACK_BYTES = 1 << 20, LINE = 96, PER_LINE = 5 };

typedef struct source {
    bp_model *model;
    const char *name;
    bpi_buffer b;
    int64_t wide, stack; /* columns of the widest layer; bytes of what lies between */
    int32_t params;      /* so far, in the order of the store */
    int depth;           /* groups that are open */
    char at;             /* the array in which the values are */
} source;

/* --- constants -------------------------------------------------------------------------------- */

/* A number whose mantissa has `bits` bits, as 0x18p-3, between two texts. */
static void put_number(bpi_buffer *b, const char *before, double x, int bits, const char *behind)
{
    int e;
    uint64_t m = (uint64_t)ldexp(frexp(fabs(x), &e), bits);
    for (e -= bits; m && m % 2 == 0; m /= 2)
        e++;
    bpi_say(b, "%s%s0x%llxp%d%s", before, signbit(x) ? "-" : "", (unsigned long long)m, m ? e : 0,
            behind);
}

/* n numbers between braces: those of f, or of d. */
static void put_list(bpi_buffer *b, const float *f, const double *d, int64_t n)
{
    bpi_say(b, "{");
    for (int64_t i = 0; i < n; i++) {
        const char *before = i % PER_LINE ? " " : "\n    ";
        if (f)
            put_number(b, before, (double)f[i], 24, i + 1 < n ? "f," : "f");
        else
            put_number(b, before, d[i], 53, i + 1 < n ? "," : "");
    }
    bpi_say(b, "\n};\n");
}

/* layer1.weight is NAME_layer1_weight. */
static void put_name_of(source *s, int32_t i)
{
    bpi_say(&s->b, "%s_", s->name);
    for (const char *c = bp_param_name(s->model->params, i); *c; c++)
        bpi_say(&s->b, "%c", *c == '.' ? '_' : *c);
}

static void put_parameter(source *s, bp_tensor *t)
{
    bp_shape shape = bp_shape_of(t);
    int64_t n = bp_shape_count(shape);
    float *values = bpi_host_alloc(s->b.ctx, (size_t)n * sizeof *values);
    bp_status st = values ? bp_read(t, values, (size_t)n * sizeof *values)
                          : bpi_fail(s->b.ctx, BP_ERR_NOMEM, "model_export_c: out of memory");
    bpi_say(&s->b, "\nstatic const float ");
    put_name_of(s, s->params++);
    bpi_say(&s->b, "[%lld] = /* %s */ ", (long long)n, bpi_shape_str(&shape).s);
    if (st == BP_OK)
        put_list(&s->b, values, NULL, n);
    else
        s->b.status = st;
    bpi_host_free(s->b.ctx, values, (size_t)n * sizeof *values);
}

static void put_normalizer(source *s, const char *what, const bpi_normalizer *n)
{
    for (int k = 0; k < 2 && !bpi_normalizer_is_none(n); k++) {
        bpi_say(&s->b, "\nstatic const double %s_%s_%s[%lld] = ", s->name, what,
                k ? "scale" : "shift", (long long)n->n);
        put_list(&s->b, NULL, n->host + k * n->n, n->n);
    }
}

/* A string that is the same in every C and C++: no byte but plain ones, and no trigraph. */
static void put_string(bpi_buffer *b, const char *text)
{
    bpi_say(b, "    \"");
    for (const unsigned char *c = (const unsigned char *)text; *c; c++)
        bpi_say(b, *c < ' ' || *c > '~' || strchr("\"\\?", *c) ? "\\%03o" : "%c", *c);
    bpi_say(b, "\",\n");
}

static void put_class_names(source *s)
{
    bpi_say(&s->b, "\nconst char *const %s_class_names[%s_outputs] = {\n", s->name, s->name);
    for (int32_t c = 0; c < s->model->outputs; c++) {
        const char *name = bp_model_class_name(s->model, c);
        put_string(&s->b, name ? name : "");
    }
    bpi_say(&s->b, "};\n");
}

/* --- functions, each where the model needs it ------------------------------------------------- */

/* Eight sums at once: less is lost in them, and a compiler may take a vector for it. */
static const char dense[] =
    "\nstatic void %s_dense(const float *x, int n, const float *w, const float *bias, int m, "
    "float *y)\n"
    "{\n"
    "    for (int i = 0; i < m; i++, w += n) {\n"
    "        float part[8] = {0}, sum = bias[i];\n"
    "        int j = 0;\n"
    "        for (; j + 8 <= n; j += 8)\n"
    "            for (int k = 0; k < 8; k++)\n"
    "                part[k] += w[j + k] * x[j + k];\n"
    "        for (; j < n; j++)\n"
    "            sum += w[j] * x[j];\n"
    "        for (int k = 0; k < 8; k++)\n"
    "            sum += part[k];\n"
    "        y[i] = sum;\n"
    "    }\n"
    "}\n";

static const char layernorm[] =
    "\nstatic void %s_layernorm(float *v, int n, const float *gain, const float *bias, "
    "double eps)\n"
    "{\n"
    "    double mean = 0, variance = 0;\n"
    "    for (int i = 0; i < n; i++)\n"
    "        mean += v[i];\n"
    "    mean /= n;\n"
    "    for (int i = 0; i < n; i++)\n"
    "        variance += (v[i] - mean) * (v[i] - mean);\n"
    "    const double scale = 1 / sqrt(variance / n + eps);\n"
    "    for (int i = 0; i < n; i++)\n"
    "        v[i] = (float)((v[i] - mean) * scale) * gain[i] + bias[i];\n"
    "}\n";

static const char rmsnorm[] =
    "\nstatic void %s_rmsnorm(float *v, int n, const float *gain, double eps)\n"
    "{\n"
    "    double square = 0;\n"
    "    for (int i = 0; i < n; i++)\n"
    "        square += (double)v[i] * v[i];\n"
    "    const double scale = 1 / sqrt(square / n + eps);\n"
    "    for (int i = 0; i < n; i++)\n"
    "        v[i] = (float)(v[i] * scale) * gain[i];\n"
    "}\n";

static void put_activation(source *s, const bpi_activation *a)
{
    bpi_say(&s->b, "\nstatic void %s_%s(float *v, int n%s)\n"
                   "{\n"
                   "    for (int i = 0; i < n; i++) {\n"
                   "        const float x = v[i];\n"
                   "        v[i] = %s;\n"
                   "    }\n"
                   "}\n", s->name, a->name, a->with ? ", float p" : "", a->c);
}

static void put_functions(source *s)
{
    const bp_layers *l = s->model->layers;
    const char *const format[] = {[BPI_DENSE] = dense, [BPI_LAYERNORM] = layernorm,
                                  [BPI_RMSNORM] = rmsnorm};
    for (int32_t i = 0; i < l->n; i++) {
        const bpi_layer *at = &l->layer[i];
        int32_t k = 0;
        while (l->layer[k].kind != at->kind || l->layer[k].activation != at->activation)
            k++;
        if (k < i) /* an earlier layer has it */
            continue;
        if (at->kind == BPI_ACTIVATION)
            put_activation(s, at->activation);
        else if (at->kind <= BPI_RMSNORM)
            bpi_say(&s->b, format[at->kind], s->name);
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

static void put_start(source *s)
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
}

/* ", NAME_layer1_weight", the next parameter. */
static void put_argument(source *s)
{
    bpi_say(&s->b, ", ");
    put_name_of(s, s->params++);
}

static void put_dense(source *s, const bpi_layer *at)
{
    SAY(s, "%s_dense(%c, %lld", s->name, s->at, (long long)at->in);
    put_argument(s);
    put_argument(s);
    s->at = s->at == 'a' ? 'b' : 'a';
    bpi_say(&s->b, ", %lld, %c);", (long long)at->width, s->at);
}

/* The number of a layer, and in a comment as people write it. */
static void put_setting(source *s, double x, int bits, const char *suffix)
{
    put_number(&s->b, ", ", x, bits, suffix);
    bpi_say(&s->b, " /* %g */", x);
}

static void put_norm(source *s, const bpi_layer *at)
{
    SAY(s, "%s_%s(%c, %lld", s->name, at->bias ? "layernorm" : "rmsnorm", s->at,
        (long long)at->width);
    put_argument(s);
    if (at->bias)
        put_argument(s);
    put_setting(s, at->number, 53, "");
    bpi_say(&s->b, ");");
}

static void put_layer(source *s, const bpi_layer *at)
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
        put_norm(s, at);
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
    default: break; /* dropout */
    }
}

/* Of the outputs, which are in s->at, what the task wants. */
static void put_answer(source *s)
{
    const bp_model *m = s->model;
    long long n = m->outputs;
    if (m->task == BP_TASK_CLASSES) {
        SAY(s, "float most = %c[0], sum = 0;", s->at);
        SAY(s, EACH, n);
        SAY(s, "    most = %c[i] > most ? %c[i] : most;", s->at, s->at);
        SAY(s, EACH, n);
        SAY(s, "    sum += y[i] = expf(%c[i] - most);", s->at);
    }
    SAY(s, EACH, n);
    if (m->task == BP_TASK_CLASSES)
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

/* --- the file --------------------------------------------------------------------------------- */

/* Widths, and bytes of stack: two arrays, and what the groups keep that are open at a time. */
static void measure(source *s)
{
    const bp_layers *l = s->model->layers;
    int64_t kept = 0, most = 0;
    s->wide = s->model->inputs;
    for (int32_t i = 0; i < l->n; i++) {
        const bpi_layer *at = &l->layer[i];
        kept += at->kind == BPI_RESIDUAL ? at->width : at->kind == BPI_END ? -at->width : 0;
        most = kept > most ? kept : most;
        s->wide = at->width > s->wide ? at->width : s->wide;
    }
    s->stack = (2 * s->wide + most) * (int64_t)sizeof(float);
}

/* What a program that calls it says too. */
static void put_face(source *s, const char *before)
{
    const bp_model *m = s->model;
    const char *n = s->name;
    bpi_say(&s->b, "%senum { %s_inputs = %lld, %s_outputs = %lld };\n", before, n,
            (long long)m->inputs, n, (long long)m->outputs);
    bpi_say(&s->b, "%svoid %s_predict(const float *x, float *y);\n", before, n);
    if (m->names[BPI_CLASS_NAMES].text)
        bpi_say(&s->b, "%sextern const char *const %s_class_names[%s_outputs];\n", before, n, n);
}

static void put_comment(source *s)
{
    static const char *const gives[] = {[BP_TASK_CLASSES] = "the probability of each class",
                                        [BP_TASK_REGRESSION] = "numbers in the targets' own units",
                                        [BP_TASK_LABELS] = "the probability of each label"};
    const bp_model *m = s->model;
    bpi_say(&s->b, "/* A neural network, made by bpcuda %s. Of a raw sample x, y gets\n"
                   " * %s. Its layers:\n *", bp_version(), gives[m->task]);
    size_t column = 0;
    for (const char *word = m->layers->text; *word; word += *word == ' ') {
        size_t n = strcspn(word, " ");
        bool fits = column > 0 && column + n < LINE;
        bpi_say(&s->b, "%s%.*s", fits ? " " : "\n *     ", (int)n, word);
        column = (fits ? column : 5) + n + 1;
        word += n;
    }
    bpi_say(&s->b, "\n *\n * C99, or C++17. A program that calls it says\n *\n");
    put_face(s, " *     ");
    bpi_say(&s->b, " *\n * Any number of threads may call it. What lies between takes %lld bytes "
                   "of stack. */\n#include <math.h>\n\n", (long long)s->stack);
}

static void put_file(source *s)
{
    const bp_model *m = s->model;
    const bp_layers *l = m->layers;
    put_comment(s);
    put_face(s, "");
    if (m->names[BPI_CLASS_NAMES].text)
        put_class_names(s);
    put_normalizer(s, "normalizer", &m->in);
    for (int32_t i = 0; i < l->n; i++) {
        if (l->layer[i].weight)
            put_parameter(s, l->layer[i].weight);
        if (l->layer[i].bias)
            put_parameter(s, l->layer[i].bias);
    }
    if (m->task == BP_TASK_REGRESSION)
        put_normalizer(s, "targets", &m->out);
    put_functions(s);
    s->params = 0;
    put_start(s);
    for (int32_t i = 0; i < l->n; i++)
        put_layer(s, &l->layer[i]);
    put_answer(s);
}

static bool is_name(const char *name)
{
    size_t n = strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789");
    return n > 0 && n <= NAME_BYTES && !name[n] && !strchr("_0123456789", *name);
}

static bp_status export_c(bp_model *m, const char *name, const char *path)
{
    source s = {.model = m, .name = name, .b = {.ctx = m->ctx}};
    BPI_TRY(bpi_given(m->ctx, name, "model_export_c: name"));
    BPI_TRY(bpi_given(m->ctx, path, "model_export_c: path"));
    BPI_TRY(bpi_model_has_layers(m, "model_export_c"));
    if (m->layers->layer[0].kind == BPI_IMAGE)
        return bpi_fail(m->ctx, BP_ERR_UNSUPPORTED,
                        "model_export_c: the layers are of images: rows of "
                        "numbers are wanted; bp_model_export_onnx knows both");
    if (!is_name(name))
        return bpi_fail(m->ctx, BP_ERR_ARG, "model_export_c: name is \"%s\"; a letter, then "
                        "letters, digits and '_', at most %d bytes, are wanted", name, NAME_BYTES);
    measure(&s);
    if (s.stack > STACK_BYTES)
        return bpi_fail(m->ctx, BP_ERR_UNSUPPORTED, "model_export_c: what lies between the layers "
                        "takes %lld bytes of stack; at most %d are wanted", (long long)s.stack,
                        STACK_BYTES);
    BPI_TRY(bpi_model_exports(m, "model_export_c"));
    put_file(&s);
    return bpi_buffer_end(&s.b, path);
}

bp_status bp_model_export_c(bp_model *m, const char *name, const char *path)
{
    BPI_LEADS(m, "model_export_c: model");
    BPI_INSIDE(m->ctx, export_c(m, name, path));
}
