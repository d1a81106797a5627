/* A model's file: it keeps task, normalisers and names, and goes into no other kind of model. */
#include "folder.h"
#include "task_table.h"

#define CLAIM(name) Test(task_files, name, .init = enter, .fini = leave)

CLAIM(a_file_keeps_task_normalisers_and_names)
{
    table t = made(11);
    for (bp_task task = BP_TASK_CLASSES; task <= BP_TASK_LABELS; task++) {
        bp_data *d = set_of(&t, task, false);
        bp_model *m = model_of(task), *other;
        float p[N * K], q[N * K];
        OK(bp_model_normalize(m, d));
        OK(bp_model_save(m, path));
        OK(bp_model_load(ctx, path, &other));
        cr_assert_eq(bp_model_task(other), task);
        cr_assert_eq(bp_model_outputs(other), K);
        OK(bp_model_predict(m, t.x, N, p));
        OK(bp_model_predict(other, t.x, N, q));
        cr_assert_arr_eq(p, q, sizeof p);
        for (int c = 0; c < K; c++)
            if (task == BP_TASK_CLASSES)
                cr_assert_str_eq(bp_model_class_name(other, c), bp_model_class_name(m, c));
            else
                cr_assert_null(bp_model_class_name(other, c));
        bp_model_free(other);
        other = model_of(task); /* into one that is there */
        OK(bp_model_load_into(other, path));
        OK(bp_model_predict(other, t.x, N, q));
        cr_assert_arr_eq(p, q, sizeof p);
        bp_model_free(other);
        bp_model_free(m);
        bp_data_free(d);
    }
}

CLAIM(a_file_of_a_forward_pass_of_ones_own_goes_into_such_a_model)
{
    bp_model *m[2], *other;
    float x[COLS] = {1, 2, 3, 4, 5, 6}, p[K], q[K];
    int calls;
    for (int i = 0; i < 2; i++) {
        OK(bp_model_own(ctx, COLS, BP_TASK_LABELS, K, two_layers, &calls, &m[i]));
        bp_params *params = bp_model_params(m[i]);
        cr_assert(bp_param(params, "in", BP_SHAPE(8, COLS), BP_INIT_LECUN));
        cr_assert(bp_param(params, "in.bias", BP_SHAPE(8), BP_INIT_ZERO));
        cr_assert(bp_param(params, "out", BP_SHAPE(K, 8), BP_INIT_LECUN));
        cr_assert(bp_param(params, "out.bias", BP_SHAPE(K), BP_INIT_ZERO));
    }
    OK(bp_model_predict(m[0], x, 1, p));
    OK(bp_model_predict(m[1], x, 1, q));
    cr_assert_neq(p[0], q[0]);
    OK(bp_model_save(m[0], path));
    cr_assert_eq(bp_model_load(ctx, path, &other), BP_ERR_FORMAT);
    cr_assert(strstr(bp_error_text(ctx), "its forward pass is a program's own: make the model with "
                     "bp_model_own, then bp_model_load_into"), "%s", bp_error_text(ctx));
    OK(bp_model_load_into(m[1], path));
    OK(bp_model_predict(m[1], x, 1, q));
    cr_assert_arr_eq(p, q, sizeof p);
    bp_model_free(m[1]);
    bp_model_free(m[0]);
}

CLAIM(a_file_of_another_model_changes_nothing_and_says_what_differs)
{
    bp_model *m = model_of(BP_TASK_REGRESSION), *other;
    float x[COLS] = {1, 2, 3, 4, 5, 6}, p[K], q[K];
    OK(bp_model_create_as(ctx, COLS, "8 tanh", BP_TASK_REGRESSION, K, &other));
    OK(bp_model_save(other, path));
    OK(bp_model_predict(m, x, 1, p));
    bp_model_free(other);
    OK(bp_model_create_as(ctx, COLS, "8 relu", BP_TASK_REGRESSION, K, &other));
    cr_assert_eq(bp_model_load_into(other, path), BP_ERR_FORMAT);
    cr_assert(strstr(bp_error_text(ctx), "its layers are \"8 tanh\"; the model's are \"8 relu\""),
              "%s", bp_error_text(ctx));
    bp_model_free(other);
    OK(bp_model_create(ctx, COLS, "8 tanh", K, &other));
    OK(bp_model_save(other, path));
    cr_assert_eq(bp_model_load_into(m, path), BP_ERR_FORMAT);
    cr_assert(strstr(bp_error_text(ctx), "classes of 6 inputs and 3 outputs; the model is "
                     "regression of 6 and 3"), "%s", bp_error_text(ctx));
    OK(bp_model_predict(m, x, 1, q));
    cr_assert_arr_eq(p, q, sizeof p);
    bp_model_free(other);
    bp_model_free(m);
}

