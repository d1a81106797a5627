/* The doctor and data: each planted mistake has its finding, with the option that mends it, and no
 * other; what is in order, and the data of the tree, have none. */
#include "doctor_table.h"

#define CLAIM(name) Test(doctor, name, .init = setup, .fini = teardown)

/* --- nothing to find ------------------------------------------------------------------------- */

CLAIM(a_table_in_order_is_passed)
{
    table classes = in_order(), numbers = in_order();
    numbers.real = true;
    finds(&classes, "");
    finds(&numbers, "");
}

static void passes(bp_data *all, bp_task task, const char *layers, int seeds)
{
    findings f = {0};
    doctor_case c = {.ctx = ctx, .layers = layers, .task = task, .lr = 0.005,
                     .optimizer = BP_ADAM};
    OK(bp_data_split(all, 0.2, 0, &c.train, &c.test));
    OK(doctor_data(&c, &f));
    for (; c.seed < (uint64_t)seeds; c.seed++)
        OK(doctor_model(&c, NULL, &f));
    says(&f, "");
    bp_data_free(c.train);
    bp_data_free(c.test);
    bp_data_free(all);
}

/* By the defaults of the command, and a few small models. */
CLAIM(the_bundled_data_are_passed)
{
    static const char *const layers[] = {"dropout=0.1 128 relu dropout=0.2", "", "8 relu",
                                         "residual( layernorm 16 gelu 64 ) 32 tanh"};
    const struct {
        const char *path;
        bp_targets targets;
    } file[] = {{BPI_SMALL_DATA "/iris.csv", BP_TARGETS_CLASSES},
                 {BPI_SMALL_DATA "/digits.csv", BP_TARGETS_CLASSES},
                 {BPI_SMALL_DATA "/diabetes.csv", BP_TARGETS_REAL}};
    bp_data *data;
    for (int i = 0; i < 4; i++) {
        OK(bp_data_digits(ctx, &data));
        passes(data, BP_TASK_CLASSES, layers[i], 5);
    }
    for (int k = 0; k < 3; k++)
        for (int i = 0; i < 3; i++) {
            bp_csv how = {.struct_bytes = sizeof how, .targets = file[k].targets};
            OK(bp_data_csv(ctx, file[k].path, &how, &data));
            passes(data, (bp_task)file[k].targets, layers[i], 5);
        }
}

/* --- samples --------------------------------------------------------------------------------- */

CLAIM(columns_that_tell_nothing)
{
    table constant = in_order(), all = in_order(), rising = in_order(), copied = in_order();
    for (int i = 0; i < ROWS; i++) {
        constant.x[i][3] = 7;
        rising.x[i][2] = (float)i;
        copied.x[i][4] = -2.54f * copied.x[i][1] + 100;
        for (int j = 0; j < COLS; j++)
            all.x[i][j] = 1;
    }
    finds(&constant, "note constant-column --skip");
    mentions(&constant, "column 3: one value in all 320 rows");
    finds(&rising, "note rising-column --skip");
    finds(&copied, "note copied-column --skip");
    mentions(&copied, "column 4 is column 1");
    look_at(&all, NULL);
    cr_assert_str_eq(all.found.list[0].code, "constant-column");
    cr_assert_eq(all.found.list[0].severity, DOCTOR_ERROR);
}

CLAIM(columns_of_different_units)
{
    table t = in_order(), far = in_order();
    for (int i = 0; i < ROWS; i++)
        t.x[i][5] *= 10000;
    finds(&t, "");
    t.c.how = BP_NORMALIZE_NONE;
    t.found = (findings){0};
    finds(&t, "warning unscaled-columns --normalize, warning first-loss --normalize");
    mentions(&t, "column 5 goes from ");
    t.c.how = BP_NORMALIZE_GLOBAL;
    t.found = (findings){0};
    finds(&t, "warning unscaled-columns --normalize");
    for (int i = 0; i < ROWS; i++)
        for (int j = 0; j < COLS; j++)
            far.x[i][j] = 0.001f * far.x[i][j];
    far.c.how = BP_NORMALIZE_NONE;
    look_at(&far, NULL);
    cr_assert_str_eq(far.found.list[0].code, "unscaled-columns");
}

