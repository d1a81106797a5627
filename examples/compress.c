/* An image autoencoder: digits of 64 pixels become 8 numbers, by convolutions and pools, and images
 * again, by two transposed convolutions that double height and width:
 *
 *     loss = mean (picture(code(x)) - x)^2,     pixels from 0 to 1
 *
 * The best 8 numbers that are linear in the pixels (principal components) leave 0.024 on new
 * digits; here 0.0156 is left. Draws some digits above what came back. Exits with 1 where more than
 * 0.018 is left.
 *
 *     compress [device]        "auto" */
#include <bpcuda/bpcuda.h>
#include <stdio.h>

#define CHECK(call) do { if ((st = (call)) != BP_OK) goto done; } while (0)

enum { SHOWN = 6 };

typedef struct coder {
    bp_params *params;
    bp_layers *code, *spread; /* to 8 numbers; from them to 2 x 2 pixels of 32 channels */
    bp_tensor *up[2], *bias[2];
    bp_data *test;
    float seen[SHOWN * 64], back[SHOWN * 64];
} coder;

static bp_status declare(coder *c)
{
    static const char *const name[] = {"up1", "up1.bias", "up2", "up2.bias"};
    const bp_shape shape[] = {BP_SHAPE(32, 4, 4, 16), BP_SHAPE(16), BP_SHAPE(16, 4, 4, 1),
                              BP_SHAPE(1)};
    for (int i = 0; i < 4; i++) {
        bp_init init = i % 2 ? BP_INIT_ZERO : BP_INIT_GLOROT;
        *(i % 2 ? &c->bias[i / 2] : &c->up[i / 2]) = bp_param(c->params, name[i], shape[i], init);
    }
    bp_status st = bp_layers_create(c->params, "code.", 64,
                                    "8x8x1 conv3x3=16 relu pool=2 conv3x3=32 relu pool=2 8",
                                    &c->code);
    return st != BP_OK ? st : bp_layers_create(c->params, "spread.", 8, "128 relu", &c->spread);
}

/* y [N, P, Q, O] -> [N, 2 P, 2 Q, C]. */
static bp_tensor *doubled(const coder *c, int i, bp_tensor *y)
{
    const bp_window how = {.stride = {2, 2}, .pad = {1, 1, 1, 1}};
    const int64_t *n = bp_shape_of(y).dim;
    return bp_add(bp_conv2d_input(y, c->up[i], 2 * n[1], 2 * n[2], how), c->bias[i]);
}

static bp_tensor *there_and_back(const coder *c, bp_tensor *x, int32_t training)
{
    bp_tensor *code = bp_layers_forward(c->code, x, training);
    bp_tensor *y = bp_layers_forward(c->spread, code, training);
    y = bp_relu(doubled(c, 0, bp_reshape(y, BP_SHAPE(bp_shape_of(x).dim[0], 2, 2, 32))));
    return bp_reshape(bp_sigmoid(doubled(c, 1, y)), bp_shape_of(x));
}

static bp_tensor *pixels(bp_tensor *x)
{
    return bp_scale(bp_cast(x, BP_F32), 1.0 / 16);
}

static bp_tensor *loss_of(bp_context *ctx, bp_batch *batch, void *user)
{
    bp_tensor *x = pixels(bp_batch_column(batch, "x"));
    (void)ctx;
    return bp_mse_loss(there_and_back(user, x, bp_batch_training(batch)), x, BP_MEAN);
}

static bp_status look(bp_context *ctx, void *user)
{
    coder *c = user;
    bp_tensor *x = pixels(bp_slice(bp_data_samples(c->test), 0, 0, SHOWN, 1));
    (void)ctx;
    bp_status st = bp_read_f32(x, c->seen, SHOWN * 64);
    return st != BP_OK ? st : bp_read_f32(there_and_back(c, x, 0), c->back, SHOWN * 64);
}

static void draw(const float *image)
{
    for (int row = 0; row < 8; row++, printf("\n"))
        for (int i = 0; i < SHOWN * 8; i++)
            printf("%c%s", " .:+*##"[(int)(6 * image[i / 8 * 64 + row * 8 + i % 8])],
                   i % 8 == 7 ? "  " : "");
}

int main(int argc, char **argv)
{
    coder c = {0};
    bp_context *ctx;
    bp_data *all = NULL, *train = NULL;
    bp_trainer *trainer = NULL;
    bp_progress now = {0};
    int32_t done;
    bp_status st;
    CHECK(bp_open(argc > 1 ? argv[1] : "auto", &ctx));
    CHECK(bp_seed(ctx, 1));
    CHECK(bp_data_digits(ctx, &all));
    CHECK(bp_data_split(all, 0.2, 0, &train, &c.test));
    CHECK(bp_params_create(ctx, BP_F32, &c.params));
    CHECK(declare(&c));
    CHECK(bp_trainer_create_with(c.params, train, loss_of, &c, &trainer));
    CHECK(bp_trainer_set(trainer, BP_TRAIN_EPOCHS, 40));
    CHECK(bp_trainer_validate(trainer, c.test));
    CHECK(bp_trainer_run(trainer, -1, -1, &done));
    bp_trainer_progress(trainer, &now);
    CHECK(bp_run(ctx, BP_NO_GRAD, look, &c));
    draw(c.seen);
    draw(c.back);
    printf("%s: of 64 pixels 8 numbers, and %.4f is left on new digits\n", bp_device_text(ctx),
           now.valid_loss);
done:
    if (st != BP_OK)
        fprintf(stderr, "%s\n", bp_error_text(ctx));
    bp_trainer_free(trainer);
    bp_layers_free(c.spread);
    bp_layers_free(c.code);
    bp_params_free(c.params);
    bp_data_free(c.test);
    bp_data_free(train);
    bp_data_free(all);
    bp_close(ctx);
    return st != BP_OK || !(now.valid_loss < 0.018);
}
