/* What the files of the doctor share: its findings as they are made, reading data, chains. */
#ifndef DOCTOR_INSIDE_H
#define DOCTOR_INSIDE_H

#include "doctor.h"

#define TRY(expr)                    \
    do {                             \
        bp_status try_st_ = (expr);  \
        if (try_st_ != BP_OK)        \
            return try_st_;          \
    } while (0)

void doctor_add(findings *to, doctor_severity severity, const char *code, const char *option,
                const char *format, ...) __attribute__((format(printf, 5, 6)));

/* A list for a sentence: "column 3, column 7 and 12 more". Begins as {0}. */
typedef struct names {
    int64_t n;
    char text[256];
} names;
void doctor_name(names *list, const char *format, ...) __attribute__((format(printf, 2, 3)));
const char *doctor_names(names *list); /* when all are in */

/* Calls each() for the rows of a column of the set, in order and some at a time: x [n, cols]. */
typedef void (*doctor_rows_fn)(void *user, int64_t first, int64_t n, int64_t cols, const double *x);
bp_status doctor_each(bp_data *data, const char *column, doctor_rows_fn each, void *user);

/* Up to 1024 rows, spread evenly; fewer where `width` numbers a row are many. The set is yours. */
bp_status doctor_sample(const bp_data *data, int64_t width, bp_data **part);

/* Looks, each at its part. */
bp_status doctor_columns(const doctor_case *c, findings *to);
bp_status doctor_targets(const doctor_case *c, findings *to);
bp_status doctor_copies(const doctor_case *c, findings *to);
bp_status doctor_units(const doctor_case *c, bp_model *model, bp_data *sample, findings *to);
bp_status doctor_fading(const doctor_case *c, bp_model *model, bp_data *sample, findings *to);
bp_status doctor_fit(const doctor_case *c, bp_model *model, bp_data *sample, findings *to);

/* Whether f's gradient at x, f64, is that of differences: "the gradient of WHAT". */
bp_status doctor_gradient(bp_context *ctx, bp_function f, void *user, bp_tensor *x,
                          const char *what, findings *to);

/* The loss of a model that knows the share of each answer at most. */
double doctor_chance(const bp_model *model);

#endif
