/* A denoising autoencoder (Vincent, Larochelle, Bengio, Manzagol, 2008): it sees digits with noise
 * of deviation 0.3 on pixels of 0 to 1, and is to tell the digits without it:
 *
 *     loss = mean (net(x + 0.3 z) - x)^2,     z normal, drawn anew at each step
 *
 * through 24 numbers in the middle. The noise is a mean square of 0.090; of new digits 0.018 is
 * left. Exits with 1 where it is more than 0.02.
 *
 *     autoencoder [device]        "auto" */
#include <bpcuda/bpcuda.h>
#include <stdio.h>

#define CHECK(call) do { if ((st = (call)) != BP_OK) goto done; } while (0)

static const double noise = 0.3;

static bp_tensor *loss_of(bp_context *ctx, bp_batch *batch, void *user)
{
    bp_layers *net = user;
    bp_tensor *rows = bp_reshape(bp_batch_column(batch, "x"), BP_SHAPE(bp_batch_rows(batch), 64));
    bp_tensor *x = bp_scale(bp_cast(rows, BP_F32), 1.0 / 16);
    bp_tensor *z = bp_normal(ctx, BP_F32, bp_shape_of(x), 0, noise);
    return bp_mse_loss(bp_layers_forward(net, bp_add(x, z), bp_batch_training(batch)), x, BP_MEAN);
}

int main(int argc, char **argv)
{
    bp_context *ctx;
    bp_data *all = NULL, *train = NULL, *test = NULL;
    bp_params *params = NULL;
    bp_layers *net = NULL;
    bp_trainer *trainer = NULL;
    bp_progress now = {0};
    int32_t done;
    bp_status st;
    CHECK(bp_open(argc > 1 ? argv[1] : "auto", &ctx));
    CHECK(bp_seed(ctx, 1));
    CHECK(bp_data_digits(ctx, &all));
    CHECK(bp_data_split(all, 0.2, 0, &train, &test));
    CHECK(bp_params_create(ctx, BP_F32, &params));
    CHECK(bp_layers_create(params, "", 64, "128 relu 24 128 relu 64 sigmoid", &net));
    CHECK(bp_trainer_create_with(params, train, loss_of, net, &trainer));
    CHECK(bp_trainer_set(trainer, BP_TRAIN_EPOCHS, 80));
    CHECK(bp_trainer_validate(trainer, test));
    CHECK(bp_trainer_run(trainer, -1, -1, &done));
    bp_trainer_progress(trainer, &now);
    printf("%s: of a noise of %.3f, %.4f is left on new digits\n", bp_device_text(ctx),
           noise * noise, now.valid_loss);
done:
    if (st != BP_OK)
        fprintf(stderr, "%s\n", bp_error_text(ctx));
    bp_trainer_free(trainer);
    bp_layers_free(net);
    bp_params_free(params);
    bp_data_free(test);
    bp_data_free(train);
    bp_data_free(all);
    bp_close(ctx);
    return st != BP_OK || !(now.valid_loss < 0.02);
}