/* A file of an empty chain with this metadata; ' stands for ". */
static bp_status load_with(const char *meta)
{
    static const float data[] = {1, 0, 0, 1, 0, 0, 0, 0, 1, 1};
    char header[1024];
    bp_model *m;
    int n = snprintf(header, sizeof header,
                     "{'__metadata__':{'format':'bpcuda',%s},"
                     "'layer1.weight':{'dtype':'F32','shape':[2,2],'data_offsets':[0,16]},"
                     "'layer1.bias':{'dtype':'F32','shape':[2],'data_offsets':[16,24]},"
                     "'normalizer.shift':{'dtype':'F32','shape':[2],'data_offsets':[24,32]},"
                     "'normalizer.scale':{'dtype':'F32','shape':[2],"
                     "'data_offsets':[32,40]}}", meta);
    uint64_t length = (uint64_t)n;
    for (char *p = header; (p = strchr(p, '\'')) != NULL;)
        *p = '"';
    FILE *f = fopen(path, "wb");
    cr_assert(f && fwrite(&length, 8, 1, f) && fwrite(header, length, 1, f) &&
              fwrite(data, sizeof data, 1, f));
    fclose(f);
    bp_status st = bp_model_load(ctx, path, &m);
    bp_model_free(m);
    return st;
}

#define REST "'inputs':'2','outputs':'2','layers':''"

CLAIM(what_the_metadata_say_is_checked)
{
    static const char *const wrong[][2] = {
        {"'version':'4','task':'classes'," REST,
         "a model of version 4, from a newer bpcuda: this one reads up to version 3"},
        {"'version':'3','task':'classes','loss':'hinge'," REST, "loss is \"hinge\"; \"tanh\" of"},
        {"'version':'3','task':'regression','loss':'tanh'," REST, "loss is \"tanh\""},
        {"'version':'2','task':'classes','normalize':'pca'," REST, "4 tensors; the model has 5"},
        {"'version':'2','task':'classes','normalize':'white'," REST, "normalize is \"white\""},
        {"'version':'2','task':'poems'," REST, "not a model: metadata with format"},
        {"'version':'2'," REST, "not a model"},
        {"'version':'2','task':'classes','forward':'own'," REST, "not a model"},
        {"'version':'2','task':'classes','inputs':'2','outputs':'2'", "not a model"},
        {"'version':'2','task':'classes','class_names':'a'," REST,
         "class_names are not 2 names"},
        {"'version':'2','task':'classes','class_names':'a,%4'," REST, "are not 2 names"},
        {"'version':'2','task':'classes','class_names':'a,%00'," REST, "are not 2 names"},
        {"'version':'2','task':'labels','class_names':'a,b'," REST,
         "class_names of a model without classes"},
        {"'version':'2','task':'regression'," REST, "4 tensors; the model has 6"},
        {"'version':'2','task':'labels','inputs':'2','outputs':'9999999',"
         "'layers':''", "no bias has 9999999 outputs"}};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        cr_assert_eq(load_with(wrong[i][0]), BP_ERR_FORMAT, "%s", wrong[i][0]);
        cr_assert(strstr(bp_error_text(ctx), wrong[i][1]), "%s", bp_error_text(ctx));
    }
    OK(load_with("'version':'2','task':'labels'," REST));
    OK(load_with("'version':'3','task':'labels','loss':'tanh'," REST));
    OK(load_with("'version':'2','task':'classes','class_names':',%2C%20'," REST));
    OK(load_with("'version':'1','classes':'2','inputs':'2','layers':''"));
}
