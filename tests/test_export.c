/* C sources of models are compiled and asked what the model says. What else is written for other
 * programs: test_export_files.c; arrays: test_arrays.c. */
#include <dlfcn.h>

#include "export_model.h"

#define CLAIM(name) Test(export, name, .init = enter, .fini = leave)

/* All C files of the folder, compiled without a warning, as a library. */
static void *compiled(void)
{
    char file[128], command[512];
    snprintf(command, sizeof command, BPI_CC " -std=c99 -O1 -Wall -Wextra -Wpedantic -Werror "
             "-shared -fPIC %s/*.c -o %s/all.so -lm", folder, folder);
    cr_assert_eq(system(command), 0, "%s", command);
    snprintf(file, sizeof file, "%s/all.so", folder);
    void *library = dlopen(file, RTLD_NOW | RTLD_LOCAL);
    cr_assert(library, "%s", dlerror());
    return library;
}

static const char *const texts[] = {
    "", "8 relu 6 leaky_relu", "7 leaky_relu=-0.3 5 elu 3 elu=0.5", "9 gelu gelu_tanh",
    "9 silu mish",
    "6 tanh scaled_tanh scaled_tanh=0.1", "4 sigmoid hard_sigmoid 4 log_sigmoid", "5 softplus sin",
    "layernorm rmsnorm layernorm=1e-3 rmsnorm=0.1 dropout=0.5", "residual( )",
    "residual( layernorm 40 gelu dropout=0.5 5 )",
    "residual( 5 residual( residual( 5 ) relu ) relu )"};
enum { TEXTS = sizeof texts / sizeof *texts, MODELS = 2 * TEXTS };

/* Model `i` of all: every text with normalisers, of all ways, and without, of two tasks. */
static bp_model *model_of(int i, const float *x)
{
    static const bp_normalize ways[] = {BP_NORMALIZE_COLUMN, BP_NORMALIZE_PCA, BP_NORMALIZE_ZCA,
                                        BP_NORMALIZE_MINMAX};
    bp_model *m = model_in(ctx, texts[i / 2], BP_TASK_CLASSES + (i / 2 + i % 2) % 3, 3);
    if (bp_model_task(m) != BP_TASK_REGRESSION)
        OK(bp_model_tanh_targets(m, i % 3 == 0));
    if (i % 2)
        normalize(m, x, ways[i / 2 % 4]);
    return m;
}

typedef void predict_fn(const float *, float *);

static void agrees(void *library, int i, float *x)
{
    char name[48];
    float p[ROWS * 3], y[3];
    bp_model *m = model_of(i, x);
    snprintf(name, sizeof name, "m%d_predict", i);
    predict_fn *predict;
    *(void **)&predict = dlsym(library, name);
    snprintf(name, sizeof name, "m%d_class_names", i);
    const char *const *names = dlsym(library, name);
    cr_assert(predict, "%s", dlerror());
    cr_assert_eq(names != NULL, bp_model_task(m) == BP_TASK_CLASSES && i % 2);
    for (int32_t c = 0; names && c < 3; c++) {
        const char *is = bp_model_class_name(m, c);
        cr_assert_str_eq(names[c], is ? is : "");
    }
    OK(bp_model_predict(m, x, ROWS, p));
    for (int r = 0; r < ROWS; r++) {
        predict(x + r * INPUTS, y);
        for (int j = 0; j < 3; j++)
            cr_assert(fabsf(y[j] - p[3 * r + j]) <= 2e-6f * (1 + fabsf(p[3 * r + j])),
                      "\"%s\", model %d, row %d: %.9g, not %.9g", texts[i / 2], i, r,
                      (double)y[j], (double)p[3 * r + j]);
    }
    bp_model_free(m);
}

CLAIM(c_source_compiles_without_a_warning_and_says_what_the_model_says)
{
    float x[ROWS * INPUTS], plain[ROWS * INPUTS];
    char file[128], command[512];
    samples(x);
    for (int i = 0; i < ROWS * INPUTS; i++)
        plain[i] = (float)(4 * op_random(7, i) - 2);
    for (int i = 0; i < MODELS; i++) {
        char name[16];
        bp_model *m = model_of(i, x);
        snprintf(name, sizeof name, "m%d", i);
        snprintf(file, sizeof file, "%s/%s.c", folder, name);
        OK(bp_model_export_c(m, name, file));
        bp_model_free(m);
    }
    void *library = compiled();
    snprintf(command, sizeof command, BPI_CXX " -std=c++17 -Wall -Wextra -Wpedantic -Werror "
             "-fsyntax-only -x c++ %s/*.c", folder);
    cr_assert(!*BPI_CXX || system(command) == 0, "%s", command);
    for (int i = 0; i < MODELS; i++)
        agrees(library, i, i % 2 ? x : plain);
    dlclose(library);
}

