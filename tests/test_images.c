/* Layers of images: what the words mean, held against the ops they stand for; the sizes that
 * follow; what a wrong word says; gradients of a chain, and its bits whatever the threads. */
#include <unistd.h>

#include "suite.h"

#define CLAIM(name) Test(images, name, .init = setup, .fini = teardown)
static bp_layers *layers_of(bp_params *p, int64_t inputs, const char *text)
{
    bp_layers *l;
    OK(bp_layers_create(p, "", inputs, text, &l));
    return l;
}

static bp_params *store(bp_dtype dtype)
{
    bp_params *p;
    OK(bp_params_create(ctx, dtype, &p));
    return p;
}

/* All parameters drawn, gains and biases too. */
static void fill(bp_params *p)
{
    for (int32_t i = 0; i < bp_param_count(p); i++) {
        bp_tensor *t = bp_param_at(p, i);
        bp_tensor *v = tensor_in(ctx, bp_dtype_of(t), bp_shape_of(t), NULL, (uint64_t)i + 9);
        OK(bp_copy_into(t, v));
        bp_free(v);
    }
}

static void is_param(bp_params *p, int32_t i, const char *name, bp_shape shape)
{
    bp_shape is = bp_shape_of(bp_param_at(p, i));
    cr_assert_str_eq(bp_param_name(p, i), name);
    cr_assert_eq(is.ndim, shape.ndim);
    for (int k = 0; k < is.ndim; k++)
        cr_assert_eq(is.dim[k], shape.dim[k], "%s, size %d: %d", name, k, (int)is.dim[k]);
}

CLAIM(a_chain_is_the_ops_of_its_words)
{
    bp_params *p = store(BP_F64);
    bp_layers *l = layers_of(p, 7 * 6 * 2, "7x6x2 conv3x2=4 relu pool=2 residual( layernorm "
                             "conv1x1=4,groups=2 tanh ) "
                             "conv2x2=6,pad=1,stride=2,dilation=2,groups=2 avgpool=1x2,stride=1 "
                             "5 relu");
    cr_assert_eq(bp_layers_outputs(l), 5);
    cr_assert_eq(bp_param_count(p), 10);
    is_param(p, 0, "layer1.weight", BP_SHAPE(4, 3, 2, 2));
    is_param(p, 1, "layer1.bias", BP_SHAPE(4));
    is_param(p, 2, "norm1.gain", BP_SHAPE(4));
    is_param(p, 4, "layer2.weight", BP_SHAPE(4, 1, 1, 2));
    is_param(p, 6, "layer3.weight", BP_SHAPE(6, 2, 2, 2));
    is_param(p, 8, "layer4.weight", BP_SHAPE(5, 2 * 1 * 6));
    fill(p);
    bp_tensor *w[10], *x = random_tensor(BP_SHAPE(3, 84), 3);
    for (int32_t i = 0; i < 10; i++)
        w[i] = bp_param_at(p, i);
    begin();
    bp_tensor *h = bp_reshape(x, BP_SHAPE(3, 7, 6, 2));
    h = bp_relu(bp_conv2d(h, w[0], w[1], (bp_window){.pad = {1, 0, 1, 1}}));
    h = bp_max_pool(h, 2, 2, (bp_window){0}, NULL);
    bp_tensor *r = bp_layer_norm(h, w[2], w[3], 1e-5);
    h = bp_add(h, bp_tanh(bp_conv2d(r, w[4], w[5], (bp_window){.groups = 2})));
    h = bp_conv2d(h, w[6], w[7], (bp_window){{2, 2}, {2, 2}, {1, 1, 1, 1}, 2});
    h = bp_avg_pool(h, 1, 2, (bp_window){.stride = {1, 1}});
    cr_assert_eq(bp_shape_of(h).dim[1], 2);
    cr_assert_eq(bp_shape_of(h).dim[2], 1);
    h = bp_relu(bp_linear(bp_reshape(h, BP_SHAPE(3, 12)), w[8], w[9]));
    same(bp_layers_forward(l, x, 1), h, 0);
    same(bp_layers_forward(l, bp_reshape(x, BP_SHAPE(3, 7, 6, 2)), 1), h, 0); /* images already */
    end();
    bp_layers_free(l);
    bp_free(x);
    bp_params_free(p);
}

