/* Data sets as tables of named columns: what may be in them, and what a subset keeps. */
#include "suite.h"

#define CLAIM(name) Test(columns, name, .init = setup, .fini = teardown)

enum { ROWS = 6 };
static const float reals[2 * ROWS] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11};
static const uint8_t bytes[4 * ROWS] = {1, 0, 1, 1, 0, 0, 1, 0};
static const int32_t classes[ROWS] = {0, 1, 2, 0, 1, 2};

static bp_data *table(void)
{
    bp_data *d;
    OK(bp_data_table(ctx, ROWS, &d));
    return d;
}

CLAIM(a_table_holds_columns_of_any_shape_and_dtype)
{
    bp_data *d = table();
    const int32_t steps[ROWS] = {-1, 2, 3, 4, 5, 6};
    const double times[ROWS] = {0.5, 1.5};
    OK(bp_data_add(d, "x", BP_U8, BP_SHAPE(2, 2), bytes));
    OK(bp_data_add(d, "step", BP_I32, BP_SCALAR, steps));
    OK(bp_data_add(d, "time", BP_F64, BP_SHAPE(1), times));
    cr_assert_eq(bp_data_rows(d), ROWS);
    cr_assert_eq(bp_data_cols(d), 4);
    cr_assert_eq(bp_data_columns(d), 3);
    cr_assert_str_eq(bp_data_column_name(d, 1), "step");
    cr_assert_null(bp_data_column_name(d, 3));
    cr_assert_null(bp_data_column_name(d, -1));
    bp_shape shape = bp_shape_of(bp_data_column(d, "x"));
    cr_assert(shape.ndim == 3 && shape.dim[0] == ROWS && shape.dim[1] == 2 && shape.dim[2] == 2);
    cr_assert_eq(bp_shape_of(bp_data_column(d, "step")).ndim, 1);
    cr_assert_eq(bp_dtype_of(bp_data_column(d, "time")), BP_F64);
    cr_assert_eq(at(bp_data_column(d, "step"), 0), -1);
    cr_assert_eq(bp_data_samples(d), bp_data_column(d, "x"));
    cr_assert_null(bp_data_labels(d));
    bp_free(bp_data_column(d, "x")); /* it belongs to the set */
    cr_assert_eq(at(bp_data_column(d, "x"), 2), 1);
    cr_assert_null(bp_data_column(d, "speed"));
    TEXT("data_column: there is no column \"speed\"");
    bp_data_free(d);
}

CLAIM(targets_are_classes_reals_or_labels)
{
    static const char *const names[] = {"red", "", "dark blue"};
    bp_data *d[4];
    for (int i = 0; i < 4; i++)
        d[i] = table();
    OK(bp_data_add_classes(d[1], classes, 3, names));
    OK(bp_data_add(d[2], "y", BP_F32, BP_SCALAR, reals));
    OK(bp_data_add(d[3], "y", BP_U8, BP_SHAPE(2, 2), bytes));
    static const bp_targets targets[] = {BP_TARGETS_NONE, BP_TARGETS_CLASSES, BP_TARGETS_REAL,
                                         BP_TARGETS_LABELS};
    static const int64_t outputs[] = {0, 3, 1, 4};
    for (int i = 0; i < 4; i++) {
        cr_assert_eq(bp_data_targets(d[i]), targets[i]);
        cr_assert_eq(bp_data_outputs(d[i]), outputs[i]);
        cr_assert_eq(bp_data_classes(d[i]), i == 1 ? 3 : 0);
        cr_assert_eq(bp_shape_of(bp_data_labels(d[i])).ndim, i > 1 ? 2 : i);
    }
    cr_assert_str_eq(bp_data_class_name(d[1], 2), "dark blue");
    cr_assert_str_eq(bp_data_class_name(d[1], 1), "");
    cr_assert_null(bp_data_class_name(d[1], 3));
    cr_assert_null(bp_data_class_name(d[1], -1));
    cr_assert_null(bp_data_class_name(d[2], 0));
    for (int i = 0; i < 4; i++)
        bp_data_free(d[i]);
}

#define REFUSES(status, text, call)             \
    do {                                        \
        cr_assert_eq((call), (status));         \
        TEXT(text);                             \
        cr_assert_eq(bp_data_columns(d), 1);    \
    } while (0)

