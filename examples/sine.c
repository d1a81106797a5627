/* A curve from noisy points: y = sin x + 0.1 z at 200 places from -4 to 4, z normal. A model of
 * 1-32-32-1 with tanh, whose targets are normalised by itself; what it predicts is in their own
 * units. Its curve is 0.03 from sin x, in the root of the mean square: the noise is 0.1. Exits with
 * 1 where it is more than 0.05.
 *
 *     sine [device]        "auto" */
#include <bpcuda/bpcuda.h>
#include <math.h>
#include <stdio.h>

#define CHECK(call) do { if ((st = (call)) != BP_OK) goto done; } while (0)

enum { N = 200, GRID = 81 };

/* Of mean 0 and deviation 1, nearly normal: the sum of 12 even numbers. */
static double noise(uint32_t *seed)
{
    double sum = -6;
    for (int i = 0; i < 12; i++) {
        *seed = *seed * 1664525u + 1013904223u;
        sum += (*seed >> 8) * 0x1p-24;
    }
    return sum;
}

int main(int argc, char **argv)
{
    float x[N], y[N], at[GRID], told[GRID];
    uint32_t seed = 1;
    bp_context *ctx;
    bp_data *data = NULL;
    bp_model *model = NULL;
    bp_trainer *trainer = NULL;
    double error = 0;
    int32_t done;
    bp_status st;
    CHECK(bp_open(argc > 1 ? argv[1] : "auto", &ctx));
    CHECK(bp_seed(ctx, 1));
    for (int i = 0; i < N; i++) {
        x[i] = 8.0f * (float)i / (N - 1) - 4;
        y[i] = sinf(x[i]) + (float)(0.1 * noise(&seed));
    }
    CHECK(bp_data_table(ctx, N, &data));
    CHECK(bp_data_add(data, "x", BP_F32, BP_SHAPE(1), x));
    CHECK(bp_data_add(data, "y", BP_F32, BP_SHAPE(1), y));
    CHECK(bp_model_create_as(ctx, 1, "32 tanh 32 tanh", BP_TASK_REGRESSION, 1, &model));
    CHECK(bp_model_normalize(model, data));
    CHECK(bp_trainer_create(model, data, &trainer));
    CHECK(bp_trainer_set(trainer, BP_TRAIN_EPOCHS, 300));
    CHECK(bp_trainer_run(trainer, -1, -1, &done));
    for (int i = 0; i < GRID; i++)
        at[i] = 8.0f * (float)i / (GRID - 1) - 4;
    CHECK(bp_model_predict(model, at, GRID, told));
    for (int i = 0; i < GRID; i++)
        error += pow(told[i] - sin(at[i]), 2) / GRID;
    error = sqrt(error);
    printf("%s: %.4f from sin x\n", bp_device_text(ctx), error);
done:
    if (st != BP_OK)
        fprintf(stderr, "%s\n", bp_error_text(ctx));
    bp_trainer_free(trainer);
    bp_model_free(model);
    bp_data_free(data);
    bp_close(ctx);
    return st != BP_OK || !(error < 0.05);
}
