/* Model files: an input is what fuzz_safetensors() takes. */
#include "fuzz.h"

const char *const fuzz_words[] = {
    "\"__metadata__\":", "\"dtype\":", "\"shape\":", "\"data_offsets\":", "\"F32\"", "\"U8\"",
    "\"format\":\"bpcuda\"", "\"version\":\"1\"", "\"layers\":\"\"", "\"inputs\":\"2\"", "null",
    "true", "\"classes\":\"2\"", "\"version\":\"2\"", "\"version\":\"3\"", "\"members\":\"2\"", "\"outputs\":\"2\"", "\"forward\":\"own\"",
    "\"task\":\"regression\"", "labels", "\"targets.scale\":", "\"class_names\":\"a,%2C\"", "\"layer1.weight\":", "\"normalizer.shift\":", "\\u0041",
    "\\ud83d\\ude00", "\\u0000", "{\"a\":[]},", "[0,4]", "[2,2]", "18446744073709551615",
    "9223372036854775807", NULL};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    bp_context *ctx = fuzz_open();
    bp_model *model;
    bp_status st = bp_model_load(ctx, fuzz_safetensors(data, size), &model);
    FUZZ_MUST((st == BP_OK) == (model != NULL));
    FUZZ_MUST(st == BP_OK || st == BP_ERR_FORMAT || st == BP_ERR_NOMEM);
    if (model)
        fuzz_round_trip(ctx, model);
    bp_model_free(model);
    fuzz_close(ctx);
    return 0;
}
