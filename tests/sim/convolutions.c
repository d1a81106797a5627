/* The fake cuDNN: that its right engines compute the three convolutions, that each of the others
 * has the defect that its note states, and that what a program may do wrong with a plan is seen
 * (convolution_mistakes.c). A line for each; with both answers to what NVIDIA does not document. */
#include "convolution_job.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cuda_runtime_api.h>

const struct sim_control *control;

int close_row(const char *name, bool ok, const char *why)
{
    if (ok && control->live_objects() != 0) {
        ok = false;
        why = "descriptors, handles or streams are left";
    }
    if (ok)
        printf("ok %s\n", name);
    else
        printf("FAILED %s: %s\n", name, why);
    control->reset();
    control->expect_error(1);
    return !ok;
}

/* --- values -------------------------------------------------------------------------------- */

static const shape shapes[] = {
    {"plain", FORWARD, {2, 3, 7, 6}, {4, 3, 3, 3}, 1, 1, {1, 1, 1, 1}, NHWC, false, 0, 0, 0},
    {"of one pixel", FORWARD, {1, 1, 1, 1}, {1, 1, 1, 1}, 1, 1, {0}, NHWC, false, 0, 0, 0},
    {"with uneven padding", FORWARD, {2, 5, 7, 6}, {4, 5, 3, 2}, 1, 1, {2, 0, 1, 1}, NHWC, false,
     0, 0, 0},
    {"stride 2, dilation 2", FORWARD, {2, 3, 9, 8}, {5, 3, 3, 3}, 2, 2, {1, 2, 2, 1}, NHWC, false,
     0, 0, 0},
    {"of two groups", FORWARD, {2, 6, 5, 5}, {4, 3, 3, 3}, 1, 1, {1, 1, 1, 1}, NHWC, false, 0, 0,
     0},
    {"depthwise, two outputs each", FORWARD, {2, 5, 5, 5}, {10, 1, 3, 3}, 1, 1, {1, 1, 1, 1}, NHWC,
     false, 0, 0, 0},
    {"in the order NCHW", FORWARD, {2, 4, 5, 6}, {3, 4, 2, 3}, 1, 1, {0, 1, 0, 1}, NCHW, false, 0,
     0, 0},
    {"with gaps", FORWARD, {2, 4, 5, 6}, {3, 4, 2, 3}, 1, 1, {0, 1, 0, 1}, WITH_GAPS, false, 0, 0,
     0},
    {"scaled and added", FORWARD, {2, 3, 5, 5}, {4, 3, 3, 3}, 1, 1, {1, 1, 1, 1}, NHWC, false, 0.5,
     -2, 0},
    {"of a row", FORWARD, {3, 2, 1, 20}, {4, 2, 1, 5}, 2, 1, {0, 2, 0, 1}, NHWC, false, 0, 0, 0},
    {"of 300 channels", FORWARD, {1, 300, 4, 4}, {3, 300, 3, 3}, 1, 1, {1, 1, 1, 1}, NHWC, false,
     0, 0, 0},
    {"in double", FORWARD, {2, 3, 7, 6}, {4, 3, 3, 3}, 2, 1, {1, 0, 1, 1}, NHWC, true, 0, 0, 0},
    {"gradient of data", DATA_GRADIENT, {2, 3, 7, 6}, {4, 3, 3, 3}, 1, 1, {1, 1, 1, 1}, NHWC,
     false, 0, 0, 0},
    {"gradient of data, stride 2, dilation 2", DATA_GRADIENT, {2, 3, 9, 8}, {5, 3, 3, 3}, 2, 2,
     {1, 2, 2, 1}, NHWC, false, 0, 0, 0},
    {"gradient of data, two groups, scaled", DATA_GRADIENT, {2, 6, 5, 5}, {4, 3, 3, 3}, 1, 1,
     {2, 1, 0, 1}, NHWC, false, 2, 0.5, 0},
    {"gradient of data in double", DATA_GRADIENT, {2, 4, 5, 6}, {8, 1, 3, 3}, 3, 1, {1, 1, 2, 1},
     WITH_GAPS, true, 0, 0, 0},
    {"gradient of the filter", FILTER_GRADIENT, {2, 3, 7, 6}, {4, 3, 3, 3}, 1, 1, {1, 1, 1, 1},
     NHWC, false, 0, 0, 0},
    {"gradient of the filter, stride 2, dilation 2", FILTER_GRADIENT, {2, 3, 9, 8}, {5, 3, 3, 3},
     2, 2, {1, 2, 2, 1}, NHWC, false, 0, 0, 0},
    {"gradient of the filter, depthwise, NCHW", FILTER_GRADIENT, {4, 5, 9, 9}, {10, 1, 3, 3}, 1, 1,
     {2, 1, 0, 1}, NCHW, false, -1, 3, 0},
    {"gradient of the filter in double", FILTER_GRADIENT, {2, 6, 5, 5}, {4, 3, 3, 3}, 1, 1,
     {1, 1, 1, 1}, NHWC, true, 0, 0, 0},
    {"with a bias", FORWARD, {2, 3, 7, 6}, {5, 3, 3, 3}, 1, 1, {1, 1, 1, 1}, NHWC, false, 0, 0, 1},
    {"with a bias and a relu", FORWARD, {2, 3, 7, 6}, {5, 3, 3, 3}, 2, 1, {1, 0, 1, 1}, NHWC,
     false, 0, 0, 2},
};
const shape *const plain = &shapes[0];
static const shape *const many = &shapes[10]; /* terms */
static const shape *const in_double = &shapes[11];
static const shape *const with_relu = &shapes[21];

