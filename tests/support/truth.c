/* Truth: f32 and f64 of every instruction level against f64 of cpu:generic, values and gradients,
 * in fresh memory full of NaN between guard bands. And: no op of ops.def without a case. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "readers.h"

void read_complete(void)
{
    for (int k = 0; op_names[k]; k++) {
        bool found = false;
        reader_checks++;
        for (int i = 0; i < op_cases_n; i++)
            found |= !strcmp(op_cases[i].op, op_names[k]);
        if (!found)
            check_failed_case("complete", &(op_case){.op = op_names[k], .name = op_names[k]},
                              "the op has no case in tools/check/op_cases.c");
    }
    for (int i = 0; i < op_cases_n; i++) {
        bool known = false;
        for (int k = 0; op_names[k]; k++)
            known |= !strcmp(op_cases[i].op, op_names[k]);
        if (!known || !op_builder(op_cases[i].builder))
            check_failed_case("complete", &op_cases[i], "no such op or builder");
    }
}

/* Runs a case on a device of its own: forward alone, then with gradients. False if the device
 * cannot be opened here. */
static bool run_on(const char *device, bp_dtype real, const op_case *c, const values *in,
                   results *r)
{
    guard g = {0};
    bp_hooks hooks = guard_hooks(&g);
    bp_context *ctx;
    results forward;
    memset(r, 0, sizeof *r);
    if (bp_open_with(device, &hooks, &ctx) != BP_OK) {
        bp_close(ctx);
        return false;
    }
    if (!case_run(ctx, c, real, in, RUN_TAILS, &forward))
        check_failed_case("truth", c, "%s %s: %s", device, bp_dtype_name(real), bp_error_text(ctx));
    else if (!forward.tails_clean)
        check_failed_case("truth", c, "%s %s: written behind an output", device,
                          bp_dtype_name(real));
    results_free(&forward);
    if (!case_run(ctx, c, real, in, RUN_GRADIENTS, r))
        check_failed_case("truth", c, "%s %s, with gradients: %s", device, bp_dtype_name(real),
                          bp_error_text(ctx));
    bp_close(ctx);
    if (g.broken || g.live)
        check_failed_case("truth", c, "%s %s: %s", device, bp_dtype_name(real),
                          g.broken ? "a guard band was written to" : "memory was not freed");
    return true;
}

/* Ordinary inputs give ordinary numbers, not all zeros: a NaN is memory that was never written. */
static void check_reference(const op_case *c, const results *r)
{
    for (int k = 0; k < 2 * BP_MAX_IO; k++) {
        const values *v = k < BP_MAX_IO ? &r->out[k] : &r->grad[k - BP_MAX_IO];
        double norm = 0;
        for (int64_t i = 0; i < v->n; i++)
            norm += fabs(v->v[i]);
        if (!isfinite(norm) || (norm == 0 && k < r->n_out && !(c->flags & CASE_ZERO)))
            check_failed_case("truth", c, "the reference, number %d, is %s", k,
                              norm == 0 ? "all zeros" : "not finite");
    }
}

static void compare(const op_case *c, const char *device, bp_dtype real, const results *got,
                    const results *want)
{
    char what[64];
    bool other = !strcmp(c->builder, "cast_other");
    for (int k = 0; k < want->n_out + BP_MAX_IO; k++) {
        bool grad = k >= want->n_out;
        int i = grad ? k - want->n_out : k;
        if (i >= BP_MAX_IO || (grad && !case_differentiable(c, i)))
            continue;
        snprintf(what, sizeof what, "%s, %s %d", device, grad ? "gradient" : "output", i);
        check_values("truth", c, what, grad ? &got->grad[i] : &got->out[i],
                     grad ? &want->grad[i] : &want->out[i], other ? BP_F32 : real, c->tol);
    }
}

static void truth(const op_case *c, bool specials)
{
    static const char *const level[] = {"cpu:generic", "cpu:v3", "cpu:v4"};
    values in[BP_MAX_IO] = {{0}};
    results want, got;
    case_inputs(c, specials, in);
    run_on("cpu:generic", BP_F64, c, in, &want);
    if (!specials)
        check_reference(c, &want);
    for (int k = 0; k < 6; k++) {
        bp_dtype real = k % 2 ? BP_F64 : BP_F32;
        if (k == 1)
            continue; /* the reference itself */
        if (run_on(level[k / 2], real, c, in, &got))
            compare(c, level[k / 2], real, &got, &want);
        results_free(&got);
    }
    results_free(&want);
    values_free(in, BP_MAX_IO);
}

void read_truth(void)
{
    for (int i = 0; i < op_cases_n; i++) {
        truth(&op_cases[i], false);
        if (op_cases[i].flags & CASE_SPECIALS)
            truth(&op_cases[i], true);
    }
}
