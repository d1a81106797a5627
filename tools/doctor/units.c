/* What the units of a chain of layers do on samples: ReLUs that are 0 for every row, tanh and
 * sigmoid at their ends; and the gradient of the whole chain, in f64.
 *
 * The values behind an activation are the outputs of a chain that ends there, with the model's
 * parameters: words are counted into names from the front, so that the first words of a text make
 * the first names. In a residual group that is still open it is the group's own chain behind what
 * comes before it: the text without "residual(". Samples are normalised as the model was, by the
 * rows of these data. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "inside.h"

static bp_status copy_parameters(bp_context *ctx, bp_params *to, bp_params *from)
{
    TRY(bp_scope_begin(ctx, BP_NO_GRAD));
    bp_status st = BP_OK;
    for (int32_t i = 0; i < bp_param_count(to) && st == BP_OK; i++)
        st = bp_copy_into(bp_param_at(to, i),
                          bp_param_at(from, bp_param_index(from, bp_param_name(to, i))));
    bp_status end = bp_scope_end(ctx);
    return st != BP_OK ? st : end;
}

/* A store of `dtype` with the layers of a text, and in it the model's parameters of these names. On
 * failure there is nothing to free. */
static bp_status make_chain(bp_model *model, bp_dtype dtype, const char *text, bp_params **store,
                            bp_layers **layers)
{
    bp_context *ctx = bp_model_context(model);
    *layers = NULL;
    TRY(bp_params_create(ctx, dtype, store));
    bp_status st = bp_layers_create(*store, "", bp_model_inputs(model), text, layers);
    if (st == BP_OK)
        st = copy_parameters(ctx, *store, bp_model_params(model));
    if (st != BP_OK) {
        bp_layers_free(*layers);
        bp_params_free(*store);
    }
    return st;
}

/* --- samples as the layers see them ---------------------------------------------------------- */

typedef struct seen {
    bp_model *model; /* whose forward pass is handed them */
    bp_data *sample;
    bp_tensor *x; /* f32 [rows, inputs], ours */
} seen;

static bp_tensor *keep_input(bp_model *model, bp_tensor *x, int32_t training, void *user)
{
    seen *s = user;
    (void)training;
    bp_context *ctx = bp_model_context(model);
    bp_shape shape = bp_shape_of(x);
    s->x = bp_tensor_create(ctx, BP_F32, shape);
    if (!s->x || bp_copy_into(s->x, x) != BP_OK)
        return NULL;
    return bp_full(ctx, BP_F32, BP_SHAPE(shape.dim[0], bp_model_outputs(model)), 0);
}

static bp_status see(bp_context *ctx, void *user)
{
    seen *s = user;
    (void)ctx;
    bp_tensor *y = bp_model_forward(s->model, bp_data_samples(s->sample), 0);
    return y ? BP_OK : BP_ERR_STATE; /* the scope's end says why */
}

static bp_status normal_samples(const doctor_case *c, bp_model *m, seen *s)
{
    TRY(bp_model_own(c->ctx, bp_model_inputs(m), bp_model_task(m), bp_model_outputs(m), keep_input,
                     s, &s->model));
    bp_status st = bp_model_normalize_as(s->model, c->train, bp_model_normalized(m));
    if (st == BP_OK)
        st = bp_run(c->ctx, BP_NO_GRAD, see, s);
    bp_model_free(s->model);
    return st;
}

/* --- units ----------------------------------------------------------------------------------- */

typedef struct probe {
    bp_layers *layers;
    bp_tensor *x;
    int64_t rows, units;
    double *y; /* [rows, units] */
} probe;

static bp_status run_probe(bp_context *ctx, void *user)
{
    probe *p = user;
    (void)ctx;
    return bp_read_f64(bp_layers_forward(p->layers, p->x, 0), p->y, p->rows * p->units);
}

static int64_t dead_units(const probe *p)
{
    int64_t dead = 0;
    for (int64_t j = 0; j < p->units; j++) {
        int64_t i = 0;
        while (i < p->rows && p->y[i * p->units + j] == 0)
            i++;
        dead += i == p->rows;
    }
    return dead;
}

/* Where its derivative is below a twentieth of its largest: tanh' = 1 - y^2, sigmoid' = y (1 - y).
 * Inputs of the variance that weights are drawn for come there once in 100. */
static double saturated(const probe *p, bool sigmoid)
{
    int64_t n = p->rows * p->units, at_end = 0;
    for (int64_t i = 0; i < n; i++) {
        double y = sigmoid ? 2 * p->y[i] - 1 : p->y[i];
        at_end += 1 - y * y < 0.05;
    }
    return (double)at_end / (double)n;
}

typedef struct verdict {
    names dead, saturated;
    bool all_dead;
} verdict;

