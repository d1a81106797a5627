/* Shape and index ops: what they refuse, and how they say it; indices out of range; lists of any
 * length; sizes 0 and 1. */
#include "suite.h"

#define CLAIM(name) Test(indexing, name, .init = setup, .fini = teardown)

static void refused(bp_tensor *y, bp_status status, const char *text)
{
    cr_assert_null(y, "%s", text);
    end_with(status, text);
}
#define NO(status, text, call) refused((begin(), (call)), BP_ERR_##status, text)

CLAIM(what_does_not_fit_is_named_with_what_is_wanted)
{
    bp_tensor *m = random_tensor(BP_SHAPE(2, 3), 0), *v = random_tensor(BP_SHAPE(4), 1);
    bp_tensor *f = tensor_in(ctx, BP_F32, BP_SHAPE(2, 3), NULL, 2), *s = NUMBER(1), *part[3];
    bp_tensor *bytes = tensor_in(ctx, BP_U8, BP_SHAPE(2, 3), NULL, 0), *i = INTS(BP_SHAPE(2), 0, 1);
    bp_tensor *deep = random_tensor(BP_SHAPE(1, 1, 1, 1, 1, 1, 1, 2), 3);
    NO(SHAPE, "transpose: x [2,3] has no such axes", bp_transpose(m, 0, -3));
    NO(SHAPE, "permute: [0,0] of x [2,3]: each of its axes is wanted once",
       bp_permute(m, BP_SHAPE(0, 0)));
    NO(SHAPE, "permute: [0] of x [2,3]: each of its axes is wanted once",
       bp_permute(m, BP_SHAPE(0)));
    NO(SHAPE, "permute: [-3,0] of x [2,3]: each of its axes is wanted once",
       bp_permute(m, BP_SHAPE(-3, 0)));
    NO(SHAPE, "unsqueeze: a new axis 3 of [2,3]: -3 to 2 is wanted", bp_unsqueeze(m, 3));
    NO(SHAPE, "unsqueeze: a new axis of [1,1,1,1,1,1,1,2]: at most 8 axes",
       bp_unsqueeze(deep, 0));
    NO(SHAPE, "squeeze: axes 0x1 of [2,3]: axes of size 1 are wanted", bp_squeeze(m, BP_AXIS(0)));
    NO(SHAPE, "slice: x [2,3] has no such axis", bp_slice(m, 2, 0, 1, 1));
    NO(SHAPE, "slice: x [] has no such axis", bp_slice(s, 0, 0, 1, 1));
    NO(ARG, "slice: the step is 0", bp_slice(m, 1, 0, 1, 0));
    NO(SHAPE, "flip: axes 0x4 of [2,3]", bp_flip(m, BP_AXIS(2)));
    NO(SHAPE, "split: axis 2 of [2,3]", bp_split(m, 2, 1, NULL, part));
    NO(ARG, "split: 0 parts; 1 or more are wanted", bp_split(m, 1, 0, NULL, part));
    NO(SHAPE, "split: axis 1 of [2,3] is no multiple of 2 parts", bp_split(m, 1, 2, NULL, part));
    NO(SHAPE, "split: axis 1 of [2,3]: part 1 of 2 has size 1, behind 1; the sizes must add up to "
              "3", bp_split(m, -1, 2, (const int64_t[]){1, 1}, part));
    NO(SHAPE, "split: axis 1 of [2,3]: part 0 of 2 has size -1, behind 0; the sizes must add up to "
              "3", bp_split(m, -1, 2, (const int64_t[]){-1, 4}, part));
    cr_assert(!part[0] && !part[1]);
    NO(SHAPE, "concat: axis -3 of [2,3]", bp_concat(&m, 1, -3));
    NO(SHAPE, "concat: input 0 [2,3] and input 1 [4] do not fit",
       bp_concat((bp_tensor *[]){m, v}, 2, 0));
    NO(DTYPE, "concat: input 0 is f64 and input 2 is f32",
       bp_concat((bp_tensor *[]){m, m, f}, 3, 0));
    NO(SHAPE, "stack: input 0 [2,3] and input 1 [4] do not fit",
       bp_stack((bp_tensor *[]){m, v}, 2, 0));
    NO(SHAPE, "stack: a new axis 4 of [2,3]: -3 to 2 is wanted", bp_stack(&m, 1, 4));
    NO(SHAPE, "pad: axis 0 of []", bp_pad(s, 0, 1, 1, 0));
    NO(ARG, "pad: -1 before and 0 after 2: 0 or more are wanted, and a size that can be",
       bp_pad(m, 0, -1, 0, 0));
    NO(ARG, "pad: 9223372036854775807 before and 0 after 2: 0 or more are wanted, and a size that "
            "can be", bp_pad(m, 0, INT64_MAX, 0, 0));
    NO(DTYPE, "pad: -1 is no u8", bp_pad(bytes, 0, 1, 0, -1));
    NO(DTYPE, "pad: 3.4028236692093846e+38 is no f32", bp_pad(f, 0, 1, 0, 0x1p128));
    NO(SHAPE, "pad_edge: 1 before and 0 after axis 0 of [0,3]: 0 or more, and of an axis that is "
              "not empty", bp_pad_edge(bp_slice(m, 0, 0, 0, 1), 0, 1, 0));
    NO(SHAPE, "pad_reflect: 0 before and 3 after axis 1 of [2,3]: 0 or more, below its size",
       bp_pad_reflect(m, 1, 0, 3));
    NO(SHAPE, "tile: [2] times x [2,3]: a count of 0 or more is wanted for each axis, and a size "
              "that can be", bp_tile(m, BP_SHAPE(2)));
    NO(SHAPE, "repeat: [1,-2] times x [2,3]: a count of 0 or more is wanted for each axis, and a "
              "size that can be", bp_repeat(m, -1, -2));
    NO(SHAPE, "repeat: axis 2 of [2,3]", bp_repeat(m, 2, 2));
    NO(SHAPE, "roll: axis 0 of []", bp_roll(s, 0, 2));
    NO(DTYPE, "full: unknown dtype 9", bp_full(ctx, 9, BP_SHAPE(2), 0));
    NO(SHAPE, "full: bad shape [-1] with 1 sizes", bp_full(ctx, BP_F32, BP_SHAPE(-1), 0));
    NO(DTYPE, "full: 0.5 is no i32", bp_full(ctx, BP_I32, BP_SHAPE(2), 0.5));
    NO(DTYPE, "full_like: nan is no u8", bp_full_like(bytes, NAN));
    NO(DTYPE, "full: 3.4028236692093846e+38 is no f32", bp_full(ctx, BP_F32, BP_SCALAR, 0x1p128));
    NO(DTYPE, "full_like: -3.4028235677973366e+38 is no f32", bp_full_like(f, -0x1.ffffffp127));
    NO(DTYPE, "arange: 3.4028236692093846e+38 is no f32", bp_arange(ctx, BP_F32, 0, 0x1p127, 3));
    NO(DTYPE, "arange: 256 is no u8", bp_arange(ctx, BP_U8, 0, 64, 5));
    NO(DTYPE, "arange: u8 with a step of 0.5: a whole number is wanted",
       bp_arange(ctx, BP_U8, 0, 0.5, 3));
    NO(DTYPE, "arange: nan is no i32", bp_arange(ctx, BP_I32, NAN, 1, 1));
    NO(DTYPE, "arange: unknown dtype 9", bp_arange(ctx, 9, 0, 1, 0));
    NO(SHAPE, "eye: -1 rows: 0 or more are wanted, and a size that can be",
       bp_eye(ctx, BP_F32, -1));
    NO(SHAPE, "eye: 8589934592 rows: 0 or more are wanted, and a size that can be",
       bp_eye(ctx, BP_U8, (int64_t)1 << 33));
    NO(DTYPE, "eye: unknown dtype 9", bp_eye(ctx, 9, 2));
    NO(DTYPE, "tril: x is u8, not f32 or f64", bp_tril(bytes, 0));
    NO(SHAPE, "triu: x [4] has no matrices", bp_triu(v, 0));
    NO(DTYPE, "take: the index is f64, not i32", bp_take(m, 0, v));
    NO(SHAPE, "take: axis 2 of x [2,3] by index [2]: at most 8 axes", bp_take(m, 2, i));
    NO(DTYPE, "take_along: the index is f64, not i32", bp_take_along(m, 0, m));
    NO(SHAPE, "take_along: x [2,3] and index [2]: sizes may differ along axis 0 only",
       bp_take_along(m, 0, i));
    NO(SHAPE, "take_along: x [2,3] has no such axis", bp_take_along(m, 2, i));
    NO(DTYPE, "add_along: x is u8, not f32 or f64", bp_add_along(bytes, 0, i, 2));
    NO(SHAPE, "add_along: x [4], index [2], size 3: equal shapes and a size of 0 or more are "
              "wanted", bp_add_along(v, 0, i, 3));
    NO(SHAPE, "pick: x [2,3] and index [4]: [..., C] and [...] are wanted",
       bp_pick(m, bp_full(ctx, BP_I32, BP_SHAPE(4), 0)));
    NO(DTYPE, "pick: the index is f64, not i32", bp_pick(m, v));
    NO(DTYPE, "one_hot: index i32 to u8: i32 and a real dtype are wanted", bp_one_hot(i, 3, BP_U8));
    NO(SHAPE, "one_hot: index [2] of -1 classes: 0 or more are wanted, and a size that can be",
       bp_one_hot(i, -1, BP_F32));
    NO(SHAPE, "one_hot: index [2] of 9223372036854775807 classes: 0 or more are wanted, and a size "
              "that can be", bp_one_hot(i, INT64_MAX, BP_F32));
}

