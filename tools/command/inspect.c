/* bpcuda inspect: what is in a model, and what is in data; its batches: batches.c. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "batches.h"
#include "core/text.h"
#include "job.h"
#include "json.h"

/* --- a model --------------------------------------------------------------------------------- */

static void shape_text(bp_tensor *t, char *to, size_t room)
{
    bp_shape s = bp_shape_of(t);
    int n = snprintf(to, room, "[");
    for (int i = 0; i < s.ndim; i++)
        n += snprintf(to + n, room - (size_t)n, "%s%lld", i ? "," : "", (long long)s.dim[i]);
    snprintf(to + n, room - (size_t)n, "]");
}

static void print_model(job *j)
{
    bp_params *params = bp_model_params(j->model);
    int64_t total = 0;
    char text[128];
    printf("%s: ", j->set->operand[0]);
    if (bp_model_members(j->model) > 1)
        printf("an ensemble of %d: ", (int)bp_model_members(j->model));
    printf("%s, %lld inputs, %lld outputs, normalised by %s%s\nlayers \"%s\", and the outputs\n",
           bp_task_name(bp_model_task(j->model)),
           (long long)bp_model_inputs(j->model), (long long)bp_model_outputs(j->model),
           bp_normalize_name(bp_model_normalized(j->model)),
           bp_model_has_tanh_targets(j->model) ? ", targets of tanh outputs" : "",
           bp_model_layers(j->model));
    for (int32_t c = 0; c < bp_model_classes(j->model); c++) {
        class_text(j->model, c, text, sizeof text);
        fputs(c ? ", " : "classes ", stdout);
        put_text(text);
    }
    printf(bp_model_classes(j->model) ? "\n" : "");
    for (int32_t i = 0; i < bp_param_count(params); i++) {
        bp_tensor *t = bp_param_at(params, i);
        shape_text(t, text, sizeof text);
        printf("  %-24s %-16s %12lld\n", bp_param_name(params, i), text,
               (long long)bp_shape_count(bp_shape_of(t)));
        total += bp_shape_count(bp_shape_of(t));
    }
    printf("  %-24s %-16s %12lld\n", "all parameters", "", (long long)total);
}

static void print_model_json(job *j, json *to)
{
    bp_params *params = bp_model_params(j->model);
    double total = 0;
    char text[128];
    json_text(to, "task", bp_task_name(bp_model_task(j->model)));
    json_number(to, "inputs", (double)bp_model_inputs(j->model));
    json_number(to, "outputs", (double)bp_model_outputs(j->model));
    json_text(to, "layers", bp_model_layers(j->model));
    json_number(to, "members", bp_model_members(j->model));
    json_text(to, "normalize", bp_normalize_name(bp_model_normalized(j->model)));
    json_bool(to, "tanh_targets", bp_model_has_tanh_targets(j->model));
    json_open(to, "classes", '[');
    for (int32_t c = 0; c < bp_model_classes(j->model); c++) {
        class_text(j->model, c, text, sizeof text);
        json_text(to, NULL, text);
    }
    json_close(to, ']');
    json_open(to, "parameters", '{');
    for (int32_t i = 0; i < bp_param_count(params); i++) {
        bp_shape s = bp_shape_of(bp_param_at(params, i));
        json_open(to, bp_param_name(params, i), '[');
        for (int k = 0; k < s.ndim; k++)
            json_number(to, NULL, (double)s.dim[k]);
        json_close(to, ']');
        total += (double)bp_shape_count(s);
    }
    json_close(to, '}');
    json_number(to, "count", total);
}

/* --- data ------------------------------------------------------------------------------------ */

typedef struct column {
    double least, most, mean, squares; /* squares of distances from the mean */
} column;

/* One pass (Welford, 1962), a chunk of rows at a time. */
static bp_status look_at(job *j, bp_data *d, bp_tensor *values, int64_t n, column *to)
{
    int64_t all = bp_data_rows(d);
    float *x = malloc((size_t)(CHUNK * n) * sizeof *x);
    bp_status st = x ? BP_OK : fail(j, BP_ERR_NOMEM, "inspect: out of memory");
    for (int64_t i = 0; i < n; i++)
        to[i] = (column){.least = INFINITY, .most = -INFINITY};
    for (int64_t first = 0; st == BP_OK && first < all; first += CHUNK) {
        int64_t rows = all - first < CHUNK ? all - first : CHUNK;
        st = read_rows(j, values, first, rows, x);
        for (int64_t i = 0; st == BP_OK && i < rows * n; i++) {
            column *c = &to[i % n];
            double off = x[i] - c->mean;
            c->least = fmin(c->least, x[i]);
            c->most = fmax(c->most, x[i]);
            c->mean += off / (double)(first + i / n + 1);
            c->squares += off * (x[i] - c->mean);
        }
    }
    free(x);
    return st;
}

