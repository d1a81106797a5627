/* Online learning: samples come one at a time, and are predicted before they are learnt from
 * (Dawid, 1984). What is to be learnt changes in the middle of the stream:
 *
 *     y = sin(2 x0) + x1 x2,   from the middle on   y = cos(2 x0) - x1 x3
 *
 * A net of 4-16-1 takes a step of SGD a sample: write, replay, read. The mean squared error of its
 * predictions (y has 0.7) falls to 0.001, is 0.06 in the 2,000 samples behind the change, and falls
 * to 0.001 again. Exits with 1 where it is above 0.004 in the last 2,000 of either half.
 *
 *     online [device]        "auto" */
#include <bpcuda/bpcuda.h>
#include <math.h>
#include <stdio.h>

#define CHECK(call) do { if ((st = (call)) != BP_OK) goto done; } while (0)

enum { SAMPLES = 100000, WINDOW = 2000 };

typedef struct problem {
    bp_layers *net;
    bp_optimizer *sgd;
    bp_tensor *x, *y, *error; /* f32 [1, 4], [1, 1], [] */
} problem;

static bp_status step(bp_context *ctx, void *user)
{
    problem *p = user;
    bp_tensor *loss = bp_mse_loss(bp_layers_forward(p->net, p->x, 1), p->y, BP_MEAN);
    bp_status st = bp_copy_into(p->error, loss);
    if (st == BP_OK)
        st = bp_backward(ctx, loss);
    return st == BP_OK ? bp_optimizer_step(p->sgd) : st;
}

/* Sample i of the stream. */
static float sample(int i, float *x)
{
    static uint32_t seed = 1;
    for (int k = 0; k < 4; k++) {
        seed = seed * 1664525u + 1013904223u;
        x[k] = (float)(seed >> 8) * 0x1p-23f - 1; /* -1 to 1 */
    }
    return i < SAMPLES / 2 ? sinf(2 * x[0]) + x[1] * x[2] : cosf(2 * x[0]) - x[1] * x[3];
}

int main(int argc, char **argv)
{
    problem p = {0};
    bp_context *ctx;
    bp_params *params = NULL;
    bp_plan *plan = NULL;
    double sum = 0, before = 1, at = 1, after = 1;
    bp_status st;
    CHECK(bp_open(argc > 1 ? argv[1] : "auto", &ctx));
    CHECK(bp_seed(ctx, 1));
    p.x = bp_tensor_create(ctx, BP_F32, BP_SHAPE(1, 4));
    p.y = bp_tensor_create(ctx, BP_F32, BP_SHAPE(1, 1));
    p.error = bp_tensor_create(ctx, BP_F32, BP_SCALAR);
    CHECK(bp_params_create(ctx, BP_F32, &params));
    CHECK(bp_layers_create(params, "", 4, "16 tanh 1", &p.net));
    CHECK(bp_sgd_create(params, 0.03, 0, &p.sgd));
    for (int i = 0; i < SAMPLES; i++) {
        float x[4], y = sample(i, x), error;
        CHECK(bp_write(p.x, x, sizeof x));
        CHECK(bp_write(p.y, &y, sizeof y));
        CHECK(plan ? bp_plan_replay(plan, 1) : bp_plan_record(ctx, step, &p, &plan));
        CHECK(bp_read(p.error, &error, sizeof error));
        sum += (double)error / WINDOW;
        if ((i + 1) % WINDOW == 0) {
            if (i + 1 == SAMPLES / 2)
                before = sum;
            else if (i + 1 == SAMPLES / 2 + WINDOW)
                at = sum;
            after = sum;
            sum = 0;
        }
    }
    printf("%s: error %.4f before the change, %.4f at it, %.4f at the end\n", bp_device_text(ctx),
           before, at, after);
done:
    if (st != BP_OK)
        fprintf(stderr, "%s\n", bp_error_text(ctx));
    bp_plan_free(plan);
    bp_optimizer_free(p.sgd);
    bp_layers_free(p.net);
    bp_params_free(params);
    bp_free(p.x);
    bp_free(p.y);
    bp_free(p.error);
    bp_close(ctx);
    return st != BP_OK || !(before < 0.004 && after < 0.004);
}
