/* test_sentences PAGE: the troubleshooting page quotes what the library says. Mistakes that people
 * make are made here, on the CPU; the log hook hears each sentence, and every one that begins an
 * entry of the page (- `sentence`) must be among them, to the letter. */
#include <math.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bpcuda/bpcuda.h"

static char heard[1 << 16] = "\n"; /* a line each */
static bp_context *ctx;
static bp_tensor *x, *y, *w, *b, *stale;
static bp_params *params;
static bp_optimizer *adam;
static bool broken; /* a call that should be good was not */

static void hear(void *user, const char *line)
{
    (void)user;
    size_t n = strlen(heard);
    snprintf(heard + n, sizeof heard - n, "%s\n", line);
}

static void good(bp_status st)
{
    broken |= st != BP_OK;
}

static void bad(bp_status st)
{
    broken |= st == BP_OK;
}

static bp_tensor *of(bp_dtype dtype, bp_shape shape)
{
    return bp_full(ctx, dtype, shape, 1);
}

/* --- steps, each with a mistake -------------------------------------------------------------- */

static bp_status product(bp_context *c, void *user)
{
    (void)c, (void)user;
    return bp_matmul(of(BP_F32, BP_SHAPE(3, 4)), of(BP_F32, BP_SHAPE(5, 6))) != NULL;
}

static bp_status broadcast(bp_context *c, void *user)
{
    (void)c, (void)user;
    return bp_add(of(BP_F32, BP_SHAPE(3, 4)), of(BP_F32, BP_SHAPE(3))) != NULL;
}

static bp_status dtypes(bp_context *c, void *user)
{
    (void)c, (void)user;
    return bp_add(of(BP_F32, BP_SHAPE(3)), of(BP_F64, BP_SHAPE(3))) != NULL;
}

static bp_status labels(bp_context *c, void *user)
{
    (void)c, (void)user;
    return bp_cross_entropy(of(BP_F32, BP_SHAPE(3, 2)), of(BP_F32, BP_SHAPE(3))) != NULL;
}

static bp_status leave_one(bp_context *c, void *user)
{
    (void)c, (void)user;
    stale = of(BP_F32, BP_SHAPE(2));
    return BP_OK;
}

static bp_status take_it(bp_context *c, void *user)
{
    (void)c, (void)user;
    return bp_relu(stale) != NULL;
}

static bp_status no_history(bp_context *c, void *user)
{
    (void)user;
    return bp_backward(c, bp_sum(x));
}

static bp_status a_vector(bp_context *c, void *user)
{
    (void)user;
    return bp_backward(c, bp_linear(x, w, b));
}

static bp_status again(bp_context *c, void *user)
{
    (void)user;
    bp_tensor *loss = bp_sum(bp_linear(x, w, b));
    good(bp_backward(c, loss));
    return bp_backward(c, loss);
}

static bp_status changed(bp_context *c, void *user)
{
    (void)user;
    bp_tensor *loss = bp_sum(bp_square(w));
    good(bp_add_into(w, of(BP_F32, BP_SHAPE(1, 2))));
    return bp_backward(c, loss);
}

static bp_status reading(bp_context *c, void *user)
{
    float sum;
    (void)c, (void)user;
    return bp_read(bp_sum(x), &sum, sizeof sum);
}

static bp_status step(bp_context *c, void *user)
{
    (void)user;
    bp_status st = bp_backward(c, bp_mse_loss(bp_linear(x, w, b), y, BP_MEAN));
    return st != BP_OK ? st : bp_optimizer_step(adam);
}

static bp_status far_index(bp_context *c, void *user)
{
    float rows[2];
    (void)c, (void)user;
    return bp_read(bp_gather(x, bp_full(ctx, BP_I32, BP_SHAPE(1), 7)), rows, sizeof rows);
}

