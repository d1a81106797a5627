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

/* --- parts ------------------------------------------------------------------------------- */

/* 50 rows "id" 0 .. 49, classes in the ratio 40 to 10, groups of 1 to 9 rows. */
static bp_data *numbered(void)
{
    enum { N = 50 };
    float id[N];
    int32_t class[N], group[N];
    bp_data *d;
    for (int i = 0; i < N; i++) {
        id[i] = (float)i;
        class[i] = i % 5 == 0;
        group[i] = 100 - (int)sqrt(2 * i);
    }
    OK(bp_data_table(ctx, N, &d));
    OK(bp_data_add(d, "id", BP_F32, BP_SCALAR, id));
    OK(bp_data_add(d, "group", BP_I32, BP_SHAPE(1), group));
    OK(bp_data_add_classes(d, class, 2, (const char *const[]){"often", "seldom"}));
    return d;
}

/* Adds to seen[] the rows of a part, which must be in their old order, and frees it. */
static int64_t take(bp_data *part, int *seen, int64_t *seldom)
{
    int64_t n = bp_data_rows(part);
    values id, class;
    cr_assert(tensor_values(bp_data_column(part, "id"), &id));
    cr_assert(tensor_values(bp_data_labels(part), &class));
    cr_assert_str_eq(bp_data_class_name(part, 1), "seldom");
    *seldom = 0;
    for (int64_t i = 0; i < n; i++) {
        seen[(int)id.v[i]]++;
        *seldom += class.v[i] == 1;
        cr_assert(i == 0 || id.v[i] > id.v[i - 1]);
    }
    values_free(&id, 1);
    values_free(&class, 1);
    bp_data_free(part);
    return n;
}

CLAIM(folds_are_as_equal_as_they_can_be)
{
    bp_data *d = numbered(), *train, *test, *again;
    for (int folds = 2; folds <= 50; folds += 3) {
        int tested[50] = {0};
        for (int k = 0; k < folds; k++) {
            int seen[50] = {0};
            int64_t seldom, rest;
            OK(bp_data_fold(d, folds, k, 7, &train, &test));
            int64_t n = take(train, seen, &rest);
            OK(bp_data_fold(d, folds, k, 7, &train, &again));
            same(bp_data_column(again, "id"), bp_data_column(test, "id"), 0);
            bp_data_free(train);
            bp_data_free(again);
            for (int i = 0; i < 50; i++)
                tested[i] += !seen[i];
            int64_t m = take(test, seen, &seldom);
            cr_assert(n + m == 50 && (m == 50 / folds || m == 50 / folds + 1));
            cr_assert(seldom == 10 / folds || seldom == 10 / folds + 1);
            for (int i = 0; i < 50; i++)
                cr_assert_eq(seen[i], 1);
        }
        for (int i = 0; i < 50; i++)
            cr_assert_eq(tested[i], 1);
    }
    cr_assert_eq(bp_data_fold(d, 1, 0, 7, &train, &test), BP_ERR_ARG);
    cr_assert_eq(bp_data_fold(d, 51, 0, 7, &train, &test), BP_ERR_ARG);
    cr_assert_eq(bp_data_fold(d, 5, 5, 7, &train, &test), BP_ERR_ARG);
    TEXT("data_fold: fold 5 of 5, of 50 rows: 0 to folds - 1 of 2 or more are wanted, and a row "
         "for each");
    cr_assert(!train && !test);
    bp_data_free(d);
}

CLAIM(groups_stay_together_and_order_is_kept)
{
    bp_data *d = numbered(), *part[2];
    for (uint64_t seed = 0; seed < 20; seed++) {
        int seen[50] = {0};
        int64_t seldom;
        OK(bp_data_split_groups(d, "group", 0.3, seed, &part[0], &part[1]));
        int64_t n = take(part[1], seen, &seldom);
        cr_assert(n <= 15 && n > 6, "%d", (int)n);
        for (int i = 1; i < 50; i++)
            if ((int)sqrt(2 * i) == (int)sqrt(2 * (i - 1)))
                cr_assert_eq(seen[i], seen[i - 1], "rows %d and %d are of one group", i - 1, i);
        cr_assert_eq(take(part[0], seen, &seldom), 50 - n);
        for (int i = 0; i < 50; i++)
            cr_assert_eq(seen[i], 1);
    }
    OK(bp_data_split_order(d, 0.25, &part[0], &part[1]));
    cr_assert_eq(bp_data_rows(part[1]), 13); /* 12.5 */
    cr_assert_eq(at(bp_data_column(part[1], "id"), 0), 37);
    bp_data_free(part[0]);
    bp_data_free(part[1]);
    cr_assert_eq(bp_data_split_groups(d, "id", 0.3, 0, &part[0], &part[1]), BP_ERR_DTYPE);
    cr_assert_eq(bp_data_split_groups(d, "no", 0.3, 0, &part[0], &part[1]), BP_ERR_ARG);
    TEXT("data_split_groups: there is no column \"no\"");
    bp_data_free(d);
}

CLAIM(rows_are_taken_by_number)
{
    const int32_t rows[] = {49, 0, 0, 7};
    bp_data *d = numbered(), *part;
    OK(bp_data_rows_at(d, rows, 4, &part));
    for (int i = 0; i < 4; i++)
        cr_assert_eq(at(bp_data_column(part, "id"), i), rows[i]);
    bp_data_free(part);
    const int32_t bad[] = {3, 50};
    cr_assert_eq(bp_data_rows_at(d, bad, 2, &part), BP_ERR_RANGE);
    TEXT("data_rows_at: rows[1] is 50 of 50 rows");
    cr_assert_eq(bp_data_rows_at(d, bad, 0, &part), BP_ERR_SHAPE);
    cr_assert_null(part);
    bp_data_free(d);
}

CLAIM(two_classes_have_two_names)
{
    static const char *const names[] = {"other", "b", "other"};
    int32_t label[3] = {0, 1, 2};
    bp_data *d;
    OK(bp_data_table(ctx, 3, &d));
    cr_assert_eq(bp_data_add_classes(d, label, 3, names), BP_ERR_ARG);
    TEXT("data_add_classes: two classes have the name \"other\"");
    OK(bp_data_add_classes(d, label, 2 + 1, NULL));
    bp_data_free(d);
}
