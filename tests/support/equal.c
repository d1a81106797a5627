/* Two runs that must agree: a fused op and its primitives (rounding apart), one thread and several
 * (by bits, with several threads having taken part). */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "readers.h"

static const int thread_counts[] = {1, 2, 3, 4, 8};

/* --- fused = composed ------------------------------------------------------------------------ */

static void fused(bp_context *ctx, const op_case *c, bp_dtype real)
{
    char name[64], what[64];
    snprintf(name, sizeof name, "%s_composed", c->builder);
    if (!op_builder(name))
        return;
    op_case composed = *c;
    composed.builder = name;
    values in[BP_MAX_IO] = {{0}};
    results a, b;
    op_tolerance tol = c->tol; /* each of the two may err by as much */
    tol.relative *= 2;
    tol.absolute *= 2;
    case_inputs(c, false, in);
    bool done = case_run(ctx, c, real, in, RUN_GRADIENTS, &a);
    done = case_run(ctx, &composed, real, in, RUN_GRADIENTS, &b) && done;
    if (!done)
        check_failed_case("fused", c, "%s", bp_error_text(ctx));
    else
        check_values("fused", c, "output 0", &a.out[0], &b.out[0], real, tol);
    for (int i = 0; i < c->n_in && done; i++) {
        snprintf(what, sizeof what, "gradient %d", i);
        if (case_differentiable(c, i))
            check_values("fused", c, what, &a.grad[i], &b.grad[i], real, tol);
    }
    results_free(&a);
    results_free(&b);
    values_free(in, BP_MAX_IO);
}

void read_fused(void)
{
    bp_context *ctx;
    if (bp_open(test_device(), &ctx) != BP_OK)
        check_failed_case("fused", &op_cases[0], "%s", bp_error_text(ctx));
    for (int i = 0; i < op_cases_n; i++) {
        fused(ctx, &op_cases[i], BP_F32);
        fused(ctx, &op_cases[i], BP_F64);
    }
    bp_close(ctx);
}

/* --- thread counts --------------------------------------------------------------------------- */

static void compare_bits(const op_case *c, int threads, const results *got, const results *want)
{
    for (int i = 0; i < 2 * BP_MAX_IO; i++) {
        const values *a = i < BP_MAX_IO ? &got->out[i] : &got->grad[i - BP_MAX_IO];
        const values *b = i < BP_MAX_IO ? &want->out[i] : &want->grad[i - BP_MAX_IO];
        reader_checks += a->n;
        if (a->n != b->n || (a->n && memcmp(a->v, b->v, (size_t)a->n * sizeof *a->v)))
            check_failed_case("determinism", c, "%s %d has other bits with %d threads",
                              i < BP_MAX_IO ? "output" : "gradient", i % BP_MAX_IO, threads);
    }
}

static void threads_agree(bp_context *ctx, const op_case *c, bp_dtype real)
{
    values in[BP_MAX_IO] = {{0}};
    results one, r;
    case_inputs(c, false, in);
    for (size_t k = 0; k < sizeof thread_counts / sizeof *thread_counts; k++) {
        int threads = thread_counts[k];
        bp_stats before, after;
        bool done = bp_set_threads(ctx, threads) == BP_OK;
        bp_get_stats(ctx, &before);
        for (int tries = 0; tries < 2000 && done; tries++) {
            if (tries > 10) /* a woken helper may wait for the caller's processor: let it go */
                nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
            done = case_run(ctx, c, real, in, RUN_GRADIENTS, &r);
            if (done && k)
                compare_bits(c, threads, &r, &one);
            if (k)
                results_free(&r);
            else
                one = r;
            bp_get_stats(ctx, &after);
            if (k == 0 || !(c->flags & CASE_BIG) || after.helped_blocks > before.helped_blocks)
                break;
        }
        if (!done)
            check_failed_case("determinism", c, "%d threads: %s", threads, bp_error_text(ctx));
        else if (c->flags & CASE_BIG && (after.helped_blocks > before.helped_blocks) != (k > 0))
            check_failed_case("determinism", c, "%d threads: %lld blocks were taken by helpers",
                              threads, (long long)(after.helped_blocks - before.helped_blocks));
    }
    results_free(&one);
    values_free(in, BP_MAX_IO);
}

void read_determinism(void)
{
    bp_context *ctx;
    if (bp_open("cpu", &ctx) != BP_OK)
        check_failed_case("determinism", &op_cases[0], "%s", bp_error_text(ctx));
    for (int i = 0; i < op_cases_n; i++) {
        threads_agree(ctx, &op_cases[i], BP_F32);
        threads_agree(ctx, &op_cases[i], BP_F64);
    }
    bp_close(ctx);
}