static bp_status root(bp_context *c, void *user)
{
    (void)user;
    bp_tensor *dx, *at_0 = bp_require_grad(bp_full(c, BP_F32, BP_SHAPE(2), 0));
    return bp_grad_scalar(c, bp_sum(bp_sqrt(at_0)), &at_0, 1, 0, &dx);
}

static bp_status logarithm(bp_context *c, void *user)
{
    (void)c, (void)user;
    return bp_log(bp_full(ctx, BP_F32, BP_SHAPE(2), -1)) != NULL;
}

static void steps(void)
{
    float values[8] = {NAN};
    bp_plan *plan, *none;
    x = bp_tensor_create(ctx, BP_F32, BP_SHAPE(4, 2));
    y = bp_tensor_create(ctx, BP_F32, BP_SHAPE(4, 1));
    good(bp_params_create(ctx, BP_F32, &params));
    w = bp_param(params, "w", BP_SHAPE(1, 2), BP_INIT_HE);
    b = bp_param(params, "b", BP_SHAPE(1), BP_INIT_ZERO);
    good(bp_adam_create(params, 0.01, &adam));
    broken |= bp_param(params, "late", BP_SHAPE(1), BP_INIT_ZERO) || bp_relu(x);
    good(bp_run(ctx, 0, leave_one, NULL));
    bp_step_fn all[] = {product, broadcast, dtypes, labels, take_it, no_history, a_vector, again,
                        changed, far_index};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        bad(bp_run(ctx, 0, all[i], NULL));
    bad(bp_run(ctx, BP_CHECK_FINITE, logarithm, NULL));
    bad(bp_run(ctx, BP_CHECK_FINITE, root, NULL));
    bad(bp_write(x, values, 31));
    good(bp_grad_clear(params));
    bad(bp_plan_record(ctx, reading, NULL, &none));
    good(bp_plan_record(ctx, step, NULL, &plan));
    good(bp_param_freeze(params, 1, 1));
    bad(bp_plan_replay(plan, 1));
    good(bp_param_freeze(params, 1, 0));
    good(bp_optimizer_set(adam, BP_OPT_L2, 0.1));
    bad(bp_plan_replay(plan, 1));
    good(bp_optimizer_set(adam, BP_OPT_L2, 0));
    good(bp_write(x, values, sizeof values));
    good(bp_plan_replay(plan, 3));
    bad(bp_sync(ctx));
    bp_plan_free(plan);
}

/* --- data, models, runs ---------------------------------------------------------------------- */

static void table(const char *text, const bp_csv *how)
{
    bp_data *data;
    FILE *f = fopen("t.csv", "w");
    broken |= !f || fputs(text, f) < 0 || fclose(f) != 0;
    bad(bp_data_csv(ctx, "t.csv", how, &data));
}

static void tables(void)
{
    const bp_csv price = {.struct_bytes = sizeof price, .label = "price"};
    table("a,b,y\n1,2,x\n3,,z\n", NULL);
    table("a,b,y\n1,NA,x\n3,4,z\n", NULL);
    table("a;b\n1,5;2\n", NULL);
    table("a,b,y\n1,2,x\n3,4\n", NULL);
    table("a,y\n1,x\n", NULL);
    table("a,b\n1,2\n", &price);
    remove("t.csv");
}

static bp_tensor *no_mean(bp_context *c, bp_batch *batch, void *layers)
{
    (void)c;
    return bp_layers_forward(layers, bp_batch_column(batch, "x"), 1);
}

static bp_tensor *no_column(bp_context *c, bp_batch *batch, void *layers)
{
    (void)c, (void)layers;
    return bp_batch_column(batch, "price");
}

static bp_tensor *of_nothing(bp_context *c, bp_batch *batch, void *layers)
{
    return bp_mean(bp_log(bp_scale(no_mean(c, batch, layers), 0)));
}

static bp_tensor *below_nothing(bp_context *c, bp_batch *batch, void *layers)
{
    return bp_mean(bp_log(bp_neg(bp_square(no_mean(c, batch, layers)))));
}