CLAIM(same_padding_keeps_the_size_and_a_stride_divides_it)
{
    static const struct {
        const char *text;
        int64_t outputs;
    } of[] = {{"conv1x1=1", 63}, {"conv3x3=1", 63}, {"conv2x4=1", 63}, {"conv5x5=2", 126},
              {"conv3x3=1,dilation=3", 63}, {"conv3x3=1,stride=2", 20}, {"conv4x4=1,stride=2", 20},
              {"conv3x3=1,pad=0", 35}, {"conv3x3=1,pad=0,stride=2", 12}, {"pool=2", 12},
              {"pool=2,stride=1", 48}, {"pool=3x2", 9}, {"avgpool=9x7", 1}, {"globalpool", 1},
              {"conv3x3=8 globalpool", 8}, {"dropout=0.5", 63}, {"conv2x2=3,pad=1", 240},
              {"conv15x1=1,pad=3", 13}};
    for (size_t i = 0; i < sizeof of / sizeof *of; i++) {
        char text[64];
        bp_params *p = store(BP_F64);
        snprintf(text, sizeof text, "9x7x1 %s", of[i].text);
        bp_layers *l = layers_of(p, 63, text);
        cr_assert_eq(bp_layers_outputs(l), of[i].outputs, "%s: %d", of[i].text,
                     (int)bp_layers_outputs(l));
        bp_tensor *x = random_tensor(BP_SHAPE(2, 63), 1);
        begin();
        bp_tensor *y = bp_layers_forward(l, x, 0); /* what comes out is a row of numbers */
        cr_assert_eq(bp_shape_of(y).ndim, 2);
        cr_assert_eq(bp_shape_of(y).dim[1], of[i].outputs);
        end();
        bp_free(x);
        bp_layers_free(l);
        bp_params_free(p);
    }
}

CLAIM(a_wrong_word_is_named_with_its_place_and_what_is_wanted)
{
    static const char *const wrong[][2] = {
        {"12x12x2 conv3x3=4 pool=2 128 pool=2",
         "word 5 \"pool=2\": an image is wanted, 128 numbers come"},
        {"conv3x3=4", "word 1 \"conv3x3=4\": an image is wanted, 288 numbers come"},
        {"12x12x2 globalpool globalpool",
         "word 3 \"globalpool\": an image is wanted, 2 numbers come"},
        {"12x12x3", "word 1 \"12x12x3\": 432 numbers are wanted, 288 come"},
        {"99999x99999x99999",
         "word 1 \"99999x99999x99999\": 999970000299999 numbers are wanted, 288 come"},
        {"12x12x2 12x12x2", "word 2 \"12x12x2\": the image that comes in is told at the beginning"},
        {"12x12", "word 1 \"12x12\": HxWxC is wanted, as in 28x28x1"},
        {"0x12x2", "word 1 \"0x12x2\": HxWxC is wanted, as in 28x28x1"},
        {"12x12x2 conv3x3=4,groups=3",
         "word 2 \"conv3x3=4,groups=3\": x [1,12,12,2], w [4,3,3,1]: 3 groups do not divide 2 "
         "channels"},
        {"12x12x2 conv3x3=5,groups=2",
         "word 2 \"conv3x3=5,groups=2\": x [1,12,12,2], w [5,3,3,1]: 2 groups do not divide 5 "
         "filters"},
        {"12x12x2 conv13x13=1,pad=0",
         "word 2 \"conv13x13=1,pad=0\": x [1,12,12,2]: a window over 13 rows has no place in 12, "
         "padding included"},
        {"12x12x2 pool=13", "word 2 \"pool=13\": x [1,12,12,2]: a window over 13 rows has no place "
                            "in 12, padding included"},
        {"12x12x2 conv1x1=999999", "word 2 \"conv1x1=999999\": 143999856 numbers come out; at most "
                                   "16777216 are wanted"},
        {"12x12x2 globalpool=2", "word 2 \"globalpool=2\": globalpool without a number is wanted"},
        {"12x12x2 residual( conv3x3=4 )",
         "the residual( of word 2 has 12x12x2 before it and 12x12x4 at its end, word 4: they are "
         "added, and must be alike"},
        {"12x12x2 residual( 288 )",
         "the residual( of word 2 has 12x12x2 before it and 0x0x0 at its end, word 4: they are "
         "added, and must be alike"}};
    static const char *const misspelt[] = {
        "conv3=4", "conv3x3", "conv3x3=", "conv3x3=0", "conv0x3=4", "conv3x3=4,",
        "conv3x3=4,stride=", "conv3x3=4,stride=0", "conv3x3=4,stride=2,stride=2",
        "conv3x3=4,steps=2", "conv3x3=4,pad=-1", "conv3x3=4,groups=0", "conv3x3=4 ,pad=1",
        "conv3x3x3=4", "conv3x3=1234567890", "pool", "pool=", "pool=0", "pool=2x", "pool=2,pad=1",
        "pool=2,stride=0", "pool2", "avgpool=x2"};
    bp_params *p = store(BP_F64);
    bp_layers *l;
    char text[256];
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        cr_assert_eq(bp_layers_create(p, "", 288, wrong[i][0], &l), BP_ERR_FORMAT, "%s",
                     wrong[i][0]);
        cr_assert_null(l);
        snprintf(text, sizeof text, "layers: %s", wrong[i][1]);
        TEXT(text);
    }
    for (size_t i = 0; i < sizeof misspelt / sizeof *misspelt; i++) {
        snprintf(text, sizeof text, "12x12x2 %s", misspelt[i]);
        cr_assert_eq(bp_layers_create(p, "", 288, text, &l), BP_ERR_FORMAT, "%s", text);
        cr_assert(strstr(bp_error_text(ctx), "is wanted"), "%s", bp_error_text(ctx));
    }
    cr_assert_eq(bp_param_count(p), 0);
    bp_params_free(p);
}

