/* A model as one file of C99 that needs <math.h> alone: the weights, and what export_c_layers.c
 * makes of its layers. Floats are written in base 16, as whole numbers times a power of two: their
 * bits stay, whatever the host's locale. */
#include <math.h>
#include <string.h>

#include "nn/export_c.h"

enum { NAME_BYTES = 63, STACK_BYTES = 1 << 20, LINE = 96, PER_LINE = 5 };

/* --- constants -------------------------------------------------------------------------------- */

/* n numbers between braces: those of f, or of d. */
static void put_list(bpi_buffer *b, const float *f, const double *d, int64_t n)
{
    bpi_say(b, "{");
    for (int64_t i = 0; i < n; i++) {
        const char *before = i % PER_LINE ? " " : "\n    ";
        if (f)
            bpi_c_number(b, before, (double)f[i], 24, i + 1 < n ? "f," : "f");
        else
            bpi_c_number(b, before, d[i], 53, i + 1 < n ? "," : "");
    }
    bpi_say(b, "\n};\n");
}

/* What stands behind the name of a constant. */
static void put_values(bpi_c_source *s, bp_tensor *t)
{
    bp_shape shape = bp_shape_of(t);
    int64_t n = bp_shape_count(shape);
    float *values = bpi_host_alloc(s->b.ctx, (size_t)n * sizeof *values);
    bp_status st = values ? bp_read(t, values, (size_t)n * sizeof *values)
                          : bpi_fail(s->b.ctx, BP_ERR_NOMEM, "model_export_c: out of memory");
    bpi_say(&s->b, "[%lld] = /* %s */ ", (long long)n, bpi_shape_str(&shape).s);
    if (st == BP_OK)
        put_list(&s->b, values, NULL, n);
    else
        s->b.status = st;
    bpi_host_free(s->b.ctx, values, (size_t)n * sizeof *values);
}

static void put_parameter(bpi_c_source *s, bp_tensor *t)
{
    bpi_say(&s->b, "\nstatic const float ");
    bpi_c_name(s, s->params++);
    put_values(s, t);
}

/* What mixes the columns is a dense layer whose biases are 0. */
static void put_matrix(bpi_c_source *s, const bpi_normalizer *n)
{
    bp_context *ctx = s->b.ctx;
    bp_status st = bp_scope_begin(ctx, BP_NO_GRAD);
    bpi_say(&s->b, "\nstatic const float %s_normalizer_bias[%lld] = {0};\n"
                   "\nstatic const float %s_normalizer_matrix", s->name, (long long)n->n, s->name);
    if (st == BP_OK) {
        put_values(s, bp_transpose(n->matrix, 0, 1));
        st = bp_scope_end(ctx);
    }
    s->b.status = s->b.status == BP_OK ? st : s->b.status;
}

static void put_normalizer(bpi_c_source *s, const char *what, const bpi_normalizer *n)
{
    for (int k = 0; k < 2 && !bpi_normalizer_is_none(n); k++) {
        bpi_say(&s->b, "\nstatic const double %s_%s_%s[%lld] = ", s->name, what,
                k ? "scale" : "shift", (long long)n->n);
        put_list(&s->b, NULL, n->host + k * n->n, n->n);
    }
    if (n->matrix)
        put_matrix(s, n);
}

/* A string that is the same in every C and C++: no byte but plain ones, and no trigraph. */
static void put_string(bpi_buffer *b, const char *text)
{
    bpi_say(b, "    \"");
    for (const unsigned char *c = (const unsigned char *)text; *c; c++)
        bpi_say(b, *c < ' ' || *c > '~' || strchr("\"\\?", *c) ? "\\%03o" : "%c", *c);
    bpi_say(b, "\",\n");
}

static void put_class_names(bpi_c_source *s)
{
    bpi_say(&s->b, "\nconst char *const %s_class_names[%s_outputs] = {\n", s->name, s->name);
    for (int32_t c = 0; c < s->model->outputs; c++) {
        const char *name = bp_model_class_name(s->model, c);
        put_string(&s->b, name ? name : "");
    }
    bpi_say(&s->b, "};\n");
}

/* --- the file --------------------------------------------------------------------------------- */

/* Widths, and bytes of stack: two arrays, and what the groups keep that are open at a time. */
static void measure(bpi_c_source *s)
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
static void put_face(bpi_c_source *s, const char *before)
{
    const bp_model *m = s->model;
    const char *n = s->name;
    bpi_say(&s->b, "%senum { %s_inputs = %lld, %s_outputs = %lld };\n", before, n,
            (long long)m->inputs, n, (long long)m->outputs);
    bpi_say(&s->b, "%svoid %s_predict(const float *x, float *y);\n", before, n);
    if (m->names[BPI_CLASS_NAMES].text)
        bpi_say(&s->b, "%sextern const char *const %s_class_names[%s_outputs];\n", before, n, n);
}

static void put_comment(bpi_c_source *s)
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

static void put_file(bpi_c_source *s)
{
    const bp_model *m = s->model;
    const bp_layers *l = m->layers;
    put_comment(s);
    put_face(s, "");
    if (m->names[BPI_CLASS_NAMES].text)
        put_class_names(s);
    put_normalizer(s, "normalizer", &m->in);
    for (int32_t i = 0; i < l->n; i++) {
        const bpi_layer *at = &l->layer[i];
        bp_tensor *const of[] = {at->weight, at->bias, at->mean, at->variance};
        for (int k = 0; k < 4; k++)
            if (of[k])
                put_parameter(s, of[k]);
    }
    if (m->task == BP_TASK_REGRESSION)
        put_normalizer(s, "targets", &m->out);
    bpi_c_functions(s);
    bpi_c_predict(s);
}

static bool is_name(const char *name)
{
    size_t n = strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789");
    return n > 0 && n <= NAME_BYTES && !name[n] && !strchr("_0123456789", *name);
}

static bp_status export_c(bp_model *m, const char *name, const char *path)
{
    bpi_c_source s = {.model = m, .name = name, .b = {.ctx = m->ctx}};
    BPI_TRY(bpi_given(m->ctx, name, "model_export_c: name"));
    BPI_TRY(bpi_given(m->ctx, path, "model_export_c: path"));
    BPI_TRY(bpi_model_has_layers(m, "model_export_c"));
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