static bp_tensor *own_forward(bp_model *model, bp_tensor *samples, int32_t training, void *user)
{
    (void)model, (void)training, (void)user;
    return samples;
}

static void losses(bp_data *data)
{
    const bp_loss_fn all[] = {no_mean, no_column, of_nothing, below_nothing};
    bp_params *store;
    bp_layers *layers;
    int32_t done;
    good(bp_params_create(ctx, BP_F32, &store));
    good(bp_layers_create(store, "", 2, "4 tanh 3", &layers));
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        bp_trainer *t;
        good(bp_trainer_create_with(store, data, all[i], layers, &t));
        bad(bp_trainer_run(t, -1, -1, &done));
        bp_trainer_free(t);
    }
    bp_layers_free(layers);
    bp_params_free(store);
}

static void files(bp_model *model, bp_trainer *trained, bp_trainer *other)
{
    bp_model *none, *own;
    bp_params *first, *second;
    bad(bp_model_save(model, "/nowhere/a"));
    good(bp_trainer_save(trained, "a.ckpt", 1));
    bad(bp_model_load(ctx, "a.ckpt", &none));
    bad(bp_trainer_resume(other, "a.ckpt"));
    bad(bp_trainer_resume(trained, "a.ckpt"));
    good(bp_model_own(ctx, 2, BP_TASK_REGRESSION, 2, own_forward, NULL, &own));
    good(bp_model_save(own, "m.safetensors"));
    bad(bp_model_load(ctx, "m.safetensors", &none));
    good(bp_params_create(ctx, BP_F32, &first));
    good(bp_params_create(ctx, BP_F32, &second));
    broken |= !bp_param(first, "0.weight", BP_SHAPE(1, 2), BP_INIT_ONE);
    broken |= !bp_param(second, "w", BP_SHAPE(1, 2), BP_INIT_ONE);
    good(bp_params_save(first, "net.safetensors"));
    bad(bp_params_load(second, "net.safetensors", NULL));
    bp_params_free(first);
    bp_params_free(second);
    bp_model_free(own);
    remove("a.ckpt");
    remove("m.safetensors");
    remove("net.safetensors");
}

static void runs(void)
{
    static const float sample[4][2] = {{1, 2}, {3, 4}, {5, 6}, {7, 8}};
    static const float equal[4][2] = {{1, 2}, {1, 2}, {1, 2}, {1, 2}};
    float unknown[2] = {NAN, 0}, far[4][2] = {{0, 0}, {0, INFINITY}}, p[3];
    int32_t class[4] = {0, 1, 2, 9}, done;
    bp_data *data, *numbers;
    bp_model *model, *wide;
    bp_trainer *t, *other;
    bad(bp_data_create(ctx, BP_F32, sample, class, 4, 2, 3, &data));
    class[3] = 0;
    bad(bp_data_create(ctx, BP_F32, far, class, 4, 2, 3, &data));
    good(bp_data_create(ctx, BP_F32, sample, class, 4, 2, 3, &data));
    bad(bp_model_create(ctx, 2, "16 rellu", 3, &model));
    bad(bp_model_create(ctx, 2, "16 residual( 8 )", 3, &model));
    bad(bp_model_create(ctx, 2, "1x2x1 conv1x1=4 relu 128 pool=2", 3, &model));
    good(bp_model_create(ctx, 2, "16", 3, &model));
    good(bp_model_create(ctx, 3, "16", 3, &wide));
    bad(bp_trainer_create(wide, data, &t));
    good(bp_trainer_create(model, data, &t));
    good(bp_trainer_create(model, data, &other));
    bad(bp_trainer_set(t, BP_TRAIN_LR, 50));
    bad(bp_trainer_schedule(t, "cosin=0"));
    good(bp_trainer_set(t, BP_TRAIN_EPOCHS, 2));
    good(bp_trainer_set(other, BP_TRAIN_BATCH, 2));
    good(bp_trainer_run(t, -1, -1, &done));
    bad(bp_trainer_set(t, BP_TRAIN_BATCH, 2));
    bad(bp_trainer_best(t));
    bp_trainer *wish;
    good(bp_trainer_create(model, data, &wish));
    good(bp_trainer_set(wish, BP_TRAIN_BATCH_CLASSES, 4));
    bad(bp_trainer_run(wish, -1, -1, &done));
    bp_trainer_free(wish);
    bad(bp_model_predict(model, unknown, 1, p));
    losses(data);
    files(model, t, other);
    bp_trainer_free(t);
    bp_trainer_free(other);
    good(bp_data_table(ctx, 4, &numbers));
    good(bp_data_add(numbers, "x", BP_F32, BP_SHAPE(2), sample));
    good(bp_data_add(numbers, "y", BP_F32, BP_SHAPE(2), sample));
    bp_model_free(wide);
    good(bp_model_create_as(ctx, 2, "4", BP_TASK_REGRESSION, 2, &wide));
    good(bp_trainer_create(wide, numbers, &t));
    good(bp_trainer_set(t, BP_TRAIN_ROWS, BP_ROWS_BALANCED));
    bad(bp_trainer_run(t, -1, -1, &done));
    good(bp_trainer_set(t, BP_TRAIN_ROWS, BP_ROWS_SHUFFLED));
    good(bp_write(bp_param_at(bp_model_params(wide), 0), equal, sizeof equal));
    good(bp_write(bp_param_at(bp_model_params(wide), 2), (float[2][4]){0}, sizeof equal));
    bad(bp_trainer_run(t, -1, -1, &done));
    bp_trainer_free(t);
    bp_model_free(wide);
    bp_model_free(model);
    bp_data_free(numbers);
    bp_data_free(data);
}