/* More than half of a layer is not the luck of a draw. */
static void judge(const probe *p, const char *word, int number, verdict *v)
{
    if (!strcmp(word, "relu")) {
        int64_t dead = dead_units(p);
        v->all_dead = v->all_dead || dead == p->units;
        if (2 * dead > p->units)
            doctor_name(&v->dead, "word %d (%lld of %lld)", number, (long long)dead,
                        (long long)p->units);
        return;
    }
    double share = saturated(p, !strcmp(word, "sigmoid"));
    if (share > 0.5)
        doctor_name(&v->saturated, "%s of word %d (%.0f %% of values)", word, number, 100 * share);
}

static bp_status look_behind(const doctor_case *c, bp_model *m, const char *text, const char *word,
                             int number, bp_tensor *x, verdict *v)
{
    bp_params *store;
    probe p = {.x = x, .rows = bp_shape_of(x).dim[0]};
    TRY(make_chain(m, BP_F32, text, &store, &p.layers));
    p.units = bp_layers_outputs(p.layers);
    bp_status st = BP_ERR_NOMEM;
    if ((p.y = malloc((size_t)(p.rows * p.units) * sizeof *p.y)))
        st = bp_run(c->ctx, BP_NO_GRAD, run_probe, &p);
    if (st == BP_OK)
        judge(&p, word, number, v);
    free(p.y);
    bp_layers_free(p.layers);
    bp_params_free(store);
    return st;
}

/* The words of bp_model_layers() have one space between them. */
enum { TEXT = 4096 + 32, OPEN = 16, WORD = 96 };

static bp_status look_at_each(const doctor_case *c, bp_model *m, bp_tensor *x, verdict *v)
{
    char text[TEXT] = "", word[WORD];
    size_t open[OPEN], used = 0; /* where the "residual(" of each open group stands */
    int depth = 0, number = 1, n;
    for (const char *p = bp_model_layers(m); sscanf(p, "%95s%n", word, &n) == 1; p += n, number++) {
        if (!strcmp(word, "residual("))
            open[depth++] = used;
        else if (!strcmp(word, ")"))
            depth--;
        used += (size_t)snprintf(text + used, sizeof text - used, "%s ", word);
        if (strcmp(word, "relu") && strcmp(word, "tanh") && strcmp(word, "sigmoid"))
            continue;
        char chain[TEXT];
        memcpy(chain, text, used + 1);
        for (int k = 0; k < depth; k++)
            memset(chain + open[k], ' ', strlen("residual("));
        TRY(look_behind(c, m, chain, word, number, x, v));
    }
    return BP_OK;
}

/* --- the gradient ---------------------------------------------------------------------------- */

static bp_tensor *chain_of(bp_context *ctx, bp_tensor *const *x, void *user)
{
    (void)ctx;
    return bp_layers_forward(user, x[0], 0);
}

/* Two rows are enough: what is wrong with a gradient is wrong for all. */
static bp_status gradient(const doctor_case *c, bp_model *m, bp_tensor *x, findings *to)
{
    char text[TEXT];
    bp_params *store;
    bp_layers *layers;
    bp_shape shape = bp_shape_of(x);
    int64_t rows = shape.dim[0] < 2 ? shape.dim[0] : 2;
    snprintf(text, sizeof text, "%s %lld", bp_model_layers(m), (long long)bp_model_outputs(m));
    TRY(make_chain(m, BP_F64, text, &store, &layers));
    bp_tensor *some = bp_tensor_create(c->ctx, BP_F64, BP_SHAPE(rows, shape.dim[1]));
    bp_status st = some ? bp_scope_begin(c->ctx, BP_NO_GRAD) : BP_ERR_NOMEM;
    if (st == BP_OK) {
        st = bp_copy_into(some, bp_slice(x, 0, 0, rows, 1));
        bp_status end = bp_scope_end(c->ctx);
        st = st != BP_OK ? st : end;
    }
    if (st == BP_OK)
        st = doctor_gradient(c->ctx, chain_of, layers, some, "the outputs to the samples", to);
    bp_free(some);
    bp_layers_free(layers);
    bp_params_free(store);
    return st;
}

bp_status doctor_units(const doctor_case *c, bp_model *m, bp_data *sample, findings *to)
{
    seen s = {.sample = sample};
    verdict v = {0};
    bp_status st = normal_samples(c, m, &s);
    if (st == BP_OK)
        st = look_at_each(c, m, s.x, &v);
    if (st == BP_OK)
        st = gradient(c, m, s.x, to);
    bp_free(s.x);
    if (v.dead.n)
        doctor_add(to, v.all_dead ? DOCTOR_ERROR : DOCTOR_WARNING, "dead-units", "--layers",
                   "relu of %s: units that are 0 for all of %lld rows, and learn nothing any more; "
                   "leaky_relu or a smaller --lr keeps them", doctor_names(&v.dead),
                   (long long)bp_data_rows(sample));
    if (v.saturated.n)
        doctor_add(to, DOCTOR_WARNING, "saturated-units", "--normalize",
                   "%s: at the ends, where hardly a gradient passes; scale what goes in, or take "
                   "a smaller --lr", doctor_names(&v.saturated));
    return st;
}
