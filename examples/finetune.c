/* Fine-tuning: a net that PyTorch has trained to tell ten digits apart, on the first 900 images
 * (finetune.py, whose state_dict safetensors.torch.save_file() wrote as halves), learns another
 * question from 20 other images: does the digit have a loop, as 0, 6, 8 and 9? The lower layers
 * start from the file and move at a tenth of the rate; the head is new:
 *
 *     bp_params_load(params, file, "layer*")       layer1, layer2; the file's head is passed over
 *
 * Of the 877 images that are left 87 % are right; by the same net from nothing 79 %. Exits with 1
 * where it is less than 83 %, or less than 4 % more than from nothing.
 *
 *     finetune [device [file]]        "auto", "examples/pretrained.safetensors" */
#include <bpcuda/bpcuda.h>
#include <stdio.h>
#include <string.h>

#define CHECK(call) do { if ((st = (call)) != BP_OK) goto done; } while (0)

enum { ROWS = 1797, SEEN = 900, EACH = 2 };

typedef struct net {
    bp_layers *layers, *head;
    bp_data *few, *others;
    double right; /* result */
} net;

static bp_tensor *logits_of(const net *n, bp_tensor *x)
{
    bp_tensor *h = bp_layers_forward(n->layers, bp_scale(bp_cast(x, BP_F32), 1.0 / 16), 1);
    return bp_layers_forward(n->head, h, 1);
}

static bp_tensor *loss_of(bp_context *ctx, bp_batch *batch, void *user)
{
    (void)ctx;
    return bp_cross_entropy(logits_of(user, bp_batch_column(batch, "x")),
                            bp_batch_column(batch, "y"));
}

static bp_status measure(bp_context *ctx, void *user)
{
    net *n = user;
    bp_tensor *told = bp_argmax(logits_of(n, bp_data_samples(n->others)), 1);
    (void)ctx;
    return bp_read_f64(bp_mean(bp_equal(told, bp_data_labels(n->others))), &n->right, 1);
}

/* The first few of each digit behind those that PyTorch has seen, and the others. */
static bp_status divide(bp_context *ctx, net *n)
{
    static uint8_t x[2][ROWS][64], pixel[ROWS][64];
    static int32_t y[2][ROWS], label[ROWS];
    int rows[2] = {0}, count[10] = {0};
    bp_data *all;
    bp_status st;
    CHECK(bp_data_digits(ctx, &all));
    CHECK(bp_read(bp_data_samples(all), pixel, sizeof pixel));
    CHECK(bp_read(bp_data_labels(all), label, sizeof label));
    for (int i = SEEN; i < ROWS; i++) {
        int digit = label[i], to = count[digit]++ >= EACH, at = rows[to]++;
        memcpy(x[to][at], pixel[i], 64);
        y[to][at] = digit == 0 || digit == 6 || digit >= 8;
    }
    CHECK(bp_data_create(ctx, BP_U8, x[0], y[0], rows[0], 64, 2, &n->few));
    CHECK(bp_data_create(ctx, BP_U8, x[1], y[1], rows[1], 64, 2, &n->others));
done:
    bp_data_free(all);
    return st;
}

/* Trains on the few, from the file or, without one, from nothing. */
static bp_status train(bp_context *ctx, net *n, const char *file)
{
    bp_params *params = NULL;
    bp_optimizer *adam = NULL;
    bp_trainer *trainer = NULL;
    int32_t done;
    bp_status st;
    CHECK(bp_params_create(ctx, BP_F32, &params));
    CHECK(bp_layers_create(params, "", 64, "64 relu 32 relu", &n->layers));
    CHECK(bp_layers_create(params, "head.", 32, "2", &n->head));
    CHECK(bp_adam_create(params, 0.003, &adam));
    if (file) {
        CHECK(bp_params_load(params, file, "layer*"));
        CHECK(bp_optimizer_group(adam, "layer*", &(bp_group){.rate = 0.1}));
    }
    CHECK(bp_trainer_create_with(params, n->few, loss_of, n, &trainer));
    CHECK(bp_trainer_optimizer(trainer, adam));
    CHECK(bp_trainer_set(trainer, BP_TRAIN_BATCH, 10 * EACH));
    CHECK(bp_trainer_set(trainer, BP_TRAIN_EPOCHS, 200));
    CHECK(bp_trainer_run(trainer, -1, -1, &done));
    CHECK(bp_run(ctx, BP_NO_GRAD, measure, n));
done:
    bp_trainer_free(trainer);
    bp_optimizer_free(adam);
    bp_layers_free(n->layers);
    bp_layers_free(n->head);
    bp_params_free(params);
    return st;
}

int main(int argc, char **argv)
{
    net n = {0};
    double tuned = 0, from_nothing = 0;
    bp_context *ctx;
    bp_status st;
    CHECK(bp_open(argc > 1 ? argv[1] : "auto", &ctx));
    CHECK(bp_seed(ctx, 1));
    CHECK(divide(ctx, &n));
    CHECK(train(ctx, &n, NULL));
    from_nothing = n.right;
    CHECK(train(ctx, &n, argc > 2 ? argv[2] : "examples/pretrained.safetensors"));
    tuned = n.right;
    printf("%s: %.1f %% right, from nothing %.1f %%\n", bp_device_text(ctx), 100 * tuned,
           100 * from_nothing);
done:
    if (st != BP_OK)
        fprintf(stderr, "%s\n", bp_error_text(ctx));
    bp_data_free(n.few);
    bp_data_free(n.others);
    bp_close(ctx);
    return st != BP_OK || !(tuned > 0.83 && tuned > from_nothing + 0.04);
}
