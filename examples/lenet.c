/* LeNet-5 (LeCun, Bottou, Bengio, Haffner, 1998), with ReLU and the largest of four for its tanh and
 * means, on MNIST:
 *
 *     28x28x1 -> 6 of 5x5 -> pool -> 6 to 16 of 5x5 -> pool -> 120 -> 84 -> 10
 *
 * 99.3 % of new digits are right after 12 epochs, of 3 seconds each on two cores. Without MNIST, a
 * smaller net on the digits that come with the library: 98.9 %. Shows a new digit that it misreads.
 * Exits with 1 where fewer than 98.7 %, or 97.5 %, are right.
 *
 *     lenet [device [folder of MNIST]]        "auto" */
#include <bpcuda/bpcuda.h>
#include <stdbool.h>
#include <stdio.h>

#define CHECK(call) do { if ((st = (call)) != BP_OK) goto done; } while (0)

enum { PIXELS_MAX = 28 * 28, CLASSES = 10 };

static bp_status read_data(bp_context *ctx, const char *folder, bp_data **train, bp_data **test)
{
    bp_data *all;
    bp_status st = folder ? bp_data_idx_folder(ctx, folder, 0, train) : bp_data_digits(ctx, &all);
    if (st != BP_OK)
        return st;
    if (folder)
        return bp_data_idx_folder(ctx, folder, 1, test);
    st = bp_data_split(all, 0.2, 0, train, test);
    bp_data_free(all);
    return st;
}

/* Row `i` as text, where the model takes it for another digit; else *misread stays. */
static bp_status look(bp_model *model, bp_data *data, int32_t i, bool *misread)
{
    float x[PIXELS_MAX], p[CLASSES];
    int32_t label, said = 0;
    int64_t n = bp_data_cols(data), side = n == PIXELS_MAX ? 28 : 8;
    bp_tensor *row = bp_slice(bp_data_samples(data), 0, i, i + 1, 1);
    bp_status st = bp_read_f32(bp_cast(row, BP_F32), x, n);
    if (st == BP_OK)
        st = bp_read(bp_slice(bp_data_labels(data), 0, i, i + 1, 1), &label, sizeof label);
    if (st == BP_OK)
        st = bp_model_predict(model, x, 1, p);
    for (int32_t c = 1; st == BP_OK && c < CLASSES; c++)
        said = p[c] > p[said] ? c : said;
    if (st != BP_OK || said == label)
        return st;
    *misread = true;
    for (int64_t k = 0; k < n; k++)
        printf("%c%s", " .:*#"[(int)(x[k] * 4 / (n == PIXELS_MAX ? 255 : 16))],
               k % side == side - 1 ? "\n" : "");
    printf("is a %d; it says %d, with probability %.2f\n", (int)label, (int)said, (double)p[said]);
    return BP_OK;
}

int main(int argc, char **argv)
{
    const char *folder = argc > 2 ? argv[2] : NULL;
    bp_context *ctx = NULL;
    bp_data *train = NULL, *test = NULL;
    bp_model *model = NULL;
    bp_trainer *trainer = NULL;
    double loss, accuracy = 0;
    bool misread = false;
    int32_t done;
    bp_status st;
    CHECK(bp_open(argc > 1 ? argv[1] : "auto", &ctx));
    CHECK(bp_seed(ctx, 1));
    CHECK(read_data(ctx, folder, &train, &test));
    CHECK(bp_model_create_for(train, folder ? "conv5x5=6 relu pool=2 conv5x5=16,pad=0 relu pool=2 "
                                              "120 relu 84 relu"
                                            : "conv3x3=16 relu conv3x3=32 relu pool=2 "
                                              "dropout=0.25 64 relu dropout=0.25", &model));
    CHECK(bp_model_normalize(model, train));
    CHECK(bp_trainer_create(model, train, &trainer));
    CHECK(bp_trainer_set(trainer, BP_TRAIN_EPOCHS, folder ? 12 : 20));
    CHECK(bp_trainer_set(trainer, BP_TRAIN_LR, 0.002));
    CHECK(bp_trainer_run(trainer, -1, -1, &done));
    CHECK(bp_model_evaluate(model, test, &loss, &accuracy));
    for (int32_t i = 0; i < bp_data_rows(test) && !misread; i++) {
        CHECK(bp_scope_begin(ctx, BP_NO_GRAD));
        bp_status looked = look(model, test, i, &misread);
        CHECK(bp_scope_end(ctx));
        CHECK(looked);
    }
    printf("%s: \"%s\", %.2f %% of new digits are right\n", bp_device_text(ctx),
           bp_model_layers(model), 100 * accuracy);
done:
    if (st != BP_OK)
        fprintf(stderr, "%s\n", bp_error_text(ctx));
    bp_trainer_free(trainer);
    bp_model_free(model);
    bp_data_free(test);
    bp_data_free(train);
    bp_close(ctx);
    return st != BP_OK || !(accuracy > (folder ? 0.987 : 0.975));
}
