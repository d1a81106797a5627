/* Convolutions of a device: a net that trains as on the CPU, called and replayed; workspaces that
 * grow beside a graph; precision; memory that is aligned to an element alone; NaN. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "device.h"

/* --- a net ------------------------------------------------------------------------------------ */

enum { SIDE = 12, IMAGES = 24, STEPS = 12, DIGITS = 10 };

typedef struct cnn {
    bp_params *store;
    bp_layers *layers;
    bp_optimizer *adam;
    bp_tensor *x, *labels, *loss;
} cnn;

static bp_status cnn_step(bp_context *c, void *user)
{
    cnn *n = user;
    bp_tensor *loss = bp_cross_entropy(bp_layers_forward(n->layers, n->x, 1), n->labels);
    bp_status st = bp_copy_into(n->loss, loss);
    st = st == BP_OK ? bp_backward(c, loss) : st;
    return st == BP_OK ? bp_optimizer_step(n->adam) : st;
}

static int cnn_open(cnn *n, bp_context *c, bp_dtype dtype)
{
    static double x[IMAGES * SIDE * SIDE];
    static float x32[IMAGES * SIDE * SIDE];
    int32_t labels[IMAGES];
    for (int i = 0; i < IMAGES * SIDE * SIDE; i++)
        x32[i] = (float)(x[i] = (i * 7919 % 1024) / 512.0 - 1);
    for (int i = 0; i < IMAGES; i++)
        labels[i] = i * i % DIGITS;
    n->x = bp_tensor_create(c, dtype, BP_SHAPE(IMAGES, SIDE * SIDE));
    n->labels = bp_tensor_create(c, BP_I32, BP_SHAPE(IMAGES));
    n->loss = bp_tensor_create(c, dtype, BP_SCALAR);
    return bp_seed(c, 1) == BP_OK && bp_params_create(c, dtype, &n->store) == BP_OK &&
           bp_layers_create(n->store, "net", SIDE * SIDE,
                            "12x12x1 conv5x5=6 relu pool=2 conv3x3=16,pad=0 relu "
                            "conv1x1=8 relu conv3x3=8,groups=4 pool=2 20 relu 10",
                            &n->layers) == BP_OK &&
           bp_adam_create(n->store, 0.01, &n->adam) == BP_OK && n->loss &&
           (dtype == BP_F64 ? bp_write(n->x, x, sizeof x) : bp_write(n->x, x32, sizeof x32)) ==
               BP_OK &&
           bp_write(n->labels, labels, sizeof labels) == BP_OK;
}

static void cnn_close(cnn *n)
{
    bp_optimizer_free(n->adam);
    bp_layers_free(n->layers);
    bp_params_free(n->store);
    bp_tensor *mine[] = {n->x, n->labels, n->loss};
    for (int i = 0; i < 3; i++)
        bp_free(mine[i]);
}

/* The loss of each of STEPS steps, the last half of which may be replayed. */
static int cnn_train(bp_context *c, bp_dtype dtype, int replayed, double *loss)
{
    cnn n = {0};
    bp_plan *plan = NULL;
    bp_stats before = {0}, after = {0};
    int good = cnn_open(&n, c, dtype);
    for (int i = 0; i < STEPS && good; i++) {
        if (i == STEPS / 2 + 1)
            bp_get_stats(c, &before);
        if (!replayed || i < STEPS / 2)
            good = bp_run(c, 0, cnn_step, &n) == BP_OK;
        else if (!plan)
            good = bp_plan_record(c, cnn_step, &n, &plan) == BP_OK;
        else
            good = bp_plan_replay(plan, 1) == BP_OK;
        if (i == STEPS - 1)
            bp_get_stats(c, &after);
        float last = 0;
        good = good && (dtype == BP_F64 ? bp_read(n.loss, &loss[i], sizeof loss[i])
                                        : bp_read(n.loss, &last, sizeof last)) == BP_OK;
        if (dtype == BP_F32)
            loss[i] = (double)last;
    }
    if (!good)
        printf("       %s\n", bp_error_text(c));
    good &= after.allocations == before.allocations;
    bp_plan_free(plan);
    cnn_close(&n);
    return good;
}

