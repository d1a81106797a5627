/* The text of layers. What is accepted is kept as a text that means the same, and a small model of
 * it can be saved and loaded. */
#include <string.h>

#include "fuzz.h"

const char *const fuzz_words[] = {"relu", "elu", "dropout=", "0.1", "64", " ", "\t", "\n",
                                  "16777216", "99999999999999999999", "dropout=0.5", ".", "=",
                                  "leaky_relu", "tanh", "layernorm", "rmsnorm=", "residual(", ")",
                                  "batchnorm", "gelu", "1e-5", "-", "1x3x1", "conv1x2=", ",pad=", ",groups=",
                                  ",stride=2", "pool=1x2", "avgpool=", "globalpool", NULL};

static int64_t numbers_of(bp_model *m)
{
    int64_t all = 0;
    for (int32_t i = 0; i < bp_param_count(bp_model_params(m)); i++)
        all += bp_shape_count(bp_shape_of(bp_param_at(bp_model_params(m), i)));
    return all;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char text[1 << 16];
    if (size >= sizeof text)
        return 0;
    memcpy(text, data, size);
    text[size] = '\0';
    bp_context *ctx = fuzz_open();
    bp_model *model, *again = NULL;
    bp_status st = bp_model_create(ctx, 3, text, 2, &model);
    FUZZ_MUST((st == BP_OK) == (model != NULL));
    FUZZ_MUST(st == BP_OK || st == BP_ERR_FORMAT || st == BP_ERR_NOMEM || st == BP_ERR_SHAPE);
    if (model) {
        FUZZ_MUST(bp_model_create(ctx, 3, bp_model_layers(model), 2, &again) == BP_OK);
        FUZZ_MUST(strcmp(bp_model_layers(model), bp_model_layers(again)) == 0);
        FUZZ_MUST(numbers_of(model) == numbers_of(again));
        if (numbers_of(model) < 1 << 12)
            fuzz_round_trip(ctx, model);
    }
    bp_model_free(again);
    bp_model_free(model);
    fuzz_close(ctx);
    return 0;
}
