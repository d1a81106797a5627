/* Places for images: a net puts each digit at a point of 8 dimensions, so that it lies nearer to
 * one of its own class than to one of another, by a margin (Schroff, Kalenichenko, Philbin, 2015):
 *
 *     loss = mean max(0, |a - p| - |a - n| + 1)
 *
 * A batch is 64 triplets: rows that a function of the program chooses. A new image then has the
 * class of its nearest neighbour: 97.2 % right. Exits with 1 where it is less than 95 %.
 *
 *     triplet [device]        "auto" */
#include <bpcuda/bpcuda.h>
#include <stdbool.h>
#include <stdio.h>

#define CHECK(call) do { if ((st = (call)) != BP_OK) goto done; } while (0)

enum { ROWS = 1797, BATCH = 3 * 64 };

typedef struct problem {
    bp_data *train, *test;
    bp_layers *net;
    int32_t label[ROWS], rows; /* of the training rows */
    double right;              /* result */
} problem;

static bp_tensor *place(const problem *p, bp_tensor *x)
{
    return bp_layers_forward(p->net, bp_scale(bp_cast(x, BP_F32), 1.0 / 16), 1);
}

/* Rows 0, 3, 6, ... of a batch are anchors, those behind them positives, then negatives. */
static bp_tensor *loss_of(bp_context *ctx, bp_batch *batch, void *user)
{
    bp_tensor *y = place(user, bp_batch_column(batch, "x")), *part[3];
    (void)ctx;
    for (int k = 0; k < 3; k++)
        part[k] = bp_slice(y, 0, k, INT64_MAX, 3);
    return bp_triplet_margin_loss(part[0], part[1], part[2], 1, BP_MEAN);
}

static bp_status triplets(void *user, int64_t epoch, int32_t *rows, int64_t n)
{
    const problem *p = user;
    uint64_t seed = (uint64_t)epoch + 1; /* the epoch alone decides */
    for (int64_t i = 0; i < n;) {
        int32_t anchor = i % 3 ? rows[i - i % 3] : -1;
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        rows[i] = (int32_t)((seed >> 33) % (uint64_t)p->rows);
        bool same = anchor >= 0 && p->label[rows[i]] == p->label[anchor];
        if (i % 3 == 0 || (i % 3 == 1 ? same && rows[i] != anchor : !same))
            i++;
    }
    return BP_OK;
}

/* The nearest r of each q is where 2 q r - |r|^2 is largest. */
static bp_status measure(bp_context *ctx, void *user)
{
    problem *p = user;
    bp_tensor *q = place(p, bp_data_samples(p->test)), *r = place(p, bp_data_samples(p->train));
    bp_tensor *length = bp_sum_squares_axes(r, BP_AXIS(1), 0); /* [train] */
    bp_tensor *near = bp_sub(bp_scale(bp_matmul(q, bp_transpose(r, 0, 1)), 2), length);
    bp_tensor *told = bp_gather(bp_data_labels(p->train), bp_argmax(near, 1));
    (void)ctx;
    return bp_read_f64(bp_mean(bp_equal(told, bp_data_labels(p->test))), &p->right, 1);
}

int main(int argc, char **argv)
{
    problem p = {0};
    bp_context *ctx;
    bp_data *all = NULL;
    bp_params *params = NULL;
    bp_trainer *trainer = NULL;
    int32_t done;
    bp_status st;
    CHECK(bp_open(argc > 1 ? argv[1] : "auto", &ctx));
    CHECK(bp_seed(ctx, 1));
    CHECK(bp_data_digits(ctx, &all));
    CHECK(bp_data_split(all, 0.2, 0, &p.train, &p.test));
    p.rows = (int32_t)bp_data_rows(p.train);
    CHECK(bp_read(bp_data_labels(p.train), p.label, (size_t)p.rows * sizeof *p.label));
    CHECK(bp_params_create(ctx, BP_F32, &params));
    CHECK(bp_layers_create(params, "", 64, "64 relu 8", &p.net));
    CHECK(bp_trainer_create_with(params, p.train, loss_of, &p, &trainer));
    CHECK(bp_trainer_rows(trainer, triplets, &p));
    CHECK(bp_trainer_set(trainer, BP_TRAIN_BATCH, BATCH));
    CHECK(bp_trainer_set(trainer, BP_TRAIN_EPOCH_STEPS, 20));
    CHECK(bp_trainer_set(trainer, BP_TRAIN_EPOCHS, 50));
    CHECK(bp_trainer_run(trainer, -1, -1, &done));
    CHECK(bp_run(ctx, BP_NO_GRAD, measure, &p));
    printf("%s: %.2f %% of new images are nearest to one of their class\n", bp_device_text(ctx),
           100 * p.right);
done:
    if (st != BP_OK)
        fprintf(stderr, "%s\n", bp_error_text(ctx));
    bp_trainer_free(trainer);
    bp_layers_free(p.net);
    bp_params_free(params);
    bp_data_free(p.test);
    bp_data_free(p.train);
    bp_data_free(all);
    bp_close(ctx);
    return st != BP_OK || !(p.right > 0.95);
}