CLAIM(a_list_is_looked_at_one_by_one)
{
    bp_tensor *x = random_tensor(BP_SHAPE(2), 0), *list[200];
    cr_assert_null(bp_concat(&x, 1, 0));
    TEXT("concat: an op outside any scope: call it in bp_run, or after bp_scope_begin");
    cr_assert_null(bp_concat(&x, 0, 0));
    TEXT("concat: of no tensors");
    for (int k = 0; k < 200; k++)
        list[k] = x;
    list[6] = NULL;
    NO(ARG, "concat: input 6 is NULL", bp_concat(list, 200, 0));
    begin();
    cr_assert_null(bp_stack(list + 6, 1, 0));
    TEXT("stack: input 0 is NULL");
    end();
    bp_context *other;
    cr_assert_eq(bp_open("cpu", &other), BP_OK);
    list[6] = tensor_in(other, BP_F64, BP_SHAPE(2), NULL, 0);
    NO(DEVICE, "concat: an input after the fourth belongs to another context",
       bp_concat(list, 200, 0));
    bp_close(other);
    begin();
    list[6] = bp_require_grad(x);
    bp_tensor *y = bp_concat(list, 200, 0), *z = bp_stack(list, 200, -1), *dx;
    same(y, bp_reshape(bp_transpose(z, 0, 1), BP_SHAPE(400)), 0);
    OK(bp_grad(ctx, y, bp_arange(ctx, BP_F64, 0, 1, 400), &list[6], 1, 0, &dx));
    cr_assert(at(dx, 0) == 12 && at(dx, 1) == 13);
    end();
}

