/* The doctor and models: each planted mistake, in layers, options, weights or a gradient, has its
 * finding and no other; the model stays as it is. */
#include "doctor_table.h"

#define CLAIM(name) Test(doctor_models, name, .init = setup, .fini = teardown)

CLAIM(a_rate_too_large_or_too_small)
{
    table large = in_order(), steep = in_order(), small = in_order(), tiny = in_order();
    large.c.lr = 5;
    large.c.layers = "64 relu 64 relu";
    finds(&large, "warning large-rate --lr");
    steep.c.lr = 10;
    steep.c.optimizer = BP_SGD;
    steep.real = true;
    finds(&steep, "warning large-rate --lr");
    small.c.lr = 1e-6;
    finds(&small, "warning small-rate --lr");
    tiny.c.lr = 1e-12; /* farther than a factor of a thousand from any that would do */
    finds(&tiny, "warning small-rate --lr");
}

CLAIM(layers_that_cannot_learn)
{
    table narrow = in_order(), linear = in_order(), wide = in_order();
    table deep = in_order(), fading = in_order(), mixed = in_order(), saturated = in_order();
    narrow.c.layers = "2 relu"; /* for labels that have nothing to do with the samples */
    for (int i = 0; i < ROWS; i++)
        narrow.label[i] = (int32_t)(op_random(99, i) * CLASSES);
    finds(&narrow, "warning no-fit --layers");
    linear.c.layers = "32 relu 16 dropout=0.1 3";
    finds(&linear, "warning linear-pair --layers");
    mentions(&linear, "16 and then 3");
    wide.c.layers = "6 8 relu 2 8 relu"; /* 2 is a bottleneck */
    finds(&wide, "warning linear-pair --layers");
    mentions(&wide, "widths 6 and then 8 with");
    deep.c.layers = "16 sigmoid 16 sigmoid 16 sigmoid 16 sigmoid 16 sigmoid 16 sigmoid 16 sigmoid "
                    "16 sigmoid 16 sigmoid 16 sigmoid 16 sigmoid 16 sigmoid";
    finds(&deep, "error same-outputs --layers, warning fading-gradient --layers");
    fading.c.layers = "16 sigmoid 16 sigmoid 16 sigmoid 16 sigmoid 16 sigmoid 16 sigmoid";
    finds(&fading, "warning fading-gradient --layers");
    mentions(&fading, "layer1.weight is");
    mixed.c.layers = "16 tanh 16 relu 16 tanh 16 relu 16 tanh 16 relu";
    finds(&mixed, "");
    saturated.c.layers = "32 residual( 32 tanh )";
    saturated.c.how = BP_NORMALIZE_NONE;
    for (int i = 0; i < ROWS; i++)
        for (int j = 0; j < COLS; j++)
            saturated.x[i][j] *= 16;
    look_at(&saturated, NULL);
    says(&saturated.found, "warning saturated-units --normalize");
    mentions(&saturated, "tanh of word 4");
}

/* A parameter of a model becomes one number, and the doctor is asked about it. */
static void spoil(table *t, const char *name, double value, const char *wanted)
{
    bp_model *m;
    bp_data *all;
    make_data(t, &all);
    OK(bp_model_create(ctx, COLS, t->c.layers, CLASSES, &m));
    OK(bp_model_normalize(m, all));
    bp_tensor *w = bp_param_at(bp_model_params(m), bp_param_index(bp_model_params(m), name));
    begin();
    OK(bp_copy_into(w, bp_full_like(w, value)));
    end();
    look_at(t, m);
    says(&t->found, wanted);
    bp_model_free(m);
    bp_data_free(all);
}

CLAIM(units_that_are_dead)
{
    table whole = in_order(), inner = in_order(), nan = in_order();
    whole.c.layers = "16 relu";
    spoil(&whole, "layer1.bias", -1000,
          "error same-outputs --layers, error dead-units --layers");
    inner.c.layers = "16 relu residual( 8 relu 16 )";
    spoil(&inner, "layer2.bias", -1000, "error dead-units --layers");
    mentions(&inner, "word 5 (8 of 8)");
    spoil(&nan, "layer2.bias", NAN, "error not-finite --lr");
}

CLAIM(a_model_of_other_data)
{
    table t = in_order(), numbers = in_order(), units = in_order();
    bp_model *m;
    OK(bp_model_create(ctx, COLS + 1, "8 relu", 2, &m));
    look_at(&t, m);
    says(&t.found, "error other-inputs --data, error other-outputs --target");
    numbers.real = true;
    look_at(&numbers, m);
    says(&numbers.found, "error other-inputs --data, error other-task --task");
    bp_model_free(m);
    OK(bp_model_create(ctx, COLS, "8 relu", CLASSES + 1, &m));
    bp_data *all;
    make_data(&units, &all);
    OK(bp_model_normalize(m, all));
    for (int i = 0; i < ROWS; i++)
        for (int j = 0; j < COLS; j++)
            units.x[i][j] *= 1000;
    look_at(&units, m);
    says(&units.found, "warning unused-outputs --target, warning first-loss --data");
    bp_model_free(m);
    bp_data_free(all);
}

/* x times what x is, but for its history. */
static bp_tensor *half_of_it(bp_context *c, bp_tensor *const *x, void *user)
{
    (void)c;
    return bp_mul(x[0], user ? bp_detach(x[0]) : x[0]);
}

CLAIM(a_gradient_that_is_wrong)
{
    findings f = {0};
    bp_tensor *x = random_tensor(BP_SHAPE(4, 3), 1);
    OK(doctor_gradient(ctx, half_of_it, NULL, x, "a square", &f));
    says(&f, "");
    OK(doctor_gradient(ctx, half_of_it, x, x, "half a square", &f));
    says(&f, "error wrong-gradient --device");
    bp_free(x);
}

CLAIM(the_model_is_not_changed_and_findings_repeat)
{
    table t = in_order(), again = in_order();
    t.c.lr = again.c.lr = 1e-6;
    bp_model *m;
    bp_data *all;
    make_data(&t, &all);
    OK(bp_model_create(ctx, COLS, "16 relu dropout=0.5 8 tanh", CLASSES, &m));
    OK(bp_model_normalize(m, all));
    float before[CLASSES], after[CLASSES];
    OK(bp_model_predict(m, t.x[0], 1, before));
    look_at(&t, m);
    OK(bp_model_predict(m, t.x[0], 1, after));
    cr_assert_arr_eq(before, after, sizeof before);
    OK(bp_set_threads(ctx, 1));
    look_at(&again, m);
    cr_assert_eq(t.found.n, 1);
    cr_assert_str_eq(t.found.list[0].text, again.found.list[0].text);
    bp_model_free(m);
    bp_data_free(all);
}