static const char *const images[] = {
    "5x4x3", "5x4x3 conv3x3=4 relu pool=2 6 tanh", "5x4x3 conv2x3=6,pad=1,stride=2,groups=3 9",
    "5x4x3 conv3x2=2,dilation=2,pad=2 leaky_relu avgpool=2x3,stride=1 globalpool layernorm 4",
    "5x4x3 residual( batchnorm conv1x1=3 rmsnorm ) pool=1x2,stride=2 dropout=0.5 conv3x3=3 relu",
    "5x4x3 conv5x5=17 batchnorm=1e-3 silu pool=3 layernorm 7 batchnorm sigmoid"};
enum { IMAGES = sizeof images / sizeof *images, PIXELS = 60 };

static bp_model *model_of_images(int i)
{
    bp_model *m;
    OK(bp_model_create(ctx, PIXELS, images[i], 3, &m));
    bp_params *p = bp_model_params(m);
    for (int32_t k = 0; k < bp_param_count(p); k++) {
        float v[2048];
        bp_tensor *t = bp_param_at(p, k);
        int64_t n = bp_shape_count(bp_shape_of(t));
        bool variance = strstr(bp_param_name(p, k), "variance") != NULL;
        for (int64_t e = 0; e < n; e++)
            v[e] = (float)(op_random((uint64_t)k, e) - (variance ? 0 : 0.5));
        OK(bp_write(t, v, (size_t)n * sizeof *v));
    }
    return m;
}

CLAIM(c_source_of_images_says_what_the_model_says)
{
    static float x[ROWS * PIXELS];
    char file[128], name[16], command[512];
    for (int i = 0; i < ROWS * PIXELS; i++)
        x[i] = (float)(4 * op_random(6, i) - 2);
    for (int i = 0; i < IMAGES; i++) {
        bp_model *m = model_of_images(i);
        snprintf(file, sizeof file, "%s/m%d.c", folder, i);
        snprintf(name, sizeof name, "m%d", i);
        OK(bp_model_export_c(m, name, file));
        bp_model_free(m);
    }
    void *library = compiled();
    snprintf(command, sizeof command, BPI_CXX " -std=c++17 -Wall -Wextra -Wpedantic -Werror "
             "-fsyntax-only -x c++ %s/*.c", folder);
    cr_assert(!*BPI_CXX || system(command) == 0, "%s", command);
    for (int i = 0; i < IMAGES; i++) {
        float p[ROWS * 3], y[3];
        bp_model *m = model_of_images(i);
        predict_fn *predict;
        snprintf(file, sizeof file, "m%d_predict", i);
        *(void **)&predict = dlsym(library, file);
        cr_assert(predict, "%s", dlerror());
        OK(bp_model_predict(m, x, ROWS, p));
        for (int r = 0; r < ROWS; r++) {
            predict(x + r * PIXELS, y);
            for (int j = 0; j < 3; j++)
                cr_assert_float_eq(y[j], p[3 * r + j], 3e-6f, "\"%s\", row %d: %.9g, not %.9g",
                                   images[i], r, (double)y[j], (double)p[3 * r + j]);
        }
        bp_model_free(m);
    }
    dlclose(library);
}

CLAIM(c_source_has_the_bits_of_the_weights)
{
    static const float w[INPUTS] = {0x1.fffffep127f, -0x1p-149f, 0x1.2344p-130f, 0.1f, -3.14159f};
    char file[128];
    bp_model *m;
    OK(bp_model_create_as(ctx, INPUTS, "", BP_TASK_REGRESSION, 1, &m));
    OK(bp_write(bp_param_at(bp_model_params(m), 0), w, sizeof w));
    snprintf(file, sizeof file, "%s/net.c", folder);
    OK(bp_model_export_c(m, "net", file));
    void *library = compiled();
    predict_fn *predict;
    *(void **)&predict = dlsym(library, "net_predict");
    cr_assert(predict, "%s", dlerror());
    for (int j = 0; j < INPUTS; j++) {
        float x[INPUTS] = {0}, y;
        x[j] = 1;
        predict(x, &y);
        cr_assert_eq(y, w[j], "%a, not %a", (double)y, (double)w[j]);
    }
    dlclose(library);
    bp_model_free(m);
}
