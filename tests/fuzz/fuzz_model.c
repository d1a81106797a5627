/* Model files. An input is a byte of flags and, with flag 1, a header, a zero byte and data: the
 * length of the header is put before it, so that it is read; with flag 2 too, the data are repeated
 * or cut to what the header asks for. Without flag 1 it is the file as it is. */
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"

const char *const fuzz_words[] = {
    "\"__metadata__\":", "\"dtype\":", "\"shape\":", "\"data_offsets\":", "\"F32\"", "\"U8\"",
    "\"format\":\"bpcuda\"", "\"version\":\"1\"", "\"layers\":\"\"", "\"inputs\":\"2\"", "null",
    "true", "\"classes\":\"2\"", "\"version\":\"2\"", "\"outputs\":\"2\"", "\"forward\":\"own\"",
    "\"task\":\"regression\"", "labels", "\"targets.scale\":", "\"class_names\":\"a,%2C\"", "\"layer1.weight\":", "\"normalizer.shift\":", "\\u0041",
    "\\ud83d\\ude00", "\\u0000", "{\"a\":[]},", "[0,4]", "[2,2]", "18446744073709551615",
    "9223372036854775807", NULL};

enum { ROOM = 1 << 16 };

/* The largest end of any data_offsets, at most half of the room. */
static size_t data_wanted(const char *header)
{
    unsigned long long end, most = 0;
    for (const char *p = header; (p = strstr(p, "data_offsets")) != NULL; p++) {
        const char *comma = strchr(p, ',');
        end = comma ? strtoull(comma + 1, NULL, 10) : 0;
        most = end > most && end <= ROOM / 2 ? end : most;
    }
    return (size_t)most;
}

static const char *file_of(const uint8_t *input, size_t size)
{
    static uint8_t all[ROOM + 1];
    if (!(input[0] & 1) || size > ROOM / 4)
        return fuzz_file(0, input + 1, size - 1);
    const uint8_t *header = input + 1, *zero = memchr(header, 0, size - 1);
    size_t n = zero ? (size_t)(zero - header) : size - 1, given = zero ? size - 2 - n : 0;
    for (int i = 0; i < 8; i++)
        all[i] = (uint8_t)((uint64_t)n >> 8 * i);
    memcpy(all + 8, header, n);
    all[8 + n] = 0;
    size_t data = input[0] & 2 ? data_wanted((const char *)all + 8) : given;
    for (size_t i = 0; i < data; i++)
        all[8 + n + i] = given ? zero[1 + i % given] : 0;
    return fuzz_file(0, all, 8 + n + data);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    bp_context *ctx = fuzz_open();
    bp_model *model;
    bp_status st = bp_model_load(ctx, file_of(data, size), &model);
    FUZZ_MUST((st == BP_OK) == (model != NULL));
    FUZZ_MUST(st == BP_OK || st == BP_ERR_FORMAT || st == BP_ERR_NOMEM);
    if (model)
        fuzz_round_trip(ctx, model);
    bp_model_free(model);
    fuzz_close(ctx);
    return 0;
}
