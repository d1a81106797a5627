/* CSV files: targets that are found out, names of features. */
#include <unistd.h>

#include "suite.h"

static char path[64];

static void setup_csv(void)
{
    setup();
    snprintf(path, sizeof path, "/tmp/bpcuda_csv_names_%d", (int)getpid());
}

static void teardown_csv(void)
{
    remove(path);
    teardown();
}

#define CLAIM(name) Test(csv_names, name, .init = setup_csv, .fini = teardown_csv)

static bp_data *load_as(const char *text, bp_csv options)
{
    bp_data *d = NULL;
    options.struct_bytes = sizeof options;
    FILE *f = fopen(path, "w");
    cr_assert(f && fputs(text, f) >= 0 && fclose(f) == 0);
    OK(bp_data_csv(ctx, path, &options, &d));
    return d;
}

CLAIM(few_whole_numbers_are_classes_where_that_is_asked)
{
    const char *text = "a,b\n0,3\n1,-1\n2,3\n3,10\n4,-1\n5,10\n";
    bp_data *d = load_as(text, (bp_csv){0});
    cr_assert_eq(bp_data_targets(d), BP_TARGETS_REAL);
    bp_data_free(d);
    d = load_as(text, (bp_csv){.whole_classes = 3});
    cr_assert_eq(bp_data_classes(d), 3);
    const char *names[] = {"-1", "3", "10"};
    for (int c = 0; c < 3; c++)
        cr_assert_str_eq(bp_data_class_name(d, c), names[c]);
    values v;
    cr_assert(tensor_values(bp_data_labels(d), &v));
    for (int i = 0; i < 6; i++)
        cr_assert_eq(v.v[i], ((int[]){1, 0, 1, 2, 0, 2})[i]);
    values_free(&v, 1);
    bp_data_free(d);
}

CLAIM(other_numbers_stay_numbers)
{
    static const char *const texts[] = {"0,1\n0,2\n0,3\n0,1\n",       /* 3 of 4 rows */
                                        "0,1\n0,2\n0,3\n0,4\n0,1\n0,2\n0,3\n0,4\n", /* 4 */
                                        "0,1\n0,1.5\n0,1\n0,1.5\n",   /* not whole */
                                        "0,1\n0,1\n",                 /* one */
                                        "0,1e7\n0,1e7\n0,2\n0,2\n"};  /* large */
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        bp_data *d = load_as(texts[i], (bp_csv){.whole_classes = 3});
        cr_assert_eq(bp_data_targets(d), BP_TARGETS_REAL, "%s", texts[i]);
        bp_data_free(d);
    }
    bp_data *d = load_as("0,1\n0,2\n0,1\n0,2\n",
                         (bp_csv){.whole_classes = 3, .targets = BP_TARGETS_REAL});
    cr_assert_eq(bp_data_targets(d), BP_TARGETS_REAL);
    bp_data_free(d);
}

CLAIM(samples_have_the_names_of_their_columns_in_parts_too)
{
    bp_data *part[2], *d = load_as("id,age,class,size\n0,1,a,2\n1,2,b,3\n2,1,a,2\n3,2,b,3\n",
                                   (bp_csv){.label = "class", .skip = "id"});
    OK(bp_data_split(d, 0.5, 0, &part[0], &part[1]));
    for (int i = 0; i < 2; i++) {
        cr_assert_str_eq(bp_data_feature_name(part[i], 0), "age");
        cr_assert_str_eq(bp_data_feature_name(part[i], 1), "size");
        cr_assert_null(bp_data_feature_name(part[i], 2));
        cr_assert_null(bp_data_feature_name(part[i], -1));
    }
    bp_data_free(d);
    d = load_as("1,2\n3,4\n", (bp_csv){0});
    cr_assert_null(bp_data_feature_name(d, 0));
}