CLAIM(weights_are_drawn_for_the_rectifier_behind_a_pool)
{
    bp_params *p = store(BP_F64);
    bp_layers *l = layers_of(p, 64 * 64, "64x64x1 conv5x5=512,pad=0 pool=2 relu conv1x1=512 tanh");
    double he = 0, lecun = 0;
    values v = {0}, u = {0};
    cr_assert(tensor_values(bp_param_at(p, 0), &v) && tensor_values(bp_param_at(p, 2), &u));
    for (int64_t i = 0; i < v.n; i++)
        he += v.v[i] * v.v[i] / (double)v.n;
    for (int64_t i = 0; i < u.n; i++)
        lecun += u.v[i] * u.v[i] / (double)u.n;
    cr_assert(fabs(he * 25 / 2 - 1) < 0.1, "%g", he);
    cr_assert(fabs(lecun * 512 - 1) < 0.1, "%g", lecun);
    values_free(&v, 1);
    values_free(&u, 1);
    bp_layers_free(l);
    bp_params_free(p);
}

/* --- models ----------------------------------------------------------------------------------- */

CLAIM(a_model_for_a_set_takes_its_images)
{
    static const struct {
        const char *text, *is;
        bp_shape row;
    } of[] = {{"conv3x3=2 relu", "4x6x1 conv3x3=2 relu", {2, {4, 6}}},
              {"relu residual( layernorm conv1x1=3 )", "4x2x3 relu residual( layernorm conv1x1=3 )",
               {3, {4, 2, 3}}},
              {"6x4x1 pool=2", "6x4x1 pool=2", {2, {4, 6}}},
              {" dropout=0.5 ) ", NULL, {2, {4, 6}}},
              {"relu 8 conv3x3=2", NULL, {2, {4, 6}}},
              {"24 relu", "24 relu", {2, {4, 6}}},
              {"", "", {2, {4, 6}}},
              {"conv3x3=2", NULL, {1, {24}}},
              {"poolx=2", NULL, {2, {4, 6}}}};
    float x[5 * 24] = {0};
    for (size_t i = 0; i < sizeof of / sizeof *of; i++) {
        bp_data *d;
        bp_model *m;
        OK(bp_data_table(ctx, 5, &d));
        cr_assert_eq(bp_model_create_for(d, of[i].text, &m), BP_ERR_STATE);
        TEXT("model_create_for: the data have no \"x\"");
        OK(bp_data_add(d, "x", BP_F32, of[i].row, x));
        cr_assert_eq(bp_model_create_for(d, of[i].text, &m), BP_ERR_STATE);
        TEXT("model_create_for: the data have no \"y\"");
        OK(bp_data_add(d, "y", BP_F32, BP_SHAPE(3), x));
        cr_assert_eq(bp_model_create_for(d, of[i].text, &m), of[i].is ? BP_OK : BP_ERR_FORMAT);
        cr_assert_eq(m != NULL, of[i].is != NULL, "%s", of[i].text);
        if (m) {
            cr_assert_str_eq(bp_model_layers(m), of[i].is);
            cr_assert_eq(bp_model_task(m), BP_TASK_REGRESSION);
            cr_assert_eq(bp_model_outputs(m), 3);
        }
        bp_model_free(m);
        bp_data_free(d);
    }
}

