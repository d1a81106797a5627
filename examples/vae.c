/* A variational autoencoder (Kingma, Welling, 2014) of the digits, with 6 numbers in the middle:
 * the encoder tells a normal distribution, a draw of which the decoder turns into an image. The
 * loss is the bound on -ln p(x), in nats an image,
 *
 *     sum_pixels crossentropy(decoder(z), x) + KL(N(m, s^2) || N(0, 1)),     z = m + s normal
 *     KL = sum (m^2 + s^2 - 1 - ln s^2) / 2
 *
 * Pixels that knew nothing of one another would cost 27.0 nats; the net needs 24.3 on new digits.
 * Exits with 1 where it needs more than 24.8. Prints three images out of nothing but draws.
 *
 *     vae [device]        "auto" */
#include <bpcuda/bpcuda.h>
#include <math.h>
#include <stdio.h>

#define CHECK(call) do { if ((st = (call)) != BP_OK) goto done; } while (0)

enum { CODE = 6, DRAWN = 3 };

typedef struct vae {
    bp_layers *encoder, *decoder;
    float image[DRAWN * 64]; /* result */
} vae;

static bp_tensor *loss_of(bp_context *ctx, bp_batch *batch, void *user)
{
    const vae *v = user;
    int64_t rows = bp_batch_rows(batch);
    bp_tensor *images = bp_reshape(bp_batch_column(batch, "x"), BP_SHAPE(rows, 64)), *code[2];
    bp_tensor *x = bp_scale(bp_cast(images, BP_F32), 1.0 / 16);
    if (!bp_split(bp_layers_forward(v->encoder, x, 1), 1, 2, NULL, code))
        return NULL;
    bp_tensor *mean = code[0], *log_s2 = code[1], *s = bp_exp(bp_scale(log_s2, 0.5));
    bp_tensor *z = bp_add(mean, bp_mul(s, bp_normal(ctx, BP_F32, bp_shape_of(mean), 0, 1)));
    bp_tensor *pixels =
        bp_binary_cross_entropy(bp_layers_forward(v->decoder, z, 1), x, BP_SUM);
    bp_tensor *kl = bp_sum(bp_sub(bp_add(bp_square(mean), bp_square(s)), bp_shift(log_s2, 1)));
    return bp_scale(bp_add(pixels, bp_scale(kl, 0.5)), 1 / (double)rows);
}

static bp_status draw(bp_context *ctx, void *user)
{
    vae *v = user;
    bp_tensor *z = bp_normal(ctx, BP_F32, BP_SHAPE(DRAWN, CODE), 0, 1);
    return bp_read_f32(bp_sigmoid(bp_layers_forward(v->decoder, z, 0)), v->image, DRAWN * 64);
}

/* What the pixels cost where each has its own mean and nothing else is known. */
static bp_status alone(bp_data *data, double *nats)
{
    static uint8_t pixel[1797 * 64];
    int64_t rows = bp_data_rows(data);
    bp_status st = bp_read(bp_data_samples(data), pixel, (size_t)rows * 64);
    *nats = 0;
    for (int k = 0; k < 64; k++) {
        double p = 0;
        for (int64_t i = 0; i < rows; i++)
            p += pixel[i * 64 + k] / 16.0 / (double)rows;
        if (p > 0 && p < 1)
            *nats -= p * log(p) + (1 - p) * log(1 - p);
    }
    return st;
}

int main(int argc, char **argv)
{
    vae v = {0};
    bp_context *ctx;
    bp_data *all = NULL, *train = NULL, *test = NULL;
    bp_params *params = NULL;
    bp_trainer *trainer = NULL;
    bp_progress now = {0};
    double nats;
    int32_t done;
    bp_status st;
    CHECK(bp_open(argc > 1 ? argv[1] : "auto", &ctx));
    CHECK(bp_seed(ctx, 1));
    CHECK(bp_data_digits(ctx, &all));
    CHECK(bp_data_split(all, 0.2, 0, &train, &test));
    CHECK(alone(test, &nats));
    CHECK(bp_params_create(ctx, BP_F32, &params));
    CHECK(bp_layers_create(params, "encoder.", 64, "128 relu 12", &v.encoder)); /* 2 CODE */
    CHECK(bp_layers_create(params, "decoder.", CODE, "128 relu 64", &v.decoder));
    CHECK(bp_trainer_create_with(params, train, loss_of, &v, &trainer));
    CHECK(bp_trainer_set(trainer, BP_TRAIN_EPOCHS, 120));
    CHECK(bp_trainer_validate(trainer, test));
    CHECK(bp_trainer_run(trainer, -1, -1, &done));
    bp_trainer_progress(trainer, &now);
    printf("%s: %.2f nats an image, pixel by pixel %.2f\n", bp_device_text(ctx), now.valid_loss,
           nats);
    CHECK(bp_run(ctx, BP_NO_GRAD, draw, &v));
    for (int y = 0; y < 8; y++)
        for (int i = 0; i < DRAWN * 8; i++)
            printf("%c%s", " .:*#"[(int)(v.image[i / 8 * 64 + y * 8 + i % 8] * 4.999f)],
                   i % 8 < 7 ? "" : i < DRAWN * 8 - 1 ? "   " : "\n");
done:
    if (st != BP_OK)
        fprintf(stderr, "%s\n", bp_error_text(ctx));
    bp_trainer_free(trainer);
    bp_layers_free(v.encoder);
    bp_layers_free(v.decoder);
    bp_params_free(params);
    bp_data_free(test);
    bp_data_free(train);
    bp_data_free(all);
    bp_close(ctx);
    return st != BP_OK || !(now.valid_loss < 24.8);
}
