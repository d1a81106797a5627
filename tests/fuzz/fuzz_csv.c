/* CSV files. An input is a byte of options and a file: the lowest two bits say what of a header,
 * the next two which separator, then the targets and the label. What is read has finite numbers
 * only, and a name for every class. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"

const char *const fuzz_words[] = {"\r\n", "\"\"", "\"", ",", ";", "\t", "1e5", "-0.5", "nan",
                                  "\xEF\xBB\xBF", "a,b,c\n", "1,2,3\n", "00000000", "12345678",
                                  "1e38", "1e-50", "16777217", ".", NULL};

static void must_be_good(bp_data *d)
{
    int64_t n = bp_data_rows(d) * bp_data_cols(d), classes = bp_data_classes(d);
    float *x = malloc((size_t)n * sizeof *x);
    FUZZ_MUST(n > 0 && x && bp_read_f32(bp_data_samples(d), x, n) == BP_OK);
    for (int64_t i = 0; i < n; i++)
        FUZZ_MUST(isfinite(x[i]));
    free(x);
    for (int32_t c = 0; c < classes; c++)
        FUZZ_MUST(bp_data_class_name(d, c) && bp_data_class_name(d, c)[0]);
    FUZZ_MUST(classes != 1 && (classes > 0) == (bp_data_targets(d) == BP_TARGETS_CLASSES));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char separator[] = {0, ',', ';', '\t'};
    static const char *const label[] = {NULL, "", "0", "b"};
    if (size == 0)
        return 0;
    bp_csv options = {.struct_bytes = sizeof options, .header = (data[0] & 3) % 3 - 1,
                      .separator = separator[data[0] >> 2 & 3], .targets = (data[0] >> 4 & 3) % 3,
                      .label = label[data[0] >> 6], .skip = data[0] & 16 ? "c*,2" : NULL};
    bp_context *ctx = fuzz_open();
    bp_data *set;
    bp_status st = bp_data_csv(ctx, fuzz_file(0, data + 1, size - 1), &options, &set);
    FUZZ_MUST((st == BP_OK) == (set != NULL));
    FUZZ_MUST(st == BP_OK || st == BP_ERR_FORMAT || st == BP_ERR_ARG || st == BP_ERR_UNSUPPORTED ||
              st == BP_ERR_NOMEM);
    if (set)
        must_be_good(set);
    bp_data_free(set);
    fuzz_close(ctx);
    return 0;
}