static void print_columns(const bp_data *d, const char *name, const column *c, int64_t n, json *to)
{
    enum { SHOWN = 100 };
    char number[32], shown[64];
    for (int64_t i = 0; i < n && (to || i < SHOWN); i++) {
        const char *its = !strcmp(name, "x") ? bp_data_feature_name(d, i) : NULL;
        double deviation = sqrt(c[i].squares / (double)bp_data_rows(d));
        snprintf(number, sizeof number, n > 1 ? "%s[%lld]" : "%s", name, (long long)i);
        if (!to) {
            bpi_printable(shown, sizeof shown, its ? its : number);
            printf("  %-24.24s %12.6g %12.6g %12.6g %12.6g\n", shown, c[i].least, c[i].mean,
                   c[i].most, deviation);
            continue;
        }
        json_open(to, NULL, '{');
        json_text(to, "name", its ? its : number);
        json_number(to, "min", c[i].least);
        json_number(to, "mean", c[i].mean);
        json_number(to, "max", c[i].most);
        json_number(to, "std", deviation);
        json_close(to, '}');
    }
    if (!to && n > SHOWN)
        printf("  ... and %lld more (--json has all)\n", (long long)(n - SHOWN));
}

static bp_status print_numbers(job *j, bp_data *d, const char *name, json *to)
{
    bp_tensor *values = bp_data_column(d, name);
    int64_t n = bp_shape_count(bp_shape_of(values)) / bp_data_rows(d);
    column *c = malloc((size_t)n * sizeof *c);
    bp_status st = c ? look_at(j, d, values, n, c) : fail(j, BP_ERR_NOMEM, "inspect: out of memory");
    if (st == BP_OK)
        print_columns(d, name, c, n, to);
    free(c);
    return st;
}

static bp_status print_classes(job *j, bp_data *d, json *to)
{
    int32_t classes = bp_data_classes(d);
    int64_t all = bp_data_rows(d), *count = calloc((size_t)classes, sizeof *count);
    float *y = malloc(CHUNK * sizeof *y);
    bp_status st = count && y ? BP_OK : fail(j, BP_ERR_NOMEM, "inspect: out of memory");
    for (int64_t first = 0; st == BP_OK && first < all; first += CHUNK) {
        int64_t rows = all - first < CHUNK ? all - first : CHUNK;
        st = read_rows(j, bp_data_labels(d), first, rows, y);
        for (int64_t i = 0; st == BP_OK && i < rows; i++)
            count[(int64_t)y[i]]++;
    }
    for (int32_t c = 0; st == BP_OK && c < classes; c++) {
        char number[32], shown[64];
        const char *name = bp_data_class_name(d, c);
        snprintf(number, sizeof number, "%d", (int)c);
        bpi_printable(shown, sizeof shown, name ? name : number);
        if (to)
            json_number(to, name ? name : number, (double)count[c]);
        else
            printf("  class %-18.18s %12lld rows, %.1f %%\n", shown, (long long)count[c],
                   100 * (double)count[c] / (double)all);
    }
    free(count);
    free(y);
    return st;
}

static bp_status print_data(job *j, bp_data *d, json *to)
{
    bool classes = bp_data_targets(d) == BP_TARGETS_CLASSES;
    if (!to)
        printf("%s: %lld rows of %lld columns\n  %-24s %12s %12s %12s %12s\n", j->set->data,
               (long long)bp_data_rows(d), (long long)bp_data_cols(d), "column", "least", "mean",
               "most", "deviation");
    if (to) {
        json_text(to, "data", j->set->data);
        json_number(to, "rows", (double)bp_data_rows(d));
        json_open(to, "columns", '[');
    }
    for (int32_t i = 0; i < bp_data_columns(d); i++) {
        const char *name = bp_data_column_name(d, i);
        if (!classes || strcmp(name, "y"))
            TRY(print_numbers(j, d, name, to));
    }
    if (to)
        json_close(to, ']');
    if (classes && to)
        json_open(to, "class_counts", '{');
    if (classes)
        TRY(print_classes(j, d, to));
    if (classes && to)
        json_close(to, '}');
    return BP_OK;
}

bp_status command_inspect(job *j)
{
    json object = {stdout, false}, *to = j->set->json ? &object : NULL;
    if (!j->set->operands && !j->set->data)
        return fail(j, BP_ERR_ARG, "inspect wants a model, or --data");
    if (j->set->operands && !strcmp(j->set->operand[0], "batches"))
        return inspect_batches(j);
    TRY(open_context(j));
    if (j->set->operands)
        TRY(load_model(j, j->set->operand[0]));
    if (j->set->data)
        TRY(load_data(j, WHOLE));
    if (to)
        json_open(to, NULL, '{');
    if (j->model && to)
        print_model_json(j, to);
    else if (j->model)
        print_model(j);
    if (j->test)
        TRY(print_data(j, j->test, to));
    if (to) {
        json_close(to, '}');
        printf("\n");
    }
    return BP_OK;
}