/* The largest error, against the sizes of the terms; at least once. */
static double error_of(const job *j)
{
    const size_t count = (size_t)job_count(j, job_result(j));
    double *found = calloc(count, sizeof *found), *wanted = calloc(count, sizeof *wanted);
    double *sizes = calloc(count, sizeof *sizes), worst = 0;
    job_read((job *)j, found);
    job_expect(j, wanted, sizes);
    for (size_t i = 0; i < count; i++) {
        const double error = fabs(found[i] - wanted[i]) / sizes[i];
        if (!(error <= worst)) /* a NaN is the worst */
            worst = error;
    }
    free(found);
    free(wanted);
    free(sizes);
    return worst;
}

static int check_values(const shape *s)
{
    job j;
    char why[200] = "";
    job_begin(&j, s);
    const bool has_plan = job_plan(&j, BY_NOTES);
    const bool is_optional = s->fused && getenv("BPCUDA_SIM_UNDOCUMENTED");
    bool ok = has_plan ? job_run(&j) : is_optional && !j.status && !control->last_error()[0];
    const double error = ok && has_plan ? error_of(&j) : 0;
    if (!ok)
        snprintf(why, sizeof why, "status %d, error %d, %s", j.status, j.error,
                 control->last_error());
    else if (!(error <= (s->is_double ? 1e-14 : 1e-6)))
        snprintf(why, sizeof why, "wrong by %g with engine %d", error, (int)j.engine);
    job_end(&j);
    return close_row(s->name, !why[0], why);
}

/* A NaN in x, behind a ReLU: it is there, or 0. */
static int check_nan(const char *name, int fused, bool is_kept)
{
    const float nan = NAN;
    shape s = *with_relu;
    s.fused = fused;
    job j;
    job_begin(&j, &s);
    const bool has_plan = job_plan(&j, BY_NOTES);
    (void)cudaMemcpyAsync(j.memory[X], &nan, sizeof nan, cudaMemcpyHostToDevice, j.stream);
    double *found = calloc((size_t)job_count(&j, Y), sizeof *found);
    bool ok = has_plan ? job_run(&j) : getenv("BPCUDA_SIM_UNDOCUMENTED") != NULL;
    if (has_plan)
        job_read(&j, found);
    int count = 0;
    for (int64_t i = 0; i < job_count(&j, Y); i++)
        count += isnan(found[i]);
    ok = ok && (!has_plan || (count > 0) == is_kept);
    free(found);
    job_end(&j);
    return close_row(name, ok, "not as said");
}

