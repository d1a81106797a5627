/* IDX files, plain and gzipped. An input is a byte of flags and a file: of labels with flag 1, else
 * of images. With flag 2 it is gzipped first, by a fourth of the flags in one or two members, with
 * padding, or damaged. The other file of the pair is made to fit. */
#include <string.h>

#include "fuzz.h"
#if BPI_HAVE_ZLIB
#include <zlib.h>
#endif

const char *const fuzz_words[] = {"\x08\x01", "\x08\x03", "\x1f\x8b", "\x1f\x8b\x08",
                                  "\xff\xff\xff\xff", "\x7f\xff\xff\xff", NULL};

enum { ROOM = 1 << 14 };

/* One gzip member; its length. */
static size_t zipped(const uint8_t *from, size_t size, uint8_t *to, size_t room)
{
#if BPI_HAVE_ZLIB
    z_stream z = {.next_in = (uint8_t *)from, .avail_in = (unsigned)size, .next_out = to,
                  .avail_out = (unsigned)room};
    FUZZ_MUST(deflateInit2(&z, 1, Z_DEFLATED, 15 + 16, 9, Z_DEFAULT_STRATEGY) == Z_OK);
    FUZZ_MUST(deflate(&z, Z_FINISH) == Z_STREAM_END);
    deflateEnd(&z);
    return room - z.avail_out;
#else
    (void)room;
    memcpy(to, from, size);
    return size;
#endif
}

static const char *fuzzed_file(uint8_t flags, const uint8_t *from, size_t size)
{
    static uint8_t all[4 * ROOM];
    if (!(flags & 2))
        return fuzz_file(0, from, size);
    size_t first = flags & 4 ? size / 2 : size;
    size_t n = zipped(from, first, all, 2 * ROOM);
    if (first < size)
        n += zipped(from + first, size - first, all + n, sizeof all - n - 64);
    if (flags & 8) {
        memset(all + n, 0, 16);
        n += 16;
    }
    if (flags & 16)
        all[(flags >> 5) * n / 8] ^= (uint8_t)(size ? from[size - 1] : 1);
    return fuzz_file(0, all, n);
}

/* A file of as many rows as the fuzzed one claims, modulo 256, or with flag 128 of one more. */
static const char *partner(uint8_t flags, const uint8_t *from, size_t size)
{
    static uint8_t all[16 + 256];
    bool images = flags & 1;
    size_t head = images ? 16 : 8, rows = size >= 8 ? from[7] : 0;
    rows += rows < 255 && (flags & 0x90) == 0x80;
    const uint8_t start[16] = {0, 0, 8, images ? 3 : 1, 0, 0, 0, (uint8_t)rows,
                               0, 0, 0, 1, 0, 0, 0, 1};
    memcpy(all, start, head);
    memset(all + head, 1, rows);
    return fuzz_file(1, all, head + rows);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0 || size > ROOM)
        return 0;
    bp_context *ctx = fuzz_open();
    bp_data *set;
    bool labels = data[0] & 1;
    const char *file = fuzzed_file(data[0], data + 1, size - 1);
    const char *other = partner(data[0], data + 1, size - 1);
    bp_status st = bp_data_idx(ctx, labels ? other : file, labels ? file : other, &set);
    FUZZ_MUST((st == BP_OK) == (set != NULL));
    FUZZ_MUST(st != BP_ERR_IO && st != BP_ERR_ARG);
    if (set)
        FUZZ_MUST(bp_data_rows(set) > 0 && bp_data_cols(set) > 0 && bp_data_classes(set) <= 256);
    bp_data_free(set);
    fuzz_close(ctx);
    return 0;
}