/* In a scope: the waiting call says so. */
static void out_of_range(bp_tensor *y, const char *text, int n, const double *want)
{
    double v[8];
    cr_assert(y, "%s", bp_error_text(ctx));
    cr_assert_eq(bp_read(y, v, (size_t)n * sizeof *v), BP_ERR_RANGE);
    TEXT(text);
    for (int i = 0; i < n; i++)
        cr_assert_eq(v[i], want[i], "%s: [%d] %g", text, i, v[i]);
    cr_assert_eq(bp_scope_end(ctx), BP_ERR_RANGE);
}
#define OUT_OF_RANGE(text, call, n, ...) \
    out_of_range((begin(), (call)), text, n, (const double[]){__VA_ARGS__})

CLAIM(an_index_out_of_range_is_told_and_does_nothing)
{
    bp_tensor *x = TENSOR(BP_SHAPE(2, 3), 1, 2, 3, 4, 5, 6), *bad = INTS(BP_SHAPE(2), 1, -1);
    bp_tensor *two = INTS(BP_SHAPE(2, 2), 0, 3, -7, 1);
    bp_tensor *six = INTS(BP_SHAPE(2, 3), 0, 1, 2, 3, 9, 0);
    OUT_OF_RANGE("take_along: index 3 is out of range", bp_take_along(x, 1, two), 4, 1, 0, 0, 5);
    OUT_OF_RANGE("take_along: index -1 is out of range", bp_pick(x, bad), 2, 2, 0);
    OUT_OF_RANGE("gather: index -1 is out of range", bp_take(x, 1, bad), 4, 2, 0, 5, 0);
    OUT_OF_RANGE("add_along: index 2 is out of range", bp_add_along(x, 1, six, 2), 4, 1, 2, 6, 0);
    OUT_OF_RANGE("add_along: index -1 is out of range", bp_one_hot(bad, 3, BP_F64), 6,
                 0, 1, 0, 0, 0, 0);
    OUT_OF_RANGE("take_along: index 0 is out of range",
                 bp_take_along(bp_slice(x, 1, 0, 0, 1), 1, bp_slice(two, 1, 0, 1, 1)), 2, 0, 0);
}

