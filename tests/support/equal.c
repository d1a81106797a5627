/* Two runs that must agree: a fused op and its primitives (rounding apart), one thread and several
 * (by bits, with several threads that took part). */
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "readers.h"

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

/* A host's threads: each takes every third block, from the last one back, whatever the others do. */
enum { HOST_THREADS = 3 };

typedef struct share {
    bp_block_fn_hook body;
    void *arg;
    int64_t first;
} share;

static int64_t shared_calls;

static void *take_share(void *user)
{
    const share *s = user;
    for (int64_t i = s->first; i >= 0; i -= HOST_THREADS)
        s->body(s->arg, i);
    return NULL;
}

static void host_parallel_for(void *user, int64_t blocks, bp_block_fn_hook body, void *arg)
{
    (void)user;
    pthread_t thread[HOST_THREADS];
    share s[HOST_THREADS];
    bool started[HOST_THREADS];
    shared_calls += blocks > 1;
    for (int t = 0; t < HOST_THREADS; t++) {
        s[t] = (share){body, arg, blocks - 1 - t};
        started[t] = blocks > 1 && !pthread_create(&thread[t], NULL, take_share, &s[t]);
        if (!started[t])
            take_share(&s[t]);
    }
    for (int t = 0; t < HOST_THREADS; t++)
        if (started[t])
            pthread_join(thread[t], NULL);
}

static void compare_bits(const op_case *c, const char *how, const results *got,
                         const results *want)
{
    for (int i = 0; i < 2 * BP_MAX_IO; i++) {
        const values *a = i < BP_MAX_IO ? &got->out[i] : &got->grad[i - BP_MAX_IO];
        const values *b = i < BP_MAX_IO ? &want->out[i] : &want->grad[i - BP_MAX_IO];
        reader_checks += a->n;
        if (a->n != b->n || (a->n && memcmp(a->v, b->v, (size_t)a->n * sizeof *a->v)))
            check_failed_case("determinism", c, "%s %d has other bits with %s",
                              i < BP_MAX_IO ? "output" : "gradient", i % BP_MAX_IO, how);
    }
}

static bool agrees(bp_context *ctx, const op_case *c, bp_dtype real, const values *in,
                   const char *how, const results *one)
{
    results r;
    if (!case_run(ctx, c, real, in, RUN_GRADIENTS, &r)) {
        check_failed_case("determinism", c, "%s: %s", how, bp_error_text(ctx));
        return false;
    }
    compare_bits(c, how, &r, one);
    results_free(&r);
    return true;
}

/* The library's own threads, one and several, of which as many take part as come in time; and the
 * host's, where all do: so it is there that a big row must have blocks for several. */
static void threads_agree(bp_context *ctx, bp_context *host, const op_case *c, bp_dtype real)
{
    static const int threads[] = {2, 3, 4, 8};
    values in[BP_MAX_IO] = {{0}};
    results one;
    char how[32];
    case_inputs(c, false, in);
    if (bp_set_threads(ctx, 1) != BP_OK || !case_run(ctx, c, real, in, RUN_GRADIENTS, &one)) {
        check_failed_case("determinism", c, "%s", bp_error_text(ctx));
        values_free(in, BP_MAX_IO);
        return;
    }
    for (size_t k = 0; k < sizeof threads / sizeof *threads; k++) {
        snprintf(how, sizeof how, "%d threads", threads[k]);
        if (bp_set_threads(ctx, threads[k]) != BP_OK || !agrees(ctx, c, real, in, how, &one))
            break;
    }
    shared_calls = 0;
    (void)agrees(host, c, real, in, "the host's threads", &one);
    if (c->flags & CASE_BIG && shared_calls == 0)
        check_failed_case("determinism", c, "no work was cut for several threads");
    results_free(&one);
    values_free(in, BP_MAX_IO);
}

void read_determinism(void)
{
    const bp_hooks hooks = {.struct_bytes = sizeof hooks, .parallel_for = host_parallel_for};
    bp_context *ctx, *host;
    if (bp_open("cpu", &ctx) != BP_OK)
        check_failed_case("determinism", &op_cases[0], "%s", bp_error_text(ctx));
    if (bp_open_with("cpu", &hooks, &host) != BP_OK)
        check_failed_case("determinism", &op_cases[0], "%s", bp_error_text(host));
    for (int i = 0; i < op_cases_n; i++) {
        threads_agree(ctx, host, &op_cases[i], BP_F32);
        threads_agree(ctx, host, &op_cases[i], BP_F64);
    }
    bp_close(host);
    bp_close(ctx);
}
