/* bpcuda eval, bpcuda predict: what a model says of data. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "job.h"
#include "json.h"

void print_metrics(const job *j, const bp_metrics *m, const char *prefix, json *to)
{
    bool numbers = bp_model_task(j->model) == BP_TASK_REGRESSION;
    const struct {
        const char *name;
        double value;
        bool told, percent;
    } all[] = {{"accuracy", m->accuracy, !numbers, true}, {"loss", m->loss, true, false},
               {"mse", m->mse, numbers, false}, {"mae", m->mae, numbers, false},
               {"r2", m->r2, numbers, false}};
    const char *comma = "";
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        char name[32];
        if (!all[i].told)
            continue;
        snprintf(name, sizeof name, "%s%s%s", prefix, to ? "" : " ", all[i].name);
        if (to)
            json_number(to, name, all[i].value);
        else if (all[i].percent)
            printf("%s%s %.2f %%", comma, name, 100 * all[i].value);
        else
            printf("%s%s %.4g", comma, name, all[i].value);
        comma = ", ";
    }
}

bp_status command_eval(job *j)
{
    bp_metrics m;
    json to = {stdout, false};
    TRY(open_context(j));
    TRY(load_model(j, j->set->operand[0]));
    TRY(load_data(j, TEST));
    TRY(bp_model_measure(j->model, j->test, &m));
    if (!j->set->json) {
        print_metrics(j, &m, "test", NULL);
        printf(", %lld rows\n", (long long)bp_data_rows(j->test));
        return BP_OK;
    }
    json_open(&to, NULL, '{');
    print_metrics(j, &m, "", &to);
    json_number(&to, "samples", (double)bp_data_rows(j->test));
    json_text(&to, "device", bp_device_text(j->ctx));
    json_close(&to, '}');
    printf("\n");
    return BP_OK;
}

/* --- predictions ----------------------------------------------------------------------------- */

/* Numbers by commas, or as an array; one alone is no array. `yes`: whether each is above a half. */
static void print_numbers(const float *p, int64_t n, bool yes, const char *name, json *to)
{
    if (to && n > 1)
        json_open(to, name, '[');
    for (int64_t i = 0; i < n; i++) {
        double value = yes ? p[i] > 0.5f : p[i];
        if (to)
            json_number(to, n > 1 ? NULL : name, value);
        else
            printf("%s%.9g", i ? "," : "", value);
    }
    if (to && n > 1)
        json_close(to, ']');
}

/* The answer of a row: of labels, and of the classes' probabilities, all are told. Its spread is
 * that of the numbers, or of the probability of the class, that were. */
static void print_row(const job *j, const float *p, const float *spread, json *to)
{
    bp_task task = bp_model_task(j->model);
    int64_t n = bp_model_outputs(j->model);
    bool all = task != BP_TASK_CLASSES || j->set->probabilities, labels = task == BP_TASK_LABELS;
    int32_t best = 0;
    for (int32_t c = 1; c < n; c++)
        best = p[c] > p[best] ? c : best;
    char name[256];
    class_text(j->model, best, name, sizeof name);
    if (to && spread)
        json_open(to, NULL, '{');
    print_numbers(p, all ? n : 0, labels && !j->set->probabilities, spread ? "answer" : NULL, to);
    if (!all && to)
        json_text(to, spread ? "answer" : NULL, name);
    else if (!all)
        put_text(name);
    if (spread && !to)
        putchar(',');
    if (spread)
        print_numbers(all ? spread : spread + best, all ? n : 1, false, "spread", to);
    if (to && spread)
        json_close(to, '}');
    if (!to)
        putchar('\n');
}

static bp_status predict_rows(job *j, float *x, float *p, json *to)
{
    int64_t all = bp_data_rows(j->test), k = bp_model_outputs(j->model);
    float *spread = j->set->spread ? p + CHUNK * k : NULL;
    for (int64_t first = 0; first < all; first += CHUNK) {
        int64_t n = all - first < CHUNK ? all - first : CHUNK;
        TRY(read_rows(j, bp_data_samples(j->test), first, n, x));
        TRY(spread ? bp_model_predict_spread(j->model, x, n, p, spread)
                   : bp_model_predict(j->model, x, n, p));
        for (int64_t i = 0; i < n; i++)
            print_row(j, p + i * k, spread ? spread + i * k : NULL, to);
    }
    return BP_OK;
}

/* The object is printed as a whole, or not at all. */
static bp_status predict_json(job *j, float *x, float *p)
{
    char *text = NULL;
    size_t bytes;
    json to = {open_memstream(&text, &bytes), false};
    if (!to.to)
        return fail(j, BP_ERR_NOMEM, "predict: out of memory");
    json_open(&to, NULL, '{');
    json_open(&to, "predictions", '[');
    bp_status st = predict_rows(j, x, p, &to);
    json_close(&to, ']');
    json_number(&to, "samples", (double)bp_data_rows(j->test));
    json_close(&to, '}');
    bool whole = !ferror(to.to);
    if ((fclose(to.to) != 0 || !whole) && st == BP_OK)
        st = fail(j, BP_ERR_NOMEM, "predict: out of memory");
    if (st == BP_OK)
        printf("%s\n", text);
    free(text);
    return st;
}

bp_status command_predict(job *j)
{
    TRY(open_context(j));
    TRY(load_model(j, j->set->operand[0]));
    TRY(load_data(j, ROWS));
    int64_t inputs = bp_model_inputs(j->model), cols = bp_data_cols(j->test);
    if (cols != inputs)
        return fail(j, BP_ERR_SHAPE, "%.200s has %lld columns of samples; the model takes %lld%s",
                    j->set->data, (long long)cols, (long long)inputs,
                    cols == inputs + 1 && !j->set->target
                        ? ": --target names the one to leave out" : "");
    if (j->set->probabilities && bp_model_task(j->model) == BP_TASK_REGRESSION)
        return fail(j, BP_ERR_ARG, "--probabilities: the model tells numbers, not classes");
    if (j->set->spread && bp_model_members(j->model) == 1)
        return fail(j, BP_ERR_ARG, "--spread: %.200s is one model, not an ensemble", j->set->operand[0]);
    float *x = malloc((size_t)(CHUNK * inputs) * sizeof *x);
    float *p = malloc(2 * (size_t)(CHUNK * bp_model_outputs(j->model)) * sizeof *p);
    bp_status st = x && p ? BP_OK : fail(j, BP_ERR_NOMEM, "predict: out of memory");
    if (st == BP_OK)
        st = j->set->json ? predict_json(j, x, p) : predict_rows(j, x, p, NULL);
    free(x);
    free(p);
    return st;
}