CLAIM(sizes_0_and_1_are_sizes)
{
    bp_tensor *none = random_tensor(BP_SHAPE(0, 3), 0), *one = TENSOR(BP_SHAPE(1), 4), *part[2];
    bp_tensor *index = tensor_in(ctx, BP_I32, BP_SHAPE(0, 3), NULL, 0);
    begin();
    cr_assert_eq(bp_shape_count(bp_shape_of(bp_flip(none, 3))), 0);
    cr_assert_eq(bp_shape_of(bp_concat((bp_tensor *[]){none, none}, 2, 1)).dim[1], 6);
    cr_assert_eq(bp_shape_of(bp_tile(one, BP_SHAPE(0))).dim[0], 0);
    cr_assert_eq(at(bp_tile(one, BP_SHAPE(3)), 2), 4);
    cr_assert_eq(at(bp_roll(one, 0, INT64_MIN), 0), 4);
    cr_assert_eq(bp_shape_of(bp_roll(none, 0, 5)).dim[0], 0);
    cr_assert(bp_split(none, 0, 2, NULL, part));
    cr_assert_eq(bp_shape_of(part[1]).dim[0], 0);
    cr_assert_eq(at(bp_pad(none, 0, 1, 1, 7), 5), 7);
    cr_assert_eq(at(bp_pad_reflect(one, 0, 0, 0), 0), 4);
    cr_assert_eq(at(bp_pad_edge(one, -1, 2, 3), 5), 4);
    cr_assert_eq(bp_shape_of(bp_eye(ctx, BP_F32, 0)).dim[1], 0);
    cr_assert_eq(bp_shape_of(bp_arange(ctx, BP_U8, -3, 0.5, 0)).dim[0], 0);
    cr_assert_eq(at(bp_arange(ctx, BP_U8, 5, 0.5, 1), 0), 5);
    cr_assert_eq(bp_shape_of(bp_repeat(none, 0, INT64_MAX)).dim[0], 0);
    cr_assert_eq(bp_shape_of(bp_tile(none, BP_SHAPE(INT64_MAX, 2))).dim[1], 6);
    cr_assert_eq(at(bp_squeeze(one, 1), 0), 4);
    cr_assert_eq(at(bp_permute(bp_squeeze(one, 1), BP_SCALAR), 0), 4);
    cr_assert_eq(bp_shape_of(bp_take_along(none, 0, index)).dim[1], 3);
    cr_assert_eq(at(bp_add_along(none, 0, index, 2), 5), 0);
    cr_assert_eq(bp_shape_of(bp_one_hot(index, 4, BP_F32)).dim[2], 4);
    cr_assert_eq(bp_shape_count(bp_shape_of(bp_tril(none, 5))), 0);
    end();
}