CLAIM(the_digits_are_images_and_any_chain_takes_rows_of_images)
{
    bp_data *digits;
    bp_model *m;
    bp_layers *l;
    OK(bp_data_digits(ctx, &digits));
    OK(bp_model_create_for(digits, "pool=2 relu", &m));
    cr_assert_str_eq(bp_model_layers(m), "8x8x1 pool=2 relu");
    bp_model_free(m);
    bp_data_free(digits);
    bp_params *p = store(BP_F64);
    l = layers_of(p, 6, "4 tanh");
    bp_tensor *x = random_tensor(BP_SHAPE(5, 2, 3), 1);
    begin();
    same(bp_layers_forward(l, x, 0), bp_layers_forward(l, bp_reshape(x, BP_SHAPE(5, 6)), 0), 0);
    end();
    begin();
    cr_assert_null(bp_layers_forward(l, bp_reshape(x, BP_SHAPE(3, 5, 2)), 0));
    end_with(BP_ERR_SHAPE, "linear: x [3,5,2], w [4,6], b [4]: [N,in], [out,in], [out] are wanted");
    bp_layers_free(l);
    bp_free(x);
    bp_params_free(p);
}

CLAIM(a_place_is_one_of_the_text_that_was_given)
{
    static const float x[3 * 4] = {0};
    bp_data *d;
    bp_model *m;
    OK(bp_data_table(ctx, 3, &d));
    OK(bp_data_add(d, "x", BP_F32, BP_SHAPE(2, 2), x));
    OK(bp_data_add(d, "y", BP_F32, BP_SCALAR, x));
    cr_assert_eq(bp_model_create_for(d, "pool=2 pool=2", &m), BP_ERR_FORMAT);
    TEXT("layers: word 2 \"pool=2\": x [1,1,1,1]: a window over 2 rows has no place in 1, padding "
         "included");
    cr_assert_eq(bp_model_create_for(d, "pool=2 residual( tanh", &m), BP_ERR_FORMAT);
    TEXT("layers: the residual( of word 2 has no \")\"");
    cr_assert_eq(bp_model_create_for(d, "4x1x1 pool=2", &m), BP_ERR_FORMAT);
    TEXT("layers: word 2 \"pool=2\": x [1,4,1,1]: a window over 2 columns has no place in 1, "
         "padding included");
    bp_data_free(d);
}

CLAIM(files_and_snapshots_keep_a_model_of_images)
{
    bp_data *digits;
    bp_model *m, *loaded, *from;
    bp_snapshot *snapshot;
    char path[64];
    float p[2][10], x[64];
    for (int i = 0; i < 64; i++)
        x[i] = (float)(i % 17);
    snprintf(path, sizeof path, "/tmp/bpcuda_images_%d.safetensors", (int)getpid());
    OK(bp_data_digits(ctx, &digits));
    OK(bp_model_create_for(digits, "8x8x1 conv3x3=4 relu pool=2 residual( conv3x3=4 tanh ) 9 relu",
                           &m));
    OK(bp_model_normalize(m, digits));
    OK(bp_model_predict(m, x, 1, p[0]));
    OK(bp_model_save(m, path));
    OK(bp_model_load(ctx, path, &loaded));
    cr_assert_str_eq(bp_model_layers(loaded), bp_model_layers(m));
    OK(bp_model_predict(loaded, x, 1, p[1]));
    cr_assert(!memcmp(p[0], p[1], sizeof *p));
    OK(bp_snapshot_take(m, &snapshot));
    OK(bp_model_from(ctx, snapshot, &from));
    OK(bp_model_predict(from, x, 1, p[1]));
    cr_assert(!memcmp(p[0], p[1], sizeof *p));
    bp_snapshot_free(snapshot);
    bp_model_free(from);
    bp_model_free(loaded);
    bp_model_free(m);
    bp_data_free(digits);
    remove(path);
}

