/* What the Criterion suites share: a context for each test on test_device(), tensors of doubles,
 * scopes and errors in one line. Everything is f64 unless a test is about f32. Test names are
 * claims. */
#ifndef BPI_TEST_SUITE_H
#define BPI_TEST_SUITE_H

#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "net.h"
#include "readers.h"

static bp_context *ctx;

static inline void setup(void)
{
    cr_assert_eq(bp_open(test_device(), &ctx), BP_OK);
}

static inline void teardown(void)
{
    bp_close(ctx);
}

#define OK(call) cr_assert_eq((call), BP_OK, "%s: %s", #call, bp_error_text(ctx))
#define TEXT(expected) cr_assert_str_eq(bp_error_text(ctx), expected)

static inline void begin(void)
{
    OK(bp_scope_begin(ctx, 0));
}

static inline void end(void)
{
    OK(bp_scope_end(ctx));
}

/* Ends the outermost scope, which must return `status` with this text. */
static inline void end_with(bp_status status, const char *text)
{
    cr_assert_eq(bp_scope_end(ctx), status);
    TEXT(text);
}

/* `call`, in a scope of its own, is refused with this text. */
#define REFUSED(status, text, call)   \
    do {                              \
        begin();                      \
        cr_assert_null(call);         \
        end_with(status, text);       \
    } while (0)

/* A tensor of these values, yours; NULL: random ones in [-1, 1], by `seed`. */
static inline bp_tensor *tensor_in(bp_context *c, bp_dtype dtype, bp_shape shape, const double *v,
                                   uint64_t seed)
{
    int64_t n = bp_shape_count(shape);
    values all = {n, malloc((size_t)(n + 1) * sizeof(double))};
    for (int64_t i = 0; i < n; i++)
        all.v[i] = v ? v[i] : (float)(2 * op_random(seed, i) - 1);
    bp_tensor *t = bp_tensor_create(c, dtype, shape);
    cr_assert(t && tensor_fill(t, &all), "%s", bp_error_text(c));
    free(all.v);
    return t;
}

static inline bp_tensor *random_tensor(bp_shape shape, uint64_t seed)
{
    return tensor_in(ctx, BP_F64, shape, NULL, seed);
}

#define TENSOR(shape, ...) tensor_in(ctx, BP_F64, shape, (const double[]){__VA_ARGS__}, 0)
#define INTS(shape, ...) tensor_in(ctx, BP_I32, shape, (const double[]){__VA_ARGS__}, 0)
#define NUMBER(x) TENSOR(BP_SCALAR, x)

/* Element i of a tensor. */
static inline double at(bp_tensor *t, int64_t i)
{
    values v = {0};
    cr_assert(t && tensor_values(t, &v), "%s", bp_error_text(ctx));
    cr_assert_lt(i, v.n);
    double x = v.v[i];
    values_free(&v, 1);
    return x;
}

/* Equal to a tolerance relative to the largest; 0: by value. */
static inline void same(bp_tensor *a, bp_tensor *b, double tolerance)
{
    values x = {0}, y = {0};
    cr_assert(a && b && tensor_values(a, &x) && tensor_values(b, &y), "%s", bp_error_text(ctx));
    cr_assert_eq(x.n, y.n);
    double scale = 0;
    for (int64_t i = 0; i < x.n; i++)
        scale = fmax(scale, fabs(y.v[i]));
    for (int64_t i = 0; i < x.n; i++)
        cr_assert(fabs(x.v[i] - y.v[i]) <= tolerance * scale, "[%d] %.17g, not %.17g", (int)i,
                  x.v[i], y.v[i]);
    values_free(&x, 1);
    values_free(&y, 1);
}

/* An f64 store with parameters "0", "1", ... of these values. */
static inline bp_params *store_of(int n, bp_tensor *const *values_of, bp_tensor **param)
{
    static const char *const name[] = {"0", "1", "2", "3", "4", "5"};
    bp_params *p;
    OK(bp_params_create(ctx, BP_F64, &p));
    for (int i = 0; i < n; i++)
        cr_assert(param[i] = bp_param(p, name[i], bp_shape_of(values_of[i]), BP_INIT_ZERO));
    for (int i = 0; i < n; i++)
        OK(bp_copy_into(param[i], values_of[i]));
    return p;
}

#endif