static void one_net(bp_dtype dtype, double tolerance)
{
    double want[STEPS], called[STEPS], replayed[STEPS], worst = 0;
    bp_context *cpu = NULL;
    int good = bp_open("cpu", &cpu) == BP_OK && cnn_train(cpu, dtype, 0, want) &&
               cnn_train(ctx, dtype, 0, called) && cnn_train(ctx, dtype, 1, replayed);
    bp_close(cpu);
    for (int i = 0; i < STEPS && good; i++)
        worst = fmax(worst, fabs(called[i] - want[i]) / want[i]);
    printf("       %s: losses %.4f to %.4f, %.1e from the CPU's\n", bp_dtype_name(dtype),
           good ? called[0] : 0, good ? called[STEPS - 1] : 0, worst);
    check(good && worst <= tolerance && called[STEPS - 1] < called[0],
          "a net of convolutions trains as on the CPU, and stops allocating");
    check(good && !memcmp(called, replayed, sizeof called), "replayed with the bits of calls");
}

/* --- one convolution -------------------------------------------------------------------------- */

typedef struct job {
    bp_tensor *x, *w, *b, *y;
    int64_t first; /* row of x */
    bp_window how;
} job;

static bp_status run_job(bp_context *c, void *user)
{
    job *j = user;
    (void)c;
    bp_tensor *x = bp_slice(j->x, 0, j->first, bp_shape_of(j->x).dim[0], 1);
    return bp_copy_into(j->y, bp_conv2d_relu(x, j->w, j->b, j->how));
}

static bp_tensor *filled(bp_shape s, double scale)
{
    const int64_t n = bp_shape_count(s);
    float *v = malloc((size_t)n * sizeof *v);
    bp_tensor *t = bp_tensor_create(ctx, BP_F32, s);
    for (int64_t i = 0; i < n && v; i++)
        v[i] = (float)(scale * ((double)(i * 7919 % 1021) / 510 - 1));
    if (!v || bp_write(t, v, (size_t)n * sizeof *v) != BP_OK)
        check(0, "a tensor is filled");
    free(v);
    return t;
}

/* 3 x 3, padded, `images` of height x width from row `first` on. */
static job job_of(int64_t images, int64_t first, int64_t height, int64_t width, int64_t channels,
                  int64_t filters)
{
    job j = {.first = first, .how = {.pad = {1, 1, 1, 1}}};
    j.x = filled(BP_SHAPE(first + images, height, width, channels), 1);
    j.w = filled(BP_SHAPE(filters, 3, 3, channels), 0.3);
    j.b = filled(BP_SHAPE(filters), 0.1);
    j.y = bp_tensor_create(ctx, BP_F32, BP_SHAPE(images, height, width, filters));
    return j;
}

static void job_free(job *j)
{
    bp_tensor *mine[] = {j->x, j->w, j->b, j->y};
    for (int i = 0; i < 4; i++)
        bp_free(mine[i]);
}

static float *bits_of(const job *j)
{
    const int64_t n = bp_shape_count(bp_shape_of(j->y));
    float *v = calloc((size_t)n, sizeof *v);
    check(v && bp_read(j->y, v, (size_t)n * sizeof *v) == BP_OK, "its result is read");
    return v;
}

static int equal_bits(const job *j, const float *want)
{
    float *got = bits_of(j);
    const int same = !memcmp(got, want, (size_t)bp_shape_count(bp_shape_of(j->y)) * sizeof *want);
    free(got);
    return same;
}

