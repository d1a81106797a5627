/* A model with its data: whether it fits them, where its loss begins, whether its outputs depend
 * on what goes in, and its gradient. What its units do: units.c; whether it learns: fit.c. */
#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "inside.h"

double doctor_chance(const bp_model *model)
{
    switch (bp_model_task(model)) {
    case BP_TASK_CLASSES: return log(fmax((double)bp_model_classes(model), 2));
    case BP_TASK_LABELS: return log(2);
    default: return 1; /* of normalised targets, the mean squared */
    }
}

/* --- fitting the data ------------------------------------------------------------------------ */

static bool fits(const doctor_case *c, bp_model *m, findings *to)
{
    int64_t inputs = bp_model_inputs(m), outputs = bp_model_outputs(m);
    int64_t cols = bp_data_cols(c->train), wanted = bp_data_outputs(c->train);
    bp_task task = bp_model_task(m), told = (bp_task)bp_data_targets(c->train); /* of one number */
    int errors = to->count[DOCTOR_ERROR];
    if (cols != inputs)
        doctor_add(to, DOCTOR_ERROR, "other-inputs", "--data",
                   "the data have %lld columns of samples, the model %lld inputs", (long long)cols,
                   (long long)inputs);
    if (told != task)
        doctor_add(to, DOCTOR_ERROR, "other-task", "--task",
                   "the targets are for %s, the model for %s", bp_task_name(told),
                   bp_task_name(task));
    else if (wanted > outputs || (wanted < outputs && task != BP_TASK_CLASSES))
        doctor_add(to, DOCTOR_ERROR, "other-outputs", "--target",
                   "the data have %lld %s, the model %lld outputs", (long long)wanted,
                   task == BP_TASK_CLASSES ? "classes" : "targets", (long long)outputs);
    else if (wanted < outputs)
        doctor_add(to, DOCTOR_WARNING, "unused-outputs", "--target",
                   "the model has %lld classes, of which the data have %lld: the others are never "
                   "right", (long long)outputs, (long long)wanted);
    return to->count[DOCTOR_ERROR] == errors;
}

typedef struct scan {
    bp_model *model;
    names bad;
} scan;

static bp_status look_at_parameters(bp_context *ctx, void *user)
{
    scan *s = user;
    bp_params *p = bp_model_params(s->model);
    double largest;
    (void)ctx;
    for (int32_t i = 0; i < bp_param_count(p); i++) {
        TRY(bp_read_f64(bp_norm_max(bp_param_at(p, i)), &largest, 1)); /* NaN if one is */
        if (!isfinite(largest))
            doctor_name(&s->bad, "%.40s", bp_param_name(p, i));
    }
    return BP_OK;
}

static bp_status parameters(const doctor_case *c, bp_model *m, findings *to)
{
    scan s = {.model = m};
    TRY(bp_run(c->ctx, BP_NO_GRAD, look_at_parameters, &s));
    if (s.bad.n)
        doctor_add(to, DOCTOR_ERROR, "not-finite", "--lr",
                   "%s: holds numbers that are not finite; train again, with a smaller rate",
                   doctor_names(&s.bad));
    return BP_OK;
}

/* --- the text of layers ---------------------------------------------------------------------- */

/* Digits alone: "28x28x1" is none. */
static bool is_width(const char *word)
{
    size_t n = strspn(word, "0123456789");
    return n > 0 && (word[n] == ' ' || !word[n]);
}

/* Of two dense layers in a row the first is only worth its width where that is the smallest of the
 * three: then it is a bottleneck. */
static void linear_pairs(bp_model *m, findings *to)
{
    long long in = bp_model_inputs(m), width = 0, out; /* width 0: no dense layer is waiting */
    const char *p = bp_model_layers(m);
    names list = {0};
    for (;;) {
        p += strspn(p, " ");
        if (*p && !is_width(p)) {
            if (strncmp(p, "dropout", 7) != 0) {
                in = width ? width : in;
                width = 0;
            }
            p += strcspn(p, " ");
            continue;
        }
        out = *p ? strtoll(p, NULL, 10) : bp_model_outputs(m);
        if (width && (width >= in || width >= out))
            doctor_name(&list, "%lld and then %lld", width, out);
        if (!*p)
            break;
        in = width ? width : in;
        width = out;
        p += strcspn(p, " ");
    }
    if (list.n)
        doctor_add(to, DOCTOR_WARNING, "linear-pair", "--layers",
                   "widths %s with no activation between: one layer could say the same (the layer "
                   "of outputs comes by itself)", doctor_names(&list));
}

