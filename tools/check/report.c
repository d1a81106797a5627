/* Comparing numbers, and one line for each failure. */
#include <float.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "case_run.h"

int reader_failures;
int64_t reader_checks;
double reader_worst;
static char caught[64][32]; /* ops of the first failures */

const char *test_device(void)
{
    const char *name = getenv("BPCUDA_TEST_DEVICE");
    return name ? name : "cpu";
}

void check_failed_case(const char *reader, const op_case *c, const char *format, ...)
{
    va_list args;
    printf("FAILED %s: %s: ", reader, c->name);
    va_start(args, format);
    vprintf(format, args);
    va_end(args);
    printf("\n");
    fflush(stdout);
    if (reader_failures < (int)(sizeof caught / sizeof *caught))
        snprintf(caught[reader_failures], sizeof *caught, "%s", c->op);
    reader_failures++;
}

bool reader_caught(const char *op)
{
    for (int i = 0; i < reader_failures && i < (int)(sizeof caught / sizeof *caught); i++)
        if (!strcmp(caught[i], op))
            return true;
    return false;
}

bool check_values(const char *reader, const op_case *c, const char *what, const values *got,
                  const values *want, bp_dtype real, op_tolerance tol)
{
    double eps = real == BP_F32 ? FLT_EPSILON : DBL_EPSILON, worst = 0;
    double tiny = real == BP_F32 ? 1.5e-45 : 5e-324; /* a rounding among subnormals */
    int64_t first = -1, bad = 0, worst_at = 0;
    if (got->n != want->n) {
        check_failed_case(reader, c, "%s has %lld values, not %lld", what, (long long)got->n,
                          (long long)want->n);
        return false;
    }
    reader_checks += got->n;
    for (int64_t i = 0; i < got->n; i++) {
        double g = got->v[i], w = real == BP_F32 ? (double)(float)want->v[i] : want->v[i];
        bool same = isnan(w) ? isnan(g) : isinf(w) ? g == w : false;
        if (isnan(w) || isinf(w) || isnan(g) || isinf(g)) {
            if (same)
                continue;
        } else {
            double allowed = eps * (tol.relative * fabs(w) + tol.absolute) + tiny;
            double error = fabs(g - w) / allowed;
            if (error > worst) {
                worst = error;
                worst_at = i;
            }
            if (error <= 1)
                continue;
        }
        bad++;
        if (first < 0)
            first = i;
    }
    reader_worst = worst > reader_worst ? worst : reader_worst;
    if (!bad)
        return true;
    check_failed_case(reader, c,
                      "%s %s: %lld of %lld differ, first at %lld: %.9g, not %.9g; worst at %lld: "
                      "%.9g, not %.9g, %.3g times what is allowed (%s)",
                      bp_dtype_name(real), what, (long long)bad, (long long)got->n,
                      (long long)first, got->v[first], want->v[first], (long long)worst_at,
                      got->v[worst_at], want->v[worst_at], worst, tol.why);
    return false;
}