CLAIM(a_mark_for_a_missing_value)
{
    table t = in_order();
    for (int i = 0; i < ROWS; i += 50)
        t.x[i][2] = -999;
    finds(&t, "warning far-value --data");
    mentions(&t, "column 2: from -999 to ");
}

CLAIM(the_target_among_the_samples)
{
    table classes = in_order(), numbers = in_order();
    for (int i = 0; i < ROWS; i++) {
        classes.x[i][1] = (float)(10 * classes.label[i] + 1);
        numbers.x[i][5] = 0.001f * numbers.y[i];
    }
    numbers.real = true;
    finds(&classes, "warning told-target --skip");
    finds(&numbers, "warning told-target --skip");
}

CLAIM(fewer_rows_than_columns)
{
    table t = in_order();
    t.rows = 5;
    t.whole = true;
    for (int i = 0; i < 5; i++)
        t.label[i] = 0;
    t.classes = 1;
    finds(&t, "warning few-rows --weight-decay, error one-class --target");
}

/* --- targets --------------------------------------------------------------------------------- */

CLAIM(classes_that_are_no_places_in_a_list)
{
    table t = in_order(), one = in_order();
    t.classes = 256;
    t.c.lr = 0.02;
    for (int i = 0; i < ROWS; i++) {
        t.label[i] = t.label[i] ? 255 : 0;
        one.label[i] = 2;
    }
    finds(&t, "warning absent-class --target, warning many-classes --target");
    mentions(&t, "of 256 classes, 0 to 255, only 2 occur (0, 255)");
    look_at(&one, NULL);
    cr_assert_str_eq(one.found.list[0].code, "one-class");
}

CLAIM(classes_out_of_balance)
{
    table t = in_order(), small = in_order();
    for (int i = 0; i < ROWS; i++)
        t.label[i] = i % 20 ? 0 : t.label[i];
    t.classes = 2;
    for (int i = 0; i < ROWS; i++)
        t.label[i] = t.label[i] > 0;
    finds(&t, "warning major-class --rows");
    t.found = (findings){0};
    t.c.rows = BP_ROWS_BALANCED;
    finds(&t, "");
    small.classes = 4;
    small.label[0] = small.label[100] = small.label[200] = 3;
    finds(&small, "warning small-class --data");
    mentions(&small, "class 3 (3)");
}

CLAIM(a_class_of_the_test_part_only)
{
    table t = in_order(), other = in_order();
    bp_data *test;
    t.whole = true;
    for (int i = 0; i < ROWS; i++)
        t.label[i] = t.label[i] == 2 ? 0 : t.label[i];
    make_data(&other, &test);
    t.c.test = test;
    look_at(&t, NULL);
    says(&t.found, "warning absent-class --target, warning untrained-class --split, "
                   "warning leaked-rows --split");
}

CLAIM(rows_sorted_by_class)
{
    table t = in_order(), sorted = t;
    int n = 0;
    for (int32_t k = 0; k < CLASSES; k++)
        for (int i = 0; i < ROWS; i++)
            if (t.label[i] == k) {
                memcpy(sorted.x[n], t.x[i], sizeof t.x[i]);
                sorted.label[n++] = k;
            }
    finds(&sorted, "");
    sorted.found = (findings){0};
    sorted.c.rows = BP_ROWS_IN_ORDER;
    finds(&sorted, "warning sorted-rows --rows");
    t.c.rows = BP_ROWS_IN_ORDER;
    finds(&t, "");
}

CLAIM(targets_that_are_no_numbers_to_learn)
{
    table constant = in_order(), integers = in_order(), far = in_order();
    constant.real = integers.real = far.real = true;
    for (int i = 0; i < ROWS; i++) {
        constant.y[i] = 5;
        integers.y[i] = (float)integers.label[i];
    }
    for (int i = 0; i < ROWS; i += 40)
        far.y[i] = 1e6f;
    look_at(&constant, NULL);
    cr_assert_str_eq(constant.found.list[0].code, "constant-target");
    finds(&integers, "note integer-target --task");
    finds(&far, "warning far-target --data");
}

/* --- rows that are there several times ------------------------------------------------------- */

