/* Reading numbers as the host's own: float and double, of any dtype, several tensors at once. */
#include "suite.h"

#define CLAIM(name) Test(reading, name, .init = setup, .fini = teardown)

CLAIM(any_dtype_is_read_as_float_and_as_double)
{
    const double v[6] = {0, 1, 2, 250, 7, 3};
    const bp_dtype dtypes[] = {BP_F32, BP_F64, BP_U8, BP_I32};
    for (int d = 0; d < 4; d++) {
        bp_tensor *t = tensor_in(ctx, dtypes[d], BP_SHAPE(2, 3), v, 0);
        float f[6];
        double g[6];
        OK(bp_read_f32(t, f, 6));
        OK(bp_read_f64(t, g, 6));
        for (int i = 0; i < 6; i++)
            cr_assert(f[i] == (float)v[i] && g[i] == v[i], "%s", bp_dtype_name(dtypes[d]));
    }
    double tenth;
    float rounded;
    int32_t odd = 16777217, integer;
    bp_tensor *x = NUMBER(0.1), *i = bp_tensor_create(ctx, BP_I32, BP_SCALAR);
    OK(bp_write(i, &odd, sizeof odd));
    OK(bp_read_f64(x, &tenth, 1));
    OK(bp_read_f32(x, &rounded, 1));
    cr_assert(tenth == 0.1 && rounded == 0.1f);
    OK(bp_read_f32(i, &rounded, 1));
    cr_assert_eq(rounded, 16777216.0f);
    OK(bp_read_f64(i, &tenth, 1));
    OK(bp_read(i, &integer, sizeof integer));
    cr_assert(tenth == 16777217 && integer == odd);
}

CLAIM(a_view_is_read_in_the_order_of_its_indices)
{
    bp_tensor *x = TENSOR(BP_SHAPE(2, 3), 1, 2, 3, 4, 5, 6);
    float f[6];
    double row[12];
    begin();
    OK(bp_read_f32(bp_transpose(x, 0, 1), f, 6));
    OK(bp_read_f64(bp_expand(x, BP_SHAPE(2, 2, 3)), row, 12));
    end();
    cr_assert(f[0] == 1 && f[1] == 4 && f[2] == 2 && f[5] == 6);
    cr_assert(row[0] == 1 && row[6] == 1 && row[11] == 6);
}

CLAIM(a_loss_and_a_count_come_with_one_wait)
{
    bp_tensor *logits = tensor_in(ctx, BP_F32, BP_SHAPE(2, 2), (double[]){3, 1, 0, 2}, 0);
    bp_tensor *labels = INTS(BP_SHAPE(2), 0, 0), *correct, *pair[2];
    bp_stats before, after;
    double both[4], none;
    begin();
    pair[0] = bp_cross_entropy_correct(logits, labels, &correct);
    pair[1] = correct;
    bp_get_stats(ctx, &before);
    OK(bp_read_all(ctx, pair, 2, both, 2));
    bp_get_stats(ctx, &after);
    end();
    cr_assert_eq(after.waits - before.waits, 1);
    cr_assert_float_eq(both[0], (log1p(exp(-2)) + log1p(exp(-2)) + 2) / 2, 1e-6);
    cr_assert_eq(both[1], 1);
    bp_tensor *mixed[] = {labels, tensor_in(ctx, BP_F64, BP_SHAPE(0, 4), NULL, 0), NUMBER(7)};
    OK(bp_read_all(ctx, mixed, 3, both, 3));
    cr_assert(both[0] == 0 && both[1] == 0 && both[2] == 7);
    OK(bp_read_all(ctx, NULL, 0, NULL, 0));
    OK(bp_read_f64(mixed[1], &none, 0));
}

CLAIM(what_kernels_found_is_told)
{
    bp_tensor *table = random_tensor(BP_SHAPE(3, 2), 0), *index = INTS(BP_SHAPE(1), 5);
    double v[2];
    begin();
    cr_assert_eq(bp_read_f64(bp_gather(table, index), v, 2), BP_ERR_RANGE);
    end_with(BP_ERR_RANGE, "gather: index 5 is out of range");
}

static bp_status reads(bp_context *c, void *user)
{
    double v[2];
    (void)c;
    return bp_read_f64(user, v, 2);
}

CLAIM(a_wrong_call_is_told)
{
    bp_tensor *x = TENSOR(BP_SHAPE(2), 1, 2), *two[] = {x, NULL};
    bp_context *other;
    bp_plan *plan;
    double v[4];
    cr_assert_eq(bp_read_f64(x, v, 3), BP_ERR_ARG);
    TEXT("read_f64: room for 3 numbers is given; there are 2");
    cr_assert_eq(bp_read_f32(x, NULL, 2), BP_ERR_ARG);
    TEXT("read_f32: dst is NULL");
    cr_assert_eq(bp_read_all(ctx, two, 2, v, 4), BP_ERR_ARG);
    TEXT("read_all: t[1] is NULL");
    cr_assert_eq(bp_read_all(ctx, two, -1, v, 0), BP_ERR_ARG);
    TEXT("read_all: -1 tensors; 0 or more are wanted");
    cr_assert_eq(bp_plan_record(ctx, reads, x, &plan), BP_ERR_STATE);
    TEXT("read_f64: not while a plan is recorded");
    OK(bp_open("cpu", &other));
    two[1] = tensor_in(other, BP_F64, BP_SHAPE(1), (double[]){1}, 0);
    cr_assert_eq(bp_read_all(ctx, two, 2, v, 3), BP_ERR_DEVICE);
    TEXT("read_all: a tensor belongs to another context");
    bp_free(two[1]);
    bp_close(other);
    begin();
    cr_assert_null(bp_log_softmax(x, 5));
    cr_assert_eq(bp_read_f64(x, v, 2), BP_ERR_SHAPE, "the first error of a scope stays");
    cr_assert_eq(bp_scope_end(ctx), BP_ERR_SHAPE);
    bp_free(x);
    cr_assert_eq(bp_read_f64(x, v, 2), BP_ERR_ARG);
    TEXT("read_f64: a tensor is a stale handle: its scope has ended, or it was freed");
}