/* Of one whose workspace may be larger than what the device has for all. */
static void growth(void)
{
    job small = job_of(2, 0, 900, 1400, 2, 3), large = job_of(2, 0, 1000, 1400, 2, 3);
    bp_plan *plan = NULL;
    check(bp_plan_record(ctx, run_job, &small, &plan) == BP_OK, "a large convolution is a plan");
    float *want = bits_of(&small);
    check(bp_run(ctx, BP_NO_GRAD, run_job, &large) == BP_OK, "a larger one is called");
    check(bp_plan_replay(plan, 1) == BP_OK && equal_bits(&small, want),
          "the plan's workspace is still its own");
    bp_plan_free(plan);
    check(bp_run(ctx, BP_NO_GRAD, run_job, &small) == BP_OK && equal_bits(&small, want),
          "without plans the larger one serves both");
    free(want);
    job_free(&small);
    job_free(&large);
}

static void precision(void)
{
    job j = job_of(3, 0, 9, 10, 16, 24);
    bp_plan *plan = NULL;
    int good = bp_run(ctx, BP_NO_GRAD, run_job, &j) == BP_OK;
    float *strict = bits_of(&j);
    good &= bp_set_precision(ctx, BP_PRECISION_TF32) == BP_OK &&
            bp_run(ctx, BP_NO_GRAD, run_job, &j) == BP_OK &&
            bp_plan_record(ctx, run_job, &j, &plan) == BP_OK;
    float *rounded = bits_of(&j);
    double worst = 0;
    for (int64_t i = 0; i < bp_shape_count(bp_shape_of(j.y)); i++)
        worst = fmax(worst, fabs((double)rounded[i] - (double)strict[i]));
    printf("       TF32 is up to %.1e from f32\n", worst);
    good &= bp_set_precision(ctx, BP_PRECISION_F32) == BP_OK;
    check(good && worst < 0.02 && bp_plan_replay(plan, 1) == BP_ERR_STATE,
          "TF32 is used where it is asked for, and a plan is of one precision");
    check(bp_run(ctx, BP_NO_GRAD, run_job, &j) == BP_OK && equal_bits(&j, strict),
          "strict f32 is what it was");
    if (!strncmp(name, "sim", 3) && !getenv("BPCUDA_SIM_UNDOCUMENTED")) /* else f32 may be first */
        check(worst > 1e-5, "and TF32 was another");
    bp_plan_free(plan);
    free(strict);
    free(rounded);
    job_free(&j);
}

static void alignment(void)
{
    job odd = job_of(2, 1, 5, 7, 3, 4), even = job_of(3, 0, 5, 7, 3, 4);
    check(bp_run(ctx, BP_NO_GRAD, run_job, &odd) == BP_OK &&
          bp_run(ctx, BP_NO_GRAD, run_job, &even) == BP_OK, "images that begin at an odd element");
    float *got = bits_of(&odd), *want = bits_of(&even);
    double worst = 0;
    for (int i = 0; i < 2 * 5 * 7 * 4; i++)
        worst = fmax(worst, fabs((double)got[i] - (double)want[5 * 7 * 4 + i]));
    check(worst < 1e-5, "give what aligned ones give");
    free(got);
    free(want);
    job_free(&odd);
    job_free(&even);
}

static void not_numbers(void)
{
    job j = job_of(1, 0, 6, 6, 2, 3);
    float x[6 * 6 * 2];
    int good = bp_read(j.x, x, sizeof x) == BP_OK, found = 0;
    x[(2 * 6 + 3) * 2] = NAN; /* row 2, column 3 */
    good = good && bp_write(j.x, x, sizeof x) == BP_OK &&
           bp_run(ctx, BP_NO_GRAD, run_job, &j) == BP_OK;
    float *y = bits_of(&j);
    for (int i = 0; i < 6 * 6 * 3 && good; i++) {
        const int row = i / 18, column = i / 3 % 6;
        found += isnan(y[i]) && row >= 1 && row <= 3 && column >= 2 && column <= 4;
        good &= !isnan(y[i]) || (row >= 1 && row <= 3 && column >= 2 && column <= 4);
    }
    check(good && found == 27, "a NaN passes through ReLU, to the pixels that see it alone");
    free(y);
    job_free(&j);
}

void convolutions(void)
{
    one_net(BP_F32, 1e-4);
    one_net(BP_F64, 1e-11);
    growth();
    precision();
    alignment();
    not_numbers();
}
