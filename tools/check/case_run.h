/* Cases run, compared and reported: for `bpcuda check` and for the tests' readers of the table. */
#ifndef BPI_CASE_RUN_H
#define BPI_CASE_RUN_H

#include "op_cases.h"

/* --- running a case (run.c) ------------------------------------------------------------------ */

typedef struct values {
    int64_t n;
    double *v;
} values;

typedef struct results {
    int n_out;
    values out[BP_MAX_IO];
    values grad[BP_MAX_IO]; /* [i]: of sum(out[0] * weights) by the values of input i */
    bool tails_clean; /* RUN_TAILS: nothing was written behind an output */
} results;

enum { GUARD_POISON = 0xFF }; /* what a guard fills memory with: NaN in every real type */
enum { RUN_GRADIENTS = 1, RUN_TAILS = 2 /* with a guard, in a fresh context */ };

void case_inputs(const op_case *c, bool specials, values *in);
void values_free(values *v, int n);
bool case_differentiable(const op_case *c, int input);
/* The tensors of a case, yours, filled; false on failure. */
bool case_tensors(bp_context *ctx, const op_case *c, bp_dtype real, const values *in,
                  bp_tensor **t);
bool tensor_fill(bp_tensor *t, const values *v);
bool tensor_values(bp_tensor *t, values *v);
/* A tensor, yours, of `like`'s shape and dtype, with the weights a case's outputs are summed with:
 * in [0.5, 1.5). */
bp_tensor *case_weights(bp_tensor *like, uint64_t seed);
double case_weight(uint64_t seed, int64_t i);
/* Runs a case; the results are yours to free, in any case. */
bool case_run(bp_context *ctx, const op_case *c, bp_dtype real, const values *in, uint32_t what,
              results *r);
void results_free(results *r);

/* --- comparing and reporting (report.c) ------------------------------------------------------ */

/* True if |got - want| <= relative |want| + absolute in units of the epsilon of `real`, and NaN and
 * infinities agree; else a failure is reported, with the first bad index and the worst. */
bool check_values(const char *reader, const op_case *c, const char *what, const values *got,
                  const values *want, bp_dtype real, op_tolerance tol);
void check_failed_case(const char *reader, const op_case *c, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* Where tests compute that are not about one device: BPCUDA_TEST_DEVICE, or "cpu". */
const char *test_device(void);
extern int reader_failures;
extern int64_t reader_checks; /* numbers compared */
extern double reader_worst;   /* error, as a part of what was allowed; the reader sets it back */
/* True if a case of this op was reported. */
bool reader_caught(const char *op);

/* --- a device held against the CPU (device.c) ------------------------------------------------- */

/* Prints a table to stdout: every op's cases, bits that must be equal, replays, training. True if
 * all of it holds. `mnist`: a folder with the IDX files; NULL: trains on the digits. */
bool check_device(const char *device, const char *mnist);

#endif
