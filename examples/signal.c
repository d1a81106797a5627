/* A one-dimensional convolution: which wave is it, sine, square, triangle or saw, of unknown pitch,
 * phase and height, under noise? A signal is an image of one row, and so its layers are those of
 * images:
 *
 *     1x128x1 conv1x9=16 batchnorm relu pool=1x2 conv1x9=32 batchnorm relu pool=1x2
 *     conv1x9=32 batchnorm relu globalpool
 *
 * The mean at the end does not ask where in the signal it was found. Of 2,000 new signals 96.5 %
 * are told; a dense net, which is trained beside it, tells 78 %. Exits with 1 below 95 %.
 *
 *     signal [device]        "auto" */
#include <bpcuda/bpcuda.h>
#include <math.h>
#include <stdio.h>

#define CHECK(call) do { if ((st = (call)) != BP_OK) goto done; } while (0)

enum { TRAIN = 3000, TEST = 2000, LENGTH = 128, WAVES = 4 };

static const char convolution[] = "1x128x1 conv1x9=16 batchnorm relu pool=1x2 "
                                  "conv1x9=32 batchnorm relu pool=1x2 "
                                  "conv1x9=32 batchnorm relu globalpool";
static const char dense[] = "256 relu dropout=0.2 128 relu dropout=0.2";

static float x[TRAIN + TEST][LENGTH];
static int32_t wave[TRAIN + TEST];

static double uniform(void)
{
    static uint64_t state = 1;
    state = state * 6364136223846793005u + 1442695040888963407u; /* Knuth's */
    return (double)(state >> 11) * 0x1p-53;
}

/* Of a place in its period, 0 to 1; heights from -1 to 1. */
static double height_of(int kind, double at)
{
    return kind == 0   ? sin(6.283185307179586 * at)
           : kind == 1 ? (at < 0.5 ? 1 : -1)
           : kind == 2 ? 1 - 4 * fabs(at - 0.5)
                       : 2 * at - 1;
}

static void make_signals(void)
{
    for (int n = 0; n < TRAIN + TEST; n++) {
        double period = 16 + 32 * uniform(), phase = uniform(), high = 0.5 + uniform();
        wave[n] = n % WAVES;
        for (int i = 0; i < LENGTH; i++) {
            double at = i / period + phase, noise = uniform() + uniform() + uniform() - 1.5;
            x[n][i] = (float)(high * height_of(wave[n], at - floor(at)) + 0.4 * noise);
        }
    }
}

static bp_status learn(bp_context *ctx, const char *layers, bp_data *train, bp_data *test,
                       double *accuracy)
{
    bp_model *model = NULL;
    bp_trainer *trainer = NULL;
    double loss;
    int32_t done;
    bp_status st;
    CHECK(bp_model_create(ctx, LENGTH, layers, WAVES, &model));
    CHECK(bp_trainer_create(model, train, &trainer));
    CHECK(bp_trainer_set(trainer, BP_TRAIN_EPOCHS, 8));
    CHECK(bp_trainer_run(trainer, -1, -1, &done));
    CHECK(bp_model_evaluate(model, test, &loss, accuracy));
done:
    bp_trainer_free(trainer);
    bp_model_free(model);
    return st;
}

int main(int argc, char **argv)
{
    bp_context *ctx;
    bp_data *train = NULL, *test = NULL;
    double told = 0, by_dense = 0;
    bp_status st;
    make_signals();
    CHECK(bp_open(argc > 1 ? argv[1] : "auto", &ctx));
    CHECK(bp_seed(ctx, 1));
    CHECK(bp_data_create(ctx, BP_F32, x, wave, TRAIN, LENGTH, WAVES, &train));
    CHECK(bp_data_create(ctx, BP_F32, x[TRAIN], wave + TRAIN, TEST, LENGTH, WAVES, &test));
    CHECK(learn(ctx, convolution, train, test, &told));
    CHECK(learn(ctx, dense, train, test, &by_dense));
    printf("%s: %.1f %% of new signals are told, by a dense net %.1f %%\n", bp_device_text(ctx),
           100 * told, 100 * by_dense);
done:
    if (st != BP_OK)
        fprintf(stderr, "%s\n", bp_error_text(ctx));
    bp_data_free(test);
    bp_data_free(train);
    bp_close(ctx);
    return st != BP_OK || !(told > 0.95);
}
