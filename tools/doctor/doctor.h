/* The doctor: what will go wrong in a training, said before it is started.
 *
 * doctor_data() looks at the data, doctor_model() at a model together with its data and options. A
 * finding is one sentence with its numbers and the option that mends it; there is at most one of a
 * code, which names the first columns or classes and counts the rest. The same case has the same
 * findings, whatever the number of threads. ERROR: nothing can be learned so; WARNING: a mistake,
 * or a result that will mislead; NOTE: harmless, worth knowing. Where errors and warnings are 0,
 * all is well. Of a model whose forward pass is a program's own, what lies between samples and
 * outputs is not looked at: bp_gradcheck() holds its ops against differences. */
#ifndef DOCTOR_H
#define DOCTOR_H

#include <stdbool.h>
#include <stdio.h>

#include "bpcuda/bpcuda.h"

typedef enum doctor_severity { DOCTOR_ERROR, DOCTOR_WARNING, DOCTOR_NOTE } doctor_severity;

typedef struct finding {
    doctor_severity severity;
    const char *code, *option; /* "constant-column", "--data" */
    char text[400];
} finding;

enum { FINDINGS_MAX = 48 }; /* more than there are codes */

typedef struct findings {
    int n, count[DOCTOR_NOTE + 1]; /* of each severity */
    finding list[FINDINGS_MAX];
} findings;

/* What will be trained on, and how. */
typedef struct doctor_case {
    bp_context *ctx;
    bp_data *train, *test; /* test may be NULL */
    const char *layers;
    bp_task task;
    bp_normalize how;
    double lr;
    bp_optimizer_kind optimizer;
    bp_rows rows;
    uint64_t seed;
} doctor_case;

/* Adds to *to, which begins as {0}. On failure bp_error_text(c->ctx) says why, or memory is out. */
bp_status doctor_data(const doctor_case *c, findings *to);

/* The same of a model; NULL: of a new one, of c->layers, for c->task, normalised as c->how says.
 * The model stays as it is, but for the gradients that wait for a step. */
bp_status doctor_model(const doctor_case *c, bp_model *model, findings *to);

/* Errors first: a table, or one JSON object {"findings": [...], "errors": n, "warnings": n}. */
void doctor_print(const findings *of, FILE *to, bool json);

#endif
