/* A reduction of x over a set of axes, for kernels that say how an accumulator takes elements.
 *
 * An accumulator is up to three doubles; those of a strip of outputs lie behind each other, value k
 * of output j at acc[k * width + j]. Users: reduce.c, variance.c, logsumexp.c, argmax.c. */
#ifndef BPI_CPU_OVER_AXES_H
#define BPI_CPU_OVER_AXES_H

#include "cpu/kernel.h"

enum { BPI_FOLD_VALUES = 3, BPI_STRIP = 1024, /* at most; outputs of a strip */
       BPI_OVER_AXES_JOB = 1024 };            /* bytes, for bpi_kernel */

/* Elements that are taken next: element i of output j is x[i * row + j]; its place on the axis,
 * where there is one axis, is first + i * down + j * across. */
typedef struct bpi_taken {
    const real *x;
    int64_t n;         /* outputs */
    int64_t rows, row; /* elements of each */
    int64_t first, down, across;
    int64_t width;
} bpi_taken;

typedef struct BPI_CPU(fold_rule) {
    int32_t values, places; /* of an accumulator; whether `take` reads places */
    double start[BPI_FOLD_VALUES];
    void (*take)(double *acc, const bpi_taken *t);
    /* acc takes n others, of other elements */
    void (*join)(double *acc, const double *other, int64_t n, int64_t width);
    /* value k of acc becomes output k; NULL: it is that. params: the kernel's */
    void (*finish)(double *acc, int64_t n, int64_t width, const void *params);
    /* one acc takes n elements in a row, the first at that place */
    void (*run)(double *acc, const real *x, int64_t n, int64_t first);
} bpi_fold_rule;

/* The kernel: x, any strides -> y and maybe more, packed, real or i32, which is held at its ends.
 * params begin with the axes. */
bp_status BPI_CPU(over_axes)(bp_exec *ex, const bpi_fold_rule *rule, const bp_view *in,
                             const bp_view *out, int n_out, const void *params);
size_t BPI_CPU(over_axes_bytes)(const bpi_fold_rule *rule, const bp_view *in, const void *params);

/* The table entry of an op whose rule and number of outputs these are. */
#define BPI_OVER_AXES_OP(op, rule, n_out)                                                      \
    static bp_status op##_forward(bp_exec *ex, const bp_view *in, const bp_view *out,          \
                                  const void *params)                                          \
    {                                                                                          \
        return BPI_CPU(over_axes)(ex, &rule, in, out, n_out, params);                          \
    }                                                                                          \
    static size_t op##_bytes(const bp_view *in, const void *params)                            \
    {                                                                                          \
        return BPI_CPU(over_axes_bytes)(&rule, in, params);                                    \
    }                                                                                          \
    BPI_CPU_OP(op) = {.slot[BPI_FORWARD] = {.fn = op##_forward, .layout = BPI_ANY,             \
                                            .workspace_bytes = op##_bytes,                 \
                                            .job_bytes = BPI_OVER_AXES_JOB}};

#endif