/* --- what no context's log hears ------------------------------------------------------------- */

static void *another_thread(void *arg)
{
    (void)arg;
    bad(bp_seed(ctx, 1));
    hear(NULL, bp_error_text(ctx));
    return NULL;
}

static void outside(void)
{
    pthread_t thread;
    bp_context *none;
    bad(bp_open("gpu", &none));
    hear(NULL, bp_error_text(none));
    bp_close(none);
    good(bp_scope_begin(ctx, 0));
    broken |= pthread_create(&thread, NULL, another_thread, NULL) != 0;
    pthread_join(thread, NULL);
    good(bp_scope_end(ctx));
}

static bool is_heard(const char *sentence)
{
    char line[1024];
    snprintf(line, sizeof line, "\n%s\n", sentence);
    return strstr(heard, line) != NULL;
}

int main(int argc, char **argv)
{
    const bp_hooks hooks = {.struct_bytes = sizeof hooks, .log = hear};
    char line[1024], folder[] = "/tmp/bpcuda-sentences-XXXXXX";
    int sentences = 0, wrong = 0;
    FILE *page = argc > 1 ? fopen(argv[1], "r") : NULL;
    if (!page || bp_open_with("cpu", &hooks, &ctx) != BP_OK || !mkdtemp(folder) || chdir(folder)) {
        fprintf(stderr, "usage: test_sentences PAGE\n");
        return 2;
    }
    steps();
    tables();
    runs();
    outside();
    bp_optimizer_free(adam);
    bp_params_free(params);
    bp_close(ctx);
    broken |= rmdir(folder) != 0; /* nothing is left behind */
    while (fgets(line, sizeof line, page)) {
        char *end = strrchr(line, '`');
        if (strncmp(line, "- `", 3) != 0 || !end)
            continue;
        *end = '\0';
        sentences++;
        if (!is_heard(line + 3)) {
            wrong++;
            printf("FAILED the library does not say: %s\n", line + 3);
        }
    }
    fclose(page);
    if (wrong || broken)
        printf("it said:%s", heard);
    printf("%d sentences, %d of them not said%s\n", sentences, wrong,
           broken ? "; a call did not end as it should" : "");
    return wrong || broken || sentences < 40;
}