/* Element for element, as PyTorch has them; the names count its Flatten. */
CLAIM(files_for_pytorch_have_channels_before_pixels)
{
    static const bp_shape theirs[] = {{4, {4, 3, 3, 2}}, {1, {4}}, {2, {5, 4 * 2 * 2}}, {1, {5}},
                                      {2, {2, 5}}, {1, {2}}};
    static const char *const name[] = {"0.weight", "0.bias", "4.weight", "4.bias", "6.weight",
                                       "6.bias"};
    bp_model *m, *again;
    bp_params *p;
    char path[64];
    snprintf(path, sizeof path, "/tmp/bpcuda_images_%d.torch", (int)getpid());
    OK(bp_params_create(ctx, BP_F32, &p));
    for (int i = 0; i < 6; i++)
        cr_assert(bp_param(p, name[i], theirs[i], BP_INIT_ZERO));
    OK(bp_model_create(ctx, 4 * 5 * 3, "4x5x3 conv3x2=4 relu pool=2 5 relu", 2, &m));
    OK(bp_model_create(ctx, 4 * 5 * 3, "4x5x3 conv3x2=4 relu pool=2 5 relu", 2, &again));
    fill(bp_model_params(m));
    OK(bp_model_save_torch(m, path));
    OK(bp_params_load(p, path, NULL));
    OK(bp_model_load_torch(again, path));
    for (int32_t i = 0; i < 6; i++)
        same(bp_param_at(bp_model_params(again), i), bp_param_at(bp_model_params(m), i), 0);
    begin();
    same(bp_param_at(p, 0), bp_permute(bp_param_at(bp_model_params(m), 0), BP_SHAPE(0, 3, 1, 2)),
         0);
    bp_tensor *columns = bp_reshape(bp_param_at(bp_model_params(m), 2), BP_SHAPE(5, 2, 2, 4));
    same(bp_param_at(p, 2), bp_permute(columns, BP_SHAPE(0, 3, 1, 2)), 0);
    end();
    OK(bp_params_save(bp_model_params(m), path)); /* its own names and shapes are not PyTorch's */
    cr_assert_eq(bp_model_load_torch(again, path), BP_ERR_FORMAT);
    cr_assert(strstr(bp_error_text(ctx), "0.weight [4,3,3,2] is not there"), "%s",
              bp_error_text(ctx));
    OK(bp_model_export_onnx(m, path));
    bp_params_free(p);
    bp_model_free(m);
    bp_model_free(again);
    remove(path);
}

/* --- gradients, and bits ---------------------------------------------------------------------- */

static bp_tensor *through(bp_context *c, bp_tensor *const *x, void *layers)
{
    (void)c;
    return bp_layers_forward(layers, x[0], 1);
}

CLAIM(the_gradient_of_a_chain_is_the_slope)
{
    bp_params *p = store(BP_F64);
    bp_layers *l = layers_of(p, 6 * 5 * 2, "6x5x2 conv3x3=4,groups=2 tanh avgpool=2 residual( "
                             "layernorm conv2x2=4 tanh ) pool=2,stride=1 6 tanh 3");
    bp_gradcheck_report report = {.struct_bytes = sizeof report};
    fill(p);
    bp_tensor *x = random_tensor(BP_SHAPE(2, 60), 4);
    OK(bp_gradcheck(ctx, through, l, &x, 1, 0, &report));
    cr_assert_eq(report.wrong, 0, "%d: %g, not %g", (int)report.index, report.analytic,
                 report.numeric);
    cr_assert_eq(report.checked, 120);
    cr_assert_leq(report.kinks, 2);
    bp_free(x);
    bp_layers_free(l);
    bp_params_free(p);
}

CLAIM(bits_do_not_depend_on_the_threads)
{
    enum { RUNS = 4 };
    values grad[RUNS][2] = {{{0}}};
    for (int run = 0; run < RUNS; run++) {
        OK(bp_set_threads(ctx, run + 1));
        bp_params *p = store(BP_F32);
        bp_layers *l = layers_of(p, 20 * 20, "20x20x1 conv5x5=8 relu pool=2 conv3x3=16 relu pool=2 "
                                 "32 relu 10");
        fill(p);
        bp_tensor *x = tensor_in(ctx, BP_F32, BP_SHAPE(33, 400), NULL, 5);
        begin();
        OK(bp_backward(ctx, bp_mean(bp_square(bp_layers_forward(l, x, 1)))));
        for (int i = 0; i < 2; i++)
            cr_assert(tensor_values(bp_param_grad(p, 2 * i), &grad[run][i]));
        end();
        for (int i = 0; i < 2; i++)
            cr_assert(!memcmp(grad[run][i].v, grad[0][i].v,
                              (size_t)grad[0][i].n * sizeof(double)), "%d threads", run + 1);
        bp_free(x);
        bp_layers_free(l);
        bp_params_free(p);
    }
    for (int run = 0; run < RUNS; run++)
        values_free(grad[run], 2);
}