/* --- the defects --------------------------------------------------------------------------- */

static bool is_offered(const shape *s, int64_t engine)
{
    job j;
    job_begin(&j, s);
    const bool found = job_plan(&j, engine);
    job_end(&j);
    return found;
}

/* With this engine values are wrong by more than `least` and less than `most`. */
static int check_rounding(const char *name, int64_t engine, double least, double most)
{
    char why[100] = "not run";
    job j;
    job_begin(&j, many);
    double error = -1;
    if (job_plan(&j, engine) && job_run(&j)) {
        error = error_of(&j);
        snprintf(why, sizeof why, "wrong by %g", error);
    }
    job_end(&j);
    return close_row(name, error > least && error < most, why);
}

/* Run twice, with right values: the same bits, others, or neither was to be had. */
typedef enum bits { NO_RESULT, SAME_BITS, OTHER_BITS } bits;

static bits bits_again(int64_t engine)
{
    const size_t bytes = (size_t)(many->w[0] * 16) * sizeof(double);
    double *first = malloc(bytes), *second = malloc(bytes);
    job j;
    job_begin(&j, many);
    bool ran = job_plan(&j, engine);
    for (int i = 0; i < 2; i++) {
        ran = ran && job_run(&j);
        job_read(&j, i ? second : first);
    }
    ran = ran && error_of(&j) < 1e-6;
    const bits found = memcmp(first, second, bytes) == 0 ? SAME_BITS : OTHER_BITS;
    job_end(&j);
    free(first);
    free(second);
    return ran ? found : NO_RESULT;
}

static int check_gigabyte(void)
{
    job j;
    control->set_memory(512 << 20);
    job_begin(&j, plain);
    const bool made = job_plan(&j, 103);
    const bool ok = !made && j.error == cudaErrorMemoryAllocation;
    job_end(&j);
    control->set_memory((size_t)8 << 30);
    return close_row("engine 103 wants a gigabyte", ok, "there was memory for it");
}

/* Without a right engine there is no plan, and no error either. */
static int check_none_is_right(void)
{
    job j;
    setenv("BPCUDA_SIM_CUDNN_LOOSE", "1", 1);
    job_begin(&j, plain);
    const bool made = job_plan(&j, BY_NOTES);
    const bool ok = !made && !j.status && !j.error;
    job_end(&j);
    unsetenv("BPCUDA_SIM_CUDNN_LOOSE");
    return close_row("no engine is right", ok, "there was one");
}

static int check_engines(void)
{
    int failed = check_rounding("engine 100 rounds to TF32", 100, 1e-6, 1e-3);
    failed += check_rounding("engine 101 rounds to BF16", 101, 1e-5, 1e-2);
    failed += check_rounding("engine 105 rounds as Winograd's do", 105, 1e-7, 1e-5);
    failed += check_rounding("engine 0 does not round", 0, -1, 1e-6);
    failed += close_row("engine 102 has other bits each time", bits_again(102) == OTHER_BITS,
                        "it has not");
    failed += close_row("engine 0 has the same bits", bits_again(0) == SAME_BITS, "it has not");
    failed += close_row("engine 101 is none for doubles", !is_offered(in_double, 101), "it is");
    return failed + check_none_is_right() + check_gigabyte();
}

int main(void)
{
    control = bpi_sim_control();
    control->expect_error(1);
    int failed = 0;
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        failed += check_values(&shapes[i]);
    failed += check_nan("a relu passes NaN", 2, true) + check_nan("or makes 0 of it", 3, false);
    failed += check_engines();
    failed += check_mistakes();
    return failed != 0;
}