/* --- outputs and the loss -------------------------------------------------------------------- */

typedef struct outputs {
    bp_model *model;
    bp_data *sample;
    bool fresh;    /* its weights are as they were drawn */
    double *value; /* [rows, outputs], without dropout */
    double loss;   /* with it where the model is fresh, as a first step has it */
} outputs;

static bp_status forward(bp_context *ctx, void *user)
{
    outputs *o = user;
    bp_tensor *x = bp_data_samples(o->sample), *y = bp_data_labels(o->sample);
    (void)ctx;
    TRY(bp_read_f64(bp_model_forward(o->model, x, 0), o->value,
                    bp_data_rows(o->sample) * bp_model_outputs(o->model)));
    bp_tensor *loss = bp_model_loss(o->model, bp_model_forward(o->model, x, o->fresh), y);
    return bp_read_f64(loss, &o->loss, 1);
}

/* Whether no output differs from row to row by more than rounding. */
static bool same_for_all(const outputs *o)
{
    int64_t n = bp_model_outputs(o->model), rows = bp_data_rows(o->sample);
    for (int64_t i = n; i < rows * n; i++)
        if (fabs(o->value[i] - o->value[i % n]) > 1e-6 * fabs(o->value[i % n]))
            return false;
    return rows > 1;
}

/* Weights are drawn so that outputs are near 1. 6 times that, which one draw in 10,000 has, adds 6
 * to a loss of logits and 36 to a squared error. A model that comes along was trained, and knows
 * more than nothing. */
static double highest_loss(const outputs *o)
{
    bool squares = bp_model_task(o->model) == BP_TASK_REGRESSION;
    return doctor_chance(o->model) + (!o->fresh ? 1 : squares ? 36 : 6);
}

static void loss_and_outputs(const outputs *o, findings *to)
{
    static const char *const of[] = {"", "cross-entropy, ln(classes)", "squared error",
                                     "binary cross-entropy, ln(2)"};
    int64_t n = bp_data_rows(o->sample) * bp_model_outputs(o->model);
    bool finite = true;
    for (int64_t i = 0; i < n; i++)
        finite = finite && isfinite(o->value[i]);
    if (!finite || !isfinite(o->loss))
        doctor_add(to, DOCTOR_ERROR, "not-finite", "--normalize",
                   "outputs or the loss are not finite: numbers leave the range of f32");
    else if (same_for_all(o))
        doctor_add(to, DOCTOR_ERROR, "same-outputs", "--layers",
                   "the outputs are the same for all of %lld rows: nothing of a sample reaches "
                   "them", (long long)bp_data_rows(o->sample));
    else if (o->loss > highest_loss(o))
        doctor_add(to, DOCTOR_WARNING, "first-loss",
                   bp_model_normalized(o->model) == BP_NORMALIZE_NONE ? "--normalize" : "--data",
                   "the loss %s %.3g, far above %.3g, that of knowing nothing (%s), with "
                   "--normalize %s: samples or targets are in other units than it takes",
                   o->fresh ? "begins at" : "is", o->loss, doctor_chance(o->model),
                   of[bp_model_task(o->model)], bp_normalize_name(bp_model_normalized(o->model)));
}

static bp_status outputs_and_loss(const doctor_case *c, bp_model *m, bool fresh, bp_data *sample,
                                  findings *to)
{
    outputs o = {.model = m, .sample = sample, .fresh = fresh};
    int64_t n = bp_data_rows(sample) * bp_model_outputs(m);
    if (!(o.value = malloc((size_t)n * sizeof *o.value)))
        return BP_ERR_NOMEM;
    bp_status st = bp_run(c->ctx, BP_NO_GRAD, forward, &o);
    if (st == BP_OK)
        loss_and_outputs(&o, to);
    free(o.value);
    return st;
}

