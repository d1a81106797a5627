/* Dropout masks by hand from src/door/philox.h: element i of the call with number `site` in its
 * outermost scope, of training step `step`, is kept where half-word i mod 8 of block i / 8 is below
 * keep.
 * At every level, in both types; and which scopes advance the step. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "door/philox.h"
#include "readers.h"

enum { N = 1031, SITES = 2 };
static const op_case about = {.op = "dropout", .name = "dropout masks"};

typedef struct job {
    bp_tensor *x;
    double p;
    bool skip;      /* a call with p = 0 first: draws nothing */
    values y[SITES];
} job;

static bp_status draw(bp_context *ctx, void *user)
{
    (void)ctx;
    job *j = user;
    if (j->skip && !bp_dropout(j->x, 0))
        return BP_ERR_STATE;
    for (int s = 0; s < SITES; s++)
        if (!tensor_values(bp_dropout(j->x, j->p), &j->y[s]))
            return BP_ERR_STATE;
    return BP_OK;
}

static bp_status evaluate(bp_context *ctx, void *user)
{
    (void)ctx;
    return bp_dropout(((job *)user)->x, 0.5) ? BP_OK : BP_ERR_STATE;
}

static double by_hand(uint64_t seed, uint64_t step, uint32_t site, double p, int64_t i, double x,
                      bp_dtype real)
{
    bpi_stream s = {seed, step, bpi_purpose_site(BPI_PURPOSE_DROPOUT, site)};
    uint32_t word[4], keep = (uint32_t)lrint((1 - p) * 65536);
    bpi_philox_block(&s, (uint64_t)i / 8, word);
    uint32_t half = word[i % 8 / 2] >> (i % 2 ? 16 : 0) & 0xFFFF;
    if (half >= keep)
        return 0;
    return real == BP_F32 ? (double)((float)x * (float)(65536.0 / keep)) : x * (65536.0 / keep);
}

static void compare(const char *device, job *j, const values *x, uint64_t seed, uint64_t step,
                    bp_dtype real)
{
    for (uint32_t s = 0; s < SITES; s++) {
        int64_t kept = 0;
        for (int64_t i = 0; i < N; i++) {
            double want = by_hand(seed, step, s, j->p, i, x->v[i], real);
            reader_checks++;
            kept += j->y[s].v[i] != 0;
            if (j->y[s].v[i] != want) {
                check_failed_case("dropout", &about, "%s %s, p %g, step %d, call %d: [%d] is %.9g, "
                                  "by hand %.9g", device, bp_dtype_name(real), j->p, (int)step,
                                  (int)s, (int)i, j->y[s].v[i], want);
                break;
            }
        }
        if (fabs((double)kept / N - (1 - j->p)) > 0.08)
            check_failed_case("dropout", &about, "%lld of %d kept at p = %g", (long long)kept, N,
                              j->p);
    }
    values_free(j->y, SITES);
}

static void on(const char *device, bp_dtype real)
{
    static const double p[] = {0.5, 0.1, 0.9, 1e-3};
    static const op_case c = {.name = "dropout input", .in = {{0, AS_IS, 1, 2, {1, {N}}}},
                              .n_in = 1};
    const uint64_t seed = 0x123456789ABCDEF0u;
    bp_context *ctx;
    if (bp_open(device, &ctx) != BP_OK) {
        bp_close(ctx);
        return; /* not a level of this machine */
    }
    values in[BP_MAX_IO] = {{0}};
    job j = {0};
    case_inputs(&c, false, in);
    bool done = case_tensors(ctx, &c, real, in, &j.x) && bp_seed(ctx, seed) == BP_OK;
    for (uint64_t step = 0; step < 4 && done; step++) {
        j.p = p[step];
        j.skip = step % 2;
        done = bp_run(ctx, BP_NO_GRAD, evaluate, &j) == BP_OK && /* advances nothing */
               bp_run(ctx, 0, draw, &j) == BP_OK;
        if (done)
            compare(device, &j, &in[0], seed, step, real);
    }
    if (!done)
        check_failed_case("dropout", &about, "%s: %s", device, bp_error_text(ctx));
    bp_free(j.x);
    values_free(in, BP_MAX_IO);
    bp_close(ctx);
}

void read_dropout(void)
{
    static const char *const device[] = {"cpu:generic", "cpu:v3", "cpu:v4"};
    for (int k = 0; k < 6; k++)
        on(device[k / 2], k % 2 ? BP_F64 : BP_F32);
}
