/* Weights from files. An input is what fuzz_safetensors() takes; its flags 4, and 8 and 16, say the
 * store's dtype, and which parameters are wanted. A load that fails leaves the store as it was; one
 * that does not leaves finite numbers, which are saved and loaded to the same bytes. */
#include <math.h>
#include <string.h>

#include "fuzz.h"

const char *const fuzz_words[] = {
    "\"__metadata__\":", "\"dtype\":", "\"shape\":", "\"data_offsets\":", "\"F32\"", "\"F16\"",
    "\"BF16\"", "\"F64\"", "\"I64\"", "\"F4\"", "\"w\":", "\"b\":", "\"s\":", "[2,3]", "[3]", "[]",
    "[0,24]", "[24,30]", "[30,38]", "{\"a\":[]},", "\\u0077", "9223372036854775807", NULL};

enum { NUMBERS = 6 + 3 + 1 };

static bp_params *store(bp_context *ctx, bp_dtype dtype)
{
    bp_params *p;
    FUZZ_MUST(bp_params_create(ctx, dtype, &p) == BP_OK);
    FUZZ_MUST(bp_param_constant(p, "w", BP_SHAPE(2, 3), 0.5) &&
              bp_param_constant(p, "b", BP_SHAPE(3), 0.5) &&
              bp_param_constant(p, "s", BP_SCALAR, 0.5));
    return p;
}

static void read(bp_context *ctx, bp_params *p, double x[NUMBERS])
{
    bp_tensor *all[] = {bp_param_at(p, 0), bp_param_at(p, 1), bp_param_at(p, 2)};
    FUZZ_MUST(bp_read_all(ctx, all, 3, x, NUMBERS) == BP_OK);
}

static void round_trip(bp_params *p, bp_params *q)
{
    const char *first = fuzz_file(2, "", 0), *second = fuzz_file(3, "", 0);
    FUZZ_MUST(bp_params_save(p, first) == BP_OK && bp_params_load(q, first, NULL) == BP_OK);
    FUZZ_MUST(bp_params_save(q, second) == BP_OK && fuzz_equal(2, 3));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const pattern[] = {NULL, "*", "w", "?"};
    double x[NUMBERS];
    if (size == 0)
        return 0;
    bp_context *ctx = fuzz_open();
    bp_dtype dtype = data[0] & 4 ? BP_F64 : BP_F32;
    bp_params *p = store(ctx, dtype), *q = store(ctx, dtype);
    bp_status st = bp_params_load(p, fuzz_safetensors(data, size), pattern[data[0] >> 3 & 3]);
    FUZZ_MUST(st == BP_OK || st == BP_ERR_FORMAT || st == BP_ERR_SHAPE || st == BP_ERR_DTYPE ||
              st == BP_ERR_NOMEM);
    read(ctx, p, x);
    for (int i = 0; i < NUMBERS; i++)
        FUZZ_MUST(st == BP_OK ? isfinite(x[i]) : x[i] == 0.5);
    if (st == BP_OK)
        round_trip(p, q);
    bp_params_free(p);
    bp_params_free(q);
    fuzz_close(ctx);
    return 0;
}
