/* Calls of draws: equal bits at every level and in a replay, what is refused, and the edges. */
#include <math.h>
#include <string.h>

#include "check.h"
#include "draws.h"

/* --- equal bits ----------------------------------------------------------------------------- */

static void test_levels(void)
{
    enum { MANY = 70001 };
    static const char *const level[] = {"cpu:generic", "cpu:v3", "cpu:v4"};
    static unsigned char bits[3][KINDS][2][8 * MANY];
    static double p[MANY];
    int equal = 1, found = 0;
    for (int i = 0; i < MANY; i++)
        p[i] = i / (double)MANY;
    for (int k = 0; k < 3; k++) {
        bp_context *c;
        if (bp_open(level[k], &c) == BP_OK) {
            for (int kind = 0; kind < KINDS; kind++)
                for (bp_dtype dtype = BP_F32; dtype <= BP_F64; dtype++) {
                    static float single[MANY];
                    job j = {kind, dtype, MANY, bp_tensor_create(c, dtype, BP_SHAPE(MANY)),
                             {bits[found][kind][dtype - 1]}, NULL};
                    for (int i = 0; i < MANY; i++)
                        single[i] = (float)p[i];
                    equal &= bp_seed(c, 9) == BP_OK && bp_set_threads(c, k + 1) == BP_OK &&
                             bp_write(j.p, dtype == BP_F64 ? (void *)p : single,
                                      MANY * (dtype == BP_F64 ? 8 : 4)) == BP_OK &&
                             bp_run(c, 0, step, &j) == BP_OK;
                    bp_free(j.p);
                }
            equal &= !memcmp(bits[0], bits[found++], sizeof bits[0]);
        }
        bp_close(c);
    }
    check(equal && found > 0, "every level draws the same bits, whatever the threads");
}

static void test_replay(void)
{
    enum { MANY = 1000, STEPS = 5 };
    static float eager[MANY], replayed[MANY], first[MANY];
    int equal = 1, anew = 1;
    for (int kind = 0; kind < KINDS; kind++) {
        if (kind == BERNOULLI_OF)
            continue;
        bp_dtype dtype = kind == PERMUTATION ? BP_I32 : BP_F32;
        job j = {kind, BP_F32, MANY, NULL, {NULL}, bp_tensor_create(ctx, dtype, BP_SHAPE(MANY))};
        bp_plan *plan;
        bool done = bp_seed(ctx, 21) == BP_OK;
        for (int i = 0; i < STEPS; i++)
            done = done && bp_run(ctx, 0, step, &j) == BP_OK;
        done = done && bp_read(j.out, eager, sizeof eager) == BP_OK && bp_seed(ctx, 21) == BP_OK &&
               bp_plan_record(ctx, step, &j, &plan) == BP_OK &&
               bp_read(j.out, first, sizeof first) == BP_OK &&
               bp_plan_replay(plan, STEPS - 1) == BP_OK &&
               bp_read(j.out, replayed, sizeof replayed) == BP_OK;
        if (!done)
            check(0, bp_error_text(ctx));
        equal &= !memcmp(eager, replayed, sizeof eager);
        anew &= memcmp(first, replayed, sizeof first) != 0;
        bp_plan_free(plan);
        bp_free(j.out);
    }
    check(equal, "a replay draws what eager steps draw, by bits");
    check(anew, "a replay draws anew");
}

/* --- what is refused, and the edges --------------------------------------------------------- */

static void refused(bp_tensor *t, bp_status want, const char *text)
{
    char name[160];
    bool says = !t && strstr(bp_error_text(ctx), text) != NULL;
    snprintf(name, sizeof name, "refused: %s", says ? text : bp_error_text(ctx));
    check(bp_scope_end(ctx) == want && says, name);
    if (bp_scope_begin(ctx, 0) != BP_OK)
        check(0, "a scope");
}

