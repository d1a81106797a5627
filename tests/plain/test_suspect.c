/* A gradient that cannot be taken is met wherever it is: the product that writes it looks at every
 * tile, masked lane and last chunk of its sums, and where others write, the step looks.
 *
 * In each shape one element of x^T dy is too large for Adam, or infinite; a product that did not
 * look would have the step taken. */
#include <bpcuda/bpcuda.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"

typedef struct job {
    bp_tensor *x, *dy, *w, *b;
    bp_optimizer *adam;
    int backwards;
    bool updates;
} job;

static bp_status step(bp_context *ctx, void *user)
{
    job *j = user;
    bp_status st = BP_OK;
    for (int i = 0; i < j->backwards && st == BP_OK; i++)
        st = bp_backward(ctx, bp_sum(bp_mul(bp_linear(j->x, j->w, j->b), j->dy)));
    return st == BP_OK && j->updates ? bp_optimizer_step(j->adam) : st;
}

static bool fill(bp_tensor *t, int64_t at, double value)
{
    int64_t n = bp_shape_count(bp_shape_of(t));
    bool single = bp_dtype_of(t) == BP_F32;
    void *host = calloc((size_t)n, 8);
    if (host && single)
        ((float *)host)[at] = (float)value;
    else if (host)
        ((double *)host)[at] = value;
    bool done = host && bp_write(t, host, (size_t)n * (single ? 4 : 8)) == BP_OK;
    free(host);
    return done;
}

static bp_context *ctx;
static bp_params *params;
static bp_dtype dtype;

static bool make(job *j, int64_t n, int64_t in, int64_t out)
{
    *j = (job){.backwards = 1, .updates = true};
    bool done = bp_params_create(ctx, dtype, &params) == BP_OK;
    j->w = bp_param(params, "w", BP_SHAPE(out, in), BP_INIT_ZERO);
    j->b = bp_param(params, "b", BP_SHAPE(out), BP_INIT_ZERO);
    j->x = bp_tensor_create(ctx, dtype, BP_SHAPE(n, in));
    j->dy = bp_tensor_create(ctx, dtype, BP_SHAPE(n, out));
    return done && bp_adam_create(params, 0.1, &j->adam) == BP_OK && j->x && j->dy;
}

static void drop(job *j)
{
    bp_optimizer_free(j->adam);
    bp_params_free(params);
    bp_free(j->x);
    bp_free(j->dy);
}

/* Whether steps were refused because of an element, and not its update held back; the first text
 * says which, the second what came of it. */
static bool told(const char *element, const char *nothing)
{
    return bp_sync(ctx) == BP_ERR_NONFINITE && strstr(bp_error_text(ctx), element) &&
           strstr(bp_error_text(ctx), nothing) && !strstr(bp_error_text(ctx), "held back");
}

/* Whether the step that comes is refused because of that element of w; the bias is 0. */
static bool refused(job *j, int64_t row, int64_t col)
{
    char want[60];
    snprintf(want, sizeof want, "gradient of w [%lld,%lld]", (long long)row, (long long)col);
    return bp_run(ctx, 0, step, j) == BP_OK && told(want, "nothing was changed");
}

static bool taken(job *j)
{
    return bp_run(ctx, 0, step, j) == BP_OK && bp_sync(ctx) == BP_OK;
}

/* Elements of w at corners and in the middle, from samples at both ends. */
static bool shape(int64_t n, int64_t in, int64_t out)
{
    const double large = dtype == BP_F32 ? 0x1p32 : 0x1p256;
    const double beyond = dtype == BP_F32 ? 1e30 : 1e300;
    job j;
    bool good = make(&j, n, in, out);
    for (int k = 0; k < 18 && good; k++) {
        int64_t row = k % 3 * (out - 1) / 2, col = k / 3 % 3 * (in - 1) / 2;
        int64_t sample = k % 2 ? n - 1 : 0;
        double factor = k < 9 ? large : beyond; /* large^2 is just too large for Adam */
        good = fill(j.x, sample * in + col, factor) && fill(j.dy, sample * out + row, factor) &&
               refused(&j, row, col);
        good = good && fill(j.x, sample * in + col, large / 64) &&
               fill(j.dy, sample * out + row, large / 2) && taken(&j); /* large, but it will do */
    }
    good = good && fill(j.x, 0, 0) && fill(j.dy, n * out - 1, beyond) && /* dw is 0, db is not */
           bp_run(ctx, 0, step, &j) == BP_OK && told("gradient of b [", "nothing was changed");
    drop(&j);
    return good;
}