/* --- the gradient ---------------------------------------------------------------------------- */

/* Along a direction a wide chain crosses many kinks, which move differences by a little. A gradient
 * that is wrong is so along most directions, and by more. */
static bool is_wrong(const bp_gradcheck_report *r)
{
    return 2 * r->wrong > r->checked &&
           fabs(r->analytic - r->numeric) > 0.01 * fmax(fabs(r->analytic), fabs(r->numeric));
}

bp_status doctor_gradient(bp_context *ctx, bp_function f, void *user, bp_tensor *x,
                          const char *what, findings *to)
{
    bp_gradcheck_report report = {.struct_bytes = sizeof report};
    TRY(bp_gradcheck(ctx, f, user, &x, 1, 8, &report));
    if (is_wrong(&report))
        doctor_add(to, DOCTOR_ERROR, "wrong-gradient", "--device",
                   "the gradient of %s is wrong along %lld of %lld directions: it says %.9g, "
                   "differences say %.9g", what, (long long)report.wrong,
                   (long long)report.checked, report.analytic, report.numeric);
    return BP_OK;
}

/* --- all of it ------------------------------------------------------------------------------- */

/* Numbers of a row in the layer that has the most, of a convolution with its usual padding. */
static int64_t widest(const bp_model *m)
{
    int64_t most = bp_model_inputs(m), last = bp_model_outputs(m);
    const char *p = bp_model_layers(m);
    most = most > last ? most : last;
    for (; p && *p; p += strcspn(p, " "), p += strspn(p, " ")) {
        int64_t width = strtoll(p, NULL, 10); /* 0 where the word is no width */
        if (!strncmp(p, "conv", 4))
            width = bp_model_inputs(m) * strtoll(strchr(p, '=') + 1, NULL, 10);
        most = width > most ? width : most;
    }
    return most;
}

static bp_status look_at_values(const doctor_case *c, bp_model *m, bool fresh, bp_data *sample,
                                findings *to)
{
    int before = to->n;
    TRY(outputs_and_loss(c, m, fresh, sample, to));
    if (!bp_model_layers(m))
        return BP_OK;
    TRY(doctor_units(c, m, sample, to));
    if (fresh) /* a trained one may have small gradients everywhere */
        TRY(doctor_fading(c, m, sample, to));
    if (to->n == before) /* else it would say the same again */
        TRY(doctor_fit(c, m, sample, to));
    linear_pairs(m, to);
    return BP_OK;
}

static bp_status look(const doctor_case *c, bp_model *m, bool fresh, findings *to)
{
    bp_data *sample;
    int errors = to->count[DOCTOR_ERROR];
    if (!fits(c, m, to))
        return BP_OK;
    TRY(parameters(c, m, to));
    if (to->count[DOCTOR_ERROR] > errors)
        return BP_OK;
    TRY(doctor_sample(c->train, widest(m), &sample));
    bp_status st = look_at_values(c, m, fresh, sample, to);
    bp_data_free(sample);
    return st;
}

bp_status doctor_model(const doctor_case *c, bp_model *model, findings *to)
{
    bp_model *own = NULL;
    if (bp_data_rows(c->train) < 1 || bp_data_cols(c->train) < 1 ||
        bp_data_targets(c->train) == BP_TARGETS_NONE) {
        doctor_add(to, DOCTOR_ERROR, "no-samples", "--data",
                   "there are no rows of samples with targets");
        return BP_OK;
    }
    if (model)
        return look(c, model, false, to);
    bool told = (bp_task)bp_data_targets(c->train) == c->task; /* of one number */
    bp_status st = bp_seed(c->ctx, c->seed);
    if (st == BP_OK)
        st = told ? bp_model_create_for(c->train, c->layers, &own)
                  : bp_model_create_as(c->ctx, bp_data_cols(c->train), c->layers, c->task,
                                       bp_data_outputs(c->train), &own);
    if (st == BP_OK && told)
        st = bp_model_normalize_as(own, c->train, c->how);
    if (st == BP_OK)
        st = look(c, own, true, to);
    bp_model_free(own);
    return st;
}