static void test_errors(void)
{
    check(!bp_uniform(ctx, BP_F32, BP_SHAPE(3), 0, 1) &&
              strstr(bp_error_text(ctx), "uniform: an op outside any scope"),
          "refused: outside any scope");
    if (bp_scope_begin(ctx, 0) != BP_OK)
        check(0, "a scope");
    refused(bp_uniform(ctx, BP_F32, BP_SHAPE(3), 1, 0), BP_ERR_ARG,
            "uniform: 1 and 0 are not lo <= hi");
    refused(bp_uniform(ctx, BP_F32, BP_SHAPE(3), -3e38, 3e38), BP_ERR_ARG, "not lo <= hi");
    refused(bp_uniform(ctx, BP_F32, BP_SHAPE(3), NAN, 1), BP_ERR_ARG, "not lo <= hi");
    refused(bp_uniform(ctx, BP_F32, BP_SHAPE(3), 0, 1e39), BP_ERR_ARG, "in f32");
    refused(bp_normal(ctx, BP_F64, BP_SHAPE(3), 0, -1), BP_ERR_ARG, "a deviation >= 0");
    refused(bp_normal(ctx, BP_F64, BP_SHAPE(3), INFINITY, 1), BP_ERR_ARG, "a deviation >= 0");
    refused(bp_normal(ctx, BP_I32, BP_SHAPE(3), 0, 1), BP_ERR_DTYPE,
            "normal: the dtype is i32, not f32 or f64");
    refused(bp_normal(ctx, BP_F32, BP_SHAPE(3, -1), 0, 1), BP_ERR_SHAPE, "normal: bad shape");
    refused(bp_bernoulli(ctx, BP_F32, BP_SHAPE(3), 1.5), BP_ERR_ARG,
            "bernoulli: the probability 1.5 is not in [0, 1]");
    refused(bp_bernoulli(ctx, BP_F32, BP_SHAPE(3), NAN), BP_ERR_ARG, "is not in [0, 1]");
    refused(bp_permutation(ctx, -1), BP_ERR_ARG, "permutation: -1 numbers, not 0 to 2147483647");
    refused(bp_permutation(ctx, INT64_C(1) << 31), BP_ERR_ARG, "permutation: 2147483648 numbers");
    refused(bp_bernoulli_of(bp_permutation(ctx, 3)), BP_ERR_DTYPE, "bernoulli_of: x is i32");
    refused(bp_bernoulli_of(bp_require_grad(bp_uniform(ctx, BP_F32, BP_SHAPE(3), 0, 1))),
            BP_ERR_UNSUPPORTED, "bernoulli_of has no gradient");
}

static void test_edges(void)
{
    float v[4] = {9, 9, 9, 9};
    const float p[4] = {0, 1, NAN, INFINITY};
    int32_t i = 7;
    bp_tensor *t = bp_tensor_create(ctx, BP_F32, BP_SHAPE(4)), *y;
    bool none = bp_uniform(ctx, BP_F32, BP_SHAPE(0, 3), 0, 1) && bp_permutation(ctx, 0) &&
                bp_normal(ctx, BP_F64, BP_SHAPE(3, 0), 0, 1);
    check(none, "sizes of 0");
    check((y = bp_permutation(ctx, 1)) && bp_read(y, &i, sizeof i) == BP_OK && i == 0,
          "the permutation of one number");
    check((y = bp_uniform(ctx, BP_F32, BP_SHAPE(4), 2.5, 2.5)) &&
              bp_read(y, v, sizeof v) == BP_OK && v[0] == 2.5f && v[3] == 2.5f,
          "uniform in [x, x) is x");
    check((y = bp_bernoulli(ctx, BP_F32, BP_SHAPE(4), 1)) && bp_read(y, v, sizeof v) == BP_OK &&
              v[0] == 1 && v[3] == 1,
          "bernoulli of 1");
    check((y = bp_bernoulli(ctx, BP_F32, BP_SHAPE(4), 0)) && bp_read(y, v, sizeof v) == BP_OK &&
              v[0] == 0 && v[3] == 0,
          "bernoulli of 0");
    check(bp_write(t, p, sizeof p) == BP_OK && (y = bp_bernoulli_of(t)) &&
              bp_read(y, v, sizeof v) == BP_OK && v[0] == 0 && v[1] == 1 && isnan(v[2]) &&
              v[3] == 1,
          "bernoulli_of 0, 1, NaN, infinity");
    bp_free(t);
}

int main(void)
{
    check(bp_open("cpu", &ctx) == BP_OK, "open");
    test_levels();
    test_replay();
    test_errors();
    test_edges();
    check(bp_scope_end(ctx) == BP_OK, "the scope of the edges");
    bp_close(ctx);
    return check_end();
}