static void test_shapes(const char *device)
{
    static const int64_t sizes[][3] = {
        {1, 1, 1},    {8, 2, 16},    {32, 3, 5},    {33, 17, 31},  {7, 64, 10},  {128, 40, 97},
        {600, 33, 9}, {1200, 5, 70}, {64, 200, 50}, {2, 300, 130}, {5, 784, 33}, {300, 10, 128},
        {64, 1, 40},  {64, 40, 1}};
    char name[100];
    for (dtype = BP_F32; dtype <= BP_F64; dtype++)
        for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++) {
            const int64_t *s = sizes[k];
            snprintf(name, sizeof name, "%s, %s, %d samples of %d to %d", device,
                     bp_dtype_name(dtype), (int)s[0], (int)s[1], (int)s[2]);
            check(shape(s[0], s[1], s[2]), name);
        }
}

/* The gradient of w, as the caller changes it. */
static bool poison(int64_t at, double value)
{
    bp_tensor *g = bp_param_grad(params, 0);
    return g && fill(g, at, value);
}

static void test_others_write(void)
{
    job j;
    bp_plan *plan = NULL;
    dtype = BP_F32;
    bool good = make(&j, 4, 6, 5);
    j.updates = false;
    good = good && fill(j.x, 0, 1) && fill(j.dy, 0, 1) && taken(&j) && poison(7, NAN);
    j.backwards = 0;
    j.updates = true;
    check(good && refused(&j, 1, 1), "the program writes a gradient between backward and step");

    j.backwards = 1;
    j.updates = false;
    good = good && taken(&j);
    j.backwards = 0;
    j.updates = true;
    good = good && bp_plan_record(ctx, step, &j, &plan) == BP_OK && bp_sync(ctx) == BP_OK;
    j.backwards = 1;
    j.updates = false;
    good = good && taken(&j) && poison(8, INFINITY) && bp_plan_replay(plan, 1) == BP_OK;
    check(good && told("gradient of w [1,2]", "nothing was changed"),
          "a plan of a step alone, after the program wrote a gradient");
    bp_plan_free(plan);

    j.backwards = 2;
    j.updates = true;
    good = bp_plan_record(ctx, step, &j, &plan) == BP_OK && bp_plan_replay(plan, 3) == BP_OK &&
           bp_sync(ctx) == BP_OK && fill(j.x, 3 * 6 + 2, 1e30) && fill(j.dy, 3 * 5 + 4, 1e30) &&
           bp_plan_replay(plan, 2) == BP_OK;
    check(good && told("gradient of w [4,2]", "1 later step did nothing either"),
          "a plan of two backwards and a step: each replay is refused");
    check(fill(j.x, 0, 1) && fill(j.dy, 0, 1) && bp_plan_replay(plan, 2) == BP_OK &&
              bp_sync(ctx) == BP_OK,
          "and the next one is taken");
    bp_plan_free(plan);
    drop(&j);
}

int main(void)
{
    static const char *const device[] = {"cpu:generic", "cpu:v3", "cpu:v4"};
    int found = 0;
    for (int k = 0; k < 3; k++) {
        if (bp_open(device[k], &ctx) == BP_OK) {
            test_shapes(device[k]);
            test_others_write();
            found++;
        }
        bp_close(ctx);
    }
    check(found > 0, "a level of this machine");
    return check_end();
}
