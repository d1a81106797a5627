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

static void has_names(bp_model *m)
{
    cr_assert_str_eq(bp_model_feature_name(m, 0), "age, in years");
    cr_assert_str_eq(bp_model_feature_name(m, 1), "size");
    cr_assert_null(bp_model_feature_name(m, 2));
    cr_assert_null(bp_model_feature_name(m, -1));
    cr_assert_str_eq(bp_model_class_name(m, 1), "b");
}

CLAIM(a_model_keeps_the_names_in_its_file_and_in_snapshots)
{
    bp_data *d = load_as("\"age, in years\",size,class\n1,2,a\n2,3,b\n", (bp_csv){0});
    bp_model *m, *loaded, *taken;
    bp_snapshot *s;
    OK(bp_model_create(ctx, 2, "4 relu", 2, &m));
    cr_assert_null(bp_model_feature_name(m, 0));
    OK(bp_model_normalize(m, d));
    has_names(m);
    OK(bp_model_save(m, path));
    OK(bp_model_load(ctx, path, &loaded));
    has_names(loaded);
    OK(bp_snapshot_take(loaded, &s));
    OK(bp_model_from(ctx, s, &taken));
    has_names(taken);
    bp_snapshot_free(s);
    bp_model_free(taken);
    bp_model_free(loaded);
    bp_model_free(m);
}

CLAIM(a_run_is_not_resumed_with_another_model)
{
    static const char *const text = "a,b,y\n1,2,u\n2,3,v\n3,4,u\n4,5,v\n",
                      *const renamed = "a,c,y\n1,2,u\n2,3,v\n3,4,u\n4,5,v\n";
    static const struct {
        const char *text, *layers;
        bp_normalize how;
        const char *why;
    } runs[] = {{text, "4 relu", BP_NORMALIZE_COLUMN, NULL},
                {text, "4 relu", BP_NORMALIZE_COLUMN, NULL},
                {text, "4 tanh", BP_NORMALIZE_COLUMN, "the model's layers were others than now"},
                {text, "4 relu", BP_NORMALIZE_NONE, "the model's normalisers"},
                {renamed, "4 relu", BP_NORMALIZE_COLUMN, "the model's names of classes and columns"}};
    char saved[80];
    int32_t done;
    snprintf(saved, sizeof saved, "%s.ckpt", path);
    for (size_t i = 0; i < sizeof runs / sizeof *runs; i++) {
        bp_data *d = load_as(runs[i].text, (bp_csv){0});
        bp_model *m;
        bp_trainer *t;
        OK(bp_model_create(ctx, 2, runs[i].layers, 2, &m));
        OK(bp_model_normalize_as(m, d, runs[i].how));
        OK(bp_trainer_create(m, d, &t));
        if (i == 0) {
            OK(bp_trainer_run(t, 2, -1, &done));
            OK(bp_trainer_save(t, saved, 1));
        } else {
            cr_assert_eq(bp_trainer_resume(t, saved), runs[i].why ? BP_ERR_FORMAT : BP_OK);
            cr_assert(!runs[i].why || strstr(bp_error_text(ctx), runs[i].why), "%s",
                      bp_error_text(ctx));
        }
        bp_trainer_free(t);
        bp_model_free(m);
        bp_data_free(d);
    }
    remove(saved);
}