CLAIM(numbers_are_made_as_their_dtype_has_them)
{
    begin();
    bp_tensor *i = bp_arange(ctx, BP_I32, INT32_MAX, -1, 3);
    bp_tensor *u = bp_arange(ctx, BP_U8, 255, -85, 4);
    cr_assert(at(i, 0) == INT32_MAX && at(i, 2) == INT32_MAX - 2 && at(u, 3) == 0);
    cr_assert_eq(at(bp_full_like(i, INT32_MIN), 1), INT32_MIN);
    for (bp_dtype of = BP_F32; of <= BP_I32; of++)
        for (int n = 0; n < 4; n++) {
            bp_tensor *eye = bp_eye(ctx, of, n);
            cr_assert(eye && bp_dtype_of(eye) == of && bp_shape_of(eye).dim[1] == n);
            for (int k = 0; k < n * n; k++)
                cr_assert_eq(at(eye, k), k % (n + 1) == 0);
        }
    cr_assert(isnan(at(bp_full(ctx, BP_F32, BP_SCALAR, NAN), 0)));
    bp_tensor *x = TENSOR(BP_SHAPE(2, 2), NAN, NAN, 1, INFINITY), *y = bp_tril(x, -1);
    cr_assert(at(y, 0) == 0 && at(y, 1) == 0 && at(y, 2) == 1 && at(y, 3) == 0);
    y = bp_triu(x, -100);
    cr_assert(isnan(at(y, 0)) && isnan(at(y, 1)) && at(y, 2) == 1 && isinf(at(y, 3)));
    cr_assert_eq(at(bp_tril(x, INT64_MIN), 2), 0);
    end();
}

CLAIM(an_index_that_steps_along_the_axis_is_read_where_it_lies)
{
    bp_tensor *x = TENSOR(BP_SHAPE(4, 1), 10, 20, 30, 40);
    bp_tensor *wide = INTS(BP_SHAPE(4, 2), 3, 9, 2, 9, 1, 9, 0, 9);
    double v[4];
    begin();
    OK(bp_read_f64(bp_take_along(x, 0, bp_slice(wide, 1, 0, 1, 1)), v, 4));
    for (int i = 0; i < 4; i++)
        cr_assert_eq(v[i], 40 - 10 * i);
    end();
}

CLAIM(what_is_tiled_or_repeated_once_is_a_copy_too)
{
    static const double copies[] = {1, 1, 3, 3, 4};
    bp_tensor *x = TENSOR(BP_SHAPE(1, 3), 1, 2, 3), *dx;
    begin();
    bp_tensor *a = bp_require_grad(x);
    bp_tensor *y[] = {bp_tile(a, BP_SHAPE(1, 1)), bp_repeat(a, 1, 1), bp_tile(a, BP_SHAPE(3, 1)),
                      bp_repeat(a, 0, 3), bp_tile(bp_slice(a, 1, 0, 1, 1), BP_SHAPE(2, 2))};
    for (int i = 0; i < 5; i++) {
        bp_tensor *one = bp_full_like(y[i], 1);
        OK(bp_grad(ctx, y[i], one, &a, 1, BP_KEEP_GRAPH, &dx));
        cr_assert_eq(at(dx, 0), copies[i], "%d", i);
        OK(bp_add_into(y[i], one));
        cr_assert(at(y[i], 0) == 2 && at(x, 0) == 1, "%d", i);
    }
    end();
}