CLAIM(a_column_that_does_not_fit_is_refused_and_the_set_stays)
{
    bp_data *d = table();
    float bad[2 * ROWS];
    memcpy(bad, reals, sizeof bad);
    bad[5] = INFINITY;
    OK(bp_data_add(d, "a", BP_F32, BP_SHAPE(2), reals));
    REFUSES(BP_ERR_RANGE, "data_add: column \"b\": row 2, element 1 is inf; finite numbers are "
            "wanted", bp_data_add(d, "b", BP_F32, BP_SHAPE(2), bad));
    REFUSES(BP_ERR_ARG, "data_add: there is a column \"a\" already",
            bp_data_add(d, "a", BP_F32, BP_SHAPE(2), reals));
    REFUSES(BP_ERR_ARG, "data_add: the name of a column is empty",
            bp_data_add(d, "", BP_F32, BP_SHAPE(2), reals));
    REFUSES(BP_ERR_DTYPE, "data_add: column \"x\" of i32 []: samples are u8 or f32",
            bp_data_add(d, "x", BP_I32, BP_SCALAR, classes));
    REFUSES(BP_ERR_DTYPE, "data_add: column \"y\" of i32 []: targets are f32 or, several labels of "
            "0 and 1, u8; classes come by bp_data_add_classes",
            bp_data_add(d, "y", BP_I32, BP_SCALAR, classes));
    REFUSES(BP_ERR_DTYPE, "data_add: column \"weight\" of f32 [2]: weights are f32, one a row",
            bp_data_add(d, "weight", BP_F32, BP_SHAPE(2), reals));
    bad[3] = -1;
    REFUSES(BP_ERR_RANGE, "data_add: column \"weight\": row 3, element 0 is -1; a finite number of "
            "0 or more is wanted", bp_data_add(d, "weight", BP_F32, BP_SHAPE(1), bad));
    const uint8_t flags[ROWS] = {0, 1, 0, 1, 1, 2};
    REFUSES(BP_ERR_RANGE, "data_add: column \"y\": row 5, element 0 is 2; 0 or 1 is wanted",
            bp_data_add(d, "y", BP_U8, BP_SHAPE(1), flags));
    REFUSES(BP_ERR_RANGE, "data_add_classes: column \"y\": row 2 is class 2, which is not in "
            "0 .. 1", bp_data_add_classes(d, classes, 2, NULL));
    REFUSES(BP_ERR_ARG, "data_add_classes: names[1] is NULL",
            bp_data_add_classes(d, classes, 3, (const char *const[]){"a", NULL, "c"}));
    REFUSES(BP_ERR_ARG, "data_add_classes: 0 classes: 1 or more are wanted",
            bp_data_add_classes(d, classes, 0, NULL));
    REFUSES(BP_ERR_SHAPE, "data_add: column \"b\": a row of shape [0]: up to 7 sizes of 1 or more "
            "are wanted", bp_data_add(d, "b", BP_F32, BP_SHAPE(0), reals));
    REFUSES(BP_ERR_DTYPE, "data_add: column \"b\": unknown dtype 9",
            bp_data_add(d, "b", 9, BP_SHAPE(1), reals));
    OK(bp_data_add_classes(d, classes, 3, NULL));
    cr_assert_eq(bp_data_add_classes(d, classes, 3, (const char *const[]){"a", "b", "c"}),
                 BP_ERR_ARG);
    cr_assert_null(bp_data_class_name(d, 0));
    bp_data_free(d);
    cr_assert_eq(bp_data_table(ctx, 0, &d), BP_ERR_SHAPE);
    TEXT("data_table: 0 rows: the set is too small; 1 to 2147483647 are wanted");
    cr_assert_null(d);
}

CLAIM(a_split_takes_every_column_along)
{
    bp_data *d = table(), *part[2];
    OK(bp_data_add(d, "x", BP_U8, BP_SHAPE(2, 2), bytes));
    OK(bp_data_add(d, "y", BP_F32, BP_SHAPE(2), reals));
    OK(bp_data_add(d, "weight", BP_F32, BP_SCALAR, reals));
    OK(bp_data_split(d, 0.5, 3, &part[0], &part[1]));
    bp_data_free(d);
    for (int k = 0; k < 2; k++) {
        cr_assert_eq(bp_data_rows(part[k]), 3);
        cr_assert_eq(bp_data_columns(part[k]), 3);
        cr_assert_eq(bp_data_targets(part[k]), BP_TARGETS_REAL);
        for (int i = 0; i < 3; i++) {
            int row = (int)at(bp_data_column(part[k], "weight"), i);
            cr_assert_eq(at(bp_data_labels(part[k]), 2 * i + 1), reals[2 * row + 1]);
            cr_assert_eq(at(bp_data_samples(part[k]), 4 * i + 2), bytes[4 * row + 2]);
        }
        bp_data_free(part[k]);
    }
}
