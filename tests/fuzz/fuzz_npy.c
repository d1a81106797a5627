/* NPY and NPZ files. An input is a byte that says which, and a file. What is read is checked as in
 * any set: finite numbers, classes in range. An NPZ file goes into a store too, which has finite
 * numbers then, or those that it had. */
#include <math.h>
#include <stdlib.h>

#include "fuzz.h"

const char *const fuzz_words[] = {"\x93NUMPY\x01", "'descr': ", "'<f8'", "'|u1'", "'<i8'", "(2, 3)",
                                  "'shape': ", "'fortran_order': False", "PK\x03\x04", "(,)",
                                  "PK\x01\x02", "PK\x05\x06", ".npy", "\xff\xff\xff\xff", "y",
                                  NULL};

static void must_be_good(bp_data *d)
{
    FUZZ_MUST(bp_data_rows(d) > 0 && bp_data_columns(d) > 0);
    for (int32_t i = 0; i < bp_data_columns(d); i++) {
        bp_tensor *t = bp_data_column(d, bp_data_column_name(d, i));
        int64_t n = bp_shape_count(bp_shape_of(t));
        float *x = malloc((size_t)n * sizeof *x);
        FUZZ_MUST(x && bp_read_f32(t, x, n) == BP_OK);
        for (int64_t k = 0; k < n; k++)
            FUZZ_MUST(isfinite(x[k]));
        for (int64_t k = 0; k < n && t == bp_data_labels(d) && bp_data_classes(d); k++)
            FUZZ_MUST(x[k] >= 0 && x[k] < (float)bp_data_classes(d));
        free(x);
    }
}

static void into_a_store(bp_context *ctx, const char *file)
{
    bp_params *p;
    float x[4];
    FUZZ_MUST(bp_params_create(ctx, BP_F32, &p) == BP_OK);
    bp_tensor *t = bp_param_constant(p, "weight", BP_SHAPE(4), 0.5);
    bp_status st = bp_params_load_npz(p, file, "*");
    FUZZ_MUST(st != BP_ERR_IO && st != BP_ERR_STATE && st != BP_ERR_ARG);
    FUZZ_MUST(t && bp_read(t, x, sizeof x) == BP_OK);
    for (int i = 0; i < 4; i++)
        FUZZ_MUST(st == BP_OK ? isfinite(x[i]) : x[i] == 0.5f);
    bp_params_free(p);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    bp_context *ctx = fuzz_open();
    bp_data *set;
    const char *file = fuzz_file(0, data + 1, size - 1);
    bp_status st = data[0] & 1 ? bp_data_npz(ctx, file, &set)
                               : bp_data_npy(ctx, file, data[0] & 2 ? file : NULL, &set);
    FUZZ_MUST((st == BP_OK) == (set != NULL));
    FUZZ_MUST(st != BP_ERR_IO && st != BP_ERR_STATE && st != BP_ERR_BUSY);
    if (set)
        must_be_good(set);
    bp_data_free(set);
    if (data[0] & 1)
        into_a_store(ctx, file);
    fuzz_close(ctx);
    return 0;
}