CLAIM(rows_in_both_parts)
{
    table t = in_order();
    for (int i = 0; i < ROWS / 2; i++) {
        memcpy(t.x[i + ROWS / 2], t.x[i], sizeof t.x[i]);
        t.label[i + ROWS / 2] = t.label[i];
    }
    finds(&t, "note copied-rows --data, warning leaked-rows --split");
}

CLAIM(equal_rows_of_different_targets)
{
    table t = in_order(), numbers = in_order();
    for (int i = ROWS / 4; i < ROWS; i++) { /* three say so, the fourth does not */
        int k = i % (ROWS / 4), odd = i >= 3 * ROWS / 4;
        memcpy(t.x[i], t.x[k], sizeof t.x[i]);
        memcpy(numbers.x[i], numbers.x[k], sizeof t.x[i]);
        t.label[i] = (t.label[k] + odd) % CLASSES;
        numbers.y[i] = numbers.y[k] + (float)(20 * odd);
    }
    numbers.c.layers = "64 relu";
    t.whole = numbers.whole = numbers.real = true;
    finds(&t, "warning contrary-rows --data, note copied-rows --data");
    mentions(&t, "right on more than 75.0 % of these 400 rows");
    finds(&numbers, "warning contrary-rows --data, note copied-rows --data");
}

/* --- the ends of what there is, and how it is shown ------------------------------------------ */

CLAIM(labels_are_looked_at_too)
{
    uint8_t labels[ROWS][2];
    table t = in_order();
    for (int i = 0; i < ROWS; i++) {
        labels[i][0] = t.label[i] == 1;
        labels[i][1] = 0;
    }
    doctor_case c = t.c;
    findings f = {0};
    OK(bp_data_table(ctx, ROWS, &c.train));
    OK(bp_data_add(c.train, "x", BP_F32, BP_SHAPE(COLS), t.x));
    OK(bp_data_add(c.train, "y", BP_U8, BP_SHAPE(2), labels));
    c.task = BP_TASK_LABELS;
    OK(doctor_data(&c, &f));
    OK(doctor_model(&c, NULL, &f));
    says(&f, "warning constant-target --target");
    bp_data_free(c.train);
}

CLAIM(one_row_and_one_column_are_no_fault)
{
    table t = in_order();
    t.rows = t.cols = 1;
    t.classes = 1;
    t.whole = true;
    t.label[0] = 0;
    look_at(&t, NULL);
    cr_assert_eq(t.found.list[0].severity, DOCTOR_ERROR);
    findings empty = {0};
    bp_data *ring;
    OK(bp_data_ring(ctx, 8, &ring));
    OK(bp_data_add(ring, "x", BP_F32, BP_SHAPE(2), NULL));
    t.c.train = ring;
    t.c.test = NULL;
    OK(doctor_data(&t.c, &empty));
    OK(doctor_model(&t.c, NULL, &empty));
    says(&empty, "error no-samples --data, error no-samples --data");
    bp_data_free(ring);
}

Test(doctor, findings_are_printed, .init = enter, .fini = leave)
{
    findings f = {0};
    char text[1024] = "";
    doctor_add(&f, DOCTOR_NOTE, "a-note", "--data", "column \"%s\" \\", "a\n\033b");
    doctor_add(&f, DOCTOR_ERROR, "an-error", "--lr", "too large");
    FILE *to = fopen(path, "w+");
    cr_assert(to);
    doctor_print(&f, to, true);
    rewind(to);
    cr_assert(fgets(text, sizeof text, to));
    cr_assert_str_eq(text, "{\"findings\": [{\"severity\": \"error\", \"code\": \"an-error\", "
                           "\"text\": \"too large\", \"option\": \"--lr\"}, {\"severity\": "
                           "\"note\", \"code\": \"a-note\", \"text\": \"column \\\"a\\\\x0a\\\\x1bb"
                           "\\\" \\\\\", \"option\": \"--data\"}], \"errors\": 1, \"warnings\": "
                           "0}\n");
    rewind(to);
    doctor_print(&f, to, false);
    rewind(to);
    cr_assert(fgets(text, sizeof text, to));
    cr_assert_str_eq(text, "error    an-error          --lr            too large\n");
    fclose(to);
}
